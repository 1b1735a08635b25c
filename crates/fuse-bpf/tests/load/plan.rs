//! What `bpf/tests/load.bpf.c` decides of each operation: the same hash, written again.

/// Opcodes.
pub(crate) mod op {
    pub(crate) const LOOKUP: u32 = 1;
    pub(crate) const SETATTR: u32 = 4;
    pub(crate) const SYMLINK: u32 = 6;
    pub(crate) const MKDIR: u32 = 9;
    pub(crate) const UNLINK: u32 = 10;
    pub(crate) const RMDIR: u32 = 11;
    pub(crate) const RENAME: u32 = 12;
    pub(crate) const LINK: u32 = 13;
    pub(crate) const READ: u32 = 15;
    pub(crate) const WRITE: u32 = 16;
    pub(crate) const SETXATTR: u32 = 21;
    pub(crate) const GETXATTR: u32 = 22;
    pub(crate) const REMOVEXATTR: u32 = 24;
    pub(crate) const READDIR: u32 = 28;
    pub(crate) const CREATE: u32 = 35;
    pub(crate) const FALLOCATE: u32 = 43;
    pub(crate) const COPY_FILE_RANGE: u32 = 47;
}

/// Bytes of a key.
pub(crate) const KEY: usize = 32;

/// What becomes of an operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// It fails so, and is not done.
    pub(crate) before: Option<i32>,
    /// Its arguments are rewritten.
    pub(crate) rewritten: bool,
    /// It fails so, however it ended.
    pub(crate) after: Option<i32>,
    /// The daemon does it.
    pub(crate) handed_over: bool,
}

pub(crate) fn hash(seed: u32, opcode: u32, key: &[u8]) -> u32 {
    let mut h = 2_166_136_261 ^ seed;
    h = (h ^ opcode).wrapping_mul(16_777_619);
    for i in 0..KEY {
        h = (h ^ u32::from(key.get(i).copied().unwrap_or(0))).wrapping_mul(16_777_619);
    }
    h ^= h >> 15;
    h = h.wrapping_mul(0x2c1b_3c6d);
    h ^ (h >> 12)
}

/// The error an operation fails with, if it fails.
pub(crate) fn error(h: u32) -> i32 {
    [libc::EPERM, libc::EACCES, libc::ENOSPC, libc::EIO][(h >> 8) as usize & 3]
}

/// Whether somebody who is asked lets it fail.
pub(crate) fn judged(h: u32) -> Option<i32> {
    ((h >> 10) & 3 == 0).then(|| error(h))
}

fn plan(seed: u32, opcode: u32, key: &[u8]) -> Plan {
    let h = hash(seed, opcode, key);
    let none = Plan::default();
    match h & 31 {
        0 => Plan { before: Some(error(h)), ..none },
        1 | 2 => Plan { rewritten: true, ..none },
        // The daemon is asked before.
        3 => Plan { before: judged(h), ..none },
        // The daemon, or the postfilter, is asked afterwards.
        4 | 5 => Plan { after: judged(h), ..none },
        6 => Plan { handed_over: opcode == op::READ, ..none },
        _ => none,
    }
}

pub(crate) fn by_name(seed: u32, opcode: u32, name: &str) -> Plan {
    plan(seed, opcode, name.as_bytes())
}

pub(crate) fn by_number(seed: u32, opcode: u32, number: u64) -> Plan {
    plan(seed, opcode, &number.to_ne_bytes())
}

/// The error a name cannot be looked up with.
pub(crate) fn unreachable(seed: u32, name: &str) -> Option<i32> {
    if !name.starts_with('n') {
        return None;
    }
    let plan = by_name(seed, op::LOOKUP, name);
    plan.before.or(plan.after)
}
