//! A filter written in Rust: bpf/rust/open_count.rs, built as docs/rust-filters.md says.
#![expect(clippy::unwrap_used, reason = "a test without its fixture fails")]

use std::path::Path;
use std::process::Command;

use fuse_bpf::dryrun::DryRun;
use fuse_bpf::filter::FilterObject;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn load() -> FilterObject {
    FilterObject::load_file(&root().join("bpf/rust/open_count.bpf.o"), 1).unwrap()
}

#[test]
fn it_loads_and_decides() {
    let object = load();
    let set = object.set(Some("open_count")).unwrap();
    let verdict = |call: DryRun| {
        let report = call.run(&set).unwrap();
        let [step] = report.steps.as_slice() else { panic!("{:?}", report.steps) };
        step.value.clone().unwrap().cast_signed()
    };
    let open = |flags| verdict(DryRun::new("OPEN").unwrap().field("in.flags", flags).unwrap());
    // Reading, O_WRONLY, O_RDWR.
    assert_eq!([0, 1, 2].map(open), [0, -13, -13]);
    let lookup = |name| verdict(DryRun::new("LOOKUP").unwrap().name(0, name).unwrap());
    assert_eq!(["eightchr", "ninechars"].map(lookup), [0, -2]);
    let module = object.module();
    let calls = module.maps.iter().find(|map| map.spec().name == "calls").unwrap();
    let count = |key: u32| u64::from_le_bytes(calls.lookup(&key.to_le_bytes()).unwrap().try_into().unwrap());
    assert_eq!([0, 1].map(count), [3, 2]);
    // Functions, types and source lines are there as they are for C.
    let open = module.programs.iter().find(|program| program.name == "open").unwrap();
    assert!(open.lines.iter().any(|entry| &*entry.line.file == "./rust/open_count.rs"));
    assert!(open.functions.iter().any(|function| function.name.contains("count")));
}

#[test]
fn the_object_is_built_from_its_source() {
    let compiler = std::env::var("BPF_RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(&compiler).arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    // The object has the names of this version's symbols and its LLVM's choices.
    if !version.as_ref().is_ok_and(|version| version.starts_with("rustc 1.96.0")) {
        println!(
            "skipped: BPF_RUSTC is not Debian's rustc-web 1.96.0 but {version:?}; see docs/rust-filters.md"
        );
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let status = Command::new(root().join("scripts/bpf-rust.sh")).env("OUT", out.path()).status().unwrap();
    assert!(status.success(), "the filter does not compile");
    let built = std::fs::read(out.path().join("rust/open_count.bpf.o")).unwrap();
    let kept = std::fs::read(root().join("bpf/rust/open_count.bpf.o")).unwrap();
    assert!(built == kept, "bpf/rust/open_count.bpf.o is stale; run scripts/bpf-rust.sh");
}
