//! Calls back into the program, loops, and going on with another program.

use super::errno::{E2BIG, EINVAL, ENOENT, fail};
use crate::interp::{ArgFault, Call, FaultKind};
use crate::mem::{Width, Window};

/// Most iterations of one loop (`BPF_MAX_LOOPS`).
const MAX_LOOPS: u64 = 8 << 20;

/// `bpf_loop`.
pub(super) fn loops(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (count, context, flags) = (call.scalar(0), call.scalar(2), call.scalar(3));
    // The prototype has 32 bits.
    let count = u64::from(count as u32);
    if flags != 0 {
        return Ok(fail(EINVAL));
    }
    if count > MAX_LOOPS {
        return Ok(fail(E2BIG));
    }
    for i in 0..count {
        if call.callback(1, [i, context, 0, 0, 0])? != 0 {
            return Ok(i + 1);
        }
    }
    Ok(count)
}

/// `bpf_for_each_map_elem`.
pub(super) fn for_each_map_elem(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (map, context, flags, slot) = (call.map(0)?, call.scalar(2), call.scalar(3), call.slot());
    if flags != 0 {
        return Ok(fail(EINVAL));
    }
    let handle = call.scalar(0);
    let key = call.lend_key(map.key_len())?;
    let mut visited = 0;
    for position in 0..map.positions() {
        // Places without an entry cost as well.
        call.charge(1);
        let Some(value) = map.at(position, key, slot) else {
            if !call.goes_on() {
                break;
            }
            continue;
        };
        visited += 1;
        if call.callback(1, [handle, key.addr(), value.addr(), context, 0])? != 0 {
            break;
        }
    }
    call.return_key();
    Ok(visited)
}

/// `bpf_tail_call`. The program goes on only if this fails.
pub(super) fn tail_call(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    // The prototype has 32 bits.
    let index = call.scalar(2) as u32;
    let Some(target) = call.map(1)?.target(index) else {
        return Ok(fail(ENOENT));
    };
    Ok(if call.tail_call(target) { 0 } else { fail(E2BIG) })
}

/// Sets both numbers of an iterator: the one given last and the end.
fn set(iterator: Window<'_>, last: i32, end: i32) -> Option<()> {
    iterator.store(0, Width::W, last as u64)?;
    iterator.store(4, Width::W, end as u64)
}

pub(super) fn iter_num_new(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let iterator = call.iterator(0)?;
    let (start, end) = (call.scalar(1) as i32, call.scalar(2) as i32);
    let length = i64::from(end) - i64::from(start);
    let (last, end, result) = match length {
        ..0 => (0, 0, fail(EINVAL)),
        _ if length > MAX_LOOPS as i64 => (0, 0, fail(E2BIG)),
        // A start at the least number wraps here, and back when it is counted on.
        _ => (start.wrapping_sub(1), end, 0),
    };
    set(iterator, last, end).ok_or_else(|| call.fault(0, ArgFault::NotIterator))?;
    Ok(result)
}

pub(super) fn iter_num_next(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let iterator = call.iterator(0)?;
    let number = |off| iterator.load(off, Width::W).map_or(0, |number| number as i32);
    let (next, end) = (number(0).wrapping_add(1), number(4));
    let more = next < end;
    let (last, end) = if more { (next, end) } else { (0, 0) };
    set(iterator, last, end).ok_or_else(|| call.fault(0, ArgFault::NotIterator))?;
    Ok(if more { iterator.addr() } else { 0 })
}

pub(super) fn iter_num_destroy(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    set(call.iterator(0)?, 0, 0).ok_or_else(|| call.fault(0, ArgFault::NotIterator))?;
    Ok(0)
}
