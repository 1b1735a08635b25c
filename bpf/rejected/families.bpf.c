/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * families: programs of struct fuse_filter that forget to ask which operation it is, or which stage; and one that
 * asks.
 */
#include "fuse_bpf.h"

FUSE_FILTER(names, asks)
{
	struct bpf_dynptr ptr;

	if (stage == FUSE_POST) {
		if (op == FUSE_LOOKUP || op == FUSE_CREATE)
			out->entry.nodeid = 0;
		return BPF_FUSE_CONTINUE;
	}
	if (op == FUSE_LOOKUP || op == FUSE_LINK)
		bpf_dynptr_from_fuse_buffer_rw(name, 0, &ptr);
	if (op == FUSE_MKNOD)
		in->mknod.rdev = 0;
	return op == FUSE_MKDIR && in->mkdir.umask ? -EPERM : BPF_FUSE_POSTFILTER;
}

/* In-structs are const afterwards. */
FUSE_FILTER(names, late)
{
	if (op == FUSE_MKNOD)
		in->mknod.rdev = 0;
	return BPF_FUSE_CONTINUE;
}

/* There are no results before. */
FUSE_FILTER(attributes, early)
{
	if (op == FUSE_GETATTR)
		return out->attr.attr.uid ? BPF_FUSE_CONTINUE : -EPERM;
	return BPF_FUSE_CONTINUE;
}

/* Only mknod has it. */
FUSE_FILTER(names, other)
{
	return stage == FUSE_PRE && in->mknod.rdev ? -EPERM : BPF_FUSE_CONTINUE;
}

/* Not every name may be changed. */
FUSE_FILTER(names, fixed)
{
	struct bpf_dynptr ptr;

	if (stage == FUSE_PRE)
		bpf_dynptr_from_fuse_buffer_rw(name, 0, &ptr);
	return BPF_FUSE_CONTINUE;
}

/* Only symbolic links have a path. */
FUSE_FILTER(names, absent)
{
	if (stage == FUSE_PRE && op != FUSE_SYMLINK)
		bpf_fuse_buffer_resize(path, 1);
	return BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_filter asks_first = { .names = (void *)asks, .name = "asks" };
SEC(".struct_ops")
struct fuse_filter too_late = { .names = (void *)late, .name = "late" };
SEC(".struct_ops")
struct fuse_filter too_early = { .attributes = (void *)early, .name = "early" };
SEC(".struct_ops")
struct fuse_filter another = { .names = (void *)other, .name = "other" };
SEC(".struct_ops")
struct fuse_filter fixed_name = { .names = (void *)fixed, .name = "fixed" };
SEC(".struct_ops")
struct fuse_filter absent_path = { .names = (void *)absent, .name = "absent" };

char _license[] SEC("license") = "Dual BSD/GPL";
