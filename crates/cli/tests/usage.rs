//! Commands that need neither a mount nor a compiler.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;

#[test]
fn wrong_usage_is_status_2() {
    assert!(fails(2, ["no-such-command"]).contains("no-such-command"));
    fails(2, ["mount"]);
    fails(2, ["mount", "only-one"]);
    assert!(fails(2, ["mount", "-o", "ro,wat", "/tmp", "/tmp"]).contains("wat"));
    assert!(fails(2, ["mount", "--workers", "0", "/tmp", "/tmp"]).contains("workers"));
    assert!(fails(2, ["mount", "--cache-timeout=-1", "/tmp", "/tmp"]).contains("--cache-timeout"));
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in ["mount", "umount", "build", "verify", "new", "trace", "ops"] {
        let help = succeeds([command, "--help"]);
        assert!(help.contains("Example"), "{command}: {help}");
    }
    assert!(succeeds(["prog", "run", "--help"]).contains("Example"));
    assert!(succeeds(["prog", "dump", "xlated", "--help"]).contains("Example"));
    assert!(succeeds(["--version"]).starts_with("fuse-bpf "));
}

#[test]
fn a_bad_pattern_is_named_with_the_remedy() {
    for bad in ["a/b", "*x*", "", "a*b"] {
        let error = fails(2, ["mount", "--hide", bad, "/tmp", "/tmp"]);
        assert!(error.contains("`prefix*` or `*suffix`"), "{bad}: {error}");
    }
}

#[test]
fn ops_lists_every_operation() {
    let text = succeeds(["ops"]);
    for op in fuse_bpf::ops::OPS {
        assert!(text.lines().any(|line| line.split_whitespace().nth(1) == Some(op.name)), "{}", op.name);
    }
    let json: serde_json::Value = serde_json::from_str(&succeeds(["ops", "--json"])).unwrap();
    assert_eq!(json["version"], 1);
    let operations = json["operations"].as_array().unwrap();
    assert_eq!(operations.len(), fuse_bpf::ops::OPS.len());
    let lookup = operations.iter().find(|op| op["name"] == "LOOKUP").unwrap();
    assert_eq!(lookup["filter"]["postfilter"]["member"], "lookup_postfilter");
    assert_eq!(
        lookup["filter"]["postfilter"]["arguments"],
        serde_json::json!(["meta", "name", "out", "entries"])
    );
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    use std::process::{Command, Stdio};
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(program())
        .args(["ops", "--json"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(status(&output), 0);
    assert_eq!(stderr(&output), "");
}

#[test]
fn umount_and_trace_name_what_is_no_mount() {
    let scratch = Scratch::new();
    let mnt = scratch.mnt().display().to_string();
    for command in ["umount", "trace"] {
        let error = fails(2, [command, &mnt]);
        assert!(error.starts_with("fuse-bpf: ") && error.contains(&mnt), "{error}");
        assert_eq!(error.matches(&mnt).count(), 1, "said twice: {error}");
    }
}
