/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One source, two programs: a filter for fuse-bpf, and with -DORACLE a traffic classifier that does the
 * same to memory of maps, for the kernel's verifier to judge.
 *
 * In the second the arguments are values of arrays, a buffer is one of 4096 bytes, and its dynptr is one
 * of local memory. What differs by that: nothing is const, and structs are as large as buffers.
 */
#ifndef PERMISSIVE_FILTER_H
#define PERMISSIVE_FILTER_H

#include "fuse_bpf.h"

#define META const struct bpf_fuse_meta_info *meta
#define BUFFER_SIZE 4096

#ifdef ORACLE

struct oracle_area {
	uint64_t words[BUFFER_SIZE / 8];
};

#define ORACLE_AREA(name)                                                                          \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(max_entries, 1);                                                            \
		__type(key, uint32_t);                                                             \
		__type(value, struct oracle_area);                                                 \
	} name SEC(".maps")

ORACLE_AREA(oracle0);
ORACLE_AREA(oracle1);
ORACLE_AREA(oracle2);
ORACLE_AREA(oracle3);
ORACLE_AREA(oracle4);

#define ORACLE_ARG(n)                                                                              \
	({                                                                                         \
		uint32_t key = 0;                                                                  \
		void *area = bpf_map_lookup_elem(&oracle##n, &key);                                \
		if (!area)                                                                         \
			return 0;                                                                  \
		area;                                                                              \
	})

#undef ___fuse_bpf_ctx1
#undef ___fuse_bpf_ctx2
#undef ___fuse_bpf_ctx3
#undef ___fuse_bpf_ctx4
#undef ___fuse_bpf_ctx5
#define ___fuse_bpf_ctx1(x) ___fuse_bpf_ctx0(), ORACLE_ARG(0)
#define ___fuse_bpf_ctx2(x, args...) ___fuse_bpf_ctx1(args), ORACLE_ARG(1)
#define ___fuse_bpf_ctx3(x, args...) ___fuse_bpf_ctx2(args), ORACLE_ARG(2)
#define ___fuse_bpf_ctx4(x, args...) ___fuse_bpf_ctx3(args), ORACLE_ARG(3)
#define ___fuse_bpf_ctx5(x, args...) ___fuse_bpf_ctx4(args), ORACLE_ARG(4)

#define bpf_fuse_get_ro_dynptr(buffer, ptr) bpf_dynptr_from_mem((void *)(buffer), BUFFER_SIZE, 0, ptr)
#define bpf_fuse_get_rw_dynptr(buffer, ptr, size, copy) \
	bpf_dynptr_from_mem((void *)(buffer), BUFFER_SIZE, 0, ptr)
#define bpf_fuse_return_len(buffer) bpf_get_prandom_u32()
#define bpf_get_current_uid_gid() ((uint64_t)bpf_get_prandom_u32())

#define SECTION(member) SEC("tc")
#define SET(function, member)
#else
#define SECTION(member) SEC("struct_ops/" #member)
/* Names of sets are short, so they are numbers. */
#define TEXT(x) #x
#define NUMBERED(function, member, number)                                                         \
	SEC(".struct_ops") struct fuse_ops set_##function = { .member = (void *)function, .name = TEXT(number) };
#define SET(function, member) NUMBERED(function, member, __COUNTER__)
#endif

/* FILTER(name, member, arguments...): a set of one program. */
#define FILTER(function, member, args...)                                                          \
	uint32_t function(unsigned long long *ctx);                                                \
	SET(function, member)                                                                      \
	SECTION(member)                                                                            \
	uint32_t BPF_PROG(function, ##args)

#define MAP(name, kind, entries, key_type, value_type)                                             \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_##kind);                                                 \
		__uint(max_entries, entries);                                                      \
		__type(key, key_type);                                                             \
		__type(value, value_type);                                                         \
	} name SEC(".maps")

#define ARRAY_SIZE(x) (sizeof(x) / sizeof((x)[0]))

char _license[] SEC("license") = "Dual BSD/GPL";

#endif
