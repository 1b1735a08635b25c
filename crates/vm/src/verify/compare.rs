//! Whether what was proved of one state holds of another.

use super::flow::Flow;
use super::marks::Marks;
use super::state::{Entry, Frame, Half, Id, Kind, Pointer, REGS, Scalar, Slot, State, Value};

/// Which id of a new state stands for which of an old one; each for one only.
#[derive(Debug, Default)]
pub(super) struct Ids {
    pairs: Vec<(Id, Id)>,
}

impl Ids {
    pub(super) fn clear(&mut self) {
        self.pairs.clear();
    }

    fn same(&mut self, old: Id, new: Id) -> bool {
        if old == 0 || new == 0 {
            return old == new;
        }
        match self.pairs.iter().find(|(a, b)| *a == old || *b == new) {
            Some(&(a, b)) => a == old && b == new,
            None => {
                self.pairs.push((old, new));
                true
            }
        }
    }
}

/// A register or slot of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    depth: u8,
    /// Registers first, slots after them.
    index: u8,
}

/// A place in which an old state was another than a new one.
#[derive(Debug)]
pub(super) struct Differed {
    place: Place,
    /// What the old one has there, if it is a register: so that it need not be looked for in the state.
    register: Option<Value>,
}

/// How states are compared.
#[derive(Clone, Copy)]
pub(super) struct Comparison<'w> {
    pub(super) marks: &'w Marks,
    pub(super) flow: &'w Flow,
    /// As if every number and slot mattered.
    pub(super) all: bool,
}

impl Comparison<'_> {
    /// Whether everything `new` can lead to was seen from `old`; if not, and it is a single place that makes the
    /// difference, where.
    pub(super) fn covers(self, old: &State, new: &State, ids: &mut Ids) -> Result<(), Option<Place>> {
        if !alike(old, new, ids) {
            return Err(None);
        }
        for (depth, (a, b)) in old.frames.iter().zip(&new.frames).enumerate() {
            let failed = |index: usize| Some(Place { depth: depth as u8, index: index as u8 });
            let live = live(self.flow, new, depth);
            for register in 0..REGS {
                let values = (&a.regs[register], &b.regs[register]);
                if !self.register_covers(values, register, live, ids) {
                    return Err(failed(register));
                }
            }
            for index in a.may_differ(b) {
                if !self.entry_covers(a, b, index, ids) {
                    return Err(failed(REGS + index));
                }
            }
        }
        if self.facts_cover(old, new, ids) { Ok(()) } else { Err(None) }
    }

    /// Whether the facts that mattered behind an old state hold of a new one; with the ids of their numbers.
    fn facts_cover(self, old: &State, new: &State, ids: &mut Ids) -> bool {
        let mut matter = old.facts.iter().filter(|fact| self.all || self.marks.is_marked(fact.node));
        matter.all(|a| {
            new.facts.iter().any(|b| {
                let count = ids.pairs.len();
                let mut terms = a.terms.iter().zip(&b.terms);
                let covers = a.relation == b.relation
                    && terms
                        .all(|(a, b)| a.num.includes(&b.num) && ids.same(a.id, b.id) && a.delta == b.delta);
                if !covers {
                    ids.pairs.truncate(count);
                }
                covers
            })
        })
    }

    /// Whether states with frames in common differ in one place already, all others aside.
    pub(super) fn differs(self, old: &State, new: &State, differed: &Differed, ids: &mut Ids) -> bool {
        let (depth, index) = (usize::from(differed.place.depth), usize::from(differed.place.index));
        if old.frames.len() != new.frames.len() || depth >= new.frames.len() {
            return true;
        }
        match &differed.register {
            None => !self.entry_covers(&old.frames[depth], &new.frames[depth], index - REGS, ids),
            Some(value) => {
                let new_value = &new.frames[depth].regs[index];
                !self.register_covers((value, new_value), index, live(self.flow, new, depth), ids)
            }
        }
    }

    /// What is to be looked at first when a state is compared again that was another in one place.
    pub(super) fn differed(self, old: &State, place: Place) -> Differed {
        let register = (usize::from(place.index) < REGS).then(|| {
            let value = old.frames[usize::from(place.depth)].regs[usize::from(place.index)];
            // What mattered once always does.
            if self.marks.is_marked(value.node()) { value.with_node(0) } else { value }
        });
        Differed { place, register }
    }

    fn register_covers(
        self,
        (old, new): (&Value, &Value),
        register: usize,
        live: u16,
        ids: &mut Ids,
    ) -> bool {
        let counts = live >> register & 1 == 1 || register == 10;
        !counts || self.value_covers(old, old.node(), new, ids)
    }

    fn entry_covers(self, old: &Frame, new: &Frame, index: usize, ids: &mut Ids) -> bool {
        let (a, b) = (old.entry(index).unwrap_or(Entry::ZERO), new.entry(index).unwrap_or(Entry::ZERO));
        // Slots below those the old state knew have no node to tell that they are read: they count.
        let counts = self.all || a.nodes.read == 0 || self.marks.is_marked(a.nodes.read);
        (!counts && !is_special(a.slot) && !is_special(b.slot)) || self.slot_covers(a, b.slot, ids)
    }
}

/// What is known of one thing in two states. Of what the old one holds, the nodes are given beside it.
impl Comparison<'_> {
    fn counts(self, node: Id) -> bool {
        self.all || self.marks.is_marked(node)
    }

    fn slot_covers(self, old: Entry<'_>, new: &Slot, ids: &mut Ids) -> bool {
        let parts = old.nodes.parts;
        match (old.slot, new) {
            // Nothing was read of it.
            (Slot::Dead, new) => !is_special(new),
            (old, Slot::Dead) => *old == Slot::Bytes(0),
            (Slot::Bytes(old), Slot::Bytes(new)) => old & !new == 0,
            (Slot::Bytes(0), Slot::Full(value)) => matches!(**value, Value::Scalar(_)),
            (Slot::Bytes(zero), Slot::Full(value)) => {
                // Known zeros must be zeros.
                matches!(**value, Value::Scalar(scalar) if scalar.value() == Some(0)) && *zero != 0
            }
            (Slot::Bytes(zero), Slot::Halves(halves)) => zero & !(halves[0].zero | halves[1].zero << 4) == 0,
            (Slot::Halves(halves), Slot::Bytes(zero)) => {
                self.halves_cover(halves, parts, &Half::both(*zero), ids)
            }
            (Slot::Full(value), Slot::Bytes(new)) => match **value {
                Value::Scalar(_) if !self.counts(parts[0]) => true,
                Value::Scalar(scalar) => {
                    *new == 0xff && scalar.num.contains(0) && scalar.id == 0 && scalar.half == 0
                }
                _ => false,
            },
            (Slot::Full(a), Slot::Full(b)) => self.value_covers(a, parts[0], b, ids),
            (Slot::Halves(a), Slot::Halves(b)) => self.halves_cover(a, parts, b, ids),
            (Slot::Dynptr { state: a, upper: x }, Slot::Dynptr { state: b, upper: y }) => {
                a.kind == b.kind && x == y && ids.same(a.id, b.id) && ids.same(a.reference, b.reference)
            }
            (Slot::Iter { reference: a, active: x }, Slot::Iter { reference: b, active: y }) => {
                x == y && ids.same(*a, *b)
            }
            _ => false,
        }
    }

    fn halves_cover(self, old: &[Half; 2], parts: [Id; 2], new: &[Half; 2], ids: &mut Ids) -> bool {
        old.iter().zip(parts).zip(new).all(|((old, node), new)| {
            let number = match (&old.number, &new.number) {
                (None, _) => true,
                (Some(_), _) if !self.counts(node) => true,
                (Some((a, len)), Some((b, other))) => len == other && self.scalar_covers(a, node, b, ids),
                (Some((number, _)), None) => {
                    old.held() & !new.zero == 0
                        && number.num.contains(0)
                        && number.id == 0
                        && number.half == 0
                }
            };
            number && old.zero & !new.zero == 0
        })
    }

    fn value_covers(self, old: &Value, node: Id, new: &Value, ids: &mut Ids) -> bool {
        match (old, new) {
            // Nothing was read of it.
            (Value::None, _) => true,
            (Value::Scalar(a), Value::Scalar(b)) => self.scalar_covers(a, node, b, ids),
            (Value::Pointer(a), Value::Pointer(b)) => self.pointer_covers(a, node, b, ids),
            _ => false,
        }
    }

    fn scalar_covers(self, old: &Scalar, node: Id, new: &Scalar, ids: &mut Ids) -> bool {
        if !self.counts(node) {
            return true;
        }
        // What was proved of linked numbers by way of each other holds only of numbers linked in the same way.
        old.num.includes(&new.num)
            && (old.id == 0 || (ids.same(old.id, new.id) && old.delta == new.delta))
            && (old.half == 0 || (ids.same(old.half, new.half) && old.half_delta == new.half_delta))
    }

    fn pointer_covers(self, old: &Pointer, node: Id, new: &Pointer, ids: &mut Ids) -> bool {
        let kind = match (old.kind, new.kind) {
            (
                Kind::Memory { size: a, access: x, dynptr: d },
                Kind::Memory { size: b, access: y, dynptr: e },
            ) => a == b && x == y && ids.same(d, e),
            (Kind::Record { size: a, reference: r }, Kind::Record { size: b, reference: s }) => {
                a == b && ids.same(r, s)
            }
            (a, b) => a == b,
        };
        kind && old.off.num.includes(&new.off.num)
            && (old.off.id == 0
                || !self.counts(node)
                || (ids.same(old.off.id, new.off.id) && old.off.delta == new.off.delta))
            && ids.same(old.null, new.null)
            && (old.object == 0 || ids.same(old.object, new.object))
    }
}

/// Whether two states are in the same functions and hold as much.
fn alike(old: &State, new: &State, ids: &mut Ids) -> bool {
    if old.frames.len() != new.frames.len()
        || old.references.len() != new.references.len()
        || old.lock.is_some() != new.lock.is_some()
    {
        return false;
    }
    let references = old.references.iter().zip(&new.references).all(|(&a, &b)| ids.same(a, b));
    let lock = match (old.lock, new.lock) {
        (Some((old_map, a)), Some((new_map, b))) => old_map == new_map && ids.same(a, b),
        _ => true,
    };
    let mut calls = old.frames.iter().zip(&new.frames).skip(1);
    references && lock && calls.all(|(a, b)| a.call == b.call && a.entered == b.entered)
}

/// Registers of a frame that can still be read.
pub(super) fn live(flow: &Flow, state: &State, depth: usize) -> u16 {
    let (at, behind) = goes_on(state, depth);
    flow.live[at] | flow.live.get(behind).copied().unwrap_or(u16::MAX)
}

/// Slots of a frame that its function can still read, if it holds the only address of it.
pub(super) fn live_slots(flow: &Flow, state: &State, depth: usize) -> u64 {
    let (at, behind) = goes_on(state, depth);
    flow.slots[at] | flow.slots.get(behind).copied().unwrap_or(u64::MAX)
}

/// Where a frame goes on: one that waits for a call behind it, or with it once more.
fn goes_on(state: &State, depth: usize) -> (usize, usize) {
    match state.frames.get(depth + 1) {
        None => (state.pc, state.pc),
        Some(callee) => (callee.call, callee.call + 1),
    }
}

/// Slots whose content binds even if it is never read.
fn is_special(slot: &Slot) -> bool {
    matches!(slot, Slot::Dynptr { .. } | Slot::Iter { .. })
}
