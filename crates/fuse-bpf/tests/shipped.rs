//! The objects in the tree are what their sources compile to.

use std::path::Path;
use std::process::Command;

/// The compiler the objects in the tree were made with: Debian 12's.
const COMPILER: &str = "Debian clang version 14.0.6";

#[test]
fn objects_are_built_from_their_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let clang = std::env::var("BPF_CLANG").unwrap_or_else(|_| "clang".into());
    let version = match Command::new(&clang).arg("--version").output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => {
            println!("skipped: {clang}: {error} (package clang)");
            return;
        }
    };
    if !version.starts_with(COMPILER) {
        println!("skipped: the objects are compared with what {COMPILER} makes; {clang} is {version}");
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let status = Command::new(root.join("scripts/bpf.sh")).env("OUT", out.path()).status().unwrap();
    assert!(status.success(), "the filters do not compile");
    let mut compared = 0;
    for dir in ["filters", "tests", "rejected", "bench"] {
        for file in std::fs::read_dir(out.path().join(dir)).unwrap() {
            let file = file.unwrap();
            let tree = root.join("bpf").join(dir).join(file.file_name());
            let (built, kept) = (std::fs::read(file.path()).unwrap(), std::fs::read(&tree).unwrap());
            assert!(built == kept, "{} is stale; run scripts/bpf.sh", tree.display());
            compared += 1;
        }
    }
    assert!(compared >= 10, "only {compared} objects compared");
}
