/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * twins: one policy written twice, as struct fuse_ops and as struct fuse_filter. A test compares what they do.
 *
 * Names that start with "secret" are not found and cannot be made; "alias" is looked up as "real"; files are not
 * opened for appending; targets of new symbolic links lose what is behind their fifth byte; "user.upper" is stored
 * and shown in capitals; nobody sees set-user-ID bits; pages of records are cut to their first; what is called
 * "plain" is filtered by the set of families from then on; an ioctl is refused.
 */
#include "fuse_bpf.h"

#define O_APPEND 02000
#define S_ISUID 04000
#define TEXT 16

/* The first bytes of a name, and how long it is without its NUL. */
struct start {
	char text[TEXT];
	uint32_t len;
};

static __always_inline void start_of(const struct fuse_buffer *buffer, struct start *start)
{
	struct bpf_dynptr ptr;

	start->len = bpf_fuse_return_len((struct fuse_buffer *)buffer);
	if (start->len)
		start->len--;
	bpf_fuse_get_ro_dynptr(buffer, &ptr);
	bpf_dynptr_read(start->text, start->len < TEXT ? start->len : TEXT, &ptr, 0, 0);
}

static __always_inline int is(const struct start *start, const char *text, uint32_t len, int exactly)
{
	if (exactly ? start->len != len : start->len < len)
		return 0;
	for (uint32_t i = 0; i < len; i++)
		if (start->text[i] != text[i])
			return 0;
	return 1;
}

static __always_inline int secret(const struct fuse_buffer *name)
{
	struct start start = {};

	start_of(name, &start);
	return is(&start, "secret", 6, 0);
}

static __always_inline void capitals(struct bpf_dynptr *ptr)
{
	for (uint32_t i = 0; i < TEXT; i++) {
		char *c = bpf_dynptr_data(ptr, i, 1);

		if (!c)
			break;
		if (*c >= 'a' && *c <= 'z')
			*c -= 'a' - 'A';
	}
}

static __always_inline void attach_families(struct bpf_dynptr *ptr)
{
	struct fuse_bpf_entry_out block = { .entry_type = FUSE_ENTRY_BPF };

	__builtin_memcpy(block.name, "families", 8);
	bpf_dynptr_write(ptr, 0, &block, sizeof(block), 0);
}

/* The series' interface. */

SEC("struct_ops/lookup_prefilter")
uint32_t BPF_PROG(lookup_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_buffer *name)
{
	struct start start = {};
	struct bpf_dynptr ptr;

	start_of(name, &start);
	if (is(&start, "secret", 6, 0))
		return -ENOENT;
	if (is(&start, "alias", 5, 1)) {
		bpf_fuse_get_rw_dynptr(name, &ptr, 5, false);
		bpf_dynptr_write(&ptr, 0, "real", 5, 0);
	}
	return BPF_FUSE_POSTFILTER;
}

SEC("struct_ops/lookup_postfilter")
uint32_t BPF_PROG(lookup_postfilter, const struct bpf_fuse_meta_info *meta, const struct fuse_buffer *name,
		  struct fuse_entry_out *out, struct fuse_buffer *entries)
{
	struct start start = {};
	struct bpf_dynptr ptr;

	out->attr.mode &= ~S_ISUID;
	start_of(name, &start);
	if (is(&start, "plain", 5, 1)) {
		bpf_fuse_get_rw_dynptr(entries, &ptr, sizeof(struct fuse_bpf_entry_out), false);
		attach_families(&ptr);
	}
	return BPF_FUSE_CONTINUE;
}

#define MAKE(member, args...)                                                                              \
	SEC("struct_ops/" #member)                                                                         \
	uint32_t BPF_PROG(member, const struct bpf_fuse_meta_info *meta, ##args)                           \
	{                                                                                                  \
		return secret(name) ? -EACCES : BPF_FUSE_CONTINUE;                                         \
	}

MAKE(create_open_prefilter, struct fuse_create_in *in, struct fuse_buffer *name)
MAKE(mknod_prefilter, struct fuse_mknod_in *in, struct fuse_buffer *name)
MAKE(mkdir_prefilter, struct fuse_mkdir_in *in, struct fuse_buffer *name)
MAKE(link_prefilter, struct fuse_link_in *in, struct fuse_buffer *name)

SEC("struct_ops/symlink_prefilter")
uint32_t BPF_PROG(symlink_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_buffer *name,
		  struct fuse_buffer *path)
{
	struct bpf_dynptr ptr;

	if (secret(name))
		return -EACCES;
	if (bpf_fuse_return_len(path) > 6) {
		bpf_fuse_get_rw_dynptr(path, &ptr, 6, true);
		bpf_dynptr_write(&ptr, 5, "", 1, 0);
	}
	return BPF_FUSE_CONTINUE;
}

SEC("struct_ops/open_prefilter")
uint32_t BPF_PROG(open_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_open_in *in)
{
	in->flags &= ~O_APPEND;
	return BPF_FUSE_CONTINUE;
}

SEC("struct_ops/setxattr_prefilter")
uint32_t BPF_PROG(setxattr_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_setxattr_in *in,
		  struct fuse_buffer *name, struct fuse_buffer *value)
{
	struct start start = {};
	struct bpf_dynptr ptr;

	start_of(name, &start);
	if (is(&start, "user.upper", 10, 1)) {
		bpf_fuse_get_rw_dynptr(value, &ptr, bpf_fuse_return_len(value), true);
		capitals(&ptr);
	}
	return BPF_FUSE_CONTINUE;
}

SEC("struct_ops/getxattr_prefilter")
uint32_t BPF_PROG(getxattr_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_getxattr_in *in,
		  struct fuse_buffer *name)
{
	struct start start = {};

	start_of(name, &start);
	return is(&start, "user.upper", 10, 1) ? BPF_FUSE_POSTFILTER : BPF_FUSE_CONTINUE;
}

SEC("struct_ops/getxattr_postfilter")
uint32_t BPF_PROG(getxattr_postfilter, const struct bpf_fuse_meta_info *meta, const struct fuse_getxattr_in *in,
		  const struct fuse_buffer *name, struct fuse_buffer *value, struct fuse_getxattr_out *out)
{
	struct bpf_dynptr ptr;

	bpf_fuse_get_rw_dynptr(value, &ptr, bpf_fuse_return_len(value), true);
	capitals(&ptr);
	return BPF_FUSE_CONTINUE;
}

#define ATTRIBUTES(member, type)                                                                           \
	SEC("struct_ops/" #member "_prefilter")                                                            \
	uint32_t BPF_PROG(member##_prefilter, const struct bpf_fuse_meta_info *meta, struct type *in)      \
	{                                                                                                  \
		return BPF_FUSE_POSTFILTER;                                                                \
	}                                                                                                  \
	SEC("struct_ops/" #member "_postfilter")                                                           \
	uint32_t BPF_PROG(member##_postfilter, const struct bpf_fuse_meta_info *meta,                      \
			  const struct type *in, struct fuse_attr_out *out)                                \
	{                                                                                                  \
		out->attr.mode &= ~S_ISUID;                                                                \
		return BPF_FUSE_CONTINUE;                                                                  \
	}

ATTRIBUTES(getattr, fuse_getattr_in)
ATTRIBUTES(setattr, fuse_setattr_in)

SEC("struct_ops/readdir_prefilter")
uint32_t BPF_PROG(readdir_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_read_in *in)
{
	return BPF_FUSE_POSTFILTER;
}

/* The length of the first record, if there is more. */
static __always_inline uint32_t first_record(struct bpf_dynptr *page, uint32_t size)
{
	struct fuse_dirent record;
	uint32_t len;

	if (bpf_dynptr_read(&record, sizeof(record), page, 0, 0) || record.namelen > 255)
		return 0;
	len = (sizeof(record) + record.namelen + 7) & ~7u;
	return len < size ? len : 0;
}

SEC("struct_ops/readdir_postfilter")
uint32_t BPF_PROG(readdir_postfilter, const struct bpf_fuse_meta_info *meta, const struct fuse_read_in *in,
		  struct fuse_read_out *out, struct fuse_buffer *buffer)
{
	struct bpf_dynptr page;
	uint32_t len;

	bpf_fuse_get_ro_dynptr(buffer, &page);
	len = first_record(&page, bpf_fuse_return_len(buffer));
	if (len)
		bpf_fuse_get_rw_dynptr(buffer, &page, len, true);
	return BPF_FUSE_CONTINUE;
}

SEC("struct_ops/default_filter")
uint32_t BPF_PROG(default_filter, const struct bpf_fuse_meta_info *meta)
{
	return (meta->opcode & FUSE_OPCODE_FILTER) == FUSE_IOCTL ? -EPERM : BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_ops series = {
	.default_filter = (void *)default_filter,
	.lookup_prefilter = (void *)lookup_prefilter,
	.lookup_postfilter = (void *)lookup_postfilter,
	.create_open_prefilter = (void *)create_open_prefilter,
	.mknod_prefilter = (void *)mknod_prefilter,
	.mkdir_prefilter = (void *)mkdir_prefilter,
	.link_prefilter = (void *)link_prefilter,
	.symlink_prefilter = (void *)symlink_prefilter,
	.open_prefilter = (void *)open_prefilter,
	.setxattr_prefilter = (void *)setxattr_prefilter,
	.getxattr_prefilter = (void *)getxattr_prefilter,
	.getxattr_postfilter = (void *)getxattr_postfilter,
	.getattr_prefilter = (void *)getattr_prefilter,
	.getattr_postfilter = (void *)getattr_postfilter,
	.setattr_prefilter = (void *)setattr_prefilter,
	.setattr_postfilter = (void *)setattr_postfilter,
	.readdir_prefilter = (void *)readdir_prefilter,
	.readdir_postfilter = (void *)readdir_postfilter,
	.name = "series",
};

/* The same by families. */

static __always_inline void first_bytes(const struct fuse_buffer *buffer, struct start *start)
{
	struct bpf_dynptr ptr;

	bpf_dynptr_from_fuse_buffer_ro(buffer, 0, &ptr);
	start->len = bpf_dynptr_size(&ptr);
	if (start->len)
		start->len--;
	bpf_dynptr_read(start->text, start->len < TEXT ? start->len : TEXT, &ptr, 0, 0);
}

FUSE_FILTER(names, dir_names)
{
	struct start start = {};
	struct bpf_dynptr ptr;

	if (op == FUSE_UNLINK || op == FUSE_RMDIR || (stage == FUSE_POST && op != FUSE_LOOKUP))
		return BPF_FUSE_CONTINUE;
	first_bytes(name, &start);
	if (stage == FUSE_POST) {
		out->entry.attr.mode &= ~S_ISUID;
		if (is(&start, "plain", 5, 1) &&
		    !bpf_fuse_buffer_resize(entries, sizeof(struct fuse_bpf_entry_out)) &&
		    !bpf_dynptr_from_fuse_buffer_rw(entries, 0, &ptr))
			attach_families(&ptr);
		return BPF_FUSE_CONTINUE;
	}
	if (is(&start, "secret", 6, 0))
		return op == FUSE_LOOKUP ? -ENOENT : -EACCES;
	if (op == FUSE_SYMLINK) {
		bpf_dynptr_from_fuse_buffer_ro(path, 0, &ptr);
		if (bpf_dynptr_size(&ptr) > 6) {
			bpf_fuse_buffer_resize(path, 6);
			bpf_dynptr_from_fuse_buffer_rw(path, 0, &ptr);
			bpf_dynptr_write(&ptr, 5, "", 1, 0);
		}
	}
	if (op != FUSE_LOOKUP)
		return BPF_FUSE_CONTINUE;
	if (is(&start, "alias", 5, 1)) {
		bpf_fuse_buffer_resize(name, 5);
		bpf_dynptr_from_fuse_buffer_rw(name, 0, &ptr);
		bpf_dynptr_write(&ptr, 0, "real", 5, 0);
	}
	return BPF_FUSE_POSTFILTER;
}

FUSE_FILTER(files, no_append)
{
	if (op == FUSE_OPEN && stage == FUSE_PRE)
		in->open.flags &= ~O_APPEND;
	return BPF_FUSE_CONTINUE;
}

FUSE_FILTER(attributes, no_suid)
{
	if (op != FUSE_GETATTR && op != FUSE_SETATTR)
		return BPF_FUSE_CONTINUE;
	if (stage == FUSE_PRE)
		return BPF_FUSE_POSTFILTER;
	out->attr.attr.mode &= ~S_ISUID;
	return BPF_FUSE_CONTINUE;
}

FUSE_FILTER(xattrs, upper)
{
	struct start start = {};
	struct bpf_dynptr ptr;

	if (op != FUSE_SETXATTR && op != FUSE_GETXATTR)
		return BPF_FUSE_CONTINUE;
	first_bytes(name, &start);
	if (!is(&start, "user.upper", 10, 1))
		return BPF_FUSE_CONTINUE;
	if (stage == FUSE_PRE) {
		if (op == FUSE_GETXATTR)
			return BPF_FUSE_POSTFILTER;
		bpf_dynptr_from_fuse_buffer_ro(value, 0, &ptr);
		bpf_fuse_buffer_resize(value, bpf_dynptr_size(&ptr));
	} else if (op == FUSE_SETXATTR) {
		return BPF_FUSE_CONTINUE;
	}
	bpf_dynptr_from_fuse_buffer_rw(value, 0, &ptr);
	capitals(&ptr);
	return BPF_FUSE_CONTINUE;
}

FUSE_FILTER(records, one_record)
{
	struct bpf_dynptr page;
	uint32_t len;

	if (stage == FUSE_PRE)
		return BPF_FUSE_POSTFILTER;
	bpf_dynptr_from_fuse_buffer_ro(buffer, 0, &page);
	len = first_record(&page, bpf_dynptr_size(&page));
	if (len)
		bpf_fuse_buffer_resize(buffer, len);
	return BPF_FUSE_CONTINUE;
}

FUSE_FILTER(default_filter, no_ioctl)
{
	return op == FUSE_IOCTL ? -EPERM : BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_filter families = {
	.default_filter = (void *)no_ioctl,
	.names = (void *)dir_names,
	.files = (void *)no_append,
	.attributes = (void *)no_suid,
	.xattrs = (void *)upper,
	.records = (void *)one_record,
	.name = "families",
};

char _license[] SEC("license") = "Dual BSD/GPL";
