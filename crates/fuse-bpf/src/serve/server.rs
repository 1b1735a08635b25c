//! The server of a mount: takes requests apart, runs them through their filters, answers.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bumpalo::Bump;
use fuse_bpf_vm::interp::Worker as Machine;
use fuse_bpf_vm::maps::MapKind;

use super::dir::may_carry_entries;
use super::{Finish, Run};
use crate::abi::*;
use crate::backing::{ActAs, Backing, Caller, Entry, LockWait, Node};
use crate::call::Call;
use crate::control::Controls;
use crate::errno::Errno;
use crate::filter::trace::Trace;
use crate::filter::{Chain, FilterError, FilterSet};
use crate::ops::{self, Serve};
use crate::request::{DecodeError, Decoded, decode};
use crate::session::Handler;
use crate::transport::{Delivery, Negotiated, Reply, Request};

/// Pages of a directory one request may read because a filter dropped all their records.
const MAX_ROUNDS: usize = 1 << 16;
/// Interrupts remembered that came before the request they are for.
const EARLY_INTERRUPTS: usize = 1024;
/// How often a listener looks for ring-buffer records.
const POLL: Duration = Duration::from_millis(20);

/// What a [`Server`] is made of.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The program sets of the root, outermost first; children inherit them.
    pub filters: Vec<FilterSet>,
    /// How long the kernel may keep names and attributes that no filter has a say on. Zero: every path walk
    /// asks again, and a change made beside the mount is seen at once.
    pub timeout: Duration,
    /// Longest reply, in bytes.
    pub max_reply: usize,
}

/// Serves one backing directory through filters.
#[derive(Debug)]
pub struct Server {
    pub(super) backing: Arc<Backing>,
    chain: Arc<Chain>,
    timeout: Duration,
    max_reply: usize,
    trace: Trace,
    early_interrupts: Mutex<VecDeque<u64>>,
}

/// What one thread of a [`Server`] owns.
#[derive(Debug)]
pub struct Worker {
    machine: Machine,
    arena: Bump,
    data: Box<[u8]>,
}

impl Server {
    /// A server of `backing`.
    ///
    /// # Errors
    ///
    /// When there are too many filters for a chain.
    pub fn new(backing: Arc<Backing>, config: ServerConfig) -> Result<Server, FilterError> {
        let chain = Arc::new(Chain::new(config.filters)?);
        backing.root().set_attachment(Arc::clone(&chain));
        Ok(Server {
            backing,
            chain,
            timeout: config.timeout,
            max_reply: config.max_reply.max(64 * 1024),
            trace: Trace::default(),
            early_interrupts: Mutex::default(),
        })
    }

    /// What filters print and how they fail.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The program sets of the root, outermost first.
    pub fn filters(&self) -> &[FilterSet] {
        self.chain.sets()
    }

    fn chain_of(&self, node: &Node) -> Arc<Chain> {
        node.attachment::<Chain>().unwrap_or_else(|| Arc::clone(&self.chain))
    }

    /// Gives a node its program sets: those of its directory unless a lookup postfilter said otherwise.
    /// An inode that has sets keeps them (spec section 9.4).
    pub(super) fn attach(
        &self,
        parent: &Arc<Chain>,
        wanted: Option<Vec<FilterSet>>,
        node: &Node,
    ) -> Result<Arc<Chain>, Errno> {
        let wanted = match wanted {
            Some(sets) => Some(Arc::new(Chain::new(sets).map_err(|_| Errno::EINVAL)?)),
            None => None,
        };
        match (node.attachment::<Chain>(), wanted) {
            (Some(has), Some(wanted)) if has.sets() != wanted.sets() => {
                if !has.sets().is_empty() {
                    return Err(Errno::EINVAL);
                }
                node.set_attachment(Arc::clone(&wanted));
                Ok(wanted)
            }
            (Some(has), _) => Ok(has),
            (None, wanted) => {
                let chain = wanted.unwrap_or_else(|| Arc::clone(parent));
                node.set_attachment(Arc::clone(&chain));
                Ok(chain)
            }
        }
    }

    /// Seconds and nanoseconds the kernel may keep something, unless filters must see every use.
    fn valid(&self, filtered: bool) -> (u64, u32) {
        if filtered { (0, 0) } else { (self.timeout.as_secs(), self.timeout.subsec_nanos()) }
    }

    /// How long attributes of an inode with this chain may be kept.
    pub(super) fn attr_valid(&self, chain: &Chain) -> (u64, u32) {
        self.valid(chain.asks(Some(&ops::GETATTR)))
    }

    /// The reply that names an entry found through `parent`.
    pub(super) fn entry_out(&self, entry: &Entry, parent: &Chain, chain: &Chain) -> fuse_entry_out {
        let (entry_valid, entry_valid_nsec) = self.valid(parent.asks(Some(&ops::LOOKUP)));
        let (attr_valid, attr_valid_nsec) = self.attr_valid(chain);
        fuse_entry_out {
            nodeid: entry.node.nodeid(),
            generation: entry.generation,
            entry_valid,
            entry_valid_nsec,
            attr_valid,
            attr_valid_nsec,
            attr: entry.attr,
        }
    }

    /// Writes the entry of a directory record to the reply; a record without one is looked up by the kernel
    /// when it is used.
    pub(super) fn reply_plus(&self, call: &mut Call<'_>, name: &[u8]) {
        let mut out = fuse_entry_out::default();
        if name != b"."
            && name != b".."
            && may_carry_entries(call)
            && let Ok(entry) = self.entry_of_record(call, name)
            && let Ok(chain) = self.attach(&call.chain, None, &entry.node)
        {
            out = self.entry_out(&entry, &call.chain, &chain);
            call.entries.push(entry);
        }
        let bytes = zerocopy::IntoBytes::as_bytes(&out);
        if let Some(to) = call.data.get_mut(call.data_len..call.data_len + bytes.len()) {
            to.copy_from_slice(bytes);
        }
    }

    /// Acts as the caller of an operation that is otherwise done with our own rights.
    pub(super) fn act_as_caller(&self, call: &Call<'_>) -> Result<Option<ActAs>, Errno> {
        self.backing.act_as(&caller(&call.header, None))
    }

    fn entry_of_record(&self, call: &Call<'_>, name: &[u8]) -> Result<Entry, Errno> {
        let name = std::ffi::CString::new(name).map_err(|_| Errno::EINVAL)?;
        let _caller = self.act_as_caller(call)?;
        self.backing.lookup(&call.node, &name)
    }

    /// Takes a lock, now or later.
    pub(super) fn lock(&self, call: &mut Call<'_>, wait: bool) -> Result<(), Errno> {
        let sent: fuse_lk_in = call.sent();
        let file = Arc::clone(call.file()?);
        let unique = call.header.unique;
        let flock = sent.lk_flags & flags::LK_FLOCK != 0;
        if !wait {
            return match flock {
                true => self.backing.flock(&file, sent.lk.r#type),
                false => self.backing.setlk(&file, sent.owner, &sent.lk),
            };
        }
        let backing = Arc::clone(&self.backing);
        let interrupted = self.take_early_interrupt(unique);
        call.later = Some(Box::new(move |reply| {
            let done: Box<dyn FnOnce(Result<(), Errno>) + Send> = Box::new(move |result| match result {
                Ok(()) => drop(reply.ok(&[], &[])),
                Err(error) => reply.error(error),
            });
            if interrupted {
                return done(Err(Errno::EINTR));
            }
            let wait = LockWait { unique, done };
            match flock {
                true => backing.flock_wait(&file, sent.lk.r#type, wait),
                false => backing.setlk_wait(&file, sent.owner, &sent.lk, wait),
            }
        }));
        Ok(())
    }

    /// Requests that wait for a lock can be interrupted; all others end by themselves. An interrupt may
    /// overtake its request.
    fn interrupt(&self, unique: u64) {
        if !self.backing.interrupt(unique) {
            let mut early = self.early_interrupts.lock().unwrap_or_else(PoisonError::into_inner);
            if early.len() == EARLY_INTERRUPTS {
                early.pop_front();
            }
            early.push_back(unique);
        }
    }

    fn take_early_interrupt(&self, unique: u64) -> bool {
        let mut early = self.early_interrupts.lock().unwrap_or_else(PoisonError::into_inner);
        let at = early.iter().position(|u| *u == unique);
        at.and_then(|at| early.remove(at)).is_some()
    }

    /// Operations of the protocol itself.
    fn control(&self, header: &fuse_in_header, request: &Decoded<'_>, reply: Reply) {
        match request.op.name {
            "FORGET" => {
                if let Some(forget) = read::<fuse_forget_in>(request.input) {
                    self.backing.forget(header.nodeid, forget.nlookup);
                }
                reply.none();
            }
            "BATCH_FORGET" => {
                let count =
                    read::<fuse_batch_forget_in>(request.input).map_or(0, |batch| batch.count as usize);
                let one = size_of::<fuse_forget_one>();
                for forget in
                    request.payload.chunks_exact(one).take(count).filter_map(read::<fuse_forget_one>)
                {
                    self.backing.forget(forget.nodeid, forget.nlookup);
                }
                reply.none();
            }
            "INTERRUPT" => {
                if let Some(interrupt) = read::<fuse_interrupt_in>(request.input) {
                    self.interrupt(interrupt.unique);
                }
                reply.none();
            }
            "NOTIFY_REPLY" => reply.none(),
            "DESTROY" => drop(reply.ok(&[], &[])),
            // A second INIT.
            _ => reply.error(Errno::EIO),
        }
    }

    fn backed(
        &self,
        worker: &mut Worker,
        header: fuse_in_header,
        request: Decoded<'_>,
        (run, finish, as_caller): (Run, Finish, bool),
        reply: Reply,
    ) {
        worker.arena.reset();
        let Worker { machine, arena, data } = worker;
        let call = Call::new(header, request, &self.backing, data, arena, |node| self.chain_of(node));
        let mut call = match call {
            Ok(call) => call,
            Err(error) => return reply.error(error),
        };
        let result =
            self.rounds(&mut call, machine, &caller(&header, request.group), (run, finish, as_caller));
        if let Err(error) = result {
            // What the call found, made or opened is given back when it is dropped.
            return reply.error(error);
        }
        if let Some(later) = call.later.take() {
            return later(reply);
        }
        debug_assert!(call.reply_is_as_declared(), "{}: the reply is not the table's", call.op.name);
        let (head, data) = call.reply_parts();
        match reply.ok(head, data) {
            Delivery::Delivered => {
                call.entry.take().into_iter().chain(call.entries.drain(..)).for_each(Entry::keep);
            }
            Delivery::Gone => {
                if let Some(fh) = call.fh {
                    drop(self.backing.release(fh));
                }
            }
        }
    }

    /// Runs a call, again where a filter asks for the next page of a directory.
    fn rounds<'r>(
        &self,
        call: &mut Call<'r>,
        machine: &mut Machine,
        caller: &Caller,
        (run, finish, as_caller): (Run, Finish, bool),
    ) -> Result<(), Errno> {
        let mut backing = |call: &mut Call<'r>| {
            let _caller = if as_caller { Some(self.backing.act_as(caller)?) } else { None };
            run(self, call)
        };
        for _ in 0..MAX_ROUNDS {
            call.again = false;
            call.run(machine, &self.trace, &mut backing)?;
            finish(self, call)?;
            if !call.again {
                return Ok(());
            }
        }
        tracing::error!("a readdir filter asked {MAX_ROUNDS} times for more without keeping a record");
        Err(Errno::EIO)
    }

    /// Streams what filters print and write to ring buffers, until the listener leaves.
    fn stream(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let mut from = self.trace.end();
        // Sets of one object share their maps.
        let mut modules: Vec<_> = self.chain.sets().iter().map(|set| set.module()).collect();
        modules.dedup_by(|a, b| Arc::ptr_eq(a, b));
        loop {
            for module in &modules {
                for map in module.maps.iter().filter(|map| map.spec().kind == MapKind::RingBuf) {
                    let mut lines = Vec::new();
                    map.consume(&mut |record: &[u8]| {
                        lines.push(match map.spec().value_type {
                            0 => hex(record),
                            ty => module.btf.render(ty, record),
                        });
                    });
                    for line in lines {
                        writeln!(out, "{}: {line}", map.spec().name)?;
                    }
                }
            }
            let (lost, lines) = self.trace.read(&mut from, POLL);
            if lost > 0 {
                writeln!(out, "({lost} lines lost)")?;
            }
            for line in lines {
                writeln!(out, "{line}")?;
            }
            out.flush()?;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The process behind a request.
fn caller(header: &fuse_in_header, group: Option<u32>) -> Caller {
    Caller { uid: header.uid, gid: header.gid, pid: header.pid, group }
}

impl Handler for Server {
    type Worker = Worker;

    fn worker(&self, slot: usize) -> Worker {
        self.backing.prepare_thread();
        Worker {
            machine: Machine::new(slot),
            arena: Bump::new(),
            data: vec![0; self.max_reply].into_boxed_slice(),
        }
    }

    fn init(&self, negotiated: &Negotiated) {
        tracing::info!("{negotiated}");
    }

    fn handle(&self, worker: &mut Worker, request: Request<'_>, reply: Reply) {
        let decoded = match decode(&request.header, request.body) {
            Ok(decoded) => decoded,
            Err(error @ DecodeError::Opcode(_)) => {
                tracing::debug!("{error}");
                return reply.error(Errno::ENOSYS);
            }
            Err(error) => {
                tracing::error!("malformed request: {error}");
                return reply.error(Errno::EIO);
            }
        };
        match decoded.op.serve {
            Serve::Control => self.control(&request.header, &decoded, reply),
            Serve::Refused(errno, _) => reply.error(errno),
            Serve::Backed { run, finish, as_caller } => {
                self.backed(worker, request.header, decoded, (run, finish, as_caller), reply);
            }
        }
    }

    fn destroy(&self) {}
}

impl Controls for Server {
    fn serve(&self, request: &str, out: &mut dyn Write) -> std::io::Result<()> {
        match request {
            "trace" => self.stream(out),
            other => writeln!(out, "error: unknown request `{other}`"),
        }
    }
}
