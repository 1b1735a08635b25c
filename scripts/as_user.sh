#!/bin/bash
# As root: runs a command as an ordinary user who may use /dev/fuse. scripts/as_user.sh COMMAND...
# Exits with 77, and says why, where that cannot be had.
#
# udev lets everybody open /dev/fuse. Where there is no udev and only root may, the command gets a device
# node of its own, in a mount namespace of its own; the system's stays as it is.
set -euo pipefail
user=$(id -u nobody 2>/dev/null || echo 65534)
group=$(id -g nobody 2>/dev/null || echo 65534)
as_user=(setpriv "--reuid=$user" "--regid=$group" --clear-groups --)

skip() {
	echo "skipped: as an ordinary user: $*"
	exit 77
}
[ "$(id -u)" = 0 ] || skip "only root can become another user"
command -v setpriv >/dev/null || skip "setpriv is missing (package util-linux)"
[ -u "$(command -v fusermount3)" ] || skip "fusermount3 is not setuid root (package fuse3)"
if "${as_user[@]}" test -w /dev/fuse; then
	exec env -u XDG_RUNTIME_DIR -u XDG_CACHE_HOME "${as_user[@]}" "$@"
fi

if [ -z "${FUSE_BPF_OWN_DEVICE:-}" ]; then
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	chmod 755 "$dir"
	echo "/dev/fuse is closed to ordinary users here: using a device node in a mount namespace"
	mknod -m 666 "$dir/fuse" c 10 229 || skip "/dev/fuse is closed to them, and no device node can be made"
	FUSE_BPF_OWN_DEVICE=$dir/fuse unshare --mount --propagation private "$0" "$@" && exit 0 || exit $?
fi
mount --bind "$FUSE_BPF_OWN_DEVICE" /dev/fuse || skip "/dev/fuse is closed to them, and cannot be covered"
"${as_user[@]}" test -w /dev/fuse || skip "/dev/fuse is closed to them"
exec env -u XDG_RUNTIME_DIR -u XDG_CACHE_HOME "${as_user[@]}" "$@"
