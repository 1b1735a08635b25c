/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Buffers that are changed: names that grow, bytes in place, directory pages that shrink. */
#include "filter.h"

FILTER(append_suffix, create_open_prefilter, META, struct fuse_create_in *in, struct fuse_buffer *name)
{
	struct bpf_dynptr ptr;
	uint32_t len = bpf_fuse_return_len(name);
	char suffix[5] = ".bak";

	if (len < 2 || len > 250)
		return -ENAMETOOLONG;
	bpf_fuse_get_rw_dynptr(name, &ptr, len + 4, true);
	if (bpf_dynptr_write(&ptr, len - 1, suffix, sizeof(suffix), 0))
		return -EIO;
	return BPF_FUSE_CONTINUE;
}

FILTER(lower_case, mkdir_prefilter, META, struct fuse_mkdir_in *in, struct fuse_buffer *name)
{
	struct bpf_dynptr ptr;
	uint32_t len = bpf_fuse_return_len(name);

	if (len > 256)
		return -ENAMETOOLONG;
	bpf_fuse_get_rw_dynptr(name, &ptr, len, true);
	for (int i = 0; i < 256; i++) {
		char *at;

		if (i >= len)
			break;
		at = bpf_dynptr_slice_rdwr(&ptr, i, NULL, 1);
		if (!at)
			break;
		if (*at >= 'A' && *at <= 'Z')
			*at |= 0x20;
	}
	return BPF_FUSE_CONTINUE;
}

FILTER(first_letter, rename_prefilter, META, struct fuse_rename_in *in, struct fuse_buffer *old_name,
       struct fuse_buffer *new_name)
{
	struct bpf_dynptr from, to;
	char *a, *b;

	bpf_fuse_get_ro_dynptr(old_name, &from);
	bpf_fuse_get_rw_dynptr(new_name, &to, bpf_fuse_return_len(new_name), true);
	a = bpf_dynptr_slice(&from, 0, NULL, 1);
	b = bpf_dynptr_slice_rdwr(&to, 0, NULL, 1);
	if (!a || !b)
		return -EINVAL;
	*b = *a;
	return BPF_FUSE_CONTINUE;
}

struct entry {
	uint64_t ino;
	uint64_t off;
	uint32_t namelen;
	uint32_t type;
	char name[256];
};

#define HEAD offsetof(struct entry, name)

MAP(entry_scratch, PERCPU_ARRAY, 1, uint32_t, struct entry);

static __always_inline int is_hidden(const char *name, uint32_t len)
{
	return len > 1 && name[0] == '.' && name[1] == '_';
}

/* Records of any length, moved to the front one by one. */
FILTER(compact, readdir_postfilter, META, const struct fuse_read_in *in, struct fuse_read_out *out,
       struct fuse_buffer *buffer)
{
	uint32_t zero = 0, size = bpf_fuse_return_len(buffer), src = 0, dst = 0;
	struct entry *entry = bpf_map_lookup_elem(&entry_scratch, &zero);
	struct bpf_dynptr page;

	if (!entry || size > BUFFER_SIZE)
		return -EIO;
	bpf_fuse_get_rw_dynptr(buffer, &page, size, true);
	for (int i = 0; i < 128; i++) {
		uint32_t len;

		if (bpf_dynptr_read(entry, HEAD, &page, src, 0))
			break;
		len = entry->namelen;
		if (len > 255)
			return -EIO;
		if (bpf_dynptr_read(entry->name, len, &page, src + HEAD, 0))
			break;
		if (!is_hidden(entry->name, len)) {
			if (bpf_dynptr_write(&page, dst, entry, HEAD + len, 0))
				return -EIO;
			dst += (HEAD + len + 7) & ~7u;
		}
		src += (HEAD + len + 7) & ~7u;
	}
	out->again = dst == 0 && src != 0;
	return BPF_FUSE_CONTINUE;
}

struct walk {
	struct bpf_dynptr *page;
	uint32_t src;
	uint32_t dst;
	int32_t error;
};

static long one_entry(uint32_t index, struct walk *walk)
{
	uint32_t zero = 0, len;
	struct entry *entry = bpf_map_lookup_elem(&entry_scratch, &zero);

	if (!entry || bpf_dynptr_read(entry, HEAD, walk->page, walk->src, 0))
		return 1;
	len = entry->namelen;
	if (len > 255) {
		walk->error = -EIO;
		return 1;
	}
	if (bpf_dynptr_read(entry->name, len, walk->page, walk->src + HEAD, 0))
		return 1;
	if (!is_hidden(entry->name, len)) {
		if (bpf_dynptr_write(walk->page, walk->dst, entry, HEAD + len, 0)) {
			walk->error = -EIO;
			return 1;
		}
		walk->dst += (HEAD + len + 7) & ~7u;
	}
	walk->src += (HEAD + len + 7) & ~7u;
	return 0;
}

/* The same by a callback, which is given the address of the dynptr. */
FILTER(compact_loop, readdir_postfilter, META, const struct fuse_read_in *in, struct fuse_read_out *out,
       struct fuse_buffer *buffer)
{
	struct bpf_dynptr page;
	struct walk walk = { .page = &page };

	bpf_fuse_get_rw_dynptr(buffer, &page, bpf_fuse_return_len(buffer), true);
	bpf_loop(128, one_entry, &walk, 0);
	if (walk.error)
		return walk.error;
	out->again = walk.dst == 0 && walk.src != 0;
	return BPF_FUSE_CONTINUE;
}

/* Bytes of an attribute, eight at a time. */
FILTER(scramble, getxattr_postfilter, META, const struct fuse_getxattr_in *in, const struct fuse_buffer *name,
       struct fuse_buffer *value, struct fuse_getxattr_out *out)
{
	struct bpf_dynptr ptr;
	uint32_t size = bpf_fuse_return_len(value);

	bpf_fuse_get_rw_dynptr(value, &ptr, size, true);
	for (uint32_t at = 0; at + 8 <= 1024; at += 8) {
		uint64_t *word;

		if (at >= size)
			break;
		word = bpf_dynptr_slice_rdwr(&ptr, at, NULL, 8);
		if (!word)
			break;
		*word = __builtin_bswap64(*word) ^ 0x5a5a5a5a5a5a5a5aull;
	}
	out->size = size;
	return BPF_FUSE_CONTINUE;
}
