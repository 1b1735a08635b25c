/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * engine: what `cargo bench -p fuse-bpf-vm --bench engine` measures.
 *
 * Compiled for BPF, and but for the maps also for the machine it runs on: the same C with the same compiler. What a
 * body computes goes into the next one, so that none is left out; `seed` and `requests` could be changed by others,
 * so that no compiler knows what is in them. A body stands in its program as often as the number in the name says,
 * or is a loop of so many rounds: the kernel tells whole nanoseconds.
 */
#ifdef __bpf__
#include "fuse_bpf.h"
#define PROGRAM(name) SEC("struct_ops/" #name) u64 name(void *ctx)
#else
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
#define __noinline __attribute__((noinline))
#define __always_inline inline __attribute__((always_inline))
#define PROGRAM(name) __attribute__((visibility("default"))) u64 name(void *ctx)
#endif

#define TIMES_8(body, first, args...)                                             \
	body(first, ##args) body(first + 1, ##args) body(first + 2, ##args)       \
	body(first + 3, ##args) body(first + 4, ##args) body(first + 5, ##args)   \
	body(first + 6, ##args) body(first + 7, ##args)
#define TIMES_32(body, args...)                                                   \
	TIMES_8(body, 0, ##args) TIMES_8(body, 8, ##args)                         \
	TIMES_8(body, 16, ##args) TIMES_8(body, 24, ##args)
#define ROUNDS(count) _Pragma("clang loop unroll(disable)") for (u32 at = 0; at < (count); at++)

volatile u64 seed = 5;

/* What a filter may look at of an operation. */
struct request {
	u64 nodeid;
	u32 opcode;
	u32 uid;
	u32 flags;
	u32 mode;
	u64 size;
	u8 name[32];
	u64 answer;
};

struct request requests[32] = {
	[0 ... 31] = { 17, 14, 1000, 0101, 0100644, 70000, "photograph-of-the-sea.jpeg" },
};

/* What every program does: its time is taken from that of the others. */
PROGRAM(empty)
{
	return seed;
}

/* A filter: what is asked, by whom, and what the name is like. */
static __always_inline u64 filter(struct request *in, u64 sum)
{
	u64 verdict;
	u32 end;

	/* Each filter begins where the one before ended, and leaves its answer in memory. */
	asm volatile("" : "+r"(in), "+r"(sum));
	verdict = in->nodeid;
	if (in->opcode == 14)
		verdict += in->flags & 3;
	if (in->uid == 0 || in->uid == 65534)
		verdict ^= 0x10;
	if ((in->mode & 0170000) == 0100000 && (in->flags & 01000))
		verdict |= 0x20;
	if (in->size > 1 << 20)
		verdict |= 0x40;
	if (in->name[0] == '.' && in->name[1] != '.')
		verdict |= 0x80;
	if (in->name[0] == '#' || in->name[0] == '~')
		verdict |= 0x100;
	end = (u32)in->name[22] << 24 | in->name[23] << 16 | in->name[24] << 8 | in->name[25];
	if (end == 0x2e6b6579 || end == 0x2e706466)
		verdict |= 0x200;
	sum += verdict + end;
	sum ^= (sum << 7) + (in->size >> 12);
	sum &= 0xffffffffffff;
	in->answer = sum;
	return sum;
}

#define FILTER(i) sum = filter(&requests[i], sum);
PROGRAM(filter_32)
{
	u64 sum = seed;

	TIMES_32(FILTER)
	return sum;
}

/* A loop over the bytes of a name: its hash. */
#define BYTES(i)                                                            \
	ROUNDS(32) sum = (sum ^ requests[i].name[at]) * 0x100000001b3;
PROGRAM(bytes_8)
{
	u64 sum = seed;

	TIMES_8(BYTES, 0)
	return sum;
}

/* A loop with branches: the entries of a directory, of which some are hidden. */
#define BRANCHES(i)                                               \
	ROUNDS(32)                                                \
	{                                                         \
		const struct request *in = &requests[at];         \
		if (in->name[i] == '.' && in->name[i + 1] != '.') \
			continue;                                 \
		if (in->size > (sum & 0xffff))                    \
			sum += in->nodeid;                        \
		sum ^= sum << 1;                                  \
	}
PROGRAM(branches_8)
{
	u64 sum = seed;

	TIMES_8(BRANCHES, 0)
	return sum;
}

/* A loop that touches no memory. */
PROGRAM(registers_1)
{
	u64 sum = seed, x = 77;

	ROUNDS(1000)
	{
		x ^= sum;
		x *= 31;
		x += x >> 13;
		sum += x;
	}
	return sum;
}

/* Calls between functions. */
static __noinline u64 inner(u64 a, u64 b)
{
	return (a * 3) ^ b;
}

static __noinline u64 outer(u64 a, u64 b)
{
	return inner(a, b + 1) + inner(b, a);
}

#define CALL(i, function) sum += function(sum, i);
PROGRAM(calls_32)
{
	u64 sum = seed;

	TIMES_32(CALL, inner)
	return sum;
}

PROGRAM(deep_calls_32)
{
	u64 sum = seed;

	TIMES_32(CALL, outer)
	return sum;
}

#ifdef __bpf__
/*
 * Maps. The benchmark fills them: numbers below 8 are keys of the small ones, those below MANY of the large ones.
 */
#define MANY 8192

struct value {
	u64 count;
	u64 unused;
};

struct key_4 {
	u32 number;
};

struct key_8 {
	u64 number;
};

struct key_32 {
	u64 number;
	u64 rest[3];
};

/* The number's first byte is the most significant one. */
struct prefix {
	u32 bits;
	u32 number;
};

static __always_inline u64 found(void *map, const void *key, u64 sum)
{
	const struct value *value = bpf_map_lookup_elem(map, key);

	if (value)
		sum += value->count;
	return sum + 1;
}

#define MAP(name, kind, key_type, entries, flags)  \
	struct {                                   \
		__uint(type, BPF_MAP_TYPE_##kind); \
		__uint(max_entries, entries);      \
		__uint(map_flags, flags);          \
		__type(key, struct key_type);      \
		__type(value, struct value);       \
	} name SEC(".maps")

/* Each lookup is of a key that follows from what was found before. */
#define SMALL(name, kind, key_type, flags, first...)  \
	MAP(name, kind, key_type, 64, flags);         \
	PROGRAM(name##_256)                           \
	{                                             \
		struct key_type key = { first };      \
		u64 sum = seed;                       \
                                                      \
		ROUNDS(256)                           \
		{                                     \
			key.number = sum & 7;         \
			sum = found(&name, &key, sum); \
		}                                     \
		return sum;                           \
	}

SMALL(array, ARRAY, key_4, 0)
SMALL(percpu_array, PERCPU_ARRAY, key_4, 0)
SMALL(hash, HASH, key_8, 0)
SMALL(hash_of_u32, HASH, key_4, 0)
SMALL(hash_of_4_u64, HASH, key_32, 0)
SMALL(percpu_hash, PERCPU_HASH, key_8, 0)
SMALL(lru_hash, LRU_HASH, key_8, 0)
SMALL(prefixes, LPM_TRIE, prefix, BPF_F_NO_PREALLOC, 32)

/* Lookups in an order that no processor guesses; and the same, but for one update to 63 of them. */
#define LARGE(name, kind, key_type)                      \
	MAP(name, kind, key_type, MANY, 0);              \
	SCATTERED(name, name##_1024, key_type, false)    \
	SCATTERED(name, name##_updated_1024, key_type, at % 64 == 0)
#define SCATTERED(map, program, key_type, update)                                \
	PROGRAM(program)                                                         \
	{                                                                        \
		struct key_type key = {};                                        \
		struct value value = {};                                         \
		u64 x = seed, sum = 0;                                           \
                                                                                 \
		ROUNDS(1024)                                                     \
		{                                                                \
			x = x * 6364136223846793005 + 1442695040888963407;       \
			key.number = x >> 33 & (MANY - 1);                       \
			if (update) {                                            \
				value.count = x;                                 \
				bpf_map_update_elem(&map, &key, &value, BPF_ANY); \
			} else {                                                 \
				sum = found(&map, &key, sum);                    \
			}                                                        \
		}                                                                \
		return sum;                                                      \
	}

LARGE(large_array, ARRAY, key_4)
LARGE(large_percpu_array, PERCPU_ARRAY, key_4)
LARGE(large_hash, HASH, key_8)
LARGE(large_percpu_hash, PERCPU_HASH, key_8)
LARGE(large_lru_hash, LRU_HASH, key_8)
#endif

char _license[] __attribute__((section("license"), used)) = "Dual BSD/GPL";
