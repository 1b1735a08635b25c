//! The control socket of a mount: how other processes of the same user reach its server.
//!
//! A client sends one line, the server answers with lines until either side closes. The socket is found by
//! the device number of the mount, in a directory only its user may use.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{RecvFlags, Shutdown};

use crate::transport::mounted_at;

/// Most clients served at once.
const MAX_CLIENTS: usize = 16;
/// How long a client may keep the server waiting.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest request line, in bytes.
const MAX_REQUEST: u64 = 4096;

/// Answers clients of the control socket.
pub trait Controls: Send + Sync + 'static {
    /// Answers one request. Flushing `out` fails when the client has left or the mount ends, so a stream that
    /// flushes now and then ends too.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    fn serve(&self, request: &str, out: &mut dyn Write) -> std::io::Result<()>;
}

/// Why a mount cannot be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Nothing of ours is mounted there.
    #[error("{}: no fuse-bpf mount", .0.display())]
    NotOurs(PathBuf),
    /// Its server does not answer.
    #[error("{}: its server cannot be reached at {} (it runs as another user, or is gone)", mountpoint.display(), socket.display())]
    Unreachable {
        /// The mount point.
        mountpoint: PathBuf,
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The directory of control sockets: made if missing, ours alone.
fn directory() -> std::io::Result<PathBuf> {
    let uid = rustix::process::geteuid();
    let runtime = match std::env::var_os("XDG_RUNTIME_DIR") {
        _ if uid.is_root() => PathBuf::from("/run/fuse-bpf"),
        Some(runtime) if Path::new(&runtime).is_dir() => Path::new(&runtime).join("fuse-bpf"),
        _ => PathBuf::from(format!("/tmp/fuse-bpf-{}", uid.as_raw())),
    };
    match std::fs::DirBuilder::new().mode(0o700).create(&runtime) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let meta = runtime.symlink_metadata()?;
    if !meta.is_dir() || meta.uid() != uid.as_raw() || meta.mode() & 0o077 != 0 {
        let text = format!("{} is not a directory only this user may use", runtime.display());
        return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, text));
    }
    Ok(runtime)
}

fn socket((major, minor): (u32, u32)) -> std::io::Result<PathBuf> {
    Ok(directory()?.join(format!("{major}:{minor}.sock")))
}

/// Serves the control socket of a mount until dropped.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    /// Inode of the socket: a later mount with the same device number replaces it by its own.
    inode: u64,
    listener: Arc<UnixListener>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Opens the socket of the mount with this device number.
    ///
    /// # Errors
    ///
    /// When the socket cannot be made.
    pub fn start(device: (u32, u32), controls: Arc<dyn Controls>) -> std::io::Result<Server> {
        let path = socket(device)?;
        // A device number is used by one mount at a time: what is there is left over.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = Arc::new(UnixListener::bind(&path)?);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let inode = path.symlink_metadata()?.ino();
        let stopping = Arc::new(AtomicBool::new(false));
        let (accepting, stop) = (Arc::clone(&listener), Arc::clone(&stopping));
        let thread = std::thread::Builder::new()
            .name("fuse-bpf-ctl".into())
            .spawn(move || accept(&accepting, &controls, &stop))?;
        Ok(Server { path, inode, listener, stopping, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        match rustix::net::shutdown(&*self.listener, Shutdown::Both) {
            Ok(()) => {
                if let Some(thread) = self.thread.take() {
                    drop(thread.join());
                }
            }
            Err(error) => tracing::warn!("the control socket's thread is left behind: {error}"),
        }
        if self.path.symlink_metadata().is_ok_and(|socket| socket.ino() == self.inode) {
            drop(std::fs::remove_file(&self.path));
        }
    }
}

fn accept(listener: &UnixListener, controls: &Arc<dyn Controls>, stopping: &Arc<AtomicBool>) {
    let clients = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!("control socket: {error}");
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        if clients.fetch_add(1, Ordering::SeqCst) >= MAX_CLIENTS {
            clients.fetch_sub(1, Ordering::SeqCst);
            drop((&stream).write_all(b"error: too many clients\n"));
            continue;
        }
        let (controls, stopping, count) = (Arc::clone(controls), Arc::clone(stopping), Arc::clone(&clients));
        let spawned = std::thread::Builder::new().name("fuse-bpf-client".into()).spawn(move || {
            if let Err(error) = attend(stream, &*controls, &stopping) {
                tracing::debug!("control client: {error}");
            }
            count.fetch_sub(1, Ordering::SeqCst);
        });
        if spawned.is_err() {
            clients.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn attend(stream: UnixStream, controls: &dyn Controls, stopping: &AtomicBool) -> std::io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(&stream)?;
    if !peer.uid.is_root() && peer.uid != rustix::process::geteuid() {
        return (&stream).write_all(b"error: not your mount\n");
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = String::new();
    BufReader::new((&stream).take(MAX_REQUEST)).read_line(&mut request)?;
    controls.serve(request.trim_end(), &mut Client { stream: &stream, stopping })
}

/// The server's end of a client.
struct Client<'c> {
    stream: &'c UnixStream,
    stopping: &'c AtomicBool,
}

impl Write for Client<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut stream = self.stream;
        stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let gone = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        if self.stopping.load(Ordering::SeqCst) {
            return Err(gone());
        }
        let mut byte = [0];
        match rustix::net::recv(self.stream.as_fd(), &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((0, _)) => Err(gone()),
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Sends a request to the server of the mount on `mountpoint`; its answer can be read line by line.
///
/// # Errors
///
/// When nothing of ours is mounted there, or its server cannot be reached.
pub fn connect(mountpoint: &Path, request: &str) -> Result<impl BufRead + use<>, ControlError> {
    let device = mounted_at(mountpoint).ok_or_else(|| ControlError::NotOurs(mountpoint.to_owned()))?;
    let unreachable = |socket: PathBuf| {
        move |source| ControlError::Unreachable { mountpoint: mountpoint.to_owned(), socket, source }
    };
    let path = socket(device).map_err(unreachable(PathBuf::new()))?;
    let mut stream = UnixStream::connect(&path).map_err(unreachable(path.clone()))?;
    stream.write_all(format!("{request}\n").as_bytes()).map_err(unreachable(path))?;
    Ok(BufReader::new(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Echo;

    impl Controls for Echo {
        fn serve(&self, request: &str, out: &mut dyn Write) -> std::io::Result<()> {
            writeln!(out, "{request}!")
        }
    }

    fn ask(device: (u32, u32)) -> std::io::Result<String> {
        let mut stream = UnixStream::connect(socket(device)?)?;
        stream.write_all(b"hello\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn a_mount_that_ends_late_leaves_its_successor_alone() {
        // No mount has this device number.
        let device = (u32::MAX, std::process::id());
        let first = Server::start(device, Arc::new(Echo)).unwrap();
        assert_eq!(ask(device).unwrap(), "hello!\n");
        let second = Server::start(device, Arc::new(Echo)).unwrap();
        drop(first);
        assert_eq!(ask(device).unwrap(), "hello!\n");
        drop(second);
        assert!(ask(device).is_err());
        assert!(!socket(device).unwrap().exists());
    }
}
