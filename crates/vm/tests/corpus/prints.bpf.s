# Addresses among values that are printed: "%s" is 0x7325, "%p" 0x7025, "%px" 0x787025, "%llx" 0x786c6c25.

== printk_number
r3 = *(u64 *)(r1 +0)
r3 = *(u64 *)(r3 +0)
*(u64 *)(r10 -8) = 0x786c6c25
r1 = r10
r1 += -8
r2 = 5
call bpf_trace_printk
r0 = 0
exit

== printk_address_as_number
r3 = *(u64 *)(r1 +0)
*(u64 *)(r10 -8) = 0x786c6c25
r1 = r10
r1 += -8
r2 = 5
call bpf_trace_printk            ; error: arg#2 of bpf_trace_printk: R3 is an address, and the format prints it as a number
r0 = 0
exit

== printk_address_plain
r3 = r10
*(u64 *)(r10 -8) = 0x787025
r1 = r10
r1 += -8
r2 = 4
call bpf_trace_printk            ; error: R3 is an address, and the format prints it as a number
r0 = 0
exit

== printk_address_hashed
r3 = r10
*(u64 *)(r10 -8) = 0x7025
r1 = r10
r1 += -8
r2 = 3
call bpf_trace_printk
r0 = 0
exit

== printk_map_handle_hashed
r3 = map[hash] ll
*(u64 *)(r10 -8) = 0x7025
r1 = r10
r1 += -8
r2 = 3
call bpf_trace_printk
r0 = 0
exit

== printk_address_by_the_second_conversion
r3 = 1
r4 = r10
r5 = 0x7825207825 ll
*(u64 *)(r10 -8) = r5
r5 = 0
r1 = r10
r1 += -8
r2 = 8
call bpf_trace_printk            ; error: arg#3 of bpf_trace_printk: R4 is an address, and the format prints it as a number
r0 = 0
exit

== printk_address_nothing_prints
r3 = 1
r4 = r10
*(u64 *)(r10 -8) = 0x786c6c25
r1 = r10
r1 += -8
r2 = 5
call bpf_trace_printk
r0 = 0
exit

== printk_by_a_wrong_format
r3 = r10
*(u64 *)(r10 -8) = 0x7125
r1 = r10
r1 += -8
r2 = 3
call bpf_trace_printk
r0 = 0
exit

== printk_by_an_unknown_format
r3 = *(u64 *)(r1 +0)
r4 = *(u64 *)(r3 +0)
*(u64 *)(r10 -8) = r4
r1 = r10
r1 += -8
r2 = 8
call bpf_trace_printk            ; error: R3 is an address, and the format is not a constant
r0 = 0
exit

== printk_a_number_by_an_unknown_format
r3 = *(u64 *)(r1 +0)
r3 = *(u64 *)(r3 +0)
*(u64 *)(r10 -8) = r3
r1 = r10
r1 += -8
r2 = 8
call bpf_trace_printk
r0 = 0
exit

== printk_by_a_format_that_differs
r3 = *(u64 *)(r1 +0)
r4 = *(u64 *)(r3 +0)
r5 = 0x7325
if r4 == 0 goto +1
r5 = 0x7825
*(u64 *)(r10 -8) = r5
r4 = 0
r5 = 0
r1 = r10
r1 += -8
r2 = 8
call bpf_trace_printk            ; error: R3 is an address, and the format prints it as a number
r0 = 0
exit

== printk_by_a_format_in_a_map_that_can_change
r3 = r10
r1 = map[data][0] ll
r2 = 4
call bpf_trace_printk            ; error: R3 is an address, and the format is not a constant
r0 = 0
exit

== printk_text
r3 = *(u64 *)(r1 +0)
*(u64 *)(r10 -8) = 0x7325
r1 = r10
r1 += -8
r2 = 3
call bpf_trace_printk
r0 = 0
exit

== printk_text_of_a_slice_or_null
r6 = r1
r1 = *(u64 *)(r6 +24)
r2 = r10
r2 += -24
call buffer_read
r1 = r10
r1 += -24
r2 = 0
r3 = 0
r4 = 8
call bpf_dynptr_slice
r3 = r0
*(u64 *)(r10 -8) = 0x7325
r1 = r10
r1 += -8
r2 = 3
call bpf_trace_printk
r0 = 0
exit

== printk_text_of_the_context
r3 = r1
*(u64 *)(r10 -8) = 0x7325
r1 = r10
r1 += -8
r2 = 3
call bpf_trace_printk            ; error: R3 is the context, which is no text
r0 = 0
exit

== printk_text_on_the_stack
*(u64 *)(r10 -8) = 0x7325
*(u64 *)(r10 -16) = 0x656d616e
r3 = r10
r3 += -16
r1 = r10
r1 += -8
r2 = 3
call bpf_trace_printk
r0 = 0
exit

== printk_text_that_goes_on_to_an_address
*(u64 *)(r10 -8) = r1
r3 = *(u64 *)(r1 +0)
r3 = *(u64 *)(r3 +0)
*(u64 *)(r10 -16) = r3
*(u64 *)(r10 -24) = 0x7325
r3 = r10
r3 += -16
r1 = r10
r1 += -24
r2 = 3
call bpf_trace_printk            ; error: R3 is a text that may go on to the address at off -8
r0 = 0
exit

== printk_text_that_ends_before_an_address
*(u64 *)(r10 -8) = r1
r3 = *(u64 *)(r1 +0)
r3 = *(u64 *)(r3 +0)
*(u64 *)(r10 -16) = r3
*(u8 *)(r10 -9) = 0
*(u64 *)(r10 -24) = 0x7325
r3 = r10
r3 += -16
r1 = r10
r1 += -24
r2 = 3
call bpf_trace_printk
r0 = 0
exit

== printk_text_that_starts_behind_its_end
*(u64 *)(r10 -8) = r1
r6 = *(u64 *)(r1 +0)
r7 = *(u64 *)(r6 +0)
r7 &= 7
r6 = *(u64 *)(r6 +8)
*(u64 *)(r10 -16) = r6
*(u8 *)(r10 -13) = 0
*(u64 *)(r10 -24) = 0x7325
r3 = r10
r3 += -16
r3 += r7
r1 = r10
r1 += -24
r2 = 3
call bpf_trace_printk            ; error: R3 is a text that may go on to the address at off -8
r0 = 0
exit

== printk_an_address_as_text
*(u64 *)(r10 -8) = 0x7325
*(u64 *)(r10 -16) = r10
r3 = r10
r3 += -16
r1 = r10
r1 += -8
r2 = 3
call bpf_trace_printk            ; error: R3 is a text that may go on to the address at off -16
r0 = 0
exit

== vprintk_words
r6 = *(u64 *)(r1 +0)
*(u64 *)(r10 -8) = 0x7325
*(u64 *)(r10 -16) = r6
r1 = r10
r1 += -8
r2 = 3
r3 = r10
r3 += -16
r4 = 8
call bpf_trace_vprintk
r0 = 0
exit

== vprintk_address_as_number
r6 = *(u64 *)(r1 +0)
*(u64 *)(r10 -8) = 0x7825
*(u64 *)(r10 -16) = r6
r1 = r10
r1 += -8
r2 = 3
r3 = r10
r3 += -16
r4 = 8
call bpf_trace_vprintk           ; error: R3 has a word (off -16) that is an address, and the format prints it as a number
r0 = 0
exit

== vprintk_address_in_the_second_word
r6 = *(u64 *)(r1 +0)
*(u64 *)(r10 -8) = 0x78257325
*(u64 *)(r10 -16) = r6
*(u64 *)(r10 -24) = r6
r1 = r10
r1 += -8
r2 = 5
r3 = r10
r3 += -24
r4 = 16
call bpf_trace_vprintk           ; error: R3 has a word (off -16) that is an address, and the format prints it as a number
r0 = 0
exit

== vprintk_part_of_an_address
r6 = *(u64 *)(r1 +0)
*(u64 *)(r10 -8) = 0x7325
*(u64 *)(r10 -16) = r6
*(u64 *)(r10 -24) = 0
r1 = r10
r1 += -8
r2 = 3
r3 = r10
r3 += -20
r4 = 8
call bpf_trace_vprintk           ; error: R3 may have part of an address, at off -16
r0 = 0
exit

== snprintf_text
r6 = *(u64 *)(r1 +0)
*(u64 *)(r10 -8) = r6
r1 = r10
r1 += -24
r2 = 16
r3 = map[text][0] ll
r4 = r10
r4 += -8
r5 = 8
call bpf_snprintf
r0 = *(u8 *)(r10 -24)
exit

== snprintf_address_as_number
r6 = *(u64 *)(r1 +0)
*(u64 *)(r10 -8) = 1
*(u64 *)(r10 -16) = r6
r1 = r10
r1 += -32
r2 = 16
r3 = map[text][3] ll
r4 = r10
r4 += -16
r5 = 8
call bpf_snprintf                ; error: R4 has a word (off -16) that is an address, and the format prints it as a number
r0 = 0
exit

== snprintf_over_what_it_prints
r6 = *(u64 *)(r1 +0)
*(u64 *)(r10 -8) = r6
r1 = r10
r1 += -8
r2 = 8
r3 = map[text][3] ll
r4 = r10
r4 += -8
r5 = 8
call bpf_snprintf                ; error: R4 has a word (off -8) that is an address, and the format prints it as a number
r0 = 0
exit

== text_that_ends_on_one_path_only
r1 = *(u64 *)(r1 +0)
r7 = *(u32 *)(r1 +0)
r8 = *(u32 *)(r1 +4)
r6 = 0x4141414141414141 ll
if r7 == 0 goto a
r6 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
a: *(u64 *)(r10 -16) = r6
*(u64 *)(r10 -8) = r10
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
r2 = 0
if r8 == 0 goto b
r2 = 1
b: *(u32 *)(r10 -20) = 0x7325
r1 = r10
r1 += -20
r2 = 4
r3 = r10
r3 += -16
call bpf_trace_printk            ; error: is a text that may go on to the address
r0 = 0
exit

== text_that_ends_in_a_constant
*(u64 *)(r10 -16) = 0x414141
*(u64 *)(r10 -8) = r10
*(u32 *)(r10 -20) = 0x7325
r1 = r10
r1 += -20
r2 = 4
r3 = r10
r3 += -16
call bpf_trace_printk
r0 = 0
exit
