//! That the comparison notices what it should: cases that behave differently on the two sides on purpose.

use crate::twin::{Case, Cx, chmod, compare};
use libtest_mimic::{Failed, Trial};
use std::fs;

/// Cases of no operation; only the tests below run them.
pub(crate) static CASES: &[Case] = &[
    Case { op: "", name: "notices_values", run: values },
    Case { op: "", name: "notices_errors", run: errors },
    Case { op: "", name: "notices_missing_notes", run: missing_notes },
    Case { op: "", name: "notices_contents", run: contents },
    Case { op: "", name: "notices_modes", run: modes },
    Case { op: "", name: "notices_xattrs", run: xattrs },
    Case { op: "", name: "notices_links", run: links },
    Case { op: "", name: "notices_names", run: names },
    Case { op: "", name: "notices_panics", run: panics },
];

/// Whether this is the side whose directory is called `l`.
fn odd(cx: &Cx) -> bool {
    cx.dir.parent().is_some_and(|p| p.ends_with("l"))
}

fn values(cx: &Cx) {
    cx.note("same", 1);
    cx.note("value", odd(cx));
}

fn errors(cx: &Cx) {
    if odd(cx) {
        cx.folder("there");
    }
    cx.check("mkdir", fs::create_dir(cx.at("there")));
}

fn missing_notes(cx: &Cx) {
    if !odd(cx) {
        cx.note("only here", 1);
    }
}

fn contents(cx: &Cx) {
    cx.file("f", if odd(cx) { "1" } else { "2" });
}

fn modes(cx: &Cx) {
    let path = cx.file("f", "");
    drop(chmod(&path, if odd(cx) { 0o640 } else { 0o644 }));
}

fn xattrs(cx: &Cx) {
    let path = cx.file("f", "");
    if odd(cx) {
        let _ = rustix::fs::setxattr(&path, "user.odd", b"1", rustix::fs::XattrFlags::empty());
    }
}

fn links(cx: &Cx) {
    cx.file("a", "");
    cx.file("b", "");
    // One or the other: every count is the same on both sides.
    drop(fs::hard_link(cx.at(if odd(cx) { "a" } else { "b" }), cx.at("c")));
    cx.file("a2", "");
}

fn names(cx: &Cx) {
    cx.file(if odd(cx) { "x" } else { "y" }, "");
}

fn panics(cx: &Cx) {
    assert!(!odd(cx), "this one does");
}

/// A test for each of them.
pub(crate) fn self_tests() -> Vec<Trial> {
    CASES
        .iter()
        .map(|case| {
            Trial::test(format!("notices::{}", case.name), move || {
                let scratch = tempfile::tempdir()?;
                let sides = crate::twins(scratch.path())?;
                match compare(&sides, case, &[]) {
                    Ok(found) if found.is_empty() => Err(Failed::from("the difference was not noticed")),
                    Err(error) if case.name != "notices_panics" => Err(error.into()),
                    _ => Ok(()),
                }
            })
        })
        .collect()
}
