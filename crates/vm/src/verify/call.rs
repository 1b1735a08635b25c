//! Calls of helpers and kfuncs.

use super::flow::callable;
use super::memory::Span;
use super::num::Num;
use super::reject::Rule;
use super::scalar::Number;
use super::state::{DynptrState, Entered, Frame, Id, Kind, MapRef, Pointer, Scalar, Slot, State, Value};
use super::walk::{Next, Walker};
use super::{Entry as Start, MOST_DYNPTR};
use crate::contract::{ArgKind, ArgType, Callable, Callback, DynptrKind, Effects, RetKind};
use crate::helpers::Printed;
use crate::insn::Insn;
use crate::maps::MapKind;
use crate::mem::Access;

type Done<T> = Result<T, Box<Rule>>;

/// What the arguments of a call say of its result.
#[derive(Default)]
pub(super) struct CallMeta {
    map: Option<MapRef>,
    /// The key is an index that is in the array.
    certain: bool,
    size: Option<u32>,
    dynptr: Option<DynptrState>,
    /// The buffer of the call.
    buffer: Option<u8>,
    /// Where dynptrs and iterators come to lie: depth and slot of the first bytes.
    place: Option<(usize, usize, DynptrKind)>,
    iterator: Option<(usize, usize)>,
    callback: Option<(Callback, usize)>,
    context: Option<Value>,
    lock: Option<(MapRef, Id, bool)>,
    releases: Option<Id>,
    destroys: Option<(usize, usize)>,
    /// What the call prints of each value, if its format is known.
    pub(super) format: Option<Vec<Printed>>,
}

impl Walker<'_> {
    /// A call of what the machine or the embedder offers.
    pub(super) fn call(&mut self, state: &mut State, insn: Insn) -> Done<Next> {
        let pc = state.pc;
        let Some(callee) = callable(self.program, insn) else {
            return Err(Rule::UnknownHelper { id: insn.imm }.into());
        };
        if callee.effects.contains(Effects::SLEEPS) && !self.program.sleepable {
            return Err(Rule::Sleeps { callable: callee.name }.into());
        }
        let mut found = CallMeta::default();
        // Bytes that are read are looked at as they are before anything is written over them; what is on the stack
        // and not bytes must not be written over at all.
        let late = |kind: &ArgKind| {
            use ArgKind::{Dynptr, DynptrRecord, Iter, IterDestroy};
            kind.writes() || matches!(kind, Dynptr | DynptrRecord | Iter | IterDestroy)
        };
        for turn in [false, true] {
            for (index, kind) in callee.args.iter().enumerate().filter(|(_, kind)| late(kind) == turn) {
                self.argument_of(state, callee, index, *kind, &mut found)?;
            }
        }
        if let Some((_, _, DynptrKind::Local)) = found.place
            && !matches!(state.reg(1), Value::Pointer(Pointer { kind: Kind::Value(_), .. }))
        {
            let reason = format!("type={} expected=map_value: only that stays", self.name(&state.reg(1)));
            return Err(Rule::Argument { callable: callee.name, register: 1, reason }.into());
        }
        if state.lock.is_some() && found.lock.is_none() {
            return Err(Rule::Locked { what: "a function call" }.into());
        }
        self.uses.effects |= callee.effects - (Effects::MAP_READ | Effects::MAP_WRITE);
        if let Some(map) = found.map {
            let (MapRef::Own(index) | MapRef::Inner(index)) = map;
            self.fact(pc, map);
            if callee.effects.contains(Effects::MAP_READ) {
                self.uses.map(index, Access::Read, false);
            }
            if callee.effects.contains(Effects::MAP_WRITE) {
                self.uses.map(index, Access::ReadWrite, false);
            }
        }
        if callee.args.contains(&ArgKind::Context) {
            // Another program goes on, which may do anything.
            self.uses.effects = Effects::all();
        }
        if let Some((callback, function)) = found.callback {
            return self.call_back(state, pc, callback, function, &found);
        }
        if let Some((map, object, take)) = found.lock {
            match (take, state.lock) {
                (true, None) => state.lock = Some((map, object)),
                (true, Some(_)) => return Err(Rule::Locked { what: "another bpf_spin_lock" }.into()),
                (false, Some(held)) if held == (map, object) => state.lock = None,
                (false, _) => return Err(Rule::NotLocked.into()),
            }
        }
        if let Some((depth, slot)) = found.destroys {
            if let Some(Slot::Iter { reference, .. }) =
                state.frames[depth].entry(slot).map(|entry| entry.slot.clone())
            {
                self.release(state, reference);
            }
            state.frame_mut(depth).write(slot, Slot::Bytes(0));
        }
        if let Some(reference) = found.releases {
            self.release(state, reference);
        }
        // A tail call that succeeds does not come back, and takes nothing along.
        if callee.args.contains(&ArgKind::Context) && (!state.references.is_empty() || state.lock.is_some()) {
            return Err(Rule::Unreleased { what: "a reference at a tail call" }.into());
        }
        if callee.args.contains(&ArgKind::Context) && state.frames.len() > 1 {
            // If it succeeds, the other program's result is that of the function in progress.
            let mut gone = state.clone();
            gone.set(0, Value::Scalar(Scalar::ANY));
            if matches!(self.leave(&mut gone)?, Next::On) {
                self.fork(gone, true, pc)?;
            }
        }
        state.frame().regs[..6].fill(Value::None);
        if let Some(buffer) = found.buffer.filter(|_| callee.effects.contains(Effects::BUFFER_MOVE)) {
            self.moves(state, buffer);
        }
        if let Some((depth, slot, kind)) = found.place {
            let id = self.make_dynptr(state, depth, slot, kind, found.dynptr);
            self.describes(id, found.buffer, found.dynptr.map(|source| source.id));
        }
        let result = self.result(state, callee, &found)?;
        if let Some((depth, slot)) = found.iterator {
            if callee.ret == RetKind::ElementOrNull {
                return self.next_element(state, pc, depth, slot);
            }
            let reference = self.fresh();
            state.references.push(reference);
            state.frame_mut(depth).write(slot, Slot::Iter { reference, active: true });
        }
        state.set(0, result);
        state.pc += 1;
        Ok(Next::On)
    }

    /// Remembers the map of a call, as long as it is always the same.
    fn fact(&mut self, slot: usize, map: MapRef) {
        let entry = match map {
            MapRef::Own(index) => Some(index),
            MapRef::Inner(_) => None,
        };
        self.calls
            .entry(slot)
            .and_modify(|old| {
                if *old != entry {
                    *old = None
                }
            })
            .or_insert(entry);
    }

    /// The iterator has another element, or none.
    fn next_element(&mut self, state: &mut State, pc: usize, depth: usize, slot: usize) -> Done<Next> {
        let Some(Slot::Iter { reference, .. }) =
            state.frames[depth].entry(slot).map(|entry| entry.slot.clone())
        else {
            return Err(Rule::Instruction { code: 0 }.into());
        };
        // The element lies in the iterator and goes with it.
        state.pc += 1;
        state.rounds += 1;
        self.joined = true;
        // The way out first: what matters there is then known when rounds are compared.
        let mut more = state.clone();
        let kind = Kind::Memory { size: 4, access: Access::Read, dynptr: reference };
        more.set(0, Value::Pointer(Pointer::new(kind)));
        self.fork(more, true, pc)?;
        state.frame_mut(depth).write(slot, Slot::Iter { reference, active: false });
        state.set(0, Value::constant(0));
        Ok(Next::On)
    }

    /// The callback runs any number of times.
    fn call_back(
        &mut self,
        state: &mut State,
        pc: usize,
        callback: Callback,
        function: usize,
        found: &CallMeta,
    ) -> Done<Next> {
        self.joined = true;
        let mut entered = state.clone();
        self.enter(&mut entered, function, Entered::Callback(callback), pc)?;
        let context = found.context.unwrap_or(Value::constant(0));
        match callback {
            Callback::Loop => {
                let most = match state.reg(1) {
                    Value::Scalar(count) => {
                        self.marks.mark(count.node);
                        count.num.low.umax.saturating_sub(1)
                    }
                    _ => u64::from(u32::MAX),
                };
                entered.set(1, Value::Scalar(Scalar::new(Number::from_full(Num::unsigned_range(0, most)))));
                entered.set(2, context);
            }
            Callback::MapElement => {
                let map = found.map.ok_or(Rule::Instruction { code: 0 })?;
                entered.set(1, Value::Pointer(Pointer::new(Kind::Map(map))));
                let object = State::lent_key(entered.frames.len());
                entered.set(2, Value::Pointer(Pointer { object, ..Pointer::new(Kind::Key(map)) }));
                let object = self.fresh();
                entered.set(3, Value::Pointer(Pointer { object, ..Pointer::new(Kind::Value(map)) }));
                entered.set(4, context);
            }
        }
        self.fork(entered, true, pc)?;
        state.frame().regs[..6].fill(Value::None);
        state.set(0, Value::Scalar(Scalar::ANY));
        state.pc += 1;
        Ok(Next::On)
    }

    fn make_dynptr(
        &mut self,
        state: &mut State,
        depth: usize,
        slot: usize,
        kind: DynptrKind,
        source: Option<DynptrState>,
    ) -> Id {
        let mut dynptr = DynptrState { kind, id: self.fresh(), reference: 0 };
        match (kind, source) {
            (DynptrKind::Record, _) => {
                dynptr.reference = self.fresh();
                state.references.push(dynptr.reference);
            }
            (DynptrKind::Clone, Some(source)) => {
                // Clones are of one kind, and go with what they describe.
                dynptr.kind = source.kind;
                dynptr.reference = source.reference;
            }
            _ => {}
        }
        let frame = state.frame_mut(depth);
        frame.write(slot, Slot::Dynptr { state: dynptr, upper: false });
        frame.write(slot - 1, Slot::Dynptr { state: dynptr, upper: true });
        dynptr.id
    }

    /// What was acquired is given back: nothing may use it any more.
    fn release(&mut self, state: &mut State, reference: Id) {
        state.references.retain(|&held| held != reference);
        let mut gone = vec![reference];
        for frame in &mut state.frames {
            for index in 0..frame.touched() {
                if let Some(Slot::Dynptr { state: dynptr, .. }) = frame.entry(index).map(|entry| entry.slot)
                    && dynptr.reference == reference
                {
                    gone.push(dynptr.id);
                    Frame::change(frame).write(index, Slot::Bytes(0));
                }
            }
        }
        state.forget_pointers(|pointer| {
            let of_record = matches!(pointer.kind, Kind::Record { reference: of, .. } if of == reference);
            of_record || pointer.is_slice_of(&gone)
        });
    }

    fn result(&mut self, state: &mut State, callee: &Callable, found: &CallMeta) -> Done<Value> {
        let null = |walker: &mut Self, kind| {
            let null = walker.fresh();
            Value::Pointer(Pointer { null, object: null, ..Pointer::new(kind) })
        };
        Ok(match callee.ret {
            RetKind::Word => Value::Scalar(Scalar::of_bytes(4)),
            RetKind::Scalar | RetKind::Void => Value::Scalar(Scalar::ANY),
            RetKind::ValueOrNull => {
                let map = found.map.ok_or(Rule::Instruction { code: 0 })?;
                let spec = self.map(map).ok_or(Rule::Instruction { code: 0 })?;
                match (spec.kind, map) {
                    (MapKind::ArrayOfMaps | MapKind::HashOfMaps, MapRef::Own(index)) => {
                        null(self, Kind::Map(MapRef::Inner(index)))
                    }
                    _ if found.certain => {
                        let object = self.fresh();
                        Value::Pointer(Pointer { object, ..Pointer::new(Kind::Value(map)) })
                    }
                    _ => null(self, Kind::Value(map)),
                }
            }
            RetKind::RecordOrNull => {
                let reference = self.fresh();
                state.references.push(reference);
                let size = found.size.unwrap_or(0);
                null(self, Kind::Record { size, reference })
            }
            RetKind::SliceOrNull { access } => {
                let dynptr = found.dynptr.map_or(0, |dynptr| dynptr.id);
                null(self, Kind::Memory { size: found.size.unwrap_or(0), access, dynptr })
            }
            RetKind::ElementOrNull => Value::None,
        })
    }

    fn argument_of(
        &mut self,
        state: &mut State,
        callee: &'static Callable,
        index: usize,
        kind: ArgKind,
        found: &mut CallMeta,
    ) -> Done<()> {
        let register = index as u8 + 1;
        let value = state.reg(register);
        let refuse = |reason: String| Box::new(Rule::Argument { callable: callee.name, register, reason });
        if value == Value::None && kind == ArgKind::Printed {
            // It is not there.
            return Ok(());
        }
        if value == Value::None && kind != ArgKind::Ignored {
            return Err(Rule::Unset { register }.into());
        }
        match kind {
            ArgKind::Ignored | ArgKind::Any => {}
            ArgKind::Scalar => match value {
                Value::Scalar(_) => {}
                _ => return Err(refuse(format!("type={} expected=scalar", self.name(&value)))),
            },
            ArgKind::Const => {
                let size =
                    self.constant(&value).ok_or_else(|| refuse("is not a known constant".to_owned()))?;
                found.size = Some(u32::try_from(size).map_err(|_| refuse(format!("is too large: {size}")))?);
            }
            ArgKind::Map(kinds) => match value {
                Value::Pointer(Pointer { kind: Kind::Map(map), null: 0, .. }) => {
                    let spec = self.map(map).ok_or(Rule::Instruction { code: 0 })?;
                    if !kinds.contains(&spec.kind) {
                        let name = spec.kind.c_name();
                        return Err(refuse(format!("is a map of type {name}, on which this cannot be done")));
                    }
                    found.map = Some(map);
                }
                _ => return Err(refuse(format!("type={} expected=map_ptr", self.name(&value)))),
            },
            ArgKind::Key | ArgKind::Value | ArgKind::ValueOrNull | ArgKind::ValueOut => {
                let spec = found.map.and_then(|map| self.map(map)).ok_or(Rule::Instruction { code: 0 })?;
                if kind == ArgKind::ValueOrNull && self.is_zero(&value) {
                    return Ok(());
                }
                let size = if kind == ArgKind::Key { spec.key_size } else { spec.value_size };
                let access = match kind {
                    ArgKind::ValueOut if spec.kind != MapKind::Bloom => Access::ReadWrite,
                    _ => Access::Read,
                };
                _ = self.memory_of(state, register, (size.into(), size.into()), None, access, false)?;
                if let (ArgKind::Key, Value::Pointer(pointer)) = (kind, value)
                    // An inner map may be shorter than its template.
                    && matches!(spec.kind, MapKind::Array | MapKind::PerCpuArray)
                    && matches!(found.map, Some(MapRef::Own(_)))
                    && size == 4
                    && let Some(key) = self.stack_constant(state, &pointer, 4)
                {
                    // Maps in a map may be shorter, and there may be no such processor.
                    let whole = matches!(found.map, Some(MapRef::Own(_))) && callee.args.len() == 2;
                    found.certain = whole && key < spec.max_entries.into();
                }
            }
            ArgKind::Printed => {
                let before = callee.args[..index].iter().filter(|kind| **kind == ArgKind::Printed);
                self.print(state, &value, before.count(), found).map_err(refuse)?;
            }
            ArgKind::Mem { .. } | ArgKind::Format | ArgKind::Words => {
                let (access, nullable) = match kind {
                    ArgKind::Mem { access, nullable } => (access, nullable),
                    _ => (Access::Read, kind == ArgKind::Words),
                };
                let size = state.reg(register + 1);
                let Value::Scalar(size) = size else {
                    let other = Rule::Argument {
                        callable: callee.name,
                        register: register + 1,
                        reason: format!("type={} expected=scalar", self.name(&size)),
                    };
                    return Err(other.into());
                };
                self.marks.mark(size.node);
                if nullable && self.is_zero(&value) {
                    return Ok(());
                }
                let range = size.num.full;
                if range.smin < 0 {
                    return Err(refuse(
                        "has a length that may be negative: bound it with `if (len > MAX)` or `len &= MAX`"
                            .to_owned(),
                    ));
                }
                if range.umax >= 1 << 29 {
                    return Err(refuse(
                        "unbounded memory access: make sure to bounds check the length".to_owned(),
                    ));
                }
                let words = kind == ArgKind::Words;
                let lengths = (range.umin, range.umax);
                let (pointer, span) = self.memory_of(state, register, lengths, Some(&size), access, words)?;
                match kind {
                    ArgKind::Words => self.print_words(state, &pointer, span, found).map_err(refuse)?,
                    ArgKind::Format => self.format(state, &value, found),
                    _ => {}
                }
            }
            ArgKind::Size => {}
            ArgKind::ConstSize => {
                let size =
                    self.constant(&value).ok_or_else(|| refuse("must be a known constant".to_owned()))?;
                found.size = Some(u32::try_from(size).map_err(|_| refuse(format!("is too large: {size}")))?);
            }
            ArgKind::Fixed { len, access } => {
                _ = self.memory_of(state, register, (len as u64, len as u64), None, access, false)?;
            }
            ArgKind::Str => {
                self.string(&value).map_err(refuse)?;
                if callee.args.contains(&ArgKind::Words) {
                    self.format(state, &value, found);
                }
            }
            ArgKind::DynptrUninit(kind) => {
                let (depth, slot) = self.place(state, &value, 16).map_err(refuse)?;
                let off = super::memory::offset_of(slot);
                self.clobber_stack(state, depth as u8, Span { low: off, high: off, len: 16 }, true)?;
                found.place = Some((depth, slot, kind));
            }
            ArgKind::Dynptr | ArgKind::DynptrRecord => {
                let (depth, slot) = self.place(state, &value, 16).map_err(refuse)?;
                let entry =
                    state.frames[depth].entry(slot).map(|entry| (entry.nodes.read, entry.slot.clone()));
                let Some((node, Slot::Dynptr { state: dynptr, upper: false })) = entry else {
                    return Err(refuse("expected an initialized dynptr".to_owned()));
                };
                self.marks.mark(node);
                if kind == ArgKind::DynptrRecord {
                    if dynptr.kind != DynptrKind::Record {
                        return Err(refuse("expected a dynptr of a ring-buffer record".to_owned()));
                    }
                    found.releases = Some(dynptr.reference);
                }
                found.dynptr = Some(dynptr);
            }
            ArgKind::Buffer { access } => match value {
                Value::Pointer(Pointer { kind: Kind::Buffer(index), null: 0, .. }) => {
                    let Start::Context(args) = self.start else {
                        return Err(refuse("is no buffer".to_owned()));
                    };
                    let Some(ArgType::Buffer { access: allowed, name }) = args.get(usize::from(index)) else {
                        return Err(refuse("is no buffer".to_owned()));
                    };
                    if access == Access::ReadWrite && *allowed == Access::Read {
                        return Err(refuse(format!("is a const struct {name}: it may only be read here")));
                    }
                    found.buffer = Some(index);
                    self.uses.buffers_read.insert(index);
                    if access == Access::ReadWrite {
                        self.uses.buffers_written.insert(index);
                    }
                }
                _ => return Err(refuse(format!("type={} expected=an opaque buffer", self.name(&value)))),
            },
            ArgKind::Record => match value {
                Value::Pointer(Pointer { kind: Kind::Record { reference, .. }, null: 0, off, .. })
                    if off.value() == Some(0) =>
                {
                    found.releases = Some(reference);
                }
                Value::Pointer(Pointer { kind: Kind::Record { .. }, null: 0, .. }) => {
                    return Err(refuse("must have zero offset when passed to release func".to_owned()));
                }
                _ => return Err(refuse(format!("type={} expected=ringbuf_mem", self.name(&value)))),
            },
            ArgKind::Function(callback) => match value {
                Value::Pointer(Pointer { kind: Kind::Function(slot), .. }) => {
                    found.callback = Some((callback, slot as usize));
                }
                _ => return Err(refuse(format!("type={} expected=func", self.name(&value)))),
            },
            ArgKind::CallbackContext => {
                match value {
                    Value::Pointer(pointer @ Pointer { kind: Kind::Stack(_), .. }) => {
                        self.span(&pointer, register, 0, 1, Access::Read)?;
                    }
                    _ if self.is_zero(&value) => {}
                    _ => return Err(refuse(format!("type={} expected=fp or null", self.name(&value)))),
                }
                found.context = Some(value);
            }
            ArgKind::IterUninit => {
                let (depth, slot) = self.place(state, &value, 8).map_err(refuse)?;
                let off = super::memory::offset_of(slot);
                self.clobber_stack(state, depth as u8, Span { low: off, high: off, len: 8 }, true)?;
                found.iterator = Some((depth, slot));
            }
            ArgKind::Iter | ArgKind::IterDestroy => {
                let (depth, slot) = self.place(state, &value, 8).map_err(refuse)?;
                let entry =
                    state.frames[depth].entry(slot).map(|entry| (entry.nodes.read, entry.slot.clone()));
                let Some((node, Slot::Iter { .. })) = entry else {
                    return Err(refuse("expected an initialized iter_num".to_owned()));
                };
                self.marks.mark(node);
                match kind {
                    ArgKind::Iter => found.iterator = Some((depth, slot)),
                    _ => found.destroys = Some((depth, slot)),
                }
            }
            ArgKind::Lock { take } => match value {
                Value::Pointer(Pointer { kind: Kind::Value(map), null: 0, off, object }) => {
                    let lock = self.map(map).and_then(|spec| spec.lock);
                    if lock.is_none() || off.value() != lock.map(u64::from) {
                        return Err(refuse("is not the bpf_spin_lock of the map value".to_owned()));
                    }
                    found.lock = Some((map, object, take));
                }
                _ => return Err(refuse(format!("type={} expected=map_value", self.name(&value)))),
            },
            ArgKind::Context => match value {
                Value::Pointer(Pointer { kind: Kind::Context, off, .. }) if off.value() == Some(0) => {}
                _ => return Err(refuse(format!("type={} expected=ctx", self.name(&value)))),
            },
        }
        Ok(())
    }

    /// A number that is known, and from now on matters.
    fn constant(&mut self, value: &Value) -> Option<u64> {
        let Value::Scalar(scalar) = value else { return None };
        let number = scalar.value()?;
        self.marks.mark(scalar.node);
        Some(number)
    }

    /// Whether a value is the null pointer, for certain.
    pub(super) fn is_zero(&mut self, value: &Value) -> bool {
        self.constant(value) == Some(0)
    }

    /// Memory lent to a call, and what of it: `size` is its least and greatest length, `length` the number it is.
    /// `addresses`: it may hold some.
    pub(super) fn memory_of(
        &mut self,
        state: &mut State,
        register: u8,
        size: (u64, u64),
        length: Option<&Scalar>,
        access: Access,
        addresses: bool,
    ) -> Done<(Pointer, Span)> {
        let mut pointer = self.pointer(state, register)?;
        let (least, most) = size;
        if let Some(end) = length.and_then(|length| self.reach(state, &pointer.off, length)) {
            // Where it ends is known better than where it starts and how long it is.
            let least = pointer.off.num.full.smin;
            let high = end.saturating_sub(most as i64).max(least);
            let range = Number::from_full(Num::signed_range(least, high));
            pointer.off.num = pointer.off.num.intersect(&range).unwrap_or(pointer.off.num);
        }
        if matches!(pointer.kind, Kind::Context) {
            return Err(Rule::NotMemory { register, what: "ctx".to_owned() }.into());
        }
        let span = self.span(&pointer, register, 0, most, access)?;
        if let Kind::Stack(depth) = pointer.kind {
            match access {
                Access::Read => self.read_stack(state, depth, span, register, addresses)?,
                Access::ReadWrite => {
                    let certain = length.is_none() || least == most;
                    if !certain {
                        self.keep_stack(state, depth, span);
                    }
                    self.clobber_stack(state, depth, span, certain)?;
                }
            }
        } else if access == Access::ReadWrite {
            self.span(&pointer, register, 0, most, Access::Read)?;
        }
        Ok((pointer, span))
    }

    /// What a range of the stack held may still be there after the call.
    fn keep_stack(&mut self, state: &State, depth: u8, span: Span) {
        let frame = &state.frames[usize::from(depth)];
        if span.len == 0 {
            return;
        }
        for index in Frame::slot_of(span.high + span.len as i64 - 1)..=Frame::slot_of(span.low) {
            if let Some(entry) = frame.entry(index) {
                self.marks.mark(entry.nodes.read);
            }
        }
    }

    /// A string that cannot change.
    fn string(&mut self, value: &Value) -> Result<(), String> {
        let Value::Pointer(Pointer { kind: Kind::Value(MapRef::Own(index)), null: 0, off, .. }) = value
        else {
            return Err(format!("type={} expected=a constant string", self.name(value)));
        };
        let map = self.program.maps.get(*index as usize).filter(|map| map.spec().read_only);
        map.ok_or("is not a string in a read-only map (const char [])")?;
        let off = off.value().ok_or("is not at a known offset")?;
        self.constant_text(*index, off).ok_or("is not a NUL-terminated string")?;
        self.uses.map(*index, Access::Read, true);
        Ok(())
    }

    /// Bytes of stack at a known place, 8-byte aligned: depth, and the slot of the first.
    fn place(&mut self, state: &State, value: &Value, bytes: i64) -> Result<(usize, usize), String> {
        let Value::Pointer(Pointer { kind: Kind::Stack(depth), off, .. }) = value else {
            return Err(format!("type={} expected=fp", self.name(value)));
        };
        let off = off.value().ok_or("is not at a constant offset")? as i64;
        let limit = -(crate::interp::FRAME_SIZE as i64);
        if off % 8 != 0 || off < limit || off + bytes > 0 || usize::from(*depth) >= state.frames.len() {
            return Err(format!("is not {bytes} bytes of stack, 8-byte aligned"));
        }
        Ok((usize::from(*depth), Frame::slot_of(off)))
    }
}

const _: () = assert!(MOST_DYNPTR < 1 << 29);
