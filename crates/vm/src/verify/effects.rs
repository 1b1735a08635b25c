//! What a program touches: collected while it is walked, so only what some path reaches counts.

use std::collections::BTreeSet;

use crate::contract::Effects;
use crate::mem::Access;

/// Which bytes of one argument are used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArgumentUse {
    /// Offsets of bytes that can be read.
    pub read: BTreeSet<u32>,
    /// Offsets of bytes that can be written.
    pub written: BTreeSet<u32>,
}

/// What a program can read and change. Everything that is missing here is promised not to happen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    /// Effects of the calls, and of loads and stores of map values.
    pub effects: Effects,
    /// By argument: the bytes of structs that are loaded or stored, or lent to calls.
    pub arguments: Vec<ArgumentUse>,
    /// Buffers that are read, by argument.
    pub buffers_read: BTreeSet<u8>,
    /// Buffers that are written or resized, by argument.
    pub buffers_written: BTreeSet<u8>,
    /// Maps of the program that are read, by index.
    pub maps_read: BTreeSet<u32>,
    /// Maps of the program that are changed, by index.
    pub maps_written: BTreeSet<u32>,
    /// Slots of instructions that use memory of a buffer which has been given other memory since. They are safe, and
    /// what they store is lost. There may be more.
    pub stale: BTreeSet<u32>,
}

impl Uses {
    /// Bytes `low` to `high + len` of an argument are accessed.
    pub(super) fn argument(&mut self, index: u8, low: i64, high: i64, len: u64, access: Access) {
        let index = usize::from(index);
        if self.arguments.len() <= index {
            self.arguments.resize(index + 1, ArgumentUse::default());
        }
        let end = (high as u64).saturating_add(len).min(u64::from(u32::MAX)) as u32;
        let bytes = low.max(0) as u32..end;
        match access {
            Access::Read => self.arguments[index].read.extend(bytes),
            Access::ReadWrite => self.arguments[index].written.extend(bytes),
        }
    }

    /// All that another part of the program uses is used.
    pub(super) fn add(&mut self, other: &Uses) {
        self.effects |= other.effects;
        if self.arguments.len() < other.arguments.len() {
            self.arguments.resize(other.arguments.len(), ArgumentUse::default());
        }
        for (all, one) in self.arguments.iter_mut().zip(&other.arguments) {
            all.read.extend(&one.read);
            all.written.extend(&one.written);
        }
        self.buffers_read.extend(&other.buffers_read);
        self.buffers_written.extend(&other.buffers_written);
        self.maps_read.extend(&other.maps_read);
        self.maps_written.extend(&other.maps_written);
        self.stale.extend(&other.stale);
    }

    /// A map is read or changed.
    pub(super) fn map(&mut self, index: u32, access: Access, constant: bool) {
        match access {
            Access::Read => {
                self.maps_read.insert(index);
                if !constant {
                    self.effects |= Effects::MAP_READ;
                }
            }
            Access::ReadWrite => {
                self.maps_written.insert(index);
                self.effects |= Effects::MAP_WRITE;
            }
        }
    }
}
