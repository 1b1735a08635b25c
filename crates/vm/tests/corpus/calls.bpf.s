// Helpers, kfuncs, functions and what they acquire.

== lookup
*(u64 *)(r10 -8) = 0
r1 = map[hash] ll
r2 = r10
r2 += -8
call bpf_map_lookup_elem
if r0 == 0 goto out
r0 = *(u64 *)(r0 +8)
out: r0 = 0
exit

== lookup_unchecked
*(u64 *)(r10 -8) = 0
r1 = map[hash] ll
r2 = r10
r2 += -8
call bpf_map_lookup_elem
r0 = *(u64 *)(r0 +0)             ; error: R0 invalid mem access 'map_value_or_null'
exit

== lookup_checked_the_wrong_way
*(u64 *)(r10 -8) = 0
r1 = map[hash] ll
r2 = r10
r2 += -8
call bpf_map_lookup_elem
if r0 != 0 goto out
r0 = *(u64 *)(r0 +0)             ; error: R0 invalid mem access 'scalar'
out: r0 = 0
exit

== lookup_copy_is_checked_too
*(u64 *)(r10 -8) = 0
r1 = map[hash] ll
r2 = r10
r2 += -8
call bpf_map_lookup_elem
r6 = r0
*(u64 *)(r10 -16) = r0
if r0 == 0 goto out
r0 = *(u64 *)(r6 +0)
r7 = *(u64 *)(r10 -16)
*(u64 *)(r7 +8) = 1
out: r0 = 0
exit

== lookup_another_is_not
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
if r6 == 0 goto out
r0 = *(u64 *)(r0 +0)             ; error: 'map_value_or_null'
out: r0 = 0
exit

== lookup_key_too_short
r1 = map[hash] ll
r2 = r10
r2 += -4
call bpf_map_lookup_elem         ; error: invalid access to fp, size=512 off=-4 len=8
r0 = 0
exit

== lookup_key_in_a_value
r1 = map[hash] ll
r2 = map[data][24] ll
call bpf_map_lookup_elem
r0 = 0
exit

== lookup_key_past_a_value
r1 = map[hash] ll
r2 = map[data][28] ll
call bpf_map_lookup_elem         ; error: invalid access to map_value
r0 = 0
exit

== lookup_without_a_map
r1 = 0
r2 = r10
r2 += -8
call bpf_map_lookup_elem         ; error: R1 type=scalar expected=map_ptr
r0 = 0
exit

== lookup_in_a_ring
r1 = map[ring] ll
r2 = r10
r2 += -8
call bpf_map_lookup_elem         ; error: is a map of type BPF_MAP_TYPE_RINGBUF
r0 = 0
exit

== lookup_key_is_a_number
r1 = map[hash] ll
r2 = 8
call bpf_map_lookup_elem         ; error: R2 invalid mem access 'scalar'
r0 = 0
exit

== update
*(u64 *)(r10 -8) = 0
*(u64 *)(r10 -24) = 1
*(u64 *)(r10 -16) = 1
r1 = map[hash] ll
r2 = r10
r2 += -8
r3 = r10
r3 += -24
r4 = 0
call bpf_map_update_elem
exit

== update_value_too_short
*(u64 *)(r10 -8) = 0
r1 = map[hash] ll
r2 = r10
r2 += -8
r3 = r10
r3 += -8
r4 = 0
call bpf_map_update_elem         ; error: invalid access to fp, size=512 off=-8 len=16
exit

== update_flags_are_a_pointer
r1 = map[hash] ll
r2 = r10
r2 += -8
r3 = r10
r3 += -24
r4 = r10
call bpf_map_update_elem         ; error: R4 type=fp expected=scalar
exit

== update_unset_argument
r1 = map[hash] ll
r2 = r10
r2 += -8
r3 = r10
r3 += -24
call bpf_map_update_elem         ; error: R4 !read_ok
exit

== registers_after_a_call
r1 = 1
call bpf_ktime_get_ns
r0 = r1                          ; error: R1 !read_ok
exit

== registers_kept_by_a_call
r6 = 1
call bpf_ktime_get_ns
r0 = r6
exit

== unknown_helper
call 9999                        ; error: unknown func 9999
exit

== sleeping_where_it_may_not
call nap                         ; error: sleepable
r0 = 0
exit

== sleeping_where_it_may sleepable
call nap
r0 = 0
exit

== queue
r1 = map[queue] ll
r2 = r10
r2 += -16
call bpf_map_pop_elem
r1 = map[queue] ll
r2 = map[rodata][0] ll
r3 = 0
call bpf_map_push_elem
r0 = *(u64 *)(r10 -16)
exit

== queue_into_read_only
r1 = map[queue] ll
r2 = map[rodata][0] ll
call bpf_map_pop_elem            ; error: read-only
r0 = 0
exit

== bloom_asks_read_only
r1 = map[bloom] ll
r2 = map[rodata][0] ll
call bpf_map_peek_elem
r0 = 0
exit

== storage_without_a_value
r1 = map[storage] ll
r3 = 0
r4 = 1
call bpf_inode_storage_get
if r0 == 0 goto out
r0 = *(u64 *)(r0 +8)
out: r0 = 0
exit

== storage_with_a_number
r1 = map[storage] ll
r3 = 1
r4 = 1
call bpf_inode_storage_get       ; error: R3 invalid mem access 'scalar'
r0 = 0
exit

== comm
r1 = r10
r1 += -16
r2 = 16
call bpf_get_current_comm
r0 = *(u64 *)(r10 -16)
exit

== comm_length_too_large
r1 = r10
r1 += -16
r2 = 17
call bpf_get_current_comm        ; error: invalid access to fp, size=512 off=-16 len=17
r0 = 0
exit

== length_masked
r6 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r6 +0)
r2 &= 15
r1 = r10
r1 += -16
call bpf_get_current_comm
r0 = 0
exit

== length_may_be_negative
r6 = *(u64 *)(r1 +0)
r2 = *(s32 *)(r6 +0)
if r2 s> 16 goto out
r1 = r10
r1 += -16
call bpf_get_current_comm        ; error: may be negative
out: r0 = 0
exit

== length_unbounded
r6 = *(u64 *)(r1 +0)
r2 = *(u32 *)(r6 +0)
r1 = r10
r1 += -16
call bpf_get_current_comm        ; error: unbounded memory access
r0 = 0
exit

== length_is_a_pointer
r2 = r1
r1 = r10
r1 += -16
call bpf_get_current_comm        ; error: R2 type=ctx expected=scalar
r0 = 0
exit

== call_writes_a_const_struct
r1 = *(u64 *)(r1 +0)
r2 = 16
call bpf_get_current_comm        ; error: read-only
r0 = 0
exit

== call_writes_a_mutable_struct
r1 = *(u64 *)(r1 +8)
r2 = 16
call bpf_get_current_comm
r0 = 0
exit

== call_reads_the_context
r2 = 8
r3 = 0
r4 = r10
r4 += -8
call bpf_strtol                  ; error: R1 invalid mem access 'ctx'
r0 = 0
exit

== fixed_result_too_near_the_end
r1 = map[rodata][0] ll
r2 = 4
r3 = 0
r4 = r10
r4 += -4
call bpf_strtol                  ; error: invalid access to fp, size=512 off=-4 len=8
r0 = 0
exit

== snprintf
r1 = r10
r1 += -16
r2 = 16
r3 = map[rodata][0] ll
r4 = r10
r4 += -24
r5 = 8
call bpf_snprintf
r0 = 0
exit

== snprintf_into_nothing
r1 = 0
r2 = 0
r3 = map[rodata][0] ll
r4 = 0
r5 = 0
call bpf_snprintf
r0 = 0
exit

== string_not_constant
r1 = 0
r2 = 0
r3 = map[data][0] ll
r4 = 0
r5 = 0
call bpf_snprintf                ; error: is not a string in a read-only map
r0 = 0
exit

== string_without_an_end
r1 = 0
r2 = 0
r3 = map[rodata][8] ll
r4 = 0
r5 = 0
call bpf_snprintf                ; error: is not a NUL-terminated string
r0 = 0
exit

== string_on_the_stack
r1 = 0
r2 = 0
r3 = r10
r3 += -8
r4 = 0
r5 = 0
call bpf_snprintf                ; error: type=fp expected=a constant string
r0 = 0
exit

== record_submitted
r1 = map[ring] ll
r2 = 16
r3 = 0
call bpf_ringbuf_reserve
if r0 == 0 goto out
*(u64 *)(r0 +8) = 1
r1 = r0
r2 = 0
call bpf_ringbuf_submit
out: r0 = 0
exit

== record_leaked
r1 = map[ring] ll
r2 = 16
r3 = 0
call bpf_ringbuf_reserve
r0 = 0
exit                             ; error: Unreleased reference

== record_leaked_on_one_path
r6 = *(u64 *)(r1 +0)
r1 = map[ring] ll
r2 = 16
r3 = 0
call bpf_ringbuf_reserve
if r0 == 0 goto out
r1 = r0
r2 = *(u8 *)(r6 +0)
if r2 == 7 goto out
r2 = 0
call bpf_ringbuf_discard
out: r0 = 0
exit                             ; error: Unreleased reference

== record_twice
r1 = map[ring] ll
r2 = 16
r3 = 0
call bpf_ringbuf_reserve
if r0 == 0 goto out
r6 = r0
r1 = r0
r2 = 0
call bpf_ringbuf_submit
r1 = r6                          ; error: R6 !read_ok
r2 = 0
call bpf_ringbuf_submit
out: r0 = 0
exit

== record_used_after
r1 = map[ring] ll
r2 = 16
r3 = 0
call bpf_ringbuf_reserve
if r0 == 0 goto out
r6 = r0
r1 = r0
r2 = 0
call bpf_ringbuf_submit
r0 = *(u8 *)(r6 +0)              ; error: R6 !read_ok
out: r0 = 0
exit

== record_used_after_from_the_stack
r1 = map[ring] ll
r2 = 16
r3 = 0
call bpf_ringbuf_reserve
if r0 == 0 goto out
*(u64 *)(r10 -8) = r0
r1 = r0
r2 = 0
call bpf_ringbuf_submit
r1 = *(u64 *)(r10 -8)
r0 = *(u8 *)(r1 +0)              ; error: R1
out: r0 = 0
exit

== record_unchecked
r1 = map[ring] ll
r2 = 16
r3 = 0
call bpf_ringbuf_reserve
r1 = r0
r2 = 0
call bpf_ringbuf_submit          ; error: type=ringbuf_mem_or_null expected=ringbuf_mem
r0 = 0
exit

== record_of_unknown_size
r6 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r6 +0)
r1 = map[ring] ll
r3 = 0
call bpf_ringbuf_reserve         ; error: is not a known constant
r0 = 0
exit

== record_past
r1 = map[ring] ll
r2 = 16
r3 = 0
call bpf_ringbuf_reserve
if r0 == 0 goto out
*(u64 *)(r0 +9) = 1              ; error: invalid access to ringbuf_mem, size=16 off=9
out: r0 = 0
exit

== record_is_not_a_value
r1 = map[data][0] ll
r2 = 0
call bpf_ringbuf_submit          ; error: type=map_value expected=ringbuf_mem
r0 = 0
exit

== tail_call
r2 = map[progs] ll
r3 = 0
call bpf_tail_call
r0 = 0
exit

== tail_call_of_no_context
r1 = r10
r2 = map[progs] ll
r3 = 0
call bpf_tail_call               ; error: type=fp expected=ctx
r0 = 0
exit

== tail_call_of_a_moved_context
r1 += 8
r2 = map[progs] ll
r3 = 0
call bpf_tail_call               ; error: expected=ctx
r0 = 0
exit

== tail_call_with_a_record
r6 = r1
r1 = map[ring] ll
r2 = 16
r3 = 0
call bpf_ringbuf_reserve
if r0 == 0 goto out
r7 = r0
r1 = r6
r2 = map[progs] ll
r3 = 0
call bpf_tail_call               ; error: a reference at a tail call
r1 = r7
r2 = 0
call bpf_ringbuf_submit
out: r0 = 0
exit

== tail_call_elsewhere
r2 = map[hash] ll
r3 = 0
call bpf_tail_call               ; error: is a map of type BPF_MAP_TYPE_HASH
r0 = 0
exit

== lock
r6 = map[locked][0] ll
r1 = r6
call bpf_spin_lock
*(u64 *)(r6 +8) = 1
r1 = r6
call bpf_spin_unlock
r0 = 0
exit

== lock_kept
r1 = map[locked][0] ll
call bpf_spin_lock
r0 = 0
exit                             ; error: the end of the program is not allowed while holding

== lock_twice
r1 = map[locked][0] ll
call bpf_spin_lock
r1 = map[locked][0] ll
call bpf_spin_lock               ; error: another bpf_spin_lock
r0 = 0
exit

== unlock_without
r1 = map[locked][0] ll
call bpf_spin_unlock             ; error: bpf_spin_unlock without
r0 = 0
exit

== lock_and_call
r1 = map[locked][0] ll
call bpf_spin_lock
call bpf_ktime_get_ns            ; error: a function call is not allowed
r0 = 0
exit

== lock_word_is_the_locks
r1 = map[locked][0] ll
r0 = *(u32 *)(r1 +0)             ; error: bpf_spin_lock
exit

== lock_word_is_not_lent
r1 = map[locked][0] ll
r2 = 16
call bpf_get_current_comm        ; error: bpf_spin_lock
r0 = 0
exit

== lock_at_another_place
r1 = map[locked][4] ll
call bpf_spin_lock               ; error: is not the bpf_spin_lock
r0 = 0
exit

== lock_in_a_map_without
r1 = map[data][0] ll
call bpf_spin_lock               ; error: is not the bpf_spin_lock
r0 = 0
exit

== lock_on_the_stack
r1 = r10
r1 += -8
call bpf_spin_lock               ; error: type=fp expected=map_value
r0 = 0
exit

== unlock_of_another_lookup
*(u32 *)(r10 -4) = 0
r1 = map[locked] ll
r2 = r10
r2 += -4
call bpf_map_lookup_elem
if r0 == 0 goto out
r6 = r0
r1 = map[locked] ll
r2 = r10
r2 += -4
call bpf_map_lookup_elem
if r0 == 0 goto out
r7 = r0
r1 = r6
call bpf_spin_lock
r1 = r7
call bpf_spin_unlock             ; error: bpf_spin_unlock without
out: r0 = 0
exit

== function
r1 = 3
r2 = 4
call sum
exit
sum: r0 = r1
r0 += r2
exit

== function_clobbers
r1 = 3
r2 = 4
call sum
r0 = r2                          ; error: R2 !read_ok
exit
sum: r0 = r1
exit

== function_keeps
r6 = 3
call zero
r0 = r6
exit
zero: r6 = 0
r0 = 0
exit

== function_gets_no_r6
r6 = 3
call other
exit
other: r0 = r6                   ; error: R6 !read_ok
exit

== function_without_result
call other
r0 = 0
exit
other: exit

== function_result_missing
call other
exit                             ; error: R0 !read_ok
other: exit

== function_writes_the_callers_stack
r1 = r10
r1 += -8
call fill
r0 = *(u64 *)(r10 -8)
r1 = map[data][0] ll
r1 += r0
r0 = *(u8 *)(r1 +26)
exit
fill: *(u64 *)(r1 +0) = 5
r0 = 0
exit

== function_returns_its_stack
call other
r0 = 0
exit
other: r0 = r10
exit                             ; error: cannot return stack pointer to the caller

== function_returns_its_stack_moved
call other
r0 = 0
exit
other: r0 = r10
r0 += -8
exit                             ; error: cannot return stack pointer to the caller

== function_spills_its_stack
r1 = r10
r1 += -8
call other
r0 = 0
exit
other: *(u64 *)(r1 +0) = r10     ; error: cannot spill pointers to stack
r0 = 0
exit

== function_returns_the_callers_stack
r1 = r10
call other
r0 = *(u64 *)(r0 -8)
exit
other: r0 = r1
exit

== recursion
call f
exit
f: call f                        ; error: the call stack of 8 frames is too deep
exit

== seven_deep
call a
exit
a: call b
exit
b: call c
exit
c: call d
exit
d: call e
exit
e: call f
exit
f: call g
exit
g: r0 = 0
exit

== eight_deep
call a
exit
a: call b
exit
b: call c
exit
c: call d
exit
d: call e
exit
e: call f
exit
f: call g
exit
g: call h                        ; error: too deep
exit
h: r0 = 0
exit

== dynptr_of_a_buffer
r1 = *(u64 *)(r1 +24)
r2 = r10
r2 += -16
call buffer_read
r1 = r10
r1 += -16
r2 = 0
r3 = 0
r4 = 8
call bpf_dynptr_slice
if r0 == 0 goto out
r0 = *(u64 *)(r0 +0)
out: r0 = 0
exit

== dynptr_slice_past
r1 = *(u64 *)(r1 +24)
r2 = r10
r2 += -16
call buffer_read
r1 = r10
r1 += -16
r2 = 0
r3 = 0
r4 = 8
call bpf_dynptr_slice
if r0 == 0 goto out
r0 = *(u64 *)(r0 +1)             ; error: invalid access to mem, size=8 off=1
out: r0 = 0
exit

== dynptr_slice_unchecked
r1 = *(u64 *)(r1 +24)
r2 = r10
r2 += -16
call buffer_read
r1 = r10
r1 += -16
r2 = 0
r3 = 0
r4 = 8
call bpf_dynptr_slice
r0 = *(u64 *)(r0 +0)             ; error: R0 invalid mem access 'mem_or_null'
exit

== dynptr_slice_read_only
r1 = *(u64 *)(r1 +16)
r2 = r10
r2 += -16
call buffer_write
r1 = r10
r1 += -16
r2 = 0
r3 = 0
r4 = 8
call bpf_dynptr_slice
if r0 == 0 goto out
*(u64 *)(r0 +0) = 1              ; error: write into a read-only slice is not allowed
out: r0 = 0
exit

== dynptr_slice_writable
r1 = *(u64 *)(r1 +16)
r2 = r10
r2 += -16
call buffer_write
r1 = r10
r1 += -16
r2 = 0
r3 = 0
r4 = 8
call bpf_dynptr_slice_rdwr
if r0 == 0 goto out
*(u64 *)(r0 +0) = 1
out: r0 = 0
exit

== dynptr_slice_atomic
r1 = *(u64 *)(r1 +16)
r2 = r10
r2 += -16
call buffer_write
r1 = r10
r1 += -16
r2 = 0
r3 = 0
r4 = 8
call bpf_dynptr_slice_rdwr
if r0 == 0 goto out
r1 = 1
lock *(u64 *)(r0 +0) += r1       ; error: a slice may not be aligned
out: r0 = 0
exit

== dynptr_slice_of_unknown_size
r6 = *(u64 *)(r1 +0)
r1 = *(u64 *)(r1 +24)
r2 = r10
r2 += -16
call buffer_read
r1 = r10
r1 += -16
r2 = 0
r3 = 0
r4 = *(u8 *)(r6 +0)
call bpf_dynptr_slice            ; error: must be a known constant
r0 = 0
exit

== dynptr_writes_a_const_buffer
r1 = *(u64 *)(r1 +24)
r2 = r10
r2 += -16
call buffer_write                ; error: is a const struct const_buffer
r0 = 0
exit

== dynptr_of_a_struct
r1 = *(u64 *)(r1 +8)
r2 = r10
r2 += -16
call buffer_read                 ; error: expected=an opaque buffer
r0 = 0
exit

== dynptr_uninitialised
r1 = r10
r1 += -16
call bpf_dynptr_size             ; error: expected an initialized dynptr
exit

== dynptr_half
r1 = *(u64 *)(r1 +24)
r2 = r10
r2 += -16
call buffer_read
r1 = r10
r1 += -8
call bpf_dynptr_size             ; error: is not 16 bytes of stack
exit

== dynptr_half_2
r1 = *(u64 *)(r1 +24)
r2 = r10
r2 += -24
call buffer_read
r1 = r10
r1 += -16
call bpf_dynptr_size             ; error: expected an initialized dynptr
exit

== dynptr_unaligned
r1 = *(u64 *)(r1 +24)
r2 = r10
r2 += -20
call buffer_read                 ; error: is not 16 bytes of stack, 8-byte aligned
r0 = 0
exit

== dynptr_in_a_map
r1 = *(u64 *)(r1 +24)
r2 = map[data][0] ll
call buffer_read                 ; error: type=map_value expected=fp
r0 = 0
exit

== dynptr_at_an_unknown_place
r6 = *(u64 *)(r1 +0)
r3 = *(u8 *)(r6 +0)
r3 &= 8
r1 = *(u64 *)(r1 +24)
r2 = r10
r2 += -32
r2 += r3
call buffer_read                 ; error: is not at a constant offset
r0 = 0
exit

== dynptr_read_as_bytes
r1 = *(u64 *)(r1 +24)
r2 = r10
r2 += -16
call buffer_read
r0 = *(u64 *)(r10 -16)           ; error: holds a dynptr
exit

== dynptr_overwritten
r1 = *(u64 *)(r1 +24)
r2 = r10
r2 += -16
call buffer_read
*(u8 *)(r10 -1) = 0
r1 = r10
r1 += -16
call bpf_dynptr_size             ; error: expected an initialized dynptr
exit

== dynptr_slice_after_overwrite
r1 = *(u64 *)(r1 +24)
r2 = r10
r2 += -16
call buffer_read
r1 = r10
r1 += -16
r2 = 0
r3 = 0
r4 = 8
call bpf_dynptr_slice
if r0 == 0 goto out
*(u64 *)(r10 -8) = 0
r0 = *(u64 *)(r0 +0)             ; error: R0 !read_ok
out: r0 = 0
exit

== dynptr_local
r1 = map[data][0] ll
r2 = 32
r3 = 0
r4 = r10
r4 += -16
call bpf_dynptr_from_mem
r1 = r10
r1 += -16
r2 = 4
r3 = 8
call bpf_dynptr_data
if r0 == 0 goto out
*(u64 *)(r0 +0) = 1
out: r0 = 0
exit

== dynptr_local_of_the_stack
r1 = r10
r1 += -8
r2 = 8
r3 = 0
r4 = r10
r4 += -24
call bpf_dynptr_from_mem         ; error: type=fp expected=map_value
r0 = 0
exit

== dynptr_record
r1 = map[ring] ll
r2 = 16
r3 = 0
r4 = r10
r4 += -16
call bpf_ringbuf_reserve_dynptr
r1 = r10
r1 += -16
r2 = 0
call bpf_ringbuf_submit_dynptr
r0 = 0
exit

== dynptr_record_leaked
r1 = map[ring] ll
r2 = 16
r3 = 0
r4 = r10
r4 += -16
call bpf_ringbuf_reserve_dynptr
r0 = 0
exit                             ; error: Unreleased reference

== dynptr_record_overwritten
r1 = map[ring] ll
r2 = 16
r3 = 0
r4 = r10
r4 += -16
call bpf_ringbuf_reserve_dynptr
*(u64 *)(r10 -16) = 0            ; error: cannot overwrite referenced dynptr
r0 = 0
exit

== dynptr_record_twice
r1 = map[ring] ll
r2 = 16
r3 = 0
r4 = r10
r4 += -16
call bpf_ringbuf_reserve_dynptr
r1 = r10
r1 += -16
r2 = 0
call bpf_ringbuf_discard_dynptr
r1 = r10
r1 += -16
r2 = 0
call bpf_ringbuf_discard_dynptr  ; error: expected an initialized dynptr
r0 = 0
exit

== dynptr_record_of_a_buffer
r1 = *(u64 *)(r1 +24)
r2 = r10
r2 += -16
call buffer_read
r1 = r10
r1 += -16
r2 = 0
call bpf_ringbuf_submit_dynptr   ; error: expected a dynptr of a ring-buffer record
r0 = 0
exit

== dynptr_record_slice_after
r1 = map[ring] ll
r2 = 16
r3 = 0
r4 = r10
r4 += -16
call bpf_ringbuf_reserve_dynptr
r1 = r10
r1 += -16
r2 = 0
r3 = 8
call bpf_dynptr_data
r6 = r0
r1 = r10
r1 += -16
r2 = 0
call bpf_ringbuf_submit_dynptr
if r6 == 0 goto out              ; error: R6 !read_ok
*(u64 *)(r6 +0) = 1
out: r0 = 0
exit

== dynptr_record_clone_after
r1 = map[ring] ll
r2 = 16
r3 = 0
r4 = r10
r4 += -16
call bpf_ringbuf_reserve_dynptr
r1 = r10
r1 += -16
r2 = r10
r2 += -32
call bpf_dynptr_clone
r1 = r10
r1 += -16
r2 = 0
call bpf_ringbuf_submit_dynptr
r1 = r10
r1 += -32
call bpf_dynptr_size             ; error: expected an initialized dynptr
r0 = 0
exit

== dynptr_record_clone_slice_after
r1 = map[ring] ll
r2 = 16
r3 = 0
r4 = r10
r4 += -16
call bpf_ringbuf_reserve_dynptr
r1 = r10
r1 += -16
r2 = r10
r2 += -32
call bpf_dynptr_clone
r1 = r10
r1 += -32
r2 = 0
r3 = 8
call bpf_dynptr_data
r6 = r0
r1 = r10
r1 += -16
r2 = 0
call bpf_ringbuf_submit_dynptr
r0 = r6                          ; error: R6 !read_ok
exit

== dynptr_clone_submits
r1 = map[ring] ll
r2 = 16
r3 = 0
r4 = r10
r4 += -16
call bpf_ringbuf_reserve_dynptr
r1 = r10
r1 += -16
r2 = r10
r2 += -32
call bpf_dynptr_clone
r1 = r10
r1 += -32
r2 = 0
call bpf_ringbuf_submit_dynptr
r0 = 0
exit

== dynptr_key_is_a_dynptr
r1 = *(u64 *)(r1 +24)
r2 = r10
r2 += -16
call buffer_read
r1 = map[hash] ll
r2 = r10
r2 += -16
call bpf_map_lookup_elem         ; error: holds a dynptr
r0 = 0
exit

== dynptr_read_over_itself
r1 = *(u64 *)(r1 +24)
r2 = r10
r2 += -16
call buffer_read
r1 = r10
r1 += -24
r2 = 16
r3 = r10
r3 += -16
r4 = 0
r5 = 0
call bpf_dynptr_read             ; error: expected an initialized dynptr
r0 = 0
exit

== dynptr_in_an_ended_frame
r1 = map[ring] ll
call make
r0 = 0
exit
make: r2 = 16
r3 = 0
r4 = r10
r4 += -16
call bpf_ringbuf_reserve_dynptr
r0 = 0
exit                             ; error: Unreleased reference

== inner_map
*(u32 *)(r10 -4) = 0
r1 = map[outer] ll
r2 = r10
r2 += -4
call bpf_map_lookup_elem
if r0 == 0 goto out
r1 = r0
r2 = r10
r2 += -4
call bpf_map_lookup_elem
if r0 == 0 goto out
*(u64 *)(r0 +8) = 1
out: r0 = 0
exit

== inner_map_unchecked
*(u32 *)(r10 -4) = 0
r1 = map[outer] ll
r2 = r10
r2 += -4
call bpf_map_lookup_elem
r1 = r0
r2 = r10
r2 += -4
call bpf_map_lookup_elem         ; error: type=map_ptr_or_null expected=map_ptr
r0 = 0
exit

== inner_map_is_no_value
*(u32 *)(r10 -4) = 0
r1 = map[outer] ll
r2 = r10
r2 += -4
call bpf_map_lookup_elem
if r0 == 0 goto out
r0 = *(u32 *)(r0 +0)             ; error: invalid mem access 'map_ptr'
out: r0 = 0
exit
