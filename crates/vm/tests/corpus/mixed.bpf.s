// What crosses several rules.

== lock_through_inner_object
r6 = map[locked][0] ll
r1 = r6
call bpf_spin_lock
call f
r1 = r6
call bpf_spin_unlock
r0 = 0
exit
f: r0 = 0
exit

== slot_conflict
r1 = *(u64 *)(r1 +0)
r2 = *(u64 *)(r1 +0)
r3 = r2
*(u64 *)(r10 -8) = r3
r3 = 0
if r2 > 15 goto out
r4 = *(u64 *)(r10 -8)
r1 += r4
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit

== prune_count_in_half
r1 = *(u64 *)(r1 +0)
r6 = *(u32 *)(r1 +0)
r7 = *(u32 *)(r1 +4)
r1 = 200
if r6 == 0 goto a
r1 = 0
a: if r7 == 0 goto b
r8 = 1
b: r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r7 == 1 goto c
r8 = 1
c: *(u32 *)(r10 -4) = r1
r1 = map[array] ll
r2 = r10
r2 += -4
call bpf_map_lookup_elem
r0 = *(u8 *)(r0 +0)              ; error: map_value_or_null
exit

== prune_reserve_size
r1 = *(u64 *)(r1 +0)
r6 = *(u32 *)(r1 +0)
r7 = *(u32 *)(r1 +4)
r2 = 8
if r6 == 0 goto a
r2 = 16
a: if r7 == 0 goto b
r8 = 1
b: r3 = 0
r3 = 0
r3 = 0
r3 = 0
r3 = 0
r3 = 0
r3 = 0
r3 = 0
if r7 == 1 goto c
r8 = 1
c: r1 = map[ring] ll
r3 = 0
call bpf_ringbuf_reserve
if r0 == 0 goto out
*(u64 *)(r0 +8) = 1              ; error: ringbuf_mem
r1 = r0
r2 = 0
call bpf_ringbuf_submit
out: r0 = 0
exit

== prune_bytes_zero_then_not
r1 = *(u64 *)(r1 +0)
r6 = *(u32 *)(r1 +0)
r7 = *(u32 *)(r1 +4)
*(u64 *)(r10 -8) = 200
if r6 == 0 goto a
*(u64 *)(r10 -8) = 0
a: if r7 == 0 goto b
r8 = 1
b: r3 = 0
r3 = 0
r3 = 0
r3 = 0
r3 = 0
r3 = 0
r3 = 0
r3 = 0
if r7 == 1 goto c
r8 = 1
c: r2 = *(u16 *)(r10 -8)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: map_value
exit

== prune_arsh_pair
r1 = *(u64 *)(r1 +0)
r6 = *(u32 *)(r1 +0)
r7 = *(u32 *)(r1 +4)
r2 = 200
if r6 == 0 goto a
r2 = 0
a: if r7 == 0 goto b
r8 = 1
b: r3 = 0
r3 = 0
r3 = 0
r3 = 0
r3 = 0
r3 = 0
r3 = 0
r3 = 0
if r7 == 1 goto c
r8 = 1
c: w4 = w2
r4 <<= 32
r4 s>>= 32
r5 = (s16)r4
r5 = bswap32 r5
r5 = bswap32 r5
r5 = -r5
r5 *= -1
r3 = map[data][0] ll
r3 += r5
r0 = *(u8 *)(r3 +0)              ; error: map
exit

== stack_pointer_escapes_by_callback_context
r1 = 10
r2 = func body ll
r3 = r10
r3 += -8
r4 = 0
call bpf_loop
r0 = 0
exit
body: *(u64 *)(r2 +0) = r2
r0 = 0
exit

== register_after_callback
*(u64 *)(r10 -8) = 0
r6 = 0
r1 = 10
r2 = func body ll
r3 = r10
r3 += -8
r4 = 0
call bpf_loop
r6 = *(u64 *)(r10 -8)
if r6 > 7 goto out
r7 = map[data][0] ll
r7 += r6
r0 = *(u8 *)(r7 +0)
out: r0 = 0
exit
body: r3 = *(u64 *)(r2 +0)
r3 += 1
*(u64 *)(r2 +0) = r3
r0 = 0
exit

== ptr_in_zero_range_helper
*(u64 *)(r10 -8) = r10
r1 = r10
r1 += -16
r2 = 8
call bpf_get_current_comm
r0 = *(u64 *)(r10 -8)
r0 = *(u64 *)(r0 -16)
exit

== prune_le_null
*(u64 *)(r10 -8) = 0
r1 = map[hash] ll
r2 = r10
r2 += -8
call bpf_map_lookup_elem
if r0 s> 0 goto on
r0 = 0
exit
on: r0 = *(u8 *)(r0 +0)          ; error: or_null
exit

== null_by_number
*(u64 *)(r10 -8) = 0
r1 = map[hash] ll
r2 = r10
r2 += -8
call bpf_map_lookup_elem
if w0 != 0 goto on
r0 = 0
exit
on: r0 = *(u8 *)(r0 +0)          ; error: or_null
exit

== record_null_dynptr
r1 = map[ring] ll
r2 = 100000
r3 = 0
r4 = r10
r4 += -16
call bpf_ringbuf_reserve_dynptr
if r0 != 0 goto out
r1 = r10
r1 += -16
r2 = 0
call bpf_ringbuf_discard_dynptr
r0 = 0
exit
out: r0 = 0
exit                             ; error: Unreleased

== nested_iterators
r1 = r10
r1 += -8
r2 = 0
r3 = 10
call bpf_iter_num_new
loop: r1 = r10
r1 += -8
call bpf_iter_num_next
if r0 == 0 goto out
r1 = r10
r1 += -16
r2 = 0
r3 = 10
call bpf_iter_num_new
loop2: r1 = r10
r1 += -16
call bpf_iter_num_next
if r0 != 0 goto loop2
r1 = r10
r1 += -16
call bpf_iter_num_destroy
goto loop
out: r1 = r10
r1 += -8
call bpf_iter_num_destroy
r0 = 0
exit

== iter_slot_shared_key
r1 = r10
r1 += -8
r2 = 0
r3 = 10
call bpf_iter_num_new
r1 = map[hash] ll
r2 = r10
r2 += -8
call bpf_map_lookup_elem         ; error: iterator
r0 = 0
exit

== atomic_xchg_uninit_halves
r1 = r10
r1 += -8
w2 = 7
w2 = xchg32_32(r1 +0, w2)
r0 = *(u32 *)(r10 -8)
r3 = map[data][0] ll
r3 += r0                         ; error: unbounded
r0 = *(u8 *)(r3 +0)
exit

== value_deleted_then_used
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
call bpf_map_delete_elem
r0 = *(u64 *)(r6 +0)
*(u64 *)(r6 +8) = 1
out: r0 = 0
exit

== element_across_next
r1 = r10
r1 += -8
r2 = 0
r3 = 10
call bpf_iter_num_new
r1 = r10
r1 += -8
call bpf_iter_num_next
if r0 == 0 goto out
r6 = r0
r1 = r10
r1 += -8
call bpf_iter_num_next
r0 = *(u32 *)(r6 +0)
out: r1 = r10
r1 += -8
call bpf_iter_num_destroy
r0 = 0
exit

== zero_bytes_across_slots_prune
r1 = *(u64 *)(r1 +0)
r6 = *(u32 *)(r1 +0)
r7 = *(u32 *)(r1 +4)
r1 = 200
if r6 == 0 goto a
r1 = 0
a: if r7 == 0 goto b
r8 = 1
b: r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r7 == 1 goto c
r8 = 1
c: *(u32 *)(r10 -10) = r1
r2 = *(u16 *)(r10 -10)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
exit

== context_of_a_callback_is_stack
r1 = 10
r2 = func body ll
r3 = map[data][0] ll
r4 = 0
call bpf_loop                    ; error: type=map_value expected=fp or null
r0 = 0
exit
body: r0 = 0
exit

== for_each_of_a_number
r1 = 10
r2 = func body ll
r3 = 5
r4 = 0
call bpf_for_each_map_elem       ; error: R1
r0 = 0
exit
body: r0 = 0
exit

== context_of_a_callback_is_no_number
r1 = 10
r2 = func body ll
r3 = 5
r4 = 0
call bpf_loop                    ; error: type=scalar expected=fp or null
r0 = 0
exit
body: r0 = 0
exit

== context_of_a_callback_outside
r1 = 10
r2 = func body ll
r3 = r10
r4 = 0
call bpf_loop                    ; error: invalid access to fp
r0 = 0
exit
body: r0 = 0
exit
