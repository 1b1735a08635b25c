// Safe, and refused nevertheless.

== remainder_by_205_and_a_shift
r1 = *(u64 *)(r1 +0)
r2 = *(u8 *)(r1 +0)
r3 = r2
r3 *= 205
r3 >>= 11
r3 *= 10
r2 -= r3
r1 += r2
r0 = *(u8 *)(r1 +6)              ; error: invalid access
exit
