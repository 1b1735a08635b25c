//! A daemon that is started by a command.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::peer::{self, Peer, PeerError};

/// How long a daemon may take to end by itself, and then after it was asked to.
const PATIENCE: Duration = Duration::from_secs(2);

/// Puts the socket, which is standard input at first, where the command finds it.
const PREPARE: &str = "exec 3<&0 0</dev/null; ";

/// A daemon started by a shell command that gets the socket as descriptor 3: `my_fs -f /dev/fd/3`. Dropped, it ends.
#[derive(Debug)]
pub struct Command {
    child: Child,
}

/// Why a daemon cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// There is no shell.
    #[error("cannot run `sh -c` for the daemon `{command}`")]
    Shell {
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It does not serve.
    #[error(
        "`{command}`: does not serve; it gets the connection as descriptor 3, so its mount point is /dev/fd/3"
    )]
    Peer {
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: PeerError,
    },
}

impl Command {
    /// Runs a command and speaks with the daemon it starts; `timeout` as for [`Peer::connect`].
    ///
    /// # Errors
    ///
    /// When it cannot be run, or does not answer as a daemon.
    pub fn start(command: &str, timeout: Duration) -> Result<(Command, Peer), CommandError> {
        use std::os::unix::process::CommandExt as _;
        let failed = |source| CommandError::Peer { command: command.to_owned(), source };
        let shell = |source| CommandError::Shell { command: command.to_owned(), source };
        let (ours, theirs) = peer::pair().map_err(failed)?;
        let (said, says) = std::io::pipe().map_err(shell)?;
        let child = std::process::Command::new("sh")
            .args(["-c", &format!("{PREPARE}{command}")])
            .stdin(Stdio::from(theirs))
            .stdout(says.try_clone().map_err(shell)?)
            .stderr(says)
            .process_group(0)
            .spawn()
            .map_err(shell)?;
        // It must not hold on to our own standard streams, which somebody may read to their end.
        std::thread::Builder::new()
            .name("fuse-bpf-said".into())
            .spawn(move || pass_on(said))
            .map_err(shell)?;
        // Dropped, and so ended, if there is no conversation.
        let command_guard = Command { child };
        let peer = Peer::connect(ours, timeout).map_err(failed)?;
        Ok((command_guard, peer))
    }

    /// Waits for it to end, for a while.
    fn ended(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(10)),
                Ok(None) => return false,
                Ok(Some(_)) | Err(_) => return true,
            }
        }
    }
}

/// Logs what the daemon prints, until nobody can print any more.
fn pass_on(said: std::io::PipeReader) {
    for line in BufReader::new(said).split(b'\n').map_while(Result::ok) {
        tracing::warn!("the daemon says: {}", String::from_utf8_lossy(&line));
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.child);
        // It has read the end of its conversation, or will not read at all.
        for signal in [Signal::TERM, Signal::KILL] {
            if self.ended() {
                return;
            }
            tracing::warn!("the daemon does not end by itself; sending it {signal:?}");
            if let Err(error) = kill_process_group(group, signal) {
                tracing::error!("the daemon cannot be ended: {error}");
            }
        }
        let _ = self.child.wait();
    }
}
