//! The walk over all paths: checkpoints, what of them makes another path superfluous, and loops.

use super::compare::{Ids, covers, facts_cover, live};
use super::effects::Uses;
use super::flow::{Flow, is_again};
use super::join::{thresholds, widened};
use super::reject::{Branch, Rejection, Rule};
use super::state::{Entered, Entry, Frame, Half, Id, Kind, Marks, Pointer, Slot, State, Value};
use super::{Entry as Start, Limits, REGION_NONE};
use crate::insn::op;
use crate::program::Program;
use std::rc::Rc;

/// No checkpoint.
const NOWHERE: usize = usize::MAX;
/// Checkpoints compared with at one instruction.
const MOST_COMPARED: usize = 24;

/// A state that was seen, and what became of it.
pub(super) struct Checkpoint {
    pub(super) state: State,
    /// Paths from here that have not ended.
    open: u32,
    /// The oldest open checkpoint that a path from here ended at: until that one is closed, what matters here is
    /// not all known.
    waits: usize,
    /// Instructions of the longest path from here to the end; `None` if a loop is in it that was not walked to its end.
    longest: Option<u64>,
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
    pub(super) program: &'p Program,
    pub(super) start: Start<'p>,
    pub(super) limits: Limits,
    pub(super) flow: Flow,
    pub(super) marks: Marks,
    pub(super) uses: Uses,
    /// By the slot of a call: the only map it was given, if there is only one.
    pub(super) calls: std::collections::BTreeMap<usize, Option<u32>>,
    points: Vec<Checkpoint>,
    /// Checkpoints by slot, oldest first.
    at: Vec<Vec<usize>>,
    todo: Vec<State>,
    /// Branches taken: the one before, slot, and whether it jumped.
    branches: Vec<(usize, usize, bool)>,
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
    attempt_start: usize,
    /// How far the attempt in progress may go.
    attempt_end: u64,
}

impl<'p> Walker<'p> {
    pub(super) fn new(program: &'p Program, start: Start<'p>, limits: Limits) -> Self {
        let count = program.insns.len();
        Walker {
            program,
            start,
            limits,
            flow: Flow::new(program),
            marks: Marks::default(),
            uses: Uses::default(),
            calls: std::collections::BTreeMap::new(),
            points: Vec::new(),
            at: vec![Vec::new(); count],
            todo: Vec::new(),
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
        }
    }

    /// A name nobody has yet.
    pub(super) fn fresh(&mut self) -> Id {
        self.next_id += 1;
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
        let mut state = State {
            pc: 0,
            frames: vec![first],
            references: Vec::new(),
            facts: Vec::new(),
            lock: None,
            parent: NOWHERE,
            insns: 0,
            since: 0,
            jumps: 0,
            rounds: 0,
            branch: NOWHERE,
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
        Ok(self.points.first().and_then(|point| point.longest))
    }

    /// Follows one path to its end.
    fn follow(&mut self, state: &mut State) -> Result<(), Box<Rule>> {
        loop {
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
            state.insns += 1;
            state.since += 1;
            if matches!(self.step(state, insn)?, Next::End) {
                self.end(state, Some(0), NOWHERE);
                return Ok(());
            }
        }
    }

    /// Where paths meet: whether one that was here before makes this one superfluous.
    fn arrive(&mut self, state: &mut State) -> Result<bool, Box<Rule>> {
        let again = is_again(self.program, state.pc) || self.program.insns[state.pc].code == op::MAY_GOTO;
        self.forget_dead(state);
        Walker::forget_facts(state);
        let candidates: Vec<usize> = self.at[state.pc].iter().rev().take(MOST_COMPARED).copied().collect();
        if again {
            self.widen(state, &candidates);
        }
        for index in candidates {
            let unfinished = self.is_unfinished(index);
            let point = &self.points[index];
            let mut ids = Ids::default();
            if !covers(&point.state, state, &self.marks, &self.flow, unfinished, &mut ids)
                || !facts_cover(&point.state, state, &self.marks, unfinished, &mut ids)
            {
                continue;
            }
            if point.open > 0 {
                // Round and round. The same state with no progress never ends; one that stands for many rounds may.
                if point.state.rounds == state.rounds && !again && self.attempts == 0 {
                    let mut ids = Ids::default();
                    if covers(state, &point.state, &self.marks, &self.flow, true, &mut ids) {
                        return Err(Rule::InfiniteLoop.into());
                    }
                }
                self.joined = true;
            }
            let longest = if unfinished { None } else { point.longest };
            let waits = if !unfinished {
                NOWHERE
            } else if point.open > 0 {
                index
            } else {
                self.oldest_open(index)
            };
            self.inherit(index, state);
            self.end(state, longest, waits);
            return Ok(true);
        }
        if again || (state.jumps >= 2 && state.since >= 8) {
            if let Some(&last) = self.at[state.pc].last()
                && self.points[last].open > 0
            {
                let (rounds, attempt) = &mut self.rounds[state.pc];
                *rounds += 1;
                // What an attempt found is widened again at once.
                let widened = self.attempts > 0 && last >= self.attempt_start && *rounds * 4 >= *attempt;
                if (*rounds >= *attempt || widened) && self.attempts < MOST_ATTEMPTS {
                    *attempt = *rounds * 4;
                    if self.attempt(state, last) {
                        return Ok(true);
                    }
                }
            }
            self.checkpoint(state);
        }
        Ok(false)
    }

    /// Tries to prove one state for this round of a loop and all that follow, instead of walking them.
    fn attempt(&mut self, state: &State, last: usize) -> bool {
        let Some(mut wide) = widened(self, &self.points[last].state, state) else {
            return false;
        };
        let points = self.points.len();
        let todo = std::mem::take(&mut self.todo);
        let (joined, uses, calls) = (self.joined, self.uses.clone(), self.calls.clone());
        let (end, deepest, reached) = (self.attempt_end, self.deepest, self.reached.clone());
        let start = std::mem::replace(&mut self.attempt_start, points);
        self.attempts += 1;
        self.attempt_end = end.min(self.processed + self.limits.insns / 8);
        self.joined = true;
        // In place of the state: it ends where the state would have.
        self.checkpoint(&mut wide);
        self.todo.push(wide);
        let mut proved = true;
        while let Some(mut next) = self.todo.pop() {
            if self.follow(&mut next).is_err() {
                proved = false;
                break;
            }
        }
        self.attempts -= 1;
        self.attempt_start = start;
        self.attempt_end = end;
        self.todo = todo;
        if proved {
            self.rounds[state.pc] = (0, FIRST_ATTEMPT);
            return true;
        }
        // As if it had not been: no path of it has come back to an older checkpoint.
        self.points.truncate(points);
        for list in &mut self.at {
            list.retain(|&index| index < points);
        }
        (self.joined, self.uses, self.calls) = (joined, uses, calls);
        (self.deepest, self.reached) = (deepest, reached);
        false
    }

    /// Forgets registers that are not read again. They are not compared, so nothing may follow from them either, not
    /// by way of numbers linked with them.
    fn forget_dead(&self, state: &mut State) {
        for depth in 0..state.frames.len() {
            let live = live(&self.flow, state, depth);
            for (register, value) in state.frames[depth].regs.iter_mut().enumerate().take(10) {
                if live >> register & 1 == 0 {
                    *value = Value::None;
                }
            }
        }
    }

    /// Forgets the numbers that differ from round to round and have not mattered so far, so that rounds become alike.
    fn widen(&mut self, state: &mut State, candidates: &[usize]) {
        let same_calls = |old: &State| {
            old.frames.len() == state.frames.len()
                && old.frames.iter().zip(&state.frames).all(|(a, b)| a.call == b.call)
        };
        let Some(&index) = candidates
            .iter()
            .find(|&&index| self.points[index].open > 0 && same_calls(&self.points[index].state))
        else {
            return;
        };
        let old = &self.points[index].state;
        let marks = &self.marks;
        let forget = |old: &Value, new: &mut Value| {
            if let (Value::Scalar(old), Value::Scalar(new)) = (old, new)
                && !marks.is_marked(old.node)
            {
                if old.num != new.num {
                    *new = super::state::Scalar { node: new.node, ..super::state::Scalar::ANY };
                } else {
                    new.forget_drift(old);
                }
            }
        };
        for (old, new) in old.frames.iter().zip(&mut state.frames) {
            for (old, new) in old.regs.iter().zip(&mut new.regs) {
                forget(old, new);
            }
            let slots = Rc::make_mut(&mut new.slots);
            for (old, new) in old.slots.iter().zip(slots) {
                match (&old.slot, &mut new.slot) {
                    (Slot::Full(old), Slot::Full(new)) => forget(old, new),
                    (Slot::Halves(old), Slot::Halves(new)) => {
                        for (old, new) in old.iter().zip(&mut **new) {
                            if let (Half::Scalar(old), Half::Scalar(scalar)) = (old, &*new)
                                && !marks.is_marked(old.node)
                                && old.num != scalar.num
                            {
                                *new = Half::Bytes(0);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Whether what matters at a checkpoint is not all known yet.
    fn is_unfinished(&self, index: usize) -> bool {
        self.points[index].open > 0 || self.oldest_open(index) != NOWHERE
    }

    /// The open checkpoint that a closed one waits for.
    fn oldest_open(&self, index: usize) -> usize {
        let mut waits = self.points[index].waits;
        while waits != NOWHERE && self.points[waits].open == 0 {
            waits = self.points[waits].waits;
        }
        waits
    }

    /// What matters at a checkpoint matters to a path that ended there.
    fn inherit(&mut self, index: usize, state: &State) {
        let old = &self.points[index].state;
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
        for (old, new) in old.frames.iter().zip(&state.frames) {
            for (old, new) in old.regs.iter().zip(&new.regs) {
                follow(marks, old, new);
            }
            for (old, new) in old.slots.iter().zip(new.slots.iter()) {
                marks.follow(old.node, new.node);
                match (&old.slot, &new.slot) {
                    (Slot::Full(old), Slot::Full(new)) => follow(marks, old, new),
                    (Slot::Halves(old), Slot::Halves(new)) => {
                        for pair in old.iter().zip(new.iter()) {
                            if let (Half::Scalar(old), Half::Scalar(new)) = pair {
                                marks.follow(old.node, new.node);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Remembers the state.
    fn checkpoint(&mut self, state: &mut State) {
        let marks = &mut self.marks;
        state.each_scalar(|scalar, _| scalar.node = marks.boundary(scalar.node));
        for fact in &mut state.facts {
            fact.node = marks.boundary(fact.node);
        }
        state.each(|value| {
            if let Value::Pointer(pointer) = value
                && pointer.off.id != 0
            {
                pointer.off.node = marks.boundary(pointer.off.node);
            }
        });
        for frame in &mut state.frames {
            if frame.slots.is_empty() {
                continue;
            }
            for entry in Rc::make_mut(&mut frame.slots) {
                entry.node = marks.boundary(entry.node);
            }
        }
        let index = self.points.len();
        self.points.push(Checkpoint { state: state.clone(), open: 1, waits: NOWHERE, longest: Some(0) });
        let list = &mut self.at[state.pc];
        list.push(index);
        state.parent = index;
        (state.since, state.jumps) = (0, 0);
    }

    /// A path ends, `longest` instructions before the program does, waiting for a checkpoint or not.
    fn end(&mut self, state: &State, longest: Option<u64>, waits: usize) {
        let (mut index, mut longest, mut waits) = (state.parent, longest, waits);
        let mut insns = state.insns;
        while index != NOWHERE {
            let point = &mut self.points[index];
            let from_here = longest.map(|longest| longest + insns - point.state.insns);
            point.longest = match (point.longest, from_here) {
                (Some(a), Some(b)) => Some(a.max(b)),
                _ => None,
            };
            // A checkpoint does not wait for itself.
            if waits < index {
                point.waits = if point.waits == NOWHERE { waits } else { point.waits.min(waits) };
            }
            point.open -= 1;
            if point.open > 0 {
                return;
            }
            (longest, waits, insns) = (point.longest, point.waits, point.state.insns);
            index = point.state.parent;
        }
    }

    /// Another path goes on from `state`.
    pub(super) fn fork(&mut self, mut state: State, taken: bool, slot: usize) -> Result<(), Box<Rule>> {
        if self.todo.len() >= self.limits.branches {
            return Err(Rule::TooComplex { processed: self.processed }.into());
        }
        self.points[state.parent].open += 1;
        state.jumps += 1;
        self.branches.push((state.branch, slot, taken));
        state.branch = self.branches.len() - 1;
        self.todo.push(state);
        Ok(())
    }

    /// Notes the branch a state takes.
    pub(super) fn note(&mut self, state: &mut State, slot: usize, taken: bool) {
        state.jumps += 1;
        self.branches.push((state.branch, slot, taken));
        state.branch = self.branches.len() - 1;
    }

    fn rejection(&self, state: &State, rule: Rule) -> Rejection {
        let slot = state.pc.min(self.program.insns.len().saturating_sub(1));
        let mut path = Vec::new();
        let mut at = state.branch;
        while let (Some(&(before, slot, taken)), true) = (self.branches.get(at), path.len() < MOST_SHOWN) {
            path.push(Branch { slot, taken, line: self.program.line(slot).cloned() });
            at = before;
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

    /// The entry of the stack at an index, made to be written.
    pub(super) fn write_slot(frame: &mut Frame, index: usize, slot: Slot) {
        *frame.entry_mut(index) = Entry { slot, node: 0 };
    }
}
