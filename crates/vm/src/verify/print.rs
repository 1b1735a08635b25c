//! What calls print. An address among the values is no number to be printed: it may only be that of a text, where a
//! format that is known prints one.

use super::call::CallMeta;
use super::memory::{Span, holds_pointer, offset_of};
use super::state::{Entry, Frame, Kind, MapRef, Pointer, Scalar, Slot, State, Value};
use super::walk::Walker;
use crate::contract::Effects;
use crate::helpers::{MAX_FORMAT, Printed, printed};
use crate::interp::FRAME_SIZE;
use crate::mem::Access;

impl Walker<'_> {
    /// The format of a call, and what printing by it has for effects.
    pub(super) fn format(&mut self, state: &mut State, value: &Value, found: &mut CallMeta) {
        let text = match value {
            Value::Pointer(pointer) if pointer.null == 0 => self.known_text(state, pointer),
            _ => None,
        };
        // By one that is wrong nothing is printed.
        found.format = text.map(|text| printed(&text).unwrap_or_default());
        let prints = |what| found.format.as_ref().is_none_or(|format| format.contains(&what));
        if prints(Printed::Text) {
            self.uses.effects |= Effects::PROBES;
        }
        if prints(Printed::Hash) {
            self.uses.effects |= Effects::RANDOM;
        }
    }

    /// The bytes of a text that is the same in every run, without its NUL.
    fn known_text(&mut self, state: &mut State, pointer: &Pointer) -> Option<Vec<u8>> {
        let off = pointer.off.value()?;
        match pointer.kind {
            Kind::Value(MapRef::Own(index)) => {
                let text = self.constant_text(index, off)?;
                self.uses.map(index, Access::Read, true);
                Some(text)
            }
            Kind::Stack(_) => {
                let mut text = Vec::new();
                for at in off as i64..0 {
                    let mut byte = *pointer;
                    byte.off = Scalar::constant(at as u64);
                    match self.stack_constant(state, &byte, 1)? as u8 {
                        0 => return Some(text),
                        byte => text.push(byte),
                    }
                }
                None
            }
            _ => None,
        }
    }

    /// The text at an offset in the value of a read-only map, without its NUL.
    pub(super) fn constant_text(&self, index: u32, off: u64) -> Option<Vec<u8>> {
        let map = self.program.maps.get(index as usize).filter(|map| map.spec().read_only)?;
        let value = map.single_value()?;
        let off = usize::try_from(off).ok().filter(|off| *off < value.len())?;
        let mut text = value.sub(off, (value.len() - off).min(MAX_FORMAT))?.to_vec();
        let end = text.iter().position(|&byte| byte == 0)?;
        text.truncate(end);
        Some(text)
    }

    /// A value for a place in the format.
    pub(super) fn print(
        &mut self,
        state: &State,
        value: &Value,
        index: usize,
        found: &CallMeta,
    ) -> Result<(), String> {
        let Value::Pointer(pointer) = value else { return Ok(()) };
        let Some(format) = &found.format else {
            return Err(
                "is an address, and the format is not a constant: nobody knows how it would be printed"
                    .to_owned(),
            );
        };
        match format.get(index) {
            // Nothing prints it.
            None | Some(Printed::Hash) => Ok(()),
            Some(Printed::Text) => self.text(state, pointer),
            Some(Printed::Number) => {
                Err("is an address, and the format prints it as a number: use %p, or %s if it is a text"
                    .to_owned())
            }
        }
    }

    /// Words in memory for the call's format.
    pub(super) fn print_words(
        &mut self,
        state: &State,
        pointer: &Pointer,
        span: Span,
        found: &CallMeta,
    ) -> Result<(), String> {
        let Kind::Stack(depth) = pointer.kind else { return Ok(()) };
        if span.len == 0 {
            return Ok(());
        }
        let frame = &state.frames[usize::from(depth)];
        let last = span.high + span.len as i64 - 1;
        for slot in (Frame::slot_of(last)..=Frame::slot_of(span.low)).rev() {
            let Some(Slot::Full(value)) = frame.entry(slot).map(|entry| entry.slot) else { continue };
            if !matches!(**value, Value::Pointer(_)) {
                continue;
            }
            let distance = offset_of(slot) - span.low;
            if span.constant().is_none() || distance % 8 != 0 {
                return Err(format!("may have part of an address, at off {}", offset_of(slot)));
            }
            self.print(state, value, (distance / 8) as usize, found)
                .map_err(|reason| format!("has a word (off {}) that {reason}", offset_of(slot)))?;
        }
        Ok(())
    }

    /// A text that is printed up to its NUL, or to the end of what it lies in: on the stack, no addresses may come
    /// before that.
    fn text(&mut self, state: &State, pointer: &Pointer) -> Result<(), String> {
        let depth = match pointer.kind {
            Kind::Context => return Err("is the context, which is no text".to_owned()),
            Kind::Stack(depth) => usize::from(depth),
            _ => return Ok(()),
        };
        let frame = &state.frames[depth];
        let range = &pointer.off.num.full;
        self.marks.mark(pointer.off.node);
        for off in range.smin.max(-(FRAME_SIZE as i64))..0 {
            let slot = Frame::slot_of(off);
            let Some(entry) = frame.entry(slot) else {
                // Untouched, and zero.
                if off >= range.smax {
                    return Ok(());
                }
                continue;
            };
            self.marks.mark(entry.nodes.read);
            if holds_pointer(entry.slot) {
                return Err(format!(
                    "is a text that may go on to the address at off {}: end it with a NUL",
                    offset_of(slot)
                ));
            }
            if off >= range.smax && is_zero_byte(entry, (off - offset_of(slot)) as usize) {
                // With anything else there, the text would not end.
                entry.nodes.parts.into_iter().for_each(|node| self.marks.mark(node));
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Whether a byte of a slot is known to be 0.
fn is_zero_byte(entry: Entry<'_>, at: usize) -> bool {
    let zero_in =
        |number: &Scalar, at: usize| number.value().is_some_and(|value| value >> (8 * at) & 0xff == 0);
    if let Some(value) = entry.value() {
        return matches!(value, Value::Scalar(number) if zero_in(&number, at));
    }
    let (half, at) = (&entry.as_halves()[at / 4], at % 4);
    let held = half.number.filter(|_| half.held() >> at & 1 == 1);
    half.zero >> at & 1 == 1 || held.is_some_and(|(number, _)| zero_in(&number, at))
}
