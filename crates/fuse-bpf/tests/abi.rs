//! The layouts of the wire structs against the C headers, as a C compiler sees them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use fuse_bpf::abi::{STRUCTS, StructDesc};

/// Asserts for every struct and field, in C.
fn asserts(structs: &[&StructDesc]) -> String {
    let mut c = String::new();
    for desc in structs {
        let name = desc.name;
        writeln!(c, "_Static_assert(sizeof(struct {name}) == {}, \"sizeof {name}\");", desc.size).unwrap();
        for field in desc.fields {
            let f = field.name.trim_start_matches("r#");
            writeln!(
                c,
                "_Static_assert(__builtin_offsetof(struct {name}, {f}) == {}, \"offset of {name}.{f}\");\n\
                 _Static_assert(sizeof(((struct {name} *)0)->{f}) == {}, \"size of {name}.{f}\");",
                field.offset, field.size
            )
            .unwrap();
        }
    }
    c
}

/// Compiles `source`; returns what the compiler says against it.
fn compile(source: &str, args: &[&str]) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("abi.c");
    std::fs::write(&file, source).unwrap();
    let output = Command::new("cc").arg("-fsyntax-only").args(args).arg(&file).output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_structs_are_those_of_the_kernel_headers() {
    let header = std::fs::read_to_string("/usr/include/linux/fuse.h").unwrap_or_default();
    if header.is_empty() {
        println!("skipped: no /usr/include/linux/fuse.h (package linux-libc-dev)");
        return;
    }
    // A header may be older than the protocol we speak; fields it lacks are told apart by name.
    let known: Vec<&StructDesc> = STRUCTS
        .iter()
        .copied()
        .filter(|desc| {
            let body = header
                .split_once(&format!("struct {} {{", desc.name))
                .and_then(|(_, rest)| rest.split_once("\n};"))
                .map(|(body, _)| body.to_owned());
            let known = body.as_ref().is_some_and(|body| {
                desc.fields.iter().all(|f| {
                    let name = f.name.trim_start_matches("r#");
                    body.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
                })
            });
            if !known {
                println!("not compared: struct {} is not (like this) in the installed header", desc.name);
            }
            known
        })
        .collect();
    assert!(known.len() > 35, "only {} structs compared", known.len());
    let source = format!("#include <linux/fuse.h>\n{}", asserts(&known));
    assert_eq!(compile(&source, &[]), None);
}

#[test]
fn the_structs_are_those_of_our_header() {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bpf/include");
    let text = std::fs::read_to_string(include.join("fuse_bpf.h")).unwrap();
    let ours: Vec<&StructDesc> =
        STRUCTS.iter().copied().filter(|d| text.contains(&format!("struct {} {{", d.name))).collect();
    assert!(ours.len() > 30, "only {} structs in the header", ours.len());
    let source = format!("#include \"fuse_bpf.h\"\n{}", asserts(&ours));
    let include = include.display().to_string();
    assert_eq!(compile(&source, &["-I", &include]), None);
}
