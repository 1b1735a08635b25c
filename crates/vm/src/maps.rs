//! Maps: typed storage shared by programs, the embedder and the command line.

use std::sync::Arc;

use crate::mem::Window;

/// Kinds of maps, numbered as `enum bpf_map_type` of `linux/bpf.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum MapKind {
    /// `BPF_MAP_TYPE_HASH`.
    Hash = 1,
    /// `BPF_MAP_TYPE_ARRAY`.
    Array = 2,
    /// `BPF_MAP_TYPE_PERCPU_ARRAY`.
    PerCpuArray = 6,
    /// `BPF_MAP_TYPE_RINGBUF`.
    RingBuf = 27,
}

/// What an object declares of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapSpec {
    /// Name of the C variable, or of the data section.
    pub name: String,
    /// Kind.
    pub kind: MapKind,
    /// Key length in bytes.
    pub key_size: u32,
    /// Value length in bytes.
    pub value_size: u32,
    /// Capacity in entries; in bytes for a ring buffer.
    pub max_entries: u32,
    /// `BPF_F_…` flags.
    pub flags: u32,
    /// BTF type of the key in the object's BTF, 0 if none.
    pub key_type: u32,
    /// BTF type of the value in the object's BTF, 0 if none.
    pub value_type: u32,
    /// Whether programs may not store to the values (`.rodata`).
    pub read_only: bool,
}

/// A map.
#[derive(Debug)]
pub struct Map {
    spec: MapSpec,
}

/// Why a map cannot be made or used that way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The declaration cannot be honoured.
    #[error("map `{name}`: {reason}")]
    Spec {
        /// The map.
        name: String,
        /// What is wrong, and the remedy.
        reason: String,
    },
}

impl Map {
    /// Makes an empty map. `slots` is how many threads can run programs at once: a per-CPU map has
    /// one value for each.
    pub fn new(spec: MapSpec, _slots: usize) -> Result<Arc<Map>, MapError> {
        Ok(Arc::new(Map { spec }))
    }

    /// What was declared.
    pub fn spec(&self) -> &MapSpec {
        &self.spec
    }

    /// Fills a one-entry array (a data section) from its first byte on.
    pub fn init(&self, _data: &[u8]) {}

    /// The memory of the single value of a one-entry array, for direct access by programs.
    pub fn single_value(&self) -> Option<Window<'_>> {
        None
    }
}
