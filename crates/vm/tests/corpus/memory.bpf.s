// Loads, stores and atomics.

== unset_register
r0 = r7                          ; error: R7 !read_ok
exit

== unset_result
exit                             ; error: R0 !read_ok

== raw_memory memory 16
r0 = *(u64 *)(r1 +8)
*(u8 *)(r1 +15) = 1
exit

== raw_memory_past_the_end memory 16
r0 = *(u64 *)(r1 +9)             ; error: invalid access to mem, size=16 off=9 len=8
exit

== raw_memory_before memory 16
r0 = *(u8 *)(r1 -1)              ; error: invalid access to mem, size=16 off=-1 len=1
exit

== raw_memory_empty memory 0
r0 = *(u8 *)(r1 +0)              ; error: invalid access to mem, size=0
exit

== raw_memory_by_its_length memory 16
r3 = r1
r3 += r2
r0 = *(u8 *)(r3 -1)
exit

== stack_whole
*(u64 *)(r10 -512) = 1
*(u8 *)(r10 -1) = 1
r0 = *(u64 *)(r10 -512)
exit

== stack_above
r0 = *(u8 *)(r10 +0)             ; error: invalid access to fp
exit

== stack_below
*(u8 *)(r10 -513) = 0            ; error: invalid access to fp, size=512 off=-513
r0 = 0
exit

== stack_straddles_the_end
*(u64 *)(r10 -4) = 0             ; error: invalid access to fp
r0 = 0
exit

== stack_never_written_is_zero
r1 = *(u64 *)(r10 -64)
r2 = map[data][0] ll
r2 += r1
r0 = *(u8 *)(r2 +31)
exit

== value_whole
r1 = map[data][0] ll
r0 = *(u64 *)(r1 +24)
*(u64 *)(r1 +24) = r0
exit

== value_past
r1 = map[data][0] ll
r0 = *(u64 *)(r1 +25)            ; error: invalid access to map_value, size=32 off=25 len=8
exit

== value_before
r1 = map[data][8] ll
r0 = *(u64 *)(r1 -16)            ; error: invalid access to map_value, size=32 off=-8
exit

== value_offset_in_the_load
r1 = map[data][31] ll
r0 = *(u8 *)(r1 +0)
exit

== rodata_load
r1 = map[rodata][0] ll
r0 = *(u64 *)(r1 +0)
exit

== rodata_constant_is_known
r1 = map[rodata][0] ll
r2 = *(u32 *)(r1 +4)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +26)
exit

== rodata_constant_is_known_and_too_large
r1 = map[rodata][0] ll
r2 = *(u32 *)(r1 +4)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +27)             ; error: off=32
exit

== rodata_store
r1 = map[rodata][0] ll
*(u8 *)(r1 +0) = 1               ; error: read-only
r0 = 0
exit

== data_is_not_known
r1 = map[data][0] ll
*(u32 *)(r1 +0) = 1
r2 = *(u32 *)(r1 +0)
r1 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r1 +0)
exit

== const_struct_load
r1 = *(u64 *)(r1 +0)
r0 = *(u64 *)(r1 +8)
exit

== const_struct_store
r1 = *(u64 *)(r1 +0)
*(u8 *)(r1 +0) = 1               ; error: write into const struct in is not allowed
r0 = 0
exit

== const_struct_past
r1 = *(u64 *)(r1 +0)
r0 = *(u32 *)(r1 +13)            ; error: invalid access to in, size=16 off=13 len=4
exit

== mutable_struct
r1 = *(u64 *)(r1 +8)
*(u64 *)(r1 +8) = 1
r0 = *(u64 *)(r1 +8)
exit

== mutable_struct_past
r1 = *(u64 *)(r1 +8)
*(u64 *)(r1 +16) = 1             ; error: invalid access to out
r0 = 0
exit

== mutable_struct_before
r1 = *(u64 *)(r1 +8)
r0 = *(u8 *)(r1 -1)              ; error: invalid access to out
exit

== opaque_load
r1 = *(u64 *)(r1 +16)
r0 = *(u8 *)(r1 +0)              ; error: direct access to buffer is disallowed
exit

== opaque_store
r1 = *(u64 *)(r1 +24)
*(u8 *)(r1 +0) = 0               ; error: direct access to const_buffer is disallowed
r0 = 0
exit

== opaque_arithmetic
r1 = *(u64 *)(r1 +16)
r1 += 8                          ; error: pointer arithmetic with a handle
r0 = 0
exit

== context_narrow
r0 = *(u32 *)(r1 +0)             ; error: invalid bpf_context access off=0 size=4
exit

== context_odd
r0 = *(u64 *)(r1 +4)             ; error: invalid bpf_context access off=4 size=8
exit

== context_past
r0 = *(u64 *)(r1 +32)            ; error: invalid bpf_context access off=32
exit

== context_before
r0 = *(u64 *)(r1 -8)             ; error: invalid bpf_context access off=-8
exit

== context_store
*(u64 *)(r1 +0) = 0              ; error: write into the context is not allowed
r0 = 0
exit

== context_signed
r0 = *(s32 *)(r1 +0)             ; error: invalid bpf_context access
exit

== context_moved
r1 += 8
r1 = *(u64 *)(r1 +0)
r0 = *(u8 *)(r1 +0)
exit

== scalar_is_no_address
r1 = 4096
r0 = *(u8 *)(r1 +0)              ; error: R1 invalid mem access 'scalar'
exit

== null_is_no_address
r1 = 0
r0 = *(u8 *)(r1 +0)              ; error: R1 invalid mem access 'scalar'
exit

== map_is_no_memory
r1 = map[hash] ll
r0 = *(u8 *)(r1 +0)              ; error: R1 invalid mem access 'map_ptr'
exit

== function_is_no_memory
r1 = func f ll
r0 = *(u8 *)(r1 +0)              ; error: R1 invalid mem access 'func'
exit
f: r0 = 0
exit

== map_store
r1 = map[hash] ll
*(u8 *)(r1 +0) = 0               ; error: R1 invalid mem access 'map_ptr'
r0 = 0
exit

== variable_offset_masked
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r2 &= 15
r1 += r2
r0 = *(u8 *)(r1 +0)
exit

== variable_offset_one_too_far
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r2 &= 15
r1 += r2
r0 = *(u16 *)(r1 +0)             ; error: invalid access to in, size=16 off=0..15 len=2
exit

== variable_offset_unbounded
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
r1 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r1 +0)
exit

== variable_offset_may_be_negative
r1 = *(u64 *)(r1 +0)
r2 = *(s8 *)(r1 +0)
if r2 s> 8 goto out
r1 += r2
r0 = *(u8 *)(r1 +0)              ; error: invalid access to in
out: r0 = 0
exit

== variable_offset_both_signs_bounded
r1 = *(u64 *)(r1 +0)
r2 = *(s8 *)(r1 +0)
if r2 s> 8 goto out
if r2 s< 0 goto out
r1 += r2
r0 = *(u8 *)(r1 +7)
out: r0 = 0
exit

== variable_stack_load
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r2 &= 7
r3 = r10
r3 += r2
r0 = *(u8 *)(r3 -8)
exit

== variable_stack_out
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r2 &= 15
r3 = r10
r3 += r2
r0 = *(u8 *)(r3 -8)              ; error: invalid access to fp
exit

== variable_stack_store_forgets
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r2 &= 8
*(u64 *)(r10 -16) = 0
*(u64 *)(r10 -8) = 0
r3 = r10
r3 += r2
*(u64 *)(r3 -16) = 100
r4 = *(u64 *)(r10 -8)
r5 = map[data][0] ll
r5 += r4                         ; error: unbounded min value
r0 = *(u8 *)(r5 +0)
exit

== variable_stack_store_over_a_pointer
*(u64 *)(r10 -16) = r1
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r2 &= 8
r3 = r10
r3 += r2
*(u64 *)(r3 -16) = 100           ; error: corrupted spill memory
r0 = 0
exit

== spill_and_fill
*(u64 *)(r10 -8) = r1
r2 = *(u64 *)(r10 -8)
r2 = *(u64 *)(r2 +0)
r0 = *(u8 *)(r2 +0)
exit

== spill_of_part
*(u32 *)(r10 -8) = r1            ; error: R1 leaks addr into the stack
r0 = 0
exit

== spill_unaligned
*(u64 *)(r10 -12) = r1           ; error: R1 leaks addr into the stack
r0 = 0
exit

== fill_of_part
*(u64 *)(r10 -8) = r1
r0 = *(u32 *)(r10 -8)            ; error: part of a pointer at off -8
exit

== fill_of_a_byte
*(u64 *)(r10 -8) = r10
r0 = *(u8 *)(r10 -3)             ; error: part of a pointer
exit

== fill_across_a_pointer
*(u64 *)(r10 -8) = r10
r0 = *(u64 *)(r10 -12)           ; error: part of a pointer
exit

== fill_signed
*(u64 *)(r10 -8) = r10
r0 = *(s32 *)(r10 -8)            ; error: part of a pointer
exit

== byte_over_a_pointer
*(u64 *)(r10 -8) = r10
*(u8 *)(r10 -8) = 0              ; error: part of a pointer
r0 = *(u64 *)(r10 -8)
exit

== whole_over_a_pointer
*(u64 *)(r10 -8) = r10
*(u64 *)(r10 -8) = 0
r0 = *(u64 *)(r10 -8)
exit

== spilled_number_is_known
r1 = 5
*(u64 *)(r10 -8) = r1
r2 = *(u8 *)(r10 -8)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +26)
exit

== spilled_number_high_byte
r1 = 0x0500 ll
*(u64 *)(r10 -8) = r1
r2 = *(u8 *)(r10 -7)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +27)             ; error: off=32
exit

== spilled_number_byte_changed
r1 = 5
*(u64 *)(r10 -8) = r1
*(u8 *)(r10 -8) = 200
r2 = *(u64 *)(r10 -8)
r3 = map[data][0] ll
r3 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r3 +0)
exit

== spilled_half_keeps_the_other
*(u32 *)(r10 -8) = 3
*(u32 *)(r10 -4) = 7
r2 = *(u32 *)(r10 -8)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +28)
exit

== spilled_halves_make_one
*(u32 *)(r10 -8) = 3
*(u32 *)(r10 -4) = 1
r2 = *(u64 *)(r10 -8)
r3 = map[data][0] ll
r3 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r3 +0)
exit

== atomic_value
r1 = map[data][0] ll
r2 = 1
lock *(u64 *)(r1 +0) += r2
r2 = atomic_fetch_or((u64 *)(r1 +8), r2)
r0 = 0
r0 = cmpxchg_64(r1 +16, r0, r2)
exit

== atomic_past
r1 = map[data][0] ll
r2 = 1
lock *(u64 *)(r1 +32) += r2      ; error: invalid access to map_value
r0 = 0
exit

== atomic_misaligned
r1 = map[data][0] ll
r2 = 1
lock *(u64 *)(r1 +4) += r2       ; error: BPF_ATOMIC on R1: misaligned
r0 = 0
exit

== atomic_aligned_by_its_bits
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r2 &= 24
r1 = map[data][0] ll
r1 += r2
r3 = 1
lock *(u64 *)(r1 +0) += r3
r0 = 0
exit

== atomic_misaligned_by_its_bits
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r2 &= 28
r1 = map[data][0] ll
r1 += r2
r3 = 1
lock *(u32 *)(r1 +0) += r3
r2 = 1
lock *(u64 *)(r1 +0) += r3       ; error: invalid access to map_value
r0 = 0
exit

== atomic_of_a_pointer
r1 = map[data][0] ll
lock *(u64 *)(r1 +0) += r10      ; error: R10 leaks addr into an atomic operation
r0 = 0
exit

== atomic_compares_a_pointer
r1 = map[data][0] ll
r0 = r10
r2 = 0
r0 = cmpxchg_64(r1 +0, r0, r2)   ; error: R0 leaks addr into an atomic operation
exit

== atomic_unset
r1 = map[data][0] ll
lock *(u64 *)(r1 +0) += r7       ; error: R7 !read_ok
r0 = 0
exit

== atomic_context
r2 = 1
lock *(u64 *)(r1 +0) += r2       ; error: BPF_ATOMIC on R1: not memory for atomics
r0 = 0
exit

== atomic_on_a_const_struct
r1 = *(u64 *)(r1 +0)
r2 = 1
lock *(u64 *)(r1 +0) += r2       ; error: read-only
r0 = 0
exit

== atomic_stack_forgets
*(u64 *)(r10 -8) = 0
r2 = 100
lock *(u64 *)(r10 -8) += r2
r2 = *(u64 *)(r10 -8)
r3 = map[data][0] ll
r3 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r3 +0)
exit

== atomic_result_is_what_was_there
*(u64 *)(r10 -8) = 5
r2 = 1
r2 = atomic_fetch_add((u64 *)(r10 -8), r2)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +26)
exit

== atomic_result_is_unknown
*(u64 *)(r10 -8) = 0
r2 = 1
r2 = atomic_fetch_add((u64 *)(r10 -8), r2)
r2 = atomic_fetch_add((u64 *)(r10 -8), r2)
r3 = map[data][0] ll
r3 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r3 +0)
exit

== load_acquire
r1 = map[data][0] ll
r0 = load_acquire((u64 *)(r1 +8))
store_release((u64 *)(r1 +0), r0)
exit

== load_acquire_past
r1 = map[data][0] ll
r0 = load_acquire((u64 *)(r1 +32)) ; error: invalid access to map_value
exit

== load_acquire_of_a_pointer
*(u64 *)(r10 -8) = r10
r0 = load_acquire((u64 *)(r10 -8)) ; error: leaks addr
exit

== store_release_of_a_pointer
r1 = map[data][0] ll
store_release((u64 *)(r1 +0), r10) ; error: R10 leaks addr
r0 = 0
exit

== leak_return
r0 = r10
exit                             ; error: cannot return stack pointer

== leak_return_of_a_map
r0 = map[hash] ll
exit                             ; error: R0 leaks addr into the return value

== leak_store_in_a_map
r1 = map[data][0] ll
*(u64 *)(r1 +0) = r10            ; error: R10 leaks addr into memory others can read
r0 = 0
exit

== leak_store_in_an_argument
r2 = *(u64 *)(r1 +8)
*(u64 *)(r2 +0) = r1             ; error: R1 leaks addr
r0 = 0
exit

== leak_by_32_bits
w0 = w10                         ; error: R10 pointer arithmetic with a move of 32 bits
exit

== leak_by_sign_extension
r0 = (s32)r10                    ; error: R10 pointer arithmetic
exit

== leak_by_and
r0 = r10
r0 &= -8                         ; error: an operator other than addition and subtraction
exit

== leak_by_negation
r0 = r10
r0 = -r0                         ; error: negation and byte order
exit

== leak_by_byte_order
r0 = r10
r0 = be64 r0                     ; error: negation and byte order
exit

== leak_by_xor_of_two
r0 = r10
r0 ^= r10                        ; error: pointer arithmetic with another pointer
exit

== leak_by_difference
r0 = r10
r0 -= r1                         ; error: pointer arithmetic with another pointer
exit

== leak_by_number_less_pointer
r0 = 0
r0 -= r10                        ; error: pointer arithmetic
exit

== leak_32_bit_addition
r0 = r10
w0 += 8                          ; error: pointer arithmetic with 32 bits
exit

== difference_in_one_frame
r0 = r10
r1 = r10
r1 += -24
r0 -= r1
r2 = map[data][0] ll
r2 += r0
r0 = *(u8 *)(r2 +7)
exit

== leak_through_a_helper
*(u64 *)(r10 -8) = r10
r1 = map[hash] ll
r2 = r10
r2 += -8
call bpf_map_lookup_elem         ; error: R2 leaks addr into a call that reads the stack
r0 = 0
exit

== zero_at_a_variable_offset_leaves_zeros
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r2 &= 7
r3 = r10
r3 += r2
*(u8 *)(r3 -8) = 0
r4 = *(u64 *)(r10 -8)
r1 += r4
r0 = *(u8 *)(r1 +15)
exit

== one_at_a_variable_offset_does_not
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r2 &= 7
r3 = r10
r3 += r2
*(u8 *)(r3 -8) = 1
r4 = *(u64 *)(r10 -8)
r1 += r4                         ; error: unbounded min value
r0 = *(u8 *)(r1 +15)
exit

== two_bytes_stored_and_checked
r1 = *(u64 *)(r1 +0)
r2 = *(u16 *)(r1 +0)
*(u16 *)(r10 -8) = r2
if r2 > 15 goto out
r3 = *(u16 *)(r10 -8)
r1 += r3
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== bytes_beside_stored_ones_are_others
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r4 = *(u8 *)(r1 +1)
*(u8 *)(r10 -4) = r2
*(u8 *)(r10 -3) = r4
if r2 > 15 goto out
r3 = *(u8 *)(r10 -4)
r5 = r1
r5 += r3
r0 = *(u8 *)(r5 +0)
r3 = *(u16 *)(r10 -4)
r1 += r3
r0 = *(u8 *)(r1 +0)              ; error: off=0..65535
out: r0 = 0
exit

== bytes_above_stored_ones_are_zero
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
*(u64 *)(r10 -8) = 0
*(u8 *)(r10 -8) = r2
if r2 > 15 goto out
r3 = *(u64 *)(r10 -8)
r5 = r1
r5 += r3
r0 = *(u8 *)(r5 +0)
r3 = *(u32 *)(r10 -8)
r1 += r3
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== stored_bytes_written_over
r1 = *(u64 *)(r1 +0)
r2 = *(u16 *)(r1 +0)
r4 = *(u8 *)(r1 +2)
*(u16 *)(r10 -8) = r2
if r2 > 15 goto out
*(u8 *)(r10 -7) = r4
r3 = *(u16 *)(r10 -8)
r1 += r3
r0 = *(u8 *)(r1 +0)              ; error: off=0..65535
out: r0 = 0
exit

== stored_bytes_cut_off
r1 = *(u64 *)(r1 +0)
r2 = *(u32 *)(r1 +0)
*(u16 *)(r10 -8) = r2
if r2 > 15 goto out
r3 = *(u16 *)(r10 -8)
r1 += r3
r0 = *(u8 *)(r1 +0)              ; error: off=0..65535
out: r0 = 0
exit

== stored_constant_bytes
r1 = *(u64 *)(r1 +0)
*(u8 *)(r10 -8) = 15
*(u16 *)(r10 -4) = 7
r3 = *(u8 *)(r10 -8)
r4 = *(u16 *)(r10 -4)
r5 = r1
r5 += r3
r0 = *(u8 *)(r5 +0)
r1 += r4
r0 = *(u8 *)(r1 +0)
r3 = *(u32 *)(r10 -4)
if r3 != 7 goto bad
r0 = 0
exit
bad: r0 = *(u64 *)(r10 +8)
exit

== lower_half_of_a_spilled_number_that_was_checked
r6 = *(u64 *)(r1 +0)
r1 = *(u64 *)(r6 +0)
if r1 > 20 goto on
r0 = 0
exit
on: *(u64 *)(r10 -32) = r1
if w1 > 15 goto out
r3 = *(u32 *)(r10 -32)
r6 += r3
r0 = *(u8 *)(r6 +0)
out: r0 = 0
exit

== bytes_of_constants_stored_one_by_one memory 64
*(u32 *)(r10 -8) = 0
*(u8 *)(r10 -8) = 5
*(u8 *)(r10 -7) = 0
*(u16 *)(r10 -6) = 0
*(u8 *)(r10 -6) = 1
*(u8 *)(r10 -6) = 0
r2 = *(u32 *)(r10 -8)
*(u32 *)(r10 -12) = 0x01010101
*(u8 *)(r10 -11) = 0
*(u16 *)(r10 -10) = 0
r3 = *(u32 *)(r10 -12)
r2 += r3
r2 -= 6
r1 += r2
r0 = *(u64 *)(r1 +56)
r1 += 1
r0 = *(u64 *)(r1 +56)            ; error: invalid access to mem
exit

== byte_stored_over_another_is_not_known_by_both memory 64
r6 = r1
*(u32 *)(r10 -8) = 0
call bpf_get_prandom_u32
*(u8 *)(r10 -7) = 1
if r0 == 0 goto a
*(u8 *)(r10 -7) = 2
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
a: r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r0 == 1 goto b
r3 = 0
b: r2 = *(u32 *)(r10 -8)
r2 >>= 8
r2 += r6
r0 = *(u64 *)(r2 +55)            ; error: invalid access to mem
exit
