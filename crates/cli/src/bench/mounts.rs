//! The scratch directory and its two mounts.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::Plan;

/// How long a mount may take to answer, and to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everything that has to be undone.
#[derive(Debug)]
pub(super) struct Stage {
    // Unmounted before the directory is removed: fields are dropped in order.
    mounts: Vec<Mount>,
    scratch: Scratch,
}

/// A directory that is removed when dropped.
#[derive(Debug)]
struct Scratch(PathBuf);

/// A mount served by a process of its own, as outside of a benchmark.
#[derive(Debug)]
struct Mount {
    server: Child,
    at: PathBuf,
}

impl Stage {
    pub(super) fn new(source: &Path, plan: &Plan) -> anyhow::Result<Stage> {
        let path = source.join(format!(".fuse-bpf-bench.{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let mut stage = Stage { mounts: Vec::new(), scratch: Scratch(path) };
        let root = stage.scratch.0.clone();
        for name in ["plain", "lower0", "lower1", "mount0", "mount1"] {
            fs::create_dir(root.join(name))?;
        }
        let mut filtered: Vec<&str> =
            plan.filters.iter().flat_map(|filter| ["--filter", filter.as_str()]).collect();
        if filtered.is_empty() {
            filtered.push("--audit");
        }
        for (index, arguments) in [&[][..], &filtered].into_iter().enumerate() {
            let lower = root.join(format!("lower{index}"));
            let at = root.join(format!("mount{index}"));
            stage.mounts.push(Mount::new(arguments, plan.cache_timeout, &lower, at)?);
        }
        Ok(stage)
    }

    /// Plain directory, unfiltered mount, filtered mount.
    pub(super) fn places(&self) -> Vec<PathBuf> {
        std::iter::once(self.scratch.0.join("plain"))
            .chain(self.mounts.iter().map(|m| m.at.clone()))
            .collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::error!("{} could not be removed: {error}", self.0.display());
        }
    }
}

impl Mount {
    fn new(arguments: &[&str], timeout: Option<f64>, lower: &Path, at: PathBuf) -> anyhow::Result<Mount> {
        let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
        command.arg("mount").args(arguments);
        if let Some(timeout) = timeout {
            command.args(["--cache-timeout", &timeout.to_string()]);
        }
        command.arg(lower).arg(&at).stdin(Stdio::null()).stdout(Stdio::null());
        let outside = fs::metadata(&at)?.dev();
        let server = command.spawn().context("cannot start the mount's server")?;
        let mut mount = Mount { server, at };
        let start = Instant::now();
        while fs::metadata(&mount.at).map(|meta| meta.dev()).unwrap_or(outside) == outside {
            if let Some(status) = mount.server.try_wait()? {
                bail!("the mount's server ended before it answered: {status}");
            }
            if start.elapsed() > PATIENCE {
                bail!("{} does not answer", mount.at.display());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(mount)
    }

    fn ended(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            match self.server.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                _ => return true,
            }
        }
        false
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A server that is told to end unmounts.
        if let Err(error) = kill_process(Pid::from_child(&self.server), Signal::TERM) {
            tracing::debug!("cannot signal the mount's server: {error}");
        }
        if !self.ended() {
            tracing::error!("the server of {} had to be killed", self.at.display());
            if self.server.kill().is_ok() {
                self.ended();
            }
        }
        let parent = self.at.parent().and_then(|parent| fs::metadata(parent).ok()).map(|meta| meta.dev());
        if fs::metadata(&self.at).ok().map(|meta| meta.dev()) != parent {
            let unmounted = std::env::current_exe()
                .and_then(|exe| Command::new(exe).args(["umount", "--lazy"]).arg(&self.at).status());
            tracing::debug!("unmounted what the server left: {unmounted:?}");
        }
    }
}
