//! The verifier on every object of this repository: what is a filter is proved, and what is not proved is none.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use fuse_bpf::Errno;
use fuse_bpf::dryrun::DryRun;
use fuse_bpf::filter::{FilterError, FilterObject, Unproved};
use fuse_bpf_vm::verify::{Rejection, Rule};

fn bpf(dir: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bpf").join(dir)
}

#[test]
fn every_filter_is_proved() {
    let mut count = 0;
    for dir in ["filters", "tests", "rust"] {
        for file in std::fs::read_dir(bpf(dir)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|ext| ext != "o") {
                continue;
            }
            for trial in Unproved::load_file(&path, 1).unwrap().trials() {
                let start = std::time::Instant::now();
                let place = format!("{}: {}", path.display(), trial.member);
                match trial.judge() {
                    Ok(done) => println!("{place}: {:?} {:?}", done.stats(), start.elapsed()),
                    Err(rejection) => {
                        panic!("{place}: {rejection}\n{}\n{:?}", rejection.insn, rejection.path)
                    }
                }
                count += 1;
            }
            FilterObject::load_file(&path, 1).unwrap();
        }
    }
    assert!(count > 65);
}

/// Why each set of an object is refused, by set and member.
fn rejections(object: &str) -> Vec<(String, String, Option<Box<Rejection>>)> {
    let object = Unproved::load_file(&bpf("rejected").join(object), 1).unwrap();
    let trials = object.trials();
    trials.into_iter().map(|t| (t.set.clone(), t.member.clone(), t.judge().err())).collect()
}

#[test]
fn each_mistake_is_refused_for_what_it_is() {
    let found = rejections("mistakes.bpf.o");
    assert_eq!(found.len(), 8);
    for (set, _, rejection) in found {
        let rule = rejection.as_ref().map(|rejection| &rejection.rule);
        let right = match set.as_str() {
            "fine" => rule.is_none(),
            "bounds" => matches!(rule, Some(Rule::Bounds { .. })),
            "null" | "number" => matches!(rule, Some(Rule::NotMemory { .. })),
            "constant" => matches!(rule, Some(Rule::ReadOnly { .. })),
            "leak" => matches!(rule, Some(Rule::Leak { .. })),
            "unreleased" => matches!(rule, Some(Rule::Unreleased { .. })),
            "forever" => matches!(rule, Some(Rule::InfiniteLoop)),
            _ => false,
        };
        assert!(right, "{set}: {rule:?}");
        if let Some(rejection) = rejection {
            assert!(rejection.line.unwrap().file.ends_with("mistakes.bpf.c"), "{set}");
        }
    }
}

#[test]
fn a_rejected_program_makes_no_filter_and_the_error_says_which() {
    let path = bpf("rejected/mistakes.bpf.o");
    let error = FilterObject::load_file(&path, 1).unwrap_err();
    let text = error.to_string();
    let FilterError::Rejected { set, member, rejection, .. } = error else { panic!("{text}") };
    // Sets are judged in the order of the object, and the first is right.
    assert_eq!((set.as_str(), member.as_str()), ("bounds", "open_prefilter"));
    for part in [
        &format!("{}:bounds: open_prefilter", path.display()),
        "bounds: insn ",
        &format!("{}", rejection.rule),
        "mistakes.bpf.c:",
        "return table[at];",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_program_is_judged_in_every_place_it_has() {
    let found = rejections("places.bpf.o");
    let verdict = |set: &str, program: usize| {
        let rejection = &found.iter().filter(|(name, ..)| name == set).nth(program).unwrap().2;
        rejection.as_ref().map(|rejection| (rejection.program.as_str(), &rejection.rule))
    };
    assert_eq!(verdict("before", 0), None);
    assert!(matches!(verdict("after", 0), Some(("clear", Rule::ReadOnly { .. }))));
    // By a tail call.
    assert_eq!(verdict("onward", 0), None);
    assert!(matches!(verdict("onward", 1), Some(("target", Rule::NotMemory { .. }))));
    FilterObject::load_file(&bpf("rejected/places.bpf.o"), 1).unwrap_err();
}

/// A proof says that a loop ends, not that it does so soon.
#[test]
fn a_run_that_takes_too_long_is_stopped_and_counted() {
    let set = FilterObject::load_file(&bpf("tests/budget.bpf.o"), 1).unwrap().set(None).unwrap();
    let call = |flags| DryRun::new("open").unwrap().field("in.flags", flags).unwrap().run(&set).unwrap();
    let report = call(0);
    assert_eq!((report.result, set.faults()), (Ok(()), 0));
    let report = call(1);
    assert_eq!((report.result, set.faults()), (Err(Errno::EIO), 1));
    let fault = report.steps[0].value.as_ref().unwrap_err();
    assert!(fault.contains("open_prefilter"), "{fault}");
    assert!(report.printed[0].starts_with("fault in program set `budget`: "), "{:?}", report.printed);
    assert!(report.printed[0].contains(fault), "{:?}", report.printed);
}
