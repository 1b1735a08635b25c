//! Programs that others go on with: compiled like these, for the arguments of each member they are reached from.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use fuse_bpf::Errno;
use fuse_bpf::dryrun::DryRun;
use fuse_bpf::filter::{FilterObject, Jit, LoadOptions};

/// A call's result, and how much of the budget it took.
fn call(jit: Jit, operation: &str, field: &str, value: u64) -> (Result<(), Errno>, u64) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bpf/tests/onward.bpf.o");
    let set = FilterObject::load_file(&path, LoadOptions::new(1).jit(jit)).unwrap().set(None).unwrap();
    let report = DryRun::new(operation).unwrap().field(field, value).unwrap().run(&set).unwrap();
    (report.result, report.steps[0].insns)
}

#[test]
fn they_are_compiled_and_do_the_same() {
    for (operation, field) in [("open", "in.flags"), ("access", "in.mask")] {
        // The second goes on with the third; the third; nothing.
        for (value, result, programs) in
            [(0, Err(Errno::EACCES), 2), (1, Err(Errno::EACCES), 1), (2, Ok(()), 0)]
        {
            let interpreted = call(Jit::Never, operation, field, value);
            let compiled = call(Jit::Always, operation, field, value);
            assert_eq!((interpreted.0, compiled.0), (result, result), "{operation} {value}");
            // What is interpreted pays for what it does; what is compiled, in advance, for what it might do.
            assert!(interpreted.1 < 100 && compiled.1 >= 200 * programs, "{} {}", interpreted.1, compiled.1);
        }
    }
}
