//! One operation in progress: its arguments as filters may edit them, its results as filters may edit
//! them, and the reply that is built from both.
//!
//! The kernel's own numbers (nodeids, file handles) stay in [`Call::request`]; filters see theirs in the
//! copies made here. What happens to them between the filters is in `filtered`. Everything lives in an arena that is emptied between requests, so a call allocates
//! nothing from the heap.

mod filtered;
mod host;
mod inspect;

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::Arc;

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use zerocopy::IntoBytes;

use crate::abi::{Wire, bpf_fuse_meta_info, fuse_getxattr_in, fuse_in_header};
use crate::backing::{Backing, Entry, File, Node};
use crate::daemon::{DaemonFile, Handles};
use crate::errno::Errno;
use crate::filter::buffer::{FuseBuffer, cells};
use crate::filter::entry::Action;
use crate::filter::machines::Lease;
use crate::filter::trace::Trace;
use crate::filter::{Chain, FilterSet, Stage, family, flow};
use crate::ops::{Filter, InBuffer, Limit, Op, OutArg, Source};
use crate::request::Decoded;
use crate::transport::Reply;

use filtered::Filtered;
pub use inspect::{Argument, Inspection, Step};

/// Most bytes of structs in a reply (`fuse_statx_out`).
const HEAD: usize = 288;
/// Most structs among the results a filter sees.
const OUTS: usize = 2;

/// Most arguments of a program.
const MOST_ARGS: usize = 8;
/// The number of a buffer the call does not have.
const ABSENT: u32 = 0xff;

/// Instructions one filter may execute in one call.
pub const BUDGET: u64 = 1_000_000;

/// What a call opened.
#[derive(Debug, Clone)]
pub enum Opened {
    /// A file below.
    Backed(Arc<File>),
    /// A file of the daemon's.
    Daemon(Arc<DaemonFile>),
}

/// Who does the operation proper of a call, and who else is asked about it.
pub trait Executor<'r> {
    /// Does the operation on the backing directory.
    ///
    /// # Errors
    ///
    /// What the operation fails with.
    fn backing(&mut self, call: &mut Call<'r>) -> Result<(), Errno>;

    /// Lets the daemon do it; `judged` when filters will look at the results.
    ///
    /// # Errors
    ///
    /// What the daemon says; `ENOTCONN` without one.
    fn daemon(&mut self, _call: &mut Call<'r>, _judged: bool) -> Result<(), Errno> {
        Err(Errno::ENOTCONN)
    }

    /// Asks the daemon as a filter; its value counts as a program's would.
    ///
    /// # Errors
    ///
    /// What the daemon says; `ENOTCONN` without one.
    fn daemon_filter(&mut self, _call: &mut Call<'r>, _stage: Stage) -> Result<u32, Errno> {
        Err(Errno::ENOTCONN)
    }

    /// The program set of this name, beside those of the object of the set that asks.
    fn set_named(&self, _name: &str) -> Option<FilterSet> {
        None
    }
}

impl<'r, F: FnMut(&mut Call<'r>) -> Result<(), Errno>> Executor<'r> for F {
    fn backing(&mut self, call: &mut Call<'r>) -> Result<(), Errno> {
        self(call)
    }
}

/// Takes over the reply of a call that cannot be answered yet.
pub type Later = Box<dyn FnOnce(Reply) + Send>;

/// One operation in progress.
pub struct Call<'r> {
    /// The request's header.
    pub header: fuse_in_header,
    /// Its row of the table.
    pub op: &'static Op,
    /// The request as the kernel sent it.
    pub request: Decoded<'r>,
    /// The inode the operation is on (the directory, for names).
    pub node: Arc<Node>,
    /// The open file it is on, if it names one that was opened below.
    pub file: Option<Arc<File>>,
    /// The open file it is on, if it names one that the daemon opened.
    pub daemon_file: Option<Arc<DaemonFile>>,
    /// The second inode (rename's new directory, link's file), if it names one.
    pub other: Option<Arc<Node>>,
    /// The program sets that filter it.
    pub chain: Arc<Chain>,
    /// What was found or made, until the kernel has been told.
    pub entry: Option<Entry>,
    /// The entries of directory records, until the kernel has been told.
    pub entries: Vec<Entry>,
    /// The program sets of what was found or made, when a postfilter changed them.
    pub entry_chain: Option<Vec<FilterSet>>,
    /// What the daemon wants of the program sets of what it put into the tree.
    pub entry_sets: Action<String>,
    /// Whether a postfilter took the backing object from what was found.
    pub entry_removed: bool,
    /// Whether the daemon has just given what was looked for a backing object.
    pub entry_given: bool,
    /// Whether filters will look at what the daemon answers.
    pub judged: bool,
    /// Whether the reply is complete as the daemon gave it.
    pub answered: bool,
    /// What was opened, until the kernel has been told.
    pub opened: Option<Opened>,
    /// The handle under which it was registered.
    pub fh: Option<u64>,
    /// Where in a directory the next page starts, once it is not where the request says.
    pub position: Option<u64>,
    /// Whether the whole call is to be run again: readdir's `again`.
    pub again: bool,
    /// What answers the request later, from another thread, instead of a reply now.
    pub later: Option<Later>,
    /// Where the variable part of the reply goes.
    pub data: &'r mut [u8],
    /// How much of `data` is filled.
    pub data_len: usize,
    /// How filters are treated.
    compat: Compat,
    /// What a postfilter wants the operation to end with.
    error_out: Option<Result<(), Errno>>,
    /// The programs that ran, for those who want to know.
    steps: Option<Vec<Step>>,
    head: [u8; HEAD],
    head_len: usize,
    meta: &'r [Cell<u8>],
    input: &'r [Cell<u8>],
    /// The request's struct with the numbers the daemon knows, before any filter.
    sent_on: &'r [u8],
    /// With what lies before it in the struct of its family.
    inputs: &'r [Cell<u8>],
    buffers: ArenaVec<'r, FuseBuffer<'r>>,
    outs: [&'r [Cell<u8>]; OUTS],
    /// All of them, with what lies before them in the struct of their family.
    results: &'r [Cell<u8>],
    arena: &'r Bump,
}

/// Whether filters can do what the series does not let them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compat {
    /// They can: all they change counts, and there is more to be changed.
    #[default]
    None,
    /// What filters change counts where it does in v4 of the series ([`crate::ops::Series`]), errors are told where it tells them,
    /// what is beyond it is not there, and a daemon's prefilter has no verdict.
    V4,
}

/// Where the inodes and open files are that requests name, and how filters are treated.
#[derive(Debug, Clone, Copy)]
pub struct Tables<'t> {
    /// Those below.
    pub backing: &'t Backing,
    /// Those of the daemon.
    pub handles: &'t Handles,
    /// How filters are treated.
    pub compat: Compat,
}

impl<'r> Call<'r> {
    /// Prepares a call on `node`.
    ///
    /// # Errors
    ///
    /// `EBADF` or `ESTALE` when the request names an unknown file handle or inode.
    pub fn new(
        header: fuse_in_header,
        request: Decoded<'r>,
        tables: Tables<'_>,
        data: &'r mut [u8],
        arena: &'r Bump,
        chain_of: impl Fn(&Node) -> Arc<Chain>,
    ) -> Result<Call<'r>, Errno> {
        let node = tables.backing.node(header.nodeid)?;
        let chain = chain_of(&node);
        let mut call = Call::bare(header, request, node, chain, data, arena);
        call.compat = tables.compat;
        call.resolve(tables, chain_of)?;
        call.sent_on = call.arena.alloc_slice_fill_iter(call.input.iter().map(Cell::get));
        let (nodeid, opcode) = (call.node.filter_nodeid(), call.opcode());
        // The series does not say on which directory a link is made.
        let nodeid = if call.op.name == "LINK" { 0 } else { nodeid };
        call.prepare_arguments(nodeid, opcode);
        Ok(call)
    }

    /// Prepares a call that no kernel sent: handles and nodeids are what filters see, and every program that
    /// runs is noted.
    pub fn imagine(
        header: fuse_in_header,
        request: Decoded<'r>,
        node: Arc<Node>,
        chain: Arc<Chain>,
        data: &'r mut [u8],
        arena: &'r Bump,
    ) -> Call<'r> {
        let mut call = Call::bare(header, request, node, chain, data, arena);
        call.steps = Some(Vec::new());
        let opcode = call.opcode();
        call.prepare_arguments(header.nodeid, opcode);
        call
    }

    fn bare(
        header: fuse_in_header,
        request: Decoded<'r>,
        node: Arc<Node>,
        chain: Arc<Chain>,
        data: &'r mut [u8],
        arena: &'r Bump,
    ) -> Call<'r> {
        let at = request.op.filter.map_or(0, |filter| family::offsets(filter).0);
        let inputs = cells(arena, at + request.input.len());
        let input = inputs.get(at..).unwrap_or_default();
        store(input, request.input);
        Call {
            header,
            op: request.op,
            request,
            chain,
            node,
            file: None,
            daemon_file: None,
            other: None,
            entry: None,
            entries: Vec::new(),
            entry_chain: None,
            entry_sets: Action::Keep,
            entry_removed: false,
            entry_given: false,
            judged: false,
            answered: false,
            opened: None,
            fh: None,
            position: None,
            again: false,
            later: None,
            data,
            data_len: 0,
            compat: Compat::None,
            error_out: None,
            steps: None,
            head: [0; HEAD],
            head_len: 0,
            meta: cells(arena, bpf_fuse_meta_info::DESC.size),
            input,
            sent_on: &[],
            inputs,
            buffers: ArenaVec::with_capacity_in(3, arena),
            outs: [&[]; OUTS],
            results: &[],
            arena,
        }
    }

    /// The opcode filters see: that of the member pair, save for a file without a name.
    fn opcode(&self) -> u32 {
        match self.op.filter {
            Some(filter) if self.op.name != "TMPFILE" => filter.opcode,
            _ => self.op.opcode,
        }
    }

    /// Finds the file handle and the second inode a request names, and puts what filters see of them into
    /// the filtered copy.
    fn resolve(&mut self, tables: Tables<'_>, chain_of: impl Fn(&Node) -> Arc<Chain>) -> Result<(), Errno> {
        let Tables { backing, handles, .. } = tables;
        let Some(desc) = self.op.input else { return Ok(()) };
        for field in desc.fields {
            let Some(raw) = self.request.input.get(field.offset..field.offset + 8) else { continue };
            let raw = u64::from_ne_bytes(raw.try_into().unwrap_or_default());
            let seen = match field.name {
                "fh" | "fh_in" if self.has_handle() && Handles::has(raw) => {
                    let file = match self.op.name {
                        "RELEASE" | "RELEASEDIR" => handles.release(raw),
                        _ => handles.file(raw),
                    };
                    self.daemon_file.insert(file.ok_or(Errno::EBADF)?).fh()
                }
                "fh" | "fh_in" if self.has_handle() => {
                    let file = match self.op.name {
                        "RELEASE" | "RELEASEDIR" => backing.release(raw).ok_or(Errno::EBADF)?,
                        _ => backing.file(raw)?,
                    };
                    let seen = file.filter_fh();
                    self.file = Some(file);
                    seen
                }
                "fh_out" if Handles::has(raw) => handles.file(raw).ok_or(Errno::EBADF)?.fh(),
                "fh_out" => backing.file(raw)?.filter_fh(),
                "fh" => u64::MAX,
                "newdir" | "oldnodeid" | "nodeid_out" => {
                    let node = backing.node(raw)?;
                    let seen = node.filter_nodeid();
                    self.other = Some(node);
                    seen
                }
                _ => continue,
            };
            if let Some(to) = self.input.get(field.offset..) {
                store(to, &seen.to_ne_bytes());
            }
        }
        // The series asks the file's set when it is linked, not the directory's.
        if let (Some(file), "LINK") = (&self.other, self.op.name) {
            self.chain = chain_of(file);
        }
        Ok(())
    }

    /// Whether the `fh` field of the request means anything: getattr and setattr say so in a flag.
    fn has_handle(&self) -> bool {
        use crate::abi::flags;
        match self.op.name {
            "GETATTR" | "STATX" => self.word(0) & flags::GETATTR_FH != 0,
            "SETATTR" => self.word(0) & flags::fattr::FH != 0,
            _ => true,
        }
    }

    /// The first 32 bits of the request's struct are often its flags.
    fn word(&self, offset: usize) -> u32 {
        crate::abi::word(self.request.input, offset)
    }

    fn prepare_arguments(&mut self, nodeid: u64, opcode: u32) {
        self.set_meta(|meta| *meta = bpf_fuse_meta_info { nodeid, opcode, ..Default::default() });
        let Some(filter) = self.op.filter else { return };
        let arena = self.arena;
        for buffer in filter.buffers {
            let lent = self.lent(buffer);
            self.buffers.push(lent);
        }
        // One behind the other, as families are given them.
        let (_, mut end) = family::offsets(filter);
        self.results = cells(arena, end + filter.out_structs().map(|desc| desc.size).sum::<usize>());
        let mut structs = 0;
        for out in filter.outs {
            match out {
                OutArg::Struct { desc, .. } => {
                    self.outs[structs] = self.results.get(end..end + desc.size).unwrap_or_default();
                    structs += 1;
                    end += desc.size;
                }
                OutArg::Buffer { max, extension, .. } => {
                    let max = match *max {
                        // Data nobody looks at stays where it was read.
                        Limit::Asked(_) | Limit::Bytes(_) if *extension && !self.chain.sees_data(filter) => 0,
                        Limit::Bytes(max) => max,
                        Limit::Asked(offset) => (self.word(offset) as usize).min(self.data.len()),
                    };
                    let given = !*extension || self.compat == Compat::None;
                    self.buffers.push(FuseBuffer::room(if given { max } else { 0 }, arena));
                }
            }
        }
    }

    /// A buffer of the request.
    fn lent(&self, buffer: &InBuffer) -> FuseBuffer<'r> {
        let bytes: &'r [u8] = match buffer.from {
            _ if buffer.extension && self.compat != Compat::None => &[],
            Source::String(i) => self.request.strings.get(i).map_or(b"\0", |s| s.to_bytes_with_nul()),
            Source::Payload => self.request.payload,
            Source::NodeName => {
                let mut name = ArenaVec::from_iter_in(self.node.name().iter().copied(), self.arena);
                name.push(0);
                name.into_bump_slice()
            }
        };
        FuseBuffer::lent(bytes, buffer.flags, buffer.max, self.arena)
    }

    fn set_meta(&mut self, edit: impl FnOnce(&mut bpf_fuse_meta_info)) {
        let mut meta: bpf_fuse_meta_info = load(self.meta);
        edit(&mut meta);
        store(self.meta, meta.as_bytes());
    }

    /// The arena of the call.
    pub fn arena(&self) -> &'r Bump {
        self.arena
    }

    /// The request's struct as prefilters left it.
    pub fn input<T: Wire>(&self) -> T {
        load(self.input)
    }

    /// The request's struct as the kernel sent it.
    pub fn sent<T: Wire>(&self) -> T {
        crate::abi::read(self.request.input).unwrap_or_else(T::new_zeroed)
    }

    /// The open file.
    ///
    /// # Errors
    ///
    /// `EBADF` when the request names none.
    pub fn file(&self) -> Result<&Arc<File>, Errno> {
        self.file.as_ref().ok_or(Errno::EBADF)
    }

    /// The second inode.
    ///
    /// # Errors
    ///
    /// `EINVAL` when the request names none.
    pub fn other(&self) -> Result<&Arc<Node>, Errno> {
        self.other.as_ref().ok_or(Errno::EINVAL)
    }

    /// A string of the request, as prefilters left it if they may edit it.
    ///
    /// # Errors
    ///
    /// `EINVAL` when a filter left no NUL-terminated string.
    pub fn string(&self, index: usize) -> Result<&'r CStr, Errno> {
        let edited = self.op.filter.and_then(|filter| {
            let at = filter.buffers.iter().position(|b| b.from == Source::String(index))?;
            self.buffers.get(at).filter(|b| b.modified())
        });
        match edited {
            Some(buffer) => CStr::from_bytes_until_nul(buffer.bytes()).map_err(|_| Errno::EINVAL),
            None => self.request.strings.get(index).copied().ok_or(Errno::EINVAL),
        }
    }

    /// The name in in-buffer number `index` of the filters, if they changed it.
    pub fn edited(&self, index: usize) -> Option<Result<&'r CStr, Errno>> {
        let buffer = self.buffers.get(index).filter(|buffer| buffer.modified())?;
        Some(CStr::from_bytes_until_nul(buffer.bytes()).map_err(|_| Errno::EINVAL))
    }

    /// So many bytes of the reply's data are there: shows them to postfilters, if any look.
    ///
    /// # Errors
    ///
    /// `EIO` when the operation has no buffer of results.
    pub fn show_data(&mut self, len: usize) -> Result<(), Errno> {
        use crate::abi::fuse_read_iter_out;
        self.data_len = len;
        if self.op.name == "READ" {
            self.set_out(0, &fuse_read_iter_out { ret: len as u64 });
        }
        let at = self.op.filter.and_then(Filter::out_buffer).ok_or(Errno::EIO)?;
        let buffer = self.buffers.get_mut(at).ok_or(Errno::EIO)?;
        if buffer.max() > 0 {
            buffer.fill(self.data.get(..len).unwrap_or_default());
        }
        Ok(())
    }

    /// Takes the data back as postfilters left it, if any looked.
    ///
    /// # Errors
    ///
    /// As [`Call::show_data`].
    pub fn take_data(&mut self) -> Result<(), Errno> {
        let at = self.op.filter.and_then(Filter::out_buffer).ok_or(Errno::EIO)?;
        let buffer = self.buffers.get(at).ok_or(Errno::EIO)?;
        if buffer.max() > 0 && self.is_filtered() {
            self.data_len = buffer.copy_to(self.data);
        }
        Ok(())
    }

    /// The payload of the request, as prefilters left it if they may edit it.
    pub fn payload(&self) -> &'r [u8] {
        let edited = self.op.filter.and_then(|filter| {
            let at = filter.buffers.iter().position(|b| b.from == Source::Payload)?;
            self.buffers.get(at).filter(|b| b.modified())
        });
        edited.map_or(self.request.payload, FuseBuffer::bytes)
    }

    /// Result struct number `index`, as postfilters left it.
    pub fn out<T: Wire>(&self, index: usize) -> T {
        load(self.outs.get(index).copied().unwrap_or_default())
    }

    /// Sets result struct number `index`.
    pub fn set_out<T: Wire>(&mut self, index: usize, value: &T) {
        store(self.outs.get(index).copied().unwrap_or_default(), value.as_bytes());
    }

    /// Sets bytes of result struct number `index`.
    pub(crate) fn set_out_bytes(&mut self, index: usize, offset: usize, bytes: &[u8]) {
        let cells = self.outs.get(index).copied().unwrap_or_default();
        store(cells.get(offset..).unwrap_or_default(), bytes);
    }

    /// The programs that ran, if they were noted.
    pub(crate) fn take_steps(&mut self) -> Vec<Step> {
        self.steps.take().unwrap_or_default()
    }

    /// The buffer among the results.
    ///
    /// # Errors
    ///
    /// `EIO` when the operation has none.
    pub fn out_buffer(&mut self) -> Result<&mut FuseBuffer<'r>, Errno> {
        let at = self.op.filter.and_then(Filter::out_buffer).ok_or(Errno::EIO)?;
        self.buffers.get_mut(at).ok_or(Errno::EIO)
    }

    /// Appends a struct to the reply.
    pub fn reply<T: Wire>(&mut self, value: &T) {
        self.reply_bytes(value.as_bytes());
    }

    /// The reply so far: structs, then data.
    pub fn reply_parts(&self) -> (&[u8], &[u8]) {
        (&self.head[..self.head_len], self.data.get(..self.data_len).unwrap_or_default())
    }

    /// Whether the reply has the structs and data the table says. Sizes of attributes are asked for with
    /// their own struct in place of the data.
    pub fn reply_is_as_declared(&self) -> bool {
        let declared: usize = self.op.output.iter().map(|desc| desc.size).sum();
        let size_query = self.op.data == Some("value") && self.data_len == 0;
        let head = self.head_len == declared || size_query && self.head_len == fuse_getxattr_in::DESC.size;
        head && (self.op.data.is_some() || self.data_len == 0)
    }

    /// Whether anybody filters this call.
    pub fn is_filtered(&self) -> bool {
        self.chain.asks(self.op.filter)
    }

    /// Runs the call through its chain, around `backing`.
    ///
    /// # Errors
    ///
    /// What the operation fails with.
    pub fn run(
        &mut self,
        machine: &mut Lease,
        trace: &Trace,
        executor: &mut dyn Executor<'r>,
    ) -> Result<(), Errno> {
        if !self.is_filtered() {
            return executor.backing(self);
        }
        let chain = Arc::clone(&self.chain);
        let mut filtered =
            Filtered { call: self, chain: &chain, machine, trace, executor, results: Vec::new() };
        let result = flow::run(chain.sets().len(), &mut filtered);
        filtered.end();
        result
    }

    /// The request's struct as it is sent on to the daemon: with its own numbers, and without what filters changed.
    pub(crate) fn sent_on(&self) -> &'r [u8] {
        self.sent_on
    }

    /// The request's struct as bytes, as prefilters left it.
    pub(crate) fn input_bytes(&self) -> impl Iterator<Item = u8> {
        self.input.iter().map(Cell::get)
    }

    /// Replaces the request's struct, as a filter would.
    pub(crate) fn set_input_bytes(&mut self, bytes: &[u8]) {
        store(self.input, bytes);
    }

    /// The buffers filters see: those of the request, then that of the results.
    pub(crate) fn buffers(&mut self) -> &mut [FuseBuffer<'r>] {
        &mut self.buffers
    }

    /// Result struct number `index` as bytes.
    pub(crate) fn out_bytes(&self, index: usize) -> impl Iterator<Item = u8> {
        self.outs.get(index).copied().unwrap_or_default().iter().map(Cell::get)
    }

    /// What filters are told of the call.
    pub(crate) fn meta(&self) -> bpf_fuse_meta_info {
        load(self.meta)
    }

    /// Appends bytes to the structs of the reply.
    pub(crate) fn reply_bytes(&mut self, bytes: &[u8]) {
        if let Some(to) = self.head.get_mut(self.head_len..self.head_len + bytes.len()) {
            to.copy_from_slice(bytes);
            self.head_len += bytes.len();
        }
    }

    /// The values of the request's and the results' structs and buffers, for people: `prog run` prints them.
    pub fn inspect(&self) -> Inspection {
        let bytes = |cells: &[Cell<u8>]| cells.iter().map(Cell::get).collect();
        let Some(filter) = self.op.filter else { return Inspection::default() };
        let mut buffers = self.buffers.iter().map(|b| b.bytes().to_vec());
        let mut arguments = Vec::new();
        if let Some(desc) = filter.input {
            arguments.push(("in", Argument::Struct(desc, bytes(self.input))));
        }
        for buffer in filter.buffers {
            arguments.push((buffer.name, Argument::Buffer(buffers.next().unwrap_or_default())));
        }
        let mut structs = self.outs.iter();
        for out in filter.outs {
            arguments.push(match out {
                OutArg::Struct { name, desc } => {
                    (*name, Argument::Struct(desc, structs.next().map(|s| bytes(s)).unwrap_or_default()))
                }
                OutArg::Buffer { name, .. } => (*name, Argument::Buffer(buffers.next().unwrap_or_default())),
            });
        }
        Inspection { arguments }
    }
}

impl std::fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("op", &self.op.name)
            .field("nodeid", &self.header.nodeid)
            .finish_non_exhaustive()
    }
}

/// Copies a struct out of cells; what is missing is zero.
fn load<T: Wire>(cells: &[Cell<u8>]) -> T {
    let mut value = T::new_zeroed();
    for (to, from) in value.as_mut_bytes().iter_mut().zip(cells) {
        *to = from.get();
    }
    value
}

/// Copies bytes into cells, as many as fit.
fn store(cells: &[Cell<u8>], bytes: &[u8]) {
    for (to, from) in cells.iter().zip(bytes) {
        to.set(*from);
    }
}
