/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * audit: a record in the ring buffer audit_events for every operation, with who asked, under which name
 * and how it ended. Every family has a program. When nobody listens and the buffer is full, records are
 * counted in audit_lost instead.
 */
#include "fuse_bpf.h"

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

static __always_inline uint32_t record(const struct bpf_fuse_meta_info *meta, enum fuse_stage stage,
				       const struct fuse_buffer *name)
{
	uint64_t ids = bpf_get_current_uid_gid();
	struct audit_event *event;

	if (stage == FUSE_PRE)
		return BPF_FUSE_POSTFILTER;
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
		uint32_t len;

		/* The length counts the NUL; the record says how long the name was. */
		bpf_dynptr_from_fuse_buffer_ro(name, 0, &ptr);
		len = bpf_dynptr_size(&ptr);
		if (len)
			len--;
		event->namelen = len;
		if (len > NAME - 1)
			len = NAME - 1;
		bpf_dynptr_read(event->name, len & (NAME - 1), &ptr, 0, 0);
	}
	bpf_ringbuf_submit(event, 0);
	return BPF_FUSE_CONTINUE;
}

#define AUDIT(family, named)                             \
	FUSE_FILTER(family, audit_##family)              \
	{                                                \
		return record(meta, stage, named);       \
	}

AUDIT(names, name)
AUDIT(renames, old_name)
AUDIT(files, 0)
AUDIT(data, 0)
AUDIT(attributes, 0)
AUDIT(xattrs, name)
AUDIT(records, 0)
AUDIT(links, name)
/* Operations without a family: locks, ioctl, syncfs, statx. */
AUDIT(default_filter, 0)

SEC(".struct_ops")
struct fuse_filter audit = {
	.names = (void *)audit_names,
	.renames = (void *)audit_renames,
	.files = (void *)audit_files,
	.data = (void *)audit_data,
	.attributes = (void *)audit_attributes,
	.xattrs = (void *)audit_xattrs,
	.records = (void *)audit_records,
	.links = (void *)audit_links,
	.default_filter = (void *)audit_default_filter,
	.name = "audit",
};

char _license[] SEC("license") = "Dual BSD/GPL";
