// Safe, and refused nevertheless.

== memset_like_zero_bytes
*(u8 *)(r10 -8) = 0
*(u8 *)(r10 -7) = 0
*(u16 *)(r10 -6) = 0
*(u32 *)(r10 -4) = 0
r2 = *(u64 *)(r10 -8)
r1 = map[data][0] ll
r1 += r2                         ; error: unbounded min value
r0 = *(u8 *)(r1 +31)
exit

== div0_is_zero
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r3 = 0
r2 /= r3
r1 += r2
r0 = *(u8 *)(r1 +15)             ; error: off=15..270
exit
