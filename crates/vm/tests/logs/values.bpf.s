// What logs call the values programs hold.

== numbers memory 16
r3 = *(u8 *)(r1 +0)
r4 = *(s16 *)(r1 +2)
r5 = *(u64 *)(r1 +8)
w6 = -2
r7 = -70000
r8 = 0x123456789a ll
r9 = r5
r9 += 4
w9 = w3
if r5 s> -1 goto on
r5 <<= 32
r5 >>= 32
on: r0 = 0
exit

== arguments
r2 = *(u64 *)(r1 +0)
r3 = *(u64 *)(r1 +8)
r4 = *(u64 *)(r1 +16)
r5 = *(u64 *)(r1 +24)
r3 += 4
*(u32 *)(r3 +0) = 7
r0 = *(u32 *)(r2 +12)
r0 = 0
exit

== stack memory 8
*(u64 *)(r10 -8) = r1
*(u64 *)(r10 -16) = -1
*(u32 *)(r10 -24) = 5
r3 = *(u8 *)(r1 +0)
*(u32 *)(r10 -20) = r3
*(u8 *)(r10 -25) = r3
*(u8 *)(r10 -27) = 0
r3 &= 7
r4 = r10
r4 += -48
r4 += r3
*(u8 *)(r4 +0) = r3
r5 = *(u64 *)(r10 -8)
r0 = *(u8 *)(r5 +0)
exit

== maps
*(u64 *)(r10 -8) = 0
r2 = r10
r2 += -8
r1 = map[hash] ll
call bpf_map_lookup_elem
r6 = r0
*(u64 *)(r10 -16) = r0
if r6 == 0 goto out
r1 = *(u64 *)(r6 +8)
r1 &= 15
r7 = map[data][8] ll
r7 += r1
*(u8 *)(r7 +0) = 1
r6 += 8
lock *(u64 *)(r6 +0) += r1
r2 = 3
r2 = atomic_fetch_add((u64 *)(r6 +0), r2)
*(u32 *)(r10 -4) = 1
r2 = r10
r2 += -4
r1 = map[outer] ll
call bpf_map_lookup_elem
if r0 == 0 goto out
r8 = map[rodata][4] ll
r8 = *(u32 *)(r8 +0)
out: r0 = 0
exit

== dynptr
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
*(u64 *)(r10 -16) = 0
out: r0 = 0
exit

== records
r1 = map[ring] ll
r2 = 16
r3 = 0
call bpf_ringbuf_reserve
if r0 == 0 goto out
r1 = r0
r2 = 0
call bpf_ringbuf_submit
out: r1 = map[ring] ll
r2 = 16
r3 = 0
r4 = r10
r4 += -16
call bpf_ringbuf_reserve_dynptr
r1 = r10
r1 += -16
r2 = 0
call bpf_ringbuf_discard_dynptr
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

== facts memory 16
r3 = *(u64 *)(r1 +0)
r4 = *(u64 *)(r1 +8)
if r3 > r4 goto out
w3 = w3
w4 = w4
r5 = r3
r5 += r4
r6 = r3
r6 /= 10
r7 = r6
r7 *= 10
r3 -= r7
out: r0 = 0
exit
