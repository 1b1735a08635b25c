//! `fuse-bpf new`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use fuse_bpf::filter::NAME_MAX;
use fuse_bpf::shipped::HEADER;

use crate::{Answer, clang};

/// Start a filter project
///
/// Makes a directory with an example filter, the header, a Makefile and a test. It builds and mounts as it is.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, verbatim_doc_comment)]
pub(crate) struct NewCommand {
    /// The directory to make; its last part becomes the name of the filter
    #[arg(value_name = "NAME")]
    path: PathBuf,
}

const EXAMPLES: &str = "\
Example:
  fuse-bpf new guard && cd guard && make test && make mount SRC=~/project MNT=~/mnt";

/// Name, whether it may be run, text. `@NAME@` is the name of the filter.
const FILES: &[(&str, bool, &str)] = &[
    ("@NAME@.bpf.c", false, include_str!("../template/filter.bpf.c")),
    ("Makefile", false, include_str!("../template/Makefile")),
    ("README.md", false, include_str!("../template/README.md")),
    ("test.sh", true, include_str!("../template/test.sh")),
    (".gitignore", false, "*.bpf.o\n"),
];

impl NewCommand {
    pub(crate) fn execute(self) -> anyhow::Result<Answer> {
        let path = &self.path;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !is_name(name) {
            bail!(
                "`{}`: a filter's name is 1 to {NAME_MAX} letters, digits and `_`, and starts with a letter",
                path.display()
            );
        }
        fs::create_dir(path).with_context(|| {
            let remedy =
                if path.exists() { "it exists; choose another name or remove it" } else { "cannot make it" };
            format!("{}: {remedy}", path.display())
        })?;
        for (file, executable, text) in FILES {
            write(&path.join(file.replace("@NAME@", name)), *executable, &text.replace("@NAME@", name))?;
        }
        write(&path.join(clang::HEADER_NAME), false, HEADER)?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "made {}; next: make -C {} test", path.display(), path.display())?;
        Ok(Answer::Yes)
    }
}

/// A name that C, the shell and the registration of a program set all take.
fn is_name(name: &str) -> bool {
    name.len() <= NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn write(path: &Path, executable: bool, text: &str) -> anyhow::Result<()> {
    let mode = if executable { 0o777 } else { 0o666 };
    let mut options = fs::OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("{}: cannot write", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "guard", "no_secrets2", "abcdefghijklmn"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "2fast", "a-b", "a.b", "..", "abcdefghijklmno", "a b"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
