//! The documents say what is so: their commands run, their tables are those of the program.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "skipped tests say why")]

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

/// What v4 of the series honours of each operation, as a table.
fn series() -> String {
    let list = |names: &[&str]| match names {
        [] => "-".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    };
    let mut table = "| members | before | after | `error_in` |\n|---|---|---|---|\n".to_owned();
    for filter in fuse_bpf::ops::FILTERS {
        let series = &filter.series;
        let told = if series.tells_errors { "yes" } else { "no" };
        let (before, after) = (list(series.before), list(series.after));
        table += &format!("| `{}` | {before} | {after} | {told} |\n", filter.member);
    }
    table
}

#[test]
fn the_page_on_the_series_has_the_table_of_what_it_honours() {
    let path = checkout().join("docs/series.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut new = text.clone();
    new.replace_range(section(&new, "series"), &series());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, new).unwrap();
        return;
    }
    assert!(text == new, "{} is stale; run BLESS=1 cargo test -p fuse-bpf-cli", path.display());
}

#[test]
fn the_daemon_of_the_manual_answers() {
    if !fuse() {
        return;
    }
    let daemon = program().with_file_name("examples").join("fuser_daemon");
    if !daemon.exists() {
        println!("skipped: {} is not built (`cargo build -p fuse-bpf --examples`)", daemon.display());
        return;
    }
    let manual = std::fs::read_to_string(checkout().join("docs/daemon.md")).unwrap();
    let scratch = Scratch::new();
    let dir = scratch.path().join("manual");
    std::fs::create_dir(&dir).unwrap();
    std::fs::copy(checkout().join("bpf/tests/to_daemon.bpf.o"), dir.join("to_daemon.bpf.o")).unwrap();
    let path = format!("PATH=$PATH:{}; export PATH\n", daemon.parent().unwrap().display());
    let said = run(&dir, &(path + &code(&manual, "daemon")));
    assert!(said.contains("below\nhello from a daemon\n"), "{said}");
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
