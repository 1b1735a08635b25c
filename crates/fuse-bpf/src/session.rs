//! A mount being served: threads that read requests and hand them to a [`Handler`].

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use zerocopy::IntoBytes;

use crate::abi::opcode::INIT;
use crate::abi::{self, KERNEL_MINOR, KERNEL_VERSION, fuse_init_in, fuse_init_out};
use crate::errno::Errno;
use crate::ops;
use crate::transport::{
    Buffer, Channel, InitConfig, InitError, MountError, MountOptions, Mounted, Negotiated, Reply, Request,
    mount, negotiate,
};

/// How long a clean stop may take before the connection is cut.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves requests. One is carried from read to reply by one thread.
pub trait Handler: Send + Sync + 'static {
    /// What each thread owns.
    type Worker;
    /// Makes the state of a thread, on that thread. `slot` counts threads from 0.
    fn worker(&self, slot: usize) -> Self::Worker;
    /// Told once, before the first request, what was agreed with the kernel, and how to reach it.
    fn init(&self, negotiated: &Negotiated, kernel: Kernel);
    /// Serves one request.
    fn handle(&self, worker: &mut Self::Worker, request: Request<'_>, reply: Reply);
    /// Told once, after the last request.
    fn destroy(&self);
}

/// The kernel's side of a mount, for those who have something to tell it, and its threads.
#[derive(Debug, Clone)]
pub struct Kernel {
    channel: Channel,
    shared: Arc<Shared>,
}

impl Kernel {
    /// Tells the kernel something it did not ask for; see [`Channel::notify`].
    ///
    /// # Errors
    ///
    /// Those of write(2).
    pub fn notify(&self, code: i32, parts: &[&[u8]]) -> rustix::io::Result<()> {
        self.channel.notify(code, parts)
    }

    /// Waits for somebody who may take long, while another thread takes this one's place.
    pub fn wait_for<T>(&self, wait: impl FnOnce() -> T) -> T {
        let _blocked = Blocked::begin(&self.shared);
        wait()
    }
}

/// A thread that waits for somebody outside.
struct Blocked<'s>(&'s Shared);

impl Blocked<'_> {
    fn begin(shared: &Shared) -> Blocked<'_> {
        shared.threads().blocked += 1;
        shared.changed.notify_all();
        Blocked(shared)
    }
}

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.threads().blocked -= 1;
    }
}

/// How a mount is served.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionConfig {
    /// Number of threads.
    pub workers: usize,
    /// Most threads, when those that serve wait for somebody outside ([`Kernel::wait_for`]).
    pub most_workers: usize,
    /// What is wanted of INIT.
    pub init: InitConfig,
}

impl Default for SessionConfig {
    fn default() -> SessionConfig {
        let workers = std::thread::available_parallelism().map_or(2, usize::from).max(2);
        SessionConfig { workers, most_workers: workers, init: InitConfig::default() }
    }
}

/// Why a mount cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// It cannot be mounted.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// There is no agreement with the kernel.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The kernel broke off before INIT was done.
    #[error("{}: the mount went away before it was ready", .0.display())]
    Gone(PathBuf),
    /// The kernel did not begin with INIT.
    #[error("{}: the kernel began with opcode {opcode} instead of INIT", path.display())]
    Protocol {
        /// The mount point.
        path: PathBuf,
        /// What it began with.
        opcode: u32,
    },
    /// `/dev/fuse` fails.
    #[error("{}: /dev/fuse fails", path.display())]
    Device {
        /// The mount point.
        path: PathBuf,
        /// How.
        #[source]
        source: rustix::io::Errno,
    },
    /// A thread cannot be started.
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
}

/// A mount being served. Dropping it stops it.
#[derive(Debug)]
pub struct Session<H: Handler> {
    shared: Arc<Shared>,
    handler: Arc<H>,
    negotiated: Negotiated,
    workers: Vec<JoinHandle<()>>,
}

/// What the threads of a session and its stoppers share.
#[derive(Debug)]
struct Shared {
    mounted: Mounted,
    /// Requests being served.
    active: AtomicUsize,
    stopping: AtomicBool,
    /// Whether a stop has done all it can though threads still run: open files keep the connection.
    abandoned: AtomicBool,
    threads: Mutex<Threads>,
    changed: Condvar,
}

/// The threads of a session.
#[derive(Debug, Default)]
struct Threads {
    /// Those that have not ended.
    running: usize,
    /// Those of them that wait for somebody outside.
    blocked: usize,
}

/// Stops a session from another thread.
#[derive(Debug, Clone)]
pub struct StopHandle {
    shared: Arc<Shared>,
}

impl<H: Handler> Session<H> {
    /// Mounts and starts to serve. Requests are answered when this returns.
    ///
    /// # Errors
    ///
    /// See [`SessionError`]. Nothing stays mounted then.
    pub fn start(
        mountpoint: &Path,
        options: &MountOptions,
        config: &SessionConfig,
        handler: Arc<H>,
    ) -> Result<Session<H>, SessionError> {
        let (channel, mounted) = mount(mountpoint, options)?;
        let shared = Arc::new(Shared {
            mounted,
            active: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            threads: Mutex::default(),
            changed: Condvar::new(),
        });
        let started = handshake(&channel, &shared.mounted, &config.init).and_then(|negotiated| {
            handler.init(&negotiated, Kernel { channel: channel.clone(), shared: Arc::clone(&shared) });
            let mut session =
                Session { shared: Arc::clone(&shared), handler, negotiated, workers: Vec::new() };
            session.spawn(&channel, config)?;
            Ok(session)
        });
        if started.is_err() {
            // The kernel waits for nobody once the channel is closed.
            drop(channel);
            if let Err(error) = shared.mounted.unmount(true) {
                tracing::error!("{error}");
            }
        }
        started
    }

    fn spawn(&mut self, channel: &Channel, config: &SessionConfig) -> Result<(), SessionError> {
        let (workers, most) = (config.workers.max(1), config.most_workers);
        let crew = Crew {
            handler: Arc::clone(&self.handler),
            shared: Arc::clone(&self.shared),
            channel: channel.clone(),
            max_write: self.negotiated.max_write as usize,
            workers,
        };
        for slot in 0..workers {
            let queue = if slot == 0 {
                channel.clone()
            } else {
                channel.clone_queue().unwrap_or_else(|error| {
                    tracing::warn!("thread {slot} shares the first queue of /dev/fuse: {error}");
                    channel.clone()
                })
            };
            self.workers.push(crew.join_with(slot, queue).map_err(SessionError::Thread)?);
        }
        if most > workers {
            let reserve = std::thread::Builder::new().name("fuse-bpf-more".into());
            reserve.spawn(move || crew.keep_serving(most)).map_err(SessionError::Thread)?;
        }
        Ok(())
    }

    /// What was agreed with the kernel.
    pub fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// The real path of the mount point.
    pub fn mountpoint(&self) -> &Path {
        self.shared.mounted.path()
    }

    /// Major and minor device number of the mount.
    pub fn device(&self) -> (u32, u32) {
        self.shared.mounted.device()
    }

    /// Blocks until the mount is gone, by whomever.
    pub fn wait(&mut self) {
        let mut threads = self.shared.threads();
        while threads.running > 0 && !self.shared.abandoned.load(Ordering::SeqCst) {
            threads = self.shared.changed.wait(threads).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Unmounts cleanly; see [`StopHandle::stop`].
    pub fn stop(self) {
        drop(self);
    }

    /// A handle to stop it from another thread.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<H: Handler> Drop for Session<H> {
    fn drop(&mut self) {
        self.stop_handle().stop();
        let patience = if self.shared.abandoned.load(Ordering::SeqCst) { Duration::ZERO } else { PATIENCE };
        if self.shared.wait_stopped(patience) {
            for worker in self.workers.drain(..) {
                if worker.join().is_err() {
                    tracing::error!("a thread of the mount panicked outside of a request");
                }
            }
        } else {
            tracing::error!("requests are still being served; their threads are left behind");
        }
        self.handler.destroy();
    }
}

impl StopHandle {
    /// Unmounts cleanly, in bounded time.
    ///
    /// When nobody uses the mount it is simply unmounted. Else what is still in the page cache (pages written
    /// through mappings) is written down first, the mount is detached, requests in flight are answered, and the
    /// connection is cut: files that are still open answer `ENOTCONN` from then on.
    pub fn stop(&self) {
        if self.shared.stopping.swap(true, Ordering::SeqCst) {
            return;
        }
        let mounted = &self.shared.mounted;
        match mounted.unmount(false) {
            Ok(()) if self.shared.wait_stopped(PATIENCE) => return,
            Ok(()) => {}
            Err(MountError::Busy(_)) => self.detach(),
            Err(error) => {
                tracing::error!("{error}");
                self.detach();
            }
        }
        let patience = Instant::now() + PATIENCE;
        while self.shared.active.load(Ordering::SeqCst) > 0 && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.shared.threads().running == 0 {
            return;
        }
        match mounted.abort() {
            Ok(()) if self.shared.wait_stopped(PATIENCE) => return,
            Ok(()) => tracing::error!("the connection was cut, but requests are still being served"),
            Err(error) => tracing::warn!("open files keep the connection until this process ends: {error}"),
        }
        self.shared.abandoned.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
    }

    /// Writes down what the kernel holds and detaches the mount. Both could wait for a request that never ends,
    /// so another thread does it.
    fn detach(&self) {
        let shared = Arc::clone(&self.shared);
        let (done, finished) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("fuse-bpf-stop".into()).spawn(move || {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let synced =
                rustix::fs::open(shared.mounted.path(), flags, Mode::empty()).and_then(rustix::fs::syncfs);
            if let Err(error) = synced {
                tracing::error!("{}: cannot be synced: {error}", shared.mounted.path().display());
            }
            let _ = done.send(());
        });
        if thread.is_ok() && finished.recv_timeout(PATIENCE).is_err() {
            tracing::error!("the mount was not synced within {PATIENCE:?}");
        }
        if let Err(error) = self.shared.mounted.unmount(true) {
            tracing::error!("{error}");
        }
    }
}

impl Shared {
    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all threads have ended, after at most `patience`.
    fn wait_stopped(&self, patience: Duration) -> bool {
        let (threads, _) = self
            .changed
            .wait_timeout_while(self.threads(), patience, |threads| threads.running > 0)
            .unwrap_or_else(PoisonError::into_inner);
        threads.running == 0
    }
}

/// Counts a thread out, also when it panics.
struct Running<'s>(&'s Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.threads().running -= 1;
        self.0.changed.notify_all();
    }
}

/// What it takes to start one more thread of a session.
struct Crew<H> {
    handler: Arc<H>,
    shared: Arc<Shared>,
    channel: Channel,
    max_write: usize,
    /// Threads that serve when none waits for somebody outside.
    workers: usize,
}

impl<H: Handler> Crew<H> {
    /// Starts a thread that serves a queue.
    fn join_with(&self, slot: usize, queue: Channel) -> std::io::Result<JoinHandle<()>> {
        let (handler, shared) = (Arc::clone(&self.handler), Arc::clone(&self.shared));
        let (max_write, workers) = (self.max_write, self.workers);
        shared.threads().running += 1;
        let started = std::thread::Builder::new().name(format!("fuse-bpf-{slot}")).spawn(move || {
            let _running = Running(&shared);
            // The first ones stay; the others go when they are too many.
            let spare = || slot >= workers && shared.threads().serving() > workers;
            serve(&*handler, &shared, &queue, slot, max_write, &spare);
        });
        started.inspect_err(|_| self.shared.threads().running -= 1)
    }

    /// Starts another thread whenever those that do not wait for somebody outside are fewer than they should be. Ends
    /// with the last thread.
    fn keep_serving(&self, most: usize) {
        let mut slot = self.workers;
        let mut threads = self.shared.threads();
        while threads.running > 0 {
            if threads.serving() >= self.workers || threads.running >= most {
                threads = self.shared.changed.wait(threads).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(threads);
            if let Err(error) = self.join_with(slot, self.channel.clone()) {
                tracing::error!("no thread in place of one that waits: {error}");
                std::thread::sleep(Duration::from_millis(100));
            }
            slot += 1;
            threads = self.shared.threads();
        }
    }
}

impl Threads {
    /// Those that do not wait for somebody outside.
    fn serving(&self) -> usize {
        self.running - self.blocked
    }
}

/// Counts a request out, also when its handler panics.
struct Active<'s>(&'s Shared);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Answers INIT.
fn handshake(channel: &Channel, mounted: &Mounted, config: &InitConfig) -> Result<Negotiated, SessionError> {
    let path = || mounted.path().to_owned();
    let mut buffer = Buffer::new(config.max_write as usize);
    loop {
        let request = channel
            .receive(&mut buffer)
            .map_err(|source| SessionError::Device { path: path(), source })?
            .ok_or_else(|| SessionError::Gone(path()))?;
        if request.header.opcode != INIT {
            let opcode = request.header.opcode;
            channel.reply(&request.header).error(Errno::EIO);
            return Err(SessionError::Protocol { path: path(), opcode });
        }
        let reply = channel.reply(&request.header);
        let Some(offer) = offer(request.body) else {
            reply.error(Errno::EIO);
            return Err(SessionError::Protocol { path: path(), opcode: INIT });
        };
        if offer.major > KERNEL_VERSION {
            // The kernel then offers again in our version.
            let out = fuse_init_out { major: KERNEL_VERSION, minor: KERNEL_MINOR, ..Default::default() };
            let _ = reply.ok(out.as_bytes(), &[]);
            continue;
        }
        let (out, negotiated) =
            negotiate(&offer, config).inspect_err(|_| tracing::error!("INIT: no agreement"))?;
        let _ = reply.ok(out.as_bytes(), &[]);
        return Ok(negotiated);
    }
}

/// The kernel's offer: before 7.36 it was shorter.
fn offer(body: &[u8]) -> Option<fuse_init_in> {
    const OLD: usize = 16;
    let mut full = [0; size_of::<fuse_init_in>()];
    let len = body.len().min(full.len());
    if len < OLD {
        return None;
    }
    full[..len].copy_from_slice(&body[..len]);
    abi::read(&full)
}

/// Serves requests until the mount is gone, or until after one there are threads to spare.
fn serve<H: Handler>(
    handler: &H,
    shared: &Shared,
    queue: &Channel,
    slot: usize,
    max_write: usize,
    spare: &dyn Fn() -> bool,
) {
    let mut worker = handler.worker(slot);
    let mut buffer = Buffer::new(max_write);
    loop {
        match queue.receive(&mut buffer) {
            Ok(Some(request)) => {
                shared.active.fetch_add(1, Ordering::SeqCst);
                let _active = Active(shared);
                let reply = queue.reply(&request.header);
                // A panic costs the request an EIO (its reply is dropped), never the mount.
                let served = std::panic::catch_unwind(AssertUnwindSafe(|| {
                    handler.handle(&mut worker, request, reply)
                }));
                if served.is_err() {
                    let opcode = request.header.opcode;
                    let name = ops::by_opcode(opcode).map_or("?", |op| op.name);
                    tracing::error!("the handler panicked serving {name} ({opcode}); answered EIO");
                    worker = handler.worker(slot);
                }
                if spare() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::error!("/dev/fuse: {error}");
                return;
            }
        }
    }
}
