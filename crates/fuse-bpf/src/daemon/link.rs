//! The mount's end of a daemon: requests to it, in its numbers; what it answers, in the kernel's.

use std::ffi::CStr;
use std::sync::{Arc, OnceLock};

use zerocopy::IntoBytes;

use super::notify::Known;
use super::{Answer, Capabilities, Daemon, DaemonFile, Handles, Notifier, absent};
use crate::abi::*;
use crate::backing::{Backing, Entry, Lender, Node};
use crate::call::{Call, Opened};
use crate::errno::Errno;
use crate::filter::entry::{self, Action, Author};
use crate::ops::READDIR_PAGE;
use crate::session::Kernel;
use crate::transport::Request;

/// The mount's end of a daemon.
#[derive(Debug)]
pub struct Link {
    daemon: Arc<dyn Daemon>,
    capabilities: Capabilities,
    pub(super) backing: Arc<Backing>,
    known: Arc<Known>,
    lender: Arc<dyn Lender>,
    handles: Handles,
    kernel: OnceLock<Kernel>,
}

impl std::fmt::Debug for dyn Lender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lender")
    }
}

/// A request on its way to the daemon.
struct Message<'m> {
    header: fuse_in_header,
    input: Vec<u8>,
    strings: &'m [&'m CStr],
    payload: &'m [u8],
}

impl Link {
    /// A daemon beside this backing directory.
    pub fn new(daemon: Arc<dyn Daemon>, backing: Arc<Backing>) -> Link {
        let known = Arc::new(Known::new(Arc::clone(&daemon)));
        Link {
            capabilities: daemon.capabilities(),
            daemon,
            backing,
            lender: Arc::clone(&known) as Arc<dyn Lender>,
            known,
            handles: Handles::default(),
            kernel: OnceLock::new(),
        }
    }

    /// The files the daemon opened.
    pub fn handles(&self) -> &Handles {
        &self.handles
    }

    /// Inodes that go by the daemon's numbers now.
    pub fn inodes(&self) -> usize {
        self.known.len()
    }

    /// The mount is there.
    pub(crate) fn mounted(&self, kernel: Kernel) {
        self.daemon.mounted(Notifier { known: Arc::clone(&self.known), kernel: kernel.clone() });
        // Set once: a link has one mount.
        let _ = self.kernel.set(kernel);
    }

    /// The mount is gone.
    pub(crate) fn unmounted(&self) {
        self.daemon.unmounted();
    }

    /// Asks the daemon, while another thread takes this one's place.
    pub(super) fn serve(&self, header: fuse_in_header, body: &[u8]) -> Result<Answer, Errno> {
        let request = Request { header, body };
        match self.kernel.get() {
            Some(kernel) => kernel.wait_for(|| self.daemon.serve(&request)),
            None => self.daemon.serve(&request),
        }
    }

    /// Passes on what is not answered.
    pub(crate) fn tell(&self, header: fuse_in_header, body: &[u8]) {
        self.daemon.tell(&Request { header, body });
    }

    /// Closes a file that was opened for a call and is used by nobody.
    pub(crate) fn close(&self, call: &Call<'_>, file: &DaemonFile) {
        if !file.is_opened() {
            return;
        }
        let node = call.entry.as_ref().map_or(&call.node, |entry| &entry.node);
        self.release(call, node, file.fh());
    }

    /// Tells the daemon that a file it opened for a call is used by nobody. Its answer changes nothing.
    fn release(&self, call: &Call<'_>, node: &Node, fh: u64) {
        let opcode = if call.op.name == "OPENDIR" { opcode::RELEASEDIR } else { opcode::RELEASE };
        let release = fuse_release_in { fh, ..Default::default() };
        let _ = self.ask_for(call, opcode, node.filter_nodeid(), release.as_bytes());
    }

    /// Asks the daemon for another operation on behalf of a call.
    pub(super) fn ask_for(
        &self,
        call: &Call<'_>,
        opcode: u32,
        nodeid: u64,
        body: &[u8],
    ) -> Result<Answer, Errno> {
        self.serve(on_behalf(call, opcode, nodeid), body)
    }

    /// Does what the kernel would do for a file system without the operation of a call.
    ///
    /// # Errors
    ///
    /// What the operation fails with.
    pub(crate) fn instead(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        absent::instead(self, call)
    }

    /// Notes that an inode goes by a number of the daemon's.
    pub(super) fn lend(&self, node: &Node, nodeid: u64) {
        node.lend(&self.lender, nodeid);
        self.known.note(nodeid, node);
    }

    /// Lets the daemon do the operation of a call, with the arguments as they were sent. Where filters will judge the
    /// results they go to them, in their form.
    ///
    /// # Errors
    ///
    /// What the daemon says; `EIO` for an answer that does not fit; what the kernel would do by itself for an operation
    /// the daemon does not have.
    pub(crate) fn forward(&self, call: &mut Call<'_>, judged: bool) -> Result<(), Errno> {
        call.judged = judged;
        let file = call.daemon_file.clone();
        if file.as_ref().is_some_and(|file| !file.is_opened())
            && matches!(call.op.name, "RELEASE" | "RELEASEDIR")
        {
            return Ok(());
        }
        if call.other.as_ref().is_some_and(|other| call.node.is_lent() && !other.is_lent()) {
            return Err(Errno::EXDEV);
        }
        // Filters see names only, not every daemon has entries to give, and without a number there is none to give them for.
        let plain = !self.capabilities.contains(Capabilities::DO_READDIRPLUS)
            || judged
            || call.node.filter_nodeid() == 0;
        let (opcode, name) = match (call.op.opcode, call.op.name) {
            (_, "READDIRPLUS") if plain => (opcode::READDIR, "READDIR"),
            // Older, and the same but for the count, which is in the half that is left.
            (_, "COPY_FILE_RANGE_64") => (opcode::COPY_FILE_RANGE, "COPY_FILE_RANGE"),
            same => same,
        };
        match self.request(call, opcode) {
            Err(Errno::ENOSYS) => self.instead(call),
            answer => self.fill(call, name, answer?),
        }
    }

    /// Sends the request of a call as operation `opcode`.
    pub(super) fn request(&self, call: &Call<'_>, opcode: u32) -> Result<Answer, Errno> {
        let header = on_behalf(call, opcode, call.node.filter_nodeid());
        let strings = call.request.strings.get(..call.op.strings.len()).unwrap_or_default();
        let payload = call.request.payload;
        let mut message = Message { header, input: call.sent_on().to_vec(), strings, payload };
        let truncate = self.adapt(call, &mut message);
        let answer = self.send(&message)?;
        if truncate {
            self.truncate(call, &answer)?;
        }
        Ok(answer)
    }

    /// Makes of a request what the kernel would have sent to a daemon with these capabilities. Whether an open has yet
    /// to be followed by a truncation.
    fn adapt(&self, call: &Call<'_>, message: &mut Message<'_>) -> bool {
        let lacks = |capability| !self.capabilities.contains(capability);
        let mut truncate = false;
        match call.op.name {
            "OPEN" if lacks(Capabilities::ATOMIC_O_TRUNC) => {
                let flags = word(&message.input, 0);
                truncate = flags & libc::O_TRUNC.cast_unsigned() != 0;
                set_word(&mut message.input, 0, flags & !libc::O_TRUNC.cast_unsigned());
            }
            "SETXATTR" if lacks(Capabilities::SETXATTR_EXT) => message.input.truncate(8),
            _ => {}
        }
        if matches!(call.op.name, "READDIR" | "READDIRPLUS") && call.judged {
            // Filters see one page at a time.
            let size = word(&message.input, 16).min(READDIR_PAGE as u32);
            set_word(&mut message.input, 16, size);
        }
        if lacks(Capabilities::DONT_MASK)
            && let Some((mode, umask)) = mode_and_umask(call.op.name)
        {
            let masked = word(&message.input, mode) & !word(&message.input, umask);
            set_word(&mut message.input, mode, masked);
        }
        if lacks(Capabilities::HANDLE_KILLPRIV_V2)
            && let Some((at, bit)) = kill_bit(call.op.name)
        {
            let flags = word(&message.input, at) & !bit;
            set_word(&mut message.input, at, flags);
        }
        truncate
    }

    fn send(&self, message: &Message<'_>) -> Result<Answer, Errno> {
        let mut body = Vec::with_capacity(message.input.len() + message.payload.len() + 512);
        body.extend(&message.input);
        for string in message.strings {
            body.extend(string.to_bytes_with_nul());
        }
        body.extend(message.payload);
        self.serve(message.header, &body)
    }

    /// Truncates a file that was opened so, for a daemon that does not do it itself; closes it if that fails.
    fn truncate(&self, call: &Call<'_>, answer: &Answer) -> Result<(), Errno> {
        let fh = read::<fuse_open_out>(&answer.body).ok_or(Errno::EIO)?.fh;
        let set = fuse_setattr_in { valid: flags::fattr::SIZE | flags::fattr::FH, fh, ..Default::default() };
        let nodeid = call.node.filter_nodeid();
        let done = self.ask_for(call, opcode::SETATTR, nodeid, set.as_bytes()).map(drop);
        // The open fails as the truncation did.
        done.inspect_err(|_| self.release(call, &call.node, fh))
    }

    /// Puts what the daemon answered to operation `name` where the operation's own results go: to filters where there are
    /// any, else into the reply.
    pub(super) fn fill(&self, call: &mut Call<'_>, name: &str, answer: Answer) -> Result<(), Errno> {
        let mut rest = &answer.body[..];
        for (index, desc) in call.op.output.iter().enumerate() {
            let (bytes, after) = rest.split_at_checked(desc.size).ok_or(Errno::EIO)?;
            rest = after;
            let filtered = call.op.filter.is_some();
            match desc.name {
                "fuse_entry_out" => {
                    let out = read(bytes).ok_or(Errno::EIO)?;
                    if self.found(call, &out, rest, &answer)? {
                        return Ok(());
                    }
                    // Entry blocks were taken with it.
                    rest = if call.op.output.len() == 1 { &[] } else { rest };
                }
                "fuse_open_out" => {
                    let out: fuse_open_out = read(bytes).ok_or(Errno::EIO)?;
                    let open_flags = out.open_flags & !flags::fopen::PASSTHROUGH;
                    call.opened = Some(Opened::Daemon(Arc::new(DaemonFile::new(out.fh, open_flags))));
                    call.set_out(index, &fuse_open_out { fh: out.fh, ..Default::default() });
                }
                "fuse_attr_out" => {
                    let mut out: fuse_attr_out = read(bytes).ok_or(Errno::EIO)?;
                    out.attr.ino = self.backing.lent_ino(out.attr.ino);
                    call.set_out(index, &out);
                }
                "fuse_statx_out" => {
                    let mut out: fuse_statx_out = read(bytes).ok_or(Errno::EIO)?;
                    out.stat.ino = self.backing.lent_ino(out.stat.ino);
                    call.reply(&out);
                }
                "fuse_write_out" if call.op.name == "WRITE" => {
                    let out: fuse_write_out = read(bytes).ok_or(Errno::EIO)?;
                    call.set_out(index, &fuse_write_iter_out { ret: out.size.into() });
                }
                _ if filtered => call.set_out_bytes(index, 0, bytes),
                _ => call.reply_bytes(bytes),
            }
        }
        match call.op.data {
            None if !rest.is_empty() => Err(Errno::EIO),
            None => Ok(()),
            Some(_) => self.fill_data(call, name, rest),
        }
    }

    /// Puts the variable part of an answer where it goes.
    fn fill_data(&self, call: &mut Call<'_>, name: &str, bytes: &[u8]) -> Result<(), Errno> {
        match call.op.name {
            "READDIR" | "READDIRPLUS" if call.judged => self.fill_page(call, bytes),
            "READDIR" | "READDIRPLUS" => self.fill_records(call, name == "READDIRPLUS", bytes),
            "GETXATTR" | "LISTXATTR" if call.sent::<fuse_getxattr_in>().size == 0 => {
                let out: fuse_getxattr_out = read(bytes).ok_or(Errno::EIO)?;
                call.set_out(0, &out);
                Ok(())
            }
            "GETXATTR" | "LISTXATTR" => {
                let buffer = call.out_buffer()?;
                if buffer.fill(bytes) < bytes.len() { Err(Errno::EIO) } else { Ok(()) }
            }
            _ => {
                let asked = if call.op.name == "READ" {
                    call.sent::<fuse_read_in>().size as usize
                } else {
                    usize::MAX
                };
                let to =
                    call.data.get_mut(..bytes.len()).filter(|_| bytes.len() <= asked).ok_or(Errno::EIO)?;
                to.copy_from_slice(bytes);
                call.data_len = bytes.len();
                if call.op.filter.is_some() { call.show_data(bytes.len()) } else { Ok(()) }
            }
        }
    }

    /// Turns records as the kernel gets them, with the position after each, into a page as filters see it.
    fn fill_page(&self, call: &mut Call<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
        let mut at = call.position.unwrap_or(call.sent::<fuse_read_in>().offset);
        let mut page = Vec::with_capacity(bytes.len());
        while let Some((record, len)) = record(bytes) {
            let own = fuse_dirent { off: at, ino: self.backing.lent_ino(record.ino), ..record };
            page.extend(own.as_bytes());
            page.extend(bytes.get(size_of::<fuse_dirent>()..len).unwrap_or_default());
            page.resize(page.len().next_multiple_of(8), 0);
            at = record.off;
            bytes = bytes.get(len..).unwrap_or_default();
        }
        if call.out_buffer()?.fill(&page) < page.len() {
            return Err(Errno::EIO);
        }
        call.set_out(0, &fuse_read_out { offset: at, again: 0, padding: 0 });
        Ok(())
    }

    /// Puts records into the reply, with entries in front of them if the kernel asked for these.
    fn fill_records(&self, call: &mut Call<'_>, with_entries: bool, mut bytes: &[u8]) -> Result<(), Errno> {
        let plus = call.op.name == "READDIRPLUS";
        let head = size_of::<fuse_entry_out>();
        let room = (call.sent::<fuse_read_in>().size as usize).min(call.data.len());
        loop {
            let entry = if with_entries { bytes.split_at_checked(head) } else { Some((&[][..], bytes)) };
            let Some((entry, records)) = entry else { break };
            let Some((record, len)) = record(records) else { break };
            let name = &records[size_of::<fuse_dirent>()..size_of::<fuse_dirent>() + record.namelen as usize];
            let size = if plus { head } else { 0 } + len;
            if call.data_len + size > room {
                break;
            }
            if plus {
                let out = self.entry_of_record(call, entry, name)?;
                call.data[call.data_len..call.data_len + head].copy_from_slice(out.as_bytes());
                call.data_len += head;
            }
            let own = fuse_dirent { ino: self.backing.lent_ino(record.ino), ..record };
            let to = &mut call.data[call.data_len..call.data_len + len];
            to.copy_from_slice(records.get(..len).ok_or(Errno::EIO)?);
            to[..size_of::<fuse_dirent>()].copy_from_slice(own.as_bytes());
            call.data_len += len;
            bytes = &records[len..];
        }
        call.answered = true;
        Ok(())
    }

    /// The entry in front of a record, in the kernel's numbers.
    fn entry_of_record(
        &self,
        call: &mut Call<'_>,
        entry: &[u8],
        name: &[u8],
    ) -> Result<fuse_entry_out, Errno> {
        let Some(out) = read::<fuse_entry_out>(entry).filter(|out| out.nodeid != 0) else {
            return Ok(fuse_entry_out::default());
        };
        if matches!(name, b"." | b"..") {
            return Ok(fuse_entry_out::default());
        }
        let name = std::ffi::CString::new(name).map_err(|_| Errno::EIO)?;
        // What was given a backing object keeps it.
        let known = self.known.id(out.nodeid).and_then(|id| self.backing.node(id).ok());
        let found = match known.filter(|node| !node.is_lent()) {
            Some(node) => {
                let entry = self.backing.adopt_again(&call.node, &name, &node)?;
                self.lend(&entry.node, out.nodeid);
                entry
            }
            None => self.entry(call, &name, &out)?,
        };
        if call.chain.asks(Some(&crate::ops::LOOKUP)) {
            // A filter of lookups has to be asked of each name; what was found is given back.
            return Ok(fuse_entry_out::default());
        }
        let shown = fuse_entry_out { nodeid: found.node.nodeid(), generation: 0, attr: found.attr, ..out };
        call.entries.push(found);
        Ok(shown)
    }

    fn entry(&self, call: &Call<'_>, name: &CStr, out: &fuse_entry_out) -> Result<Entry, Errno> {
        let entry = self.backing.lent_entry(&call.node, name, &self.lender, out)?;
        self.known.note(out.nodeid, &entry.node);
        Ok(entry)
    }

    /// Takes an entry the daemon found or made, with the blocks behind it. Whether the reply is complete: the name does not
    /// exist, and the kernel may remember that.
    fn found(
        &self,
        call: &mut Call<'_>,
        out: &fuse_entry_out,
        blocks: &[u8],
        answer: &Answer,
    ) -> Result<bool, Errno> {
        let lookup = call.op.name == "LOOKUP";
        let name = call.string(0)?;
        let actions = match lookup {
            true => entry::parse(blocks, Author::Daemon)?,
            false => entry::Actions::default(),
        };
        if lookup && !blocks.is_empty() {
            // Blocks without a backing object make no sense where nothing is below.
            if actions.backing != Action::Set(()) {
                return Err(Errno::EINVAL);
            }
            let fd = answer.fds.first().ok_or(Errno::EBADF)?;
            let mut entry = self.backing.adopt(&call.node, name, fd)?;
            entry.valid = Some(crate::backing::Valid::of(out));
            if out.nodeid != 0 {
                self.lend(&entry.node, out.nodeid);
            }
            call.entry_sets = actions.bpf;
            call.entry = Some(entry);
            return Ok(false);
        }
        if lookup && out.nodeid == 0 {
            if call.judged {
                return Err(Errno::ENOENT);
            }
            let mut shown = *out;
            if call.chain.asks(call.op.filter) {
                // The next one that looks must ask the filter again.
                (shown.entry_valid, shown.entry_valid_nsec) = (0, 0);
            }
            call.reply(&shown);
            call.answered = true;
            return Ok(true);
        }
        let entry = self.entry(call, name, out)?;
        call.set_out(0, &fuse_entry_out { attr: entry.attr, ..Default::default() });
        call.entry = Some(entry);
        Ok(false)
    }
}

/// The header of a request to the daemon on behalf of a call.
fn on_behalf(call: &Call<'_>, opcode: u32, nodeid: u64) -> fuse_in_header {
    fuse_in_header { opcode, nodeid, total_extlen: 0, ..call.header }
}

/// The first record of a page, and its length with its name and padding. `None` when the page ends in it.
fn record(bytes: &[u8]) -> Option<(fuse_dirent, usize)> {
    let record: fuse_dirent = read(bytes)?;
    let namelen = record.namelen as usize;
    let len = dirent_size(namelen);
    (namelen > 0 && namelen <= 1024 && len <= bytes.len()).then_some((record, len))
}

/// Where in an operation's struct the mode and the umask are.
fn mode_and_umask(op: &str) -> Option<(usize, usize)> {
    match op {
        "MKNOD" => Some((0, 8)),
        "MKDIR" => Some((0, 4)),
        "CREATE" | "TMPFILE" => Some((4, 8)),
        _ => None,
    }
}

/// Where in an operation's struct a daemon is told to clear setuid and setgid, and the bit that says so.
fn kill_bit(op: &str) -> Option<(usize, u32)> {
    match op {
        "OPEN" => Some((4, flags::OPEN_KILL_SUIDGID)),
        "CREATE" => Some((12, flags::OPEN_KILL_SUIDGID)),
        "WRITE" => Some((20, flags::WRITE_KILL_SUIDGID)),
        "SETATTR" => Some((0, flags::fattr::KILL_SUIDGID)),
        _ => None,
    }
}

fn set_word(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(to) = bytes.get_mut(at..at + 4) {
        to.copy_from_slice(&value.to_ne_bytes());
    }
}
