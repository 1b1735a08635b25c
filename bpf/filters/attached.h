/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A set for files whose names match: what finds them, and what keeps a file from getting rid of the set by another
 * name.
 */
#ifndef ATTACHED_H
#define ATTACHED_H

/* linux/fcntl.h, linux/fs.h */
#define O_TRUNC 01000
#define RENAME_EXCHANGE 2

/* The set files get. */
#define ATTACHED "file"

/* Gives what is found under a name that matches the set ATTACHED. What is made there later gets it as well. */
FUSE_FILTER(names, attach)
{
	struct fuse_bpf_entry_out block = { .entry_type = FUSE_ENTRY_BPF, .name = ATTACHED };
	struct bpf_dynptr ptr;

	if (op != FUSE_LOOKUP)
		return BPF_FUSE_CONTINUE;
	if (stage == FUSE_PRE)
		return buffer_matches(name) ? BPF_FUSE_POSTFILTER : BPF_FUSE_CONTINUE;
	if (bpf_fuse_buffer_resize(entries, sizeof(block)) || bpf_dynptr_from_fuse_buffer_rw(entries, 0, &ptr) ||
	    bpf_dynptr_write(&ptr, 0, &block, sizeof(block), 0))
		return -EIO;
	return BPF_FUSE_CONTINUE;
}

/* A file that matches keeps a name that does. */
FUSE_FILTER(renames, keep_names)
{
	int old, new;

	if (stage == FUSE_POST)
		return BPF_FUSE_CONTINUE;
	old = buffer_matches(old_name);
	new = buffer_matches(new_name);
	if (old && !new)
		return -EACCES;
	/* Exchanged, the other one loses its name, too. */
	if (op == FUSE_RENAME2 && new && !old && in->rename2.flags & RENAME_EXCHANGE)
		return -EACCES;
	return BPF_FUSE_CONTINUE;
}

/* A link is filtered by the set of the file: it gets no other name. */
FUSE_FILTER(names, keep_links)
{
	return op == FUSE_LINK && stage == FUSE_PRE ? -EACCES : BPF_FUSE_CONTINUE;
}

/* It is not emptied by opening it. */
FUSE_FILTER(files, keep_content)
{
	return op == FUSE_OPEN && stage == FUSE_PRE && in->open.flags & O_TRUNC ? -EACCES : BPF_FUSE_CONTINUE;
}

#endif
