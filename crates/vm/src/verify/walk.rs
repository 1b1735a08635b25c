//! The walk over all paths: checkpoints, what of them makes another path superfluous, and loops.

use super::compare::{Comparison, Differed, Ids, live, live_slots};
use super::effects::Uses;
use super::flow::{Flow, is_again};
use super::globals::{Summary, arguments};
use super::join::{thresholds, widened};
use super::marks::Marks;
use super::reject::{Branch, Rejection, Rule};
use super::returns::Returned;
use super::state::{Entered, Frame, Id, Kind, Pointer, REGS, Scalar, Slot, State, Value};
use super::watch::Watch;
use super::{Entry as Start, Limits, REGION_NONE};
use crate::insn::op;
use crate::program::{Function, Program};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

/// No checkpoint.
const NOWHERE: u32 = u32::MAX;
/// States remembered for one instruction: what was seen before is forgotten.
const MOST_COMPARED: usize = 24;

/// What became of the paths from a state that was seen. The state itself may have been forgotten.
struct Checkpoint {
    /// The one passed before.
    parent: u32,
    /// Paths from here that have not ended.
    open: u32,
    /// The oldest open checkpoint that a path from here ended at: until that one is closed, what matters here is
    /// not all known.
    waits: u32,
    /// Instructions of the path to here.
    insns: u32,
    /// Instructions of the longest path from here to the end; [`ENDLESS`] if a loop is in it that was not walked to its
    /// end.
    longest: u32,
}

/// See [`Checkpoint::longest`].
const ENDLESS: u32 = u32::MAX;

/// A state that is remembered.
struct Seen {
    /// Its checkpoint.
    index: u32,
    state: State,
    /// About how many bytes it takes.
    size: usize,
    /// Where the state it was compared with last was another, which is likely where the next is.
    differed: Option<Differed>,
}

/// A branch that was taken.
#[derive(Clone, Copy)]
struct Taken {
    /// The one before it.
    before: u32,
    /// The slot, and in the lowest bit whether it jumped.
    slot: u32,
}

/// Rounds of a loop before one state for all is tried.
const FIRST_ATTEMPT: u32 = 8;
/// Attempts within attempts.
const MOST_ATTEMPTS: u32 = 16;
/// Branches told of in a rejection.
const MOST_SHOWN: usize = 100;

/// What an instruction leads to.
pub(super) enum Next {
    /// The next instruction of the state.
    On,
    /// The path ends.
    End,
}

/// One verification.
pub(super) struct Walker<'p> {
    pub(super) program: &'p Arc<Program>,
    pub(super) start: Start<'p>,
    pub(super) limits: Limits,
    pub(super) flow: Flow,
    pub(super) marks: Marks,
    pub(super) uses: Uses,
    /// By the slot of a call: the only map it was given, if there is only one.
    pub(super) calls: BTreeMap<usize, Option<u32>>,
    points: Vec<Checkpoint>,
    /// States remembered by slot, oldest first.
    at: Vec<Vec<Seen>>,
    /// The slot and checkpoint of each state remembered, and of some already forgotten, oldest first.
    age: VecDeque<(u32, u32)>,
    /// Bytes of all states remembered.
    bytes: usize,
    todo: Vec<State>,
    /// What waits for an attempt in progress.
    suspended: Vec<Vec<State>>,
    branches: Vec<Taken>,
    pub(super) processed: u64,
    next_id: Id,
    /// Whether a loop was proved without walking it to its end.
    pub(super) joined: bool,
    pub(super) reached: Vec<bool>,
    pub(super) deepest: usize,
    pub(super) thresholds: Vec<u64>,
    /// By slot: rounds that brought something new, and at how many one state for all is tried.
    rounds: Vec<(u32, u32)>,
    /// Attempts in progress.
    attempts: u32,
    /// The first checkpoint of the attempt in progress.
    attempt_start: u32,
    /// How far the attempt in progress may go.
    attempt_end: u64,
    /// For comparisons.
    ids: Ids,
    /// The function that is proved by itself, if it is not the program's entry.
    pub(super) function: Option<&'p Function>,
    /// Functions that are not walked into, by their first slots.
    pub(super) globals: BTreeMap<usize, Rc<Summary>>,
    /// Dynptrs of buffers by name, and the buffers among the arguments.
    pub(super) buffers: BTreeMap<Id, u8>,
    /// What the program returns, if that is asked for.
    pub(super) returned: Option<Returned>,
    /// Who is shown all of it, if anybody.
    pub(super) watch: Option<&'p mut (dyn Watch + 'p)>,
}

impl<'p> Walker<'p> {
    pub(super) fn new(program: &'p Arc<Program>, start: Start<'p>, limits: Limits) -> Self {
        let count = program.insns.len();
        Walker {
            program,
            start,
            limits,
            flow: Flow::new(program),
            marks: Marks::default(),
            uses: Uses::default(),
            calls: BTreeMap::new(),
            points: Vec::new(),
            at: std::iter::repeat_with(Vec::new).take(count).collect(),
            age: VecDeque::new(),
            bytes: 0,
            todo: Vec::new(),
            suspended: Vec::new(),
            branches: Vec::new(),
            processed: 0,
            next_id: REGION_NONE,
            joined: false,
            reached: vec![false; count],
            deepest: 0,
            thresholds: thresholds(program),
            rounds: vec![(0, FIRST_ATTEMPT); count],
            attempts: 0,
            attempt_start: 0,
            attempt_end: u64::MAX,
            ids: Ids::default(),
            function: None,
            globals: BTreeMap::new(),
            buffers: BTreeMap::new(),
            returned: None,
            watch: None,
        }
    }

    /// A name nobody has yet.
    pub(super) fn fresh(&mut self) -> Id {
        self.next_id += 1;
        self.next_id
    }

    /// The last name somebody has.
    pub(super) fn last(&self) -> Id {
        self.next_id
    }

    /// Walks all paths. Gives the instructions of the longest, if every loop was walked to its end.
    pub(super) fn walk(&mut self) -> Result<Option<u64>, Box<Rejection>> {
        let mut first = Frame::new(0, 0, Entered::Call);
        match self.start {
            Start::Context(_) => first.regs[1] = Value::Pointer(Pointer::new(Kind::Context)),
            Start::Memory { size } => {
                let kind = Kind::Memory { size, access: crate::mem::Access::ReadWrite, dynptr: 0 };
                first.regs[1] = Value::Pointer(Pointer::new(kind));
                first.regs[2] = Value::constant(size.into());
            }
        }
        let mut pc = 0;
        if let Some(function) = self.function {
            pc = function.start;
            let arguments = function.signature.as_ref().map(|signature| arguments(self, signature));
            first.regs[1..6].fill(Value::None);
            first.regs[1..].iter_mut().zip(arguments.unwrap_or_default()).for_each(|(to, value)| *to = value);
        }
        let mut state = State {
            pc,
            frames: vec![Rc::new(first)],
            references: Vec::new(),
            facts: Vec::new(),
            lock: None,
            moved: Vec::new(),
            parent: NOWHERE,
            insns: 0,
            since: 0,
            jumps: 0,
            rounds: 0,
            branch: NOWHERE,
            walked: None,
        };
        if self.program.insns.is_empty() {
            return Err(Box::new(self.rejection(&state, Rule::Instruction { code: 0 })));
        }
        self.checkpoint(&mut state);
        self.todo.push(state);
        while let Some(mut state) = self.todo.pop() {
            if let Err(rule) = self.follow(&mut state) {
                return Err(Box::new(self.rejection(&state, *rule)));
            }
        }
        let longest = self.points.first().map(|point| point.longest);
        Ok(longest.filter(|longest| *longest != ENDLESS).map(u64::from))
    }

    /// Follows one path to its end.
    fn follow(&mut self, state: &mut State) -> Result<(), Box<Rule>> {
        if let Some(watch) = &mut self.watch {
            let branch = self.branches.get(state.branch as usize).map(|taken| (taken.slot >> 1) as usize);
            watch.takes_up(state, branch, &self.marks);
        }
        loop {
            if self.marks.is_full() && self.watch.as_ref().is_none_or(|watch| !watch.keeps_nodes()) {
                self.collect(state);
            }
            let pc = state.pc;
            let Some(&insn) = self.program.insns.get(pc) else {
                return Err(Rule::Instruction { code: 0 }.into());
            };
            // A state just remembered is not to be found superfluous for that.
            let remembered = state.since == 0;
            if self.flow.meets[pc] && !remembered && self.arrive(state)? {
                return Ok(());
            }
            self.processed += 1;
            if self.processed > self.limits.insns.min(self.attempt_end) {
                return Err(Rule::TooComplex { processed: self.processed - 1 }.into());
            }
            self.reached[pc] = true;
            if let Some(watch) = &mut self.watch {
                watch.before(state, &self.marks);
            }
            state.insns += 1;
            state.since += 1;
            let ends = matches!(self.step(state, insn)?, Next::End);
            if let Some(watch) = &mut self.watch {
                watch.after(state, ends, &self.marks);
            }
            if ends {
                self.end(state, 0, NOWHERE);
                return Ok(());
            }
        }
    }

    /// Where paths meet: whether one that was here before makes this one superfluous.
    fn arrive(&mut self, state: &mut State) -> Result<bool, Box<Rule>> {
        let again = is_again(self.program, state.pc) || self.program.insns[state.pc].code == op::MAY_GOTO;
        self.forget_dead(state);
        Walker::forget_facts(state);
        if again {
            self.widen(state);
        }
        let mut found = None;
        let mut ids = std::mem::take(&mut self.ids);
        let (points, at) = (&self.points, &mut self.at[state.pc]);
        for (position, seen) in at.iter_mut().enumerate().rev() {
            let is_open = points[seen.index as usize].open > 0;
            let unfinished = is_open || oldest_open(points, seen.index) != NOWHERE;
            let comparison = Comparison { marks: &self.marks, flow: &self.flow, all: unfinished };
            ids.clear();
            let differs = |known| comparison.differs(&seen.state, state, known, &mut ids);
            if seen.differed.as_ref().is_some_and(differs) {
                continue;
            }
            ids.clear();
            if let Err(place) = comparison.covers(&seen.state, state, &mut ids) {
                seen.differed = place.map(|place| comparison.differed(&seen.state, place));
                continue;
            }
            // Round and round. The same state with no progress never ends; one that stands for many rounds may.
            if is_open && seen.state.rounds == state.rounds && !again && self.attempts == 0 {
                ids.clear();
                let comparison = Comparison { all: true, ..comparison };
                if comparison.covers(state, &seen.state, &mut ids).is_ok() {
                    return Err(Rule::InfiniteLoop.into());
                }
            }
            found = Some((position, seen.index, unfinished, is_open));
            break;
        }
        self.ids = ids;
        if let Some((position, index, unfinished, is_open)) = found {
            self.joined |= is_open;
            let longest = if unfinished { ENDLESS } else { self.points[index as usize].longest };
            let waits = match (unfinished, is_open) {
                (false, _) => NOWHERE,
                (true, true) => index,
                (true, false) => oldest_open(&self.points, index),
            };
            self.inherit(position, state);
            if let Some(watch) = &mut self.watch {
                watch.covered(state, index);
            }
            self.end(state, longest, waits);
            return Ok(true);
        }
        if again || (state.jumps >= 2 && state.since >= 8) {
            if let Some(last) = self.at[state.pc].last()
                && self.points[last.index as usize].open > 0
            {
                let (rounds, attempt) = &mut self.rounds[state.pc];
                *rounds += 1;
                // What an attempt found is widened again at once.
                let widened =
                    self.attempts > 0 && last.index >= self.attempt_start && *rounds * 4 >= *attempt;
                if (*rounds >= *attempt || widened) && self.attempts < MOST_ATTEMPTS {
                    *attempt = *rounds * 4;
                    if self.attempt(state) {
                        return Ok(true);
                    }
                }
            }
            self.checkpoint(state);
        }
        Ok(false)
    }

    /// Tries to prove one state for this round of a loop and all that follow, instead of walking them.
    fn attempt(&mut self, state: &State) -> bool {
        let last = self.at[state.pc].last();
        let Some(mut wide) = last.and_then(|last| widened(self, &last.state, state)) else {
            return false;
        };
        let points = self.points.len();
        let mut todo = std::mem::take(&mut self.todo);
        todo.push(state.clone());
        self.suspended.push(todo);
        let (joined, uses, calls) = (self.joined, self.uses.clone(), self.calls.clone());
        let (end, deepest, reached) = (self.attempt_end, self.deepest, self.reached.clone());
        let start = std::mem::replace(&mut self.attempt_start, points as u32);
        if let Some(watch) = &mut self.watch {
            watch.tries();
        }
        self.attempts += 1;
        self.attempt_end = end.min(self.processed + self.limits.insns / 8);
        self.joined = true;
        // In place of the state: it ends where the state would have.
        self.checkpoint(&mut wide);
        self.todo.push(wide);
        let mut failed = None;
        while let Some(mut next) = self.todo.pop() {
            failed = self.follow(&mut next).err();
            if failed.is_some() {
                break;
            }
        }
        if let Some(watch) = &mut self.watch {
            watch.tried(state, failed.as_deref(), &self.marks);
        }
        self.attempts -= 1;
        self.attempt_start = start;
        self.attempt_end = end;
        self.todo = self.suspended.pop().unwrap_or_default();
        self.todo.pop();
        if failed.is_none() {
            self.rounds[state.pc] = (0, FIRST_ATTEMPT);
            return true;
        }
        // As if it had not been: no path of it has come back to an older checkpoint.
        self.points.truncate(points);
        for list in &mut self.at {
            while let Some(last) = list.pop_if(|last| last.index as usize >= points) {
                self.bytes -= last.size;
            }
        }
        while self.age.pop_back_if(|(_, index)| *index as usize >= points).is_some() {}
        (self.joined, self.uses, self.calls) = (joined, uses, calls);
        (self.deepest, self.reached) = (deepest, reached);
        false
    }

    /// Forgets registers and slots that are not read again. They are not compared, so nothing may follow from them
    /// either, not by way of numbers linked with them.
    fn forget_dead(&self, state: &mut State) {
        for depth in 0..state.frames.len() {
            let waits = depth + 1 < state.frames.len();
            if waits && state.frames[depth].is_settled {
                continue;
            }
            let live = live(&self.flow, state, depth);
            let dead = |(register, value): (usize, &Value)| {
                live >> register & 1 == 0 && !matches!(value, Value::None)
            };
            if state.frames[depth].regs[..REGS - 1].iter().enumerate().any(dead) {
                for (register, value) in state.frame_mut(depth).regs[..REGS - 1].iter_mut().enumerate() {
                    if live >> register & 1 == 0 {
                        *value = Value::None;
                    }
                }
            }
            if self.forget_slots(state, depth) && waits {
                Rc::make_mut(&mut state.frames[depth]).is_settled = true;
            }
        }
    }

    /// Forgets slots of a frame that are not read again, unless their address may be held. Whether none is left.
    pub(super) fn forget_slots(&self, state: &mut State, depth: usize) -> bool {
        let dead = state.frames[depth].forgettable(live_slots(&self.flow, state, depth));
        if dead != 0 {
            if state.has_address_in(depth) {
                return false;
            }
            state.frame_mut(depth).forget(dead);
        }
        true
    }

    /// Forgets the numbers that differ from round to round and have not mattered so far, so that rounds become alike.
    fn widen(&self, state: &mut State) {
        let same_calls = |old: &State| {
            old.frames.len() == state.frames.len()
                && old.frames.iter().zip(&state.frames).all(|(a, b)| a.call == b.call)
        };
        let is_open = |seen: &&Seen| self.points[seen.index as usize].open > 0;
        let mut all = self.at[state.pc].iter().rev();
        let Some(Seen { state: old, .. }) = all.find(|seen| is_open(seen) && same_calls(&seen.state)) else {
            return;
        };
        let marks = &self.marks;
        let forget = |old: &Value, new: &mut Value| {
            if let (Value::Scalar(old), Value::Scalar(new)) = (old, new)
                && !marks.is_marked(old.node)
            {
                if old.num != new.num {
                    *new = Scalar { node: new.node, ..Scalar::ANY };
                } else {
                    new.forget_drift(old);
                }
            }
        };
        for (old, new) in old.frames.iter().zip(&mut state.frames) {
            let new = Frame::change(new);
            for (old, new) in old.regs.iter().zip(&mut new.regs) {
                forget(old, new);
            }
            for (index, old) in old.entries().enumerate() {
                let Some(entry) = new.entry(index) else { break };
                if let (Some(old), Some(value)) = (old.value(), entry.value()) {
                    let mut known = value;
                    forget(&old, &mut known);
                    if known != value {
                        new.replace(index, Slot::Full(Rc::new(known)));
                    }
                } else if let (Some(old), Some(mut halves)) = (old.halves(), entry.halves()) {
                    let before = halves;
                    for (old, new) in old.iter().zip(&mut halves) {
                        if let (Some((old, _)), Some((number, _))) = (&old.number, &new.number)
                            && !marks.is_marked(old.node)
                            && old.num != number.num
                        {
                            new.number = None;
                        }
                    }
                    if halves != before {
                        new.replace(index, Slot::Halves(Rc::new(halves)));
                    }
                }
            }
        }
    }

    /// What matters at a checkpoint matters to a path that ended there.
    fn inherit(&mut self, position: usize, state: &State) {
        let old = &self.at[state.pc][position].state;
        let marks = &mut self.marks;
        let follow = |marks: &mut Marks, old: &Value, new: &Value| match (old, new) {
            (Value::Scalar(old), Value::Scalar(new)) => marks.follow(old.node, new.node),
            (Value::Pointer(old), Value::Pointer(new)) => marks.follow(old.off.node, new.off.node),
            _ => {}
        };
        for old in &old.facts {
            // One of these it was found to be.
            for new in state.facts.iter().filter(|new| new.relation == old.relation) {
                marks.follow(old.node, new.node);
                for (a, b) in old.terms.iter().zip(&new.terms) {
                    marks.follow(a.node, b.node);
                    marks.follow(old.node, b.node);
                }
            }
        }
        for (old, new) in old.frames.iter().zip(&state.frames).filter(|(old, new)| !Rc::ptr_eq(old, new)) {
            for (old, new) in old.regs.iter().zip(&new.regs) {
                follow(marks, old, new);
            }
            for (before, entry) in old.held_in_both(new) {
                let ([low, high], parts) = (before.nodes.parts, entry.nodes.parts);
                marks.follow(before.nodes.read, entry.nodes.read);
                match (before.slot, entry.slot) {
                    (Slot::Full(a), Slot::Full(b)) => match (&**a, &**b) {
                        (Value::Scalar(_), Value::Scalar(_)) | (Value::Pointer(_), Value::Pointer(_)) => {
                            marks.follow(low, parts[0]);
                        }
                        _ => {}
                    },
                    (Slot::Halves(_), Slot::Halves(_)) => {
                        marks.follow(low, parts[0]);
                        marks.follow(high, parts[1]);
                    }
                    // Bytes that were zero there, and a zero here.
                    (Slot::Bytes(1..), Slot::Full(_)) => marks.follow(before.nodes.read, parts[0]),
                    _ => {}
                }
            }
            // What the old state never touched has no node there: it may have been read, as zeros.
            for entry in new.held_beyond(old) {
                marks.mark(entry.nodes.read);
                if matches!(entry.value(), Some(Value::Scalar(_))) {
                    marks.mark(entry.nodes.parts[0]);
                }
            }
        }
    }

    /// Remembers the state.
    fn checkpoint(&mut self, state: &mut State) {
        let marks = &mut self.marks;
        for fact in &mut state.facts {
            fact.terms.iter_mut().for_each(|term| term.node = marks.boundary(term.node));
            fact.node = marks.boundary(fact.node);
        }
        // Functions that wait and hold what they held at the last checkpoint share its nodes: what matters of them does
        // so behind both.
        let top = state.frames.len() - 1;
        for depth in 0..=top {
            if depth == top || !state.frames[depth].is_own {
                state.frame_mut(depth).each_own(|node| marks.boundary(node));
            }
        }
        let index = self.points.len() as u32;
        let insns = u32::try_from(state.insns).unwrap_or(u32::MAX);
        self.points.push(Checkpoint { parent: state.parent, open: 1, waits: NOWHERE, insns, longest: 0 });
        let size = state.size();
        self.bytes += size;
        let list = &mut self.at[state.pc];
        // What was there before an attempt is still wanted should it fail.
        let own = list.partition_point(|seen| self.attempts > 0 && seen.index < self.attempt_start);
        if list.len() - own >= MOST_COMPARED {
            self.bytes -= list.remove(own).size;
        }
        list.push(Seen { index, state: state.clone(), size, differed: None });
        self.age.push_back((state.pc as u32, index));
        self.forget_old();
        if let Some(watch) = &mut self.watch {
            watch.remembered(self.at[state.pc].len(), self.at.iter().map(Vec::len).sum());
        }
        state.parent = index;
        (state.since, state.jumps) = (0, 0);
    }

    /// Forgets the oldest states until those that are left are no more than [`Limits::memory`] allows.
    fn forget_old(&mut self) {
        while self.bytes > self.limits.memory {
            let Some((slot, index)) = self.age.pop_front() else { return };
            let list = &mut self.at[slot as usize];
            if let Ok(position) = list.binary_search_by_key(&index, |seen| seen.index) {
                self.bytes -= list.remove(position).size;
            }
        }
        // Those that were forgotten because there were too many at one instruction.
        if self.age.len() >= 1024 && self.age.len() > 64 * self.at.len() {
            let at = &self.at;
            self.age.retain(|(slot, index)| {
                at[*slot as usize].binary_search_by_key(index, |seen| seen.index).is_ok()
            });
        }
    }

    /// Takes back what was noted of numbers that are held nowhere any more.
    fn collect(&mut self, state: &State) {
        let (at, todo, suspended) = (&self.at, &self.todo, &self.suspended);
        self.marks.collect(|does| {
            state.each_node(&mut *does);
            todo.iter().chain(suspended.iter().flatten()).for_each(|state| state.each_node(&mut *does));
            at.iter().flatten().for_each(|seen| seen.state.each_node(&mut *does));
        });
    }

    /// A path ends, `longest` instructions before the program does, waiting for a checkpoint or not.
    fn end(&mut self, state: &State, longest: u32, waits: u32) {
        let (mut index, mut longest, mut waits) = (state.parent, longest, waits);
        let mut insns = u32::try_from(state.insns).unwrap_or(u32::MAX);
        while index != NOWHERE {
            let point = &mut self.points[index as usize];
            point.longest = if point.longest == ENDLESS || longest == ENDLESS {
                ENDLESS
            } else {
                point.longest.max(longest.saturating_add(insns - point.insns))
            };
            // A checkpoint does not wait for itself.
            if waits < index {
                point.waits = point.waits.min(waits);
            }
            point.open -= 1;
            if point.open > 0 {
                return;
            }
            (longest, waits, insns) = (point.longest, point.waits, point.insns);
            index = point.parent;
        }
    }

    /// Another path goes on from `state`.
    pub(super) fn fork(&mut self, mut state: State, taken: bool, slot: usize) -> Result<(), Box<Rule>> {
        if self.todo.len() >= self.limits.branches {
            return Err(Rule::TooComplex { processed: self.processed }.into());
        }
        self.points[state.parent as usize].open += 1;
        self.note(&mut state, slot, taken);
        self.todo.push(state);
        Ok(())
    }

    /// Notes the branch a state takes.
    pub(super) fn note(&mut self, state: &mut State, slot: usize, taken: bool) {
        state.jumps += 1;
        self.branches.push(Taken { before: state.branch, slot: (slot as u32) << 1 | u32::from(taken) });
        state.branch = (self.branches.len() - 1) as u32;
    }

    fn rejection(&self, state: &State, rule: Rule) -> Rejection {
        let slot = state.pc.min(self.program.insns.len().saturating_sub(1));
        let mut path = Vec::new();
        let mut at = state.branch;
        while let (Some(branch), true) = (self.branches.get(at as usize), path.len() < MOST_SHOWN) {
            let slot = (branch.slot >> 1) as usize;
            // Numbers that are walked one by one are none.
            if !matches!(self.program.insns[slot].class(), op::ALU | op::ALU64) {
                let line = self.program.line(slot).cloned();
                path.push(Branch { slot, taken: branch.slot & 1 == 1, line });
            }
            at = branch.before;
        }
        path.reverse();
        Rejection {
            program: self.program.name.clone(),
            slot,
            insn: crate::disasm::first_line(&self.program.insns[slot..])
                .map_or(String::new(), |(text, _)| text),
            rule,
            line: self.program.line(slot).cloned(),
            path,
            processed: self.processed,
        }
    }

    /// Checkpoints made.
    pub(super) fn checkpoints(&self) -> usize {
        self.points.len()
    }
}

/// The open checkpoint that a closed one waits for: what matters at it is not all known yet.
fn oldest_open(points: &[Checkpoint], index: u32) -> u32 {
    let mut waits = points[index as usize].waits;
    while waits != NOWHERE && points[waits as usize].open == 0 {
        waits = points[waits as usize].waits;
    }
    waits
}
