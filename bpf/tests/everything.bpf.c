/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * everything: all 65 members, each doing all it may do without changing anything. It reads every name,
 * takes write access to every buffer it may write and writes back what was there, copies the fields of
 * its structs onto themselves, and counts. A mount through it must behave like the plain directory.
 */
#include "fuse_bpf.h"
#include "fuse_ops_all.h"

#define NAME 256

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 128);
	__type(key, uint32_t);
	__type(value, uint64_t);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, uint32_t);
	__type(value, uint64_t);
} users SEC(".maps");

uint64_t failures;

/* Counts a call: prefilters in the first 64 slots, postfilters in the others. */
static __noinline uint32_t count(const struct bpf_fuse_meta_info *meta)
{
	uint32_t slot = meta->opcode & 63;
	uint32_t uid = bpf_get_current_uid_gid();
	uint64_t one = 1, *n;

	if (meta->opcode & FUSE_POSTFILTER)
		slot += 64;
	n = bpf_map_lookup_elem(&calls, &slot);
	if (n)
		(*n)++;
	n = bpf_map_lookup_elem(&users, &uid);
	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(&users, &uid, &one, BPF_ANY);
	if (meta->error_in)
		__sync_fetch_and_add(&failures, 1);
	return meta->opcode & FUSE_PREFILTER ? BPF_FUSE_POSTFILTER : BPF_FUSE_CONTINUE;
}

/* Reads a name. */
static __noinline void look(const struct fuse_buffer *name)
{
	char text[NAME] = {};
	struct bpf_dynptr ptr;
	uint32_t len = bpf_fuse_return_len((struct fuse_buffer *)name);

	if (len > NAME)
		len = NAME;
	bpf_fuse_get_ro_dynptr(name, &ptr);
	if (len)
		bpf_dynptr_read(text, len, &ptr, 0, 0);
}

/* Takes write access to a name and writes back what was there. */
static __noinline void rewrite(struct fuse_buffer *name)
{
	char text[NAME] = {};
	struct bpf_dynptr ptr;
	uint32_t len = bpf_fuse_return_len(name);

	if (!len || len > NAME)
		return;
	bpf_fuse_get_rw_dynptr(name, &ptr, len, true);
	if (!bpf_dynptr_read(text, len, &ptr, 0, 0))
		bpf_dynptr_write(&ptr, 0, text, len, 0);
}

#define NONE (void)0
#define FIXED(name) look(name)
/* Afterwards names are const. */
#define EDIT(name) (after ? look(name) : rewrite((struct fuse_buffer *)name))

#define EVERYTHING(member, names, pre, post)                                                               \
	SEC("struct_ops/" #member "_prefilter")                                                            \
	uint32_t BPF_PROG(member##_prefilter, const struct bpf_fuse_meta_info *meta FUSE_OPS_ARGS pre)     \
	{                                                                                                  \
		const bool after = false;                                                                  \
		(void)after;                                                                               \
		names;                                                                                     \
		return count(meta);                                                                        \
	}                                                                                                  \
	SEC("struct_ops/" #member "_postfilter")                                                           \
	uint32_t BPF_PROG(member##_postfilter, const struct bpf_fuse_meta_info *meta FUSE_OPS_ARGS post)   \
	{                                                                                                  \
		const bool after = true;                                                                   \
		(void)after;                                                                               \
		names;                                                                                     \
		return count(meta);                                                                        \
	}

FUSE_OPS_ALL(EVERYTHING)

SEC("struct_ops/default_filter")
uint32_t BPF_PROG(default_filter, const struct bpf_fuse_meta_info *meta)
{
	return count(meta);
}

SEC(".struct_ops")
struct fuse_ops everything = {
	.default_filter = (void *)default_filter,
	FUSE_OPS_ALL(FUSE_OPS_MEMBER)
	.name = "everything",
};

char _license[] SEC("license") = "Dual BSD/GPL";
