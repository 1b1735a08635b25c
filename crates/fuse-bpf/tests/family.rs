//! `struct fuse_filter`: the same as `struct fuse_ops`, with fewer programs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use fuse_bpf::Errno;
use fuse_bpf::dryrun::{DryRun, Report};
use fuse_bpf::filter::{FilterError, FilterObject, FilterSet, Jit, LoadOptions, Unproved};
use fuse_bpf::ops::OPS;
use fuse_bpf_vm::verify::Rule;

fn object(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bpf").join(name)
}

fn sets(jit: Jit) -> FilterObject {
    FilterObject::load_file(&object("tests/twins.bpf.o"), LoadOptions::new(1).jit(jit)).unwrap()
}

/// A page of two records.
fn page() -> Vec<u8> {
    let mut page = Vec::new();
    for (ino, name) in [(7u64, &b"first"[..]), (8, b"second one")] {
        page.extend(ino.to_ne_bytes());
        page.extend((page.len() as u64 + 32).to_ne_bytes());
        page.extend((name.len() as u32).to_ne_bytes());
        page.extend(8u32.to_ne_bytes());
        page.extend(name);
        page.resize(page.len().next_multiple_of(8), 0);
    }
    page
}

/// Imaginary calls of every operation filters see, several of each.
fn calls() -> Vec<(String, DryRun)> {
    let mut calls = Vec::new();
    for op in OPS.iter().filter(|op| op.filter.is_some()) {
        for first in
            ["alias", "secret", "secrets.txt", "plain", "x", "user.upper", "user.uppe", &"n".repeat(255)]
        {
            for error in [None, Some(Errno::ENOSPC)] {
                let mut call = DryRun::new(op.name).unwrap();
                for (index, name) in [first, "/long/target"].into_iter().enumerate().take(op.strings.len()) {
                    call = call.name(index, name).unwrap();
                }
                let numbered: Vec<String> = call.fields();
                for (value, field) in (0o7777u64..).step_by(0x1_0001).zip(&numbered) {
                    call = call.field(field, value & 0xffff).unwrap();
                }
                if op.payload.is_some() {
                    call = call.payload(b"Some Value".to_vec()).unwrap();
                }
                call = match op.name {
                    "READDIR" | "READDIRPLUS" => call.data(page()),
                    "GETXATTR" => call.field("in.size", 100).unwrap().data(b"What is Stored".to_vec()),
                    _ => call,
                };
                if let Some(error) = error {
                    call = call.error(error);
                }
                calls.push((format!("{} {first} {error:?}", op.name), call));
            }
        }
    }
    calls
}

/// All of it but which programs ran.
fn outcome(report: &Report) -> String {
    format!("{:?} {:?} {:?} {:?}", report.result, report.before, report.after, report.printed)
}

#[test]
fn one_policy_in_both_interfaces_does_the_same() {
    let (interpreted, compiled) = (sets(Jit::Never), sets(Jit::Always));
    let mut changed = 0;
    for (what, call) in calls() {
        let run = |object: &FilterObject, set: &str| call.run(&object.set(Some(set)).unwrap()).unwrap();
        let series = run(&interpreted, "series");
        changed += usize::from(series.before != series.after || series.result == Err(Errno::EACCES));
        for object in [&interpreted, &compiled] {
            for set in ["series", "families"] {
                assert_eq!(outcome(&run(object, set)), outcome(&series), "{set}: {what}");
            }
        }
    }
    assert!(changed > 50, "{changed}");
}

/// The places of a set that are refused, and for what.
fn rejections(object: &Unproved, set: &str) -> Vec<(String, Rule)> {
    let trials = object.trials().into_iter().filter(|trial| trial.set == set);
    trials.filter_map(|trial| Some((trial.member.clone(), trial.judge().err()?.rule))).collect()
}

#[test]
fn who_does_not_ask_for_operation_and_stage_is_refused_where_it_matters() {
    let object = Unproved::load_file(&object("rejected/families.bpf.o"), 1).unwrap();
    assert_eq!(rejections(&object, "asks"), []);
    let places = |found: &[(String, Rule)]| found.iter().map(|(place, _)| place.clone()).collect::<Vec<_>>();

    let late = rejections(&object, "late");
    assert_eq!(places(&late), ["names/mknod_postfilter"]);
    assert_eq!(late[0].1, Rule::ReadOnly { what: "const struct fuse_names_in".into() });

    let early = rejections(&object, "early");
    assert_eq!(places(&early), ["attributes/getattr_prefilter"]);
    assert!(matches!(early[0].1, Rule::Part { name: "fuse_attributes_out", size: 0, .. }), "{early:?}");

    let other = rejections(&object, "other");
    let ops = ["lookup", "create_open", "mknod", "mkdir", "symlink", "link", "unlink", "rmdir"];
    for op in ops {
        let refused = other.iter().find(|(place, _)| *place == format!("names/{op}_prefilter"));
        let rule = refused.map(|(_, rule)| rule);
        let absent = matches!(rule, Some(Rule::Part { name: "fuse_names_in", low: 20, len: 4, .. }));
        assert_eq!(absent, op != "mknod", "{op}: {rule:?}");
    }
    assert_eq!(other.len(), ops.len() - 1);

    for (set, fine) in [("fixed", ["lookup", "link"].as_slice()), ("absent", &["symlink"])] {
        let found = rejections(&object, set);
        for op in ops {
            let refused = places(&found).contains(&format!("names/{op}_prefilter"));
            assert_eq!(refused, !fine.contains(&op), "{set} {op}: {found:?}");
        }
        let constant = |rule: &Rule| matches!(rule, Rule::Argument { reason, .. } if reason.contains("const struct fuse_buffer"));
        assert!(found.iter().all(|(_, rule)| constant(rule)), "{found:?}");
    }
}

#[test]
fn a_refusal_names_operation_and_stage() {
    let error = FilterObject::load_file(&object("rejected/families.bpf.o"), 1).unwrap_err();
    let FilterError::Rejected { set, member, .. } = &error else { panic!("{error}") };
    assert_eq!((set.as_str(), member.as_str()), ("late", "names/mknod_postfilter"));
    assert!(error.to_string().contains("late: names/mknod_postfilter is refused: late: insn "), "{error}");
}

fn lines(set: &FilterSet, call: DryRun) -> Vec<String> {
    call.run(set).unwrap().printed
}

#[test]
fn dynptrs_of_buffers_are_like_others() {
    let object = FilterObject::load_file(&object("tests/dynptrs.bpf.o"), 1).unwrap();
    let set = object.set(Some("dynptrs")).unwrap();
    let value = DryRun::new("setxattr").unwrap().payload(b"abc".to_vec()).unwrap();
    let expected = [
        "flags -22",
        "null 1",
        "lent -22",
        "null 1",
        "size 0",
        "ro 0",
        "rdonly 1",
        "size 3",
        "large -7",
        "resize 0",
        "rw 0",
        "rdonly 0",
        "size 6",
        "clone 0",
        "adjust 0",
        "size 2",
        "write 0",
        "outside -7",
        "old abc",
        "now aXY",
    ];
    assert_eq!(lines(&set, value), expected);
    let fixed = DryRun::new("mkdir").unwrap().name(0, "x").unwrap();
    assert_eq!(lines(&set, fixed), ["rw -1", "null 1", "resize -1"]);

    let empty = object.set(Some("empty")).unwrap();
    let nothing = ["path 0", "size 0", "entries 0", "size 0"];
    let unlink = DryRun::new("unlink").unwrap().name(0, "x").unwrap();
    assert_eq!(lines(&empty, unlink), [nothing, nothing].concat());
    let symlink = DryRun::new("symlink").unwrap().name(0, "x").unwrap().name(1, "target").unwrap();
    assert_eq!(lines(&empty, symlink)[1], "size 7");
}

/// Who asks what ran is shown a run, so known verdicts can be held against what programs say.
#[test]
fn a_verdict_that_is_known_is_what_the_program_says() {
    let (mut known, mut unknown) = (0, 0);
    for path in ["filters/readonly", "filters/hide", "filters/audit", "tests/families", "tests/twins"] {
        let object = FilterObject::load_file(&object(&format!("{path}.bpf.o")), 1).unwrap();
        for set in object.sets().iter().filter(|set| set.has_families()) {
            for (what, call) in calls() {
                let name = what.split(' ').next().unwrap();
                let filter = OPS.iter().find(|op| op.name == name).unwrap().filter.unwrap();
                for step in call.run(set).unwrap().steps {
                    match set.verdict(filter, step.stage) {
                        Some(verdict) => {
                            assert_eq!(step.value, Ok(verdict), "{path}: {what}: {}", step.program);
                            known += 1;
                        }
                        None => unknown += 1,
                    }
                }
            }
        }
    }
    assert!(known > 300 && unknown > 1000, "{known} {unknown}");
}

#[test]
fn texts_are_read_as_far_as_there_is_room() {
    for jit in [Jit::Never, Jit::Always] {
        let options = LoadOptions::new(1).jit(jit);
        let object = FilterObject::load_file(&object("tests/dynptrs.bpf.o"), options).unwrap();
        let call = DryRun::new("access").unwrap().caller(0, 0, u32::MAX);
        let expected = [
            "cut 4",
            "abc",
            "whole 7",
            "abcdef",
            "empty 0",
            "nowhere -14",
            "own -14",
            "bytes 0",
            "bc",
            "nobody 0",
            "below 0",
        ];
        assert_eq!(lines(&object.set(Some("dynptrs")).unwrap(), call), expected);
    }
}

#[test]
fn sets_of_both_kinds_live_in_one_object() {
    let object = sets(Jit::Auto);
    let (series, families) = (object.set(Some("series")).unwrap(), object.set(Some("families")).unwrap());
    assert!(families.has_families() && !series.has_families());
    assert_eq!((series.members(), families.members()), ((18, 65), (6, 9)));
    assert_eq!(series.sibling("families"), Some(families.clone()));
    assert_eq!(families.sibling("series"), Some(series));
}
