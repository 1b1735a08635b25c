/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * matrix: all 65 members, each doing what a map says. The test that writes the map reads from a ring buffer which
 * programs ran, with which arguments. A program without a rule continues and changes nothing.
 */
#include "fuse_bpf.h"
#include "fuse_ops_all.h"

/* The longest struct is fuse_entry_out. */
#define WORDS 32
#define TEXT 128
#define SHOWN 64

#define AFTER 1
#define DEFAULT 2

struct rule {
	uint32_t value;
	uint32_t where; /* which argument after meta is edited, from 1; 0 for none */
	uint32_t size; /* of text */
	uint32_t result; /* what a postfilter makes of the operation: 0 nothing, 1 success, else an errno */
	uint32_t keep[WORDS]; /* a struct: what of each word is kept, and what is put there */
	uint32_t put[WORDS];
	char text[TEXT]; /* a buffer: what it is replaced with */
};

struct record {
	uint64_t nodeid;
	uint32_t opcode;
	uint32_t error_in;
	uint32_t program; /* AFTER, DEFAULT */
	uint32_t len[3];
	uint32_t uid; /* of who calls */
	uint32_t pid;
	uint32_t in[WORDS];
	char text[3][SHOWN];
};

/* By operation, then by program. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64 * 4);
	__type(key, uint32_t);
	__type(value, struct rule);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} seen SEC(".maps");

uint64_t lost;

static __always_inline struct record *begin(const struct bpf_fuse_meta_info *meta, uint32_t program)
{
	struct record *r = bpf_ringbuf_reserve(&seen, sizeof(*r), 0);

	if (!r) {
		__sync_fetch_and_add(&lost, 1);
		return r;
	}
	__builtin_memset(r, 0, sizeof(*r));
	r->nodeid = meta->nodeid;
	r->opcode = meta->opcode;
	r->error_in = meta->error_in;
	r->program = program;
	r->uid = bpf_get_current_uid_gid();
	r->pid = bpf_get_current_pid_tgid() >> 32;
	return r;
}

static __always_inline struct rule *rule_of(const struct bpf_fuse_meta_info *meta, uint32_t program)
{
	uint32_t slot = (meta->opcode & 63) * 4 + program;

	return bpf_map_lookup_elem(&rules, &slot);
}

static __always_inline void look(struct record *r, int n, const struct fuse_buffer *buffer)
{
	struct bpf_dynptr ptr;
	uint32_t len = bpf_fuse_return_len((struct fuse_buffer *)buffer);

	r->len[n] = len;
	if (len > SHOWN)
		len = SHOWN;
	bpf_fuse_get_ro_dynptr(buffer, &ptr);
	if (len)
		bpf_dynptr_read(r->text[n], len, &ptr, 0, 0);
}

static __noinline void replace(struct fuse_buffer *buffer, struct rule *rule)
{
	struct bpf_dynptr ptr;
	uint32_t size;

	if (!rule)
		return;
	size = rule->size;
	if (size > TEXT)
		return;
	bpf_fuse_get_rw_dynptr(buffer, &ptr, size, false);
	bpf_dynptr_write(&ptr, 0, rule->text, size, 0);
}

/* What is shown of an argument. */
#define SEE_STRUCT(arg) __builtin_memcpy(r->in, arg, sizeof(*arg));
#define SEE(n, arg) look(r, n, arg);
#define NOTHING

/* What is edited, as argument number `n`. */
#define STRUCT(n, arg)                                                                                     \
	if (rule->where == n) {                                                                            \
		uint32_t *words = (uint32_t *)arg;                                                         \
		_Pragma("unroll") for (int i = 0; i < (int)(sizeof(*arg) / 4); i++)                        \
			words[i] = (words[i] & rule->keep[i]) | rule->put[i];                              \
	}
#define BUFFER(n, arg)                                                                                     \
	if (rule->where == n)                                                                              \
		replace((struct fuse_buffer *)arg, rule);

#define ONE_STRUCT SEE_STRUCT(in), STRUCT(1, in)
#define ONE_NAME SEE(0, name), BUFFER(1, name)
#define STRUCT_NAME SEE_STRUCT(in) SEE(0, name), STRUCT(1, in) BUFFER(2, name)
#define TWO_NAMES SEE_STRUCT(in) SEE(0, old_name) SEE(1, new_name), STRUCT(1, in) BUFFER(2, old_name) BUFFER(3, new_name)

/* For each member: what is seen in both stages, what is edited before and after. */
#define OF_open ONE_STRUCT, STRUCT(2, out)
#define OF_opendir ONE_STRUCT, STRUCT(2, out)
#define OF_create_open STRUCT_NAME, STRUCT(3, entry_out) STRUCT(4, out)
#define OF_release ONE_STRUCT, NOTHING
#define OF_releasedir ONE_STRUCT, NOTHING
#define OF_flush ONE_STRUCT, NOTHING
#define OF_lseek ONE_STRUCT, STRUCT(2, out)
#define OF_copy_file_range ONE_STRUCT, STRUCT(2, out)
#define OF_fsync ONE_STRUCT, NOTHING
#define OF_dir_fsync ONE_STRUCT, NOTHING
#define OF_getxattr STRUCT_NAME, BUFFER(3, value) STRUCT(4, out)
#define OF_listxattr ONE_STRUCT, BUFFER(2, value) STRUCT(3, out)
#define OF_setxattr                                                                                        \
	SEE_STRUCT(in) SEE(0, name) SEE(1, value), STRUCT(1, in) BUFFER(2, name) BUFFER(3, value), NOTHING
#define OF_removexattr ONE_NAME, NOTHING
#define OF_read_iter ONE_STRUCT, STRUCT(2, out) BUFFER(3, data)
#define OF_write_iter SEE_STRUCT(in) SEE(0, data), STRUCT(1, in) BUFFER(2, data), STRUCT(2, out)
#define OF_file_fallocate ONE_STRUCT, NOTHING
#define OF_lookup ONE_NAME, STRUCT(2, out) BUFFER(3, entries)
#define OF_mknod STRUCT_NAME, NOTHING
#define OF_mkdir STRUCT_NAME, NOTHING
#define OF_rmdir ONE_NAME, NOTHING
#define OF_rename2 TWO_NAMES, NOTHING
#define OF_rename TWO_NAMES, NOTHING
#define OF_unlink ONE_NAME, NOTHING
#define OF_link STRUCT_NAME, NOTHING
#define OF_getattr ONE_STRUCT, STRUCT(2, out)
#define OF_setattr ONE_STRUCT, STRUCT(2, out)
#define OF_statfs NOTHING, NOTHING, STRUCT(1, out)
#define OF_get_link ONE_NAME, BUFFER(2, target)
#define OF_symlink SEE(0, name) SEE(1, path), BUFFER(1, name) BUFFER(2, path), NOTHING
#define OF_readdir ONE_STRUCT, STRUCT(2, out) BUFFER(3, buffer)
#define OF_access ONE_STRUCT, NOTHING

#define BODY(stage, show, edit)                                                                            \
	struct rule *rule = rule_of(meta, stage);                                                          \
	struct record *r = begin(meta, stage);                                                             \
	if (r) {                                                                                           \
		show bpf_ringbuf_submit(r, 0);                                                             \
	}                                                                                                  \
	if (!rule)                                                                                         \
		return BPF_FUSE_CONTINUE;                                                                  \
	if (stage & AFTER && rule->result)                                                                 \
		bpf_fuse_set_error_out(rule->result == 1 ? 0 : -(int)rule->result);                        \
	edit return rule->value;

#define PICK_PRE(show, before, after) BODY(0, show, before)
#define PICK_POST(show, before, after) BODY(AFTER, show, after)
#define EXPAND(macro, ...) macro(__VA_ARGS__)

#define MATRIX(member, names, pre, post)                                                                   \
	SEC("struct_ops/" #member "_prefilter")                                                            \
	uint32_t BPF_PROG(member##_prefilter, const struct bpf_fuse_meta_info *meta FUSE_OPS_ARGS pre)     \
	{                                                                                                  \
		EXPAND(PICK_PRE, OF_##member)                                                              \
	}                                                                                                  \
	SEC("struct_ops/" #member "_postfilter")                                                           \
	uint32_t BPF_PROG(member##_postfilter, const struct bpf_fuse_meta_info *meta FUSE_OPS_ARGS post)   \
	{                                                                                                  \
		EXPAND(PICK_POST, OF_##member)                                                             \
	}

FUSE_OPS_ALL(MATRIX)

SEC("struct_ops/default_filter")
uint32_t BPF_PROG(default_filter, const struct bpf_fuse_meta_info *meta)
{
	uint32_t program = DEFAULT | (meta->opcode & FUSE_POSTFILTER ? AFTER : 0);
	BODY(program, , )
}

/* Everything. */
SEC(".struct_ops")
struct fuse_ops matrix = {
	.default_filter = (void *)default_filter,
	FUSE_OPS_ALL(FUSE_OPS_MEMBER)
	.name = "matrix",
};

/* Nobody to call when a program calls the default. */
SEC(".struct_ops")
struct fuse_ops no_default = {
	FUSE_OPS_ALL(FUSE_OPS_MEMBER)
	.name = "no_default",
};

/* Nobody looks at data: copies are made below. */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Winitializer-overrides"
SEC(".struct_ops")
struct fuse_ops no_data = {
	FUSE_OPS_ALL(FUSE_OPS_MEMBER)
	.read_iter_prefilter = NULL,
	.read_iter_postfilter = NULL,
	.write_iter_prefilter = NULL,
	.write_iter_postfilter = NULL,
	.name = "no_data",
};
#pragma clang diagnostic pop

/* Nobody else. */
SEC(".struct_ops")
struct fuse_ops only_default = {
	.default_filter = (void *)default_filter,
	.name = "only_default",
};

char _license[] SEC("license") = "Dual BSD/GPL";
