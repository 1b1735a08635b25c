//! The fuse-bpf library.
