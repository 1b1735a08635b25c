//! The facts of section 7.1, one test each: those the matrix shows as well, and those it cannot. Where the project mends what the
//! series does, the test says so.

use std::fs;
use std::os::unix::process::CommandExt as _;

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, statat};
use rustix::io::Errno as Os;

use crate::drivers::DRIVERS;
use crate::model::*;
use crate::world::*;
use crate::{attempt, can_mount};

const LOOKUP: u32 = 1;
const GETATTR: u32 = 3;
const MKDIR: u32 = 9;
const OPEN: u32 = 14;
const READ: u32 = 15;
const RELEASE: u32 = 18;
const SETLK: u32 = 32;

const MODE: Mode = Mode::from_raw_mode(0o755);

macro_rules! facts {
    ($($(#[$doc:meta])* fn $name:ident($world:ident) $body:block)*) => {
        $($(#[$doc])* #[test] fn $name() {
            if can_mount() {
                let owned = World::new();
                let $world = &owned;
                $body
            }
        })*
    };
}

fn says(verdict: Verdict) -> Rule {
    Rule { value: verdict.value(), ..NO_RULE }
}

/// The programs that ran for an operation: with stage bits, and which of the set.
fn ran(world: &World, opcode: u32) -> Vec<(u32, u32)> {
    let log = world.upper.log();
    log.iter()
        .filter(|record| record.is(opcode))
        .map(|record| (record.opcode & !OPCODE, record.program))
        .collect()
}

/// Records of an operation.
fn records(world: &World, opcode: u32) -> Vec<Record> {
    world.upper.log().into_iter().filter(|record| record.is(opcode)).collect()
}

const PLAIN: Case = Case {
    with_default: true,
    pre: Verdict::Continue,
    pre_default: Verdict::Continue,
    daemon_pre: Verdict::Continue,
    edit_in: Editor::Nobody,
    fails: false,
    post: Verdict::Continue,
    post_default: Verdict::Continue,
    daemon_post: Verdict::Continue,
    edit_out: Editor::Nobody,
    error_out: 0,
};

/// Tries a case with every operation that can be tried so.
fn everywhere(world: &World, case: Case) {
    let mut wrong = Vec::new();
    for driver in DRIVERS.iter().filter(|driver| !case.fails || driver.cannot_fail.is_none()) {
        if case.edit_in != Editor::Nobody && driver.edit_in.is_none() {
            continue;
        }
        let Some(case) = driver.takes(case) else { continue };
        wrong.extend(attempt(world, driver, &case).err().map(|why| format!("{}: {why}", driver.name())));
    }
    assert!(wrong.is_empty(), "{case:?}:\n{}", wrong.join("\n"));
}

facts! {
    /// A postfilter that returns 0 does not clear an error; only a negative value replaces it.
    fn f1_a_postfilter_never_turns_an_error_into_success(world) {
        everywhere(world, Case { pre: Verdict::Postfilter, fails: true, ..PLAIN });
        everywhere(world, Case { pre: Verdict::Postfilter, fails: true, post: Verdict::Fails(errors::POST), ..PLAIN });
        let scene = world.scene(0, false);
        world.upper.rule(MKDIR, 0, says(Verdict::Postfilter));
        world.upper.rule(MKDIR, AFTER, says(Verdict::Fails(libc::EPERM)));
        assert_eq!(mkdirat(&scene.dir, "new", MODE), Err(Os::PERM));
        // Success turned into failure: it was done all the same.
        assert!(world.state(&scene).contains_key("new"));
        world.strike(scene);
    }

    /// A negative prefilter skips what follows. After a negative postfilter nothing stays open, which the series forgets (B18).
    fn f2_a_refusal_skips_the_rest_and_leaves_nothing_open(world) {
        everywhere(world, Case { pre: Verdict::Fails(errors::PRE), ..PLAIN });
        let scene = world.scene(0, true);
        world.upper.rule(OPEN, 0, says(Verdict::Postfilter));
        world.upper.rule(OPEN, AFTER, says(Verdict::Fails(libc::EPERM)));
        world.lower.forget();
        let opened = openat(&scene.dir, "f", OFlags::RDWR, Mode::empty());
        assert_eq!(opened.unwrap_err(), Os::PERM);
        assert!(world.lower.log().iter().any(|record| record.is(OPEN)));
        assert!(world.lower.wait_for(RELEASE).is_some(), "the file stays open below");
        world.strike(scene);
    }

    /// The daemon that is handed an operation gets what was sent, not what a prefilter made of it.
    fn f3_edits_are_lost_on_the_way_to_the_daemon(world) {
        everywhere(world, Case { pre: Verdict::User, edit_in: Editor::Filter, ..PLAIN });
    }

    /// What a postfilter cannot ask for means it is done.
    fn f4_a_postfilter_cannot_hand_over(world) {
        for post in [Verdict::User, Verdict::UserPrefilter, Verdict::Postfilter, Verdict::Unknown] {
            everywhere(world, Case { pre: Verdict::Postfilter, post, ..PLAIN });
        }
        everywhere(world, Case { pre: Verdict::Unknown, ..PLAIN });
    }

    /// USER_POSTFILTER from a prefilter goes past the set's own postfilter.
    fn f5_the_daemon_may_take_the_postfilters_place(world) {
        everywhere(world, Case { pre: Verdict::UserPostfilter, post: Verdict::Fails(errors::POST), ..PLAIN });
    }

    /// The opcode tells the stage: one bit at a time.
    fn f6_the_opcode_tells_the_stage(world) {
        let scene = world.scene(0, false);
        world.upper.rule(MKDIR, 0, says(Verdict::Postfilter));
        world.upper.forget();
        mkdirat(&scene.dir, "new", MODE).unwrap();
        let opcodes: Vec<_> = records(world, MKDIR).iter().map(|record| record.opcode).collect();
        assert_eq!(opcodes, [MKDIR | PREFILTER, MKDIR | POSTFILTER]);
        world.strike(scene);
    }

    /// A count of bytes is no error; unlike in the series (B24) a postfilter can lower it.
    fn f7_a_count_is_no_error(world) {
        let mut scene = world.scene(0, true);
        scene.file = Some(openat(&scene.dir, "f", OFlags::RDWR, Mode::empty()).unwrap());
        world.upper.rule(READ, 0, says(Verdict::Postfilter));
        let mut lower = says(Verdict::Continue);
        (lower.place, lower.keep[0], lower.put[0]) = (2, 0, 3);
        world.upper.rule(READ, AFTER, lower);
        world.upper.forget();
        let mut buffer = [0; 8];
        assert_eq!(rustix::io::pread(scene.file.as_ref().unwrap(), &mut buffer, 0), Ok(3));
        assert_eq!(&buffer[..3], b"012");
        assert_eq!(records(world, READ).last().unwrap().error(), 0);
        world.strike(scene);
    }

    /// Every operation's error is seen by its postfilter; the series shows those of half of them (B10).
    fn f8_every_error_is_seen_by_the_postfilter(world) {
        everywhere(world, Case { pre: Verdict::Postfilter, fails: true, ..PLAIN });
        everywhere(world, Case { pre: Verdict::UserPostfilter, fails: true, ..PLAIN });
    }

    /// Where a program is missing `default_filter` is asked, in both stages; without one nobody is.
    fn f9_a_missing_program_is_the_default_filters_business(world) {
        let only_default = SETS.iter().position(|set| *set == "only_default").unwrap();
        let scene = world.scene(only_default, false);
        let make = |name: &str| {
            world.upper.forget();
            mkdirat(&scene.dir, name, MODE)
        };
        make("one").unwrap();
        assert_eq!(ran(world, MKDIR), [(PREFILTER, DEFAULT)]);
        world.upper.rule(MKDIR, DEFAULT, says(Verdict::Postfilter));
        make("two").unwrap();
        assert_eq!(ran(world, MKDIR), [(PREFILTER, DEFAULT), (POSTFILTER, DEFAULT | AFTER)]);
        world.upper.rule(MKDIR, DEFAULT | AFTER, says(Verdict::Fails(libc::EPERM)));
        assert_eq!(make("three"), Err(Os::PERM));
        world.upper.rule(MKDIR, DEFAULT, says(Verdict::Fails(libc::EACCES)));
        assert_eq!(make("four"), Err(Os::ACCESS));
        let below = world.state(&scene);
        assert!(below.contains_key("three") && !below.contains_key("four"));
        // Operations without members are its alone.
        let file = openat(&scene.dir, "f", OFlags::RDWR, Mode::empty()).unwrap();
        world.upper.rule(SETLK, DEFAULT, says(Verdict::Fails(libc::EACCES)));
        world.upper.forget();
        let locked = rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive);
        assert_eq!((locked, ran(world, SETLK)), (Err(Os::ACCESS), vec![(PREFILTER, DEFAULT)]));
        drop(file);
        world.strike(scene);
        everywhere(world, Case { pre: Verdict::CallDefault, with_default: false, ..PLAIN });
    }

    /// An inode whose program set was taken away is not filtered, not even by a `default_filter`.
    fn f10_without_a_set_there_is_no_filter(world) {
        const REMOVE_BPF: u8 = 4;
        let scene = world.scene(0, false);
        world.upper.rule(LOOKUP, 0, says(Verdict::Postfilter));
        let mut remove = says(Verdict::Continue);
        (remove.place, remove.size, remove.text[0]) = (3, 24, REMOVE_BPF);
        world.upper.rule(LOOKUP, AFTER, remove);
        let dir = openat(&scene.dir, "d", OFlags::PATH, Mode::empty()).unwrap();
        world.upper.clear();
        world.upper.rule(MKDIR, 0, says(Verdict::Fails(libc::EPERM)));
        world.upper.forget();
        mkdirat(&dir, "new", MODE).unwrap();
        openat(&dir, "new", OFlags::RDONLY, Mode::empty()).unwrap();
        assert!(world.upper.log().is_empty(), "{:?}", world.upper.log());
        assert_eq!(mkdirat(&scene.dir, "other", MODE), Err(Os::PERM));
        drop(dir);
        world.strike(scene);
    }

    /// A filter is told who calls, and the operation is done with the caller's rights.
    fn f11_filters_run_for_the_caller(world) {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        let scene = world.scene(0, false);
        let open = |path: &std::path::Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        open(world.below("").parent().unwrap());
        open(&world.below(&scene.name));
        world.upper.forget();
        let mut make = std::process::Command::new("mkdir");
        make.arg(world.mnt(0, &scene.name).join("theirs")).uid(65534).gid(65534);
        let mut child = make.spawn().unwrap();
        let id = child.id();
        assert!(child.wait().unwrap().success());
        let asked: Vec<_> = records(world, MKDIR).iter().map(|record| (record.uid, record.pid)).collect();
        assert_eq!(asked, [(65534, id)]);
        assert_eq!(fs::metadata(world.below(&scene.name).join("theirs")).unwrap().uid(), 65534);
        world.strike(scene);
    }

    /// The root is 1, what nobody gave a number is 0, and a link is made in 0.
    fn f12_inodes_have_the_numbers_they_were_given(world) {
        world.upper.forget();
        fs::metadata(world.mnt(0, "")).unwrap();
        assert!(records(world, GETATTR).iter().all(|record| record.nodeid == 1));
        let scene = world.scene(0, true);
        let number = |name: &str| {
            world.upper.forget();
            statat(&scene.dir, name, AtFlags::SYMLINK_NOFOLLOW).unwrap();
            (records(world, LOOKUP)[0].nodeid, records(world, GETATTR)[0].nodeid)
        };
        assert_eq!(number("f"), (scene.ids[0], scene.ids[1]));
        assert_eq!(number("g"), (scene.ids[0], 0));
        world.upper.forget();
        rustix::fs::linkat(&scene.dir, "f", &scene.dir, "new", AtFlags::empty()).unwrap();
        assert_eq!(records(world, 13)[0].nodeid, 0);
        world.strike(scene);
    }

    /// Verdicts are not remembered: every walk of a path asks again.
    fn f13_every_call_is_decided_anew(world) {
        let scene = world.scene(0, false);
        let look = || statat(&scene.dir, "f", AtFlags::SYMLINK_NOFOLLOW).map(drop);
        world.upper.forget();
        for _ in 0..10 {
            look().unwrap();
        }
        assert_eq!(ran(world, LOOKUP).len(), 10);
        for _ in 0..3 {
            world.upper.rule(LOOKUP, 0, says(Verdict::Fails(libc::ENOENT)));
            assert_eq!(look(), Err(Os::NOENT));
            world.upper.rule(LOOKUP, 0, says(Verdict::Continue));
            assert_eq!(look(), Ok(()));
        }
        world.strike(scene);
    }

    /// Beyond the series (B28): a postfilter may let an operation succeed that failed, where there is nothing to be given.
    fn a_postfilter_may_let_an_operation_succeed(world) {
        let scene = world.scene(0, false);
        let succeeds = Rule { result: 1, ..says(Verdict::Continue) };
        world.upper.rule(MKDIR, 0, says(Verdict::Postfilter));
        world.upper.rule(MKDIR, AFTER, succeeds);
        world.lower.rule(MKDIR, 0, says(Verdict::Fails(errors::BACKING)));
        // There is no directory to be told of.
        assert_eq!(mkdirat(&scene.dir, "new", MODE), Err(Os::IO));
        const UNLINK: u32 = 10;
        world.upper.rule(UNLINK, 0, says(Verdict::Postfilter));
        world.upper.rule(UNLINK, AFTER, succeeds);
        world.lower.rule(UNLINK, 0, says(Verdict::Fails(errors::BACKING)));
        assert_eq!(rustix::fs::unlinkat(&scene.dir, "g", AtFlags::empty()), Ok(()));
        assert!(world.state(&scene).contains_key("g"));
        world.strike(scene);
    }

    /// What a postfilter says of the result counts when it leaves the rest to `default_filter`, too, and not when it then fails.
    fn what_a_postfilter_says_of_the_result_is_kept(world) {
        let scene = world.scene(0, false);
        let make = |name: &str| mkdirat(&scene.dir, name, MODE);
        world.upper.rule(MKDIR, 0, says(Verdict::Postfilter));
        world.upper.rule(MKDIR, AFTER, Rule { result: errors::OUT as u32, ..says(Verdict::CallDefault) });
        assert_eq!(make("one"), Err(Os::from_raw_os_error(errors::OUT)));
        world.upper.rule(MKDIR, AFTER, Rule { result: errors::OUT as u32, ..says(Verdict::Fails(errors::POST)) });
        assert_eq!(make("two"), Err(Os::from_raw_os_error(errors::POST)));
        world.strike(scene);
    }

    /// What an inner set said of the result before it failed is not taken for an outer one's, whose daemon has nothing to say.
    fn a_refusal_is_not_undone_by_what_was_said_before_it(world) {
        const UNLINK: u32 = 10;
        let (outer, inner) = (object(), object());
        let (outside, inside) = (Programs::of(&outer), Programs::of(&inner));
        let dir = tempfile::tempdir().unwrap();
        let (src, mnt) = (dir.path().join("src"), dir.path().join("mnt"));
        for path in [&src, &mnt] {
            fs::create_dir(path).unwrap();
        }
        fs::write(src.join("f"), "").unwrap();
        let set = |object: &fuse_bpf::filter::FilterObject| object.set(Some("matrix")).unwrap();
        let builder = fuse_bpf::Builder::new(&src).filter(set(&outer)).filter(set(&inner));
        world.oracle.answer(UNLINK | POSTFILTER, |_| Ok(fuse_bpf::daemon::Answer::default()));
        let mount = builder.daemon(world.oracle.clone()).mount(&mnt).unwrap();
        outside.rule(UNLINK, 0, says(Verdict::UserPostfilter));
        inside.rule(UNLINK, 0, says(Verdict::Postfilter));
        inside.rule(UNLINK, AFTER, Rule { result: 1, ..says(Verdict::Fails(libc::EPERM)) });
        let removed = rustix::fs::unlink(mnt.join("f"));
        mount.stop();
        assert_eq!(removed, Err(Os::PERM));
        assert_eq!(world.oracle.heard().iter().filter(|heard| heard.opcode == UNLINK | POSTFILTER).count(), 1);
    }
}
