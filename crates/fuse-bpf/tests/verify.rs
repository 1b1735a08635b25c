//! The verifier on every object of this repository.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use fuse_bpf::filter::contract::contract;
use fuse_bpf_vm::link::{LoadOptions, Module};
use fuse_bpf_vm::verify::{Entry, Limits, verify};

#[test]
fn every_filter_is_proved() {
    let contract = contract();
    let bpf = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bpf");
    let mut count = 0;
    for dir in ["filters", "tests"] {
        for file in std::fs::read_dir(format!("{bpf}/{dir}")).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|ext| ext != "o") {
                continue;
            }
            let module =
                Module::load(&std::fs::read(&path).unwrap(), &contract, &LoadOptions::default()).unwrap();
            for set in &module.sets {
                let ops = contract.struct_ops.iter().find(|ops| ops.name == set.type_name).unwrap();
                for (member, program) in &set.members {
                    let args = &ops.members.iter().find(|known| known.name == *member).unwrap().args;
                    let start = std::time::Instant::now();
                    match verify(program, Entry::Context(args), Limits::default()) {
                        Ok(done) => {
                            println!("{}: {member}: {:?} {:?}", path.display(), done.stats(), start.elapsed())
                        }
                        Err(rejection) => panic!(
                            "{}: {member}: {rejection}\n{}\n{:?}",
                            path.display(),
                            rejection.insn,
                            rejection.path
                        ),
                    }
                    count += 1;
                }
            }
        }
    }
    assert!(count > 65);
}
