// What was wrong once.

== prune_zero_byte
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
c: *(u8 *)(r10 -1) = r1
r2 = *(u8 *)(r10 -1)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
exit

== prune_two_halves
r1 = *(u64 *)(r1 +0)
r6 = *(u32 *)(r1 +0)
r7 = *(u32 *)(r1 +4)
r1 = 200
r4 = 0
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
c: *(u32 *)(r10 -8) = r1
*(u32 *)(r10 -4) = r4
r2 = *(u64 *)(r10 -8)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
exit

== prune_part_of_zero
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
c: *(u64 *)(r10 -8) = r1
*(u8 *)(r10 -1) = 0
r2 = *(u8 *)(r10 -8)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
exit

== prune_loop_count
r1 = *(u64 *)(r1 +0)
r6 = *(u32 *)(r1 +0)
r7 = *(u32 *)(r1 +4)
r1 = 200
if r6 == 0 goto a
r1 = 4
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
c: r2 = func body ll
r3 = 0
r4 = 0
call bpf_loop
r0 = 0
exit
body: r3 = map[data][0] ll
r3 += r1
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
r0 = 0
exit

== inner_array_may_be_shorter
*(u32 *)(r10 -4) = 0
r1 = map[outer] ll
r2 = r10
r2 += -4
call bpf_map_lookup_elem
if r0 == 0 goto out
*(u32 *)(r10 -4) = 3
r1 = r0
r2 = r10
r2 += -4
call bpf_map_lookup_elem
r0 = *(u64 *)(r0 +0)             ; error: invalid mem access 'map_value_or_null'
out: r0 = 0
exit

== percpu_of_a_processor_may_be_null
*(u32 *)(r10 -4) = 0
r1 = map[percpu] ll
r2 = r10
r2 += -4
r3 = 1000
call bpf_map_lookup_percpu_elem
r0 = *(u64 *)(r0 +0)             ; error: invalid mem access 'map_value_or_null'
r0 = 0
exit

== element_after_destroy_reads_a_pointer
r1 = r10
r1 += -8
r2 = 0
r3 = 4
call bpf_iter_num_new
r1 = r10
r1 += -8
call bpf_iter_num_next
if r0 == 0 goto out
r6 = r0
r1 = r10
r1 += -8
call bpf_iter_num_destroy
*(u64 *)(r10 -8) = r10
r0 = *(u32 *)(r6 +0)             ; error: R6 !read_ok
exit
out: r1 = r10
r1 += -8
call bpf_iter_num_destroy
r0 = 0
exit

== element_of_an_ended_frame
call inner
r0 = 0
exit
inner: r1 = r10
r1 += -8
r2 = 0
r3 = 4
call bpf_iter_num_new
r1 = r10
r1 += -8
call bpf_iter_num_next
r6 = r0
r1 = r10
r1 += -8
call bpf_iter_num_destroy
r0 = r6                          ; error: R6 !read_ok
exit

== key_escapes_its_callback
*(u64 *)(r10 -8) = 0
r1 = map[hash] ll
r2 = func body ll
r3 = r10
r3 += -8
r4 = 0
call bpf_for_each_map_elem
r1 = *(u64 *)(r10 -8)
if r1 == 0 goto out              ; error: R1 !read_ok
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit
body: *(u64 *)(r4 +0) = r2
r0 = 0
exit

== printk_without_arguments
call bpf_get_prandom_u32
r1 = map[rodata][0] ll
r2 = 3
call bpf_trace_printk
r0 = 0
exit

== ids_of_shared_slots
r1 = *(u64 *)(r1 +0)
r8 = *(u32 *)(r1 +0)
*(u64 *)(r10 -8) = 0
r1 = map[hash] ll
r2 = r10
r2 += -8
call bpf_map_lookup_elem
r6 = r0
*(u64 *)(r10 -16) = r0
r7 = 0
loop: r7 += 1
if r7 > 5000 goto done
if r7 < 100 goto loop
r9 = r7
r9 &= 1
if r9 == 0 goto other
goto loop
other: r1 = map[hash] ll
r2 = r10
r2 += -8
call bpf_map_lookup_elem
r6 = r0
goto loop
done: if r6 == 0 goto out
r1 = *(u64 *)(r10 -16)
r1 = *(u64 *)(r1 +0)             ; error: R1 invalid mem access
out: r0 = 0
exit

== value_may_escape_its_callback
*(u64 *)(r10 -8) = 0
r1 = map[hash] ll
r2 = func body ll
r3 = r10
r3 += -8
r4 = 0
call bpf_for_each_map_elem
r1 = *(u64 *)(r10 -8)
if r1 == 0 goto out
r0 = *(u8 *)(r1 +0)
out: r0 = 0
exit
body: *(u64 *)(r4 +0) = r3
r0 = 0
exit

== key_of_the_outer_callback_stays
r1 = map[hash] ll
r2 = func outer ll
r3 = 0
r4 = 0
call bpf_for_each_map_elem
r0 = 0
exit
outer: r6 = r2
r1 = map[hash] ll
r2 = func body ll
r3 = 0
r4 = 0
call bpf_for_each_map_elem
r0 = *(u64 *)(r6 +0)
r0 = 0
exit
body: r0 = *(u64 *)(r2 +0)
r0 = 0
exit


== prune_slot_the_older_state_never_touched
r1 = *(u64 *)(r1 +0)
r6 = *(u32 *)(r1 +0)
r7 = *(u32 *)(r1 +4)
if r7 == 0 goto second
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
goto c
second: *(u64 *)(r10 -24) = 0
if r6 == 0 goto third
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
p1: r2 = 0
c: r2 = *(u64 *)(r10 -16)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
exit
third: *(u64 *)(r10 -16) = 200
goto p1

== prune_zero_that_stood_for_zero_bytes
r1 = *(u64 *)(r1 +0)
r6 = *(u32 *)(r1 +0)
r7 = *(u32 *)(r1 +4)
if r7 == 0 goto second
*(u64 *)(r10 -24) = r7
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
goto c
second: *(u64 *)(r10 -16) = 0
if r6 == 0 goto third
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
p1: r2 = 0
c: r2 = *(u64 *)(r10 -16)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
exit
third: *(u64 *)(r10 -16) = 200
goto p1

== prune_zero_stored_unaligned
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
c: *(u32 *)(r10 -7) = r1
r2 = *(u8 *)(r10 -7)
r3 = map[data][0] ll
r3 += r2
r0 = *(u8 *)(r3 +0)              ; error: invalid access to map_value
exit
