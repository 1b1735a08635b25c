#!/bin/sh
# Asks the filter about single calls, then mounts a scratch directory through it.
set -eu
cd "$(dirname "$0")"
fuse_bpf=${FUSE_BPF:-fuse-bpf}
object=@NAME@.bpf.o

fail() {
	echo "FAIL: $*" >&2
	exit 1
}
# allows and denies: what the filter says of one call, without a mount. Status 1 is "no", 2 a failure.
allows() {
	"$fuse_bpf" prog run "$object" "$@" >/dev/null || fail "not allowed: $*"
}
denies() {
	status=0
	"$fuse_bpf" prog run "$object" "$@" >/dev/null || status=$?
	[ "$status" = 1 ] || fail "not denied (status $status): $*"
}

allows --op lookup --name public
denies --op lookup --name secret
denies --op lookup --name secrets.txt
denies --op create --name secret
denies --op unlink --name keep
allows --op unlink --name keeper
allows --op open --set in.flags=1
echo "PASS: single calls"

if [ ! -w /dev/fuse ]; then
	echo "skipped: mounting needs /dev/fuse"
	exit 0
fi
dir=$(mktemp -d)
cleanup() {
	"$fuse_bpf" umount --lazy "$dir/mnt" 2>/dev/null || :
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 2' HUP INT TERM
mkdir "$dir/src" "$dir/mnt"
echo hello >"$dir/src/public"
echo hunter2 >"$dir/src/secret"
"$fuse_bpf" mount --background --filter "$object" "$dir/src" "$dir/mnt"
[ "$(cat "$dir/mnt/public")" = hello ] || fail "a public file cannot be read"
cat "$dir/mnt/secret" 2>/dev/null && fail "a secret can be read"
(echo x >"$dir/mnt/secret2") 2>/dev/null && fail "a secret can be made"
echo more >>"$dir/mnt/public"
"$fuse_bpf" umount "$dir/mnt"
[ "$(cat "$dir/src/public")" = "hello
more" ] || fail "what was written did not arrive"
echo "PASS: mounted"
