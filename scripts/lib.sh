# What the test scripts share: the program, mounts that always end, and the count of results.
# Sourced, after `set -euo pipefail`.

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$REPO/scripts/program.sh"
EVERYTHING=${EVERYTHING-$REPO/bpf/tests/everything.bpf.o}

if [ ! -e /dev/fuse ]; then
    echo "SKIP: there is no /dev/fuse, so nothing can be mounted"
    echo "0 passed, 0 failed"
    exit 0
fi

# Short: the addresses of sockets have 108 bytes.
SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/fbXXXX")
chmod 755 "$SCRATCH"
PASSED=0
FAILED=0
# Processes started here, by id.
PIDS=()

say() { printf '%s\n' "== $*"; }
pass() { PASSED=$((PASSED + 1)); printf 'PASS %s\n' "$*"; }
fail() { FAILED=$((FAILED + 1)); printf 'FAIL %s\n' "$*"; }

# check WHAT COMMAND...: passes when the command succeeds; shows what it said when not.
check() {
    local what=$1 said
    shift
    if said=$("$@" 2>&1); then
        pass "$what"
    else
        fail "$what"
        printf '%s\n' "$said" | tail -n 20 | sed 's/^/     | /'
    fi
}

# same WHAT A B: passes when two files are equal.
same() {
    local said
    if said=$(diff -u "$2" "$3" 2>&1); then
        pass "$1"
    else
        fail "$1"
        printf '%s\n' "$said" | head -n 20 | sed 's/^/     | /'
    fi
}

# The table may lack a line while others mount and unmount, so its absence is looked at again.
is_mounted() {
    local try
    for try in 1 2 3; do
        awk -v at="$1" '$5 == at { found = 1 } END { exit !found }' /proc/self/mountinfo && return 0
        sleep 0.02
    done
    return 1
}

not_mounted() { ! is_mounted "$1"; }

# The ids of the servers of mounts in the scratch directory.
servers() {
    local dir
    for dir in /proc/[0-9]*; do
        if tr '\0' ' ' 2>/dev/null <"$dir/cmdline" | grep -qF " $SCRATCH/" && [ "$(readlink "$dir/exe" | sed 's/ (deleted)$//')" = "$FUSE_BPF" ]; then
            echo "${dir#/proc/}"
        fi
    done
}

no_servers() { [ -z "$(servers)" ]; }

# Nothing is left of the mounts that have ended.
all_gone() {
    within 10 no_servers || true
    local pid
    for pid in $(servers); do
        echo "server $pid is still there:"
        tr '\0' ' ' <"/proc/$pid/cmdline"
        echo
        for dir in "/proc/$pid/task"/*; do echo "  $(cat "$dir/comm"): $(cat "$dir/wchan" 2>/dev/null)"; done
    done
    no_servers
}

# Waits for a condition, at most that many seconds.
within() {
    local until=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.05
    done
}

# A zombie has ended: only its parent has not looked yet.
ended() {
    local state
    state=$(awk '/^State:/ { print $2 }' "/proc/$1/status" 2>/dev/null) || true
    [ -z "$state" ] || [ "$state" = Z ]
}

# serve SRC MNT [ARGUMENT...]: mounts, and leaves the id of the server in SERVER.
serve() {
    local src=$1 mnt=$2
    shift 2
    "$FUSE_BPF" mount "$@" "$src" "$mnt" >"$SCRATCH/server.log" 2>&1 &
    SERVER=$!
    PIDS+=("$SERVER")
    # The file system is another when it answers.
    answers() { [ "$(stat -c %d "$mnt" 2>/dev/null)" != "$(stat -c %d "$src")" ] && is_mounted "$mnt" && ls "$mnt" >/dev/null 2>&1; }
    if ! within 10 answers; then
        echo "cannot mount $src on $mnt:"
        sed 's/^/     | /' "$SCRATCH/server.log"
        return 1
    fi
}

# Unmounts, and tries again while something is still looking; says what failed last, and who holds the mount.
unserve() {
    local said=$SCRATCH/unserve.log
    unmounts() { "$FUSE_BPF" umount "$1" >"$said" 2>&1; }
    within 10 unmounts "$1" && return
    cat "$said"
    holders "$1"
    return 1
}

# The processes with a file, a working directory or a program in a directory.
holders() {
    local dir link
    for dir in /proc/[0-9]*; do
        for link in "$dir"/{cwd,root,exe} "$dir"/fd/*; do
            case $(readlink "$link" 2>/dev/null) in
            "$1" | "$1"/*) echo "held by ${dir#/proc/} ($(tr '\0' ' ' 2>/dev/null <"$dir/cmdline")): $link" ;;
            esac
        done
    done
}

finish() {
    local status=$? pid mnt
    trap - EXIT INT TERM
    for pid in ${PIDS[@]+"${PIDS[@]}"}; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    for pid in ${PIDS[@]+"${PIDS[@]}"}; do
        within 5 ended "$pid" || kill -KILL "$pid" 2>/dev/null || true
    done
    awk -v root="$SCRATCH/" 'index($5, root) == 1 { print $5 }' /proc/self/mountinfo | while read -r mnt; do
        "$FUSE_BPF" umount --lazy "$mnt" 2>/dev/null || umount -l "$mnt" 2>/dev/null || fusermount3 -uz "$mnt" || true
    done
    for pid in $(servers); do
        kill -KILL "$pid" 2>/dev/null || true
    done
    cd /
    rm -rf --one-file-system "$SCRATCH" || true
    if [ "$status" -ne 0 ]; then
        fail "the script itself ended with status $status"
    fi
    printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
    [ "$FAILED" -eq 0 ] || exit 1
    exit 0
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
