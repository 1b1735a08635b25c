// How logs tell of the paths of a program.

== a_path_is_cut_off_where_a_state_covers_it memory 8
r2 = *(u8 *)(r1 +0)
r0 = 0
if r2 == 0 goto meet
r0 = 1
r3 = *(u8 *)(r1 +1)
r3 = *(u8 *)(r1 +2)
r3 = *(u8 *)(r1 +3)
r3 = *(u8 *)(r1 +4)
if r3 == 0 goto meet
r2 = 1
meet: r0 = 0
exit

== a_loop_and_a_spill memory 8
r6 = r1
r7 = 0
more: *(u64 *)(r10 -8) = r7
r2 = r6
r2 += r7
r3 = *(u8 *)(r2 +0)
r7 = *(u64 *)(r10 -8)
r7 += 1
if r7 < 3 goto more
r0 = 0
exit

== a_function
r1 = *(u64 *)(r1 +0)
r2 = r10
r2 += -8
call store
r0 = *(u64 *)(r10 -8)
r0 = 0
exit
store: r0 = *(u32 *)(r1 +4)
*(u64 *)(r2 +0) = r0
exit

== a_callback
r1 = 3
r2 = func each ll
r3 = r10
r3 += -8
r4 = 0
call bpf_loop
r0 = 0
exit
each: r1 += 1
*(u64 *)(r2 +0) = r1
r0 = 0
exit

== a_callback_of_a_map
r1 = map[hash] ll
r2 = func each ll
r3 = 0
r4 = 0
call bpf_for_each_map_elem
r0 = 0
exit
each: r0 = *(u64 *)(r2 +0)
*(u64 *)(r3 +0) = r0
r0 = 0
exit

== an_iterator
r1 = r10
r1 += -8
r2 = 0
r3 = 10
call bpf_iter_num_new
r6 = 0
more: r1 = r10
r1 += -8
call bpf_iter_num_next
if r0 == 0 goto done
r0 = *(s32 *)(r0 +0)
r6 += 1
goto more
done: r1 = r10
r1 += -8
call bpf_iter_num_destroy
r0 = 0
exit

== refused_in_a_function
r1 = *(u64 *)(r1 +0)
call store
exit
store: r0 = 0
*(u32 *)(r1 +4) = 1
exit

== refused_where_paths_meet
r0 = 0
more: r0 = 0
goto more

== refused_as_too_much memory 8 limit 5
r0 = *(u8 *)(r1 +0)
r0 = *(u8 *)(r1 +0)
r0 = *(u8 *)(r1 +0)
r0 = *(u8 *)(r1 +0)
r0 = *(u8 *)(r1 +0)
r0 = *(u8 *)(r1 +0)
exit
