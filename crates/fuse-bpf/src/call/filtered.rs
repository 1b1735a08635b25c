//! A call between its filters: what they are given, what is done around the operation, and what of their changes stays.

use std::time::{Duration, Instant};

use fuse_bpf_vm::interp::Arg;
use fuse_bpf_vm::mem::{Access, Window};

use super::host::FilterHost;
use super::{ABSENT, BUDGET, Call, Compat, Executor, MOST_ARGS, OUTS, Step, store};
use crate::abi::verdict;
use crate::errno::Errno;
use crate::filter::buffer::{BufferFlags, FuseBuffer};
use crate::filter::entry::{self, Action};
use crate::filter::family::{self, Given};
use crate::filter::flow::Stages;
use crate::filter::machines::Lease;
use crate::filter::trace::Trace;
use crate::filter::{Chain, FilterSet, Placed, Stage};
use crate::ops::OutArg;

/// A call on its way through a chain.
pub(super) struct Filtered<'c, 'r> {
    pub(super) call: &'c mut Call<'r>,
    pub(super) chain: &'c Chain,
    pub(super) machine: &'c mut Lease,
    pub(super) trace: &'c Trace,
    pub(super) executor: &'c mut dyn Executor<'r>,
    /// With `compat=v4`, the results as the operation left them: structs, then the buffer.
    pub(super) results: Vec<Vec<u8>>,
}

impl Filtered<'_, '_> {
    /// All filters were asked.
    pub(super) fn end(self) {
        if !self.results.is_empty() {
            self.call.drop_changed_results(&self.results);
        }
    }
}

impl Stages for Filtered<'_, '_> {
    fn ask(&mut self, index: usize, stage: Stage, default: bool) -> Result<Option<u32>, Errno> {
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
        // What a set said of the result counts for that set, and not at all if it failed the operation.
        self.call.error_out = None;
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
