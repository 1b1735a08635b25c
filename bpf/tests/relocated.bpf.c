/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * relocated: a filter written against the headers of another kernel, as a vmlinux.h of it would be. Fields lie
 * elsewhere there, some have other widths, some do not exist here: all is found when the filter is loaded.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define EACCES 13

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* More fields, in another order. */
struct bpf_fuse_meta_info {
	u64 reserved[4];
	u32 error_out;
	u32 error_in;
	u64 opcode;
	u64 nodeid;
	u32 caller_domain;
};

struct fuse_attr {
	u32 uid;
	u32 gid;
	u16 mode;
	u64 size;
	u64 ino;
};

struct fuse_entry_out {
	struct fuse_attr attr;
	u64 attr_valid;
	u64 entry_valid;
	u64 nodeid;
};

struct fuse_open_in {
	u32 access_domain;
	u32 open_flags;
	u32 flags;
};

struct task_struct {
	int pid;
};

#pragma clang attribute pop

enum fuse_opcode {
	FUSE_OPEN = 114,
	FUSE_OF_ANOTHER_KERNEL = 115,
};

struct fuse_buffer;

struct fuse_ops___other {
	u32 (*lookup_postfilter)(const struct bpf_fuse_meta_info *meta, const struct fuse_buffer *name,
				 struct fuse_entry_out *out, struct fuse_buffer *entries);
	u32 (*lookup_prefilter)(const struct bpf_fuse_meta_info *meta, struct fuse_buffer *name);
	u32 (*open_prefilter)(const struct bpf_fuse_meta_info *meta, struct fuse_open_in *in);
	char name[15];
};

SEC("struct_ops/before") u32 before(u64 *ctx)
{
	struct bpf_fuse_meta_info *meta = (void *)ctx[0];

	/* BPF_FUSE_POSTFILTER. */
	return meta->nodeid == 77 ? 3 : -1;
}

/* Says which field is not what the test put there. */
SEC("struct_ops/lookup") u32 lookup(u64 *ctx)
{
	struct bpf_fuse_meta_info *meta = (void *)ctx[0];
	struct fuse_entry_out *out = (void *)ctx[2];

	if (meta->nodeid != 77 || meta->error_in)
		return -1;
	if (out->attr.uid != 1000 || out->attr.gid != 1001 || out->attr.size != 0x100000000ull)
		return -2;
	/* 32 bits here: the load becomes one of them. */
	if (out->attr.mode != 0100644)
		return -3;
	out->attr.uid = 1234;
	out->entry_valid = 9;
	return 0;
}

SEC("struct_ops/open") u32 open(u64 *ctx)
{
	struct bpf_fuse_meta_info *meta = (void *)ctx[0];
	struct fuse_open_in *in = (void *)ctx[1];
	struct task_struct *task = (void *)ctx[0];

	/* 14 wherever it is compiled, if the enumerator is found. */
	if ((meta->opcode & 0xffff) != __builtin_preserve_enum_value(*(enum fuse_opcode *)FUSE_OPEN, 1))
		return -1;
	if (__builtin_preserve_enum_value(*(enum fuse_opcode *)FUSE_OF_ANOTHER_KERNEL, 0))
		return -2;
	if (__builtin_preserve_field_info(meta->caller_domain, 2))
		return meta->caller_domain;
	if (__builtin_preserve_type_info(*(struct task_struct *)0, 0))
		return task->pid;
	return in->flags & 1 ? -EACCES : 0;
}

SEC(".struct_ops.link") struct fuse_ops___other relocated = {
	.lookup_prefilter = (void *)before,
	.lookup_postfilter = (void *)lookup,
	.open_prefilter = (void *)open,
	.name = "relocated",
};

char _license[] SEC("license") = "Dual BSD/GPL";
