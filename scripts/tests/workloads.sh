#!/bin/bash
# Real programs on a mount through a filter that sets every member of struct fuse_ops, and on a plain
# directory: the results must be the same.
#
#   FUSE_BPF=path      the program; built if it is not there
#   EVERYTHING=path    the filter object; empty for a mount without filters
set -euo pipefail
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"

LOWER=$SCRATCH/l MOUNT=$SCRATCH/m PLAIN=$SCRATCH/p OUT=$SCRATCH/o
mkdir "$LOWER" "$MOUNT" "$PLAIN" "$OUT"
export GIT_CONFIG_GLOBAL=$OUT/gitconfig GIT_CONFIG_NOSYSTEM=1 LC_ALL=C TZ=UTC
git config --global user.name tester
git config --global user.email tester@example.org
git config --global init.defaultBranch main
git config --global advice.detachedHead false
git config --global --add safe.directory '*'

FILTER=()
if [ -n "$EVERYTHING" ]; then
    if [ -e "$EVERYTHING" ]; then
        FILTER=(--filter "$EVERYTHING")
    else
        echo "SKIP: $EVERYTHING has not been built; mounting without it"
    fi
fi
say "mounting $LOWER on $MOUNT ${FILTER[*]:-without filters}"
# In the background: returns when the mount answers. Ended by `umount` below, or by the trap.
if ! "$FUSE_BPF" mount --background ${FILTER[@]+"${FILTER[@]}"} "$LOWER" "$MOUNT"; then
    fail "mount"
    exit 1
fi
check "a background mount answers when the command returns" is_mounted "$MOUNT"

need() {
    local program
    for program; do
        command -v "$program" >/dev/null || { echo "SKIP: $program is not installed"; return 1; }
    done
}

# Every name below a directory with type, mode, owner, size, target; every file's checksum; attributes.
tree() {
    (cd "$1" && find . -printf '%P %y %m %U:%G %n %l ' -a \( -type f -printf '%s\n' -o -printf '\n' \) | sort)
    (cd "$1" && find . -type f -print0 | sort -z | xargs -0r sha256sum)
    if command -v getfattr >/dev/null; then
        (cd "$1" && find . -type f -print0 | sort -z | xargs -0r getfattr -hd -m - --)
    fi
}

# compare WHAT SUBDIR: the trees on the plain side, through the mount and beside the mount.
compare() {
    tree "$PLAIN/$2" >"$OUT/plain"
    tree "$MOUNT/$2" >"$OUT/mount"
    tree "$LOWER/$2" >"$OUT/lower"
    same "$1: through the mount as in the plain directory" "$OUT/plain" "$OUT/mount"
    same "$1: beside the mount as in the plain directory" "$OUT/plain" "$OUT/lower"
}

# both WHAT FUNCTION: runs it in both directories; status and output must agree.
both() {
    local plain mount
    # Not with ||, after which `set -e` would not count inside.
    set +e
    (set -e && cd "$PLAIN" && "$2") >"$OUT/plain" 2>&1
    plain=$?
    (set -e && cd "$MOUNT" && "$2") >"$OUT/mount" 2>&1
    mount=$?
    set -e
    if [ "$plain" -ne 0 ]; then
        fail "$1: fails in the plain directory (status $plain)"
        tail -n 10 "$OUT/plain" | sed 's/^/     | /'
    elif [ "$mount" -ne 0 ]; then
        fail "$1: status $mount"
        tail -n 10 "$OUT/mount" | sed 's/^/     | /'
    else
        sed -i "s#$PLAIN#DIR#g" "$OUT/plain"
        sed -i "s#$MOUNT#DIR#g" "$OUT/mount"
        same "$1" "$OUT/plain" "$OUT/mount"
    fi
}

make_origin() {
    say "making a repository to clone"
    git init -q "$OUT/origin"
    (
        cd "$OUT/origin"
        local i
        for i in $(seq 1 30); do
            mkdir -p "dir$((i % 7))/sub"
            seq "$i" $((i * 50)) >"dir$((i % 7))/sub/file$i.txt"
            ln -sf "sub/file$i.txt" "dir$((i % 7))/link$i"
            printf '#!/bin/sh\necho %s\n' "$i" >"dir$((i % 7))/run$i"
            chmod +x "dir$((i % 7))/run$i"
            git add -A
            GIT_AUTHOR_DATE="2024-01-01T00:00:$i" GIT_COMMITTER_DATE="2024-01-01T00:00:$i" git commit -qm "commit $i"
        done
        git branch side HEAD~10
        git tag v1 HEAD~5
    )
}

git_clone() { git clone -q "$OUT/origin" repo; }
git_read() {
    cd repo
    git status --porcelain=v2 --branch
    git log --oneline --all --graph
    git fsck --full --strict 2>/dev/null
    git diff v1 --stat
    git grep -c 7 | sort | tail -n 5
}
git_work() {
    cd repo
    git checkout -q origin/side && ls -R && git checkout -q main
    echo change >>dir1/sub/file1.txt
    git stash -q && git stash pop -q
    git checkout -q -b topic
    export GIT_AUTHOR_DATE=2024-02-01T00:00:00 GIT_COMMITTER_DATE=2024-02-01T00:00:00
    git commit -qam topic
    git mv dir2 moved
    git commit -qm moved
    git rebase -q v1
    git merge -q --no-edit main
    git reset -q --hard HEAD~1
    git clean -fdxq
    git gc -q --prune=now
    git fsck --full 2>/dev/null
    git worktree add -q ../tree v1
    git -C ../tree status --short
    git log --format='%H %s'
    git status --porcelain
}

if need git; then
    make_origin
    say "git clone, status, log, fsck, checkout, rebase, gc, worktree"
    both "git clone" git_clone
    both "git status, log, fsck, diff, grep" git_read
    both "git checkout, commit, rebase, merge, gc, worktree" git_work
    # What is in .git differs by the times that git keeps.
    tree "$PLAIN/tree" | grep -v '^\.git ' | grep -v ' \./\.git$' >"$OUT/plain"
    tree "$MOUNT/tree" | grep -v '^\.git ' | grep -v ' \./\.git$' >"$OUT/mount"
    same "git: the checked out files" "$OUT/plain" "$OUT/mount"
fi

cargo_new() {
    mkdir -p crate/src crate/tests
    cat >crate/Cargo.toml <<'EOF'
[package]
name = "small"
version = "0.1.0"
edition = "2021"
[profile.dev]
incremental = true
[workspace]
EOF
    cat >crate/src/lib.rs <<'EOF'
pub mod parts;
pub fn answer() -> u32 { parts::six() * parts::seven() }
#[cfg(test)] mod tests { #[test] fn is_42() { assert_eq!(super::answer(), 42); } }
EOF
    echo 'pub fn six() -> u32 { 6 } pub fn seven() -> u32 { 7 }' >crate/src/parts.rs
    echo 'fn main() { println!("{}", small::answer()); }' >crate/src/main.rs
    echo '#[test] fn outside() { assert_eq!(small::answer(), 42); }' >crate/tests/outside.rs
    cat >crate/build.rs <<'EOF'
fn main() { std::fs::write(std::path::Path::new(&std::env::var("OUT_DIR").unwrap()).join("made"), "x").unwrap(); }
EOF
}
cargo_build() {
    # What the mount is to hold, and not a directory of the person who runs this, which is removed below.
    unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR
    cd crate
    cargo build --offline --quiet
    ./target/debug/small
    cargo test --offline --quiet 2>&1 | grep 'test result' | sed 's/finished.*//'
    # Nothing to do the second time: times survive the way through the mount.
    cargo build --offline 2>&1 | grep -c Compiling || true
    sleep 1.1
    touch src/parts.rs
    cargo build --offline 2>&1 | grep -c Compiling
    cargo clean --offline --quiet
    ls
}

if need cargo; then
    say "cargo build of a small crate"
    both "cargo: write the crate" cargo_new
    both "cargo build, run, test, build again, touch, clean" cargo_build
fi

make_files() {
    local i
    mkdir -p files/deep/er/and/deeper files/empty
    for i in $(seq 1 200); do
        head -c $((i * 997)) /dev/zero | openssl_like "$i" >"files/f$i"
    done
    for i in 1 2 3; do ln "files/f$i" "files/deep/hard$i"; done
    ln -s ../f1 files/deep/soft
    ln -s /nowhere files/dangling
    mkfifo files/fifo
    chmod 4750 files/f5 && chmod 1777 files/empty && chmod 600 files/f6 && chmod 0400 files/f7
    truncate -s 5M files/sparse && printf end | dd of=files/sparse bs=1 seek=3000000 conv=notrunc status=none
    printf x >"files/deep/er/$(printf 'new\nline \\ \377')"
    printf long >"files/$(printf 'n%.0s' $(seq 255))"
    find files -exec touch -h -d '2023-04-05 06:07:08.123456789' {} +
}
# The same bytes for the same number, whatever the machine.
openssl_like() { tr '\0' "\\$(printf '%03o' $(($1 % 200 + 32)))"; }
tar_out() { tar --format=posix --sort=name -cf - files | tar -tvf - --full-time | sed 's/  */ /g'; }
tar_pack() { tar --format=posix --sort=name --xattrs --acls -czf "$1" -C "$2" files; }

say "tar both ways"
both "tar: make files" make_files
compare "tar: made files" files
both "tar: list what was packed" tar_out
if tar_pack "$OUT/from-mount.tgz" "$MOUNT" 2>"$OUT/err" && tar_pack "$OUT/from-plain.tgz" "$PLAIN" 2>>"$OUT/err"; then
    mkdir "$PLAIN/from-mount" "$MOUNT/from-plain" "$PLAIN/from-plain"
    check "tar: packed on the mount, unpacked plain" tar --xattrs --acls -xzpf "$OUT/from-mount.tgz" -C "$PLAIN/from-mount"
    check "tar: packed plain, unpacked on the mount" tar --xattrs --acls -xzpf "$OUT/from-plain.tgz" -C "$MOUNT/from-plain"
    tar --xattrs --acls -xzpf "$OUT/from-plain.tgz" -C "$PLAIN/from-plain"
    tree "$PLAIN/from-plain" >"$OUT/a"
    tree "$PLAIN/from-mount" >"$OUT/b"
    tree "$MOUNT/from-plain" >"$OUT/c"
    same "tar: each file from the mount" "$OUT/a" "$OUT/b"
    same "tar: each file onto the mount" "$OUT/a" "$OUT/c"
    times() { (cd "$1" && find . -mindepth 1 -printf '%P %T@\n' | sort); }
    times "$PLAIN/from-plain" >"$OUT/a"
    times "$MOUNT/from-plain" >"$OUT/b"
    same "tar: times onto the mount" "$OUT/a" "$OUT/b"
    check "tar: compares itself with the mount" tar --xattrs --acls -dzf "$OUT/from-plain.tgz" -C "$MOUNT/from-plain"
else
    fail "tar: pack"
    sed 's/^/     | /' "$OUT/err"
fi

sqlite_wal() {
    sqlite3 db 'PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, who TEXT, v BLOB);'
    local i writers=() reader=0
    for i in 1 2; do
        (for n in $(seq 1 40); do
            sqlite3 -cmd '.timeout 20000' db "BEGIN IMMEDIATE; INSERT INTO t(who,v) SELECT 'w$i', zeroblob(1000) FROM (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<25) SELECT x FROM c); COMMIT;"
        done) &
        writers+=("$!")
    done
    # A reader sees whole transactions only.
    for n in $(seq 1 40); do
        [ "$(sqlite3 -cmd '.timeout 20000' db 'SELECT count(*) % 25 FROM t')" = 0 ] || reader=$((reader + 1))
    done
    wait "${writers[@]}"
    echo "torn reads: $reader"
    sqlite3 db 'PRAGMA integrity_check; SELECT who, count(*), sum(length(v)) FROM t GROUP BY who;'
    sqlite3 db 'DELETE FROM t WHERE id % 3 = 0; VACUUM; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA integrity_check; SELECT count(*) FROM t;'
    sqlite3 db 'PRAGMA journal_mode=DELETE; UPDATE t SET v=zeroblob(10); PRAGMA integrity_check;'
    ls db*
}
if need sqlite3; then
    say "sqlite3 with WAL: two writers and a reader"
    both "sqlite3" sqlite_wal
    check "sqlite3: the database is sound beside the mount" \
        test "$(sqlite3 "$LOWER/db" 'PRAGMA integrity_check')" = ok
fi

rsync_twice() {
    rsync -aHAX --numeric-ids files/ copy/
    rsync -aHAXi --numeric-ids --delete --stats files/ copy/ |
        grep -E '^([<>ch.*]|Number of (created|deleted|regular))' | sed 's/,//g'
}
if need rsync; then
    say "rsync -aHAX, twice"
    (cd "$PLAIN" && if command -v setfattr >/dev/null; then setfattr -n user.note -v kept files/f9; fi) || true
    (cd "$MOUNT" && if command -v setfattr >/dev/null; then setfattr -n user.note -v kept files/f9; fi) || true
    both "rsync: result and statistics of the second run" rsync_twice
    cp "$OUT/mount" "$OUT/stats"
    compare "rsync: the copy" copy
    check "rsync: the second run transfers nothing" \
        grep -q 'Number of regular files transferred: 0' "$OUT/stats"
    check "rsync: the second run changes nothing" \
        test -z "$(grep -E '^[<>ch*]' "$OUT/stats" || true)"
    rsync -aHAXi --numeric-ids --checksum "$PLAIN/files/" "$MOUNT/files/" >"$OUT/across" 2>&1 || true
    same "rsync: nothing to do between the two directories" /dev/null "$OUT/across"
fi

c_program() {
    mkdir c
    cd c
    cat >part.h <<'EOF'
int part(int);
EOF
    cat >part.c <<'EOF'
#include "part.h"
int part(int x) { return x * 2; }
EOF
    cat >main.c <<'EOF'
#include <stdio.h>
#include "part.h"
int main(void) { printf("%d\n", part(21)); return 0; }
EOF
    printf 'prog: main.o libpart.a\n\tgcc -o $@ main.o -L. -lpart\nlibpart.a: part.o\n\tar rcsD $@ $^\n%%.o: %%.c part.h\n\tgcc -g0 -O2 -c -o $@ $<\nclean:\n\trm -f *.o *.a prog\n' >Makefile
    make -j2 --output-sync=target 2>&1 | sort
    ./prog
    make
    sleep 1.1
    touch part.h
    make | sort
    sha256sum main.o part.o libpart.a prog
    make clean
    ls
}
if need make gcc; then
    say "a C program with make"
    both "make: build, run, nothing to do, touch, clean" c_program
fi

say "unmounting"
cd /
check "unmount" unserve "$MOUNT"
check "nothing is mounted any more" not_mounted "$MOUNT"
check "its server has ended" all_gone
check "the lower tree can be removed" rm -rf "$LOWER"
