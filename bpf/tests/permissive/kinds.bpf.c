/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Types that are found by name when the filter is loaded, and what can be asked of them. */
#include "filter.h"

struct fuse_attr___wanted {
	uint64_t size;
	uint32_t mode;
	uint32_t nlink;
	uint32_t birth;
} __attribute__((preserve_access_index));

#define EXISTS(field) __builtin_preserve_field_info(field, 2)
#define SIZE_OF_FIELD(field) __builtin_preserve_field_info(field, 1)

FILTER(fields, getattr_postfilter, META, const struct fuse_getattr_in *in, struct fuse_attr_out *out)
{
	struct fuse_attr___wanted *attr = (void *)&out->attr;

	if (EXISTS(attr->birth) && attr->birth)
		return -EIO;
	if (SIZE_OF_FIELD(attr->mode) != 4)
		return -EINVAL;
	if (EXISTS(attr->nlink))
		attr->nlink = 1;
	attr->size = attr->size > 1 << 30 ? 1 << 30 : attr->size;
	return BPF_FUSE_CONTINUE;
}
