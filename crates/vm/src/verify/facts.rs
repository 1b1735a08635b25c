//! What is known of two numbers together: one is not above the other, their sum, a quotient.
//!
//! A [`Fact`] is about values that have names ([`Scalar::id`]), not about registers, so it stays true for as long as
//! there is such a value. Its terms carry what is known of them like numbers in registers do, and learn with them.
//!
//! Facts are few. One is forgotten when nothing is left that it could tell of.

use std::fmt;

use super::marks::Marks;
use super::num::{Cond, Num};
use super::scalar::{Logged, Number, Op};
use super::state::{Id, Kind, Scalar, Slot, State, Value};
use super::walk::Walker;

/// Facts remembered at once.
const MOST: usize = 8;
/// Numbers up to here are added without a thought of overflow.
const SMALL: u64 = 1 << 29;
/// What a factor or a difference may be worked out for.
const WORD: u64 = u32::MAX as u64;

/// What holds between the terms of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// The first is not above the second.
    AtMost,
    /// The first is below the second.
    Below,
    /// The first and the second make the third, but for multiples of 2^64.
    Sum,
    /// The first is the second divided by the third.
    Quotient,
    /// The first is the greatest multiple of the third that is not above the second.
    Multiple,
}

/// Something that holds between numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fact {
    pub(super) relation: Relation,
    /// The numbers; those without a name are constants.
    pub(super) terms: [Scalar; 3],
    /// Its node in [`Marks`]: told when it matters.
    pub(super) node: Id,
    /// That the terms, as they are, say nothing new of each other.
    pub(super) settled: bool,
}

/// Whether two numbers are the same for certain.
fn same(a: &Scalar, b: &Scalar) -> bool {
    match (a.value(), b.value()) {
        (Some(a), Some(b)) => a == b,
        _ => a.id != 0 && a.id == b.id && a.delta == b.delta,
    }
}

impl Fact {
    fn mark(&self, marks: &mut Marks) {
        marks.mark(self.node);
        self.terms.iter().for_each(|term| marks.mark(term.node));
    }

    /// Which numbers it is about.
    pub(super) fn names(&self) -> [(Id, u64); 3] {
        self.terms.map(|term| (term.id, if term.id == 0 { term.value().unwrap_or(0) } else { term.delta }))
    }

    fn node(&self, marks: &mut Marks) -> Id {
        self.terms.iter().fold(self.node, |node, term| marks.join(node, term.node))
    }

    /// What the others say of a term, if anything.
    fn refined(&self, index: usize) -> Option<Number> {
        let [a, b, c] = self.terms.each_ref().map(|term| &term.num);
        match (self.relation, index) {
            (Relation::AtMost | Relation::Below, 0 | 1) => {
                let below = self.relation == Relation::Below;
                let (a_range, b_range, least) = (&a.full, &b.full, u64::from(below));
                let known = match index {
                    0 => b_range.umax.checked_sub(least).is_some_and(|most| a_range.umax <= most),
                    _ => a_range.umin.checked_add(least).is_some_and(|least| b_range.umin >= least),
                };
                if known {
                    return None;
                }
                let (low, high) = Number::when(if below { Cond::Lt } else { Cond::Le }, a, b, false)?;
                Some(if index == 0 { low } else { high })
            }
            (Relation::Sum, 0) => a.intersect(&Number::apply(Op::Sub, c, b)),
            (Relation::Sum, 1) => b.intersect(&Number::apply(Op::Sub, c, a)),
            (Relation::Sum, 2) => c.intersect(&Number::apply(Op::Add, a, b)),
            (Relation::Quotient, 0) => a.intersect(&Number::apply(Op::Div, b, c)),
            _ => None,
        }
    }
}

/// A number of a fact: by its name, or as it is.
struct Term<'a>(&'a Scalar);

impl fmt::Display for Term<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Term(scalar) = self;
        match (scalar.id, scalar.value(), scalar.delta as i64) {
            (0, value, _) => Logged::Unsigned(value.unwrap_or(0)).fmt(f),
            (id, _, 0) => write!(f, "#{id}"),
            (id, _, delta) => write!(f, "(#{id}{delta:+})"),
        }
    }
}

impl fmt::Display for Fact {
    /// An equation or inequality of numbers, which are `#` and their id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.terms.each_ref().map(Term);
        match self.relation {
            Relation::AtMost => write!(f, "{a}<={b}"),
            Relation::Below => write!(f, "{a}<{b}"),
            Relation::Sum => write!(f, "{a}+{b}={c}"),
            Relation::Quotient => write!(f, "{a}={b}/{c}"),
            Relation::Multiple => write!(f, "{a}={b}-{b}%{c}"),
        }
    }
}

impl Walker<'_> {
    /// Remembers a fact, and what follows from it.
    fn remember(&mut self, state: &mut State, relation: Relation, terms: [Scalar; 3]) {
        let same_fact =
            |fact: &Fact| fact.relation == relation && fact.terms.iter().zip(&terms).all(|(a, b)| same(a, b));
        if state.facts.iter().any(same_fact) {
            return;
        }
        if state.facts.len() >= MOST {
            state.facts.remove(0);
        }
        // What it follows from is a path, and what the numbers were made of.
        state.facts.push(Fact { relation, terms, node: self.marks.boundary(0), settled: false });
        self.follow_facts(state);
    }

    /// Lets facts refine the numbers they are about.
    pub(super) fn follow_facts(&mut self, state: &mut State) {
        for _ in 0..2 {
            let mut changed = false;
            for index in 0..state.facts.len() {
                let fact = state.facts[index];
                if fact.settled {
                    continue;
                }
                state.facts[index].settled = true;
                for (index, term) in fact.terms.iter().enumerate().filter(|(_, term)| term.id != 0) {
                    let Some(num) = fact.refined(index).filter(|num| *num != term.num) else { continue };
                    let node = fact.node(&mut self.marks);
                    changed = true;
                    // A contradiction is left to be found by a comparison.
                    self.spread(state, term, num, node);
                }
            }
            if !changed {
                break;
            }
        }
    }

    /// The first of two registers was found to be at most the second.
    pub(super) fn ordered(&mut self, state: &mut State, low: u8, high: u8, strict: bool) {
        let (Value::Scalar(a), Value::Scalar(b)) = (state.reg(low), state.reg(high)) else { return };
        let known =
            if strict { a.num.full.umax < b.num.full.umin } else { a.num.full.umax <= b.num.full.umin };
        if known || a.id == 0 || b.id == 0 || a.id == b.id || a.value().is_some() || b.value().is_some() {
            return;
        }
        let relation = if strict { Relation::Below } else { Relation::AtMost };
        self.remember(state, relation, [a, b, Scalar::constant(0)]);
    }

    /// What facts say of the result of an operation on two registers, the second of which is `src`; and what is to be
    /// remembered of it. `full`: of all bits; otherwise of the lower halves.
    pub(super) fn relate(
        &mut self,
        state: &mut State,
        op: Op,
        operands: (Scalar, Scalar),
        src: Option<u8>,
        full: bool,
        result: &mut Scalar,
    ) {
        let (a, mut b) = operands;
        // Operations on halves are those on all bits when nothing is lost above.
        let words = a.num.full.umax <= WORD && b.num.full.umax <= WORD;
        if !matches!(op, Op::Add | Op::Sub | Op::Mul | Op::Div) || !(full || words) {
            return;
        }
        if a.id == 0 && a.value().is_none() {
            return;
        }
        if op == Op::Sub && self.difference(state, &a, &b, result) {
            return;
        }
        let name = |walker: &mut Self, state: &mut State, b: &mut Scalar| {
            if let (Some(register), None) = (src, b.value()) {
                walker.link(state, register);
                if let Value::Scalar(linked) = state.reg(register) {
                    *b = linked;
                }
            }
            b.id != 0 || b.value().is_some()
        };
        let exact = full || Number::apply(op, &a.num, &b.num).full.umax <= WORD;
        match op {
            Op::Add | Op::Sub if exact && words && b.value().is_none() && result.value().is_none() => {
                // Of what is overwritten, nothing is told; a loop that adds up would have a new fact each time.
                let gone = a.value().is_none() && copies(state, a.id) < 2;
                if gone || op == Op::Add && a.value().is_some() || !name(self, state, &mut b) {
                    return;
                }
                if result.id == 0 {
                    (result.id, result.delta) = (self.fresh(), 0);
                }
                let terms = if op == Op::Add { [a, b, *result] } else { [*result, b, a] };
                self.remember(state, Relation::Sum, terms);
            }
            Op::Div if a.id != 0 && result.value().is_none() && name(self, state, &mut b) => {
                (result.id, result.delta) = (self.fresh(), 0);
                self.remember(state, Relation::Quotient, [*result, a, b]);
            }
            Op::Mul => {
                let quotient = |fact: &&Fact| {
                    fact.relation == Relation::Quotient
                        && same(&fact.terms[0], &a)
                        && same(&fact.terms[2], &b)
                        && (full || fact.terms[1].num.full.umax <= WORD)
                };
                let Some(fact) = state.facts.iter().find(quotient).copied() else { return };
                if result.value().is_none() && result.id == 0 {
                    (result.id, result.delta) = (self.fresh(), 0);
                    self.remember(state, Relation::Multiple, [*result, fact.terms[1], fact.terms[2]]);
                    if let Some(last) = state.facts.last_mut() {
                        last.node = self.marks.join(fact.node, last.node);
                    }
                }
            }
            _ => {}
        }
    }

    /// The difference of two numbers of which more is known. Whether nothing else is to be said of it.
    fn difference(&mut self, state: &State, a: &Scalar, b: &Scalar, result: &mut Scalar) -> bool {
        for fact in &state.facts {
            let found = match fact.relation {
                // What is left is the remainder.
                Relation::Multiple if same(&fact.terms[1], a) && same(&fact.terms[0], b) => {
                    Number::apply(Op::Mod, &a.num, &fact.terms[2].num)
                }
                Relation::AtMost | Relation::Below if same(&fact.terms[1], a) && same(&fact.terms[0], b) => {
                    let least = u64::from(fact.relation == Relation::Below);
                    let Some(most) =
                        a.num.full.umax.checked_sub(b.num.full.umin).filter(|most| *most >= least)
                    else {
                        continue;
                    };
                    Number::from_full(Num::unsigned_range(least, most))
                }
                _ => continue,
            };
            if let Some(num) = result.num.intersect(&found) {
                result.num = num;
                let node = fact.node(&mut self.marks);
                result.node = self.marks.join(result.node, node);
                return fact.relation == Relation::Multiple;
            }
        }
        false
    }

    /// What was learned of a number is known of pointers it was added to, too; where they are not known to be inside.
    pub(super) fn spread_to_pointers(&mut self, state: &mut State, old: &Scalar, num: &Number, node: Id) {
        let walker = &mut *self;
        state.frame().regs.iter_mut().for_each(|value| {
            let Value::Pointer(pointer) = value else { return };
            if pointer.off.id != old.id {
                return;
            }
            let size = match pointer.kind {
                Kind::Value(map) => walker.map(map).map_or(0, |map| map.value_size),
                Kind::Memory { size, .. } | Kind::Record { size, .. } => size,
                Kind::Stack(_) => 0,
                _ => return,
            };
            let range = &pointer.off.num.full;
            if range.smax < i64::from(size) && (range.smin >= 0 || matches!(pointer.kind, Kind::Stack(_))) {
                return;
            }
            let by = Number::constant(pointer.off.delta.wrapping_sub(old.delta));
            if let Some(known) = pointer.off.num.intersect(&Number::apply(Op::Add, num, &by))
                && known != pointer.off.num
            {
                pointer.off.num = known;
                // Offsets of pointers always matter, and so does what is known of them.
                walker.marks.mark(pointer.off.node);
                walker.marks.mark(node);
            }
        });
    }

    /// The greatest that an offset and a number together are, as far as facts say. From then on those matter.
    pub(super) fn reach(&mut self, state: &State, off: &Scalar, by: &Scalar) -> Option<i64> {
        if state.facts.is_empty() || off.id == 0 {
            return None;
        }
        let mut best: Option<(i64, [Option<&Fact>; 3])> = None;
        for (x, first) in bounds(state, off) {
            for (y, second) in bounds(state, by) {
                for fact in state.facts.iter().filter(|fact| fact.relation == Relation::Sum) {
                    let Some(num) = sum(fact, &x, &y) else { continue };
                    let most = num.full.smax;
                    if num.full.smin.unsigned_abs() <= 4 * SMALL
                        && most.unsigned_abs() <= 4 * SMALL
                        && best.is_none_or(|(at, _)| most < at)
                    {
                        best = Some((most, [Some(fact), first, second]));
                    }
                }
            }
        }
        let (most, facts) = best?;
        facts.into_iter().flatten().for_each(|fact| fact.mark(&mut self.marks));
        self.marks.mark(off.node);
        self.marks.mark(by.node);
        Some(most)
    }

    /// Forgets facts of which fewer than two numbers are left.
    pub(super) fn forget_facts(state: &mut State) {
        if state.facts.is_empty() {
            return;
        }
        let mut names = [0; 3 * MOST];
        let terms = state.facts.iter().flat_map(|fact| &fact.terms);
        names.iter_mut().zip(terms).for_each(|(name, term)| *name = term.id);
        // Of these, those that are held.
        let mut held = [0; 3 * MOST];
        let mut count = 0;
        let mut hold = |id: Id| {
            if id != 0 && names.contains(&id) && !held[..count].contains(&id) {
                held[count] = id;
                count += 1;
            }
        };
        for frame in &state.frames {
            frame.regs.iter().for_each(|value| hold(name(value)));
            for entry in frame.entries() {
                match entry.slot {
                    Slot::Full(value) => hold(name(value)),
                    Slot::Halves(halves) => {
                        halves.iter().filter_map(|half| half.number).for_each(|(number, _)| hold(number.id));
                    }
                    _ => {}
                }
            }
        }
        let held = &held[..count];
        loop {
            let count = state.facts.len();
            for index in (0..count).rev() {
                let others = |id: Id| {
                    let mut others = state.facts.iter().enumerate().filter(|(other, _)| *other != index);
                    others.any(|(_, fact)| fact.terms.iter().any(|term| term.id == id))
                };
                let left = state.facts[index].terms.iter().filter(|term| term.id != 0);
                if left.filter(|term| held.contains(&term.id) || others(term.id)).count() < 2 {
                    state.facts.remove(index);
                }
            }
            if state.facts.len() == count {
                break;
            }
        }
    }
}

/// Registers and slots of the function in progress that hold a number with this name.
fn copies(state: &State, id: Id) -> usize {
    let frame = &state.frames[state.frames.len() - 1];
    let held = |value: &&Value| matches!(value, Value::Scalar(scalar) if scalar.id == id);
    let slots = frame.entries().filter_map(|entry| match entry.slot {
        Slot::Full(value) => Some(&**value),
        _ => None,
    });
    frame.regs.iter().chain(slots).filter(held).count()
}

/// What a number or offset is named; 0 for nothing.
fn name(value: &Value) -> Id {
    match value {
        Value::Scalar(scalar) => scalar.id,
        Value::Pointer(pointer) => pointer.off.id,
        Value::None => 0,
    }
}

/// A number, and those that are known not to be below it.
fn bounds<'s>(state: &'s State, number: &Scalar) -> Vec<(Scalar, Option<&'s Fact>)> {
    let mut found = vec![(*number, None)];
    for fact in &state.facts {
        let [a, b, _] = fact.terms;
        if matches!(fact.relation, Relation::AtMost | Relation::Below)
            && a.id == number.id
            && number.id != 0
            && a.num.full.umax <= SMALL
            && b.num.full.umax <= SMALL
        {
            let by = number.delta.wrapping_sub(a.delta);
            if (by as i64).unsigned_abs() <= SMALL {
                found.push((Scalar { delta: b.delta.wrapping_add(by), ..b }, Some(fact)));
            }
        }
    }
    found
}

/// What a fact says of the sum of two numbers.
fn sum(fact: &Fact, x: &Scalar, y: &Scalar) -> Option<Number> {
    let [a, b, sum] = &fact.terms;
    let by = |x: &Scalar, a: &Scalar| (x.id != 0 && x.id == a.id).then(|| x.delta.wrapping_sub(a.delta));
    let straight = by(x, a).zip(by(y, b));
    let (p, q) = straight.or_else(|| by(x, b).zip(by(y, a)))?;
    Some(Number::apply(Op::Add, &sum.num, &Number::constant(p.wrapping_add(q))))
}
