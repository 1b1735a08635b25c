#!/bin/bash
# Installs what the demo or the tests need: scripts/setup.sh [demo|test]
# Does nothing when all is there. Uses apt-get, with sudo unless root; elsewhere it says what to install.
set -euo pipefail

# Command, or file by its whole path, and the Debian package it comes in.
needed=(
	git:git
	diff:diffutils
	cc:gcc
	fusermount3:fuse3
)
if [ "${1:-test}" = test ]; then
	needed+=(
		clang:clang
		make:make
		tar:tar
		rsync:rsync
		sqlite3:sqlite3
		getfattr:attr
		setfacl:acl
		setpriv:util-linux
		pkg-config:pkg-config
		/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c:libfuse3-dev
	)
fi

if ! command -v cargo >/dev/null; then
	echo "setup: cargo is missing; install Rust from https://rustup.rs" >&2
	exit 2
fi

# fusermount3 and others live where only root looks.
PATH=$PATH:/usr/sbin:/sbin
missing=()
for entry in "${needed[@]}"; do
	what=${entry%%:*}
	[[ $what == /* && -e $what ]] || command -v "$what" >/dev/null || missing+=("${entry#*:}")
done

if [ ${#missing[@]} -gt 0 ]; then
	as_root=()
	if [ "$(id -u)" != 0 ]; then
		as_root=(sudo)
	fi
	if ! command -v apt-get >/dev/null || { [ ${#as_root[@]} -gt 0 ] && ! command -v sudo >/dev/null; }; then
		echo "setup: please install: ${missing[*]} (as root: apt-get install ${missing[*]})" >&2
		exit 2
	fi
	echo "setup: ${as_root[*]} apt-get install ${missing[*]}"
	"${as_root[@]}" apt-get update -qq
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if [ ! -e /dev/fuse ] && [ "$(id -u)" = 0 ]; then
	echo "setup: modprobe fuse"
	modprobe fuse || :
fi
if [ ! -e /dev/fuse ]; then
	echo "setup: /dev/fuse is missing; load the module (modprobe fuse), or give the container the device" \
		"(--device /dev/fuse --cap-add SYS_ADMIN)" >&2
	exit 2
fi
echo "setup: everything needed is installed"
