/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ring buffers: records reserved and sent, as structs, as dynptrs, of any length. */
#include "filter.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} ring SEC(".maps");

struct event {
	uint64_t when;
	uint64_t nodeid;
	uint32_t pid;
	uint32_t len;
	char name[64];
};

FILTER(audit_struct, unlink_prefilter, META, struct fuse_buffer *name)
{
	struct bpf_dynptr ptr;
	struct event *event;
	uint32_t len = bpf_fuse_return_len(name);

	if (!len)
		return BPF_FUSE_CONTINUE;
	event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);
	if (!event)
		return -ENOMEM;
	event->when = bpf_ktime_get_ns();
	event->nodeid = meta->nodeid;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	if (len > sizeof(event->name))
		len = sizeof(event->name);
	event->len = len;
	bpf_fuse_get_ro_dynptr(name, &ptr);
	if (bpf_dynptr_read(event->name, len, &ptr, 0, 0)) {
		bpf_ringbuf_discard(event, 0);
		return BPF_FUSE_CONTINUE;
	}
	bpf_ringbuf_submit(event, 0);
	return BPF_FUSE_CONTINUE;
}

FILTER(audit_dynptr, rmdir_prefilter, META, struct fuse_buffer *name)
{
	struct event event = { .when = bpf_ktime_get_boot_ns(), .nodeid = meta->nodeid };
	struct bpf_dynptr ptr, record;
	char *text;

	bpf_fuse_get_ro_dynptr(name, &ptr);
	text = bpf_dynptr_slice(&ptr, 0, NULL, 8);
	if (bpf_ringbuf_reserve_dynptr(&ring, sizeof(event) + 8, 0, &record)) {
		bpf_ringbuf_discard_dynptr(&record, 0);
		return BPF_FUSE_CONTINUE;
	}
	bpf_dynptr_write(&record, 0, &event, sizeof(event), 0);
	if (text)
		bpf_dynptr_write(&record, sizeof(event), text, 8, 0);
	bpf_ringbuf_submit_dynptr(&record, 0);
	return BPF_FUSE_CONTINUE;
}

MAP(scratch, PERCPU_ARRAY, 1, uint32_t, struct event);

FILTER(audit_output, symlink_prefilter, META, struct fuse_buffer *name, struct fuse_buffer *path)
{
	uint32_t zero = 0, len = bpf_fuse_return_len(path);
	struct event *event = bpf_map_lookup_elem(&scratch, &zero);
	struct bpf_dynptr ptr;

	if (!event)
		return -EIO;
	event->when = bpf_ktime_get_ns();
	event->nodeid = meta->nodeid;
	if (len > sizeof(event->name))
		return -ENAMETOOLONG;
	bpf_fuse_get_ro_dynptr(path, &ptr);
	if (bpf_dynptr_read(event->name, len, &ptr, 0, 0))
		return -EIO;
	event->len = len;
	bpf_ringbuf_output(&ring, event, offsetof(struct event, name) + len, 0);
	return BPF_FUSE_CONTINUE;
}

/* Two records in flight, given back in either order. */
FILTER(audit_pair, link_prefilter, META, struct fuse_link_in *in, struct fuse_buffer *name)
{
	struct event *from = bpf_ringbuf_reserve(&ring, sizeof(*from), 0), *to;

	if (!from)
		return -ENOMEM;
	to = bpf_ringbuf_reserve(&ring, sizeof(*to), 0);
	if (!to) {
		bpf_ringbuf_discard(from, 0);
		return -ENOMEM;
	}
	from->nodeid = in->oldnodeid;
	to->nodeid = meta->nodeid;
	if (in->oldnodeid & 1) {
		bpf_ringbuf_submit(from, 0);
		bpf_ringbuf_submit(to, 0);
	} else {
		bpf_ringbuf_discard(to, 0);
		bpf_ringbuf_submit(from, 0);
	}
	return BPF_FUSE_CONTINUE;
}
