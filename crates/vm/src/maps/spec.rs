//! What maps are declared as, and what can go wrong with them.

/// How an update treats an existing entry (`BPF_ANY`, `BPF_NOEXIST`, `BPF_EXIST` of `linux/bpf.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UpdateMode {
    /// Make the entry or replace its value.
    #[default]
    Any,
    /// Only make a new entry.
    NoExist,
    /// Only replace the value of an existing entry.
    Exist,
}

impl UpdateMode {
    /// From the number programs use; `None` for unknown flags.
    pub fn from_flags(flags: u64) -> Option<UpdateMode> {
        match flags {
            0 => Some(UpdateMode::Any),
            1 => Some(UpdateMode::NoExist),
            2 => Some(UpdateMode::Exist),
            _ => None,
        }
    }
}

/// `BPF_F_LOCK` of an update: the value's spin lock is held while it is replaced.
pub(super) const UPDATE_LOCKED: u64 = 4;

/// Map flags of `linux/bpf.h` that are understood.
pub mod flags {
    /// `BPF_F_NO_PREALLOC`: accepted; memory is untouched until used in any case.
    pub const NO_PREALLOC: u32 = 1 << 0;
    /// `BPF_F_RDONLY_PROG`: programs may not store to the values.
    pub const RDONLY_PROG: u32 = 1 << 7;
    /// `BPF_F_MMAPABLE`: accepted for arrays, where clang-built objects ask for it on data sections.
    pub const MMAPABLE: u32 = 1 << 10;
    /// `BPF_F_INNER_MAP`: arrays of different length may be put in one map of maps.
    pub const INNER_MAP: u32 = 1 << 12;
}

/// Kinds of maps, numbered as `enum bpf_map_type` of `linux/bpf.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum MapKind {
    /// `BPF_MAP_TYPE_HASH`.
    Hash = 1,
    /// `BPF_MAP_TYPE_ARRAY`.
    Array = 2,
    /// `BPF_MAP_TYPE_PROG_ARRAY`: programs to go on with, by index.
    ProgArray = 3,
    /// `BPF_MAP_TYPE_PERCPU_HASH`: a hash with a value for each slot.
    PerCpuHash = 5,
    /// `BPF_MAP_TYPE_PERCPU_ARRAY`: an array with a value for each slot.
    PerCpuArray = 6,
    /// `BPF_MAP_TYPE_LRU_HASH`: a hash that, when full, drops an entry not used for long.
    LruHash = 9,
    /// `BPF_MAP_TYPE_LRU_PERCPU_HASH`.
    LruPerCpuHash = 10,
    /// `BPF_MAP_TYPE_LPM_TRIE`: values by the longest prefix that matches. A key is the length of the
    /// prefix in bits, a `u32`, and then the bytes, most significant bit first.
    LpmTrie = 11,
    /// `BPF_MAP_TYPE_ARRAY_OF_MAPS`.
    ArrayOfMaps = 12,
    /// `BPF_MAP_TYPE_HASH_OF_MAPS`.
    HashOfMaps = 13,
    /// `BPF_MAP_TYPE_QUEUE`: values, first in, first out.
    Queue = 22,
    /// `BPF_MAP_TYPE_STACK`: values, last in, first out.
    Stack = 23,
    /// `BPF_MAP_TYPE_RINGBUF`.
    RingBuf = 27,
    /// `BPF_MAP_TYPE_INODE_STORAGE`: a value for what the operation in progress is about
    /// ([`crate::host::Host::node`]). From Rust a key is that number, eight bytes. When the map is full,
    /// the value of a node not asked for in long is dropped.
    InodeStorage = 28,
    /// `BPF_MAP_TYPE_BLOOM_FILTER`: a set that can say that it has a value it was never given, seldom.
    Bloom = 30,
}

impl MapKind {
    /// All kinds.
    pub const ALL: [MapKind; 15] = [
        MapKind::Hash,
        MapKind::Array,
        MapKind::ProgArray,
        MapKind::PerCpuHash,
        MapKind::PerCpuArray,
        MapKind::LruHash,
        MapKind::LruPerCpuHash,
        MapKind::LpmTrie,
        MapKind::ArrayOfMaps,
        MapKind::HashOfMaps,
        MapKind::Queue,
        MapKind::Stack,
        MapKind::RingBuf,
        MapKind::InodeStorage,
        MapKind::Bloom,
    ];

    /// The kind with a number of `enum bpf_map_type`.
    pub fn from_number(number: u32) -> Option<MapKind> {
        MapKind::ALL.into_iter().find(|kind| *kind as u32 == number)
    }

    /// The name in `enum bpf_map_type`.
    pub fn c_name(self) -> &'static str {
        match self {
            MapKind::Hash => "BPF_MAP_TYPE_HASH",
            MapKind::Array => "BPF_MAP_TYPE_ARRAY",
            MapKind::ProgArray => "BPF_MAP_TYPE_PROG_ARRAY",
            MapKind::PerCpuHash => "BPF_MAP_TYPE_PERCPU_HASH",
            MapKind::PerCpuArray => "BPF_MAP_TYPE_PERCPU_ARRAY",
            MapKind::LruHash => "BPF_MAP_TYPE_LRU_HASH",
            MapKind::LruPerCpuHash => "BPF_MAP_TYPE_LRU_PERCPU_HASH",
            MapKind::LpmTrie => "BPF_MAP_TYPE_LPM_TRIE",
            MapKind::ArrayOfMaps => "BPF_MAP_TYPE_ARRAY_OF_MAPS",
            MapKind::HashOfMaps => "BPF_MAP_TYPE_HASH_OF_MAPS",
            MapKind::Queue => "BPF_MAP_TYPE_QUEUE",
            MapKind::Stack => "BPF_MAP_TYPE_STACK",
            MapKind::RingBuf => "BPF_MAP_TYPE_RINGBUF",
            MapKind::InodeStorage => "BPF_MAP_TYPE_INODE_STORAGE",
            MapKind::Bloom => "BPF_MAP_TYPE_BLOOM_FILTER",
        }
    }

    /// Whether an entry has a value for each slot.
    pub fn is_per_cpu(self) -> bool {
        matches!(self, MapKind::PerCpuArray | MapKind::PerCpuHash | MapKind::LruPerCpuHash)
    }

    /// Whether entries are found by an index below `max_entries`.
    pub fn is_array(self) -> bool {
        matches!(self, MapKind::Array | MapKind::PerCpuArray | MapKind::ProgArray | MapKind::ArrayOfMaps)
    }

    /// Whether the values are maps.
    pub fn holds_maps(self) -> bool {
        matches!(self, MapKind::ArrayOfMaps | MapKind::HashOfMaps)
    }

    /// Whether values may have a spin lock.
    pub(super) fn may_lock(self) -> bool {
        matches!(self, MapKind::Array | MapKind::Hash | MapKind::InodeStorage)
    }

    /// The map flags that are understood.
    pub(super) fn flags(self) -> u32 {
        match self {
            MapKind::Hash | MapKind::PerCpuHash | MapKind::LpmTrie => flags::RDONLY_PROG | flags::NO_PREALLOC,
            MapKind::LruHash | MapKind::LruPerCpuHash | MapKind::PerCpuArray => flags::RDONLY_PROG,
            MapKind::Array => flags::RDONLY_PROG | flags::MMAPABLE | flags::INNER_MAP,
            MapKind::HashOfMaps | MapKind::InodeStorage => flags::NO_PREALLOC,
            _ => 0,
        }
    }
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
    /// Whether programs may not store to the values (`.rodata`), and nobody may once a program that uses
    /// the map was proved.
    pub read_only: bool,
    /// Where in the value its `struct bpf_spin_lock` is, in bytes; a multiple of 4.
    pub lock: Option<u32>,
    /// `map_extra`: how many hash functions a Bloom filter has; 0 is the usual 5.
    pub extra: u64,
    /// What the maps in a map of maps look like.
    pub inner: Option<Box<MapSpec>>,
}

impl MapSpec {
    /// A declaration without flags, types and anything special.
    pub fn new(
        name: impl Into<String>,
        kind: MapKind,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
    ) -> MapSpec {
        MapSpec {
            name: name.into(),
            kind,
            key_size,
            value_size,
            max_entries,
            flags: 0,
            key_type: 0,
            value_type: 0,
            read_only: false,
            lock: None,
            extra: 0,
            inner: None,
        }
    }

    pub(super) fn refuse(&self, reason: impl Into<String>) -> MapError {
        MapError::Spec { name: self.name.clone(), reason: reason.into() }
    }

    /// Whether programs may store to the values.
    pub fn programs_may_write(&self) -> bool {
        !self.read_only && self.flags & flags::RDONLY_PROG == 0
    }

    /// Whether a map declared like this may take the place of one declared as `template` in a map of
    /// maps: a program that was checked against one must be right about the other.
    pub fn fits(&self, template: &MapSpec) -> bool {
        let sizes = |spec: &MapSpec| (spec.kind, spec.key_size, spec.value_size, spec.flags, spec.lock);
        let any_length = !self.kind.is_array() || self.flags & flags::INNER_MAP != 0;
        sizes(self) == sizes(template)
            && self.read_only == template.read_only
            && (any_length || self.max_entries == template.max_entries)
    }

    /// Refuses what no kind of map can honour.
    pub(super) fn check(&self) -> Result<(), MapError> {
        let unknown = self.flags & !self.kind.flags();
        if unknown != 0 {
            return Err(self.refuse(format!("flags {unknown:#x} are not supported")));
        }
        if let Some(lock) = self.lock {
            if !self.kind.may_lock() {
                return Err(self.refuse("values of this kind of map cannot have a bpf_spin_lock"));
            }
            if !lock.is_multiple_of(4) || lock.checked_add(4).is_none_or(|end| end > self.value_size) {
                return Err(self.refuse("the bpf_spin_lock does not lie in the value"));
            }
        }
        if self.extra != 0 && self.kind != MapKind::Bloom {
            return Err(self.refuse("map_extra is only for Bloom filters"));
        }
        if self.inner.is_some() != self.kind.holds_maps() {
            return Err(self.refuse(if self.kind.holds_maps() {
                "what the maps in it look like is missing; add __array(values, ...)"
            } else {
                "only a map of maps has maps in it"
            }));
        }
        Ok(())
    }

    /// Refuses a declaration without values or entries.
    pub(super) fn check_entries(&self) -> Result<(), MapError> {
        if self.value_size == 0 {
            return Err(self.refuse("the value has no size"));
        }
        if self.max_entries == 0 {
            return Err(self.refuse("max_entries is missing"));
        }
        Ok(())
    }

    /// Refuses a key or value that is not `size` bytes.
    pub(super) fn check_size(&self, what: &str, got: u32, size: u32) -> Result<(), MapError> {
        if got == size {
            Ok(())
        } else {
            Err(self.refuse(format!("the {what} of this kind of map is {size} bytes, not {got}")))
        }
    }
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
    /// A key has the wrong length.
    #[error("key of {got} bytes where the map has keys of {expected}")]
    KeySize {
        /// Length given.
        got: usize,
        /// Length declared.
        expected: usize,
    },
    /// A value has the wrong length.
    #[error("value of {got} bytes where the map has values of {expected}")]
    ValueSize {
        /// Length given.
        got: usize,
        /// Length declared; for all slots of a per-CPU map together.
        expected: usize,
    },
    /// There is no such entry.
    #[error("no such entry")]
    NotFound,
    /// There is such an entry already.
    #[error("the entry exists already")]
    Exists,
    /// The map holds as many entries as it was declared for, or the index is past the last one.
    #[error("the map has no room for the entry")]
    Full,
    /// A prefix trie holds as many prefixes as it was declared for.
    #[error("the map has no room for the prefix")]
    NoSpace,
    /// A prefix is longer than the keys of the map.
    #[error("the prefix is longer than the key")]
    Prefix,
    /// Flags that mean nothing here.
    #[error("flags {flags:#x} are not possible here")]
    Flags {
        /// The flags.
        flags: u64,
    },
    /// A map that does not look like the ones a map of maps was declared to have.
    #[error("map `{name}` is not declared like the maps this one is for")]
    NotLikeInner {
        /// The map that was to be put in.
        name: String,
    },
    /// The map is read-only, and a program was proved that relies on what it holds.
    #[error("the map is read-only, and a program that uses it was proved already")]
    Frozen,
    /// The kind of map cannot do that.
    #[error("not possible with this kind of map")]
    Unsupported,
}

impl MapError {
    /// The error number programs get, positive.
    pub fn errno(&self) -> i32 {
        match self {
            MapError::NotFound => ENOENT,
            MapError::Exists => EEXIST,
            MapError::Full => E2BIG,
            MapError::NoSpace => ENOSPC,
            MapError::Frozen => EPERM,
            _ => EINVAL,
        }
    }
}

const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const E2BIG: i32 = 7;
const EEXIST: i32 = 17;
const EINVAL: i32 = 22;
const ENOSPC: i32 = 28;
