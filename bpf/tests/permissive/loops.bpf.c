/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Loops that end by themselves: iterators, bpf_loop, may_goto. */
#include "filter.h"

const volatile char pattern[8] = "*.tm*p";

/* A star matches anything: by going back to it. */
FILTER(glob, lookup_prefilter, META, struct fuse_buffer *name)
{
	struct bpf_dynptr ptr;
	uint32_t at = 0, p = 0, star = 8, mark = 0;
	struct bpf_iter_num it;
	int verdict = BPF_FUSE_CONTINUE;

	bpf_fuse_get_ro_dynptr(name, &ptr);
	bpf_iter_num_new(&it, 0, 1024);
	while (bpf_iter_num_next(&it)) {
		const char *c = bpf_dynptr_slice(&ptr, at, NULL, 1);

		if (!c || !*c) {
			while (p < 7 && pattern[p & 7] == '*')
				p++;
			if (p < 8 && !pattern[p])
				verdict = -ENOENT;
			break;
		}
		if (p < 8 && pattern[p] == '*') {
			star = p++;
			mark = at;
		} else if (p < 8 && pattern[p] == *c) {
			p++;
			at++;
		} else if (star < 8) {
			p = star + 1;
			at = ++mark;
		} else {
			break;
		}
	}
	bpf_iter_num_destroy(&it);
	return verdict;
}

MAP(names, ARRAY, 16, uint32_t, uint64_t[8]);

FILTER(nested_iterators, unlink_prefilter, META, struct fuse_buffer *name)
{
	struct bpf_iter_num outer, inner;
	uint64_t sum = 0;
	int *i, *j;

	bpf_iter_num_new(&outer, 0, 16);
	while ((i = bpf_iter_num_next(&outer))) {
		uint32_t key = *i;
		uint64_t *value = bpf_map_lookup_elem(&names, &key);

		if (!value)
			break;
		bpf_iter_num_new(&inner, 0, 8);
		while ((j = bpf_iter_num_next(&inner))) {
			uint32_t which = *j;

			if (which >= 8)
				break;
			sum += value[which];
		}
		bpf_iter_num_destroy(&inner);
	}
	bpf_iter_num_destroy(&outer);
	return sum & 1 ? -EPERM : BPF_FUSE_CONTINUE;
}

FILTER(repeated, rmdir_prefilter, META, struct fuse_buffer *name)
{
	struct bpf_iter_num it;
	uint32_t x = meta->nodeid, steps = 0;

	bpf_iter_num_new(&it, 0, 10000);
	while (x != 1 && bpf_iter_num_next(&it)) {
		x = x & 1 ? 3 * x + 1 : x / 2;
		steps++;
	}
	bpf_iter_num_destroy(&it);
	return steps > 100 ? -EACCES : BPF_FUSE_CONTINUE;
}

#if __clang_major__ >= 18
/* may_goto: goes on at `out` when the run has gone on for long. */
FILTER(counted_by_time, access_prefilter, META, struct fuse_access_in *in)
{
	uint32_t mask = in->mask, bits = 0;

	for (;;) {
		asm volatile goto(".byte 0xe5; .byte 0; .long ((%l[out] - . - 6) / 8) & 0xffff; .short 0" ::::out);
		if (!mask)
			break;
		bits += mask & 1;
		mask >>= 1;
	}
out:
	return bits > 2 ? -EACCES : BPF_FUSE_CONTINUE;
}
#endif

static long sum_up(uint32_t index, uint64_t *sum)
{
	uint32_t key = index & 15;
	uint64_t *value = bpf_map_lookup_elem(&names, &key);

	if (!value)
		return 1;
	*sum += value[index >> 4 & 7];
	return 0;
}

FILTER(called_often, flush_prefilter, META, struct fuse_flush_in *in)
{
	uint64_t sum = 0;

	bpf_loop(1 << 20, sum_up, &sum, 0);
	return sum > in->lock_owner ? -EIO : BPF_FUSE_CONTINUE;
}
