//! `fuse-bpf bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use crate::bench::{self, Plan};

/// Measure what a mount costs on this machine
///
/// Makes a scratch directory in SRC, mounts parts of it without and with filters, and does the same work in
/// a plain directory and in both mounts, in turn. Prints what the plain directory took and how many times
/// that the mounts took: least, median and most of all repetitions. SRC is as it was afterwards.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchCommand {
    /// Filters of the filtered mount [default: the audit filter]
    #[arg(long = "filter", value_name = "OBJ[:SET]")]
    filters: Vec<String>,
    /// How often each operation is measured
    #[arg(long, value_name = "N", default_value = "7", value_parser = clap::value_parser!(u16).range(1..=1000))]
    reps: u16,
    /// Only these operations, separated by commas; `--ops list` names them
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    ops: Vec<String>,
    /// How long the kernel may keep names and attributes, as for `fuse-bpf mount`
    #[arg(long, value_name = "SECONDS")]
    cache_timeout: Option<f64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The directory whose file system is measured
    #[arg(value_name = "SRC", value_hint = ValueHint::DirPath, required_unless_present_any = ["list"])]
    source: Option<PathBuf>,
    /// Name the operations and end
    #[arg(long)]
    list: bool,
}

const EXAMPLES: &str = "\
Examples:
  fuse-bpf bench /var/tmp
  fuse-bpf bench --filter policy.bpf.o --reps 15 --json project > bench.json
  fuse-bpf bench --ops stat,lookup-absent,open project";

impl BenchCommand {
    pub(crate) fn execute(self) -> anyhow::Result<()> {
        if self.list || self.ops == ["list"] {
            return bench::list();
        }
        let source = self.source.ok_or_else(|| anyhow::anyhow!("which directory? Give SRC"))?;
        if let Some(timeout) = self.cache_timeout {
            Duration::try_from_secs_f64(timeout)?;
        }
        bench::run(&Plan {
            source,
            filters: self.filters,
            reps: usize::from(self.reps),
            only: self.ops,
            cache_timeout: self.cache_timeout,
            json: self.json,
        })
    }
}
