//! The documents say what is so: their commands run, their tables are those of the program.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::process::Command;

use common::*;

/// The text between `<!-- NAME -->` and `<!-- /NAME -->`.
fn section(text: &str, name: &str) -> std::ops::Range<usize> {
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let start = text.find(&open).unwrap_or_else(|| panic!("no {open}")) + open.len();
    start..start + text[start..].find(&close).unwrap_or_else(|| panic!("no {close}"))
}

/// `BLESS=1 cargo test` rewrites the tables.
#[test]
fn the_manual_has_the_tables_of_operations_and_families() {
    let path = checkout().join("docs/filters.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut new = text.clone();
    for (name, args) in
        [("ops", ["ops", "--markdown"].as_slice()), ("families", &["ops", "--families", "--markdown"])]
    {
        new.replace_range(section(&new, name), &succeeds(args));
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, new).unwrap();
        return;
    }
    assert!(text == new, "{} is stale; run BLESS=1 cargo test -p fuse-bpf-cli", path.display());
}

/// The code of the fenced `sh` blocks in a section.
fn code(text: &str, name: &str) -> String {
    let mut code = String::new();
    let mut inside = false;
    for line in text[section(text, name)].lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => code.extend([line, "\n"]),
            _ => {}
        }
    }
    assert!(!code.is_empty(), "{name} has no code");
    code
}

#[test]
fn the_log_in_the_manual_is_what_is_printed() {
    let text = std::fs::read_to_string(checkout().join("docs/verifier.md")).unwrap();
    let shown = text[section(&text, "log")].trim_start_matches("```\n").trim_end_matches("```\n");
    let object = checkout().join("bpf/rejected/mistakes.bpf.o");
    let log = stdout(&fuse_bpf(["verify", "--log", "2", object.to_str().unwrap()]));
    assert!(shown.starts_with("func#0 ") && log.contains(shown), "{shown}{log}");
}

/// Runs commands of a document in a directory, with the program in the path.
fn run(dir: &Path, code: &str) -> String {
    let bin = program().parent().unwrap().to_path_buf();
    let path = std::env::join_paths(
        std::iter::once(bin).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let output = Command::new("sh")
        .args(["-euxc", code])
        .current_dir(dir)
        .env("PATH", path.unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    stdout(&output)
}

#[test]
fn the_tour_of_the_readme_works() {
    if !fuse() {
        return;
    }
    let readme = std::fs::read_to_string(checkout().join("README.md")).unwrap();
    let scratch = Scratch::new();
    // The tour makes its own `mnt`.
    std::fs::remove_dir(scratch.mnt()).unwrap();
    let said = run(scratch.path(), &code(&readme, "tour"));
    assert!(said.contains("hello.txt") && !said.contains("secret"), "{said}");
    if !clang() {
        return;
    }
    let said = run(scratch.path(), &code(&readme, "filter-tour"));
    assert!(said.contains("PASS: mounted") && said.contains("-ENOENT"), "{said}");
}

#[test]
fn the_commands_of_the_manual_work() {
    if !clang() {
        return;
    }
    let manual = std::fs::read_to_string(checkout().join("docs/filters.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let inside = |name: &str| -> String {
        let lines = manual[section(&manual, name)].lines();
        lines.filter(|line| !line.starts_with("```")).flat_map(|line| [line, "\n"]).collect()
    };
    std::fs::write(dir.path().join("nodelete.bpf.c"), inside("example")).unwrap();
    let said = run(dir.path(), &code(&manual, "run"));
    assert!(said.contains("keep: -EPERM"), "{said}");

    std::fs::write(dir.path().join("strict.bpf.c"), inside("family")).unwrap();
    let said = run(dir.path(), "fuse-bpf build strict.bpf.c && fuse-bpf verify strict.bpf.o");
    assert!(said.contains("accepted  strict.bpf.o:strict names (strict), in 16 places"), "{said}");

    std::fs::write(dir.path().join("dots.bpf.c"), inside("refused")).unwrap();
    let said = run(dir.path(), &code(&manual, "refused-run"));
    // Other compilers make other instructions.
    for line in inside("refused-says").lines().filter(|line| !line.contains("insn ")) {
        assert!(said.lines().any(|known| known == line), "{line}: {said}");
    }
    assert!(said.contains("accepted  fixed.bpf.o:dots names/unlink_prefilter (dot_names)"), "{said}");
}
