# FUSE_BPF, the program under test: the one named in the environment, or the debug build, built if it is not there.
# Sourced.

if [ -z "${FUSE_BPF:-}" ]; then
    repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    FUSE_BPF=${CARGO_TARGET_DIR:-$repo/target}/debug/fuse-bpf
    if [ ! -x "$FUSE_BPF" ]; then
        echo "building $FUSE_BPF"
        (cd "$repo" && cargo build --quiet --package fuse-bpf-cli)
    fi
fi
FUSE_BPF=$(realpath "$FUSE_BPF")
