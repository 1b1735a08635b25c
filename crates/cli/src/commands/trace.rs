//! `fuse-bpf trace`.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueHint};

use crate::Answer;

/// Show what the filters of a mount print and record, as it comes
///
/// One line for each bpf_printk, each ring buffer record and each filter stopped for a fault, until the mount
/// ends or ctrl-c.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, verbatim_doc_comment)]
pub(crate) struct TraceCommand {
    /// Where it is mounted
    #[arg(value_name = "MNT", value_hint = ValueHint::DirPath)]
    mountpoint: PathBuf,
}

const EXAMPLES: &str = "\
Example:
  fuse-bpf mount --background --audit project mnt && fuse-bpf trace mnt";

impl TraceCommand {
    pub(crate) fn execute(self) -> anyhow::Result<Answer> {
        let mountpoint = &self.mountpoint;
        let lines = fuse_bpf::control::connect(mountpoint, "trace")?;
        let mut out = std::io::stdout().lock();
        for line in lines.lines() {
            let line = line.with_context(|| format!("{}: the trace broke off", mountpoint.display()))?;
            writeln!(out, "{line}")?;
            // Somebody is watching, or a program reads along.
            out.flush()?;
        }
        Ok(Answer::Yes)
    }
}
