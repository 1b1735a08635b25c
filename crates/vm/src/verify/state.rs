//! What is known at one point of one path.

use std::rc::Rc;

use super::facts::Fact;
use super::num::Num;
use super::scalar::Number;
use crate::contract::{Callback, DynptrKind};
use crate::interp::{FRAME_SIZE, MAX_FRAMES};
use crate::mem::Access;

/// Names a value, reference or group of values within a verification; 0 is none.
pub(super) type Id = u32;

/// Registers of a frame.
pub(super) const REGS: usize = 11;
/// Eight-byte slots of a frame.
pub(super) const SLOTS: usize = FRAME_SIZE / 8;

/// A number and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scalar {
    pub(super) num: Number,
    /// Its node in [`super::marks::Marks`]: told when the number matters.
    pub(super) node: Id,
    /// Numbers with this id in common differ only by their `delta`.
    pub(super) id: Id,
    pub(super) delta: u64,
    /// The lower halves of numbers with this id in common differ only by their `half_delta`.
    pub(super) half: Id,
    pub(super) half_delta: u32,
}

impl Scalar {
    pub(super) const ANY: Scalar =
        Scalar { num: Number::ANY, node: 0, id: 0, delta: 0, half: 0, half_delta: 0 };

    pub(super) const fn constant(value: u64) -> Scalar {
        Scalar { num: Number::constant(value), ..Scalar::ANY }
    }

    pub(super) fn new(num: Number) -> Scalar {
        Scalar { num, ..Scalar::ANY }
    }

    /// Another number with the same lower half, made of this one.
    pub(super) fn with_half_of(num: Number, of: &Scalar) -> Scalar {
        Scalar { node: of.node, half: of.half, half_delta: of.half_delta, ..Scalar::new(num) }
    }

    /// Forgets links with numbers from which this one is farther away than it was.
    pub(super) fn forget_drift(&mut self, old: &Scalar) {
        if self.id == old.id && self.delta != old.delta {
            (self.id, self.delta) = (0, 0);
        }
        if self.half == old.half && self.half_delta != old.half_delta {
            (self.half, self.half_delta) = (0, 0);
        }
    }

    /// Any unsigned number of so many bytes.
    pub(super) fn of_bytes(bytes: usize) -> Scalar {
        if bytes >= 8 {
            return Scalar::ANY;
        }
        Scalar::new(Number::from_full(Num::unsigned_range(0, (1 << (bytes * 8)) - 1)))
    }

    pub(super) fn value(&self) -> Option<u64> {
        self.num.value()
    }
}

/// Which map: one of the program's, or any that lies in one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum MapRef {
    Own(u32),
    Inner(u32),
}

/// What a pointer points into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A frame of the stack.
    Stack(u8),
    /// The arguments.
    Context,
    /// A map itself.
    Map(MapRef),
    /// The value of an entry.
    Value(MapRef),
    /// The key of an entry, read-only.
    Key(MapRef),
    /// A struct among the arguments.
    Argument(u8),
    /// An opaque buffer among the arguments.
    Buffer(u8),
    /// Memory of a dynptr or iterator, named by its id or reference; or lent with the run.
    Memory { size: u32, access: Access, dynptr: Id },
    /// A ring-buffer record that is reserved.
    Record { size: u32, reference: Id },
    /// A function of the program, by its first slot.
    Function(u32),
}

impl Kind {
    /// The name of the Linux verifier's logs.
    pub(super) fn c_name(&self) -> &'static str {
        match self {
            Kind::Stack(_) => "fp",
            Kind::Context => "ctx",
            Kind::Map(_) => "map_ptr",
            Kind::Value(_) => "map_value",
            Kind::Key(_) => "map_key",
            Kind::Argument(_) | Kind::Buffer(_) => "trusted_ptr_",
            Kind::Memory { .. } => "mem",
            Kind::Record { .. } => "ringbuf_mem",
            Kind::Function(_) => "func",
        }
    }
}

/// An address.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pointer {
    pub(super) kind: Kind,
    /// Distance from the start of what it points into; from the end of the frame for the stack.
    pub(super) off: Scalar,
    /// Not 0 while it may be null: pointers with the same are null together.
    pub(super) null: Id,
    /// Which object of its kind, where that matters.
    pub(super) object: Id,
}

impl Pointer {
    /// Whether it points into memory of one of these dynptrs.
    pub(super) fn is_slice_of(&self, dynptrs: &[Id]) -> bool {
        matches!(self.kind, Kind::Memory { dynptr, .. } if dynptrs.contains(&dynptr))
    }

    pub(super) fn new(kind: Kind) -> Pointer {
        Pointer { kind, off: Scalar::constant(0), null: 0, object: 0 }
    }
}

/// The content of a register.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "most registers hold one of the large ones")]
pub(super) enum Value {
    /// Nothing that may be read.
    None,
    Scalar(Scalar),
    Pointer(Pointer),
}

impl Value {
    pub(super) fn constant(value: u64) -> Value {
        Value::Scalar(Scalar::constant(value))
    }

    /// The node of the number it is, or of its offset.
    pub(super) fn node(&self) -> Id {
        match self {
            Value::Scalar(scalar) => scalar.node,
            Value::Pointer(pointer) => pointer.off.node,
            Value::None => 0,
        }
    }

    fn node_mut(&mut self) -> Option<&mut Id> {
        match self {
            Value::Scalar(scalar) => Some(&mut scalar.node),
            Value::Pointer(pointer) => Some(&mut pointer.off.node),
            Value::None => None,
        }
    }

    pub(super) fn with_node(mut self, node: Id) -> Value {
        if let Some(own) = self.node_mut() {
            *own = node;
        }
        self
    }

    /// Whether checkpoints have a node for it: numbers, and offsets that are linked with numbers.
    fn is_told(&self) -> bool {
        match self {
            Value::Scalar(_) => true,
            Value::Pointer(pointer) => pointer.off.id != 0,
            Value::None => false,
        }
    }
}

/// A dynptr on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DynptrState {
    pub(super) kind: DynptrKind,
    /// What its slices carry.
    pub(super) id: Id,
    /// Its reference, if it is a record's.
    pub(super) reference: Id,
}

/// Eight bytes of stack. In a frame it is without the nodes of what lies in it, which [`Frame`] has beside it: states
/// that differ in nothing but nodes share it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Slot {
    /// Bytes that are 0 where the bit is set.
    Bytes(u8),
    /// A register.
    Full(Rc<Value>),
    /// Two times four bytes.
    Halves(Rc<[Half; 2]>),
    /// The lower or upper half of a dynptr.
    Dynptr { state: DynptrState, upper: bool },
    /// An iterator with its reference; `active` while it has an element.
    Iter { reference: Id, active: bool },
    /// What is not read before it is written over.
    Dead,
}

/// Four bytes of stack: a number in the lowest of them, or none, and which of the others are 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Half {
    /// The number, which its bytes can hold, and how many these are: 1, 2 or 4.
    pub(super) number: Option<(Scalar, u8)>,
    /// The other bytes that are 0, a bit each.
    pub(super) zero: u8,
}

impl Half {
    /// Bytes of which those are 0 whose bit is set.
    pub(super) fn bytes(zero: u8) -> Half {
        Half { number: None, zero: zero & 0x0f }
    }

    /// Bytes of a slot that hold no number.
    pub(super) fn both(zero: u8) -> [Half; 2] {
        [Half::bytes(zero), Half::bytes(zero >> 4)]
    }

    /// Four bytes that hold a number.
    pub(super) fn of(number: Scalar) -> Half {
        Half { number: Some((number, 4)), zero: 0 }
    }

    /// The bytes the number is in, a bit each.
    pub(super) fn held(&self) -> u8 {
        self.number.map_or(0, |(_, len)| (1 << len) - 1)
    }

    /// The number all four bytes are, if that is known.
    pub(super) fn whole(&self) -> Option<Scalar> {
        let known = self.held() | self.zero == 0x0f;
        known.then(|| self.number.map_or(Scalar::constant(0), |(number, _)| number))
    }

    fn names(&self) -> Names {
        self.number.map_or(Names::default(), |(number, _)| Names::of(&number))
    }

    fn node(&self) -> Id {
        self.number.map_or(0, |(number, _)| number.node)
    }

    fn with_node(mut self, node: Id) -> Half {
        if let Some((number, _)) = &mut self.number {
            number.node = node;
        }
        self
    }
}

impl Slot {
    /// Takes out the nodes of what lies in it.
    fn take_parts(&mut self) -> [Id; 2] {
        match self {
            Slot::Full(value) if value.node() != 0 => {
                let parts = [value.node(), 0];
                *Rc::make_mut(value) = value.with_node(0);
                parts
            }
            Slot::Halves(halves) => {
                let parts = halves.each_ref().map(Half::node);
                if parts != [0; 2] {
                    for half in Rc::make_mut(halves) {
                        *half = half.with_node(0);
                    }
                }
                parts
            }
            _ => [0; 2],
        }
    }
}

/// Names of numbers, as a set that may seem to have one more: a bit stands for many names.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Names(u64);

impl Names {
    fn of(number: &Scalar) -> Names {
        let bit = |id: Id| u64::from(id != 0) << (id % u64::BITS);
        Names(bit(number.id) | bit(number.half))
    }

    /// Of the numbers in a slot, offsets of pointers aside.
    fn in_slot(slot: &Slot) -> Names {
        match slot {
            Slot::Full(value) => match &**value {
                Value::Scalar(number) => Names::of(number),
                Value::Pointer(_) | Value::None => Names::default(),
            },
            Slot::Halves(halves) => {
                let [low, high] = halves.each_ref().map(Half::names);
                Names(low.0 | high.0)
            }
            Slot::Bytes(_) | Slot::Dynptr { .. } | Slot::Iter { .. } | Slot::Dead => Names::default(),
        }
    }

    fn may_share(self, other: Names) -> bool {
        self.0 & other.0 != 0
    }
}

/// A slot, and the names of the numbers in it.
#[derive(Debug, Clone)]
struct Stored {
    slot: Slot,
    names: Names,
}

impl Stored {
    fn new(slot: Slot) -> Stored {
        Stored { names: Names::in_slot(&slot), slot }
    }
}

/// The bits that are set, lowest first.
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (set != 0).then(|| set.trailing_zeros() as usize);
        set &= set.wrapping_sub(1);
        lowest
    })
}

/// The nodes of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct SlotNodes {
    /// Told when the slot is read.
    pub(super) read: Id,
    /// Of the value in it, or of its lower and upper half.
    pub(super) parts: [Id; 2],
}

/// A slot and its nodes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'f> {
    pub(super) slot: &'f Slot,
    pub(super) nodes: SlotNodes,
}

impl Entry<'_> {
    /// What was never touched.
    pub(super) const ZERO: Entry<'static> =
        Entry { slot: &Slot::Bytes(0xff), nodes: SlotNodes { read: 0, parts: [0; 2] } };

    /// What was forgotten.
    const DEAD: Entry<'static> = Entry { slot: &Slot::Dead, nodes: SlotNodes { read: 0, parts: [0; 2] } };

    /// The register in it.
    pub(super) fn value(&self) -> Option<Value> {
        match self.slot {
            Slot::Full(value) => Some(value.with_node(self.nodes.parts[0])),
            _ => None,
        }
    }

    /// As two halves, which know nothing of what is neither bytes nor halves.
    pub(super) fn as_halves(&self) -> [Half; 2] {
        match (self.halves(), self.slot) {
            (Some(halves), _) => halves,
            (_, Slot::Bytes(zero)) => Half::both(*zero),
            _ => Half::both(0),
        }
    }

    /// The two halves of it.
    pub(super) fn halves(&self) -> Option<[Half; 2]> {
        let [low, high] = self.nodes.parts;
        match self.slot {
            Slot::Halves(halves) => Some([halves[0].with_node(low), halves[1].with_node(high)]),
            _ => None,
        }
    }
}

/// Why a frame was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    /// The program's entry, or a call.
    Call,
    /// By a helper.
    Callback(Callback),
}

/// One function in progress.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) regs: [Value; REGS],
    /// From the end of the frame downwards; what was not touched is zero.
    slots: Rc<Vec<Stored>>,
    /// As many.
    nodes: Vec<SlotNodes>,
    /// Slots that are [`Slot::Dead`], touched or not, a bit each. What lies in them is as it was, for other frames.
    dead: u64,
    /// Whether it was not changed since what it does not read again was forgotten while it waits for a call.
    pub(super) is_settled: bool,
    /// Whether nothing in it was changed since its nodes were made those of a checkpoint.
    pub(super) is_own: bool,
    /// Slot of the call that entered it.
    pub(super) call: usize,
    pub(super) entered: Entered,
}

impl Frame {
    pub(super) fn new(depth: usize, call: usize, entered: Entered) -> Frame {
        let mut regs = [Value::None; REGS];
        regs[10] = Value::Pointer(Pointer::new(Kind::Stack(depth as u8)));
        Frame {
            regs,
            slots: Rc::new(Vec::new()),
            nodes: Vec::new(),
            dead: 0,
            is_settled: false,
            is_own: false,
            call,
            entered,
        }
    }

    /// The frame, made to be changed.
    pub(super) fn change(shared: &mut Rc<Frame>) -> &mut Frame {
        let frame = Rc::make_mut(shared);
        (frame.is_own, frame.is_settled) = (false, false);
        frame
    }

    /// The slot that holds the byte at an offset below the end of the frame (-1 is the last).
    pub(super) fn slot_of(off: i64) -> usize {
        ((-off - 1) / 8) as usize
    }

    /// How many slots were touched, and those before them.
    pub(super) fn touched(&self) -> usize {
        self.slots.len()
    }

    /// What is known of a slot; nothing if it is still zero.
    pub(super) fn entry(&self, index: usize) -> Option<Entry<'_>> {
        if self.dead >> index & 1 == 1 {
            return Some(Entry::DEAD);
        }
        Some(Entry { slot: &self.slots.get(index)?.slot, nodes: self.nodes[index] })
    }

    /// Every slot that was touched, and those before them.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.touched()).map(|index| self.entry(index).unwrap_or(Entry::ZERO))
    }

    /// Slots that were touched and are not dead, a bit each.
    fn held_bits(&self) -> u64 {
        (1u64.checked_shl(self.touched() as u32).unwrap_or(0).wrapping_sub(1)) & !self.dead
    }

    fn held(&self) -> impl Iterator<Item = (usize, &Stored)> {
        bits(self.held_bits()).filter_map(|index| Some((index, self.slots.get(index)?)))
    }

    /// Slots in which what is known here may say more than what is known in the other frame.
    pub(super) fn may_differ<'f>(&self, other: &'f Frame) -> impl Iterator<Item = usize> + use<'f> {
        bits(self.held_bits() | other.held_bits() | (other.dead & !self.dead))
    }

    /// Slots that hold something in both frames.
    pub(super) fn held_in_both<'f>(
        &'f self,
        other: &'f Frame,
    ) -> impl Iterator<Item = (Entry<'f>, Entry<'f>)> {
        let both = bits(self.held_bits() & other.held_bits());
        both.filter_map(|index| Some((self.entry(index)?, other.entry(index)?)))
    }

    /// Slots that hold something and are zero in the other frame, where they were never touched.
    pub(super) fn held_beyond(&self, other: &Frame) -> impl Iterator<Item = Entry<'_>> {
        let touched = other.touched();
        let beyond = bits(self.held_bits() & !other.dead).filter(move |index| *index >= touched);
        beyond.filter_map(|index| self.entry(index))
    }

    /// Writes over a slot: nothing that is in it was read.
    pub(super) fn write(&mut self, index: usize, slot: Slot) {
        self.replace(index, slot);
        self.nodes[index].read = 0;
    }

    /// Changes what is known of a slot. Who reads it reads what it was as well.
    pub(super) fn replace(&mut self, index: usize, mut slot: Slot) {
        let parts = slot.take_parts();
        let slots = Rc::make_mut(&mut self.slots);
        if slots.len() <= index {
            slots.resize(index + 1, Stored::new(Slot::Bytes(0xff)));
            self.nodes.resize(index + 1, SlotNodes::default());
        }
        slots[index] = Stored::new(slot);
        self.nodes[index].parts = parts;
        self.dead &= !(1 << index);
    }

    /// Slots that are not in `live`, and not yet forgotten, a bit each. What has to be given back is not to be forgotten.
    pub(super) fn forgettable(&self, live: u64) -> u64 {
        let special =
            |(_, stored): &(usize, &Stored)| matches!(stored.slot, Slot::Dynptr { .. } | Slot::Iter { .. });
        let dead = !live & !self.dead;
        match dead {
            0 => 0,
            dead => self.held().filter(special).fold(dead, |dead, (index, _)| dead & !(1 << index)),
        }
    }

    /// Forgets slots, a bit each.
    pub(super) fn forget(&mut self, dead: u64) {
        for index in bits(dead & self.held_bits()) {
            self.nodes[index] = SlotNodes::default();
        }
        self.dead |= dead;
    }

    /// Changes the values in slots for which `wanted` holds, without their nodes.
    fn change_spilled(&mut self, wanted: impl Fn(&Value) -> bool, mut does: impl FnMut(&mut Value)) {
        for index in bits(self.held_bits()) {
            if let Slot::Full(value) = &self.slots[index].slot
                && wanted(value)
            {
                let mut changed = value.with_node(self.nodes[index].parts[0]);
                does(&mut changed);
                self.replace(index, Slot::Full(Rc::new(changed)));
            }
        }
    }

    /// Calls `does` with the numbers in slots that may have one of these names.
    fn change_stored(&mut self, names: Names, mut does: impl FnMut(&mut Scalar)) {
        for index in bits(self.held_bits()) {
            if !self.slots[index].names.may_share(names) {
                continue;
            }
            let Some(entry) = self.entry(index) else { continue };
            let before = (entry.value(), entry.halves());
            let mut after = before;
            if let Some(Value::Scalar(number)) = &mut after.0 {
                does(number);
            }
            let halves = after.1.iter_mut().flatten();
            halves.filter_map(|half| half.number.as_mut()).for_each(|(number, _)| does(number));
            match after {
                _ if after == before => {}
                (Some(value), _) => self.replace(index, Slot::Full(Rc::new(value))),
                (_, Some(halves)) => self.replace(index, Slot::Halves(Rc::new(halves))),
                _ => {}
            }
        }
    }

    /// Gives every number and slot a node of a checkpoint.
    pub(super) fn each_own(&mut self, mut boundary: impl FnMut(Id) -> Id) {
        for value in self.regs.iter_mut().filter(|value| value.is_told()) {
            if let Some(node) = value.node_mut() {
                *node = boundary(*node);
            }
        }
        for index in bits(self.held_bits()) {
            let nodes = &mut self.nodes[index];
            nodes.read = boundary(nodes.read);
            match &self.slots[index].slot {
                Slot::Full(value) if value.is_told() => nodes.parts[0] = boundary(nodes.parts[0]),
                Slot::Halves(halves) => {
                    for (half, node) in halves.iter().zip(&mut nodes.parts) {
                        if half.number.is_some() {
                            *node = boundary(*node);
                        }
                    }
                }
                _ => {}
            }
        }
        self.is_own = true;
    }
}

/// What is known at one point of one path.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) pc: usize,
    pub(super) frames: Vec<Rc<Frame>>,
    /// What must be given back.
    pub(super) references: Vec<Id>,
    /// What is known of numbers together.
    pub(super) facts: Vec<Fact>,
    /// The map value that is locked.
    pub(super) lock: Option<(MapRef, Id)>,
    /// Buffers that were given other memory, and the last name there was before.
    pub(super) moved: Vec<(u8, Id)>,
    /// The innermost checkpoint passed.
    pub(super) parent: u32,
    /// Instructions on this path.
    pub(super) insns: u64,
    /// Of these, since the last checkpoint.
    pub(super) since: u32,
    /// Branches since the last checkpoint.
    pub(super) jumps: u32,
    /// Rounds of loops that end by themselves: iterators, callbacks, `may_goto`.
    pub(super) rounds: u32,
    /// The last branch taken, in the walker's list.
    pub(super) branch: u32,
    /// The last state on this path that was recorded.
    pub(super) walked: Option<usize>,
}

impl State {
    pub(super) fn frame(&mut self) -> &mut Frame {
        self.frame_mut(self.frames.len() - 1)
    }

    /// A frame, made to be written.
    pub(super) fn frame_mut(&mut self, depth: usize) -> &mut Frame {
        Frame::change(&mut self.frames[depth])
    }

    pub(super) fn reg(&self, register: u8) -> Value {
        let frame = &self.frames[self.frames.len() - 1];
        frame.regs[usize::from(register).min(REGS - 1)]
    }

    pub(super) fn set(&mut self, register: u8, value: Value) {
        self.frame().regs[usize::from(register).min(REGS - 1)] = value;
    }

    pub(super) fn can_enter(&self) -> bool {
        self.frames.len() < MAX_FRAMES
    }

    /// Changes every value held anywhere for which `wanted` holds.
    pub(super) fn change(&mut self, wanted: impl Fn(&Value) -> bool, mut does: impl FnMut(&mut Value)) {
        for frame in &mut self.frames {
            let spilled = |slot: &Slot| matches!(slot, Slot::Full(value) if wanted(value));
            let slots = frame.held().any(|(_, stored)| spilled(&stored.slot));
            if !slots && !frame.regs.iter().any(&wanted) {
                continue;
            }
            let frame = Frame::change(frame);
            frame.regs.iter_mut().filter(|value| wanted(value)).for_each(&mut does);
            if slots {
                frame.change_spilled(&wanted, &mut does);
            }
        }
    }

    /// Forgets pointers to what is gone.
    pub(super) fn forget_pointers(&mut self, gone: impl Fn(&Pointer) -> bool) {
        let stale = |value: &Value| matches!(value, Value::Pointer(pointer) if gone(pointer));
        self.change(stale, |value| *value = Value::None);
    }

    /// The name of the key that is lent to the callback in the frame that makes `frames`.
    pub(super) fn lent_key(frames: usize) -> Id {
        Id::MAX - frames as Id
    }

    /// Changes every number held anywhere, or in a fact, offsets of pointers aside, that shares a name with `of`; `true`
    /// for those in registers.
    pub(super) fn change_linked(&mut self, of: &Scalar, mut does: impl FnMut(&mut Scalar, bool)) {
        let linked =
            |number: &Scalar| of.id != 0 && number.id == of.id || of.half != 0 && number.half == of.half;
        for fact in &mut self.facts {
            for term in fact.terms.iter_mut().filter(|term| linked(term)) {
                let before = term.num;
                does(term, false);
                fact.settled &= term.num == before;
            }
        }
        let names = Names::of(of);
        for frame in &mut self.frames {
            let in_register = |value: &Value| matches!(value, Value::Scalar(number) if linked(number));
            let slots = frame.held().any(|(_, stored)| stored.names.may_share(names));
            if !slots && !frame.regs.iter().any(in_register) {
                continue;
            }
            let frame = Frame::change(frame);
            for value in &mut frame.regs {
                if let Value::Scalar(number) = value
                    && linked(number)
                {
                    does(number, true);
                }
            }
            if slots {
                frame.change_stored(names, |number| {
                    if linked(number) {
                        does(number, false);
                    }
                });
            }
        }
    }

    /// Whether anything holds an address in the frame of a function, R10 of which aside.
    pub(super) fn has_address_in(&self, depth: usize) -> bool {
        let inside = |value: &Value| matches!(value, Value::Pointer(Pointer { kind: Kind::Stack(frame), .. }) if usize::from(*frame) == depth);
        self.frames.iter().any(|frame| {
            frame.regs[..REGS - 1].iter().any(inside)
                || frame.held().any(|(_, stored)| matches!(&stored.slot, Slot::Full(value) if inside(value)))
        })
    }

    /// Calls `does` with the node of every number and slot.
    pub(super) fn each_node(&self, mut does: impl FnMut(Id)) {
        for fact in &self.facts {
            does(fact.node);
            fact.terms.iter().for_each(|term| does(term.node));
        }
        for frame in &self.frames {
            frame.regs.iter().for_each(|value| does(value.node()));
            for nodes in bits(frame.held_bits()).map(|index| frame.nodes[index]) {
                [nodes.read, nodes.parts[0], nodes.parts[1]].into_iter().for_each(&mut does);
            }
        }
    }

    /// About how many bytes it takes to remember.
    pub(super) fn size(&self) -> usize {
        let values = |stored: &Stored| match stored.slot {
            Slot::Full(_) => size_of::<Value>() + 16,
            Slot::Halves(_) => 2 * size_of::<Half>() + 16,
            _ => 0,
        };
        let frame = |frame: &Rc<Frame>| {
            size_of::<Frame>()
                + frame.slots.len() * (size_of::<Stored>() + size_of::<SlotNodes>())
                + frame.slots.iter().map(values).sum::<usize>()
        };
        let facts = self.facts.len() * size_of::<Fact>();
        size_of::<State>() + 64 + facts + self.frames.iter().map(|one| frame(one) + 64).sum::<usize>()
    }
}
