//! Memory of a buffer that was handed out before the buffer was given other memory. It stays what it was, so using
//! it is safe, and likely a mistake: what is stored there is lost. That is worth a warning, and no refusal.
//!
//! States that differ in nothing else stand for each other, so not every such use is found.

use super::state::{Id, Kind, Pointer, State};
use super::walk::Walker;

impl Walker<'_> {
    /// A dynptr is made: of a buffer, or of what another one describes.
    pub(super) fn describes(&mut self, dynptr: Id, buffer: Option<u8>, source: Option<Id>) {
        let of_source = || source.and_then(|source| self.buffers.get(&source).copied());
        if let Some(buffer) = buffer.or_else(of_source) {
            self.buffers.insert(dynptr, buffer);
        }
    }

    /// A buffer is given other memory: dynptrs that are named so far have the old one.
    pub(super) fn moves(&mut self, state: &mut State, buffer: u8) {
        let last = self.last();
        match state.moved.iter_mut().find(|(moved, _)| *moved == buffer) {
            Some((_, before)) => *before = last,
            None => state.moved.push((buffer, last)),
        }
    }

    /// Memory is loaded from, or stored to.
    pub(super) fn touches(&mut self, state: &State, pointer: &Pointer) {
        if let Kind::Memory { dynptr, .. } = pointer.kind
            && !state.moved.is_empty()
            && let Some(buffer) = self.buffers.get(&dynptr)
            && state.moved.iter().any(|(moved, before)| moved == buffer && dynptr <= *before)
        {
            self.uses.stale.insert(state.pc as u32);
        }
    }
}
