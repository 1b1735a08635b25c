/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Constants and variables of the program: sorted tables, switches, bytes turned around. */
#include "filter.h"

struct range {
	uint32_t from;
	uint32_t to;
	uint32_t count;
};

static const struct range ranges[] = {
	{ 0, 100000, 1000 },	{ 1000, 200000, 1000 },	 { 5000, 300000, 100 },	   { 10000, 400000, 5000 },
	{ 20000, 500000, 20000 }, { 65536, 600000, 65536 }, { 1 << 20, 700000, 10 }, { 1 << 24, 800000, 1 },
};

static __noinline uint32_t mapped(uint32_t id, int back)
{
	uint32_t low = 0, high = ARRAY_SIZE(ranges);

	for (int i = 0; i < 4; i++) {
		uint32_t middle = (low + high) / 2;
		uint32_t start;

		if (low >= high || middle >= ARRAY_SIZE(ranges))
			break;
		start = back ? ranges[middle].to : ranges[middle].from;
		if (id < start)
			high = middle;
		else if (id - start >= ranges[middle].count)
			low = middle + 1;
		else
			return id - start + (back ? ranges[middle].from : ranges[middle].to);
	}
	return 65534;
}

FILTER(map_setattr, setattr_prefilter, META, struct fuse_setattr_in *in)
{
	if (in->valid & 2)
		in->uid = mapped(in->uid, 0);
	if (in->valid & 4)
		in->gid = mapped(in->gid, 0);
	return BPF_FUSE_CONTINUE;
}

FILTER(map_getattr, getattr_postfilter, META, const struct fuse_getattr_in *in, struct fuse_attr_out *out)
{
	out->attr.uid = mapped(out->attr.uid, 1);
	out->attr.gid = mapped(out->attr.gid, 1);
	return BPF_FUSE_CONTINUE;
}

FILTER(map_lookup, lookup_postfilter, META, const struct fuse_buffer *name, struct fuse_entry_out *out,
       struct fuse_buffer *entries)
{
	out->attr.uid = mapped(out->attr.uid, 1);
	out->attr.gid = mapped(out->attr.gid, 1);
	return BPF_FUSE_CONTINUE;
}

uint64_t calls[64];
uint32_t state = 1;
int64_t balance;
const volatile int8_t costs[64] = { 1, -1, 3, 4, -5, 9, [40] = 2, -6, 5 };
static const uint32_t weights[16] = { 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597 };

FILTER(count_calls, default_filter, META)
{
	uint32_t op = meta->opcode & FUSE_OPCODE_FILTER;

	if (op < ARRAY_SIZE(calls)) {
		__sync_fetch_and_add(&calls[op], 1);
		balance += costs[op];
	}
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return weights[state & 15] > 100 ? -EAGAIN : BPF_FUSE_CONTINUE;
}

FILTER(by_switch, default_filter, META)
{
	uint32_t opcode = meta->opcode & FUSE_OPCODE_FILTER, class = 0;

	switch (opcode) {
	case FUSE_LOOKUP:
	case FUSE_GETATTR:
	case FUSE_ACCESS:
		class = 1;
		break;
	case FUSE_OPEN:
	case FUSE_READ:
	case FUSE_RELEASE:
	case FUSE_FLUSH:
		class = 2;
		break;
	case FUSE_WRITE:
	case FUSE_FSYNC:
	case FUSE_FALLOCATE:
		class = 3;
		break;
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_RENAME:
	case FUSE_RENAME2:
		class = 4;
		break;
	case FUSE_MKDIR:
	case FUSE_MKNOD:
	case FUSE_SYMLINK:
	case FUSE_LINK:
		class = 5;
		break;
	}
	return class >= 3 ? -EROFS : calls[class] ? BPF_FUSE_CONTINUE : BPF_FUSE_POSTFILTER;
}

FILTER(turned, lseek_postfilter, META, const struct fuse_lseek_in *in, struct fuse_lseek_out *out)
{
	uint32_t half = in->offset;
	uint16_t quarter = in->offset >> 16;

	half = half >> 7 | half << 25;
	out->offset = __builtin_bswap64(in->offset) ^ __builtin_bswap32(half) ^ __builtin_bswap16(quarter);
	out->offset += (int64_t)(int16_t)in->whence;
	return BPF_FUSE_CONTINUE;
}

/* The bits of a number as an index, by steps of halves. */
FILTER(log2_table, write_iter_prefilter, META, struct fuse_write_in *in)
{
	uint64_t value = in->offset;
	uint32_t bits = 0;

	if (value >> 32) {
		value >>= 32;
		bits += 32;
	}
	if (value >> 16) {
		value >>= 16;
		bits += 16;
	}
	if (value >> 8) {
		value >>= 8;
		bits += 8;
	}
	if (value >> 4)
		bits += 4;
	calls[bits]++;
	return BPF_FUSE_CONTINUE;
}
