//! Maps and ring buffers.

use super::errno::{E2BIG, EAGAIN, EINVAL, ENOENT, EPERM, fail};
use super::wipe;
use crate::interp::{ArgFault, Call, FaultKind, MAX_DYNPTR_SIZE};
use crate::maps::{MAX_KEY_SIZE, MapError, MapKind, RingBuf, UpdateMode};
use crate::mem::Window;

/// `BPF_RB_NO_WAKEUP`.
const NO_WAKEUP: u64 = 1;
/// `BPF_RB_FORCE_WAKEUP`: readers that wait are always woken, so it asks for nothing more.
const FORCE_WAKEUP: u64 = 2;

/// Calls `then` with a copy of the key, for which short keys need not be allocated.
pub(crate) fn with_key<T>(key: Window<'_>, then: impl FnOnce(&[u8]) -> T) -> T {
    fn copy<T>(key: Window<'_>, buf: &mut [u8], then: impl FnOnce(&[u8]) -> T) -> T {
        // A window gives all of itself; keys were checked against the map's key size.
        let copied = key.read(0, buf);
        debug_assert!(copied, "a window holds all of itself");
        then(buf)
    }
    match key.len() {
        len @ ..=16 => copy(key, &mut [0; 16][..len], then),
        len @ ..=64 => copy(key, &mut [0; 64][..len], then),
        len => copy(key, &mut [0; MAX_KEY_SIZE as usize][..len.min(MAX_KEY_SIZE as usize)], then),
    }
}

fn ring<'r>(call: &Call<'_, 'r>) -> Result<&'r RingBuf, FaultKind> {
    call.map(0)?.ring().ok_or_else(|| call.fault(0, ArgFault::WrongMap))
}

fn result(done: Result<(), MapError>) -> u64 {
    done.map_or_else(|error| fail(error.errno()), |()| 0)
}

pub(super) fn lookup(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let map = call.map(0)?;
    let (key, slot) = (call.required(1)?, call.slot());
    if map.spec().kind.holds_maps() {
        return match with_key(key, |key| map.inner(key)) {
            Some(inner) => call.give_map(inner),
            None => Ok(0),
        };
    }
    // No need to admit it: the values of the program's maps are all reachable.
    Ok(with_key(key, |key| map.address(key, slot)))
}

pub(super) fn lookup_percpu(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (map, key) = (call.map(0)?, call.required(1)?);
    // The prototype has 32 bits.
    let slot = call.scalar(2) as u32 as usize;
    let value = if slot < map.slots() { with_key(key, |key| map.value(key, slot)) } else { None };
    value.map_or(Ok(0), |value| call.give(value))
}

pub(super) fn update(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let map = call.map(0)?;
    if !map.spec().programs_may_write() {
        return Ok(fail(EPERM));
    }
    let (value, flags, slot) = (call.required(2)?, call.scalar(3), call.slot());
    Ok(result(with_key(call.required(1)?, |key| map.update_flags(key, value, flags, slot))))
}

pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let map = call.map(0)?;
    if !map.spec().programs_may_write() {
        return Ok(fail(EPERM));
    }
    Ok(result(with_key(call.required(1)?, |key| map.delete(key))))
}

pub(super) fn push(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (map, value, flags) = (call.map(0)?, call.required(1)?, call.scalar(2));
    Ok(match UpdateMode::from_flags(flags) {
        Some(UpdateMode::Any) => result(map.push_window(value, false)),
        Some(UpdateMode::Exist) => result(map.push_window(value, true)),
        _ => fail(EINVAL),
    })
}

pub(super) fn pop(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    next(call, true)
}

/// The next value of a queue or stack; zeros when there is none, as in Linux.
fn next(call: &mut Call<'_, '_>, take: bool) -> Result<u64, FaultKind> {
    let (map, value) = (call.map(0)?, call.required(1)?);
    let found = map.next_window(value, take);
    if found.is_err() {
        wipe(value);
    }
    Ok(result(found))
}

pub(super) fn peek(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (map, value) = (call.map(0)?, call.required(1)?);
    if map.spec().kind != MapKind::Bloom {
        return next(call, false);
    }
    Ok(match map.may_have_window(value) {
        Ok(true) => 0,
        Ok(false) => fail(ENOENT),
        Err(error) => fail(error.errno()),
    })
}

pub(super) fn spin_lock(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    call.lock(0).map(|()| 0)
}

pub(super) fn spin_unlock(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    call.unlock(0).map(|()| 0)
}

/// `BPF_LOCAL_STORAGE_GET_F_CREATE`.
const STORAGE_CREATE: u64 = 1;

pub(super) fn inode_storage_get(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (map, first, flags) = (call.map(0)?, call.mem(2), call.scalar(3));
    let Some(key) = call.host().node().map(u64::to_ne_bytes).filter(|_| flags & !STORAGE_CREATE == 0) else {
        return Ok(0);
    };
    let address = map.address(&key, 0);
    if address != 0 || flags & STORAGE_CREATE == 0 {
        return Ok(address);
    }
    let made = match first {
        Some(first) => map.update_slot(&key, first, UpdateMode::NoExist, 0),
        None => map.update(&key, &vec![0; map.spec().value_size as usize], UpdateMode::NoExist),
    };
    // Another thread may have made it first.
    Ok(if matches!(made, Ok(()) | Err(MapError::Exists)) { map.address(&key, 0) } else { 0 })
}

pub(super) fn inode_storage_delete(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let map = call.map(0)?;
    Ok(match call.host().node() {
        Some(node) => result(map.delete(&node.to_ne_bytes())),
        None => fail(ENOENT),
    })
}

pub(super) fn ringbuf_output(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let ring = ring(call)?;
    let (data, flags) = (call.required(1)?, call.scalar(3));
    if flags & !(NO_WAKEUP | FORCE_WAKEUP) != 0 {
        return Ok(fail(EINVAL));
    }
    Ok(if ring.output(data, flags & NO_WAKEUP == 0) { 0 } else { fail(EAGAIN) })
}

pub(super) fn ringbuf_reserve(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let ring = ring(call)?;
    let (size, flags) = (call.scalar(1), call.scalar(2));
    if flags != 0 {
        return Ok(0);
    }
    Ok(ring.reserve(size).map_or(0, |record| call.keep_record(record)))
}

pub(super) fn ringbuf_submit(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let wake = call.scalar(1) & NO_WAKEUP == 0;
    call.take_record(0)?.submit(wake);
    Ok(0)
}

pub(super) fn ringbuf_discard(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let wake = call.scalar(1) & NO_WAKEUP == 0;
    call.take_record(0)?.discard(wake);
    Ok(0)
}

pub(super) fn ringbuf_reserve_dynptr(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let ring = ring(call)?;
    // The prototype has 32 bits.
    let (size, flags) = (u64::from(call.scalar(1) as u32), call.scalar(2));
    let error = match () {
        () if flags != 0 => EINVAL,
        () if size > MAX_DYNPTR_SIZE as u64 => E2BIG,
        () => match ring.reserve(size) {
            Some(record) => {
                call.keep_record_dynptr(3, record)?;
                return Ok(0);
            }
            None => EINVAL,
        },
    };
    call.set_dynptr(3, None)?;
    Ok(fail(error))
}

pub(super) fn ringbuf_submit_dynptr(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let wake = call.scalar(1) & NO_WAKEUP == 0;
    if let Some(record) = call.take_record_dynptr(0)? {
        record.submit(wake);
    }
    Ok(0)
}

pub(super) fn ringbuf_discard_dynptr(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let wake = call.scalar(1) & NO_WAKEUP == 0;
    if let Some(record) = call.take_record_dynptr(0)? {
        record.discard(wake);
    }
    Ok(0)
}

pub(super) fn ringbuf_query(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let ring = ring(call)?;
    // `BPF_RB_AVAIL_DATA`, `BPF_RB_RING_SIZE`, `BPF_RB_CONS_POS`, `BPF_RB_PROD_POS`.
    Ok(match call.scalar(1) {
        0 => ring.available(),
        1 => ring.size(),
        2 => ring.consumed(),
        3 => ring.produced(),
        _ => 0,
    })
}
