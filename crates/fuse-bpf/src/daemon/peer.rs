//! An ordinary FUSE daemon at the other end of a socket pair, which it takes for `/dev/fuse`.
//!
//! Each message is one packet. Threads that ask wait here; one thread reads what the daemon says and hands it out. Whoever is
//! not answered in time gets an error, and what the daemon gives later is given back to it. When the daemon is gone, everybody gets
//! `ENOTCONN` at once.

use std::collections::{BTreeMap, HashMap};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::io::Errno as Os;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair, sockopt,
};
use zerocopy::IntoBytes;

use super::notify::Notifier;
use super::{Answer, Capabilities, Daemon, MAX_WRITE};
use crate::abi::opcode::{DESTROY, FORGET, INIT, INTERRUPT, RELEASE, RELEASEDIR, SETLKW};
use crate::abi::{
    self, KERNEL_MINOR, KERNEL_VERSION, fuse_entry_out, fuse_forget_in, fuse_in_header, fuse_init_in,
    fuse_init_out, fuse_interrupt_in, fuse_open_out, fuse_out_header, fuse_release_in,
};
use crate::errno::Errno;
use crate::ops;
use crate::transport::Request;

/// Room for one message: the largest data, its header and structs.
const MESSAGE: usize = MAX_WRITE as usize + 4096;
/// Most descriptors that come with one message.
const DESCRIPTORS: usize = 2;
/// Oldest minor version of the protocol whose messages have today's layouts.
const OLDEST_MINOR: u32 = 23;
/// Requests that were given up and may still be answered; more are forgotten about.
const MOST_LATE: usize = 1 << 16;

/// Why there is no daemon.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// There is no pair of sockets.
    #[error("cannot make a pair of sockets")]
    Socket(#[source] rustix::io::Errno),
    /// A thread cannot be started.
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
    /// It does not answer INIT.
    #[error(
        "the daemon does not begin to serve: {0}; started by hand, does it serve a mount point of its own?"
    )]
    Init(Errno),
    /// It speaks another version.
    #[error("the daemon speaks FUSE {major}.{minor}; {KERNEL_VERSION}.{OLDEST_MINOR} or later is needed")]
    Version {
        /// Major version.
        major: u32,
        /// Minor version.
        minor: u32,
    },
}

/// A pair of sockets: one end is for [`Peer::connect`], the other one takes the place of `/dev/fuse`.
///
/// # Errors
///
/// [`PeerError::Socket`].
pub fn pair() -> Result<(OwnedFd, OwnedFd), PeerError> {
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    let (ours, theirs) = pair.map_err(PeerError::Socket)?;
    for end in [&ours, &theirs] {
        // A packet has to fit; the system doubles the number for its own needs.
        sockopt::set_socket_send_buffer_size(end, MESSAGE).map_err(PeerError::Socket)?;
    }
    Ok((ours, theirs))
}

/// An ordinary FUSE daemon.
#[derive(Debug)]
pub struct Peer {
    shared: Arc<Shared>,
    capabilities: Capabilities,
    max_write: u32,
    timeout: Duration,
}

#[derive(Debug)]
struct Shared {
    socket: OwnedFd,
    waiting: Mutex<HashMap<u64, Waiting>>,
    /// Lookups to be given back as soon as the daemon takes them: by inode, how many.
    forgets: Mutex<BTreeMap<u64, u64>>,
    next: AtomicU64,
    gone: AtomicBool,
    notifier: OnceLock<Notifier>,
}

/// A request that is not answered yet.
#[derive(Debug)]
struct Waiting {
    /// The kernel's number of the request it is for.
    kernel: u64,
    opcode: u32,
    nodeid: u64,
    /// Who waits; `None` once given up.
    who: Option<SyncSender<Result<Answer, Errno>>>,
}

impl Peer {
    /// Begins to speak with a daemon that has the other end of a [`pair`]. It is given up when an answer takes longer
    /// than `timeout`, for locks that may be waited for excepted.
    ///
    /// # Errors
    ///
    /// When it does not answer INIT, or speaks another language.
    pub fn connect(socket: OwnedFd, timeout: Duration) -> Result<Peer, PeerError> {
        // A daemon that does not read must not hold up whoever writes.
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(timeout))
            .map_err(PeerError::Socket)?;
        let shared = Arc::new(Shared {
            socket,
            waiting: Mutex::default(),
            forgets: Mutex::default(),
            next: AtomicU64::new(2),
            gone: AtomicBool::new(false),
            notifier: OnceLock::new(),
        });
        let reader = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("fuse-bpf-daemon".into())
            .spawn(move || reader.read())
            .map_err(PeerError::Thread)?;
        let mut peer = Peer { shared, capabilities: Capabilities::empty(), max_write: MAX_WRITE, timeout };
        let out = peer.init()?;
        if out.major != KERNEL_VERSION || out.minor < OLDEST_MINOR {
            return Err(PeerError::Version { major: out.major, minor: out.minor });
        }
        let flags = u64::from(out.flags) | u64::from(out.flags2) << 32;
        peer.capabilities = Capabilities::from_bits_truncate(flags);
        peer.max_write = out.max_write.clamp(4096, MAX_WRITE);
        Ok(peer)
    }

    /// The largest write it takes, in bytes.
    pub fn max_write(&self) -> u32 {
        self.max_write
    }

    /// Sends INIT. What is offered are the capabilities that change what is sent, and those without meaning to the
    /// daemon.
    fn init(&self) -> Result<fuse_init_out, PeerError> {
        // ASYNC_READ, POSIX_LOCKS, BIG_WRITES, FLOCK_LOCKS, HAS_IOCTL_DIR, AUTO_INVAL_DATA, ASYNC_DIO, PARALLEL_DIROPS,
        // MAX_PAGES, INIT_EXT.
        const PLAIN: u64 =
            1 | 1 << 1 | 1 << 5 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 15 | 1 << 18 | 1 << 22 | 1 << 30;
        let offered = PLAIN | Capabilities::all().bits();
        let offer = fuse_init_in {
            major: KERNEL_VERSION,
            minor: KERNEL_MINOR,
            max_readahead: MAX_WRITE,
            flags: offered as u32,
            flags2: (offered >> 32) as u32,
            ..Default::default()
        };
        let header = fuse_in_header { opcode: INIT, ..Default::default() };
        let answer = self.ask(&Request { header, body: offer.as_bytes() }, Some(self.timeout));
        let mut body = answer.map_err(PeerError::Init)?.body;
        // Older daemons say less.
        body.resize(body.len().max(size_of::<fuse_init_out>()), 0);
        abi::read(&body).ok_or(PeerError::Init(Errno::EPROTO))
    }

    /// Sends a request and waits for its answer.
    fn ask(&self, request: &Request<'_>, timeout: Option<Duration>) -> Result<Answer, Errno> {
        let shared = &self.shared;
        shared.flush_forgets();
        let unique = shared.next.fetch_add(2, Ordering::Relaxed);
        let (tell, answer) = mpsc::sync_channel(1);
        let fuse_in_header { unique: kernel, opcode, nodeid, .. } = request.header;
        shared.waiting().insert(unique, Waiting { kernel, opcode, nodeid, who: Some(tell) });
        // Looked at after the request is in the table: the reader sets it, then empties the table.
        if shared.gone.load(Ordering::SeqCst) {
            shared.waiting().remove(&unique);
            return Err(Errno::ENOTCONN);
        }
        let header = fuse_in_header { unique, ..request.header };
        if let Err(error) = shared.send(header, request.body, SendFlags::NOSIGNAL) {
            shared.waiting().remove(&unique);
            return Err(error);
        }
        let answer = match timeout {
            None => answer.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(timeout) => answer.recv_timeout(timeout),
        };
        answer.unwrap_or_else(|error| Err(shared.give_up(unique, error)))
    }
}

impl Daemon for Peer {
    fn serve(&self, request: &Request<'_>) -> Result<Answer, Errno> {
        // A lock may be long in coming; the caller can be interrupted.
        let timeout = (request.header.opcode != SETLKW).then_some(self.timeout);
        self.ask(request, timeout)
    }

    fn tell(&self, request: &Request<'_>) {
        match request.header.opcode {
            FORGET => {
                if let Some(forget) = abi::read::<fuse_forget_in>(request.body) {
                    self.shared.forget(request.header.nodeid, forget.nlookup);
                }
            }
            INTERRUPT => {
                if let Some(interrupt) = abi::read::<fuse_interrupt_in>(request.body) {
                    self.shared.interrupt(interrupt.unique);
                }
            }
            _ => {
                // The answer to what the daemon asked, under its number.
                if let Err(error) = self.shared.send(request.header, request.body, SendFlags::NOSIGNAL) {
                    tracing::error!("the daemon does not get what it asked for: {error}");
                }
            }
        }
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn mounted(&self, notifier: Notifier) {
        // Set once: a daemon has one mount.
        let _ = self.shared.notifier.set(notifier);
    }

    fn unmounted(&self) {
        self.shared.flush_forgets();
        if !self.shared.gone.load(Ordering::SeqCst) {
            let header = fuse_in_header { opcode: DESTROY, ..Default::default() };
            // Its answer says nothing; a daemon that is not there any more needs no farewell.
            let _ = self.ask(&Request { header, body: &[] }, Some(self.timeout.min(FAREWELL)));
        }
        self.shared.hang_up();
    }
}

/// How long a daemon may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.hang_up();
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the conversation: the daemon reads its end, and so does our reader.
    fn hang_up(&self) {
        // It may be ended already.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    fn send(&self, header: fuse_in_header, body: &[u8], flags: SendFlags) -> Result<(), Errno> {
        let len = size_of::<fuse_in_header>() + body.len();
        let header = fuse_in_header { len: u32::try_from(len).unwrap_or(u32::MAX), ..header };
        let parts = [IoSlice::new(header.as_bytes()), IoSlice::new(body)];
        loop {
            match sendmsg(&self.socket, &parts, &mut SendAncillaryBuffer::default(), flags) {
                Ok(_) => return Ok(()),
                Err(Os::INTR) => {}
                Err(Os::AGAIN) => return Err(Errno::ETIMEDOUT),
                Err(Os::PIPE | Os::CONNRESET | Os::NOTCONN | Os::CONNREFUSED) => return Err(Errno::ENOTCONN),
                Err(Os::MSGSIZE) => return Err(Errno::E2BIG),
                Err(error) => {
                    tracing::error!("the daemon cannot be written to: {error}");
                    return Err(Errno::EIO);
                }
            }
        }
    }

    /// Nobody waits for an answer any more.
    fn give_up(&self, unique: u64, error: RecvTimeoutError) -> Errno {
        let mut waiting = self.waiting();
        if error == RecvTimeoutError::Disconnected {
            waiting.remove(&unique);
            return Errno::ENOTCONN;
        }
        let late = waiting.len() > MOST_LATE;
        if let Some(request) = waiting.get_mut(&unique) {
            let opcode = request.opcode & abi::verdict::OPCODE_FILTER;
            let name = ops::by_opcode(opcode).map_or("?", |op| op.name);
            tracing::error!("the daemon has not answered {name} ({opcode}) in time; the operation fails");
            request.who = None;
        }
        if late {
            waiting.remove(&unique);
        }
        Errno::ETIMEDOUT
    }

    /// Gives lookups back, now or when the daemon next takes something.
    fn forget(&self, nodeid: u64, nlookup: u64) {
        *self.forgets().entry(nodeid).or_default() += nlookup;
        self.flush_forgets();
    }

    fn forgets(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.forgets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flush_forgets(&self) {
        let mut forgets = self.forgets();
        while let Some((nodeid, nlookup)) = forgets.pop_first() {
            let unique = self.next.fetch_add(2, Ordering::Relaxed);
            let header = fuse_in_header { opcode: FORGET, unique, nodeid, ..Default::default() };
            let body = fuse_forget_in { nlookup };
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            if self.send(header, body.as_bytes(), flags) == Err(Errno::ETIMEDOUT) {
                forgets.insert(nodeid, nlookup);
                return;
            }
        }
    }

    /// The caller of a request does not want to wait.
    fn interrupt(&self, kernel: u64) {
        let uniques: Vec<u64> =
            self.waiting().iter().filter(|(_, w)| w.kernel == kernel).map(|(unique, _)| *unique).collect();
        for unique in uniques {
            let header = fuse_in_header { opcode: INTERRUPT, unique: unique | 1, ..Default::default() };
            let body = fuse_interrupt_in { unique };
            // A daemon that takes nothing now will not be interrupted.
            let _ = self.send(header, body.as_bytes(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        }
    }

    /// Hands out what the daemon says, until it is gone.
    fn read(&self) {
        let mut buffer = vec![0; MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        loop {
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let parts = &mut [IoSliceMut::new(&mut buffer)];
            let received = recvmsg(&self.socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC);
            let mut fds = Vec::new();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    fds.extend(rights);
                }
            }
            match received {
                Ok(received) if received.bytes == 0 => break,
                Ok(received) if received.flags.contains(ReturnFlags::TRUNC) => {
                    tracing::error!("the daemon sent a message longer than {MESSAGE} bytes; dropped");
                }
                Ok(received) => self.hear(buffer.get(..received.bytes).unwrap_or_default(), fds),
                Err(Os::INTR) => {}
                Err(error) => {
                    tracing::debug!("the daemon cannot be read: {error}");
                    break;
                }
            }
        }
        self.gone.store(true, Ordering::SeqCst);
        // Whoever waits is told by losing its other end.
        self.waiting().clear();
        self.forgets().clear();
        tracing::info!("the daemon is gone");
    }

    /// Takes one message.
    fn hear(&self, message: &[u8], fds: Vec<OwnedFd>) {
        let Some(header) = abi::read::<fuse_out_header>(message) else {
            return tracing::error!("the daemon sent {} bytes, less than a header; dropped", message.len());
        };
        let body = message.get(size_of::<fuse_out_header>()..).unwrap_or_default();
        if header.len as usize != message.len() {
            tracing::error!("the daemon sent {} bytes and called them {}", message.len(), header.len);
        }
        if header.unique == 0 {
            if let Some(notifier) = self.notifier.get() {
                notifier.pass_on(header.error, body);
            }
            return;
        }
        let Some(waiting) = self.waiting().remove(&header.unique) else {
            return tracing::error!("the daemon answered request {}, which was not asked", header.unique);
        };
        let answer = if header.len as usize == message.len() {
            answer(header.error, body, fds)
        } else {
            Err(Errno::EIO)
        };
        match waiting.who {
            Some(who) => drop(who.send(answer)),
            None => self.clean_up(&waiting, answer),
        }
    }

    /// Gives back what came too late to be used.
    fn clean_up(&self, request: &Waiting, answer: Result<Answer, Errno>) {
        let (Ok(answer), Some(op)) = (answer, ops::by_opcode(request.opcode)) else { return };
        let mut rest = &answer.body[..];
        let mut found = None;
        for desc in op.output {
            if desc.name == "fuse_entry_out"
                && let Some(entry) = abi::read::<fuse_entry_out>(rest)
            {
                found = Some(entry.nodeid).filter(|nodeid| *nodeid != 0);
            }
            if desc.name == "fuse_open_out"
                && let Some(open) = abi::read::<fuse_open_out>(rest)
            {
                let opcode = if op.name == "OPENDIR" { RELEASEDIR } else { RELEASE };
                self.release(opcode, found.unwrap_or(request.nodeid), open.fh);
            }
            rest = rest.get(desc.size..).unwrap_or_default();
        }
        if let Some(nodeid) = found {
            self.forget(nodeid, 1);
        }
    }

    /// Closes a file nobody will use; the answer is for nobody.
    fn release(&self, opcode: u32, nodeid: u64, fh: u64) {
        let unique = self.next.fetch_add(2, Ordering::Relaxed);
        self.waiting().insert(unique, Waiting { kernel: 0, opcode, nodeid, who: None });
        let header = fuse_in_header { opcode, unique, nodeid, ..Default::default() };
        let body = fuse_release_in { fh, ..Default::default() };
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        if let Err(error) = self.send(header, body.as_bytes(), flags) {
            tracing::error!("a file of the daemon's stays open: {error}");
            self.waiting().remove(&unique);
        }
    }
}

/// What a reply says: a negative errno, or a filter's verdict.
fn answer(error: i32, body: &[u8], fds: Vec<OwnedFd>) -> Result<Answer, Errno> {
    match u32::try_from(error) {
        Ok(verdict @ ..=abi::verdict::CALL_DEFAULT) => Ok(Answer { verdict, body: body.to_vec(), fds }),
        Ok(_) => Err(Errno::EIO),
        Err(_) => Err(Errno::new(error.saturating_neg())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A daemon that answers INIT, then does with each request what it is told.
    fn daemon(
        timeout: Duration,
        mut each: impl FnMut(&OwnedFd, fuse_in_header, &[u8]) + Send + 'static,
    ) -> Peer {
        let (ours, theirs) = pair().unwrap();
        std::thread::spawn(move || {
            let mut buffer = vec![0; MESSAGE];
            loop {
                let len = rustix::io::read(&theirs, &mut buffer).unwrap_or(0);
                let Some(request) = Request::parse(&buffer[..len]) else { return };
                if request.header.opcode == INIT {
                    let out = fuse_init_out { major: 7, minor: 31, max_write: 65536, ..Default::default() };
                    reply(&theirs, request.header.unique, 0, out.as_bytes());
                } else {
                    each(&theirs, request.header, request.body);
                }
            }
        });
        Peer::connect(ours, timeout).unwrap()
    }

    fn reply(to: &OwnedFd, unique: u64, error: i32, body: &[u8]) {
        let len = size_of::<fuse_out_header>() + body.len();
        let header = fuse_out_header { len: len as u32, error, unique };
        rustix::io::write(to, &[header.as_bytes(), body].concat()).unwrap();
    }

    fn lookup(unique: u64) -> Request<'static> {
        let header = fuse_in_header { opcode: 1, unique, nodeid: 1, ..Default::default() };
        Request { header, body: b"name\0" }
    }

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn requests_are_answered_by_number() {
        let peer = daemon(SOON, |to, header, body| match header.unique % 4 {
            0 => reply(to, header.unique, -libc::ENOENT, &[]),
            _ => reply(to, header.unique, 2, body),
        });
        assert_eq!(peer.max_write(), 65536);
        assert_eq!(peer.capabilities(), Capabilities::empty());
        // INIT had number 2.
        assert_eq!(peer.serve(&lookup(77)).unwrap_err(), Errno::ENOENT);
        let answer = peer.serve(&lookup(78)).unwrap();
        assert_eq!((answer.verdict, &answer.body[..]), (2, &b"name\0"[..]));
    }

    #[test]
    fn what_makes_no_sense_is_an_error_of_that_request_only() {
        let peer = daemon(SOON, |to, header, _| {
            rustix::io::write(to, b"short").unwrap();
            reply(to, 99_999, 0, &[]);
            let lies = fuse_out_header { len: 40, error: 0, unique: header.unique };
            rustix::io::write(to, lies.as_bytes()).unwrap();
        });
        assert_eq!(peer.serve(&lookup(1)).unwrap_err(), Errno::EIO);
        assert_eq!(peer.serve(&lookup(2)).unwrap_err(), Errno::EIO);
        assert_eq!(answer(6, &[], Vec::new()).unwrap_err(), Errno::EIO);
        assert_eq!(answer(i32::MIN, &[], Vec::new()).unwrap_err(), Errno::EIO);
    }

    #[test]
    fn a_late_answer_is_given_back() {
        let (heard, hears) = mpsc::channel();
        let mut held = None;
        let peer = daemon(Duration::from_millis(50), move |to, header, body| {
            if header.opcode == FORGET {
                heard.send((header.nodeid, body.to_vec())).unwrap();
            } else if let Some(late) = held.take() {
                let entry = fuse_entry_out { nodeid: 42, ..Default::default() };
                reply(to, late, 0, entry.as_bytes());
                reply(to, header.unique, -libc::ENOENT, &[]);
            } else {
                held = Some(header.unique);
            }
        });
        assert_eq!(peer.serve(&lookup(1)).unwrap_err(), Errno::ETIMEDOUT);
        assert_eq!(peer.serve(&lookup(2)).unwrap_err(), Errno::ENOENT);
        let (nodeid, body) = hears.recv_timeout(SOON).unwrap();
        assert_eq!((nodeid, body), (42, 1u64.to_ne_bytes().to_vec()));
    }

    #[test]
    fn everybody_is_told_when_the_daemon_goes() {
        let (ours, theirs) = pair().unwrap();
        let (asked, was_asked) = mpsc::channel();
        let serving = std::thread::spawn(move || {
            let mut buffer = vec![0; MESSAGE];
            let len = rustix::io::read(&theirs, &mut buffer).unwrap();
            let header = Request::parse(&buffer[..len]).unwrap().header;
            let out = fuse_init_out { major: 7, minor: 38, ..Default::default() };
            reply(&theirs, header.unique, 0, out.as_bytes());
            rustix::io::read(&theirs, &mut buffer).unwrap();
            asked.send(()).unwrap();
        });
        let peer = Peer::connect(ours, SOON).unwrap();
        assert_eq!(peer.serve(&lookup(1)).unwrap_err(), Errno::ENOTCONN);
        was_asked.recv().unwrap();
        serving.join().unwrap();
        assert_eq!(peer.serve(&lookup(2)).unwrap_err(), Errno::ENOTCONN);
    }

    #[test]
    fn a_daemon_that_is_too_old_or_none_is_refused() {
        let (ours, theirs) = pair().unwrap();
        drop(theirs);
        assert!(matches!(Peer::connect(ours, SOON), Err(PeerError::Init(Errno::ENOTCONN))));
        let (ours, theirs) = pair().unwrap();
        std::thread::spawn(move || {
            let mut buffer = vec![0; MESSAGE];
            let len = rustix::io::read(&theirs, &mut buffer).unwrap();
            let header = Request::parse(&buffer[..len]).unwrap().header;
            reply(&theirs, header.unique, 0, &[7u32.to_ne_bytes(), 12u32.to_ne_bytes()].concat());
        });
        let error = Peer::connect(ours, SOON).unwrap_err();
        assert_eq!(error.to_string(), "the daemon speaks FUSE 7.12; 7.23 or later is needed");
    }

    #[test]
    fn an_interrupt_names_the_daemons_own_number() {
        let (heard, hears) = mpsc::channel();
        let mut held = 0;
        let peer = Arc::new(daemon(SOON, move |to, header, body| {
            if header.opcode == INTERRUPT {
                let interrupted: fuse_interrupt_in = abi::read(body).unwrap();
                heard.send(interrupted.unique == held).unwrap();
                reply(to, held, -libc::EINTR, &[]);
            } else {
                held = header.unique;
                heard.send(true).unwrap();
            }
        }));
        let asking = {
            let peer = Arc::clone(&peer);
            std::thread::spawn(move || peer.serve(&lookup(4242)).unwrap_err())
        };
        assert!(hears.recv_timeout(SOON).unwrap());
        let header = fuse_in_header { opcode: INTERRUPT, ..Default::default() };
        peer.tell(&Request { header, body: 4242u64.as_bytes() });
        assert!(hears.recv_timeout(SOON).unwrap());
        assert_eq!(asking.join().unwrap(), Errno::EINTR);
    }
}
