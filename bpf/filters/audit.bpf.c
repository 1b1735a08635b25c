/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * audit: a record in the ring buffer audit_events for every operation, with who asked, under which name
 * and how it ended. All 65 members are set. When nobody listens and the buffer is full, records are
 * counted in audit_lost instead.
 */
#include "fuse_bpf.h"
#include "fuse_ops_all.h"

#define NAME 64

struct audit_event {
	uint64_t time_ns;
	uint64_t nodeid;
	uint32_t opcode;
	int32_t error;
	uint32_t uid;
	uint32_t gid;
	uint32_t pid;
	uint32_t namelen;
	char comm[16];
	char name[NAME];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
	__type(value, struct audit_event);
} audit_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint64_t);
} audit_lost SEC(".maps");

static __noinline uint32_t record(const struct bpf_fuse_meta_info *meta, const struct fuse_buffer *name)
{
	uint64_t ids = bpf_get_current_uid_gid();
	struct audit_event *event;

	event = bpf_ringbuf_reserve(&audit_events, sizeof(*event), 0);
	if (!event) {
		uint32_t zero = 0;
		uint64_t *lost = bpf_map_lookup_elem(&audit_lost, &zero);

		if (lost)
			(*lost)++;
		return BPF_FUSE_CONTINUE;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->time_ns = bpf_ktime_get_ns();
	event->nodeid = meta->nodeid;
	event->opcode = meta->opcode & FUSE_OPCODE_FILTER;
	event->error = (int32_t)meta->error_in;
	event->uid = (uint32_t)ids;
	event->gid = ids >> 32;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	if (name) {
		struct bpf_dynptr ptr;
		/* The length counts the NUL; the record says how long the name was. */
		uint32_t len = bpf_fuse_return_len((struct fuse_buffer *)name);

		if (len)
			len--;
		event->namelen = len;
		if (len > NAME - 1)
			len = NAME - 1;
		bpf_fuse_get_ro_dynptr(name, &ptr);
		bpf_dynptr_read(event->name, len & (NAME - 1), &ptr, 0, 0);
	}
	bpf_ringbuf_submit(event, 0);
	return BPF_FUSE_CONTINUE;
}

#define NONE 0
#define FIXED(name) name
#define EDIT(name) name

#define AUDIT(member, names, pre, post)                                                                    \
	SEC("struct_ops/" #member "_prefilter")                                                            \
	uint32_t BPF_PROG(member##_prefilter, const struct bpf_fuse_meta_info *meta FUSE_OPS_ARGS pre)     \
	{                                                                                                  \
		return BPF_FUSE_POSTFILTER;                                                                \
	}                                                                                                  \
	SEC("struct_ops/" #member "_postfilter")                                                           \
	uint32_t BPF_PROG(member##_postfilter, const struct bpf_fuse_meta_info *meta FUSE_OPS_ARGS post)   \
	{                                                                                                  \
		return record(meta, (const struct fuse_buffer *)names);                                    \
	}

FUSE_OPS_ALL(AUDIT)

/* Operations without members of their own: locks, ioctl, syncfs, statx. */
SEC("struct_ops/default_filter")
uint32_t BPF_PROG(default_filter, const struct bpf_fuse_meta_info *meta)
{
	if (meta->opcode & FUSE_PREFILTER)
		return BPF_FUSE_POSTFILTER;
	return record(meta, 0);
}

SEC(".struct_ops")
struct fuse_ops audit = {
	.default_filter = (void *)default_filter,
	FUSE_OPS_ALL(FUSE_OPS_MEMBER)
	.name = "audit",
};

char _license[] SEC("license") = "Dual BSD/GPL";
