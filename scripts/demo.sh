#!/bin/bash
# Mounts a copy of a checkout with some names hidden, and checks that they are gone and nothing else is.
#
#	scripts/demo.sh			this checkout
#	SRC=/some/dir scripts/demo.sh	another directory; it is copied, not touched
#
# As root it shows the same once more as an ordinary user.
set -euo pipefail
export LC_ALL=C GIT_CONFIG_NOSYSTEM=1 GIT_OPTIONAL_LOCKS=1

patterns=('secret*' '*.key' '.env')
passed=0
failed=0

say() {
	printf '\n== %s\n' "$*"
}

# check TEXT COMMAND...: one line for each thing shown.
check() {
	local text=$1
	shift
	# In a shell of its own, so that no check moves the next one elsewhere.
	if ("$@") >"$work/out" 2>&1; then
		passed=$((passed + 1))
		echo "PASS  $text"
	else
		failed=$((failed + 1))
		echo "FAIL  $text"
		echo "      command: $*"
		sed 's/^/      /' "$work/out" | head -20
	fi
}

# What find(1) takes for "one of the hidden names".
hidden_names() {
	local sep=
	for pattern in "${patterns[@]}"; do
		printf '%s' "${sep:+-o
}-name
$pattern
"
		sep=1
	done
}

# same_listing FORMAT: the mount lists what the directory lists, hidden names aside.
same_listing() {
	local hidden
	mapfile -t hidden < <(hidden_names)
	(cd "$lower" && find . \( "${hidden[@]}" \) -prune -o -printf "$1") | sort >"$work/expected"
	(cd "$mnt" && find . -printf "$1") | sort >"$work/actual"
	[ -s "$work/actual" ] && diff "$work/expected" "$work/actual"
}

same_contents() {
	local exclude=()
	for pattern in "${patterns[@]}"; do
		exclude+=(-x "$pattern")
	done
	diff -r --no-dereference "${exclude[@]}" "$lower" "$mnt"
}

# no_such COMMAND...: fails with ENOENT.
no_such() {
	local said
	if said=$("$@" 2>&1); then
		echo "succeeded: $said"
		return 1
	fi
	[[ $said == *"No such file or directory"* ]] || { echo "$said" && return 1; }
}

# refused COMMAND...: fails.
refused() {
	if "$@" >/dev/null 2>&1; then
		echo "succeeded"
		return 1
	fi
}

# absent NAME... -- COMMAND...: no name in the output of a command that succeeds.
absent() {
	local names=() name said
	while [ "$1" != -- ]; do
		names+=("$1")
		shift
	done
	shift
	said=$("$@") || return 1
	[ -n "$said" ] || { echo "no output" && return 1; }
	for name in "${names[@]}"; do
		if grep -qF -- "$name" <<<"$said"; then
			echo "$name is there:"
			echo "$said"
			return 1
		fi
	done
}

in_git() {
	git -C "$mnt" -c safe.directory='*' -c user.name=demo -c user.email=demo@example.org "$@"
}

changes() {
	cd "$mnt" || return 1
	mkdir new && echo one >new/a && echo two >>new/a && mv new/a new/b && ln -s b new/link &&
		ln new/b new/hard && chmod 600 new/b && truncate -s 4 new/b && rm new/hard || return 1
	cd "$lower" || return 1
	[ "$(cat new/b)" = one ] && [ "$(readlink new/link)" = b ] && [ "$(stat -c %a:%h new/b)" = 600:1 ] &&
		[ "$(ls new)" = $'b\nlink' ]
}

commits() {
	echo "made through the mount" >"$mnt/committed.txt"
	in_git add committed.txt && in_git commit -q -m "through the mount" && in_git fsck &&
		[ "$(in_git show HEAD:committed.txt)" = "made through the mount" ]
}

untouched() {
	[ "$(cat "$lower/.env")" = TOKEN=1 ] && [ "$(cat "$lower/secret.txt")" = hunter2 ] &&
		[ ! -e "$lower/secret-made" ] && [ ! -e "$lower/secret-dir" ] && [ ! -e "$lower/moved.key" ]
}

is_mounted() {
	grep -qF " $mnt " /proc/self/mountinfo
}

is_served() {
	local pid
	for pid in /proc/[0-9]*; do
		if [ "$pid" != "/proc/$$" ] && tr '\0' ' ' <"$pid/cmdline" 2>/dev/null | grep -qF -- "$mnt "; then
			return 0
		fi
	done
	return 1
}

gone() {
	local i
	for i in $(seq 50); do
		is_mounted || is_served || return 0
		sleep 0.1
	done
	echo "still mounted, or still served after 5 seconds"
	return 1
}

# The demonstration: $work has the program, a directory `src` to mount and room for more.
show() {
	lower=$work/src
	mnt=$work/mnt
	mkdir "$mnt"
	trap 'is_mounted && "$work/fuse-bpf" umount --lazy "$mnt"' EXIT
	trap 'exit 130' INT TERM HUP

	local names=(secret.txt secrets deploy.key .env) hide=() pattern
	echo hunter2 >"$lower/secret.txt"
	echo TOKEN=1 >"$lower/.env"
	echo private >"$lower/deploy.key"
	mkdir -p "$lower/secrets" "$lower/some/where/deep"
	echo inside >"$lower/secrets/inside.txt"
	echo deep >"$lower/some/where/deep/secret-plan"
	echo public >"$lower/some/where/deep/plan"
	echo notes >"$lower/notes.txt"
	for pattern in "${patterns[@]}"; do
		hide+=(--hide "$pattern")
	done

	say "as $(id -un): fuse-bpf mount --background ${hide[*]} src mnt"
	"$work/fuse-bpf" mount --background "${hide[@]}" "$lower" "$mnt"
	ls -la "$mnt"

	say "hidden names are gone"
	check "ls -la does not show them" absent "${names[@]}" -- ls -la "$mnt"
	check "find does not find them, at any depth" absent "${names[@]}" secret-plan inside.txt -- find "$mnt" -not -path '*/.git/*'
	check "cat: no such file" no_such cat "$mnt/secret.txt"
	check "cat below a hidden directory: no such file" no_such cat "$mnt/secrets/inside.txt"
	check "stat: no such file" no_such stat "$mnt/deploy.key"
	check "ls of the very name: no such file" no_such ls "$mnt/.env"
	if [ -e "$lower/.git" ]; then
		check "git status does not know them" absent "${names[@]}" secret-plan -- in_git status --porcelain -uall
		check "git status sees the rest" grep -q 'notes.txt' <(in_git status --porcelain -uall)
	else
		echo "skipped: git status: $lower is not a git checkout"
	fi

	say "everything else is as in the directory"
	check "same names, types, modes, sizes, owners, links, times" same_listing '%P %y %m %s %U %G %n %T@ %l\n'
	check "same contents (diff -r)" same_contents
	check "make, write, append, rename, link, chmod, truncate, remove" changes
	if [ -e "$lower/.git" ]; then
		check "git add, commit, fsck" commits
	fi

	say "names that come later are hidden too"
	echo later >"$lower/secret-later"
	echo later >"$lower/some/later.key"
	mkdir "$lower/secret-later.d"
	echo later >"$lower/visible-later"
	check "made beside the mount: not listed" absent secret-later later.key -- ls -a "$mnt" "$mnt/some"
	check "made beside the mount: no such file" no_such cat "$mnt/secret-later"
	check "made beside the mount, deeper: no such file" no_such stat "$mnt/some/later.key"
	check "made beside the mount, a directory: no such file" no_such ls "$mnt/secret-later.d"
	check "another name made beside the mount is there" grep -qx later "$mnt/visible-later"
	check "cannot be made through the mount: file" refused touch "$mnt/secret-made"
	check "cannot be made through the mount: directory" refused mkdir "$mnt/secret-dir"
	check "cannot be made through the mount: rename" refused mv "$mnt/notes.txt" "$mnt/moved.key"
	check "cannot be made through the mount: hard link" refused ln "$mnt/notes.txt" "$mnt/moved.key"
	check "cannot be made through the mount: symbolic link" refused ln -s notes.txt "$mnt/moved.key"
	check "cannot be overwritten" refused cp "$mnt/notes.txt" "$mnt/.env"
	check "cannot be removed" refused rm "$mnt/secret.txt"
	check "the directory itself still has them, unchanged" untouched
	check "still the same names everywhere" same_listing '%P %y\n'

	say "fuse-bpf umount mnt"
	check "unmounts" "$work/fuse-bpf" umount "$mnt"
	check "is gone, and so is its server" gone
	trap - EXIT
}

result() {
	echo
	echo "demo as $(id -un): $passed passed, $failed failed"
	[ "$failed" = 0 ]
}

if [ "${1:-}" = --prepared ]; then
	work=$2
	show
	result
	exit
fi

root=$(cd "$(dirname "$0")/.." && pwd)
"$root/scripts/setup.sh" demo
SRC=$(cd "${SRC:-$root}" && pwd)

say "cargo build"
(cd "$root" && cargo build --quiet -p fuse-bpf-cli)
target=$(cd "$root" && cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

top=$(mktemp -d "${TMPDIR:-/tmp}/fuse-bpf-demo.XXXXXX")
chmod 755 "$top"
cleanup() {
	local mnt
	for mnt in "$top"/*/mnt; do
		if grep -qF " $mnt " /proc/self/mountinfo; then
			"$target/debug/fuse-bpf" umount --lazy "$mnt" || :
		fi
	done
	rm -rf "$top"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# prepare DIR: a place to show things in.
prepare() {
	mkdir "$1"
	cp "$target/debug/fuse-bpf" "$root/scripts/demo.sh" "$1"
	say "a copy of $SRC to play with"
	if ! git -c safe.directory='*' clone -q --no-hardlinks "$SRC" "$1/src" 2>/dev/null; then
		echo "not a git checkout: copying the files"
		rm -rf "$1/src"
		mkdir "$1/src"
		tar -C "$SRC" --exclude=./target -cf - . | tar -C "$1/src" -xf -
	fi
}

status=0
prepare "$top/own"
"$top/own/demo.sh" --prepared "$top/own" || status=1

if [ "$(id -u)" = 0 ]; then
	user=$(id -u nobody 2>/dev/null || echo 65534)
	group=$(id -g nobody 2>/dev/null || echo 65534)
	prepare "$top/user"
	chown -R "$user:$group" "$top/user"
	as_user=0
	HOME="$top/user" TMPDIR="$top/user" \
		"$root/scripts/as_user.sh" "$top/user/demo.sh" --prepared "$top/user" || as_user=$?
	# 77: not possible here, and it said why.
	if [ $as_user != 0 ] && [ $as_user != 77 ]; then
		status=1
	fi
fi

echo
if [ $status = 0 ]; then
	echo "RESULT: PASS"
else
	echo "RESULT: FAIL"
fi
exit $status
