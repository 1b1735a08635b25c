/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * families: a program for every family, each doing all it may do without changing anything. It reads every name,
 * takes write access to every buffer it may write and writes back what was there, copies fields of its structs onto
 * themselves, and counts. A mount through it must behave like the plain directory.
 */
#include "fuse_bpf.h"

#define NAME 256

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 128);
	__type(key, uint32_t);
	__type(value, uint64_t);
} calls SEC(".maps");

/* Counts a call: before the operation in the first 64 slots, after it in the others. */
static __noinline uint32_t count(enum fuse_opcode op, enum fuse_stage stage)
{
	uint32_t slot = (op & 63) + (stage == FUSE_POST ? 64 : 0);
	uint64_t *n = bpf_map_lookup_elem(&calls, &slot);

	if (n)
		(*n)++;
	return stage == FUSE_PRE ? BPF_FUSE_POSTFILTER : BPF_FUSE_CONTINUE;
}

/* Reads a buffer; one that is not there is empty. */
static __noinline void look(const struct fuse_buffer *buffer)
{
	char text[NAME] = {};
	struct bpf_dynptr ptr;
	uint32_t len;

	bpf_dynptr_from_fuse_buffer_ro(buffer, 0, &ptr);
	len = bpf_dynptr_size(&ptr);
	if (len > NAME)
		len = NAME;
	if (len)
		bpf_dynptr_read(text, len, &ptr, 0, 0);
}

/* Takes write access and writes back what was there. */
static __noinline void rewrite(struct fuse_buffer *buffer)
{
	char text[NAME] = {};
	struct bpf_dynptr ptr;
	uint32_t len;

	bpf_dynptr_from_fuse_buffer_ro(buffer, 0, &ptr);
	if (bpf_fuse_buffer_resize(buffer, bpf_dynptr_size(&ptr)) ||
	    bpf_dynptr_from_fuse_buffer_rw(buffer, 0, &ptr))
		return;
	len = bpf_dynptr_size(&ptr);
	if (len > NAME)
		len = NAME;
	if (len && !bpf_dynptr_read(text, len, &ptr, 0, 0))
		bpf_dynptr_write(&ptr, 0, text, len, 0);
}

/* A load and a store that the compiler keeps. */
#define SAME(field) (*(volatile typeof(field) *)&(field) = *(volatile typeof(field) *)&(field))

FUSE_FILTER(names, all_names)
{
	look(name);
	look(path);
	look(entries);
	if (stage == FUSE_POST) {
		if (op == FUSE_LOOKUP || op == FUSE_CREATE)
			SAME(out->entry.attr.mode);
		if (op == FUSE_CREATE)
			SAME(out->open.open_flags);
		return count(op, stage);
	}
	if (op == FUSE_LOOKUP || op == FUSE_LINK)
		rewrite(name);
	if (op == FUSE_SYMLINK)
		rewrite(path);
	if (op == FUSE_CREATE)
		SAME(in->create.flags);
	if (op == FUSE_MKNOD)
		SAME(in->mknod.rdev);
	if (op == FUSE_MKDIR)
		SAME(in->mkdir.mode);
	if (op == FUSE_LINK)
		SAME(in->link.oldnodeid);
	return count(op, stage);
}

FUSE_FILTER(renames, all_renames)
{
	look(old_name);
	look(new_name);
	if (stage == FUSE_PRE && op == FUSE_RENAME)
		SAME(in->rename.newdir);
	if (stage == FUSE_PRE && op == FUSE_RENAME2)
		SAME(in->rename2.flags);
	return count(op, stage);
}

FUSE_FILTER(files, all_files)
{
	if (op == FUSE_OPEN || op == FUSE_OPENDIR) {
		if (stage == FUSE_PRE)
			SAME(in->open.flags);
		else
			SAME(out->open_flags);
	}
	if (stage == FUSE_PRE && op == FUSE_FLUSH)
		SAME(in->flush.lock_owner);
	if (stage == FUSE_PRE && (op == FUSE_FSYNC || op == FUSE_FSYNCDIR))
		SAME(in->fsync.fsync_flags);
	if (stage == FUSE_PRE && (op == FUSE_RELEASE || op == FUSE_RELEASEDIR))
		SAME(in->release.flags);
	return count(op, stage);
}

FUSE_FILTER(data, all_data)
{
	if (op == FUSE_READ) {
		if (stage == FUSE_PRE)
			SAME(in->read.size);
		else
			SAME(out->read_iter.ret);
	}
	if (op == FUSE_WRITE) {
		if (stage == FUSE_PRE)
			SAME(in->write.offset);
		else
			SAME(out->write_iter.ret);
	}
	if (op == FUSE_LSEEK) {
		if (stage == FUSE_PRE)
			SAME(in->lseek.whence);
		else
			SAME(out->lseek.offset);
	}
	if (op == FUSE_FALLOCATE && stage == FUSE_PRE)
		SAME(in->fallocate.mode);
	if (op == FUSE_COPY_FILE_RANGE) {
		if (stage == FUSE_PRE)
			SAME(in->copy_file_range.len);
		else
			SAME(out->write.size);
	}
	return count(op, stage);
}

FUSE_FILTER(attributes, all_attributes)
{
	if (stage == FUSE_POST) {
		if (op == FUSE_GETATTR || op == FUSE_SETATTR)
			SAME(out->attr.attr.size);
		if (op == FUSE_STATFS)
			SAME(out->statfs.st.blocks);
		return count(op, stage);
	}
	if (op == FUSE_GETATTR)
		SAME(in->getattr.getattr_flags);
	if (op == FUSE_SETATTR)
		SAME(in->setattr.valid);
	if (op == FUSE_ACCESS)
		SAME(in->access.mask);
	return count(op, stage);
}

FUSE_FILTER(xattrs, all_xattrs)
{
	look(name);
	look(value);
	if (stage == FUSE_PRE) {
		if (op != FUSE_LISTXATTR)
			rewrite(name);
		if (op == FUSE_SETXATTR) {
			rewrite(value);
			SAME(in->setxattr.flags);
		}
		if (op == FUSE_GETXATTR || op == FUSE_LISTXATTR)
			SAME(in->getxattr.size);
	} else if (op == FUSE_GETXATTR || op == FUSE_LISTXATTR) {
		rewrite(value);
		SAME(out->size);
	}
	return count(op, stage);
}

FUSE_FILTER(records, all_records)
{
	if (stage == FUSE_PRE) {
		SAME(in->offset);
	} else {
		rewrite(buffer);
		SAME(out->offset);
	}
	return count(op, stage);
}

FUSE_FILTER(links, all_links)
{
	look(name);
	if (stage == FUSE_PRE)
		rewrite(name);
	return count(op, stage);
}

FUSE_FILTER(default_filter, all_others)
{
	return count(op, stage);
}

SEC(".struct_ops")
struct fuse_filter families = {
	.default_filter = (void *)all_others,
	.names = (void *)all_names,
	.renames = (void *)all_renames,
	.files = (void *)all_files,
	.data = (void *)all_data,
	.attributes = (void *)all_attributes,
	.xattrs = (void *)all_xattrs,
	.records = (void *)all_records,
	.links = (void *)all_links,
	.name = "families",
};

char _license[] SEC("license") = "Dual BSD/GPL";
