//! The compiler: its command line, and the header filters include.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use fuse_bpf::shipped::HEADER;

/// What the header is called.
pub(crate) const HEADER_NAME: &str = "fuse_bpf.h";

/// A clang command line.
#[derive(Debug)]
pub(crate) struct Line {
    program: OsString,
    args: Vec<OsString>,
}

impl Line {
    /// The line for one filter; BPF_CLANG and BPF_CFLAGS have their say.
    pub(crate) fn from_environment(headers: &Path, source: &Path, object: &Path) -> Line {
        let mut args: Vec<OsString> =
            ["-target", "bpf", "-g", "-O2", "-mcpu=v3", "-I"].map(OsString::from).to_vec();
        args.push(headers.into());
        let extra = std::env::var("BPF_CFLAGS").unwrap_or_default();
        args.extend(extra.split_whitespace().map(OsString::from));
        args.extend([OsString::from("-c"), source.into(), OsString::from("-o"), object.into()]);
        let program = std::env::var_os("BPF_CLANG").filter(|name| !name.is_empty());
        Line { program: program.unwrap_or_else(|| "clang".into()), args }
    }

    /// Runs it; the compiler speaks for itself. Returns whether it was content.
    pub(crate) fn run(&self) -> anyhow::Result<bool> {
        let name = self.program.to_string_lossy();
        let status = Command::new(&self.program).args(&self.args).status().with_context(|| {
            format!("cannot run {name}; install it (`apt-get install clang`) or name another in BPF_CLANG")
        })?;
        Ok(status.success())
    }
}

/// As a shell would take it.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.program.to_string_lossy()))?;
        for arg in &self.args {
            write!(f, " {}", quoted(&arg.to_string_lossy()))?;
        }
        Ok(())
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=+:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Puts the header where the compiler finds it, in the user's cache, and returns the directory. It stays there,
/// so that the printed line can be run again by hand.
pub(crate) fn unpack_header() -> anyhow::Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set; one is needed to keep fuse_bpf.h in")?;
    let dir = cache.join("fuse-bpf").join(env!("CARGO_PKG_VERSION"));
    let header = dir.join(HEADER_NAME);
    if std::fs::read(&header).is_ok_and(|text| text == HEADER.as_bytes()) {
        return Ok(dir);
    }
    // Written aside and moved, so that another build never sees half of it.
    let aside = dir.join(format!(".{HEADER_NAME}.{}", std::process::id()));
    std::fs::create_dir_all(&dir)
        .and_then(|()| std::fs::write(&aside, HEADER))
        .and_then(|()| std::fs::rename(&aside, &header))
        .with_context(|| format!("{}: cannot write the header; set XDG_CACHE_HOME", header.display()))?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_printed_as_a_shell_takes_it() {
        assert_eq!(quoted("-mcpu=v3"), "-mcpu=v3");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
