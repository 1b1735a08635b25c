/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Patterns of names: whole names in pattern_names, the text of `prefix*` and `*suffix` patterns in pattern_affixes, of
 * which the first pattern_count[0] count.
 */
#ifndef PATTERNS_H
#define PATTERNS_H

#include "fuse_bpf.h"

#define NAME 256
#define MAX_NAMES 4096
#define MAX_AFFIXES 1024
#define PREFIX 1
#define SUFFIX 2

struct name {
	char text[NAME];
};

struct affix {
	uint32_t kind;
	uint32_t len;
	char text[NAME];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NAMES);
	__type(key, struct name);
	__type(value, uint32_t);
} pattern_names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_AFFIXES);
	__type(key, uint32_t);
	__type(value, struct affix);
} pattern_affixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint32_t);
} pattern_count SEC(".maps");

/* Whether `len` bytes of a name, zero-padded to NAME, match a pattern. */
static __noinline int matches(const char *name, uint32_t len)
{
	uint32_t zero = 0;
	uint32_t *count;

	if (bpf_map_lookup_elem(&pattern_names, name))
		return 1;
	count = bpf_map_lookup_elem(&pattern_count, &zero);
	if (!count)
		return 0;
	for (uint32_t i = 0; i < MAX_AFFIXES; i++) {
		struct affix *affix;
		uint32_t start, same;

		if (i >= *count)
			break;
		affix = bpf_map_lookup_elem(&pattern_affixes, &i);
		if (!affix || affix->len > len || affix->len >= NAME)
			continue;
		start = affix->kind == SUFFIX ? len - affix->len : 0;
		for (same = 0; same < NAME; same++) {
			uint32_t at = start + same;

			/* The compiler must index by what is compared, or nothing is proved of it. */
			barrier_var(at);
			if (same >= affix->len)
				return 1;
			if (at >= NAME || name[at] != affix->text[same])
				break;
		}
	}
	return 0;
}

static __always_inline int buffer_matches(struct fuse_buffer *buffer)
{
	struct name name = {};
	struct bpf_dynptr ptr;
	uint32_t len;

	bpf_dynptr_from_fuse_buffer_ro(buffer, 0, &ptr);
	len = bpf_dynptr_size(&ptr);
	/* The length counts the NUL. */
	if (len < 2 || len > NAME)
		return 0;
	len--;
	if (bpf_dynptr_read(name.text, len & (NAME - 1), &ptr, 0, 0))
		return 0;
	return matches(name.text, len);
}

#endif
