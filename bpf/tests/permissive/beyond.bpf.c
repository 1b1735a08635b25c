/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Safe, and refused by Linux, or by some version of it, or as some compilers make it. */
#include "filter.h"

/* Where the compiler would see through what is shown here. */
#define opaque(x) barrier_var(x)

struct entry {
	uint64_t ino;
	uint64_t off;
	uint32_t namelen;
	uint32_t type;
	char name[256];
};

#define HEAD offsetof(struct entry, name)

MAP(entry_scratch, PERCPU_ARRAY, 1, uint32_t, struct entry);

/* Whether a record is moved is decided on each path, so no two rounds are alike. */
FILTER(branchy_readdir, readdir_postfilter, META, const struct fuse_read_in *in, struct fuse_read_out *out,
       struct fuse_buffer *buffer)
{
	uint32_t zero = 0, size = bpf_fuse_return_len(buffer), src = 0, dst = 0;
	struct entry *entry = bpf_map_lookup_elem(&entry_scratch, &zero);
	struct bpf_dynptr page;

	if (!entry || size > BUFFER_SIZE)
		return -EIO;
	bpf_fuse_get_rw_dynptr(buffer, &page, size, true);
	for (int i = 0; i < 170; i++) {
		uint32_t len, step;

		if (bpf_dynptr_read(entry, HEAD, &page, src, 0))
			break;
		len = entry->namelen;
		if (len == 0 || len > 255)
			return -EIO;
		if (bpf_dynptr_read(entry->name, len, &page, src + HEAD, 0))
			break;
		step = (HEAD + len + 7) & ~7u;
		if (entry->name[0] != '.') {
			if (dst != src && bpf_dynptr_write(&page, dst, entry, HEAD + len, 0))
				return -EIO;
			dst += step;
		}
		src += step;
	}
	out->again = dst == 0 && src != 0;
	return BPF_FUSE_CONTINUE;
}

#if __clang_major__ >= 18
/* What a round of may_goto compares. */
FILTER(may_goto_compares, access_prefilter, META, struct fuse_access_in *in)
{
	uint32_t a = 0, b = 0;

	for (;;) {
		asm volatile goto(".byte 0xe5; .byte 0; .long ((%l[out] - . - 6) / 8) & 0xffff; .short 0" ::::out);
		if (bpf_get_prandom_u32() & 1)
			a++;
		else
			b += 2;
		if (a == b + 1000)
			break;
	}
out:
	return a > in->mask ? -EACCES : BPF_FUSE_CONTINUE;
}
#endif

/* Bounds are those of a value: the stack below an array is as good as the array. */
MAP(texts, ARRAY, 1, uint32_t, char[64]);

#define TEXT_OR_RETURN(text)                                                                       \
	char *text = ({                                                                            \
		uint32_t key = 0;                                                                  \
		void *value = bpf_map_lookup_elem(&texts, &key);                                   \
		if (!value)                                                                        \
			return -EIO;                                                               \
		value;                                                                             \
	})

/* The sum of two numbers is bounded, and each is added to the address by itself. */
FILTER(sum_is_bounded, setxattr_prefilter, META, struct fuse_setxattr_in *in, struct fuse_buffer *name,
       struct fuse_buffer *value)
{
	uint64_t a = in->size, b = in->flags;
	TEXT_OR_RETURN(text);
	char *at = text;

	if (a > 63 || b > 63)
		return -E2BIG;
	opaque(a);
	opaque(b);
	if (a + b > 63)
		return -E2BIG;
	at += a;
	opaque(at);
	at += b;
	opaque(at);
	*at = 1;
	return text[0] ? -EPERM : BPF_FUSE_CONTINUE;
}

/* An offset and a length in a buffer of known size, checked as everybody checks them. */
FILTER(offset_and_length, setxattr_prefilter, META, struct fuse_setxattr_in *in, struct fuse_buffer *name,
       struct fuse_buffer *value)
{
	struct bpf_dynptr ptr;
	uint32_t off = in->flags, len = in->size;
	TEXT_OR_RETURN(text);

	bpf_fuse_get_ro_dynptr(value, &ptr);
	if (off > 64 || len > 64)
		return -E2BIG;
	opaque(off);
	opaque(len);
	if (off + len > 64)
		return -E2BIG;
	if (bpf_dynptr_read(text + off, len, &ptr, 0, 0))
		return -EIO;
	return text[0] ? -EPERM : BPF_FUSE_CONTINUE;
}

/* The same without an overflow: the rest of the buffer is computed. */
FILTER(rest_of_buffer, setxattr_prefilter, META, struct fuse_setxattr_in *in, struct fuse_buffer *name,
       struct fuse_buffer *value)
{
	struct bpf_dynptr ptr;
	uint32_t off = in->flags, len = in->size;
	TEXT_OR_RETURN(text);

	bpf_fuse_get_ro_dynptr(value, &ptr);
	if (off >= 64)
		return -E2BIG;
	opaque(off);
	if (len > 64 - off)
		len = 64 - off;
	opaque(len);
	if (bpf_dynptr_read(text + off, len, &ptr, 0, 0))
		return -EIO;
	return text[0] ? -EPERM : BPF_FUSE_CONTINUE;
}

/* One number is below another, which is bounded later. */
FILTER(bounded_by_another, setxattr_prefilter, META, struct fuse_setxattr_in *in, struct fuse_buffer *name,
       struct fuse_buffer *value)
{
	uint64_t index = in->flags, len = in->size;
	TEXT_OR_RETURN(text);

	opaque(index);
	opaque(len);
	if (index >= len)
		return -EINVAL;
	if (len > 64)
		return -E2BIG;
	text[index] = 1;
	return text[0] ? -EPERM : BPF_FUSE_CONTINUE;
}

/* The difference of two ordered numbers is no greater than the larger. */
FILTER(ordered_difference, setxattr_prefilter, META, struct fuse_setxattr_in *in, struct fuse_buffer *name,
       struct fuse_buffer *value)
{
	uint64_t from = in->flags, to = in->size;
	TEXT_OR_RETURN(text);

	if (to > 63)
		return -E2BIG;
	opaque(from);
	opaque(to);
	if (from > to)
		return -EINVAL;
	text[to - from] = 1;
	return text[0] ? -EPERM : BPF_FUSE_CONTINUE;
}

/* A million rounds, each of which may go two ways. */
FILTER(long_loop, write_iter_prefilter, META, struct fuse_write_in *in)
{
	uint64_t sum = 0, size = in->offset;

	if (size > 1 << 20)
		size = 1 << 20;
	for (uint64_t i = 0; i < size; i++) {
		if (bpf_get_prandom_u32() & 1)
			sum += i;
		else
			sum ^= i;
	}
	return sum & 1 ? -EIO : BPF_FUSE_CONTINUE;
}

/* A search that needs no bound but its own. */
FILTER(search_to_the_end, lookup_prefilter, META, struct fuse_buffer *name)
{
	struct bpf_dynptr ptr;
	uint32_t len = bpf_fuse_return_len(name), i = 0, hash = 0;

	bpf_fuse_get_ro_dynptr(name, &ptr);
	while (i < len) {
		const unsigned char *at = bpf_dynptr_slice(&ptr, i, NULL, 1);

		if (!at || !*at)
			break;
		hash = hash * 31 + *at;
		i++;
	}
	return hash == 12345 ? -ENOENT : BPF_FUSE_CONTINUE;
}

uint64_t buckets[10];
const volatile uint32_t levels[11] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };

FILTER(mod_index, default_filter, META)
{
	buckets[meta->nodeid % 10]++;
	return BPF_FUSE_CONTINUE;
}

FILTER(div_index, access_prefilter, META, struct fuse_access_in *in)
{
	uint32_t mask = in->mask;

	if (mask > 1000)
		return -EINVAL;
	return levels[mask / 100] > 5 ? -EACCES : BPF_FUSE_CONTINUE;
}

FILTER(member_by_number, setattr_prefilter, META, struct fuse_setattr_in *in)
{
	uint32_t *words = (uint32_t *)in, which = meta->nodeid % (sizeof(*in) / 4);

	opaque(which);
	return words[which] == 0xffffffff ? -EINVAL : BPF_FUSE_CONTINUE;
}

/* The length is checked as 32 bits and used as 64. */
FILTER(half_checked, removexattr_prefilter, META, struct fuse_buffer *name)
{
	struct bpf_dynptr ptr;
	char text[64] = {};
	uint64_t len = bpf_fuse_return_len(name);
	uint32_t copy = len;

	opaque(copy);
	bpf_fuse_get_ro_dynptr(name, &ptr);
	if (copy > sizeof(text))
		return -E2BIG;
	if (bpf_dynptr_read(text, len, &ptr, 0, 0))
		return -EIO;
	return text[0] == 'x' ? -EPERM : BPF_FUSE_CONTINUE;
}

/* A mask is a bound for what it was taken of, where nothing else is in it. */
FILTER(masked_copy, access_prefilter, META, struct fuse_access_in *in)
{
	uint64_t mask = in->mask;
	uint32_t low = mask & 0xff;

	if ((mask >> 8) != 0)
		return -EINVAL;
	opaque(low);
	return buckets[mask % 10 < 10 ? mask % 10 : 0] > low ? -EACCES : BPF_FUSE_CONTINUE;
}

/* A counter that is compared with another, both from zero. */
FILTER(two_counters, read_iter_prefilter, META, struct fuse_read_in *in)
{
	char text[64] = {};
	uint32_t read = 0, write = 0;

	for (uint32_t i = 0; i < 64; i++) {
		if (bpf_get_prandom_u32() & 1)
			continue;
		read = i;
		if (write <= read && write < sizeof(text))
			text[write++] = 1;
	}
	return text[0] ? -EAGAIN : BPF_FUSE_CONTINUE;
}
