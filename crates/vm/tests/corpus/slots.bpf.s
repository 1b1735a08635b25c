// Slots of the stack that their function does not read again by R10 are forgotten, but not while somebody else may read
// them. In each of these programs, 3 on one path is 200 on another.

== slot_read_by_an_address_in_a_register
r1 = *(u64 *)(r1 +0)
r7 = *(u32 *)(r1 +0)
r6 = r10
r6 += -16
*(u64 *)(r10 -16) = 3
if r7 == 0 goto a
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
*(u64 *)(r10 -16) = 200
a: r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r7 == 1 goto b
r8 = 1
b: r2 = 0
r2 = *(u64 *)(r6 +0)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
exit

== slot_read_by_an_address_on_the_stack
r1 = *(u64 *)(r1 +0)
r7 = *(u32 *)(r1 +0)
r6 = r10
r6 += -16
*(u64 *)(r10 -64) = r6
*(u64 *)(r10 -16) = 3
if r7 == 0 goto a
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
*(u64 *)(r10 -16) = 200
a: r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r7 == 1 goto b
r8 = 1
b: r2 = 0
r6 = *(u64 *)(r10 -64)
r2 = *(u64 *)(r6 +0)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
exit

== slot_read_by_an_address_that_is_taken_later
r1 = *(u64 *)(r1 +0)
r7 = *(u32 *)(r1 +0)
*(u64 *)(r10 -16) = 3
if r7 == 0 goto a
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
*(u64 *)(r10 -16) = 200
a: r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r7 == 1 goto b
r8 = 1
b: r2 = 0
if r7 == 2 goto c
r9 = 1
c: r6 = r10
r6 += -8
r2 = *(u64 *)(r6 -8)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
exit

== slot_read_in_part
r1 = *(u64 *)(r1 +0)
r7 = *(u32 *)(r1 +0)
*(u64 *)(r10 -16) = 3
if r7 == 0 goto a
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
*(u64 *)(r10 -16) = 200
a: r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r7 == 1 goto b
r8 = 1
b: r2 = 0
r2 = *(u8 *)(r10 -16)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
exit

== slot_read_across_two
r1 = *(u64 *)(r1 +0)
r7 = *(u32 *)(r1 +0)
*(u64 *)(r10 -16) = 3
if r7 == 0 goto a
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
*(u64 *)(r10 -16) = 200
a: r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r7 == 1 goto b
r8 = 1
b: r2 = 0
r2 = *(u32 *)(r10 -18)
r2 >>= 16
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
exit

== slot_read_after_it_is_written_over_in_part
r1 = *(u64 *)(r1 +0)
r7 = *(u32 *)(r1 +0)
*(u64 *)(r10 -16) = 3
if r7 == 0 goto a
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
*(u64 *)(r10 -16) = 200
a: r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r7 == 1 goto b
r8 = 1
b: r2 = 0
*(u8 *)(r10 -9) = 0
r2 = *(u8 *)(r10 -16)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
exit

== slot_read_by_an_atomic_operation
r1 = *(u64 *)(r1 +0)
r7 = *(u32 *)(r1 +0)
*(u64 *)(r10 -16) = 3
if r7 == 0 goto a
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
*(u64 *)(r10 -16) = 200
a: r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r7 == 1 goto b
r8 = 1
b: r2 = 0
r2 = 0
r2 = atomic_fetch_add((u64 *)(r10 -16), r2)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
exit

== slot_of_the_caller_read_behind_a_call
r1 = *(u64 *)(r1 +0)
r7 = *(u32 *)(r1 +0)
*(u64 *)(r10 -16) = 3
if r7 == 0 goto a
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
*(u64 *)(r10 -16) = 200
a: r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r7 == 1 goto b
r8 = 1
b: r2 = 0
call f
r2 = *(u64 *)(r10 -16)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
exit
f: call bpf_get_prandom_u32
if r0 == 0 goto d
r0 = 1
d: r0 = 0
exit

== slot_of_the_caller_read_in_the_function_called
r1 = *(u64 *)(r1 +0)
r7 = *(u32 *)(r1 +0)
*(u64 *)(r10 -16) = 3
if r7 == 0 goto a
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
*(u64 *)(r10 -16) = 200
a: r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r7 == 1 goto b
r8 = 1
b: r2 = 0
r1 = r10
r1 += -16
call f
r0 = 0
exit
f: r6 = r1
call bpf_get_prandom_u32
if r0 == 0 goto d
r0 = 1
d: r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r0 == 1 goto e
r0 = 2
e: r2 = *(u64 *)(r6 +0)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
exit

== slot_of_the_caller_read_in_a_callback
r1 = *(u64 *)(r1 +0)
r7 = *(u32 *)(r1 +0)
*(u64 *)(r10 -16) = 3
if r7 == 0 goto a
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
*(u64 *)(r10 -16) = 200
a: r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r7 == 1 goto b
r8 = 1
b: r2 = 0
r1 = 4
r2 = func f ll
r3 = r10
r3 += -16
r4 = 0
call bpf_loop
r0 = 0
exit
f: r6 = r2
call bpf_get_prandom_u32
if r0 == 0 goto d
r0 = 1
d: r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r0 == 1 goto e
r0 = 2
e: r2 = *(u64 *)(r6 +0)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
exit

== slot_read_in_the_next_round
r1 = *(u64 *)(r1 +0)
r7 = *(u32 *)(r1 +0)
r9 = 0
*(u64 *)(r10 -16) = 3
if r7 == 0 goto a
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
*(u64 *)(r10 -16) = 200
a: r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r7 == 1 goto b
r8 = 1
b: r2 = 0
again: r2 = *(u64 *)(r10 -16)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
r9 += 1
if r9 == 3 goto out
if r9 != 9 goto again
out: r0 = 0
exit

== slots_not_read_again_hold_anything
r1 = *(u64 *)(r1 +0)
r7 = *(u32 *)(r1 +0)
*(u64 *)(r10 -16) = r7
if r7 == 0 goto a
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r6 = map[data][0] ll
*(u64 *)(r10 -16) = r6
*(u64 *)(r10 -24) = r6
a: r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r7 == 1 goto b
r8 = 1
b: *(u64 *)(r10 -16) = 5
r2 = *(u64 *)(r10 -16)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)
exit

== iterators_in_slots_are_given_back
r1 = *(u64 *)(r1 +0)
r7 = *(u32 *)(r1 +0)
r1 = r10
r1 += -8
r2 = 0
r3 = 4
call bpf_iter_num_new
if r7 == 0 goto a
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
a: r0 = 0
exit                             ; error: reference
