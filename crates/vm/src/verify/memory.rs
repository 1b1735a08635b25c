//! Loads, stores and atomics.

use super::reject::Rule;
use super::scalar::Number;
use super::state::{Entry, Frame, Half, Kind, MapRef, Pointer, SLOTS, Scalar, Slot, State, Value};
use super::walk::Walker;
use super::{Entry as Start, num::Num};
use crate::contract::ArgType;
use crate::interp::FRAME_SIZE;
use crate::maps::{MapKind, MapSpec};
use crate::mem::{Access, Width};
use std::rc::Rc;

/// An access that was proved to lie inside: the least and greatest offset in the object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) low: i64,
    pub(super) high: i64,
    pub(super) len: u64,
}

impl Span {
    pub(super) fn constant(&self) -> Option<i64> {
        (self.low == self.high).then_some(self.low)
    }
}

type Done<T> = Result<T, Box<Rule>>;

impl<'p> Walker<'p> {
    /// The declaration of a map.
    pub(super) fn map(&self, map: MapRef) -> Option<&'p MapSpec> {
        match map {
            MapRef::Own(index) => self.program.maps.get(index as usize).map(|map| map.spec()),
            MapRef::Inner(index) => {
                self.program.maps.get(index as usize).and_then(|map| map.spec().inner.as_deref())
            }
        }
    }

    fn argument(&self, index: u8) -> Option<&'p ArgType> {
        match self.start {
            Start::Context(args) => args.get(usize::from(index)),
            Start::Memory { .. } => None,
        }
    }

    /// What a pointer is to, as text for people.
    pub(super) fn name(&self, value: &Value) -> String {
        match value {
            Value::None => "nothing".to_owned(),
            Value::Scalar(_) => "scalar".to_owned(),
            Value::Pointer(pointer) => {
                let null = if pointer.null == 0 { "" } else { "_or_null" };
                match (pointer.kind, self.kind_name(pointer.kind)) {
                    (Kind::Argument(_) | Kind::Buffer(_), name) => {
                        format!("{}{name}{null}", pointer.kind.c_name())
                    }
                    (kind, _) => format!("{}{null}", kind.c_name()),
                }
            }
        }
    }

    fn kind_name(&self, kind: Kind) -> &'static str {
        match kind {
            Kind::Argument(index) | Kind::Buffer(index) => match self.argument(index) {
                Some(
                    ArgType::Struct { name, .. } | ArgType::Part { name, .. } | ArgType::Buffer { name, .. },
                ) => name,
                Some(ArgType::Scalar { .. }) | None => "?",
            },
            kind => kind.c_name(),
        }
    }

    /// The pointer in a register, which must not be null.
    pub(super) fn pointer(&self, state: &State, register: u8) -> Done<Pointer> {
        match state.reg(register) {
            Value::Pointer(pointer) if pointer.null == 0 => Ok(pointer),
            Value::None => Err(Rule::Unset { register }.into()),
            other => Err(Rule::NotMemory { register, what: self.name(&other) }.into()),
        }
    }

    /// Checks that `len` bytes at `off` from where a pointer points lie in its object and may be used so.
    pub(super) fn span(
        &mut self,
        pointer: &Pointer,
        register: u8,
        off: i64,
        len: u64,
        access: Access,
    ) -> Done<Span> {
        let range = &pointer.off.num.full;
        let (low, high) = (range.smin.saturating_add(off), range.smax.saturating_add(off));
        let span = Span { low, high, len };
        let (first, end, allowed) = match pointer.kind {
            Kind::Stack(_) => (-(FRAME_SIZE as i64), 0, Access::ReadWrite),
            Kind::Value(map) => {
                let spec = self.map(map).ok_or(Rule::Instruction { code: 0 })?;
                let allowed = if spec.programs_may_write() { Access::ReadWrite } else { Access::Read };
                (0, i64::from(spec.value_size), allowed)
            }
            Kind::Key(map) => {
                let spec = self.map(map).ok_or(Rule::Instruction { code: 0 })?;
                (0, i64::from(spec.key_size), Access::Read)
            }
            Kind::Argument(index) => match self.argument(index) {
                Some(&ArgType::Struct { size, access, .. }) => (0, size as i64, access),
                Some(&ArgType::Part { at, size, access, .. }) => (at as i64, (at + size) as i64, access),
                _ => (0, 0, Access::Read),
            },
            Kind::Memory { size, access, .. } => (0, i64::from(size), access),
            Kind::Record { size, .. } => (0, i64::from(size), Access::ReadWrite),
            Kind::Buffer(_) => return Err(Rule::Opaque { name: self.kind_name(pointer.kind) }.into()),
            Kind::Map(_) | Kind::Function(_) => {
                return Err(Rule::NotMemory { register, what: pointer.kind.c_name().to_owned() }.into());
            }
            Kind::Context => {
                if access == Access::ReadWrite {
                    return Err(Rule::ReadOnly { what: "the context".to_owned() }.into());
                }
                return Ok(span);
            }
        };
        let past = i64::try_from(len).ok().and_then(|len| high.checked_add(len)).is_none_or(|to| to > end);
        if low < first || past {
            let size = (end - first) as u64;
            if let Kind::Argument(index) = pointer.kind
                && let Some(&ArgType::Part { name, at, .. }) = self.argument(index)
            {
                return Err(Rule::Part { name, at, size, low, high, len }.into());
            }
            return Err(Rule::Bounds { kind: self.kind_name(pointer.kind), size, low, high, len }.into());
        }
        if access == Access::ReadWrite && allowed == Access::Read {
            return Err(Rule::ReadOnly { what: self.what(pointer.kind) }.into());
        }
        match pointer.kind {
            Kind::Argument(index) => self.uses.argument(index, low, high, len, access),
            Kind::Value(map) => {
                let (MapRef::Own(index) | MapRef::Inner(index)) = map;
                let constant = self.map(map).is_some_and(|spec| spec.read_only);
                self.uses.map(index, access, constant);
                // The lock word is the lock's.
                if let Some(lock) = self.map(map).and_then(|spec| spec.lock) {
                    let lock = i64::from(lock);
                    if low < lock + 4 && high.saturating_add(len as i64) > lock {
                        return Err(Rule::Special { off: low, what: "bpf_spin_lock" }.into());
                    }
                }
            }
            _ => {}
        }
        Ok(span)
    }

    fn what(&self, kind: Kind) -> String {
        match kind {
            Kind::Argument(_) => format!("const struct {}", self.kind_name(kind)),
            Kind::Value(map) => {
                let name = self.map(map).map_or("", |spec| spec.name.as_str());
                format!("a value of map `{name}`")
            }
            Kind::Memory { .. } => "a read-only slice".to_owned(),
            kind => kind.c_name().to_owned(),
        }
    }

    /// A load.
    pub(super) fn load(
        &mut self,
        state: &mut State,
        register: u8,
        off: i16,
        width: Width,
        signed: bool,
    ) -> Done<Value> {
        let pointer = self.pointer(state, register)?;
        let bytes = width.bytes();
        let span = self.span(&pointer, register, off.into(), bytes as u64, Access::Read)?;
        self.touches(state, &pointer);
        let value = match pointer.kind {
            Kind::Context => return self.load_argument(span, bytes, signed),
            Kind::Stack(depth) => self.load_stack(state, depth, span, bytes)?,
            Kind::Value(map) => {
                self.load_constant(map, span, width).unwrap_or(Value::Scalar(Scalar::of_bytes(bytes)))
            }
            _ => Value::Scalar(Scalar::of_bytes(bytes)),
        };
        if !signed {
            return Ok(value);
        }
        Ok(match value {
            Value::Scalar(scalar) => {
                let num = scalar.num.sign_extend(bytes as u32 * 8);
                Value::Scalar(Scalar { node: scalar.node, ..Scalar::new(num) })
            }
            _ => return Err(Rule::PartOfPointer { off: span.low }.into()),
        })
    }

    fn load_argument(&mut self, span: Span, bytes: usize, signed: bool) -> Done<Value> {
        let wrong = Rule::Context { off: span.low, size: bytes };
        let Some(off) = span.constant() else { return Err(wrong.into()) };
        let index = u8::try_from(off.div_euclid(8)).map_err(|_| wrong.clone())?;
        let whole = off % 8 == 0 && bytes == 8 && !signed;
        let kind = match self.argument(index) {
            Some(ArgType::Struct { .. } | ArgType::Part { .. }) if whole => Kind::Argument(index),
            Some(ArgType::Buffer { .. }) if whole => Kind::Buffer(index),
            // Compilers load the half they need.
            Some(&ArgType::Scalar { value, .. }) if off % bytes as i64 == 0 => {
                let part = |value: u64| value >> (off % 8 * 8) & (u64::MAX >> (64 - bytes * 8));
                let scalar =
                    value.map_or_else(|| Scalar::of_bytes(bytes), |value| Scalar::constant(part(value)));
                let num = if signed { scalar.num.sign_extend(bytes as u32 * 8) } else { scalar.num };
                return Ok(Value::Scalar(Scalar::new(num)));
            }
            _ => return Err(wrong.into()),
        };
        Ok(Value::Pointer(Pointer::new(kind)))
    }

    /// A load of what never changes.
    fn load_constant(&self, map: MapRef, span: Span, width: Width) -> Option<Value> {
        let MapRef::Own(index) = map else { return None };
        let map = self.program.maps.get(index as usize)?;
        if !map.spec().read_only || map.spec().kind != MapKind::Array {
            return None;
        }
        let off = usize::try_from(span.constant()?).ok()?;
        map.single_value()?.load(off, width).map(Value::constant)
    }

    fn load_stack(&mut self, state: &mut State, depth: u8, span: Span, bytes: usize) -> Done<Value> {
        let first = Frame::slot_of(span.low);
        let last = Frame::slot_of(span.high + span.len as i64 - 1);
        let frame = &state.frames[usize::from(depth)];
        for index in last..=first {
            let Some(entry) = frame.entry(index) else { continue };
            self.marks.mark(entry.nodes.read);
            match entry.slot {
                Slot::Dynptr { .. } => return Err(special(index, "a dynptr")),
                Slot::Iter { .. } => return Err(special(index, "an iterator")),
                Slot::Dead => return Err(special(index, "what was forgotten")),
                _ => {}
            }
        }
        let unknown = Value::Scalar(Scalar::of_bytes(bytes));
        let (Some(off), true) = (span.constant(), first == last) else {
            // Several slots, or one of several.
            let spill = |index: usize| frame.entry(index).is_some_and(|entry| holds_pointer(entry.slot));
            if let Some(index) = (last..=first).find(|&index| spill(index)) {
                return Err(Rule::PartOfPointer { off: offset_of(index) }.into());
            }
            let zero =
                |index: usize| frame.entry(index).is_none_or(|entry| matches!(entry.slot, Slot::Bytes(0xff)));
            return Ok(if (last..=first).all(zero) { Value::constant(0) } else { unknown });
        };
        let Some(entry) = frame.entry(first) else { return Ok(Value::constant(0)) };
        // Position in the slot, from its lowest byte.
        let at = (off - offset_of(first)) as usize;
        if let Some(value) = entry.value() {
            return match value {
                _ if bytes == 8 => Ok(value),
                Value::Scalar(scalar) => Ok(Value::Scalar(part(&scalar, at, bytes, at == 0))),
                _ => Err(Rule::PartOfPointer { off }.into()),
            };
        }
        if let Some(halves) = entry.halves() {
            return Ok(self.load_halves(&halves, at, bytes).map_or(unknown, Value::Scalar));
        }
        Ok(match entry.slot {
            Slot::Bytes(zero) => {
                let mask = (((1u16 << bytes) - 1) << at) as u8;
                if zero & mask == mask { Value::constant(0) } else { unknown }
            }
            _ => return Err(special(first, "a special object")),
        })
    }

    /// Some bytes of a slot with two halves, where they are known.
    fn load_halves(&mut self, halves: &[Half; 2], at: usize, bytes: usize) -> Option<Scalar> {
        if bytes == 8 {
            let [low, high] = [halves[0].whole()?, halves[1].whole()?];
            let node = self.marks.join(low.node, high.node);
            return match (low.value(), high.value()?) {
                (_, 0) => Some(Scalar { node, ..low }),
                (Some(low), high) => {
                    Some(Scalar { node, ..Scalar::constant(high << 32 | low & 0xffff_ffff) })
                }
                _ => None,
            };
        }
        let (half, at) = (&halves[at / 4], at % 4);
        if at + bytes > 4 {
            return None;
        }
        let wanted = (((1u16 << bytes) - 1) << at) as u8;
        match half.number {
            Some((number, len)) if at + bytes <= len.into() => Some(part(&number, at, bytes, at == 0)),
            // The bytes above it are 0.
            Some((number, _)) if at == 0 && wanted & !(half.held() | half.zero) == 0 => Some(number),
            _ => (wanted & !half.zero == 0).then_some(Scalar::constant(0)),
        }
    }

    /// A store of a value.
    pub(super) fn store(
        &mut self,
        state: &mut State,
        register: u8,
        off: i16,
        width: Width,
        from: (Value, u8),
    ) -> Done<()> {
        let pointer = self.pointer(state, register)?;
        let bytes = width.bytes();
        let span = self.span(&pointer, register, off.into(), bytes as u64, Access::ReadWrite)?;
        self.touches(state, &pointer);
        let (value, source) = from;
        if value == Value::None {
            return Err(Rule::Unset { register: source }.into());
        }
        let Kind::Stack(depth) = pointer.kind else {
            return match value {
                Value::Pointer(_) => {
                    Err(Rule::Leak { register: source, to: "memory others can read" }.into())
                }
                _ => Ok(()),
            };
        };
        if let Value::Pointer(stored) = value {
            if bytes != 8 || span.constant().is_none_or(|off| off % 8 != 0) {
                return Err(Rule::Leak { register: source, to: "the stack, but for 8 aligned bytes" }.into());
            }
            if matches!(stored.kind, Kind::Stack(inner) if inner > depth) {
                return Err(Rule::Dangling {
                    what: "spill pointers to stack into stack frame of the caller",
                }
                .into());
            }
        }
        let zero = matches!(value, Value::Scalar(scalar) if scalar.value() == Some(0));
        let Some(off) = span.constant() else {
            let (first, last) = (Frame::slot_of(span.low), Frame::slot_of(span.high + bytes as i64 - 1));
            let zeros: Vec<u8> =
                (last..=first).map(|index| zeros_of(&state.frames[usize::from(depth)], index)).collect();
            self.clobber_stack(state, depth, span, true)?;
            if let Value::Scalar(scalar) = value
                && zero
            {
                // What was zero stays zero, wherever the zero goes.
                self.marks.mark(scalar.node);
                for (index, zeros) in (last..=first).zip(zeros) {
                    let frame = state.frame_mut(usize::from(depth));
                    if let Some(Slot::Bytes(known)) = frame.entry(index).map(|entry| entry.slot) {
                        let known = known | zeros;
                        frame.replace(index, Slot::Bytes(known));
                    }
                }
            }
            return Ok(());
        };
        let patched = match value {
            Value::Scalar(scalar) => self.patched(&state.frames[usize::from(depth)], off, bytes, &scalar),
            _ => None,
        };
        self.clobber_stack(state, depth, span, true)?;
        // Bytes do not remember where they come from, so that they are zero matters from here on.
        if let Value::Scalar(scalar) = value
            && zero
            && (bytes < 4 || (bytes == 4 && off % 4 != 0))
        {
            self.marks.mark(scalar.node);
        }
        let index = Frame::slot_of(off + bytes as i64 - 1);
        if index != Frame::slot_of(off) {
            return Ok(());
        }
        let at = (off - offset_of(index)) as usize;
        let frame = state.frame_mut(usize::from(depth));
        match value {
            _ if bytes == 8 => frame.write(index, Slot::Full(Rc::new(value))),
            _ if let Some(number) = patched => {
                let mut halves = frame.entry(index).unwrap_or(Entry::ZERO).as_halves();
                halves[at / 4] = Half::of(number);
                frame.replace(index, Slot::Halves(Rc::new(halves)));
            }
            Value::Scalar(_) if zero && bytes < 4 => {
                let written = (((1u16 << bytes) - 1) << at) as u8;
                let entry = frame.entry(index).unwrap_or(Entry::ZERO);
                if let Slot::Bytes(bits) = entry.slot {
                    let bits = bits | written;
                    frame.replace(index, Slot::Bytes(bits));
                } else if let Some(mut halves) = entry.halves() {
                    halves[0].zero |= written & 0x0f;
                    halves[1].zero |= written >> 4;
                    frame.replace(index, Slot::Halves(Rc::new(halves)));
                }
            }
            Value::Scalar(scalar) if at.is_multiple_of(4) => {
                let stored = if holds(&scalar, bytes) {
                    scalar
                } else if bytes == 4 {
                    Scalar::with_half_of(scalar.num.truncate(), &scalar)
                } else {
                    Scalar { node: scalar.node, ..Scalar::new(scalar.num.zero_extend(bytes as u32 * 8)) }
                };
                let mut halves = frame.entry(index).unwrap_or(Entry::ZERO).as_halves();
                let half = &mut halves[at / 4];
                half.number = Some((stored, bytes as u8));
                half.zero &= !half.held();
                frame.replace(index, Slot::Halves(Rc::new(halves)));
            }
            _ => {}
        }
        Ok(())
    }

    /// What four bytes of the stack are with a constant stored over some of them, but not the lowest, if all are known.
    fn patched(&mut self, frame: &Frame, off: i64, bytes: usize, stored: &Scalar) -> Option<Scalar> {
        let at = off.rem_euclid(4) as usize;
        if at == 0 || at + bytes > 4 {
            return None;
        }
        let index = Frame::slot_of(off);
        let upper = (off - offset_of(index)) >= 4;
        let entry = frame.entry(index).unwrap_or(Entry::ZERO);
        let before = match entry.value() {
            Some(Value::Scalar(scalar)) => part(&scalar, 4 * usize::from(upper), 4, !upper),
            _ => entry.as_halves()[usize::from(upper)].whole()?,
        };
        let mask = (u32::MAX >> (32 - 8 * bytes)) << (8 * at);
        let number = (before.value()? as u32 & !mask) | ((stored.value()? as u32) << (8 * at) & mask);
        let node = self.marks.join(before.node, stored.node);
        // Zeros among zeros stay such.
        let is_new = number != 0 || before.value() != Some(0);
        is_new.then_some(Scalar { node, ..Scalar::constant(number.into()) })
    }

    /// Forgets what a range of the stack held. `certain`: at a constant offset, all bytes are written.
    pub(super) fn clobber_stack(
        &mut self,
        state: &mut State,
        depth: u8,
        span: Span,
        certain: bool,
    ) -> Done<()> {
        if span.len == 0 {
            return Ok(());
        }
        let (low, end) = (span.low, span.high + span.len as i64);
        let (first, last) = (Frame::slot_of(low), Frame::slot_of(end - 1));
        for index in last..=first {
            self.destroy(state, depth, index)?;
            let start = offset_of(index);
            let constant = span.constant().is_some() && certain;
            // The bytes of the slot that may be written.
            let from = (low - start).clamp(0, 8) as u32;
            let to = (end - start).clamp(0, 8) as u32;
            let written = (((1u16 << to) - 1) & !((1u16 << from) - 1)) as u8;
            let frame = state.frame_mut(usize::from(depth));
            if written == 0xff && constant {
                frame.write(index, Slot::Bytes(0));
                continue;
            }
            let entry = frame.entry(index).unwrap_or(Entry::ZERO);
            // What is left of the slot is as it was, and whoever reads it reads that. Bytes do not remember where they
            // come from, so that they are zero matters from here on.
            let mut bytes_of = |scalar: &Scalar, written: u8, bytes: u8| {
                if scalar.value() != Some(0) {
                    return 0;
                }
                self.marks.mark(scalar.node);
                bytes & !written
            };
            let slot = match (entry.value(), entry.halves(), entry.slot) {
                (Some(Value::Pointer(_)), ..) => return Err(Rule::PartOfPointer { off: start }.into()),
                (Some(Value::Scalar(scalar)), ..) => match bytes_of(&scalar, written, 0xff) {
                    0 if written & 0x0f == 0 => {
                        Slot::Halves(Rc::new([Half::of(part(&scalar, 0, 4, true)), Half::bytes(0)]))
                    }
                    zero => Slot::Bytes(zero),
                },
                (_, Some(mut halves), _) => {
                    for (half, written) in halves.iter_mut().zip([written & 0x0f, written >> 4]) {
                        half.zero &= !written;
                        if half.held() & written != 0
                            && let Some((number, len)) = half.number.take()
                        {
                            half.zero |= bytes_of(&number, written, (1 << len) - 1);
                        }
                    }
                    Slot::Halves(Rc::new(halves))
                }
                (_, _, Slot::Bytes(zero)) => Slot::Bytes(zero & !written),
                _ => Slot::Bytes(0),
            };
            frame.replace(index, slot);
        }
        Ok(())
    }

    /// A dynptr or iterator that is written over is gone.
    fn destroy(&mut self, state: &mut State, depth: u8, index: usize) -> Done<()> {
        let depth = usize::from(depth);
        match state.frames[depth].entry(index).map(|entry| entry.slot.clone()) {
            Some(Slot::Dynptr { state: dynptr, upper }) => {
                if dynptr.reference != 0 {
                    return Err(Rule::DynptrLost.into());
                }
                let lower = if upper { index + 1 } else { index };
                self.forget_dynptr(state, depth, lower);
                // Parts of what it described are not to be used any more.
                state.forget_pointers(|pointer| pointer.is_slice_of(&[dynptr.id]));
                Ok(())
            }
            Some(Slot::Iter { .. }) => Err(special(index, "an iterator")),
            _ => Ok(()),
        }
    }

    /// Takes both halves of a dynptr away; `lower` is the slot of its first bytes.
    pub(super) fn forget_dynptr(&mut self, state: &mut State, depth: usize, lower: usize) {
        for index in [Some(lower), lower.checked_sub(1)].into_iter().flatten() {
            state.frame_mut(depth).write(index, Slot::Bytes(0));
        }
    }

    /// Notes that a range of the stack is read as bytes, which must not be addresses, unless whole ones are allowed.
    pub(super) fn read_stack(
        &mut self,
        state: &State,
        depth: u8,
        span: Span,
        register: u8,
        addresses: bool,
    ) -> Done<()> {
        if span.len == 0 {
            return Ok(());
        }
        let (first, last) = (Frame::slot_of(span.low), Frame::slot_of(span.high + span.len as i64 - 1));
        for index in last..=first {
            let Some(entry) = state.frames[usize::from(depth)].entry(index) else { continue };
            self.marks.mark(entry.nodes.read);
            match entry.slot {
                slot if holds_pointer(slot) && !addresses => {
                    return Err(Rule::Leak { register, to: "a call that reads the stack as bytes" }.into());
                }
                Slot::Dynptr { .. } => return Err(special(index, "a dynptr")),
                Slot::Iter { .. } => return Err(special(index, "an iterator")),
                Slot::Dead => return Err(special(index, "what was forgotten")),
                _ => {}
            }
        }
        Ok(())
    }

    /// The number in bytes of the stack, where it is known.
    pub(super) fn stack_constant(
        &mut self,
        state: &mut State,
        pointer: &Pointer,
        bytes: usize,
    ) -> Option<u64> {
        let Kind::Stack(depth) = pointer.kind else { return None };
        let off = pointer.off.value()? as i64;
        let span = Span { low: off, high: off, len: bytes as u64 };
        match self.load_stack(state, depth, span, bytes).ok()? {
            Value::Scalar(scalar) => {
                let value = scalar.value()?;
                self.marks.mark(scalar.node);
                Some(value)
            }
            _ => None,
        }
    }

    /// An atomic operation: its memory is checked and forgotten. Gives what was there.
    pub(super) fn atomic(
        &mut self,
        state: &mut State,
        register: u8,
        off: i16,
        width: Width,
        access: Access,
    ) -> Done<Scalar> {
        let pointer = self.pointer(state, register)?;
        let bytes = width.bytes();
        let refuse = |reason| Box::new(Rule::Atomic { register, reason });
        match pointer.kind {
            Kind::Stack(_) | Kind::Value(_) | Kind::Argument(_) | Kind::Record { .. } => {}
            Kind::Memory { dynptr: 0, .. } => {}
            Kind::Memory { .. } => return Err(refuse("a slice may not be aligned: copy it to the stack")),
            _ => return Err(refuse("not memory for atomics")),
        }
        let span = self.span(&pointer, register, off.into(), bytes as u64, access)?;
        let bits = pointer.off.num.full.bits;
        let aligned = (bits.mask | bits.value.wrapping_add(off as u64)) & (bytes as u64 - 1) == 0;
        if !aligned {
            return Err(refuse("misaligned"));
        }
        let mut old = Scalar::of_bytes(bytes);
        if let Kind::Stack(depth) = pointer.kind {
            self.read_stack(state, depth, span, register, false)?;
            if let Value::Scalar(known) = self.load_stack(state, depth, span, bytes)? {
                old = known;
            }
            if access == Access::ReadWrite {
                self.clobber_stack(state, depth, span, true)?;
            }
        } else if access == Access::ReadWrite {
            // It is read as well.
            self.span(&pointer, register, off.into(), bytes as u64, Access::Read)?;
        }
        Ok(old)
    }
}

/// Offset of the lowest byte of a slot.
pub(super) fn offset_of(index: usize) -> i64 {
    -8 * (index.min(SLOTS) as i64 + 1)
}

fn special(index: usize, what: &'static str) -> Box<Rule> {
    Rule::Special { off: offset_of(index), what }.into()
}

pub(super) fn holds_pointer(slot: &Slot) -> bool {
    matches!(slot, Slot::Full(value) if matches!(**value, Value::Pointer(_)))
}

/// Which bytes of a slot are zero.
fn zeros_of(frame: &Frame, index: usize) -> u8 {
    match frame.entry(index).map(|entry| entry.slot) {
        None => 0xff,
        Some(Slot::Bytes(zero)) => *zero,
        // Whoever writes over some of its bytes marks it.
        Some(Slot::Full(value)) if matches!(**value, Value::Scalar(scalar) if scalar.value() == Some(0)) => {
            0xff
        }
        Some(Slot::Halves(halves)) => halves[0].zero | halves[1].zero << 4,
        Some(_) => 0,
    }
}

/// Whether so many bytes hold all of a number.
pub(super) fn holds(scalar: &Scalar, bytes: usize) -> bool {
    scalar.num.full.umax <= Num::<64>::MASK >> (64 - bytes as u32 * 8)
}

/// Some bytes of a number that was spilled. `low`: they are its lowest.
fn part(scalar: &Scalar, at: usize, bytes: usize, low: bool) -> Scalar {
    let by = Number::constant(at as u64 * 8);
    let num = Number::apply(super::scalar::Op::Rsh, &scalar.num, &by).zero_extend(bytes as u32 * 8);
    if low && holds(scalar, bytes) {
        return *scalar;
    }
    if low && bytes == 4 {
        return Scalar::with_half_of(num, scalar);
    }
    Scalar { node: scalar.node, ..Scalar::new(num) }
}
