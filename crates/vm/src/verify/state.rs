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

/// Eight bytes of stack.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Slot {
    /// Bytes that are 0 where the bit is set.
    Bytes(u8),
    /// A register.
    Full(Rc<Value>),
    /// Two numbers of 32 bits, or bytes as above.
    Halves(Rc<[Half; 2]>),
    /// The lower or upper half of a dynptr.
    Dynptr { state: DynptrState, upper: bool },
    /// An iterator with its reference; `active` while it has an element.
    Iter { reference: Id, active: bool },
}

/// Four bytes of stack.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "boxed where it is kept")]
pub(super) enum Half {
    /// Bytes that are 0 where the bit is set.
    Bytes(u8),
    Scalar(Scalar),
}

/// A slot and whether anybody reads it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) slot: Slot,
    pub(super) node: Id,
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
    pub(super) slots: Rc<Vec<Entry>>,
    /// Slot of the call that entered it.
    pub(super) call: usize,
    pub(super) entered: Entered,
}

impl Frame {
    pub(super) fn new(depth: usize, call: usize, entered: Entered) -> Frame {
        let mut regs = [Value::None; REGS];
        regs[10] = Value::Pointer(Pointer::new(Kind::Stack(depth as u8)));
        Frame { regs, slots: Rc::new(Vec::new()), call, entered }
    }

    /// The slot that holds the byte at an offset below the end of the frame (-1 is the last).
    pub(super) fn slot_of(off: i64) -> usize {
        ((-off - 1) / 8) as usize
    }

    pub(super) fn entry(&self, index: usize) -> Option<&Entry> {
        self.slots.get(index)
    }

    pub(super) fn entry_mut(&mut self, index: usize) -> &mut Entry {
        let slots = Rc::make_mut(&mut self.slots);
        let wanted = index.min(SLOTS - 1) + 1;
        if slots.len() < wanted {
            slots.resize(wanted, Entry { slot: Slot::Bytes(0xff), node: 0 });
        }
        &mut slots[wanted - 1]
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
        Rc::make_mut(&mut self.frames[depth])
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
            let spilled = |entry: &Entry| matches!(&entry.slot, Slot::Full(value) if wanted(value));
            let slots = frame.slots.iter().any(spilled);
            if !slots && !frame.regs.iter().any(&wanted) {
                continue;
            }
            let frame = Rc::make_mut(frame);
            frame.regs.iter_mut().filter(|value| wanted(value)).for_each(&mut does);
            if slots {
                for entry in Rc::make_mut(&mut frame.slots) {
                    if let Slot::Full(value) = &mut entry.slot
                        && wanted(value)
                    {
                        does(Rc::make_mut(value));
                    }
                }
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

    /// Changes every number held anywhere, or in a fact, offsets of pointers aside, for which `wanted` holds; `true`
    /// for those in registers.
    pub(super) fn change_scalars(
        &mut self,
        wanted: impl Fn(&Scalar) -> bool,
        mut does: impl FnMut(&mut Scalar, bool),
    ) {
        for fact in &mut self.facts {
            for term in fact.terms.iter_mut().filter(|term| wanted(term)) {
                let before = term.num;
                does(term, false);
                fact.settled &= term.num == before;
            }
        }
        for frame in &mut self.frames {
            let in_register = |value: &Value| matches!(value, Value::Scalar(scalar) if wanted(scalar));
            let spilled = |entry: &Entry| match &entry.slot {
                Slot::Full(value) => in_register(value),
                Slot::Halves(halves) => {
                    halves.iter().any(|half| matches!(half, Half::Scalar(scalar) if wanted(scalar)))
                }
                _ => false,
            };
            let slots = frame.slots.iter().any(spilled);
            if !slots && !frame.regs.iter().any(in_register) {
                continue;
            }
            let frame = Rc::make_mut(frame);
            for value in &mut frame.regs {
                if let Value::Scalar(scalar) = value
                    && wanted(scalar)
                {
                    does(scalar, true);
                }
            }
            if !slots {
                continue;
            }
            for entry in Rc::make_mut(&mut frame.slots).iter_mut().filter(|entry| spilled(entry)) {
                match &mut entry.slot {
                    Slot::Full(value) => {
                        if let Value::Scalar(scalar) = Rc::make_mut(value) {
                            does(scalar, false);
                        }
                    }
                    Slot::Halves(halves) => {
                        for half in Rc::make_mut(halves) {
                            if let Half::Scalar(scalar) = half
                                && wanted(scalar)
                            {
                                does(scalar, false);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Calls `does` with the node of every number and slot.
    pub(super) fn each_node(&self, mut does: impl FnMut(Id)) {
        for fact in &self.facts {
            does(fact.node);
            fact.terms.iter().for_each(|term| does(term.node));
        }
        let node = |value: &Value| match value {
            Value::Scalar(scalar) => scalar.node,
            Value::Pointer(pointer) => pointer.off.node,
            Value::None => 0,
        };
        for frame in &self.frames {
            frame.regs.iter().for_each(|value| does(node(value)));
            for entry in frame.slots.iter() {
                does(entry.node);
                match &entry.slot {
                    Slot::Full(value) => does(node(value)),
                    Slot::Halves(halves) => {
                        for half in halves.iter() {
                            if let Half::Scalar(scalar) = half {
                                does(scalar.node);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// About how many bytes it takes to remember.
    pub(super) fn size(&self) -> usize {
        let values = |entry: &Entry| match entry.slot {
            Slot::Full(_) => size_of::<Value>() + 16,
            Slot::Halves(_) => 2 * size_of::<Half>() + 16,
            _ => 0,
        };
        let frame = |frame: &Rc<Frame>| {
            size_of::<Frame>()
                + frame.slots.len() * size_of::<Entry>()
                + frame.slots.iter().map(values).sum::<usize>()
        };
        let facts = self.facts.len() * size_of::<Fact>();
        size_of::<State>() + 64 + facts + self.frames.iter().map(|one| frame(one) + 64).sum::<usize>()
    }
}
