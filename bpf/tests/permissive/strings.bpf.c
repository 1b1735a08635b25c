/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Text: compared, parsed, formatted and printed. */
#include "filter.h"

MAP(lines, ARRAY, 4, uint32_t, char[64]);

FILTER(compare, setxattr_prefilter, META, struct fuse_setxattr_in *in, struct fuse_buffer *name,
       struct fuse_buffer *value)
{
	static const char security[] = "security.";
	struct bpf_dynptr ptr;
	const char *text;

	bpf_fuse_get_ro_dynptr(name, &ptr);
	text = bpf_dynptr_slice(&ptr, 0, NULL, 9);
	if (text && !bpf_strncmp(text, 9, security))
		return -EPERM;
	return in->size > 4096 ? -E2BIG : BPF_FUSE_CONTINUE;
}

FILTER(parse, getxattr_prefilter, META, struct fuse_getxattr_in *in, struct fuse_buffer *name)
{
	struct bpf_dynptr ptr;
	unsigned long number = 0;
	char text[24] = {};
	long used;

	bpf_fuse_get_ro_dynptr(name, &ptr);
	if (bpf_dynptr_read(text, 16, &ptr, 0, 0))
		return BPF_FUSE_CONTINUE;
	used = bpf_strtoul(text, sizeof(text), 10, &number);
	if (used > 0 && number > in->size)
		return -ERANGE;
	return BPF_FUSE_CONTINUE;
}

FILTER(format, listxattr_prefilter, META, struct fuse_getxattr_in *in)
{
	static const char text[] = "node %llu size %d";
	uint64_t data[] = { meta->nodeid, in->size };
	uint32_t zero = 0;
	char *line = bpf_map_lookup_elem(&lines, &zero);
	long len;

	if (!line)
		return -EIO;
	len = bpf_snprintf(line, 64, text, data, sizeof(data));
	if (len < 0 || len > 64)
		return -E2BIG;
	return line[len > 0 ? len - 1 : 0] ? -EIO : BPF_FUSE_CONTINUE;
}

FILTER(print, removexattr_prefilter, META, struct fuse_buffer *name)
{
	struct bpf_dynptr ptr;
	const char *text;
	char copy[255];

	bpf_fuse_get_ro_dynptr(name, &ptr);
	text = bpf_dynptr_slice(&ptr, 0, NULL, 16);
	if (text)
		bpf_printk("removexattr %s of %llu", text, meta->nodeid);
	if (!bpf_dynptr_read(copy, sizeof(copy), &ptr, 0, 0)) {
		copy[254] = 0;
		bpf_printk("all of it: %s", copy);
	}
	return BPF_FUSE_CONTINUE;
}
