//! Serving a mount in the background.
//!
//! A program with threads cannot fork, so this one starts itself once more with a pipe as standard output. The
//! child writes a line when the mount answers; the parent waits for that line and leaves the child behind. When
//! the child ends without one, it has said why on the shared standard error, and its status becomes the
//! parent's.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::Answer;

/// Whom to tell that the mount answers.
#[derive(Debug)]
pub(crate) enum Ready {
    /// The user, who stays.
    Terminal,
    /// A parent that waits for a line.
    Parent(File),
}

/// Starts this command line once more as a process of its own and waits until its mount answers.
pub(crate) fn launch() -> anyhow::Result<Answer> {
    let program = std::env::current_exe().context("cannot find this program to start it again")?;
    let (mut ready, report) = std::io::pipe().context("cannot make a pipe")?;
    let mut child = Command::new(program)
        .args(with_ready_fd(std::env::args_os().skip(1)))
        .stdin(Stdio::null())
        .stdout(report)
        .spawn()
        .context("cannot start the background process")?;
    let mut line = Vec::new();
    ready.read_to_end(&mut line).context("cannot hear from the background process")?;
    if line.ends_with(b"\n") {
        return Ok(Answer::Yes);
    }
    let status = child.wait().context("cannot wait for the background process")?;
    match status.code() {
        Some(code) => std::process::exit(code),
        None => bail!("the background process was killed by signal {}", status.signal().unwrap_or_default()),
    }
}

/// The arguments with `--ready-fd 1` behind the command's name: what comes before that are flags without values,
/// and at the end it might be taken for a path.
fn with_ready_fd(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut all = Vec::new();
    let mut inserted = false;
    for arg in args {
        let is_command = !inserted && !arg.as_encoded_bytes().starts_with(b"-");
        all.push(arg);
        if is_command {
            all.push("--ready-fd=1".into());
            inserted = true;
        }
    }
    all
}

impl Ready {
    /// The parent's pipe is this descriptor; the process leaves the parent's session.
    pub(crate) fn take(fd: u32) -> anyhow::Result<Ready> {
        let path = format!("/proc/self/fd/{fd}");
        let pipe = File::options()
            .write(true)
            .open(&path)
            .with_context(|| format!("--ready-fd {fd}: cannot write to {path}"))?;
        // Fails for the leader of a process group, who has a session of its own or wants none.
        let _ = rustix::process::setsid();
        Ok(Ready::Parent(pipe))
    }

    /// Tells that the mount answers. In the background nothing is held on to afterwards: neither the parent's
    /// standard streams nor a working directory.
    pub(crate) fn report(self, line: &str) -> anyhow::Result<()> {
        let Ready::Parent(mut pipe) = self else {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{line}; ctrl-c unmounts")?;
            out.flush()?;
            return Ok(());
        };
        let null =
            File::options().read(true).write(true).open("/dev/null").context("cannot open /dev/null")?;
        std::env::set_current_dir("/").context("cannot leave the working directory")?;
        writeln!(pipe, "{line}").context("nobody waits for the mount any more")?;
        rustix::stdio::dup2_stdin(&null)
            .and_then(|()| rustix::stdio::dup2_stdout(&null))
            .and_then(|()| rustix::stdio::dup2_stderr(&null))
            .context("cannot let go of the standard streams")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptor_is_named_behind_the_command() {
        let insert = |args: &[&str]| with_ready_fd(args.iter().map(OsString::from));
        assert_eq!(
            insert(&["mount", "--background", "a", "b"]),
            ["mount", "--ready-fd=1", "--background", "a", "b"]
        );
        assert_eq!(insert(&["-v", "mount", "--", "a", "b"]), ["-v", "mount", "--ready-fd=1", "--", "a", "b"]);
    }
}
