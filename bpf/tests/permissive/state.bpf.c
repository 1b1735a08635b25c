/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Maps that keep what happened: quotas by user, decisions by name, rates, faults. */
#include "filter.h"

struct quota {
	struct bpf_spin_lock lock;
	uint32_t denied;
	uint64_t bytes;
	uint64_t limit;
};

MAP(quotas, HASH, 1024, uint32_t, struct quota);
MAP(counters, HASH, 1024, uint32_t, uint64_t);

FILTER(quota_write, write_iter_prefilter, META, struct fuse_write_in *in)
{
	uint32_t uid = bpf_get_current_uid_gid();
	struct quota *quota = bpf_map_lookup_elem(&quotas, &uid);
	int over;

	if (!quota) {
		struct quota fresh = { .limit = 1 << 20 };

		bpf_map_update_elem(&quotas, &uid, &fresh, BPF_NOEXIST);
		quota = bpf_map_lookup_elem(&quotas, &uid);
		if (!quota)
			return -ENOSPC;
	}
	bpf_spin_lock(&quota->lock);
	over = quota->bytes + in->size > quota->limit;
	if (over)
		quota->denied++;
	else
		quota->bytes += in->size;
	bpf_spin_unlock(&quota->lock);
	return over ? -EDQUOT : BPF_FUSE_CONTINUE;
}

/* The old value of a counter needs -mcpu=v3. */
#if CPU >= 3
FILTER(count_opens, open_prefilter, META, struct fuse_open_in *in)
{
	uint32_t uid = bpf_get_current_uid_gid();
	uint64_t *count = bpf_map_lookup_elem(&counters, &uid), one = 1;

	if (!count) {
		bpf_map_update_elem(&counters, &uid, &one, BPF_ANY);
		return BPF_FUSE_CONTINUE;
	}
	if (__sync_fetch_and_add(count, 1) >= 64) {
		__sync_fetch_and_add(count, -1ull);
		return -EBUSY;
	}
	return BPF_FUSE_CONTINUE;
}
#endif

FILTER(count_releases, release_prefilter, META, struct fuse_release_in *in)
{
	uint32_t uid = bpf_get_current_uid_gid();
	uint64_t *count = bpf_map_lookup_elem(&counters, &uid);

	if (count && *count)
		__sync_fetch_and_sub(count, 1);
	else
		bpf_map_delete_elem(&counters, &uid);
	return BPF_FUSE_CONTINUE;
}

struct decision_key {
	uint64_t parent;
	uint64_t hash;
};

struct decision {
	uint64_t when;
	int32_t verdict;
	uint32_t hits;
};

MAP(decisions, LRU_HASH, 4096, struct decision_key, struct decision);
MAP(statistics, PERCPU_ARRAY, 4, uint32_t, uint64_t);

static __always_inline void bump(uint32_t which)
{
	uint64_t *value = bpf_map_lookup_elem(&statistics, &which);

	if (value)
		*value += 1;
}

static __always_inline uint64_t hash_of(struct fuse_buffer *name)
{
	struct bpf_dynptr ptr;
	uint64_t hash = 0xcbf29ce484222325ull;

	bpf_fuse_get_ro_dynptr(name, &ptr);
	for (int i = 0; i < 64; i++) {
		const unsigned char *at = bpf_dynptr_slice(&ptr, i, NULL, 1);

		if (!at || !*at)
			break;
		hash = (hash ^ *at) * 0x100000001b3ull;
	}
	return hash;
}

FILTER(cached_decision, lookup_prefilter, META, struct fuse_buffer *name)
{
	struct decision_key key = { meta->nodeid, hash_of(name) };
	struct decision *known = bpf_map_lookup_elem(&decisions, &key);
	struct decision fresh = { .verdict = -ENOENT };

	if (known && bpf_ktime_get_ns() - known->when < 1000000000ull) {
		__sync_fetch_and_add(&known->hits, 1);
		bump(0);
		return known->verdict;
	}
	bump(1);
	fresh.when = bpf_ktime_get_ns();
	if (key.hash & 1)
		fresh.verdict = 0;
	bpf_map_update_elem(&decisions, &key, &fresh, BPF_ANY);
	return fresh.verdict;
}

FILTER(forget_decision, unlink_prefilter, META, struct fuse_buffer *name)
{
	struct decision_key key = { meta->nodeid, hash_of(name) };

	if (bpf_map_delete_elem(&decisions, &key))
		bump(2);
	else
		bump(3);
	return BPF_FUSE_CONTINUE;
}

struct bucket {
	struct bpf_spin_lock lock;
	uint32_t pad;
	uint64_t tokens;
	uint64_t last;
};

MAP(buckets, ARRAY, 16, uint32_t, struct bucket);

FILTER(rate_limit, read_iter_prefilter, META, struct fuse_read_in *in)
{
	uint32_t slot = meta->nodeid & 15;
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &slot);
	uint64_t now = bpf_ktime_get_ns(), gained;
	int allowed = 0;

	if (!bucket)
		return -EIO;
	bpf_spin_lock(&bucket->lock);
	gained = (now - bucket->last) / 1000000;
	bucket->last = now;
	bucket->tokens = bucket->tokens + gained > 100 ? 100 : bucket->tokens + gained;
	if (bucket->tokens) {
		bucket->tokens--;
		allowed = 1;
	}
	bpf_spin_unlock(&bucket->lock);
	return allowed ? BPF_FUSE_CONTINUE : -EAGAIN;
}

MAP(marks, ARRAY, 1, uint32_t, uint64_t);

FILTER(greatest_offset, read_iter_prefilter, META, struct fuse_read_in *in)
{
	uint32_t zero = 0;
	uint64_t *mark = bpf_map_lookup_elem(&marks, &zero);

	if (!mark)
		return -EIO;
	for (int i = 0; i < 16; i++) {
		uint64_t old = *mark;

		if (old >= in->offset || __sync_val_compare_and_swap(mark, old, in->offset) == old)
			return BPF_FUSE_CONTINUE;
	}
	return -EAGAIN;
}

struct faults {
	uint32_t percent;
	uint32_t count;
	int32_t errors[8];
	uint64_t histogram[64];
};

MAP(fault_config, ARRAY, 1, uint32_t, struct faults);

FILTER(inject_fault, read_iter_prefilter, META, struct fuse_read_in *in)
{
	uint32_t zero = 0, which;
	struct faults *faults = bpf_map_lookup_elem(&fault_config, &zero);

	if (!faults || bpf_get_prandom_u32() % 100 >= faults->percent)
		return BPF_FUSE_CONTINUE;
	which = bpf_get_prandom_u32() & 7;
	__sync_fetch_and_add(&faults->count, 1);
	return faults->errors[which];
}

FILTER(size_histogram, write_iter_prefilter, META, struct fuse_write_in *in)
{
	uint32_t zero = 0, size = in->size, bits = 0;
	struct faults *faults = bpf_map_lookup_elem(&fault_config, &zero);

	if (!faults)
		return BPF_FUSE_CONTINUE;
	for (int i = 0; i < 32; i++) {
		if (!size)
			break;
		size >>= 1;
		bits++;
	}
	if (bits < 64)
		__sync_fetch_and_add(&faults->histogram[bits], 1);
	return BPF_FUSE_CONTINUE;
}

FILTER(fault_by_opcode, default_filter, META)
{
	uint32_t zero = 0, op = meta->opcode & FUSE_OPCODE_FILTER;
	struct faults *faults = bpf_map_lookup_elem(&fault_config, &zero);

	if (!faults || op >= 64 || !(0x0000f00ff0000ffeull >> op & 1))
		return BPF_FUSE_CONTINUE;
	return faults->histogram[op] > 10 ? -EIO : BPF_FUSE_CONTINUE;
}
