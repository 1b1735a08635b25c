/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The other kinds of maps: tries, Bloom filters, queues, maps of maps. */
#include "filter.h"

struct address {
	uint32_t bits;
	char text[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 128);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address);
	__type(value, uint32_t);
} prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 128);
	__type(value, uint64_t);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 128);
	__type(value, uint64_t);
} recent SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, uint32_t);
	__type(value, uint64_t);
};

struct inner inner_one SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 4);
	__array(values, struct inner);
} outer SEC(".maps") = {
	.values = { &inner_one },
};

FILTER(trie, lookup_prefilter, META, struct fuse_buffer *name)
{
	struct address key = { .bits = 128 };
	struct bpf_dynptr ptr;
	uint32_t *verdict;

	bpf_fuse_get_ro_dynptr(name, &ptr);
	if (bpf_dynptr_read(key.text, sizeof(key.text), &ptr, 0, 0))
		return BPF_FUSE_CONTINUE;
	verdict = bpf_map_lookup_elem(&prefixes, &key);
	return verdict && *verdict ? -ENOENT : BPF_FUSE_CONTINUE;
}

FILTER(bloom_and_queue, open_prefilter, META, struct fuse_open_in *in)
{
	uint64_t nodeid = meta->nodeid, oldest;

	if (!bpf_map_peek_elem(&seen, &nodeid))
		return BPF_FUSE_CONTINUE;
	bpf_map_push_elem(&seen, &nodeid, 0);
	if (bpf_map_push_elem(&recent, &nodeid, BPF_EXIST))
		return -EIO;
	if (!bpf_map_pop_elem(&recent, &oldest) && oldest == nodeid)
		return -EAGAIN;
	return BPF_FUSE_CONTINUE;
}

FILTER(map_in_map, release_prefilter, META, struct fuse_release_in *in)
{
	uint32_t which = in->flags & 1, key = in->release_flags & 3;
	void *map = bpf_map_lookup_elem(&outer, &which);
	uint64_t *value;

	if (!map)
		return -EIO;
	value = bpf_map_lookup_elem(map, &key);
	if (value)
		__sync_fetch_and_add(value, 1);
	return BPF_FUSE_CONTINUE;
}

/* Steps of an extent map by halves, in the value of an array. */
struct extents {
	uint32_t count;
	uint32_t pad;
	struct {
		uint64_t start;
		uint64_t len;
		uint64_t where;
	} list[64];
};

MAP(extent_map, ARRAY, 1, uint32_t, struct extents);

FILTER(extent, read_iter_prefilter, META, struct fuse_read_in *in)
{
	uint32_t zero = 0, low = 0, high;
	struct extents *extents = bpf_map_lookup_elem(&extent_map, &zero);

	if (!extents)
		return -EIO;
	high = extents->count;
	if (high > 64)
		return -EIO;
	for (int i = 0; i < 7; i++) {
		uint32_t middle = (low + high) >> 1;

		if (low >= high || middle >= 64)
			break;
		if (in->offset < extents->list[middle].start) {
			high = middle;
		} else if (in->offset - extents->list[middle].start >= extents->list[middle].len) {
			low = middle + 1;
		} else {
			in->offset = extents->list[middle].where + in->offset - extents->list[middle].start;
			return BPF_FUSE_CONTINUE;
		}
	}
	return -ENODATA;
}

FILTER(stripes, read_iter_prefilter, META, struct fuse_read_in *in)
{
	uint32_t zero = 0, width, stripe;
	struct extents *extents = bpf_map_lookup_elem(&extent_map, &zero);

	if (!extents)
		return -EIO;
	width = extents->count ? extents->count : 1;
	stripe = in->offset / 65536 % width;
	if (stripe >= 64)
		return -EIO;
	in->offset = in->offset / 65536 / width * 65536 + in->offset % 65536 + extents->list[stripe].where;
	if (in->size > 65536 - in->offset % 65536)
		in->size = 65536 - in->offset % 65536;
	return BPF_FUSE_CONTINUE;
}
