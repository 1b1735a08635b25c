#!/bin/bash
# The end of a mount: its server killed under load, told to end with files open, or never started because
# its filter is malformed. Nobody may hang, nothing may stay mounted, nothing written may be lost.
#
#   FUSE_BPF=path      the program; built if it is not there
#   EVERYTHING=path    a filter object to mount with, and to damage
set -euo pipefail
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"

LOWER=$SCRATCH/l MOUNT=$SCRATCH/m
mkdir "$LOWER" "$MOUNT"

FILTER=()
OBJECT=$EVERYTHING
if [ -n "$OBJECT" ] && [ -e "$OBJECT" ]; then
    FILTER=(--filter "$OBJECT")
else
    OBJECT=$REPO/bpf/filters/audit.bpf.o
    echo "SKIP: the filter of all members has not been built; mounting without it, damaging $OBJECT"
fi

# load DIR: writers, readers and one who waits for a lock, in CLIENTS.
load() {
    local dir=$1 i
    CLIENTS=()
    head -c 3000000 /dev/urandom >"$dir/data"
    for i in 1 2 3; do
        (
            n=0
            while n=$((n + 1)); do
                echo "$n" >"$dir/w$i.$((n % 50))" || exit 1
                mv "$dir/w$i.$((n % 50))" "$dir/v$i.$((n % 50))" || exit 1
            done
        ) >/dev/null 2>&1 &
        CLIENTS+=("$!")
        (while cat "$dir/data" >/dev/null; do ls -l "$dir" >/dev/null || exit 1; done) >/dev/null 2>&1 &
        CLIENTS+=("$!")
    done
    dd if=/dev/zero of="$dir/big" bs=1M count=100000 >/dev/null 2>&1 &
    CLIENTS+=("$!")
    # One holds a lock until its server is gone; another waits for it inside of a request.
    : >"$dir/lock"
    python_locks "$dir/lock"
    PIDS+=("${CLIENTS[@]}")
}

# Without python3 there is flock(1), which waits just as well.
python_locks() {
    if command -v python3 >/dev/null; then
        python3 -c 'import fcntl,sys,time; f=open(sys.argv[1],"w"); fcntl.lockf(f,fcntl.LOCK_EX); print("held",flush=True); time.sleep(8)' "$1" >"$SCRATCH/held" 2>&1 &
        CLIENTS+=("$!")
        within 5 grep -qs held "$SCRATCH/held"
        python3 -c 'import fcntl,sys; f=open(sys.argv[1],"w"); fcntl.lockf(f,fcntl.LOCK_EX)' "$1" >/dev/null 2>&1 &
        CLIENTS+=("$!")
    else
        flock "$1" sleep 8 >/dev/null 2>&1 &
        CLIENTS+=("$!")
        sleep 0.2
        flock "$1" true >/dev/null 2>&1 &
        CLIENTS+=("$!")
    fi
}

all_ended() {
    local pid
    for pid in "${CLIENTS[@]}"; do
        ended "$pid" || return 1
    done
}

no_ones_stuck() {
    local pid
    for pid in "${CLIENTS[@]}"; do
        ended "$pid" || { echo "process $pid is still there:"; grep -E '^(Name|State)' "/proc/$pid/status"; cat "/proc/$pid/stack" 2>/dev/null; return 1; }
    done
}

say "SIGKILL under load"
for round in 1 2 3; do
    serve "$LOWER" "$MOUNT" ${FILTER[@]+"${FILTER[@]}"} || { fail "round $round: mount"; break; }
    load "$MOUNT"
    sleep "0.$((round * 3))"
    disown "$SERVER"
    kill -KILL "$SERVER"
    within 10 all_ended || true
    check "round $round: everybody who used the mount ended within 10 seconds" no_ones_stuck
    for pid in "${CLIENTS[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    wait "${CLIENTS[@]}" 2>/dev/null || true
    if said=$(ls "$MOUNT" 2>&1); then
        not_mounted "$MOUNT" || fail "round $round: a dead mount answers"
    else
        case $said in
        *"not connected"* | *"connection abort"*) pass "round $round: a dead mount says so" ;;
        *) fail "round $round: a dead mount says: $said" ;;
        esac
    fi
    if is_mounted "$MOUNT"; then
        check "round $round: fuse-bpf umount takes a dead mount away" "$FUSE_BPF" umount "$MOUNT"
    fi
    check "round $round: nothing is mounted" not_mounted "$MOUNT"
    check "round $round: the lower directory is usable" bash -c "ls -l '$LOWER' >/dev/null && echo x >'$LOWER/after' && rm -rf '$LOWER'/*"
done

say "malformed objects"
size=$(stat -c %s "$OBJECT")
BAD=$SCRATCH/bad.bpf.o
# refused WHAT: the object in BAD must not mount, must say why, and must leave nothing.
REFUSED=0
WRONG=0
refused() {
    local status=0
    timeout 10 "$FUSE_BPF" mount --background --filter "$BAD" "$LOWER" "$MOUNT" >"$SCRATCH/said" 2>&1 || status=$?
    if is_mounted "$MOUNT"; then
        unserve "$MOUNT" || true
        [ "$2" = may ] && { REFUSED=$((REFUSED + 1)); return; }
        fail "$1: was mounted"
        WRONG=$((WRONG + 1))
    elif [ "$status" -eq 0 ] || [ "$status" -ge 124 ]; then
        fail "$1: status $status"
        WRONG=$((WRONG + 1))
    elif grep -qi panicked "$SCRATCH/said" || [ ! -s "$SCRATCH/said" ]; then
        fail "$1: said $(head -n 2 "$SCRATCH/said")"
        WRONG=$((WRONG + 1))
    else
        REFUSED=$((REFUSED + 1))
    fi
}
patch_byte() { printf "\\x$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
u64_at() { od -An -tu8 -j "$2" -N 8 "$1" | tr -d ' '; }
u16_at() { od -An -tu2 -j "$2" -N 2 "$1" | tr -d ' '; }

# Cut short anywhere: the table of sections is at the end.
for i in $(seq 0 24); do
    head -c $((size * i / 25)) "$OBJECT" >"$BAD"
    refused "cut to $((size * i / 25)) of $size bytes" never
done
head -c $((size - 1)) "$OBJECT" >"$BAD"
refused "cut by one byte" never
# What the header says: magic, class, byte order, version, type, machine, table of sections.
while read -r offset byte what; do
    cp "$OBJECT" "$BAD"
    patch_byte "$BAD" "$offset" "$byte"
    refused "$what" never
done <<'EOF'
0 00 wrong magic
1 58 wrong magic
4 01 32 bits
5 02 big-endian
16 02 an executable
18 3e another machine
40 ff sections elsewhere
47 7f sections far away
58 01 sections of another size
60 ff too many sections
62 ff names of sections elsewhere
EOF
# Damage in each section: some of it may be harmless (a name, a line number), but all of it must be survived.
sections=$(u64_at "$OBJECT" 40)
count=$(u16_at "$OBJECT" 60)
for i in $(seq 1 $((count - 1))); do
    header=$((sections + i * 64))
    for field in 4 24 40; do
        cp "$OBJECT" "$BAD"
        patch_byte "$BAD" $((header + field + 1)) ff
        refused "section $i: header byte $field" may
    done
    offset=$(u64_at "$OBJECT" $((header + 24)))
    length=$(u64_at "$OBJECT" $((header + 32)))
    [ "$length" -gt 0 ] && [ $((offset + length)) -le "$size" ] || continue
    for at in 0 $((length / 2)); do
        cp "$OBJECT" "$BAD"
        patch_byte "$BAD" $((offset + at)) ff
        refused "section $i: byte $at" may
    done
done
for text in "" "not an object" "$(head -c 100 "$OBJECT" | tr '\0' ' ')"; do
    printf '%s' "$text" >"$BAD"
    refused "text instead of an object" never
done
rm "$BAD"
refused "a missing object" never
mkdir "$BAD"
refused "a directory" never
rmdir "$BAD"
[ "$WRONG" -gt 0 ] || pass "$REFUSED damaged objects: refused with a reason, or harmless; nothing stayed mounted"
check "no mount is left" not_mounted "$MOUNT"
check "a sound object mounts afterwards" serve "$LOWER" "$MOUNT" ${FILTER[@]+"${FILTER[@]}"}
# `check` ran it in a subshell, which does not know its id.
unserve "$MOUNT" || fail "unmount"
check "the servers of the damaged objects that mounted have ended" all_gone

if command -v python3 >/dev/null; then
    for signal in TERM INT; do
        say "SIG$signal with files open"
        rm -rf "${LOWER:?}"/*
        serve "$LOWER" "$MOUNT" ${FILTER[@]+"${FILTER[@]}"} || { fail "SIG$signal: mount"; continue; }
        mkfifo "$SCRATCH/go.$signal"
        python3 - "$MOUNT" "$SCRATCH/go.$signal" >"$SCRATCH/client" 2>&1 <<'EOF' &
import errno, hashlib, mmap, os, sys
mount, go = sys.argv[1:]
def name(e): return errno.errorcode.get(e.errno, str(e.errno))
sums = {}
# Written and closed; written and open; written through a mapping that is still dirty.
closed = os.urandom(300_000)
with open(mount + "/closed", "wb") as f: f.write(closed)
held = open(mount + "/held", "w+b", buffering=0)
text = os.urandom(2_000_000)
held.write(text)
mapped = open(mount + "/mapped", "w+b", buffering=0)
mapped.truncate(1 << 20)
m = mmap.mmap(mapped.fileno(), 1 << 20)
dirty = os.urandom(1 << 20)
m[:] = dirty
sub = os.open(mount, os.O_DIRECTORY)
for n, b in ("closed", closed), ("held", text), ("mapped", dirty):
    print(hashlib.sha256(b).hexdigest(), n)
print("ready", flush=True)
open(go).read()
for what, act in (
    ("read", lambda: os.pread(held.fileno(), 10, 0)),
    ("write", lambda: os.pwrite(held.fileno(), b"lost", 0)),
    ("fsync", lambda: os.fsync(held.fileno())),
    ("stat", lambda: os.stat("closed", dir_fd=sub)),
    ("list", lambda: os.listdir(sub)),
    ("create", lambda: os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=sub)),
):
    try:
        act()
        print(what, "ok")
    except OSError as e:
        print(what, name(e))
print("done", flush=True)
EOF
        client=$!
        PIDS+=("$client")
        if ! within 10 grep -q ready "$SCRATCH/client"; then
            fail "SIG$signal: the client is not ready"
            sed 's/^/     | /' "$SCRATCH/client"
            continue
        fi
        kill -"$signal" "$SERVER"
        within 10 ended "$SERVER" || true
        check "SIG$signal: the server ended within 10 seconds" ended "$SERVER"
        status=0
        ended "$SERVER" || kill -KILL "$SERVER"
        wait "$SERVER" || status=$?
        check "SIG$signal: it ends with status 0" test "$status" -eq 0
        check "SIG$signal: unmounted" not_mounted "$MOUNT"
        echo go >"$SCRATCH/go.$signal" &
        PIDS+=("$!")
        within 10 ended "$client" || true
        check "SIG$signal: the client did not hang" grep -q done "$SCRATCH/client"
        for what in read write fsync stat list create; do
            said=$(awk -v what="$what" '$1 == what { print $2 }' "$SCRATCH/client")
            case $said in
            ENOTCONN | ECONNABORTED) pass "SIG$signal: $what of an open file says $said" ;;
            *) fail "SIG$signal: $what of an open file says ${said:-nothing}" ;;
            esac
        done
        for file in closed held mapped; do
            wanted=$(awk -v f="$file" '$2 == f { print $1 }' "$SCRATCH/client")
            got=$(sha256sum <"$LOWER/$file" | cut -d' ' -f1)
            check "SIG$signal: what was written to '$file' is below" test "$wanted" = "$got"
        done
        wait "$client" 2>/dev/null || true
    done
else
    echo "SKIP: files open at SIGTERM: python3 is not installed"
fi

say "a mount in the background"
rm -rf "${LOWER:?}"/*
if "$FUSE_BPF" mount --background ${FILTER[@]+"${FILTER[@]}"} "$LOWER" "$MOUNT"; then
    echo kept >"$MOUNT/file"
    check "umount of a mount nobody uses" unserve "$MOUNT"
    check "the file is below" grep -q kept "$LOWER/file"
    check "a second umount says no" bash -c "! '$FUSE_BPF' umount '$MOUNT'"
else
    fail "mount in the background"
fi
check "all servers have ended" all_gone
