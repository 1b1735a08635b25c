//! Filters by families, as the command line shows them and on a mount.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::ffi::CString;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use common::*;
use serde_json::Value;

fn object(name: &str) -> String {
    checkout().join("bpf").join(name).display().to_string()
}

/// What becomes of a call, without its message.
fn told<T: std::fmt::Debug>(what: &str, result: std::io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{what}: {value:?}"),
        Err(error) => format!("{what}: error {}", error.raw_os_error().unwrap_or(0)),
    }
}

/// Does on a mount what the policy of `twins` is about, and tells what can be seen of it.
fn seen(set: &str) -> Vec<String> {
    let scratch = Scratch::new();
    let (src, mnt) = (scratch.src(), scratch.mnt());
    std::fs::write(src.join("real"), "real\n").unwrap();
    std::fs::write(src.join("plain"), "plain\n").unwrap();
    std::fs::set_permissions(src.join("plain"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    scratch.mount(&["--filter", &format!("{}:{set}", object("tests/twins.bpf.o"))]);
    let mode = |path: &Path| path.metadata().map(|found| format!("{:o}", found.permissions().mode()));
    let mut seen = vec![
        told("hidden", std::fs::read_to_string(mnt.join("secret"))),
        told("alias", std::fs::read_to_string(mnt.join("alias"))),
        told("create", std::fs::write(mnt.join("secret2"), "x")),
        told("mkdir", std::fs::create_dir(mnt.join("secrets"))),
        told("link", std::fs::hard_link(mnt.join("public"), mnt.join("secret3"))),
        told("symlink", symlink("target/of/it", mnt.join("secret4"))),
        told("cut", symlink("target/of/it", mnt.join("pointer"))),
        told("pointer", std::fs::read_link(src.join("pointer"))),
        told("unlink", std::fs::remove_file(mnt.join("real"))),
        told("mode", mode(&mnt.join("plain"))),
        told("mode below", mode(&src.join("plain"))),
    ];
    // The kernel knows where the end is.
    let appended = std::fs::OpenOptions::new().append(true).open(mnt.join("public"));
    seen.push(told("append", appended.and_then(|mut file| file.write(b"J"))));
    seen.push(told("appended", std::fs::read_to_string(src.join("public"))));
    let (path, below) = (mnt.join("plain"), src.join("plain"));
    let name = CString::new("user.upper").unwrap();
    let set = rustix::fs::setxattr(&path, &*name, b"some value", rustix::fs::XattrFlags::empty());
    seen.push(told("setxattr", set.map_err(Into::into)));
    for at in [&path, &below] {
        let mut value = [0u8; 64];
        let len = rustix::fs::getxattr(at, &*name, &mut value).unwrap_or(0);
        seen.push(format!("value: {}", String::from_utf8_lossy(&value[..len])));
    }
    let listed = std::fs::read_dir(&mnt).map(|entries| {
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().as_bytes().escape_ascii().to_string()).collect();
        names.sort();
        names
    });
    seen.push(told("listed", listed));
    assert_eq!(status(&scratch.umount()), 0);
    seen
}

#[test]
fn a_policy_by_families_does_on_a_mount_what_it_does_by_operations() {
    if !fuse() {
        return;
    }
    let (series, families) = (seen("series"), seen("families"));
    assert_eq!(series, families);
    for expected in [
        "hidden: error 2",
        "alias: \"real\\n\"",
        "create: error 13",
        "mkdir: error 13",
        "link: error 13",
        "symlink: error 13",
        "cut: ()",
        "pointer: \"targe\"",
        "unlink: ()",
        "mode: \"100755\"",
        "mode below: \"104755\"",
        "append: 1",
        "appended: \"hello\\nJ\"",
    ] {
        assert!(families.iter().any(|line| line == expected), "{expected}: {families:?}");
    }
    if families.iter().any(|line| line == "setxattr: ()") {
        assert_eq!(families.iter().filter(|line| *line == "value: SOME VALUE").count(), 2, "{families:?}");
    }
}

#[test]
fn families_are_listed_with_what_may_be_changed() {
    let text = succeeds(["ops", "--families"]);
    assert!(
        text.contains("names: names in one directory\n    meta, op, stage, in, name, path, out, entries\n")
    );
    let document: Value = serde_json::from_str(&succeeds(["ops", "--json"])).unwrap();
    let families = document["families"].as_array().unwrap();
    let operations: Vec<&Value> =
        families.iter().flat_map(|family| family["operations"].as_array().unwrap()).collect();
    assert_eq!(operations.len(), 32);
    let create = operations.iter().find(|row| row["op"] == "FUSE_CREATE").unwrap();
    assert_eq!(create["before"], serde_json::json!(["in->create"]));
    assert_eq!(create["after"], serde_json::json!(["out->entry", "out->open"]));
    assert_eq!(create["read"], serde_json::json!(["name"]));
}

#[test]
fn a_refusal_says_for_which_operation_and_stage() {
    let families = object("rejected/families.bpf.o");
    let output = fuse_bpf(["verify", &families]);
    let text = stdout(&output);
    assert_eq!(status(&output), 1);
    for part in [
        "asks names (asks), in 16 places\n",
        "late names/mknod_postfilter (late)\n",
        "write into const struct fuse_names_in is not allowed: it is read-only",
        "invalid access to fuse_attributes_out, off=84 len=4: of it there is nothing here",
        "[attributes/getattr_prefilter of OBJECT:early]",
        "is a const struct fuse_buffer: it may only be read here",
        "= help: this operation does not have it, or not in this stage: compare `op` and `stage` first",
    ] {
        let part = part.replace("OBJECT", &families);
        assert!(text.contains(&part), "{part}: {text}");
    }
    // What is wrong in the same way in several places is told of once.
    let nothing = text.matches("of it there is nothing here").count();
    assert_eq!(nothing, 2, "{text}");
}

#[test]
fn a_program_is_shown_for_a_place_or_for_the_first() {
    let readonly = object("filters/readonly.bpf.o");
    let text = succeeds(["prog", "dump", "xlated", &readonly, "files"]);
    assert!(text.contains("FUSE_FILTER(files, open_to_write)"), "{text}");
    assert_eq!(text, succeeds(["prog", "dump", "xlated", &readonly, "files/open_prefilter"]));
    let code = |place: &str| succeeds(["prog", "dump", "jited", &readonly, place]).lines().count();
    // What is not reached for an operation is not compiled for it.
    assert!(code("files/open_prefilter") > code("files/flush_prefilter"));
    let error = fails(2, ["prog", "dump", "xlated", &readonly, "lookup_prefilter"]);
    assert!(error.contains("it has: attributes, data, default_filter, files, names"), "{error}");
}

/// Where the verdict is known, nothing is run but for those who ask what is.
#[test]
fn a_known_verdict_is_given_all_the_same() {
    let readonly = object("filters/readonly.bpf.o");
    let run = |args: &[&str]| fuse_bpf(["prog", "run", &readonly, "--op"].iter().chain(args));
    let output = run(&["unlink", "--name", "x"]);
    let text = stdout(&output);
    assert_eq!(status(&output), 1);
    assert!(text.contains("change_names: -EROFS (") && text.contains("result: EROFS"), "{text}");
    let text = stdout(&run(&["lookup", "--name", "x"]));
    assert!(text.contains("the set has nothing to say of this operation\nresult: success"), "{text}");
}

const STALE: &str = r#"
#include "fuse_bpf.h"
FUSE_FILTER(xattrs, twice)
{
    struct bpf_dynptr ptr, again;
    char *first, *second;

    if (op != FUSE_SETXATTR || stage != FUSE_PRE || bpf_fuse_buffer_resize(value, 4))
        return BPF_FUSE_CONTINUE;
    bpf_dynptr_from_fuse_buffer_rw(value, 0, &ptr);
    first = bpf_dynptr_slice_rdwr(&ptr, 0, 0, 4);
    if (!first)
        return BPF_FUSE_CONTINUE;
    first[0] = 'a';
    bpf_fuse_buffer_resize(value, 8);
    bpf_dynptr_from_fuse_buffer_rw(value, 0, &again);
    second = bpf_dynptr_slice_rdwr(&again, 0, 0, 8);
    if (second)
        second[1] = 'b';
    first[2] = 'c';
    return BPF_FUSE_CONTINUE;
}
SEC(".struct_ops")
struct fuse_filter stale = { .xattrs = (void *)twice, .name = "stale" };
char _license[] SEC("license") = "GPL";
"#;

#[test]
fn a_slice_from_before_a_buffer_was_resized_is_warned_of() {
    if !clang() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("stale.bpf.c");
    std::fs::write(&source, STALE).unwrap();
    let output = fuse_bpf(["build".as_ref(), source.as_os_str()]);
    let said = stderr(&output);
    assert_eq!((status(&output), said.matches("warning: ").count()), (0, 1), "{said}");
    assert!(said.contains("first[2] = 'c';") && said.contains("[twice of "), "{said}");
    let text = succeeds(["verify".as_ref(), dir.path().join("stale.bpf.o").as_os_str()]);
    assert_eq!(text.matches("warning: ").count(), 1, "{text}");
    for object in
        [object("filters/hide.bpf.o"), object("tests/twins.bpf.o"), object("tests/everything.bpf.o")]
    {
        assert!(!succeeds(["verify", &object]).contains("warning: "), "{object}");
    }
}
