/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fields of structs: flags of opens, attributes of entries, timeouts. */
#include "filter.h"

#define O_ACCMODE 3
#define O_TRUNC 01000
#define FOPEN_KEEP_CACHE 2

FILTER(open_readonly, open_prefilter, META, struct fuse_open_in *in)
{
	if ((in->flags & O_ACCMODE) != 0)
		return -EROFS;
	in->flags &= ~O_TRUNC;
	in->open_flags |= 0x80000000u;
	return BPF_FUSE_POSTFILTER;
}

FILTER(open_keep, open_postfilter, META, const struct fuse_open_in *in, struct fuse_open_out *out)
{
	if (in->flags & O_ACCMODE)
		out->open_flags &= ~FOPEN_KEEP_CACHE;
	else
		out->open_flags |= FOPEN_KEEP_CACHE;
	out->fh |= 1ull << 63;
	return BPF_FUSE_CONTINUE;
}

FILTER(create_readonly, create_open_prefilter, META, struct fuse_create_in *in, struct fuse_buffer *name)
{
	in->mode = (in->mode & ~0777u) | ((in->mode & ~in->umask) & 0755);
	return in->flags & 0100 ? -EROFS : BPF_FUSE_CONTINUE;
}

FILTER(setattr_some, setattr_prefilter, META, struct fuse_setattr_in *in)
{
	/* Mode, owner and size may not be changed, times may. */
	uint32_t refused = (1u << 0) | (1u << 1) | (1u << 2) | (1u << 3);

	if (in->valid & refused)
		return meta->nodeid == 1 ? -EPERM : -EACCES;
	if (in->valid & (1u << 5))
		in->mtime = in->atime > in->mtime ? in->atime : in->mtime;
	return BPF_FUSE_CONTINUE;
}

static __always_inline void squash(struct fuse_attr *attr)
{
	attr->uid = attr->uid ? 1000 : 0;
	attr->gid = 100;
	attr->mode &= ~0022u;
	attr->mtime = attr->mtime / 3600 * 3600;
	attr->mtimensec = 0;
	attr->blocks = (attr->size + 511) / 512;
}

FILTER(lookup_attributes, lookup_postfilter, META, const struct fuse_buffer *name, struct fuse_entry_out *out,
       struct fuse_buffer *entries)
{
	if (meta->error_in)
		return -meta->error_in;
	squash(&out->attr);
	out->entry_valid = out->attr_valid = 1;
	out->entry_valid_nsec = out->attr_valid_nsec = 500000000;
	if (out->nodeid == 42) {
		out->nodeid = 43;
		out->generation++;
	}
	return BPF_FUSE_CONTINUE;
}

FILTER(getattr_attributes, getattr_postfilter, META, const struct fuse_getattr_in *in, struct fuse_attr_out *out)
{
	if (in->getattr_flags & 1)
		return BPF_FUSE_CONTINUE;
	squash(&out->attr);
	out->attr_valid = (out->attr.mode & 0170000) == 0040000 ? 10 : 1;
	return BPF_FUSE_CONTINUE;
}

FILTER(statfs_scale, statfs_postfilter, META, struct fuse_statfs_out *out)
{
	struct fuse_kstatfs *st = &out->st;

	if (!st->bsize || st->bsize % 512)
		return -EIO;
	st->blocks = st->blocks * st->bsize / 4096;
	st->bfree = st->bfree * st->bsize / 4096;
	st->bavail = st->bavail > st->bfree ? st->bfree : st->bavail;
	st->bsize = st->frsize = 4096;
	return BPF_FUSE_CONTINUE;
}

/* All of it at once, by the compiler's memcpy. */
FILTER(struct_copy, getattr_postfilter, META, const struct fuse_getattr_in *in, struct fuse_attr_out *out)
{
	struct fuse_attr attr = out->attr;

	attr.mode |= 0400;
	attr.nlink = 1;
	out->attr = attr;
	return BPF_FUSE_CONTINUE;
}
