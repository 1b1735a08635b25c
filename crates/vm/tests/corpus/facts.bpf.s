// What is known of two numbers together. R1 is the memory, of which each program makes the best it can.

== offset_and_length_together memory 64
r6 = r1
r7 = *(u8 *)(r6 +0)
r8 = *(u8 *)(r6 +1)
r2 = r7
r2 += r8
if r2 > 63 goto out
r6 += r7
r6 += r8
r0 = *(u8 *)(r6 +0)
out: r0 = 0
exit

== offset_and_length_one_too_many memory 64
r6 = r1
r7 = *(u8 *)(r6 +0)
r8 = *(u8 *)(r6 +1)
r2 = r7
r2 += r8
if r2 > 64 goto out
r6 += r7
r6 += r8
r0 = *(u8 *)(r6 +0)              ; error: invalid access
out: r0 = 0
exit

== offset_and_another_length memory 64
r6 = r1
r7 = *(u8 *)(r6 +0)
r8 = *(u8 *)(r6 +1)
r9 = *(u8 *)(r6 +2)
r2 = r7
r2 += r9
if r2 > 63 goto out
r6 += r7
r6 += r8
r0 = *(u8 *)(r6 +0)              ; error: invalid access
out: r0 = 0
exit

== sum_of_halves_may_wrap memory 64
r6 = r1
r7 = *(u32 *)(r6 +0)
r8 = *(u32 *)(r6 +4)
w2 = w7
w2 += w8
if r7 > 63 goto out
if r2 > 63 goto out
r6 += r7
r8 &= 0xff
r6 += r8
r0 = *(u8 *)(r6 +0)              ; error: invalid access
out: r0 = 0
exit

== below_what_is_bounded_later memory 64
r7 = *(u64 *)(r1 +0)
r8 = *(u64 *)(r1 +8)
if r7 >= r8 goto out
if r8 > 64 goto out
r1 += r7
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== at_most_what_is_bounded_later memory 64
r7 = *(u64 *)(r1 +0)
r8 = *(u64 *)(r1 +8)
if r7 > r8 goto out
if r8 > 64 goto out
r1 += r7
r0 = *(u8 *)(r1 +0)              ; error: off=0..64
out: r0 = 0
exit

== below_by_the_lower_half_only memory 64
r7 = *(u64 *)(r1 +0)
r8 = *(u64 *)(r1 +8)
if w7 >= w8 goto out
if r8 > 64 goto out
r1 += r7                         ; error: unbounded
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== below_another_value_of_the_register memory 64
r7 = *(u64 *)(r1 +0)
r8 = *(u64 *)(r1 +8)
if r7 >= r8 goto out
r8 = *(u64 *)(r1 +16)
if r8 > 64 goto out
r1 += r7                         ; error: unbounded
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== below_on_one_way_only memory 64
r7 = *(u64 *)(r1 +0)
r8 = *(u64 *)(r1 +8)
r9 = *(u64 *)(r1 +16)
if r9 == 0 goto meet
if r7 >= r8 goto out
meet: if r8 > 64 goto out
r1 += r7                         ; error: unbounded
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== what_is_left_by_a_quotient memory 64
r2 = *(u64 *)(r1 +0)
r3 = r2
r3 /= 10
r3 *= 10
r2 -= r3
r1 += r2
r0 = *(u8 *)(r1 +54)
exit

== what_is_left_is_less_than_the_divisor memory 64
r2 = *(u64 *)(r1 +0)
r3 = r2
r3 /= 10
r3 *= 10
r2 -= r3
r1 += r2
r0 = *(u8 *)(r1 +55)             ; error: off=55..64
exit

== quotient_of_another_factor memory 64
r2 = *(u64 *)(r1 +0)
r3 = r2
r3 /= 10
r3 *= 9
r2 -= r3
r1 += r2                         ; error: unbounded
r0 = *(u8 *)(r1 +0)
exit

== quotient_by_what_may_be_zero memory 64
r2 = *(u64 *)(r1 +0)
r4 = *(u8 *)(r1 +8)
r4 &= 7
r3 = r2
r3 /= r4
r3 *= r4
r2 -= r3
r1 += r2                         ; error: unbounded
r0 = *(u8 *)(r1 +0)
exit

== rest_of_the_memory memory 64
r6 = r1
r7 = *(u8 *)(r6 +0)
r8 = *(u64 *)(r6 +8)
if r7 > 63 goto out
r2 = 63
r2 -= r7
if r8 <= r2 goto less
r8 = r2
less: r6 += r7
r6 += r8
r0 = *(u8 *)(r6 +0)
out: r0 = 0
exit

== rest_of_more_than_the_memory memory 64
r6 = r1
r7 = *(u8 *)(r6 +0)
r8 = *(u64 *)(r6 +8)
if r7 > 63 goto out
r2 = 64
r2 -= r7
if r8 <= r2 goto less
r8 = r2
less: r6 += r7
r6 += r8
r0 = *(u8 *)(r6 +0)              ; error: invalid access
out: r0 = 0
exit

== ordered_difference memory 64
r7 = *(u64 *)(r1 +0)
r8 = *(u64 *)(r1 +8)
if r8 > 63 goto out
if r7 > r8 goto out
r8 -= r7
r1 += r8
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== difference_the_wrong_way memory 64
r7 = *(u64 *)(r1 +0)
r8 = *(u64 *)(r1 +8)
if r8 > 63 goto out
if r7 > r8 goto out
r7 -= r8
r1 += r7
r0 = *(u8 *)(r1 +0)              ; error: invalid access
out: r0 = 0
exit

== lower_half_at_a_distance memory 64
r6 = *(u32 *)(r1 +0)
w2 = w6
w2 += -2
if w2 > 30 goto out
r1 += r6
r0 = *(u8 *)(r1 +31)
out: r0 = 0
exit

== lower_half_at_a_distance_too_far memory 64
r6 = *(u32 *)(r1 +0)
w2 = w6
w2 += -2
if w2 > 30 goto out
r1 += r6
r0 = *(u8 *)(r1 +32)             ; error: off=34..64
out: r0 = 0
exit

== lower_half_is_not_all memory 64
r6 = *(u64 *)(r1 +0)
w2 = w6
w2 += -2
if w2 > 30 goto out
r1 += r6                         ; error: unbounded
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== pointer_bounded_by_its_index_later memory 64
r6 = *(u8 *)(r1 +0)
r2 = r6
r1 += r6
if r2 > 63 goto out
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== pointer_bounded_by_another_index memory 64
r6 = *(u8 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r1 += r6
if r2 > 63 goto out
r0 = *(u8 *)(r1 +0)              ; error: invalid access
out: r0 = 0
exit

== bytes_of_zero_are_zero
*(u8 *)(r10 -8) = 0
*(u8 *)(r10 -7) = 0
*(u16 *)(r10 -6) = 0
*(u32 *)(r10 -4) = 0
r2 = *(u64 *)(r10 -8)
r1 = map[data][0] ll
r1 += r2
r0 = *(u8 *)(r1 +31)
exit

== a_byte_of_one_among_zeros
*(u8 *)(r10 -8) = 0
*(u8 *)(r10 -7) = 1
*(u16 *)(r10 -6) = 0
*(u32 *)(r10 -4) = 0
r2 = *(u64 *)(r10 -8)
r1 = map[data][0] ll
r1 += r2
r0 = *(u8 *)(r1 -256)
r0 = *(u8 *)(r1 +31)             ; error: invalid access to map_value, size=32 off=287 len=1
exit

== division_by_zero_is_zero
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r3 = 0
r2 /= r3
r1 += r2
r0 = *(u8 *)(r1 +15)
exit

== remainder_by_zero_is_the_number
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r3 = 0
r2 %= r3
r1 += r2
r0 = *(u8 *)(r1 +15)             ; error: off=15..270
exit
