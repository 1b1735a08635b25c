/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names in buffers: compared by slices, copied to the stack, scanned from both ends. */
#include "filter.h"

const volatile char prefix[16] = ".secret";
const volatile uint32_t prefix_len = 7;

FILTER(prefix_bytes, lookup_prefilter, META, struct fuse_buffer *name)
{
	struct bpf_dynptr ptr;

	bpf_fuse_get_ro_dynptr(name, &ptr);
	for (uint32_t i = 0; i < prefix_len && i < sizeof(prefix); i++) {
		const char *at = bpf_dynptr_slice(&ptr, i, NULL, 1);

		if (!at || *at != prefix[i])
			return BPF_FUSE_CONTINUE;
	}
	return -ENOENT;
}

FILTER(prefix_copied, lookup_prefilter, META, struct fuse_buffer *name)
{
	struct bpf_dynptr ptr;
	char text[32] = {};
	uint32_t len = bpf_fuse_return_len(name);

	if (len < 2 || len > sizeof(text))
		return BPF_FUSE_CONTINUE;
	bpf_fuse_get_ro_dynptr(name, &ptr);
	if (bpf_dynptr_read(text, len, &ptr, 0, 0))
		return -EIO;
	for (uint32_t i = 0; i < prefix_len && i < sizeof(prefix); i++)
		if (text[i] != prefix[i])
			return BPF_FUSE_CONTINUE;
	return -ENOENT;
}

FILTER(prefix_unrolled, unlink_prefilter, META, struct fuse_buffer *name)
{
	struct bpf_dynptr ptr;
	const struct {
		uint64_t first;
		uint16_t second;
		uint8_t third;
	} __attribute__((packed)) *at;

	/* ".important-", as compilers compare it. */
	bpf_fuse_get_ro_dynptr(name, &ptr);
	at = bpf_dynptr_slice(&ptr, 0, NULL, sizeof(*at));
	if (!at)
		return BPF_FUSE_CONTINUE;
	return at->first == 0x6174726f706d692eull && at->second == 0x746e && at->third == '-' ? -EPERM : BPF_FUSE_CONTINUE;
}

struct extension {
	char text[8];
};

MAP(extensions, HASH, 64, struct extension, uint32_t);

static __always_inline int denied(struct fuse_buffer *name)
{
	struct extension key = {};
	struct bpf_dynptr ptr;
	char text[256];
	uint32_t len = bpf_fuse_return_len(name), dot = 0;
	uint32_t *verdict;

	if (len < 2 || len > sizeof(text))
		return 0;
	len--;
	bpf_fuse_get_ro_dynptr(name, &ptr);
	if (bpf_dynptr_read(text, len, &ptr, 0, 0))
		return 0;
	for (int i = 0; i < 8; i++) {
		if (i >= len)
			break;
		if (text[(len - 1 - i) & 0xff] == '.') {
			dot = len - i;
			break;
		}
	}
	if (!dot)
		return 0;
	for (int i = 0; i < 7; i++) {
		uint32_t at = dot + i;

		if (at >= len || at >= sizeof(text))
			break;
		key.text[i] = text[at];
	}
	verdict = bpf_map_lookup_elem(&extensions, &key);
	return verdict ? *verdict : 0;
}

FILTER(deny_extension, create_open_prefilter, META, struct fuse_create_in *in, struct fuse_buffer *name)
{
	return denied(name) ? -EACCES : BPF_FUSE_CONTINUE;
}

FILTER(deny_extensions, rename_prefilter, META, struct fuse_rename_in *in, struct fuse_buffer *old_name,
       struct fuse_buffer *new_name)
{
	if (denied(old_name) || denied(new_name))
		return -EACCES;
	return BPF_FUSE_CONTINUE;
}

/* The whole name forwards, with the last dot remembered. */
FILTER(last_dot, mknod_prefilter, META, struct fuse_mknod_in *in, struct fuse_buffer *name)
{
	struct bpf_dynptr ptr;
	int dot = -1;

	bpf_fuse_get_ro_dynptr(name, &ptr);
	for (int i = 0; i < 255; i++) {
		const char *at = bpf_dynptr_slice(&ptr, i, NULL, 1);

		if (!at || !*at)
			break;
		if (*at == '.')
			dot = i;
	}
	return dot > 0 ? -EACCES : BPF_FUSE_CONTINUE;
}

/* Upper case as a signed char comparison and a bit test. */
FILTER(classes, mkdir_prefilter, META, struct fuse_mkdir_in *in, struct fuse_buffer *name)
{
	struct bpf_dynptr ptr;
	uint32_t seen = 0;

	bpf_fuse_get_ro_dynptr(name, &ptr);
	for (int i = 0; i < 16; i++) {
		const signed char *at = bpf_dynptr_slice(&ptr, i, NULL, 1);

		if (!at)
			break;
		if (*at < 0)
			return -EINVAL;
		switch (*at) {
		case ' ':
		case '\t':
		case '\n':
			return -EINVAL;
		case 'A' ... 'Z':
			seen |= 1;
			break;
		case '0' ... '9':
			seen |= 2;
			break;
		}
	}
	return seen == 3 ? -EPERM : BPF_FUSE_CONTINUE;
}
