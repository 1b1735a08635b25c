/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * series: program sets that do what those of the series' own tests do (spec section 13.1), written as filters for
 * the series are: against a vmlinux.h, with the series' names, in `.struct_ops`.
 */
#include "series_vmlinux.h"

#define NAME 256

/* The text of a buffer, cut to what fits. */
static __attribute__((always_inline)) void text_of(const struct fuse_buffer *buffer, char *text)
{
	struct bpf_dynptr ptr;
	uint32_t len = bpf_fuse_return_len((struct fuse_buffer *)buffer);

	if (len > NAME)
		len = NAME;
	bpf_fuse_get_ro_dynptr(buffer, &ptr);
	if (len)
		bpf_dynptr_read(text, len, &ptr, 0, 0);
	text[NAME - 1] = 0;
}

#define IS(text, literal) (bpf_strncmp(text, sizeof(literal), literal) == 0)

/* Prefilters that print a line and change nothing: trace_ops and, where it has none of its own, test_trace_ops. */
#define TRACED(name, line, type) \
	BPF_STRUCT_OPS(uint32_t, trace_##name, META, type) \
	{ \
		bpf_printk(line); \
		return BPF_FUSE_CONTINUE; \
	}

TRACED(access, "Access: ", struct fuse_access_in *in)
TRACED(getattr, "Get Attr ", struct fuse_getattr_in *in)
TRACED(setattr, "Set Attr ", struct fuse_setattr_in *in)
TRACED(opendir, "Open Dir: ", struct fuse_open_in *in)
TRACED(create, "Create ", struct fuse_create_in *in)
TRACED(open, "Open: ", struct fuse_open_in *in)
TRACED(mknod, "mknod ", struct fuse_mknod_in *in)
TRACED(mkdir, "mkdir: ", struct fuse_mkdir_in *in)
TRACED(rmdir, "rmdir: ", struct fuse_buffer *name)
TRACED(rename, "rename from ", struct fuse_rename_in *in)
TRACED(rename2, "rename from ", struct fuse_rename2_in *in)
TRACED(unlink, "unlink: ", struct fuse_buffer *name)
TRACED(link, "link: ", struct fuse_link_in *in)
TRACED(symlink, "symlink from ", struct fuse_buffer *name)
TRACED(get_link, "readlink from ", struct fuse_buffer *name)
TRACED(release, "Release: ", struct fuse_release_in *in)
TRACED(releasedir, "Release Dir: ", struct fuse_release_in *in)
TRACED(flush, "flush ", struct fuse_flush_in *in)
TRACED(fallocate, "fallocate ", struct fuse_fallocate_in *in)
TRACED(getxattr, "getxattr ", struct fuse_getxattr_in *in)
TRACED(listxattr, "listxattr ", struct fuse_getxattr_in *in)
TRACED(setxattr, "setxattr ", struct fuse_setxattr_in *in)
TRACED(removexattr, "removexattr ", struct fuse_buffer *name)

BPF_STRUCT_OPS(uint32_t, trace_readdir, META, struct fuse_read_in *in)
{
	bpf_printk("Read Dir: fh %lu", in->fh);
	return BPF_FUSE_CONTINUE;
}

BPF_STRUCT_OPS(uint32_t, trace_read, META, struct fuse_read_in *in)
{
	bpf_printk("Read: fh %lu, offset %lu", in->fh, in->offset);
	return BPF_FUSE_CONTINUE;
}

BPF_STRUCT_OPS(uint32_t, trace_write, META, struct fuse_write_in *in)
{
	bpf_printk("Write: fh %lu, offset %lu", in->fh, in->offset);
	return BPF_FUSE_CONTINUE;
}

BPF_STRUCT_OPS(uint32_t, trace_lseek, META, struct fuse_lseek_in *in)
{
	bpf_printk("lseek type %d", in->whence);
	return BPF_FUSE_CONTINUE;
}

BPF_STRUCT_OPS(uint32_t, trace_statfs, META)
{
	bpf_printk("statfs");
	return BPF_FUSE_CONTINUE;
}

BPF_STRUCT_OPS(uint32_t, trace_lookup, META, struct fuse_buffer *name)
{
	char text[NAME] = {};

	text_of(name, text);
	bpf_printk("Lookup: %lu %s", meta->nodeid, text);
	return meta->nodeid == 1 ? BPF_FUSE_USER_PREFILTER : BPF_FUSE_CONTINUE;
}

/* What both sets that trace have in common. */
#define TRACE_OPS \
	.access_prefilter = (void *)trace_access, \
	.create_open_prefilter = (void *)trace_create, \
	.mknod_prefilter = (void *)trace_mknod, \
	.mkdir_prefilter = (void *)trace_mkdir, \
	.rmdir_prefilter = (void *)trace_rmdir, \
	.rename_prefilter = (void *)trace_rename, \
	.rename2_prefilter = (void *)trace_rename2, \
	.unlink_prefilter = (void *)trace_unlink, \
	.link_prefilter = (void *)trace_link, \
	.symlink_prefilter = (void *)trace_symlink, \
	.get_link_prefilter = (void *)trace_get_link, \
	.release_prefilter = (void *)trace_release, \
	.releasedir_prefilter = (void *)trace_releasedir, \
	.write_iter_prefilter = (void *)trace_write, \
	.flush_prefilter = (void *)trace_flush, \
	.file_fallocate_prefilter = (void *)trace_fallocate, \
	.getxattr_prefilter = (void *)trace_getxattr, \
	.listxattr_prefilter = (void *)trace_listxattr, \
	.setxattr_prefilter = (void *)trace_setxattr, \
	.removexattr_prefilter = (void *)trace_removexattr, \
	.statfs_prefilter = (void *)trace_statfs, \
	.lseek_prefilter = (void *)trace_lseek

SEC(".struct_ops")
struct fuse_ops trace_ops = {
	TRACE_OPS,
	.getattr_prefilter = (void *)trace_getattr,
	.setattr_prefilter = (void *)trace_setattr,
	.opendir_prefilter = (void *)trace_opendir,
	.readdir_prefilter = (void *)trace_readdir,
	.open_prefilter = (void *)trace_open,
	.read_iter_prefilter = (void *)trace_read,
	.lookup_prefilter = (void *)trace_lookup,
	.name = "trace_ops",
};

/* Inodes get numbers by which the other programs of the set know them. */
BPF_STRUCT_OPS(uint32_t, tt_lookup_pre, META, struct fuse_buffer *name)
{
	char text[NAME] = {};

	text_of(name, text);
	bpf_printk("Lookup: %lu %s", meta->nodeid, text);
	if (IS(text, "partial") || IS(text, "file1") || IS(text, "file2") || IS(text, "dir") || IS(text, "dir2") ||
	    IS(text, "real"))
		return BPF_FUSE_POSTFILTER;
	return BPF_FUSE_USER;
}

BPF_STRUCT_OPS(uint32_t, tt_lookup_post, META, const struct fuse_buffer *name, struct fuse_entry_out *out,
	       struct fuse_buffer *entries)
{
	char text[NAME] = {};

	text_of(name, text);
	if (IS(text, "real"))
		out->nodeid = 5;
	else if (IS(text, "partial"))
		out->nodeid = 6;
	return BPF_FUSE_CONTINUE;
}

BPF_STRUCT_OPS(uint32_t, tt_open_pre, META, struct fuse_open_in *in)
{
	bpf_printk("Open: %lu", meta->nodeid);
	switch (meta->nodeid) {
	case 5:
		return BPF_FUSE_CONTINUE;
	case 6:
		return BPF_FUSE_POSTFILTER;
	default:
		return BPF_FUSE_USER;
	}
}

BPF_STRUCT_OPS(uint32_t, tt_open_post, META, const struct fuse_open_in *in, struct fuse_open_out *out)
{
	bpf_printk("Open postfilter");
	return BPF_FUSE_USER_POSTFILTER;
}

BPF_STRUCT_OPS(uint32_t, tt_read_pre, META, struct fuse_read_in *in)
{
	bpf_printk("read %lu %lu", in->fh, in->offset);
	return in->fh == 1 && in->offset == 0 ? BPF_FUSE_USER : BPF_FUSE_CONTINUE;
}

BPF_STRUCT_OPS(uint32_t, tt_getattr_pre, META, struct fuse_getattr_in *in)
{
	bpf_printk("getattr %lu", meta->nodeid);
	return meta->nodeid == 1 || meta->nodeid == 5 || meta->nodeid == 6 ? BPF_FUSE_CONTINUE : BPF_FUSE_USER;
}

BPF_STRUCT_OPS(uint32_t, tt_setattr_pre, META, struct fuse_setattr_in *in)
{
	bpf_printk("setattr %lu", meta->nodeid);
	return meta->nodeid == 1 || meta->nodeid == 5 || meta->nodeid == 6 ? BPF_FUSE_CONTINUE : BPF_FUSE_USER;
}

BPF_STRUCT_OPS(uint32_t, tt_opendir_pre, META, struct fuse_open_in *in)
{
	bpf_printk("opendir %lu", meta->nodeid);
	return meta->nodeid == 1 ? BPF_FUSE_POSTFILTER : BPF_FUSE_USER;
}

BPF_STRUCT_OPS(uint32_t, tt_opendir_post, META, const struct fuse_open_in *in, struct fuse_open_out *out)
{
	out->fh = 2;
	return BPF_FUSE_CONTINUE;
}

BPF_STRUCT_OPS(uint32_t, tt_readdir_pre, META, struct fuse_read_in *in)
{
	bpf_printk("readdir %lu", in->fh);
	return in->fh == 2 ? BPF_FUSE_POSTFILTER : BPF_FUSE_USER;
}

BPF_STRUCT_OPS(uint32_t, tt_readdir_post, META, const struct fuse_read_in *in, struct fuse_read_out *out,
	       struct fuse_buffer *buffer)
{
	return in->fh == 2 ? BPF_FUSE_USER_POSTFILTER : BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_ops test_trace_ops = {
	TRACE_OPS,
	.lookup_prefilter = (void *)tt_lookup_pre,
	.lookup_postfilter = (void *)tt_lookup_post,
	.open_prefilter = (void *)tt_open_pre,
	.open_postfilter = (void *)tt_open_post,
	.read_iter_prefilter = (void *)tt_read_pre,
	.getattr_prefilter = (void *)tt_getattr_pre,
	.setattr_prefilter = (void *)tt_setattr_pre,
	.opendir_prefilter = (void *)tt_opendir_pre,
	.opendir_postfilter = (void *)tt_opendir_post,
	.readdir_prefilter = (void *)tt_readdir_pre,
	.readdir_postfilter = (void *)tt_readdir_post,
	.name = "test_trace_ops",
};

BPF_STRUCT_OPS(uint32_t, redact_pre, META, struct fuse_read_in *in)
{
	return BPF_FUSE_POSTFILTER;
}

BPF_STRUCT_OPS(uint32_t, redact_post, META, const struct fuse_read_in *in, struct fuse_read_out *out,
	       struct fuse_buffer *buffer)
{
	return BPF_FUSE_USER_POSTFILTER;
}

SEC(".struct_ops")
struct fuse_ops readdir_redact = {
	.readdir_prefilter = (void *)redact_pre,
	.readdir_postfilter = (void *)redact_post,
	.name = "readdir_redact",
};

static __attribute__((always_inline)) uint32_t hidden(const struct fuse_buffer *name)
{
	char text[NAME] = {};

	text_of(name, text);
	return IS(text, "hide") ? -ENOENT : BPF_FUSE_CONTINUE;
}

BPF_STRUCT_OPS(uint32_t, hidden_lookup, META, struct fuse_buffer *name)
{
	return hidden(name);
}

BPF_STRUCT_OPS(uint32_t, hidden_create, META, struct fuse_create_in *in, struct fuse_buffer *name)
{
	bpf_printk("Create");
	return hidden(name);
}

BPF_STRUCT_OPS(uint32_t, hidden_access, META, struct fuse_access_in *in)
{
	bpf_printk("Access: %lu", meta->nodeid);
	return BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_ops test_hidden = {
	.lookup_prefilter = (void *)hidden_lookup,
	.access_prefilter = (void *)hidden_access,
	.create_open_prefilter = (void *)hidden_create,
	.name = "test_hidden",
};

BPF_STRUCT_OPS(uint32_t, error_mkdir_pre, META, struct fuse_mkdir_in *in, struct fuse_buffer *name)
{
	return BPF_FUSE_POSTFILTER;
}

BPF_STRUCT_OPS(uint32_t, error_mkdir_post, META, const struct fuse_mkdir_in *in, const struct fuse_buffer *name)
{
	return (int)meta->error_in == -EEXIST ? -EPERM : BPF_FUSE_CONTINUE;
}

BPF_STRUCT_OPS(uint32_t, error_lookup_pre, META, struct fuse_buffer *name)
{
	return BPF_FUSE_POSTFILTER;
}

BPF_STRUCT_OPS(uint32_t, error_lookup_post, META, const struct fuse_buffer *name, struct fuse_entry_out *out,
	       struct fuse_buffer *entries)
{
	char text[NAME] = {};

	text_of(name, text);
	return IS(text, "doesnotexist") ? BPF_FUSE_USER_POSTFILTER : BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_ops test_error = {
	.mkdir_prefilter = (void *)error_mkdir_pre,
	.mkdir_postfilter = (void *)error_mkdir_post,
	.lookup_prefilter = (void *)error_lookup_pre,
	.lookup_postfilter = (void *)error_lookup_post,
	.name = "test_error",
};

BPF_STRUCT_OPS(uint32_t, plus_readdir, META, struct fuse_read_in *in)
{
	return BPF_FUSE_USER;
}

SEC(".struct_ops")
struct fuse_ops readdir_plus = {
	.readdir_prefilter = (void *)plus_readdir,
	.name = "readdir_plus",
};

BPF_STRUCT_OPS(uint32_t, passthrough_post, META, const struct fuse_buffer *name, struct fuse_entry_out *out,
	       struct fuse_buffer *entries)
{
	struct bpf_dynptr ptr;
	struct fuse_bpf_entry_out block = { .entry_type = FUSE_ENTRY_REMOVE_BPF };

	bpf_fuse_get_rw_dynptr(entries, &ptr, 24, false);
	bpf_dynptr_write(&ptr, 0, &block, 24, 0);
	return BPF_FUSE_USER_POSTFILTER;
}

SEC(".struct_ops")
struct fuse_ops passthrough = {
	.lookup_prefilter = (void *)error_lookup_pre,
	.lookup_postfilter = (void *)passthrough_post,
	.name = "passthrough",
};

BPF_STRUCT_OPS(uint32_t, lookup_post_post, META, const struct fuse_buffer *name, struct fuse_entry_out *out,
	       struct fuse_buffer *entries)
{
	return BPF_FUSE_USER_POSTFILTER;
}

SEC(".struct_ops")
struct fuse_ops lookup_post = {
	.lookup_prefilter = (void *)error_lookup_pre,
	.lookup_postfilter = (void *)lookup_post_post,
	.name = "lookup_post",
};

char _license[] SEC("license") = "GPL";
