#!/bin/bash
# As root: the tests of the command line that mount, once more as an ordinary user.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "$(id -u)" != 0 ]; then
	echo "skipped: ordinary_user: all tests ran as an ordinary user already"
	exit 0
fi
user=$(id -u nobody 2>/dev/null || echo 65534)
group=$(id -g nobody 2>/dev/null || echo 65534)
as_user=(setpriv "--reuid=$user" "--regid=$group" --clear-groups --)

dir=$(mktemp -d /tmp/fuse-bpf-user.XXXXXX)
cleanup() {
	awk -v dir="$dir/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | while read -r mnt; do
		umount -l "$mnt"
	done
	rm -rf "$dir"
}
trap cleanup EXIT

# The test binary and the program, where that user may read them.
messages=$(cargo test --quiet -p fuse-bpf-cli --test mount --no-run --message-format=json)
executable() {
	sed -n "s/.*\"kind\":\[\"$1\"\].*\"executable\":\"\([^\"]*\)\".*/\1/p" <<<"$messages" | tail -n 1
}
cp "$(executable test)" "$dir/mount-test"
cp "$(executable bin)" "$dir/fuse-bpf"
chown -R "$user:$group" "$dir"
if ! "${as_user[@]}" test -w /dev/fuse -a -x "$dir/fuse-bpf"; then
	echo "skipped: ordinary_user: /dev/fuse or /tmp is closed to user $user"
	exit 0
fi
cd "$dir"
env -u XDG_RUNTIME_DIR -u XDG_CACHE_HOME HOME="$dir" TMPDIR="$dir" FUSE_BPF_BIN="$dir/fuse-bpf" \
	"${as_user[@]}" ./mount-test --show-output
