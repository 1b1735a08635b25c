//! The filters in `bpf/`, for benchmarks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuse_bpf::filter::{ArgType, Unproved};
use fuse_bpf_vm::program::Program;

/// The objects, in order.
pub(crate) fn objects() -> Vec<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../bpf");
    let files =
        ["filters", "tests", "rust"].into_iter().flat_map(|dir| std::fs::read_dir(root.join(dir)).unwrap());
    let mut objects: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    objects.retain(|path| path.extension().is_some_and(|extension| extension == "o"));
    objects.sort();
    objects
}

/// The programs of an object with what they are given.
pub(crate) fn filters(path: &Path) -> Vec<(String, Arc<Program>, Vec<ArgType>)> {
    let file = path.file_name().unwrap().to_string_lossy();
    let file = file.trim_end_matches(".bpf.o");
    let object = Unproved::load_file(path, 1).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut found: Vec<(String, Arc<Program>, Vec<ArgType>)> = Vec::new();
    for trial in object.trials() {
        // One program may be several members.
        if !found.iter().any(|(_, other, _)| Arc::ptr_eq(other, &trial.program)) {
            let args = trial.arguments.iter().map(|(arg, _)| arg.clone()).collect();
            found.push((format!("{file} {}", trial.member), trial.program, args));
        }
    }
    found
}
