/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * readonly: nothing changes. Every operation that would change something fails with EROFS, as on a file
 * system mounted read-only; everything else goes through.
 *
 * What is said of most operations follows from the operation alone, so nothing is run for them: it is known when
 * the filter is loaded.
 */
#include "fuse_bpf.h"

#define O_ACCMODE 3
#define O_TRUNC 01000
#define W_OK 2

FUSE_FILTER(names, change_names)
{
	return op == FUSE_LOOKUP ? BPF_FUSE_CONTINUE : -EROFS;
}

FUSE_FILTER(renames, move_names)
{
	return -EROFS;
}

FUSE_FILTER(files, open_to_write)
{
	if (op == FUSE_OPEN && stage == FUSE_PRE && in->open.flags & (O_ACCMODE | O_TRUNC))
		return -EROFS;
	return BPF_FUSE_CONTINUE;
}

FUSE_FILTER(data, write_data)
{
	return op == FUSE_READ || op == FUSE_LSEEK ? BPF_FUSE_CONTINUE : -EROFS;
}

FUSE_FILTER(attributes, set_attributes)
{
	if (op == FUSE_ACCESS && stage == FUSE_PRE && in->access.mask & W_OK)
		return -EROFS;
	return op == FUSE_SETATTR ? -EROFS : BPF_FUSE_CONTINUE;
}

FUSE_FILTER(xattrs, set_xattrs)
{
	return op == FUSE_SETXATTR || op == FUSE_REMOVEXATTR ? -EROFS : BPF_FUSE_CONTINUE;
}

/* An ioctl may set inode flags. */
FUSE_FILTER(default_filter, others)
{
	return op == FUSE_IOCTL ? -EROFS : BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_filter readonly = {
	.names = (void *)change_names,
	.renames = (void *)move_names,
	.files = (void *)open_to_write,
	.data = (void *)write_data,
	.attributes = (void *)set_attributes,
	.xattrs = (void *)set_xattrs,
	.default_filter = (void *)others,
	.name = "readonly",
};

char _license[] SEC("license") = "Dual BSD/GPL";
