// Branches, numbers, loops, callbacks and iterators. `cve_` and `bad_` ones are mistakes verifiers have made.

== branch_unsigned
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
if r2 > 15 goto out
r1 += r2
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== branch_unsigned_one_off
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
if r2 > 16 goto out
r1 += r2
r0 = *(u8 *)(r1 +0)              ; error: off=0..16
out: r0 = 0
exit

== bad_signed
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
if r2 s> 15 goto out
r1 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== branch_signed_both
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
if r2 s> 15 goto out
if r2 s< 0 goto out
r1 += r2
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== branch_32_bits_says_nothing_of_the_upper_half
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
if w2 > 15 goto out
r1 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== branch_32_bits_then_zero_extended
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
if w2 > 15 goto out
w2 = w2
r1 += r2
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== branch_on_a_copy
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
r3 = r2
if r3 > 15 goto out
r1 += r2
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== branch_on_a_spilled_copy
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
*(u64 *)(r10 -8) = r2
if r2 > 15 goto out
r3 = *(u64 *)(r10 -8)
r2 = 0
r1 += r3
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== branch_on_half_of_a_spilled_number
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
*(u32 *)(r10 -8) = r2
if r2 > 15 goto out
r3 = *(u64 *)(r10 -8)
r1 += r3
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== copy_that_was_changed_after_the_spill
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
*(u64 *)(r10 -8) = r2
r2 ^= 1
if r2 > 15 goto out
r3 = *(u64 *)(r10 -8)
r1 += r3                         ; error: unbounded min value
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== compared_with_itself
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
if r2 == r2 goto out
r0 = *(u64 *)(r10 +8)
out: r0 = 0
if w2 s> w2 goto bad
exit
bad: r0 = *(u64 *)(r10 +8)
exit

== compared_with_its_copy
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
r3 = r2
r3 += 5
r2 += 5
if r2 s< r3 goto bad
r0 = 0
exit
bad: r0 = *(u64 *)(r10 +8)
exit

== compared_with_its_half
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
w3 = w2
if w3 != w2 goto bad
r0 = 0
if r3 != r2 goto worse
exit
bad: r0 = *(u64 *)(r10 +8)
exit
worse: r0 = *(u64 *)(r10 +8)     ; error: invalid access to fp
exit

== bits_shared_with_itself
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
if r2 & r2 goto maybe
r0 = 0
exit
maybe: r0 = *(u64 *)(r10 +8)     ; error: invalid access to fp
exit

== shift_pair_zero_extends
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
r3 = r2
r3 <<= 32
r3 >>= 32
if r3 > 15 goto out
r2 <<= 32
r2 >>= 32
r1 += r2
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== shift_pair_sign_extends
r1 = *(u64 *)(r1 +0)
r2 = *(u32 *)(r1 +0)
r2 <<= 32
r2 s>>= 32
if r2 s> 15 goto out
r1 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== ok_linked
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r3 = r2
r3 += 4
if r3 > 15 goto out
r1 += r2
r0 = *(u8 *)(r1 +4)
out: r0 = 0
exit

== bad_linked
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r3 = r2
r3 += 4
if r3 > 15 goto out
r1 += r2
r0 = *(u8 *)(r1 +5)              ; error: off=5..16
out: r0 = 0
exit

== bad_linked_wraps
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
r3 = r2
r3 += 4
if r3 > 15 goto out
r1 += r2
r0 = *(u8 *)(r1 +4)
r0 = *(u8 *)(r1 +0)              ; error: off=-4..11
out: r0 = 0
exit

== cve_2020_8835_jmp32_tnum
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
if w2 != 1 goto out
r2 >>= 32
r1 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== cve_2020_27194_or32
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
r3 = 0x600000001 ll
if r2 > r3 goto out
if r2 == 0 goto out
r2 |= 0
w2 = w2
r2 >>= 1
r3 = map[data][0] ll
r3 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r3 +0)
out: r0 = 0
exit

== cve_2021_3490_and32
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
r3 = 0x100000000 ll
r2 &= r3
r4 = 0x100000002 ll
r2 |= 0
if w2 > 0 goto out
r2 >>= 32
r2 *= 64
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: off=0..64
out: r0 = 0
exit

== cve_2021_3490_xor32
r1 = *(u64 *)(r1 +0)
r2 = *(u32 *)(r1 +0)
r2 &= 1
r2 ^= 32
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: off=32..33
exit

== cve_2021_31440_combine64
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
if w2 < 16 goto out
if w2 > 20 goto out
r3 = map[data][0] ll
r2 -= 16
r3 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r3 +0)
out: r0 = 0
exit

== cve_2021_31440_combine64_ok
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
if w2 < 16 goto out
if w2 > 20 goto out
r3 = map[data][0] ll
w2 -= 16
r3 += r2
r0 = *(u8 *)(r3 +27)
out: r0 = 0
exit

== cve_2017_16995_mov32_imm
w2 = -1
r2 >>= 28
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +17)             ; error: off=32
exit

== cve_2017_16995_mov32_imm_is_15
w2 = -1
r2 >>= 28
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +16)
exit

== cve_2017_16995_mov64_imm
r2 = -1
r2 >>= 28
r3 = map[data][0] ll
r3 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r3 +0)
exit

== cve_2021_45402_mov32_zext
r1 = *(u64 *)(r1 +0)
r2 = *(s32 *)(r1 +0)
if r2 s> 15 goto out
w2 = w2
r1 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== cve_2022_23222_or_null_arithmetic
*(u64 *)(r10 -8) = 0
r1 = map[hash] ll
r2 = r10
r2 += -8
call bpf_map_lookup_elem
r6 = r0
r6 += 1                          ; error: pointer arithmetic on map_value_or_null prohibited
r0 = 0
exit

== cve_2021_4204_release_offset
r1 = map[ring] ll
r2 = 16
r3 = 0
call bpf_ringbuf_reserve
if r0 == 0 goto out
r1 = r0
r1 += 8
r2 = 0
call bpf_ringbuf_submit          ; error: must have zero offset
out: r0 = 0
exit

== cve_2021_4204_release_offset_undone
r1 = map[ring] ll
r2 = 16
r3 = 0
call bpf_ringbuf_reserve
if r0 == 0 goto out
r1 = r0
r1 += 8
r1 -= 8
r2 = 0
call bpf_ringbuf_submit
out: r0 = 0
exit

== bad_spill_id
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
r3 = r2
*(u32 *)(r10 -8) = r2
r4 = *(u32 *)(r10 -8)
if r4 > 15 goto out
r1 += r3                         ; error: unbounded min value
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== cve_2022_0264_atomic_spill
*(u64 *)(r10 -8) = r1
r2 = 1
lock *(u64 *)(r10 -8) += r2      ; error: leaks addr
r0 = *(u64 *)(r10 -8)
exit

== cve_2024_49861_helper_read_only
r1 = map[rodata][0] ll
r2 = 4
r3 = 0
r4 = map[rodata][8] ll
call bpf_strtol                  ; error: read-only
r0 = 0
exit

== atomic_read_only
r1 = map[rodata][0] ll
r2 = 1
lock *(u64 *)(r1 +0) += r2       ; error: read-only
r0 = 0
exit

== bad_wrap
r1 = map[data][0] ll
r2 = 0x7fffffff
r1 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r1 +0)
exit

== bad_wrap_in_steps
r1 = map[data][0] ll
r1 += 0x1fffffff
r1 += 0x1fffffff                 ; error: unbounded min value
r0 = *(u8 *)(r1 +0)
exit

== far_and_back
r1 = map[data][0] ll
r1 += 0x1fffffff
r1 -= 0x1fffffff
r0 = *(u8 *)(r1 +31)
exit

== bad_jset
r1 = *(u64 *)(r1 +0)
r2 = *(u32 *)(r1 +0)
if r2 & 0xfff0 goto out
r1 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== ok_jset
r1 = *(u64 *)(r1 +0)
r2 = *(u16 *)(r1 +0)
if r2 & 0xfff0 goto out
r1 += r2
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== bad_arsh32
r1 = *(u64 *)(r1 +0)
r2 = *(u32 *)(r1 +0)
w2 s>>= 28
r3 = map[data][0] ll
r3 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r3 +0)
exit

== bad_lsh32
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r2 &= 1
w2 <<= 31
r3 = map[data][0] ll
r3 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r3 +0)
exit

== bad_movsx
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r2 = (s8)r2
if r2 s> 7 goto out
r1 += r2
r0 = *(u8 *)(r1 +0)              ; error: off=-128..7
out: r0 = 0
exit

== bad_memsx
r1 = *(u64 *)(r1 +0)
r2 = *(s8 *)(r1 +0)
if r2 s> 7 goto out
r1 += r2
r0 = *(u8 *)(r1 +0)              ; error: off=-128..7
out: r0 = 0
exit

== bad_mod0
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r4 = *(u8 *)(r1 +1)
r4 &= 15
r2 %= r4
r1 += r2
r0 = *(u8 *)(r1 +0)              ; error: invalid access to in
exit

== ok_mod
r1 = *(u64 *)(r1 +0)
r2 = *(u32 *)(r1 +0)
r2 %= 16
r1 += r2
r0 = *(u8 *)(r1 +0)
exit

== pointer_equality_makes_not_null
*(u64 *)(r10 -8) = 0
r1 = map[hash] ll
r2 = r10
r2 += -8
call bpf_map_lookup_elem
if r0 == 0 goto out
r6 = r0
r1 = map[hash] ll
r2 = r10
r2 += -8
call bpf_map_lookup_elem
if r0 != r6 goto out
r0 = *(u64 *)(r0 +0)
out: r0 = 0
exit

== bad_ptr_eq
*(u64 *)(r10 -8) = 0
r1 = map[hash] ll
r2 = r10
r2 += -8
call bpf_map_lookup_elem
r6 = r0
r1 = map[hash] ll
r2 = r10
r2 += -8
call bpf_map_lookup_elem
if r0 != r6 goto out
r0 = *(u64 *)(r0 +0)             ; error: 'map_value_or_null'
out: r0 = 0
exit

== ok_array_const_key
*(u32 *)(r10 -4) = 3
r1 = map[array] ll
r2 = r10
r2 += -4
call bpf_map_lookup_elem
r0 = *(u64 *)(r0 +8)
exit

== bad_array_const_key
*(u32 *)(r10 -4) = 4
r1 = map[array] ll
r2 = r10
r2 += -4
call bpf_map_lookup_elem
r0 = *(u64 *)(r0 +8)             ; error: 'map_value_or_null'
exit

== bad_array_changed_key
*(u32 *)(r10 -4) = 3
*(u8 *)(r10 -2) = 1
r1 = map[array] ll
r2 = r10
r2 += -4
call bpf_map_lookup_elem
r0 = *(u64 *)(r0 +8)             ; error: 'map_value_or_null'
exit

== percpu_const_key
*(u32 *)(r10 -4) = 3
r1 = map[percpu] ll
r2 = r10
r2 += -4
call bpf_map_lookup_elem
r0 = *(u64 *)(r0 +8)
exit

== ok_loop_idx
r6 = 0
r1 = map[data][0] ll
loop: r2 = r1
r2 += r6
r0 = *(u8 *)(r2 +0)
r6 += 1
if r6 < 32 goto loop
r0 = 0
exit

== bad_loop_idx
r6 = 0
r1 = map[data][0] ll
loop: r2 = r1
r2 += r6
r0 = *(u8 *)(r2 +0)              ; error: off=32
r6 += 1
if r6 < 33 goto loop
r0 = 0
exit

== loop_by_a_length
r1 = *(u64 *)(r1 +0)
r3 = *(u8 *)(r1 +0)
if r3 > 16 goto out
r6 = 0
loop: if r6 >= r3 goto out
r2 = r1
r2 += r6
r0 = *(u8 *)(r2 +0)
r6 += 1
goto loop
out: r0 = 0
exit

== loop_long
r6 = 0
r7 = 0
loop: r7 += r6
r6 += 1
if r6 < 1000000 goto loop
r0 = r7
exit

== loop_long_with_branches
r1 = *(u64 *)(r1 +0)
r6 = 0
loop: r2 = r6
r2 &= 15
r3 = r1
r3 += r2
r4 = *(u8 *)(r3 +0)
if r4 == 0 goto on
if r4 == 47 goto out
on: r6 += 1
if r6 < 100000 goto loop
out: r0 = 0
exit

== infinite
loop: goto loop                  ; error: infinite loop detected
exit

== infinite_with_a_way_out
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
loop: if r2 == 0 goto out        ; error: infinite loop detected
goto loop
out: r0 = 0
exit

== too_complex limit 1000
r1 = *(u64 *)(r1 +0)
r6 = 0
loop: r3 = *(u8 *)(r1 +0)        ; error: BPF program is too large. Processed 1000 insn
if r3 == 0 goto on
r6 += 2
on: r6 += 1
r4 = map[data][0] ll
r4 += r6
r6 += 0
if r6 != 100001 goto loop
r0 = 0
exit

== may_goto
r6 = 0
loop: may_goto out
r6 += 1
goto loop
out: r0 = r6
exit

== may_goto_index
r6 = 0
r1 = map[data][0] ll
loop: may_goto out
r2 = r1
r2 += r6
r0 = *(u8 *)(r2 +0)              ; error: invalid access to map_value
r6 += 1
goto loop
out: r0 = 0
exit

== may_goto_index_checked
r6 = 0
r1 = map[data][0] ll
loop: may_goto out
if r6 > 31 goto out
r2 = r1
r2 += r6
r0 = *(u8 *)(r2 +0)
r6 += 1
goto loop
out: r0 = 0
exit

== iterator
r1 = r10
r1 += -8
r2 = 0
r3 = 10
call bpf_iter_num_new
loop: r1 = r10
r1 += -8
call bpf_iter_num_next
if r0 == 0 goto out
r6 = *(u32 *)(r0 +0)
if r6 > 31 goto loop
r1 = map[data][0] ll
r1 += r6
r0 = *(u8 *)(r1 +0)
goto loop
out: r1 = r10
r1 += -8
call bpf_iter_num_destroy
r0 = 0
exit

== iterator_element_is_not_bounded
r1 = r10
r1 += -8
r2 = 0
r3 = 10
call bpf_iter_num_new
loop: r1 = r10
r1 += -8
call bpf_iter_num_next
if r0 == 0 goto out
r6 = *(u32 *)(r0 +0)
r1 = map[data][0] ll
r1 += r6                         ; error: unbounded min value
r0 = *(u8 *)(r1 +0)
goto loop
out: r1 = r10
r1 += -8
call bpf_iter_num_destroy
r0 = 0
exit

== iterator_element_is_read_only
r1 = r10
r1 += -8
r2 = 0
r3 = 10
call bpf_iter_num_new
r1 = r10
r1 += -8
call bpf_iter_num_next
if r0 == 0 goto out
*(u32 *)(r0 +0) = 1              ; error: read-only
out: r1 = r10
r1 += -8
call bpf_iter_num_destroy
r0 = 0
exit

== iterator_not_destroyed
r1 = r10
r1 += -8
r2 = 0
r3 = 10
call bpf_iter_num_new
r0 = 0
exit                             ; error: Unreleased reference

== iterator_destroyed_twice
r1 = r10
r1 += -8
r2 = 0
r3 = 10
call bpf_iter_num_new
r1 = r10
r1 += -8
call bpf_iter_num_destroy
r1 = r10
r1 += -8
call bpf_iter_num_destroy        ; error: expected an initialized iter_num
r0 = 0
exit

== iterator_used_after
r1 = r10
r1 += -8
r2 = 0
r3 = 10
call bpf_iter_num_new
r1 = r10
r1 += -8
call bpf_iter_num_destroy
r1 = r10
r1 += -8
call bpf_iter_num_next           ; error: expected an initialized iter_num
r0 = 0
exit

== iterator_uninitialised
r1 = r10
r1 += -8
call bpf_iter_num_next           ; error: expected an initialized iter_num
r0 = 0
exit

== iterator_overwritten
r1 = r10
r1 += -8
r2 = 0
r3 = 10
call bpf_iter_num_new
*(u32 *)(r10 -8) = 0             ; error: holds an iterator
r0 = 0
exit

== iterator_made_twice
r1 = r10
r1 += -8
r2 = 0
r3 = 10
call bpf_iter_num_new
r1 = r10
r1 += -8
r2 = 0
r3 = 10
call bpf_iter_num_new            ; error: holds an iterator
r0 = 0
exit

== iterator_state_changed_in_the_loop
*(u64 *)(r10 -16) = 0
r1 = r10
r1 += -8
r2 = 0
r3 = 10
call bpf_iter_num_new
loop: r1 = r10
r1 += -8
call bpf_iter_num_next
if r0 == 0 goto out
r1 = *(u64 *)(r10 -16)
r1 += 7
*(u64 *)(r10 -16) = r1
goto loop
out: r1 = r10
r1 += -8
call bpf_iter_num_destroy
r2 = *(u64 *)(r10 -16)
r1 = map[data][0] ll
r1 += r2
r0 = *(u8 *)(r1 +0)              ; error: map_value
exit

== loop_callback
r1 = 10
r2 = func body ll
r3 = 0
r4 = 0
call bpf_loop
r0 = 0
exit
body: r0 = 0
exit

== loop_callback_index
r1 = 32
r2 = func body ll
r3 = 0
r4 = 0
call bpf_loop
r0 = 0
exit
body: r3 = map[data][0] ll
r3 += r1
r0 = *(u8 *)(r3 +0)
r0 = 0
exit

== loop_callback_index_past
r1 = 33
r2 = func body ll
r3 = 0
r4 = 0
call bpf_loop
r0 = 0
exit
body: r3 = map[data][0] ll
r3 += r1
r0 = *(u8 *)(r3 +0)              ; error: off=0..32
r0 = 0
exit

== loop_callback_result
r1 = 10
r2 = func body ll
r3 = 0
r4 = 0
call bpf_loop
r0 = 0
exit
body: r0 = 2
exit                             ; error: should have been in [0, 1]

== loop_callback_negative_result
r1 = 10
r2 = func body ll
r3 = 0
r4 = 0
call bpf_loop
r0 = 0
exit
body: w0 = -1
exit                             ; error: should have been in [0, 1]

== loop_callback_no_result
r1 = 10
r2 = func body ll
r3 = 0
r4 = 0
call bpf_loop
r0 = 0
exit
body: exit                       ; error: R0 !read_ok

== loop_callback_is_no_function
r1 = 10
r2 = 0
r3 = 0
r4 = 0
call bpf_loop                    ; error: type=scalar expected=func
r0 = 0
exit

== loop_callback_changes_the_stack
*(u64 *)(r10 -8) = 0
r1 = 10
r2 = func body ll
r3 = r10
r3 += -8
r4 = 0
call bpf_loop
r2 = *(u64 *)(r10 -8)
r1 = map[data][0] ll
r1 += r2
r0 = *(u8 *)(r1 +0)              ; error: off=100
exit
body: *(u64 *)(r2 +0) = 100
r0 = 0
exit

== callback_verified_more_than_once
*(u64 *)(r10 -8) = 0
r1 = 100
r2 = func body ll
r3 = r10
r3 += -8
r4 = 0
call bpf_loop
r0 = 0
exit
body: r3 = *(u64 *)(r2 +0)
r4 = map[data][0] ll
r4 += r3
r0 = *(u8 *)(r4 +0)              ; error: map_value
r3 += 8
*(u64 *)(r2 +0) = r3
r0 = 0
exit

== callback_stores_its_stack
*(u64 *)(r10 -8) = 0
r1 = 10
r2 = func body ll
r3 = r10
r3 += -8
r4 = 0
call bpf_loop
r0 = 0
exit
body: *(u64 *)(r2 +0) = r10      ; error: cannot spill pointers to stack
r0 = 0
exit

== callback_leaks_a_record
r1 = 10
r2 = func body ll
r3 = 0
r4 = 0
call bpf_loop
r0 = 0
exit                             ; error: Unreleased reference
body: r1 = map[ring] ll
r2 = 16
r3 = 0
call bpf_ringbuf_reserve
r0 = 0
exit

== callback_releases_the_callers_record
r1 = map[ring] ll
r2 = 16
r3 = 0
call bpf_ringbuf_reserve
if r0 == 0 goto out
*(u64 *)(r10 -8) = r0
r1 = 10
r2 = func body ll
r3 = r10
r3 += -8
r4 = 0
call bpf_loop
out: r0 = 0
exit                             ; error: Unreleased reference
body: r1 = *(u64 *)(r2 +0)
r2 = 0
call bpf_ringbuf_submit
r0 = 1
exit

== for_each
r1 = map[hash] ll
r2 = func body ll
r3 = 0
r4 = 0
call bpf_for_each_map_elem
r0 = 0
exit
body: r0 = *(u64 *)(r2 +0)
*(u64 *)(r3 +8) = r0
r0 = 0
exit

== for_each_key_past
r1 = map[hash] ll
r2 = func body ll
r3 = 0
r4 = 0
call bpf_for_each_map_elem
r0 = 0
exit
body: r0 = *(u64 *)(r2 +1)       ; error: invalid access to map_key, size=8 off=1
r0 = 0
exit

== for_each_key_is_read_only
r1 = map[hash] ll
r2 = func body ll
r3 = 0
r4 = 0
call bpf_for_each_map_elem
r0 = 0
exit
body: *(u8 *)(r2 +0) = 1         ; error: write into map_key is not allowed
r0 = 0
exit

== for_each_value_past
r1 = map[hash] ll
r2 = func body ll
r3 = 0
r4 = 0
call bpf_for_each_map_elem
r0 = 0
exit
body: r0 = *(u8 *)(r3 +16)       ; error: invalid access to map_value
r0 = 0
exit

== for_each_of_a_trie
r1 = map[lpm] ll
r2 = func body ll
r3 = 0
r4 = 0
call bpf_for_each_map_elem       ; error: is a map of type BPF_MAP_TYPE_LPM_TRIE
r0 = 0
exit
body: r0 = 0
exit

== callbacks_nested
r1 = 1000
r2 = func outer ll
r3 = 0
r4 = 0
call bpf_loop
r0 = 0
exit
outer: r1 = 1000
r2 = func body ll
r3 = 0
r4 = 0
call bpf_loop
r0 = 0
exit
body: r0 = 0
exit

== callback_calls_itself
r1 = 10
r2 = func body ll
r3 = 0
r4 = 0
call bpf_loop
r0 = 0
exit
body: r1 = 10
r2 = func body ll
r3 = 0
r4 = 0
call bpf_loop                    ; error: too deep
r0 = 0
exit

== poison_reached
call bpf_ktime_get_ns            ; poison ; error: call of weak kfunc `absent`
exit

== poison_on_one_path
r1 = *(u64 *)(r1 +0)
r0 = *(u8 *)(r1 +0)
if r0 == 0 goto out
call bpf_ktime_get_ns            ; poison ; error: call of weak kfunc `absent`
out: exit

== poison_not_reached
r0 = 0
if r0 == 0 goto out
call bpf_ktime_get_ns            ; poison
out: exit

== unreachable_garbage
r0 = 0
exit
r0 = *(u64 *)(r9 +1000)
call 9999
exit

== dead_by_a_constant
r1 = map[rodata][0] ll
r2 = *(u32 *)(r1 +4)
if r2 == 5 goto out
r0 = *(u64 *)(r9 +1000)
exit
out: r0 = 0
exit

== jump_table
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r2 &= 1
r2 <<= 3
r1 = map[table][0] ll
r1 += r2
r1 = *(u64 *)(r1 +0)
gotox r1
r0 = 1                           ; target
exit
r0 = 2                           ; target
exit

== jump_table_of_a_pointer
gotox r10                        ; error: R10 of an indirect jump is not an address
r0 = 1                           ; target
exit

== jump_table_elsewhere
r1 = 77
gotox r1                         ; error: R1 of an indirect jump
r0 = 1                           ; target
exit

== cve_2023_2163_precision
r1 = *(u64 *)(r1 +0)
r6 = *(u64 *)(r1 +0)
r7 = *(u64 *)(r1 +8)
r8 = 0
r9 = 0x80000000 ll
r6 %= 1025
r8 += 1
if r6 <= r9 goto a
r8 = 200
a: if r7 > 4 goto b
r8 = 100
b: if r7 == 3 goto c
r8 -= 1
c: r0 = 0
r0 += 0
r0 += 0
r0 += 0
r0 += 0
r0 += 0
r1 = map[data][0] ll
r1 += r8
r0 = *(u8 *)(r1 +0)              ; error: invalid access to map_value
r0 = 0
exit

== chosen_by_the_sign
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
r2 s>>= 63
r2 &= 1000
r0 = 0
r0 += r2
if r0 > 15 goto out
r1 += r2
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== chosen_by_the_sign_in_32_bits
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
w2 s>>= 31
w2 &= 1000
w0 = 0
w0 += w2
if w0 > 15 goto out
r1 += r2
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== the_other_choice_is_walked_too
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
r2 s>>= 63
r2 |= 16
if r2 != 16 goto out
r1 += r2
r0 = *(u8 *)(r1 +0)              ; error: off=16
out: r0 = 0
exit
