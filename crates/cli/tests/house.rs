//! House rules that a machine can check.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::{Path, PathBuf};

use common::checkout;

/// Longest file, in lines.
const LONGEST: usize = 1000;

/// All Rust files below a directory.
fn rust_files(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Paths from the root of the checkout, with their text. This file quotes what it looks for.
fn sources() -> Vec<(String, String)> {
    let root = checkout();
    let mut files = Vec::new();
    rust_files(&root.join("crates"), &mut files);
    files.sort();
    let relative = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
    let all = files.iter().map(|path| (relative(path), std::fs::read_to_string(path).unwrap()));
    all.filter(|(path, _)| !path.ends_with("tests/house.rs")).collect()
}

/// The list in ARCHITECTURE.md between `<!-- unsafe -->` marks: the first word in backquotes of each line.
fn documented() -> Vec<String> {
    let text = std::fs::read_to_string(checkout().join("ARCHITECTURE.md")).unwrap();
    let list = text.split("<!-- unsafe -->").nth(1).unwrap().split("<!-- /unsafe -->").next().unwrap();
    let mut files: Vec<_> =
        list.lines().filter_map(|line| Some(line.split('`').nth(1)?.to_owned())).collect();
    files.sort();
    files
}

#[test]
fn unsafe_code_is_where_the_architecture_says() {
    let allowed: Vec<_> = sources()
        .into_iter()
        .filter(|(path, _)| path.contains("/src/"))
        .filter(|(_, text)| text.contains("allow(unsafe_code") || text.contains("expect(unsafe_code"))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(allowed, documented(), "modules that allow unsafe code, and the list in ARCHITECTURE.md");
}

#[test]
fn every_crate_denies_unsafe_code() {
    let sources = sources();
    let roots: Vec<_> = sources
        .iter()
        .filter(|(path, _)| path.ends_with("src/lib.rs") || path.ends_with("src/main.rs"))
        .collect();
    assert!(roots.len() >= 3);
    for (path, text) in roots {
        assert!(text.contains("#![deny(unsafe_code)]"), "{path}");
    }
}

#[test]
fn nothing_is_left_for_later() {
    for (path, text) in sources() {
        for word in ["#[ignore", "TODO", "todo!", "unimplemented!"] {
            assert!(!text.contains(word), "{path}: {word}");
        }
    }
}

#[test]
fn files_are_not_too_long() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{path}: {lines} lines");
    }
}
