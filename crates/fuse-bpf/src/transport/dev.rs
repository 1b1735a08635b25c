//! `/dev/fuse`: messages in, replies out.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno as Os;
use zerocopy::IntoBytes;

use super::ioctl;
use crate::abi::{self, fuse_in_header, fuse_out_header};
use crate::errno::Errno;

/// Room beside the largest write in a message: its header and its struct, a page to be sure.
pub(super) const HEADROOM: usize = 4096;

/// A queue of a FUSE connection.
#[derive(Debug, Clone)]
pub struct Channel {
    fd: Arc<OwnedFd>,
}

/// A buffer for one message, aligned for the structs in it.
#[derive(Debug)]
pub struct Buffer {
    words: Box<[u64]>,
}

impl Buffer {
    /// A buffer for messages with up to `max_write` bytes of data.
    pub fn new(max_write: usize) -> Buffer {
        Buffer { words: vec![0; (max_write + HEADROOM).div_ceil(8)].into_boxed_slice() }
    }
}

/// A message from the kernel.
#[derive(Debug, Clone, Copy)]
pub struct Request<'b> {
    /// Its header.
    pub header: fuse_in_header,
    /// What follows.
    pub body: &'b [u8],
}

impl<'b> Request<'b> {
    /// Takes a message apart. `None` when it is shorter than it says, or than a header.
    pub fn parse(message: &'b [u8]) -> Option<Request<'b>> {
        let header: fuse_in_header = abi::read(message)?;
        let body = message.get(size_of::<fuse_in_header>()..usize::try_from(header.len).ok()?)?;
        Some(Request { header, body })
    }
}

impl Channel {
    /// Opens `/dev/fuse`, not yet connected to a mount.
    pub(super) fn open() -> rustix::io::Result<Channel> {
        let fd = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Channel { fd: Arc::new(fd) })
    }

    /// A channel over a connected descriptor.
    pub(super) fn from_fd(fd: OwnedFd) -> Channel {
        Channel { fd: Arc::new(fd) }
    }

    /// Another queue of the same connection, so that threads do not wait for each other.
    ///
    /// # Errors
    ///
    /// Those of open(2) and ioctl(2).
    pub fn clone_queue(&self) -> rustix::io::Result<Channel> {
        let fresh = Channel::open()?;
        ioctl::clone_connection(fresh.fd.as_fd(), &*self.fd)?;
        Ok(fresh)
    }

    /// Waits for a message. `None` when the connection has ended. A malformed one is dropped, which the
    /// kernel never sends.
    ///
    /// # Errors
    ///
    /// Those of read(2) that mean neither "again" nor "ended".
    pub fn receive<'b>(&self, buffer: &'b mut Buffer) -> rustix::io::Result<Option<Request<'b>>> {
        loop {
            match rustix::io::read(&*self.fd, buffer.words.as_mut_bytes()) {
                Ok(len) => {
                    let message = buffer.words.as_bytes().get(..len).unwrap_or_default();
                    if Request::parse(message).is_none() {
                        tracing::error!("dropped a malformed message of {len} bytes");
                        continue;
                    }
                    // Parsed again only because a borrow cannot leave the loop it was made in.
                    return Ok(Request::parse(buffer.words.as_bytes().get(..len).unwrap_or_default()));
                }
                // ENOENT: the request was interrupted before it was read.
                Err(Os::INTR | Os::AGAIN | Os::NOENT) => {}
                Err(Os::NODEV | Os::CONNABORTED) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells the kernel something it did not ask for; `code` is one of `FUSE_NOTIFY_*`.
    ///
    /// # Errors
    ///
    /// `ENOENT` when the kernel does not know the inode or name, which is nothing to worry about.
    pub fn notify(&self, code: i32, parts: &[&[u8]]) -> rustix::io::Result<()> {
        let size = size_of::<fuse_out_header>() + parts.iter().map(|part| part.len()).sum::<usize>();
        let header = fuse_out_header { len: u32::try_from(size).unwrap_or(0), error: code, unique: 0 };
        let header = IoSlice::new(header.as_bytes());
        let parts: Vec<IoSlice<'_>> =
            std::iter::once(header).chain(parts.iter().map(|part| IoSlice::new(part))).collect();
        rustix::io::retry_on_intr(|| rustix::io::writev(&*self.fd, &parts)).map(drop)
    }

    /// The reply to a request read from this channel.
    pub fn reply(&self, header: &fuse_in_header) -> Reply {
        Reply { channel: self.clone(), unique: header.unique, opcode: header.opcode, open: true }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What became of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "what the kernel was not told of must be undone"]
pub enum Delivery {
    /// The kernel has it.
    Delivered,
    /// Nobody waits for it any more: the kernel has not seen what it says.
    Gone,
}

/// The reply to one request: sent once, from any thread. Dropped unsent it answers `EIO`, so that no caller
/// hangs.
#[derive(Debug)]
#[must_use = "dropping a reply answers EIO"]
pub struct Reply {
    channel: Channel,
    unique: u64,
    opcode: u32,
    open: bool,
}

impl Reply {
    /// Answers with success and this body.
    pub fn ok(mut self, head: &[u8], data: &[u8]) -> Delivery {
        self.send(0, head, data)
    }

    /// Answers with an error.
    pub fn error(mut self, errno: Errno) {
        // An error tells the kernel of nothing that would have to be undone.
        let _ = self.send(-errno.raw(), &[], &[]);
    }

    /// The request takes no answer.
    pub fn none(mut self) {
        self.open = false;
    }

    fn send(&mut self, error: i32, head: &[u8], data: &[u8]) -> Delivery {
        self.open = false;
        let size = size_of::<fuse_out_header>() + head.len() + data.len();
        let header = fuse_out_header { len: u32::try_from(size).unwrap_or(0), error, unique: self.unique };
        let parts = [IoSlice::new(header.as_bytes()), IoSlice::new(head), IoSlice::new(data)];
        loop {
            match rustix::io::writev(&*self.channel.fd, &parts) {
                Ok(_) => return Delivery::Delivered,
                Err(Os::INTR) => {}
                Err(Os::NOENT | Os::NODEV | Os::CONNABORTED | Os::PERM) => return Delivery::Gone,
                Err(os) => {
                    tracing::error!("reply to opcode {} ({size} bytes) refused: {os}", self.opcode);
                    // The caller must not hang on a reply the kernel finds malformed.
                    if error == 0 {
                        let _ = self.send(-libc::EIO, &[], &[]);
                    }
                    return Delivery::Gone;
                }
            }
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.open {
            tracing::error!("opcode {} was left without an answer", self.opcode);
            let _ = self.send(-libc::EIO, &[], &[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_must_hold_what_they_say() {
        let header = fuse_in_header { len: 44, opcode: 1, unique: 9, ..Default::default() };
        let mut message = header.as_bytes().to_vec();
        assert!(Request::parse(&message).is_none(), "body missing");
        message.extend(b"abc\0tail");
        let request = Request::parse(&message).unwrap();
        assert_eq!(request.header.unique, 9);
        assert_eq!(request.body, b"abc\0");
        assert!(Request::parse(&message[..39]).is_none(), "header cut");
        let lies = fuse_in_header { len: 39, ..header };
        assert!(Request::parse(lies.as_bytes()).is_none(), "shorter than its header");
    }

    #[test]
    fn a_reply_dropped_unsent_answers_eio() {
        let (ours, theirs) = rustix::pipe::pipe().unwrap();
        let channel = Channel::from_fd(theirs);
        drop(channel.reply(&fuse_in_header { unique: 5, ..Default::default() }));
        let mut answer = [0; 64];
        assert_eq!(rustix::io::read(&ours, &mut answer).unwrap(), 16);
        let header: fuse_out_header = abi::read(&answer).unwrap();
        assert_eq!(header, fuse_out_header { len: 16, error: -libc::EIO, unique: 5 });
    }

    #[test]
    fn a_reply_is_one_message() {
        let (ours, theirs) = rustix::pipe::pipe().unwrap();
        let channel = Channel::from_fd(theirs);
        assert_eq!(
            channel.reply(&fuse_in_header { unique: 6, ..Default::default() }).ok(b"ab", b"cde"),
            Delivery::Delivered
        );
        let mut answer = [0; 64];
        assert_eq!(rustix::io::read(&ours, &mut answer).unwrap(), 21);
        assert_eq!(&answer[16..21], b"abcde");
    }
}
