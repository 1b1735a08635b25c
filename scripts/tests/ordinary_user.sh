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
root=$PWD
cd "$dir"
status=0
HOME="$dir" TMPDIR="$dir" FUSE_BPF_BIN="$dir/fuse-bpf" \
	"$root/scripts/as_user.sh" ./mount-test --show-output || status=$?
# 77: not possible here, and it said why.
[ $status = 0 ] || [ $status = 77 ]
