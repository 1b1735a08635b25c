//! A filter written against other headers reads and writes the fields it means.
#![expect(clippy::unwrap_used, reason = "a test without its fixture fails")]

use std::path::Path;

use fuse_bpf::abi::{Wire, bpf_fuse_meta_info, fuse_attr, fuse_entry_out};
use fuse_bpf::call::Argument;
use fuse_bpf::dryrun::{DryRun, Report};
use fuse_bpf::filter::FilterObject;
use zerocopy::FromBytes;

fn run(call: &DryRun) -> Report {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bpf/tests/relocated.bpf.o");
    let object = FilterObject::load_file(&path, 1).unwrap();
    call.run(&object.set(None).unwrap()).unwrap()
}

fn values(report: &Report) -> Vec<(&str, Result<u32, String>)> {
    report.steps.iter().map(|step| (step.program.as_str(), step.value.clone())).collect()
}

#[test]
fn fields_are_found_by_name() {
    // Were they read where the filter's own headers have them, something else would be there.
    assert_eq!(bpf_fuse_meta_info::DESC.fields[0].name, "nodeid");
    assert_eq!((fuse_attr::DESC.fields[0].name, fuse_entry_out::DESC.fields[0].name), ("ino", "nodeid"));
    let report = run(&DryRun::new("LOOKUP")
        .unwrap()
        .nodeid(77)
        .name(0, "file")
        .unwrap()
        .field("out.attr.uid", 1000)
        .unwrap()
        .field("out.attr.gid", 1001)
        .unwrap()
        .field("out.attr.mode", 0o100644)
        .unwrap()
        .field("out.attr.size", 1 << 32)
        .unwrap());
    assert_eq!(values(&report), [("before", Ok(3)), ("lookup", Ok(0))]);
    let (_, out) = report.after.arguments.iter().find(|(name, _)| *name == "out").unwrap();
    let Argument::Struct(_, bytes) = out else { panic!("{out:?}") };
    let out = fuse_entry_out::read_from_bytes(bytes).unwrap();
    assert_eq!((out.attr.uid, out.attr.gid, out.entry_valid, out.nodeid), (1234, 1001, 9, 0));
}

#[test]
fn enumerators_are_those_of_this_host_and_what_is_not_here_is_not_reached() {
    let open = |flags| run(&DryRun::new("OPEN").unwrap().field("in.flags", flags).unwrap());
    assert_eq!(values(&open(0)), [("open", Ok(0))]);
    assert_eq!(values(&open(1)), [("open", Ok(-13_i32 as u32))]);
}
