//! `fuse-bpf umount`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::Answer;

/// Unmount
///
/// As the user who mounted it, or as root. Works for a mount whose server died, too.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, verbatim_doc_comment)]
pub(crate) struct UmountCommand {
    /// Take it out of the tree now even if files are open; it ends when the last is closed
    #[arg(long)]
    lazy: bool,
    /// Where it is mounted
    #[arg(value_name = "MNT", value_hint = ValueHint::DirPath)]
    mountpoint: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  fuse-bpf umount mnt
  fuse-bpf umount --lazy mnt";

impl UmountCommand {
    pub(crate) fn execute(self) -> anyhow::Result<Answer> {
        fuse_bpf::transport::unmount(&self.mountpoint, self.lazy)?;
        Ok(Answer::Yes)
    }
}
