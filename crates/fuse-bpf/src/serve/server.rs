//! The server of a mount: takes requests apart, runs them through their filters, answers.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bumpalo::Bump;
use fuse_bpf_vm::maps::MapKind;

use super::dir::may_carry_entries;
use super::promised::Promised;
use crate::abi::*;
use crate::backing::{ActAs, Backing, Caller, Entry, LockWait, Node};
use crate::call::{Call, Compat, Executor, Opened, Tables};
use crate::control::Controls;
use crate::daemon::{Handles, Link};
use crate::errno::Errno;
use crate::filter::entry::Action;
use crate::filter::machines::{Lease, Slots};
use crate::filter::trace::Trace;
use crate::filter::{Chain, FilterError, FilterSet, Registry, Stage};
use crate::ops::{self, Serve};
use crate::request::{DecodeError, Decoded, decode};
use crate::session::{Handler, Kernel};
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
    /// Those of them that are around what the daemon does by itself, too.
    pub policies: Vec<FilterSet>,
    /// How long the kernel may keep names and attributes that no filter has a say on. Zero: every path walk
    /// asks again, and a change made beside the mount is seen at once.
    pub timeout: Duration,
    /// Longest reply, in bytes.
    pub max_reply: usize,
    /// How many programs may run at once: no more than the slots the filters were loaded for. 0 counts as 1.
    pub slots: usize,
    /// The program sets that are found by name, beside those of the object of the set that names one.
    pub registry: Registry,
    /// Whether filters can do what the series does not let them.
    pub compat: Compat,
    /// The daemon beside the directory.
    pub daemon: Option<Link>,
}

/// Serves one backing directory through filters.
#[derive(Debug)]
pub struct Server {
    pub(super) backing: Arc<Backing>,
    chain: Arc<Chain>,
    /// Of inodes with nothing below: the other filters are around operations on the backing directory.
    policies: Arc<Chain>,
    registry: Registry,
    slots: Arc<Slots>,
    compat: Compat,
    daemon: Option<Link>,
    promised: Promised,
    /// The files of a daemon that is not there.
    no_handles: Handles,
    timeout: Duration,
    max_reply: usize,
    trace: Trace,
    early_interrupts: Mutex<VecDeque<u64>>,
}

/// What one thread of a [`Server`] owns.
#[derive(Debug)]
pub struct Worker {
    machine: Lease,
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
        let policies = Arc::new(Chain::new(config.policies)?);
        let root = backing.root();
        root.set_attachment(Arc::clone(if root.is_lent() { &policies } else { &chain }));
        Ok(Server {
            backing,
            chain,
            policies,
            registry: config.registry,
            slots: Arc::new(Slots::new(config.slots)),
            compat: config.compat,
            daemon: config.daemon,
            promised: Promised::default(),
            no_handles: Handles::default(),
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

    /// The files the daemon opened.
    pub(super) fn handles(&self) -> &Handles {
        self.daemon.as_ref().map_or(&self.no_handles, Link::handles)
    }

    /// The daemon beside the directory.
    pub fn daemon(&self) -> Option<&Link> {
        self.daemon.as_ref()
    }

    /// Remembers what filters attached to the name of a lookup.
    fn promise(&self, call: &Call<'_>) {
        if let Ok(name) = call.string(0) {
            self.promised.note(call.node.nodeid(), name.to_bytes(), call.entry_chain.as_ref());
        }
    }

    /// The program sets of what a call made: those its name was promised.
    pub(super) fn sets_of_made(&self, call: &Call<'_>) -> Option<Vec<FilterSet>> {
        let made = matches!(call.op.name, "CREATE" | "MKNOD" | "MKDIR" | "SYMLINK");
        let name = made.then(|| call.string(0).ok()).flatten()?;
        self.promised.take(call.node.nodeid(), name.to_bytes())
    }

    /// An inode has another name: it gets what the name was promised.
    pub(super) fn moved(&self, node: &Node, to: &Node, name: &std::ffi::CStr) {
        let promised = self.promised.take(to.nodeid(), name.to_bytes());
        if let Some(Ok(chain)) = promised.map(Chain::new) {
            node.set_attachment(Arc::new(chain));
        }
    }

    /// The program sets of what the daemon put into a directory of its own: those of the mount, policies as they were left
    /// by what a lookup said, and inside of them the one the daemon names.
    pub(super) fn sets_of_adopted(&self, call: &mut Call<'_>) -> Result<Option<Vec<FilterSet>>, Errno> {
        let policies = call.entry_chain.take().unwrap_or_else(|| call.chain.sets().to_vec());
        let is_policy = |set: &FilterSet| self.policies.sets().contains(set);
        let mut sets: Vec<FilterSet> = self.chain.sets().to_vec();
        if policies.len() == self.policies.sets().len() {
            let mut policies = policies.into_iter();
            sets.iter_mut().filter(|set| is_policy(set)).zip(&mut policies).for_each(|(set, new)| *set = new);
        } else {
            sets.retain(|set| !is_policy(set));
            sets.extend(policies);
        }
        if let Action::Set(name) = &call.entry_sets {
            sets.push(self.registry.get(name).ok_or(Errno::EINVAL)?);
        }
        Ok(Some(sets))
    }

    /// Whether data may be copied without being read and written: where somebody filters that, the copy would get past
    /// them. Refused, the kernel reads and writes.
    pub(super) fn may_copy(&self, call: &Call<'_>, to: &Node) -> Result<(), Errno> {
        let read = call.chain.asks(Some(&ops::READ_ITER));
        let written = || self.chain_of(to).asks(Some(&ops::WRITE_ITER));
        if self.compat == Compat::None && (read || written()) { Err(Errno::EOPNOTSUPP) } else { Ok(()) }
    }

    pub(super) fn chain_of(&self, node: &Node) -> Arc<Chain> {
        let default = if node.is_lent() { &self.policies } else { &self.chain };
        node.attachment::<Chain>().unwrap_or_else(|| Arc::clone(default))
    }

    /// Gives a node its program sets: those of its directory unless a lookup postfilter said otherwise.
    /// An inode that has sets keeps them (spec section 9.4).
    pub(super) fn attach(
        &self,
        parent: &Arc<Chain>,
        wanted: Option<Vec<FilterSet>>,
        node: &Node,
    ) -> Result<Arc<Chain>, Errno> {
        let has = node.attachment::<Chain>();
        if let (Some(has), None) = (&has, &wanted) {
            return Ok(Arc::clone(has));
        }
        let chain = match (wanted, node.is_lent()) {
            (None, false) => Arc::clone(parent),
            (Some(sets), false) => Arc::new(Chain::new(sets).map_err(|_| Errno::EINVAL)?),
            (wanted, true) => self.policies_among(wanted.as_deref().unwrap_or(parent.sets()))?,
        };
        match has {
            Some(has) if has.sets() == chain.sets() => Ok(has),
            Some(has) if !has.sets().is_empty() => Err(Errno::EINVAL),
            _ => {
                node.set_attachment(Arc::clone(&chain));
                Ok(chain)
            }
        }
    }

    /// The chain of those sets that are policies: what counts on an inode of the daemon's.
    fn policies_among(&self, sets: &[FilterSet]) -> Result<Arc<Chain>, Errno> {
        let is_policy = |set: &&FilterSet| self.policies.sets().iter().any(|policy| policy.is_beside(set));
        let sets: Vec<FilterSet> = sets.iter().filter(is_policy).cloned().collect();
        if sets == self.policies.sets() {
            return Ok(Arc::clone(&self.policies));
        }
        Ok(Arc::new(Chain::new(sets).map_err(|_| Errno::EINVAL)?))
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
        let filtered = parent.asks(Some(&ops::LOOKUP));
        let (entry_valid, entry_valid_nsec) = match entry.valid {
            Some(valid) if !filtered => valid.entry,
            _ => self.valid(filtered),
        };
        let (attr_valid, attr_valid_nsec) = match entry.valid {
            Some(valid) if entry.node.is_lent() => valid.attr,
            _ => self.attr_valid(chain),
        };
        fuse_entry_out {
            nodeid: entry.node.nodeid(),
            // Tells apart inodes with the same nodeid over time; nodeids are never used twice.
            generation: 0,
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
                if let Some(daemon) = &self.daemon {
                    daemon.tell(*header, request.input);
                }
            }
            "NOTIFY_REPLY" => {
                reply.none();
                if let (Some(daemon), Ok(node)) = (&self.daemon, self.backing.node(header.nodeid)) {
                    let header = fuse_in_header { nodeid: node.filter_nodeid(), ..*header };
                    daemon.tell(header, request.payload);
                }
            }
            "DESTROY" => drop(reply.ok(&[], &[])),
            // A second INIT.
            _ => reply.error(Errno::EIO),
        }
    }

    /// An operation on an inode.
    fn operation(&self, worker: &mut Worker, header: fuse_in_header, request: Decoded<'_>, reply: Reply) {
        worker.arena.reset();
        let Worker { machine, arena, data } = worker;
        let caller = caller(&header, request.group);
        let tables = Tables { backing: &self.backing, handles: self.handles(), compat: self.compat };
        let call = Call::new(header, request, tables, data, arena, |node| self.chain_of(node));
        let mut call = match call {
            Ok(call) => call,
            Err(error) => return reply.error(error),
        };
        let result = self.rounds(&mut call, machine, &caller);
        if self.daemon.is_some() {
            // There may be more threads than machines.
            machine.give_back();
        }
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
            Delivery::Gone => self.unopen(&mut call),
        }
    }

    /// Closes what a call opened and the kernel never heard of.
    fn unopen(&self, call: &mut Call<'_>) {
        let Some(fh) = call.fh else { return };
        match &call.opened {
            Some(Opened::Daemon(file)) => {
                self.handles().release(fh);
                if let Some(daemon) = &self.daemon {
                    daemon.close(call, file);
                }
            }
            _ => drop(self.backing.release(fh)),
        }
    }

    /// Runs a call, again where a filter asks for the next page of a directory.
    fn rounds(&self, call: &mut Call<'_>, machine: &mut Lease, caller: &Caller) -> Result<(), Errno> {
        for _ in 0..MAX_ROUNDS {
            call.again = false;
            let result = call.run(machine, &self.trace, &mut Proper { server: self, caller });
            if call.op.name == "LOOKUP" && call.is_filtered() {
                self.promise(call);
            }
            result?;
            if let Serve::Backed { finish, .. } = call.op.serve
                && !call.answered
            {
                finish(self, call)?;
            }
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

/// Who does the operation proper of a call: the backing directory, or the daemon.
struct Proper<'s> {
    server: &'s Server,
    caller: &'s Caller,
}

impl Proper<'_> {
    /// Whether the operation is the daemon's without any filter saying so: nothing is below its inode, or it is on a
    /// file the daemon opened.
    fn is_daemons(call: &Call<'_>) -> bool {
        // Attributes are those of the inode; the file only says which one.
        let by_inode = matches!(call.op.name, "GETATTR" | "SETATTR" | "STATX");
        call.node.is_lent() || call.daemon_file.is_some() && !by_inode
    }
}

impl<'r> Executor<'r> for Proper<'_> {
    fn backing(&mut self, call: &mut Call<'r>) -> Result<(), Errno> {
        if Proper::is_daemons(call) {
            if call.op.name.starts_with("COPY_FILE_RANGE") {
                self.server.may_copy(call, call.other()?)?;
            }
            return self.daemon(call, call.is_filtered());
        }
        let server = self.server;
        match call.op.serve {
            Serve::Backed { run, as_caller, .. } => {
                let _caller = if as_caller { Some(server.backing.act_as(self.caller)?) } else { None };
                run(server, call)
            }
            // With a daemon beside the directory, the kernel must not take it that nobody has the operation.
            Serve::Refused(errno, _) => match &server.daemon {
                Some(daemon) => daemon.instead(call),
                None => Err(errno),
            },
            Serve::Control => Err(Errno::EIO),
        }
    }

    fn daemon(&mut self, call: &mut Call<'r>, judged: bool) -> Result<(), Errno> {
        self.server.daemon.as_ref().ok_or(Errno::ENOTCONN)?.forward(call, judged)
    }

    fn daemon_filter(&mut self, call: &mut Call<'r>, stage: Stage) -> Result<u32, Errno> {
        self.server.daemon.as_ref().ok_or(Errno::ENOTCONN)?.filter(call, stage)
    }

    fn set_named(&self, name: &str) -> Option<FilterSet> {
        self.server.registry.get(name)
    }
}

impl Handler for Server {
    type Worker = Worker;

    fn worker(&self, _: usize) -> Worker {
        self.backing.prepare_thread();
        Worker {
            machine: Lease::new(Arc::clone(&self.slots)),
            arena: Bump::new(),
            data: vec![0; self.max_reply].into_boxed_slice(),
        }
    }

    fn init(&self, negotiated: &Negotiated, kernel: Kernel) {
        tracing::info!("{negotiated}");
        if let Some(daemon) = &self.daemon {
            daemon.mounted(kernel);
        }
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
            // The kernel remembers what does not exist; a daemon may have it.
            Serve::Refused(errno, _) if self.daemon.is_none() => reply.error(errno),
            Serve::Refused(..) | Serve::Backed { .. } => {
                self.operation(worker, request.header, decoded, reply);
            }
        }
    }

    fn destroy(&self) {
        if let Some(daemon) = &self.daemon {
            daemon.unmounted();
        }
    }
}

impl Controls for Server {
    fn serve(&self, request: &str, out: &mut dyn Write) -> std::io::Result<()> {
        match request {
            "trace" => self.stream(out),
            other => writeln!(out, "error: unknown request `{other}`"),
        }
    }
}
