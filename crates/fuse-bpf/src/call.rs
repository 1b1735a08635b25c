//! One operation in progress: its arguments as filters may edit them, its results as filters may edit
//! them, and the reply that is built from both.
//!
//! The kernel's own numbers (nodeids, file handles) stay in [`Call::request`]; filters see theirs in the
//! copies made here. Everything lives in an arena that is emptied between requests, so a call allocates
//! nothing from the heap.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use fuse_bpf_vm::host::{Buffer, Caller as Thread, Host};
use fuse_bpf_vm::interp::Arg;
use fuse_bpf_vm::mem::{Access, Window};
use zerocopy::IntoBytes;

use crate::abi::{StructDesc, Wire, bpf_fuse_meta_info, fuse_getxattr_in, fuse_in_header, verdict};
use crate::backing::{Backing, Entry, File, Node};
use crate::daemon::{DaemonFile, Handles};
use crate::errno::Errno;
use crate::filter::buffer::{BufferFlags, FuseBuffer, cells};
use crate::filter::entry::{self, Action};
use crate::filter::family::{self, Given};
use crate::filter::flow::{self, Stages};
use crate::filter::machines::Lease;
use crate::filter::trace::Trace;
use crate::filter::{Chain, FilterSet, Placed, Stage};
use crate::ops::{Filter, InBuffer, Limit, Op, OutArg, Source};
use crate::request::Decoded;
use crate::transport::Reply;

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
        self.request
            .input
            .get(offset..offset + 4)
            .and_then(|b| b.try_into().ok())
            .map_or(0, u32::from_ne_bytes)
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

/// One program that ran in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Before or after the operation.
    pub stage: Stage,
    /// Name of the program.
    pub program: String,
    /// What it returned, or the fault that stopped it.
    pub value: Result<u32, String>,
    /// Whether its machine code ran.
    pub compiled: bool,
    /// Instructions executed; of machine code, what its loops and calls took from the budget.
    pub insns: u64,
    /// How long that took.
    pub time: Duration,
}

/// The arguments of a call as filters see them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Name in the C prototype and value, in order.
    pub arguments: Vec<(&'static str, Argument)>,
}

/// One argument of a call.
#[derive(Debug, Clone)]
pub enum Argument {
    /// A struct: its layout and its bytes.
    Struct(&'static StructDesc, Vec<u8>),
    /// A buffer.
    Buffer(Vec<u8>),
}

impl PartialEq for Argument {
    fn eq(&self, other: &Argument) -> bool {
        match (self, other) {
            (Argument::Struct(a, x), Argument::Struct(b, y)) => std::ptr::eq(*a, *b) && x == y,
            (Argument::Buffer(x), Argument::Buffer(y)) => x == y,
            _ => false,
        }
    }
}

impl Eq for Argument {}

/// A call on its way through a chain.
struct Filtered<'c, 'r> {
    call: &'c mut Call<'r>,
    chain: &'c Chain,
    machine: &'c mut Lease,
    trace: &'c Trace,
    executor: &'c mut dyn Executor<'r>,
    /// With `compat=v4`, the results as the operation left them: structs, then the buffer.
    results: Vec<Vec<u8>>,
}

impl Filtered<'_, '_> {
    /// All filters were asked.
    fn end(self) {
        if !self.results.is_empty() {
            self.call.drop_changed_results(&self.results);
        }
    }
}

impl Stages for Filtered<'_, '_> {
    fn ask(&mut self, index: usize, stage: Stage, default: bool) -> Result<Option<u32>, Errno> {
        self.call.error_out = None;
        let Some(set) = self.chain.sets().get(index) else { return Ok(None) };
        let placed = if default {
            set.default_filter(self.call.op, stage)
        } else {
            self.call.op.filter.and_then(|filter| set.placed(filter, stage))
        };
        let Some(Placed { program, verdict }) = placed else { return Ok(None) };
        // Who wants to know what ran is shown it all the same.
        if verdict.is_some() && self.call.steps.is_none() {
            return Ok(*verdict);
        }

        self.call.enter(stage);
        let (args, count) = match set.has_families() {
            true => self.call.family_arguments(stage, default),
            false => self.call.arguments(stage, default),
        };
        let call = &mut *self.call;
        let mut host = FilterHost {
            buffers: &mut call.buffers,
            header: &call.header,
            node: call.node.nodeid(),
            file: call.file.as_deref(),
            error_out: (stage == Stage::Post && call.compat == Compat::None).then_some(&mut call.error_out),
            absent: FuseBuffer::lent(&[], BufferFlags::IMMUTABLE, 0, call.arena),
            trace: self.trace,
        };
        let start = call.steps.is_some().then(Instant::now);
        let outcome = program.run(self.machine.machine(), &args[..count], &mut host, BUDGET);
        if let Some(steps) = &mut self.call.steps {
            steps.push(Step {
                stage,
                program: program.proof().program().name.clone(),
                compiled: program.code().is_some(),
                value: outcome.result.as_ref().map(|v| *v as u32).map_err(ToString::to_string),
                insns: outcome.insns,
                time: start.map_or(Duration::ZERO, |start| start.elapsed()),
            });
        }
        match outcome.result {
            Ok(value) => Ok(Some(value as u32)),
            Err(fault) => {
                set.count_fault();
                let line = format!("fault in program set `{}`: {fault}", set.name());
                tracing::error!("{line}");
                self.trace.push(&line);
                Err(Errno::EIO)
            }
        }
    }

    fn ask_daemon(&mut self, _: usize, stage: Stage) -> Result<u32, Errno> {
        self.call.enter(stage);
        self.machine.give_back();
        let value = self.executor.daemon_filter(self.call, stage)?;
        // The series has no way to say more.
        Ok(if self.call.compat == Compat::V4 { verdict::CONTINUE } else { value })
    }

    fn backing(&mut self) -> Result<(), Errno> {
        self.call.leave_prefilters();
        let result = self.executor.backing(self.call);
        if self.call.compat == Compat::V4 {
            self.results = self.call.results();
        }
        result
    }

    fn daemon(&mut self, judged: bool) -> Result<(), Errno> {
        self.call.leave_prefilters();
        self.machine.give_back();
        self.executor.daemon(self.call, judged)
    }

    fn settle(&mut self, set: usize, result: Result<(), Errno>) -> Result<(), Errno> {
        if let Some(asked) = self.chain.sets().get(set).filter(|_| self.call.is_lookup()) {
            self.call.attach(set, asked, &|name| self.executor.set_named(name))?;
        }
        // A name that is not below was given a backing object: it is found all the same.
        let result = if std::mem::take(&mut self.call.entry_given) { Ok(()) } else { result };
        self.call.error_out.take().unwrap_or(result)
    }

    fn set_result(&mut self, result: Result<(), Errno>) {
        let told = self.call.compat == Compat::None
            || self.call.op.filter.is_none_or(|filter| filter.series.tells_errors);
        let error = result.map_or_else(|error| error.raw().wrapping_neg() as u32, |()| 0);
        self.call.set_meta(|meta| meta.error_in = if told { error } else { 0 });
    }
}

impl<'r> Call<'r> {
    fn is_lookup(&self) -> bool {
        self.op.filter.is_some_and(|filter| std::ptr::eq(filter, &crate::ops::LOOKUP))
    }

    /// The arguments of a program, in the order of its prototype, and how many there are.
    fn arguments(&self, stage: Stage, default: bool) -> ([Arg<'r>; MOST_ARGS], usize) {
        let mut args = [Arg::Scalar(0); MOST_ARGS];
        args[0] = Arg::Mem(Window::from_cells(self.meta).read_only());
        let mut count = 1;
        let Some(filter) = self.op.filter.filter(|_| !default) else { return (args, count) };
        let mut push = |arg| {
            if let Some(slot) = args.get_mut(count) {
                *slot = arg;
                count += 1;
            }
        };
        if filter.input.is_some() {
            let window = Window::from_cells(self.input);
            push(Arg::Mem(if stage == Stage::Pre { window } else { window.read_only() }));
        }
        let inputs = filter.buffers.len();
        let buffers = |extension| {
            let own = filter.buffers.iter().enumerate();
            own.filter(move |(_, buffer)| buffer.extension == extension).map(|(i, _)| Arg::Buffer(i as u32))
        };
        buffers(false).for_each(&mut push);
        if stage == Stage::Post {
            let mut structs = self.outs.iter();
            for out in filter.outs {
                push(match out {
                    OutArg::Struct { .. } => {
                        Arg::Mem(Window::from_cells(structs.next().copied().unwrap_or_default()))
                    }
                    OutArg::Buffer { .. } => Arg::Buffer(inputs as u32),
                });
            }
        }
        // As in the prototypes, what the series does not have comes last.
        buffers(true).for_each(&mut push);
        (args, count)
    }

    /// The arguments of a program of a `struct fuse_filter`.
    fn family_arguments(&self, stage: Stage, default: bool) -> ([Arg<'r>; MOST_ARGS], usize) {
        let numbers = [Given::Number(family::opcode(self.op).into()), Given::Number(stage as u64)];
        let least = [Given::Meta, numbers[0], numbers[1]];
        let filter = self.op.filter.filter(|_| !default);
        let given = filter.map_or(&least[..], |filter| family::given(filter, stage));
        let mut args = [Arg::Scalar(0); MOST_ARGS];
        for (arg, given) in args.iter_mut().zip(given) {
            *arg = match *given {
                Given::Meta => Arg::Mem(Window::from_cells(self.meta).read_only()),
                Given::Number(number) => Arg::Scalar(number),
                Given::In(Access::ReadWrite) => Arg::Mem(Window::from_cells(self.inputs)),
                Given::In(Access::Read) => Arg::Mem(Window::from_cells(self.inputs).read_only()),
                Given::Out => Arg::Mem(Window::from_cells(self.results)),
                Given::NoStruct => Arg::Mem(Window::from_cells(&[]).read_only()),
                Given::Buffer(index) => Arg::Buffer(index),
                Given::NoBuffer => Arg::Buffer(ABSENT),
            };
        }
        (args, given.len())
    }

    /// Tells filters in which stage the call is.
    fn enter(&mut self, stage: Stage) {
        let bit = match stage {
            Stage::Pre => verdict::PREFILTER,
            Stage::Post => verdict::POSTFILTER_BIT,
        };
        self.set_meta(|meta| meta.opcode = (meta.opcode & verdict::OPCODE_FILTER) | bit);
    }

    /// The operation comes: what it is about does not change any more.
    fn leave_prefilters(&mut self) {
        self.set_meta(|meta| meta.opcode &= verdict::OPCODE_FILTER);
        let inputs = self.op.filter.map_or(0, |filter| filter.buffers.len());
        if self.compat == Compat::V4 {
            self.drop_changed_arguments();
        }
        self.buffers.iter_mut().take(inputs).for_each(FuseBuffer::freeze);
    }

    /// With `compat=v4`: only what the series honours of what prefilters changed stays.
    fn drop_changed_arguments(&mut self) {
        let Some(filter) = self.op.filter else { return };
        let before = filter.series.before;
        for field in self.op.input.into_iter().flat_map(|desc| desc.fields) {
            if !before.contains(&field.name.trim_start_matches("r#")) {
                let range = field.offset..field.offset + field.size;
                let sent = self.sent_on.get(range).unwrap_or_default();
                store(self.input.get(field.offset..).unwrap_or_default(), sent);
            }
        }
        for (index, buffer) in filter.buffers.iter().enumerate() {
            if !before.contains(&buffer.name) {
                self.buffers[index] = self.lent(buffer);
            }
        }
    }

    /// The results as they are: structs, then the buffer.
    fn results(&mut self) -> Vec<Vec<u8>> {
        let mut results: Vec<Vec<u8>> = (0..OUTS).map(|index| self.out_bytes(index).collect()).collect();
        results.push(self.out_buffer().map(|buffer| buffer.bytes().to_vec()).unwrap_or_default());
        results
    }

    /// With `compat=v4`: only what the series honours of what postfilters changed stays.
    fn drop_changed_results(&mut self, results: &[Vec<u8>]) {
        let Some(filter) = self.op.filter else { return };
        let after = filter.series.after;
        let mut structs = results.iter().enumerate();
        for out in filter.outs {
            match out {
                OutArg::Buffer { name, .. } => {
                    if let (false, Some(kept)) = (after.contains(name), results.last())
                        && let Ok(buffer) = self.out_buffer()
                    {
                        buffer.fill(kept);
                    }
                }
                OutArg::Struct { name, desc } => {
                    let Some((index, kept)) = structs.next() else { continue };
                    for field in desc.fields.iter().filter(|_| !after.contains(name)) {
                        let path = format!("{name}.{}", field.name.trim_start_matches("r#"));
                        if !after.contains(&path.as_str()) {
                            let range = field.offset..field.offset + field.size;
                            self.set_out_bytes(index, field.offset, kept.get(range).unwrap_or_default());
                        }
                    }
                }
            }
        }
    }

    /// Applies the entry blocks that were written on behalf of a set to what the entry will have, and takes them.
    fn attach(
        &mut self,
        index: usize,
        set: &FilterSet,
        named: &dyn Fn(&str) -> Option<FilterSet>,
    ) -> Result<(), Errno> {
        let blocks = self.out_buffer()?;
        let actions = entry::parse(blocks.bytes(), entry::Author::Program)?;
        blocks.fill(&[]);
        self.entry_removed |= actions.backing == Action::Remove;
        let replacement = match actions.bpf {
            Action::Keep => return Ok(()),
            Action::Remove => None,
            Action::Set(name) => Some(set.sibling(&name).or_else(|| named(&name)).ok_or(Errno::EINVAL)?),
        };
        let sets = self.entry_chain.get_or_insert_with(|| self.chain.sets().to_vec());
        // Postfilters run innermost first, so the sets after this one may be fewer, the ones before
        // it are all still there.
        match replacement {
            Some(new) => sets[index] = new,
            None => drop(sets.remove(index)),
        }
        Ok(())
    }
}

/// What a call lends its filters.
struct FilterHost<'c, 'r> {
    buffers: &'c mut ArenaVec<'r, FuseBuffer<'r>>,
    header: &'c fuse_in_header,
    /// The kernel's number for the inode, which is never given to another one.
    node: u64,
    /// The file it is on.
    file: Option<&'c File>,
    /// What the operation is to end with, where filters may say so.
    error_out: Option<&'c mut Option<Result<(), Errno>>>,
    /// What the call has no buffer for.
    absent: FuseBuffer<'r>,
    trace: &'c Trace,
}

/// A run may be shorter than the call: its program is borrowed for less.
impl<'s, 'r: 's> Host<'s> for FilterHost<'_, 'r> {
    fn buffer(&mut self, index: u32) -> Option<&mut dyn Buffer<'s>> {
        let buffer = match index {
            ABSENT => Some(&mut self.absent),
            _ => self.buffers.get_mut(index as usize),
        };
        buffer.map(|b| b as &mut dyn Buffer<'s>)
    }

    fn caller(&self) -> Thread {
        let fuse_in_header { uid, gid, pid, .. } = *self.header;
        Thread { uid, gid, tid: pid }
    }

    fn process(&self) -> u32 {
        thread_group(self.header.pid).unwrap_or(self.header.pid)
    }

    fn comm(&self) -> [u8; 16] {
        let mut comm = [0; 16];
        if let Ok(name) = std::fs::read(format!("/proc/{}/comm", self.header.pid)) {
            let name = name.strip_suffix(b"\n").unwrap_or(&name);
            for (to, from) in comm[..15].iter_mut().zip(name) {
                *to = *from;
            }
        }
        comm
    }

    fn node(&self) -> Option<u64> {
        Some(self.node)
    }

    fn read_file(&mut self, offset: u64, to: &mut [u8]) -> Option<usize> {
        self.file?.read_at(offset, to).ok()
    }

    fn set_result(&mut self, result: i32) -> bool {
        let error = match result {
            0 => Ok(()),
            -511..=-1 => Err(Errno::new(-result)),
            _ => return false,
        };
        self.error_out.as_mut().is_some_and(|out| {
            **out = Some(error);
            true
        })
    }

    fn print(&mut self, line: &str) {
        self.trace.push(line.trim_end_matches('\n'));
    }
}

/// The process a thread belongs to, if it still exists.
fn thread_group(tid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
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
