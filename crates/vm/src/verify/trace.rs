//! All states of a verification, and whether a run keeps to them: for tests.
//!
//! A [`Trace`] has every state that was walked, before its instruction, and what each led to: the states after it,
//! or, for a path that was superfluous, the state that made it so. States of attempts that failed are not in it. A
//! [`Follower`] is shown each instruction of a run and follows the run through that graph.
//!
//! # What must hold
//!
//! A state says something of registers and slots of the stack. Not all of it has to be true of every run that comes
//! by: a path is cut off where a state that was seen before *covers* it, and that does not compare what turned out
//! not to matter (see `verify::marks`). So there are two readings of a state:
//!
//! * **whole**: all it says, with nothing left out;
//! * **what matters**: pointers, dynptrs, iterators and locks; numbers that are marked when the verification
//!   is over, or that were made since the last checkpoint of nothing that came through it (node 0); and slots that are
//!   marked, or were written since the last checkpoint. Registers that are not read again say nothing: the walk
//!   forgets them at checkpoints.
//!
//! Both include that numbers with an id in common differ as their distances say, what is known of two numbers together, that pointers with an id in common are null
//! together or lie in the same object, which functions are active and where they go on.
//!
//! A run starts in the first state, which is true of it as a whole. Then, whenever it was in a state as a whole, one of
//! the states that one led to is true of it after the instruction: as a whole, or, if the walk stopped there in favour of
//! an older state, what matters of that. When only what mattered was true, what matters of a following state is.
//! Whoever was not as a whole in a state may be again.
//!
//! This is as strong as is true: it is the induction by which the verifier is sound. A transfer function that
//! gives too small a result is noticed at the next instruction, whether or not the number ever matters; a
//! number that should have been marked and was not, as soon as a run differs in it behind a point where paths were cut off.

use std::sync::Arc;

use super::facts::{Fact, Relation};
use super::marks::Marks;
use super::state::{Entered, Entry, Id, Kind, MapRef, Pointer, REGS, SLOTS, Scalar, Slot, State, Value};
use super::watch::Watch;
use super::{Entry as Start, Limits, Rejection, Rule, Verified};
use crate::insn::{Insn, op};
use crate::interp::{Moment, Observer};
use crate::program::Program;

/// Most states of a verification that are kept; longer ones have no trace.
const MOST_STATES: usize = 1 << 15;
/// Instructions of a run after which it is not followed any more.
const MOST_FOLLOWED: u64 = 5000;

/// Collects states while they are walked.
#[derive(Debug, Default)]
struct Recorder {
    /// Each with the one before it.
    states: Vec<(Option<usize>, State)>,
    /// Paths that were cut off: after which state, and in favour of which.
    cuts: Vec<(Option<usize>, usize)>,
    /// The states of checkpoints.
    points: Vec<usize>,
    /// Attempts in progress.
    attempts: Vec<Before>,
    overflown: bool,
}

/// Where an attempt started.
#[derive(Debug, Clone, Copy)]
struct Before {
    states: usize,
    cuts: usize,
}

impl Watch for Recorder {
    fn keeps_nodes(&self) -> bool {
        true
    }

    fn before(&mut self, state: &mut State, _: &Marks) {
        if self.states.len() == MOST_STATES {
            self.overflown = true;
            return;
        }
        let index = self.states.len();
        if state.since == 0 {
            // It was just remembered.
            let point = state.parent as usize;
            if self.points.len() <= point {
                self.points.resize(point + 1, 0);
            }
            self.points[point] = index;
        }
        self.states.push((state.walked, state.clone()));
        state.walked = Some(index);
    }

    fn covered(&mut self, state: &State, point: u32) {
        let to = self.points.get(point as usize).copied().unwrap_or(0);
        self.cuts.push((state.walked, to));
    }

    fn tries(&mut self) {
        self.attempts.push(Before { states: self.states.len(), cuts: self.cuts.len() });
    }

    fn tried(&mut self, _: &State, failed: Option<&Rule>, _: &Marks) {
        if let (Some(before), Some(_)) = (self.attempts.pop(), failed) {
            self.states.truncate(before.states);
            self.cuts.truncate(before.cuts);
        }
    }
}

impl Recorder {
    fn finish(self, marks: Marks, memory: bool) -> Option<Trace> {
        if self.overflown {
            return None;
        }
        let mut next = vec![Vec::new(); self.states.len()];
        for (index, (from, _)) in self.states.iter().enumerate() {
            if let Some(from) = from {
                next[*from].push(To { state: index, cut: false });
            }
        }
        for (from, to) in self.cuts {
            if let Some(from) = from {
                next[from].push(To { state: to, cut: true });
            }
        }
        let states = self.states.into_iter().map(|(_, state)| state).collect();
        Some(Trace { states, next, marks, memory })
    }
}

/// What a state led to.
#[derive(Debug, Clone, Copy)]
struct To {
    state: usize,
    /// A path was cut off in favour of it.
    cut: bool,
}

/// The states of a verification.
#[doc(hidden)]
#[derive(Debug)]
pub struct Trace {
    states: Vec<State>,
    next: Vec<Vec<To>>,
    marks: Marks,
    /// Whether the program is given plain memory.
    memory: bool,
}

/// As [`super::verify`], with the states, unless there are too many.
///
/// # Errors
///
/// Those of [`super::verify`].
#[doc(hidden)]
pub fn verify_traced(
    program: &Arc<Program>,
    entry: Start<'_>,
    limits: Limits,
) -> Result<(Verified, Option<Trace>), Box<Rejection>> {
    let memory = matches!(entry, Start::Memory { .. });
    let mut recorder = Recorder::default();
    let mut walker = super::walk::Walker::new(program, entry, limits);
    walker.watch = Some(&mut recorder);
    let longest = walker.walk()?;
    let marks = std::mem::take(&mut walker.marks);
    let verified = super::verified(walker, longest, None);
    Ok((verified, recorder.finish(marks, memory)))
}

/// As [`super::verify`], but that global functions with a signature are proved by it and not walked into, whether or not
/// that would be too much work; `None` if the program has none.
///
/// # Errors
///
/// Those of [`super::verify`].
#[doc(hidden)]
pub fn verify_by_signature(
    program: &Arc<Program>,
    entry: Start<'_>,
    limits: Limits,
) -> Option<Result<Verified, Box<Rejection>>> {
    super::globals::verify(program, entry, limits)
}

/// Something a state says that is not so.
#[derive(Debug, Clone, Copy)]
struct Wrong {
    depth: usize,
    place: Place,
    holds: u64,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Register(usize),
    /// By its slot in the frame.
    Stack(usize),
    Lock,
    Call,
    /// By its place among the facts.
    Fact(usize),
}

impl Wrong {
    fn text(&self, state: &State) -> String {
        let &Wrong { depth, place, holds } = self;
        let frame = state.frames.get(depth);
        match place {
            Place::Register(register) => {
                let known = frame.map(|frame| &frame.regs[register]);
                format!("R{register} of frame {depth} is {holds:#x}, known: {known:x?}")
            }
            Place::Stack(index) => {
                let known = frame.map(|frame| frame.entry(index));
                let off = super::memory::offset_of(index);
                format!("fp{off} of frame {depth} is {holds:#x}, known: {known:x?}")
            }
            Place::Fact(index) => format!("untrue: {:?}", state.facts.get(index)),
            Place::Lock => format!("a lock is held: {}, known: {:?}", holds != 0, state.lock),
            Place::Call => format!("frame {depth} goes on elsewhere: {holds}"),
        }
    }
}

/// What ids stand for in a run.
#[derive(Debug, Default)]
struct Bound {
    linked: Vec<(Id, u64)>,
    halves: Vec<(Id, u64)>,
    null: Vec<(Id, u64)>,
    objects: Vec<(Id, u64)>,
}

fn same(bound: &mut Vec<(Id, u64)>, id: Id, value: u64) -> bool {
    if id == 0 {
        return true;
    }
    match bound.iter().find(|(known, _)| *known == id) {
        Some((_, known)) => *known == value,
        None => {
            bound.push((id, value));
            true
        }
    }
}

/// One state and one run: whether what the first says is true of the second.
struct Check<'c, 'm, 'w, 'r> {
    trace: &'c Trace,
    now: &'c Moment<'m, 'w, 'r>,
    /// All that is said, or what matters.
    whole: bool,
    /// Whether it says something of numbers that are not known.
    unsure: bool,
    bound: Bound,
}

impl Check<'_, '_, '_, '_> {
    fn counts(&self, node: Id) -> bool {
        self.whole || node == 0 || self.trace.marks.is_marked(node)
    }

    fn state(&mut self, state: &State) -> Result<(), Wrong> {
        if state.lock.is_some() != self.now.is_locked() {
            return Err(Wrong { depth: 0, place: Place::Lock, holds: self.now.is_locked().into() });
        }
        for (depth, frame) in state.frames.iter().enumerate() {
            if depth > 0 {
                let expected = match frame.entered {
                    Entered::Call => Some(frame.call + 1),
                    Entered::Callback(_) => None,
                };
                let back = self.now.returns_to(depth - 1);
                if back != expected {
                    let holds = back.map_or(u64::MAX, |slot| slot as u64);
                    return Err(Wrong { depth, place: Place::Call, holds });
                }
            }
            for (register, value) in frame.regs.iter().enumerate().take(REGS) {
                let Some(holds) = self.now.register(depth, register) else { continue };
                if !self.value(holds, value) {
                    return Err(Wrong { depth, place: Place::Register(register), holds });
                }
            }
            let end = self.now.frame_end(depth);
            for index in 0..SLOTS {
                let off = super::memory::offset_of(index);
                let addr = end.wrapping_add(off as u64);
                let Some(holds) = self.now.stack_word(addr) else { continue };
                let entry = frame.entry(index).unwrap_or(Entry::ZERO);
                let special = matches!(entry.slot, Slot::Dynptr { .. } | Slot::Iter { .. });
                if (special || self.counts(entry.nodes.read)) && !self.slot(addr, holds, entry) {
                    return Err(Wrong { depth, place: Place::Stack(index), holds });
                }
            }
        }
        // Behind all numbers, which by now have their values.
        let facts = state.facts.iter().enumerate().filter(|(_, fact)| self.counts(fact.node));
        let facts: Vec<(usize, &Fact)> = facts.collect();
        for (_, fact) in &facts {
            self.derive(fact);
        }
        for (index, fact) in facts {
            match self.fact(fact) {
                Some(true) => {}
                Some(false) => return Err(Wrong { depth: 0, place: Place::Fact(index), holds: 0 }),
                None => self.unsure = true,
            }
        }
        Ok(())
    }

    /// What the numbers of a fact are, as far as their names are known. Those that are held nowhere any more have been, unless
    /// the run came from a state that only covers this one.
    fn terms(&self, fact: &Fact) -> [Option<u64>; 3] {
        let linked = |id: Id| self.bound.linked.iter().find(|(known, _)| *known == id);
        fact.terms.each_ref().map(|term| match term.id {
            0 => term.value(),
            id => linked(id).map(|(_, value)| value.wrapping_add(term.delta)),
        })
    }

    /// A result that was forgotten as soon as it was made is what the others make it.
    fn derive(&mut self, fact: &Fact) {
        let (index, value) = match (fact.relation, self.terms(fact)) {
            (Relation::Sum, [Some(a), Some(b), None]) => (2, a.wrapping_add(b)),
            (Relation::Sum, [Some(a), None, Some(c)]) => (1, c.wrapping_sub(a)),
            (Relation::Sum, [None, Some(b), Some(c)]) => (0, c.wrapping_sub(b)),
            (Relation::Quotient, [None, Some(b), Some(c)]) => (0, b.checked_div(c).unwrap_or(0)),
            (Relation::Multiple, [None, Some(b), Some(c)]) => (0, b - b.checked_rem(c).unwrap_or(b)),
            _ => return,
        };
        let term = &fact.terms[index];
        self.bound.linked.push((term.id, value.wrapping_sub(term.delta)));
    }

    /// Whether a fact is true, if its numbers are known.
    fn fact(&self, fact: &Fact) -> Option<bool> {
        let [a, b, c] = self.terms(fact);
        let (a, b, c) = (a?, b?, c?);
        // What is known of a number by itself may not matter though the fact does.
        let contained = |(term, value): (&Scalar, u64)| !self.counts(term.node) || term.num.contains(value);
        let contained = fact.terms.iter().zip([a, b, c]).all(contained);
        let holds = match fact.relation {
            Relation::AtMost => a <= b,
            Relation::Below => a < b,
            Relation::Sum => a.wrapping_add(b) == c,
            Relation::Quotient => a == b.checked_div(c).unwrap_or(0),
            Relation::Multiple => a == b - b.checked_rem(c).unwrap_or(b),
        };
        Some(contained && holds)
    }

    fn value(&mut self, holds: u64, value: &Value) -> bool {
        match value {
            Value::None => true,
            Value::Scalar(scalar) => self.scalar(holds, scalar),
            Value::Pointer(pointer) => self.pointer(holds, pointer),
        }
    }

    fn scalar(&mut self, holds: u64, scalar: &Scalar) -> bool {
        if !self.counts(scalar.node) {
            return true;
        }
        scalar.num.contains(holds)
            && same(&mut self.bound.linked, scalar.id, holds.wrapping_sub(scalar.delta))
            && same(
                &mut self.bound.halves,
                scalar.half,
                (holds as u32).wrapping_sub(scalar.half_delta).into(),
            )
    }

    fn slot(&mut self, addr: u64, holds: u64, entry: Entry<'_>) -> bool {
        let zeros =
            |zero: u8, bytes: u64| (0..8).all(|at| zero >> at & 1 == 0 || bytes >> (at * 8) & 0xff == 0);
        let [low, high] = entry.nodes.parts;
        match entry.slot {
            Slot::Full(value) => self.value(holds, &value.with_node(low)),
            Slot::Halves(halves) => {
                let parts = [(low, holds & u64::from(u32::MAX)), (high, holds >> 32)];
                halves.iter().zip(parts).all(|(half, (node, holds))| {
                    let is_number = |(number, len): (Scalar, u8)| {
                        let mask = u64::from(u32::MAX) >> (32 - 8 * u32::from(len));
                        self.scalar(holds & mask, &Scalar { node, ..number })
                    };
                    zeros(half.zero, holds) && half.number.is_none_or(is_number)
                })
            }
            Slot::Bytes(zero) => zeros(*zero, holds),
            Slot::Dynptr { upper: false, .. } => self.now.is_dynptr(addr),
            Slot::Dynptr { upper: true, .. } => true,
            // One that came to its end has nothing left.
            Slot::Iter { active, .. } => *active || holds == 0,
            Slot::Dead => true,
        }
    }

    fn pointer(&mut self, holds: u64, pointer: &Pointer) -> bool {
        if pointer.null != 0 {
            if !same(&mut self.bound.null, pointer.null, u64::from(holds == 0)) {
                return false;
            }
            if holds == 0 {
                return true;
            }
        }
        let (now, off) = (self.now, &pointer.off.num);
        let fits = |start: u64| off.contains(holds.wrapping_sub(start));
        let start = off.value().map(|off| holds.wrapping_sub(off));
        let own = |map| match map {
            MapRef::Own(index) => Some(index),
            MapRef::Inner(_) => None,
        };
        let inside = match pointer.kind {
            Kind::Stack(depth) => fits(now.frame_end(depth.into())),
            Kind::Context => fits(now.context()),
            Kind::Map(map) => start.is_some_and(|start| now.is_map(start, own(map))),
            Kind::Value(map) => {
                now.values(own(map)).into_iter().any(fits)
                    // Those of other threads are handed out one by one.
                    || now.is_handed_out(0, fits)
            }
            Kind::Key(_) => now.is_key(fits),
            Kind::Argument(index) | Kind::Buffer(index) => now.argument(index.into()).is_some_and(fits),
            Kind::Memory { dynptr: 0, .. } if self.trace.memory => {
                now.memory().is_some_and(|memory| fits(memory.addr()))
            }
            Kind::Memory { size, access, .. } => match start {
                Some(start) => now.may(start, size as usize, access),
                None => now.is_handed_out(size as usize, fits) || now.is_record(size as usize, fits),
            },
            Kind::Record { size, .. } => now.is_record(size as usize, fits),
            Kind::Function(slot) => start.is_some_and(|start| now.is_function(start, slot)),
        };
        let base = match pointer.kind {
            Kind::Stack(depth) => Some(now.frame_end(depth.into())),
            Kind::Argument(index) => now.argument(index.into()),
            Kind::Memory { dynptr: 0, .. } if self.trace.memory => now.memory().map(|memory| memory.addr()),
            _ => None,
        };
        let named = base.filter(|_| self.counts(pointer.off.node)).is_none_or(|base| {
            let off = holds.wrapping_sub(base);
            same(&mut self.bound.linked, pointer.off.id, off.wrapping_sub(pointer.off.delta))
        });
        inside && named && start.is_none_or(|start| same(&mut self.bound.objects, pointer.object, start))
    }
}

/// A state a run is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Here {
    state: usize,
    /// As a whole.
    whole: bool,
    /// As far as is known.
    unsure: bool,
    /// What names of numbers stand for, also of those that are held nowhere any more.
    names: Vec<(Id, u64)>,
}

/// Follows a run through a trace.
#[doc(hidden)]
#[derive(Debug)]
pub struct Follower<'t> {
    trace: &'t Trace,
    insns: &'t [Insn],
    /// The states the run may be in.
    at: Vec<Here>,
    /// Where it is not followed: before its start, or in another program.
    lost: bool,
    started: bool,
    checked: u64,
    whole: u64,
    wrong: Option<String>,
}

impl<'t> Follower<'t> {
    /// For one run of the program that was traced.
    pub fn new(trace: &'t Trace, program: &'t Program) -> Self {
        Follower {
            trace,
            insns: &program.insns,
            at: Vec::new(),
            lost: false,
            started: false,
            checked: 0,
            whole: 0,
            wrong: None,
        }
    }

    /// Instructions that were looked at.
    pub fn checked(&self) -> u64 {
        self.checked
    }

    /// Of these, at how many a state was true as a whole.
    pub fn whole(&self) -> u64 {
        self.whole
    }

    /// What is true of the run and of no state.
    pub fn wrong(&self) -> Option<&str> {
        self.wrong.as_deref()
    }

    /// Whether a state is true of the run that knows these names: as a whole, or what matters of it.
    fn holds(&self, now: &Moment<'_, '_, '_>, index: usize, names: &[(Id, u64)]) -> Result<Here, Wrong> {
        let mut why = Wrong { depth: 0, place: Place::Call, holds: 0 };
        for whole in [true, false] {
            let bound = Bound { linked: names.to_vec(), ..Bound::default() };
            let mut check = Check { trace: self.trace, now, whole, unsure: false, bound };
            match check.state(&self.trace.states[index]) {
                Ok(()) => {
                    let (unsure, names) = (check.unsure, check.bound.linked);
                    return Ok(Here { state: index, whole: whole && !unsure, unsure, names });
                }
                Err(wrong) => why = wrong,
            }
        }
        Err(why)
    }

    /// The states a state leads to, the ones in passing aside: behind a callback stands, for the verifier, the call that called
    /// it, which the run does not execute again.
    fn next(&self, from: usize) -> Vec<To> {
        let state = &self.trace.states[from];
        let callback = state.frames.last().is_some_and(|frame| matches!(frame.entered, Entered::Callback(_)));
        let next = &self.trace.next[from];
        if !(callback && self.insns[state.pc].code == op::EXIT_INSN) {
            return next.clone();
        }
        let further = |to: &To| {
            let cut = to.cut;
            self.trace.next[to.state].iter().map(move |next| To { state: next.state, cut: cut || next.cut })
        };
        next.iter().flat_map(further).collect()
    }

    /// Whether the instruction is the second of two that are one to the verifier.
    fn is_second(&self, now: &Moment<'_, '_, '_>, from: usize) -> bool {
        let first = self.trace.states[from].pc;
        let fused = self.insns[first].code == op::ALU64 | op::LSH && now.pc() == first + 1;
        let next = &self.trace.next[from];
        fused && !next.is_empty() && next.iter().all(|to| self.trace.states[to.state].pc == first + 2)
    }

    fn step(&mut self, now: &Moment<'_, '_, '_>) -> Result<(), String> {
        let mut reached: Vec<Here> = Vec::new();
        let mut why = String::new();
        for here in &self.at {
            if self.is_second(now, here.state) {
                reached.push(here.clone());
                continue;
            }
            let mut kept = false;
            for to in self.next(here.state) {
                let state = &self.trace.states[to.state];
                if state.pc != now.pc() || state.frames.len() != now.depth() + 1 {
                    continue;
                }
                // The names of a state that covers this one are its own.
                let names = if to.cut { &[][..] } else { &here.names };
                match self.holds(now, to.state, names) {
                    Ok(next) if next.whole || next.unsure || !here.whole || to.cut => {
                        kept = true;
                        reached.push(next);
                    }
                    Ok(_) => {
                        let bound = Bound { linked: names.to_vec(), ..Bound::default() };
                        let mut check = Check { trace: self.trace, now, whole: true, unsure: false, bound };
                        if let Err(wrong) = check.state(state) {
                            why += &format!("; as a whole, {}", wrong.text(state));
                        }
                    }
                    Err(wrong) => why += &format!("; {}", wrong.text(state)),
                }
            }
            if here.whole && !kept {
                reached.clear();
                break;
            }
        }
        if reached.is_empty() {
            let before: Vec<usize> = self.at.iter().map(|here| self.trace.states[here.state].pc).collect();
            return Err(format!("no state holds at {} behind {before:?}{why}", now.pc()));
        }
        reached.sort_unstable();
        reached.dedup();
        self.whole += u64::from(reached.iter().any(|here| here.whole));
        self.at = reached;
        Ok(())
    }
}

impl Observer for Follower<'_> {
    fn before(&mut self, now: &Moment<'_, '_, '_>) {
        if self.lost || self.wrong.is_some() || self.checked == MOST_FOLLOWED {
            return;
        }
        if !std::ptr::eq(self.insns, now.program().insns.as_slice()) {
            self.lost = true;
            return;
        }
        self.checked += 1;
        if !std::mem::replace(&mut self.started, true) {
            self.whole += 1;
            let first = (!self.trace.states.is_empty()).then(|| self.holds(now, 0, &[]));
            match first {
                Some(Ok(here)) if here.whole => self.at.push(here),
                other => self.wrong = Some(format!("the first state does not hold: {other:?}")),
            }
            return;
        }
        self.wrong = self.step(now).err();
    }
}
