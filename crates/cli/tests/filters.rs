//! `build`, `new` and `prog run`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::process::Command;

use common::*;
use serde_json::{Value, json};

/// Compiles a filter in a directory of its own.
fn build(dir: &Path, name: &str, source: &str) -> String {
    let path = dir.join(format!("{name}.bpf.c"));
    std::fs::write(&path, source).unwrap();
    succeeds(["build".as_ref(), path.as_os_str()]);
    dir.join(format!("{name}.bpf.o")).display().to_string()
}

const PRELUDE: &str = "#include \"fuse_bpf.h\"\nchar _license[] SEC(\"license\") = \"GPL\";\n";

#[test]
fn build_prints_the_line_and_describes_the_object() {
    if !clang() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("deny it.bpf.c");
    let program = r#"
SEC("struct_ops/unlink_prefilter")
uint32_t BPF_PROG(unlink_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_buffer *name)
{
    return -EPERM;
}
SEC(".struct_ops")
struct fuse_ops deny = { .unlink_prefilter = (void *)unlink_prefilter, .name = "deny" };
"#;
    std::fs::write(&source, format!("{PRELUDE}{program}")).unwrap();
    let text = succeeds(["build".as_ref(), source.as_os_str()]);
    let line = text.lines().next().unwrap();
    assert!(line.contains("-target bpf -g -O2 -mcpu=v3 -I ") && line.contains("deny it.bpf.c'"), "{line}");
    assert!(text.contains(":deny (1 of 65 members)"), "{text}");
    // The printed line works on its own.
    std::fs::remove_file(dir.path().join("deny it.bpf.o")).unwrap();
    assert!(Command::new("sh").args(["-c", line]).status().unwrap().success());
    assert!(dir.path().join("deny it.bpf.o").exists());
}

#[test]
fn build_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("x.bpf.c");
    assert!(fails(2, ["build".as_ref(), source.as_os_str()]).contains("x.bpf.c"));
    std::fs::write(&source, "this is not C").unwrap();
    let output =
        Command::new(program()).arg("build").arg(&source).env("BPF_CLANG", "no-such-clang").output().unwrap();
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("apt-get install clang"), "{}", stderr(&output));
    if clang() {
        let error = fails(1, ["build".as_ref(), source.as_os_str()]);
        assert!(error.contains("error:"), "{error}");
        // C, but no filter.
        std::fs::write(&source, "int x = 1;").unwrap();
        assert!(fails(2, ["build".as_ref(), source.as_os_str()]).contains("x.bpf.o"));
        // A filter, but not one that can be proved.
        std::fs::copy(checkout().join("bpf/rejected/mistakes.bpf.c"), &source).unwrap();
        let error = fails(1, ["build".as_ref(), source.as_os_str()]);
        assert!(error.starts_with("error: invalid access to ") && error.contains("help: "), "{error}");
    }
}

#[test]
fn new_makes_a_project_whose_test_passes() {
    let dir = tempfile::Builder::new().prefix("fb-").tempdir().unwrap();
    let project = dir.path().join("guard");
    succeeds(["new".as_ref(), project.as_os_str()]);
    for file in ["guard.bpf.c", "fuse_bpf.h", "Makefile", "README.md", "test.sh", ".gitignore"] {
        let text = std::fs::read_to_string(project.join(file)).unwrap();
        assert!(!text.contains("@NAME@") && !text.is_empty(), "{file}");
    }
    let error = fails(2, ["new".as_ref(), project.as_os_str()]);
    assert!(error.contains("choose another name"), "{error}");
    if !clang() {
        return;
    }
    let make =
        Command::new("make").arg("-C").arg(&project).arg("test").env("FUSE_BPF", program()).output().unwrap();
    assert!(make.status.success(), "{}{}", stdout(&make), stderr(&make));
    assert!(stdout(&make).contains("PASS: single calls"), "{}", stdout(&make));
    if fuse() {
        assert!(stdout(&make).contains("PASS: mounted"), "{}", stdout(&make));
    }
}

#[test]
fn new_refuses_names_that_c_would_not_take() {
    let dir = tempfile::tempdir().unwrap();
    for bad in ["2fast", "a-b", "much_too_long_a_name"] {
        let error = fails(2, ["new".as_ref(), dir.path().join(bad).as_os_str()]);
        assert!(error.contains("letters, digits"), "{error}");
        assert!(!dir.path().join(bad).exists());
    }
}

const PROBE: &str = r#"
/* Makes `second` of `first`, refuses `no`, and is too slow for `crawl`. */
static long round(uint64_t index, void *ctx)
{
    return 0;
}

SEC("struct_ops/lookup_prefilter")
uint32_t BPF_PROG(lookup_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_buffer *name)
{
    struct bpf_dynptr ptr;
    char first[8] = {};
    uint32_t len = bpf_fuse_return_len(name);

    bpf_fuse_get_ro_dynptr(name, &ptr);
    if (len > sizeof(first) || bpf_dynptr_read(first, len & 7, &ptr, 0, 0))
        return BPF_FUSE_CONTINUE;
    bpf_printk("len %d uid %d", len, (uint32_t)bpf_get_current_uid_gid());
    if (first[0] == 'n' && first[1] == 'o')
        return -EACCES;
    if (first[0] == 'c')
        bpf_loop(1 << 22, round, NULL, 0);
    if (first[0] == 'f') {
        bpf_fuse_get_rw_dynptr(name, &ptr, 7, false);
        bpf_dynptr_write(&ptr, 0, "second", 7, 0);
    }
    return BPF_FUSE_POSTFILTER;
}

SEC("struct_ops/lookup_postfilter")
uint32_t BPF_PROG(lookup_postfilter, const struct bpf_fuse_meta_info *meta, const struct fuse_buffer *name,
                  struct fuse_entry_out *out, struct fuse_buffer *entries)
{
    out->attr.mode = out->attr.mode & ~022;
    return BPF_FUSE_CONTINUE;
}

SEC("struct_ops/open_prefilter")
uint32_t BPF_PROG(open_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_open_in *in)
{
    in->flags = 0;
    return BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_ops probe = {
    .lookup_prefilter = (void *)lookup_prefilter,
    .lookup_postfilter = (void *)lookup_postfilter,
    .open_prefilter = (void *)open_prefilter,
    .name = "probe",
};
SEC(".struct_ops")
struct fuse_ops other = { .open_prefilter = (void *)open_prefilter, .name = "other" };
"#;

#[test]
fn prog_run_shows_verdicts_changes_and_prints() {
    if !clang() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let object = build(dir.path(), "probe", &format!("{PRELUDE}{PROBE}"));
    let probe = format!("{object}:probe");
    let error = fails(2, ["prog", "run", &object, "--op", "lookup", "--name", "x"]);
    assert!(error.contains(":probe") && error.contains(":other"), "{error}");
    assert!(fails(2, ["prog", "run", &format!("{object}:none"), "--op", "lookup"]).contains("none"));

    let args = ["prog", "run", &probe, "--op", "lookup", "--name", "first", "--uid", "7"];
    let text = succeeds(args.iter().chain(&["--set", "out.attr.mode=0o666"]));
    for part in [
        "lookup_prefilter: BPF_FUSE_POSTFILTER (",
        "lookup_postfilter: BPF_FUSE_CONTINUE (",
        "name: \"first\" -> \"second\"",
        "out.attr.mode: 0 -> 420 (0x1a4)",
        "len 6 uid 7",
        "result: success",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    let text = succeeds(args.iter().chain(&["--repeat", "3"]));
    assert!(text.contains("lookup_prefilter: ") && text.contains(" ns per run (3 runs)"), "{text}");
    // Each run has its own copy of the arguments.
    assert!(text.contains("name: \"first\" -> \"second\""), "{text}");
    fails(2, args.iter().chain(&["--repeat", "0"]));

    let document: Value = serde_json::from_str(&succeeds(args.iter().chain(&["--json"]))).unwrap();
    assert_eq!(document["repeat"], Value::Null);
    assert_eq!(document["version"], 1);
    assert_eq!(document["set"], "probe");
    assert_eq!(document["result"], "success");
    assert_eq!(document["steps"][0]["stage"], "prefilter");
    assert_eq!(document["steps"][0]["verdict"], "BPF_FUSE_POSTFILTER");
    assert!(document["steps"][0]["instructions"].as_u64().unwrap() > 5);
    assert_eq!(document["changed"], json!([{ "path": "name", "before": "first", "after": "second" }]));

    let text = succeeds(["prog", "run", &probe, "--op", "open", "--set", "in.flags=2"]);
    assert!(text.contains("in.flags: 2 -> 0"), "{text}");
    let output = fuse_bpf(["prog", "run", &probe, "--op", "lookup", "--name", "no"]);
    assert_eq!((status(&output), stdout(&output).contains("-EACCES")), (1, true), "{}", stdout(&output));
    let output = fuse_bpf(["prog", "run", &probe, "--op", "open", "--error", "ENOSPC"]);
    assert_eq!(
        (status(&output), stdout(&output).contains("result: ENOSPC")),
        (1, true),
        "{}",
        stdout(&output)
    );
    let output = fuse_bpf(["prog", "run", &probe, "--op", "lookup", "--name", "crawl"]);
    assert_eq!((status(&output), stdout(&output).contains("fault: ")), (2, true), "{}", stdout(&output));
    assert!(stdout(&output).contains("result: EIO"), "{}", stdout(&output));
}

#[test]
fn prog_run_names_what_does_not_exist() {
    if !clang() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let object = build(dir.path(), "probe", &format!("{PRELUDE}{PROBE}"));
    let probe = format!("{object}:probe");
    assert!(fails(2, ["prog", "run", &probe, "--op", "juggle"]).contains("fuse-bpf ops"));
    assert!(fails(2, ["prog", "run", &probe, "--op", "forget"]).contains("FORGET"));
    assert!(fails(2, ["prog", "run", &probe, "--op", "open", "--set", "in.flogs=2"]).contains("in.flags"));
    assert!(fails(2, ["prog", "run", &probe, "--op", "open", "--name", "x"]).contains("OPEN"));
    assert!(fails(2, ["prog", "run", "no-such.bpf.o", "--op", "open"]).contains("no-such.bpf.o"));
}
