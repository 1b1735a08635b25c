/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For filters that touch every operation: a list of all member pairs with their arguments, and the
 * initialisers of a set that has them all.
 *
 * FUSE_OPS_ALL(PAIR) expands PAIR(member, names, prefilter arguments, postfilter arguments) for each. The
 * arguments are in parentheses, without `meta`; names is NONE, or the buffers that hold names in
 * parentheses.
 */
#ifndef FUSE_OPS_ALL_H
#define FUSE_OPS_ALL_H

#define FUSE_OPS_ARGS(...) , ##__VA_ARGS__

#define FUSE_OPS_ALL(PAIR)                                                                                 \
	PAIR(open, NONE, (struct fuse_open_in *in), (const struct fuse_open_in *in, struct fuse_open_out *out)) \
	PAIR(opendir, NONE, (struct fuse_open_in *in), (const struct fuse_open_in *in, struct fuse_open_out *out)) \
	PAIR(create_open, FIXED(name), (struct fuse_create_in *in, struct fuse_buffer *name),              \
	     (const struct fuse_create_in *in, const struct fuse_buffer *name,                             \
	      struct fuse_entry_out *entry_out, struct fuse_open_out *out))                                \
	PAIR(release, NONE, (struct fuse_release_in *in), (const struct fuse_release_in *in))              \
	PAIR(releasedir, NONE, (struct fuse_release_in *in), (const struct fuse_release_in *in))           \
	PAIR(flush, NONE, (struct fuse_flush_in *in), (const struct fuse_flush_in *in))                    \
	PAIR(lseek, NONE, (struct fuse_lseek_in *in), (const struct fuse_lseek_in *in, struct fuse_lseek_out *out)) \
	PAIR(copy_file_range, NONE, (struct fuse_copy_file_range_in *in),                                  \
	     (const struct fuse_copy_file_range_in *in, struct fuse_write_out *out))                       \
	PAIR(fsync, NONE, (struct fuse_fsync_in *in), (const struct fuse_fsync_in *in))                    \
	PAIR(dir_fsync, NONE, (struct fuse_fsync_in *in), (const struct fuse_fsync_in *in))                \
	PAIR(getxattr, EDIT(name), (struct fuse_getxattr_in *in, struct fuse_buffer *name),                \
	     (const struct fuse_getxattr_in *in, const struct fuse_buffer *name, struct fuse_buffer *value, \
	      struct fuse_getxattr_out *out))                                                              \
	PAIR(listxattr, NONE, (struct fuse_getxattr_in *in),                                               \
	     (const struct fuse_getxattr_in *in, struct fuse_buffer *value, struct fuse_getxattr_out *out)) \
	PAIR(setxattr, EDIT(name), (struct fuse_setxattr_in *in, struct fuse_buffer *name, struct fuse_buffer *value), \
	     (const struct fuse_setxattr_in *in, const struct fuse_buffer *name, const struct fuse_buffer *value)) \
	PAIR(removexattr, EDIT(name), (struct fuse_buffer *name), (const struct fuse_buffer *name))        \
	PAIR(read_iter, NONE, (struct fuse_read_in *in),                                                   \
	     (const struct fuse_read_in *in, struct fuse_read_iter_out *out, struct fuse_buffer *data))    \
	PAIR(write_iter, NONE, (struct fuse_write_in *in, struct fuse_buffer *data),                       \
	     (const struct fuse_write_in *in, struct fuse_write_iter_out *out, const struct fuse_buffer *data)) \
	PAIR(file_fallocate, NONE, (struct fuse_fallocate_in *in), (const struct fuse_fallocate_in *in))   \
	PAIR(lookup, EDIT(name), (struct fuse_buffer *name),                                               \
	     (const struct fuse_buffer *name, struct fuse_entry_out *out, struct fuse_buffer *entries))    \
	PAIR(mknod, FIXED(name), (struct fuse_mknod_in *in, struct fuse_buffer *name),                     \
	     (const struct fuse_mknod_in *in, const struct fuse_buffer *name))                             \
	PAIR(mkdir, FIXED(name), (struct fuse_mkdir_in *in, struct fuse_buffer *name),                     \
	     (const struct fuse_mkdir_in *in, const struct fuse_buffer *name))                             \
	PAIR(rmdir, FIXED(name), (struct fuse_buffer *name), (const struct fuse_buffer *name))             \
	PAIR(rename2, FIXED(old_name), (struct fuse_rename2_in *in, struct fuse_buffer *old_name, struct fuse_buffer *new_name), \
	     (const struct fuse_rename2_in *in, const struct fuse_buffer *old_name, const struct fuse_buffer *new_name)) \
	PAIR(rename, FIXED(old_name), (struct fuse_rename_in *in, struct fuse_buffer *old_name, struct fuse_buffer *new_name), \
	     (const struct fuse_rename_in *in, const struct fuse_buffer *old_name, const struct fuse_buffer *new_name)) \
	PAIR(unlink, FIXED(name), (struct fuse_buffer *name), (const struct fuse_buffer *name))            \
	PAIR(link, EDIT(name), (struct fuse_link_in *in, struct fuse_buffer *name),                        \
	     (const struct fuse_link_in *in, const struct fuse_buffer *name))                              \
	PAIR(getattr, NONE, (struct fuse_getattr_in *in), (const struct fuse_getattr_in *in, struct fuse_attr_out *out)) \
	PAIR(setattr, NONE, (struct fuse_setattr_in *in), (const struct fuse_setattr_in *in, struct fuse_attr_out *out)) \
	PAIR(statfs, NONE, (), (struct fuse_statfs_out *out))                                              \
	PAIR(get_link, EDIT(name), (struct fuse_buffer *name),                                             \
	     (const struct fuse_buffer *name, struct fuse_buffer *target))                                 \
	PAIR(symlink, FIXED(name), (struct fuse_buffer *name, struct fuse_buffer *path),                   \
	     (const struct fuse_buffer *name, const struct fuse_buffer *path))                             \
	PAIR(readdir, NONE, (struct fuse_read_in *in),                                                     \
	     (const struct fuse_read_in *in, struct fuse_read_out *out, struct fuse_buffer *buffer))       \
	PAIR(access, NONE, (struct fuse_access_in *in), (const struct fuse_access_in *in))

/* Member initialisers for the programs a PAIR macro named like the members. */
#define FUSE_OPS_MEMBER(member, names, pre, post)                                                          \
	.member##_prefilter = (void *)member##_prefilter, .member##_postfilter = (void *)member##_postfilter,

#endif /* FUSE_OPS_ALL_H */
