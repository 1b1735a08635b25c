/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Functions that are called: static and global, four deep, by callbacks, by programs in maps. */
#include "filter.h"

MAP(policies, HASH, 64, uint64_t, uint64_t);
MAP(settings, ARRAY, 8, uint32_t, uint64_t);

struct request {
	uint64_t nodeid;
	uint32_t flags;
	uint32_t rights;
};

static __noinline uint64_t *policy_of(uint64_t nodeid)
{
	uint64_t *policy = bpf_map_lookup_elem(&policies, &nodeid);
	uint32_t fallback = 7;

	return policy ? policy : bpf_map_lookup_elem(&settings, &fallback);
}

static __noinline int third(struct request *request)
{
	uint64_t *policy = policy_of(request->nodeid);

	if (!policy)
		return -ENOENT;
	request->rights &= *policy;
	return 0;
}

static __noinline int second(struct request *request, uint32_t flags)
{
	request->flags |= flags;
	return third(request);
}

static __noinline int first(struct request *request, uint32_t flags)
{
	int error = second(request, flags | 1);

	return error ? error : second(request, flags | 2);
}

FILTER(static_functions, open_prefilter, META, struct fuse_open_in *in)
{
	struct request request = { meta->nodeid, in->flags, ~0u };
	int error = first(&request, in->open_flags);

	if (error)
		return error;
	in->open_flags = request.flags;
	return request.rights & 1 ? BPF_FUSE_CONTINUE : -EACCES;
}

__noinline int judge(uint32_t mode, uint32_t mask)
{
	uint32_t bits = 0;

	for (int i = 0; i < 9; i++)
		if (mode >> i & 1)
			bits += mask >> i & 1;
	return bits;
}

__noinline int fill(struct request *request, uint32_t flags)
{
	if (!request)
		return -EINVAL;
	request->flags = flags;
	request->rights = judge(flags, request->rights);
	return 0;
}

__noinline int starts_with(const struct bpf_dynptr *ptr, uint32_t what)
{
	char text[4];

	if (bpf_dynptr_read(text, sizeof(text), ptr, 0, 0))
		return 0;
	return text[0] == (char)what || text[3] == (char)(what >> 8);
}

FILTER(global_functions, mkdir_prefilter, META, struct fuse_mkdir_in *in, struct fuse_buffer *name)
{
	struct request request = { meta->nodeid, 0, 0755 };
	struct bpf_dynptr ptr;

	bpf_fuse_get_ro_dynptr(name, &ptr);
	if (fill(&request, in->mode) || starts_with(&ptr, '.' | '~' << 8))
		return -EACCES;
	return judge(in->mode, in->umask) > 6 ? -EPERM : BPF_FUSE_CONTINUE;
}

struct sums {
	uint64_t total;
	uint32_t count;
	uint32_t most;
	char *text;
};

static long add_digit(uint32_t index, uint32_t *sum)
{
	*sum += index;
	return *sum > 1000;
}

static long add_value(void *map, uint64_t *key, uint64_t *value, struct sums *sums)
{
	uint32_t digits = 0;

	sums->total += *value;
	sums->count++;
	bpf_loop(*value & 31, add_digit, &digits, 0);
	if (digits > sums->most)
		sums->most = digits;
	if (sums->count < 16)
		sums->text[sums->count] = digits ? '+' : '-';
	return sums->count >= 100;
}

FILTER(nested_callbacks, access_prefilter, META, struct fuse_access_in *in)
{
	char text[16] = {};
	struct sums sums = { .text = text };

	bpf_for_each_map_elem(&policies, add_value, &sums, 0);
	if (text[1] == '+' && sums.most > in->mask)
		return -EACCES;
	return sums.total ? BPF_FUSE_CONTINUE : -EIO;
}

#ifdef ORACLE
#define STEP_SECTION "tc"
#else
#define STEP_SECTION "struct_ops/rmdir_prefilter"
#endif

FILTER(step_one, rmdir_prefilter, META, struct fuse_buffer *name)
{
	return bpf_fuse_return_len(name) > 10 ? -EACCES : BPF_FUSE_CONTINUE;
}

#ifdef ORACLE
MAP(steps, PROG_ARRAY, 4, uint32_t, uint32_t);
#else
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 4);
	__array(values, uint32_t(unsigned long long *));
} steps SEC(".maps") = {
	.values = { [0] = (void *)&step_one },
};
#endif

FILTER(tail_constant, rmdir_prefilter, META, struct fuse_buffer *name)
{
	if (meta->nodeid == 1)
		bpf_tail_call(ctx, &steps, 0);
	return -EPERM;
}

FILTER(tail_variable, rmdir_prefilter, META, struct fuse_buffer *name)
{
	bpf_tail_call(ctx, &steps, meta->nodeid & 3);
	return BPF_FUSE_CONTINUE;
}
