//! Maps and ring buffers.

use super::errno::{EAGAIN, EINVAL, EPERM, fail};
use crate::interp::{ArgFault, Call, FaultKind};
use crate::maps::{MAX_KEY_SIZE, Map, MapError, RingBuf, UpdateMode};
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
        len => copy(key, &mut [0; MAX_KEY_SIZE as usize][..len.min(MAX_KEY_SIZE as usize)], then),
    }
}

/// The map, which must have entries.
fn entries<'r>(call: &Call<'_, 'r>) -> Result<&'r Map, FaultKind> {
    let map = call.map(0)?;
    if map.ring().is_some() { Err(call.fault(0, ArgFault::WrongMap)) } else { Ok(map) }
}

fn ring<'r>(call: &Call<'_, 'r>) -> Result<&'r RingBuf, FaultKind> {
    call.map(0)?.ring().ok_or_else(|| call.fault(0, ArgFault::WrongMap))
}

fn result(done: Result<(), MapError>) -> u64 {
    done.map_or_else(|error| fail(error.errno()), |()| 0)
}

pub(super) fn lookup(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let map = entries(call)?;
    let slot = call.slot();
    let value = with_key(call.required(1)?, |key| map.value(key, slot));
    // No need to admit it: the values of the program's maps are all reachable.
    Ok(value.map_or(0, |value| value.addr()))
}

pub(super) fn update(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let map = entries(call)?;
    if !map.spec().programs_may_write() {
        return Ok(fail(EPERM));
    }
    let Some(mode) = UpdateMode::from_flags(call.scalar(3)) else {
        return Ok(fail(EINVAL));
    };
    let (value, slot) = (call.required(2)?, call.slot());
    Ok(result(with_key(call.required(1)?, |key| map.update_slot(key, value, mode, slot))))
}

pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let map = entries(call)?;
    if !map.spec().programs_may_write() {
        return Ok(fail(EPERM));
    }
    Ok(result(with_key(call.required(1)?, |key| map.delete(key))))
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
