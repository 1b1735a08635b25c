//! Dynptrs.

use super::errno::{E2BIG, EINVAL, ERANGE, fail};
use super::wipe;
use crate::interp::{Call, Dynptr, FaultKind, MAX_DYNPTR_SIZE};
use crate::mem::{Access, Window};

pub(super) fn from_mem(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let flags = call.scalar(2);
    let dynptr = Dynptr::new(call.lent(0)?);
    let (made, result) = match dynptr {
        None => (None, fail(E2BIG)),
        Some(_) if flags != 0 => (None, fail(EINVAL)),
        made => (made, 0),
    };
    call.set_dynptr(3, made)?;
    Ok(result)
}

pub(super) fn read(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (to, off, flags) = (call.required(0)?, call.scalar(3), call.scalar(4));
    let Some(dynptr) = call.dynptr(2).filter(|_| flags == 0) else {
        wipe(to);
        return Ok(fail(EINVAL));
    };
    let error = match dynptr.slice(off, to.len() as u64) {
        Some(from) if from.copy_to(&to) => return Ok(0),
        Some(_) => EINVAL,
        None => E2BIG,
    };
    wipe(to);
    Ok(fail(error))
}

pub(super) fn write(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (off, from, flags) = (call.scalar(1), call.required(2)?, call.scalar(4));
    let Some(dynptr) = call.dynptr(0).filter(|dynptr| flags == 0 && !dynptr.is_read_only()) else {
        return Ok(fail(EINVAL));
    };
    Ok(match dynptr.slice(off, from.len() as u64) {
        Some(to) if from.copy_to(&to) => 0,
        Some(_) => fail(EINVAL),
        None => fail(E2BIG),
    })
}

/// Hands out `len` bytes of the call's first dynptr, or null.
fn give(call: &mut Call<'_, '_>, off: u64, len: u64, access: Access) -> Result<u64, FaultKind> {
    let Some(dynptr) = call.dynptr(0).filter(|dynptr| access == Access::Read || !dynptr.is_read_only())
    else {
        return Ok(0);
    };
    let part = dynptr.slice(off, len);
    let part = if access == Access::Read { part.map(Window::read_only) } else { part };
    part.map_or(Ok(0), |part| call.give_part(&dynptr, part))
}

pub(super) fn data(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    give(call, call.scalar(1), call.scalar(2), Access::ReadWrite)
}

// Memory is always contiguous here, so the buffer to copy to is never needed.
pub(super) fn slice(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    call.mem(2).map(wipe);
    give(call, call.scalar(1), call.scalar(3), Access::Read)
}

pub(super) fn slice_rdwr(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    call.mem(2).map(wipe);
    give(call, call.scalar(1), call.scalar(3), Access::ReadWrite)
}

pub(super) fn size(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    Ok(call.dynptr(0).map_or(0, |dynptr| dynptr.size() as u64))
}

pub(super) fn is_null(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    Ok(call.dynptr(0).is_none().into())
}

pub(super) fn is_rdonly(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    Ok(call.dynptr(0).is_some_and(|dynptr| dynptr.is_read_only()).into())
}

pub(super) fn adjust(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (start, end) = (call.scalar(1), call.scalar(2));
    let Some(dynptr) = call.dynptr(0).filter(|_| start <= end) else {
        return Ok(fail(EINVAL));
    };
    match dynptr.slice(start, end - start) {
        Some(part) => {
            call.set_dynptr(0, Some(dynptr.narrowed(part)))?;
            Ok(0)
        }
        None => Ok(fail(ERANGE)),
    }
}

pub(super) fn clone(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let dynptr = call.dynptr(0);
    call.set_dynptr(1, dynptr)?;
    Ok(if dynptr.is_some() { 0 } else { fail(EINVAL) })
}

pub(super) fn copy(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (to_off, from_off, size) = (call.scalar(1), call.scalar(3), call.scalar(4));
    let (Some(to), Some(from)) = (call.dynptr(0).filter(|to| !to.is_read_only()), call.dynptr(2)) else {
        return Ok(fail(EINVAL));
    };
    call.charge(size.min(MAX_DYNPTR_SIZE as u64) / 64);
    Ok(match (to.slice(to_off, size), from.slice(from_off, size)) {
        (Some(to), Some(from)) if from.copy_to(&to) => 0,
        (Some(_), Some(_)) => fail(EINVAL),
        _ => fail(E2BIG),
    })
}

pub(super) fn memset(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (off, size, byte) = (call.scalar(1), call.scalar(2), call.scalar(3) as u8);
    let Some(dynptr) = call.dynptr(0).filter(|dynptr| !dynptr.is_read_only()) else {
        return Ok(fail(EINVAL));
    };
    let Some(part) = dynptr.slice(off, size) else {
        return Ok(fail(E2BIG));
    };
    call.charge(size / 64);
    let chunk = [byte; 64];
    for off in (0..part.len()).step_by(chunk.len()) {
        if !part.write(off, &chunk[..chunk.len().min(part.len() - off)]) {
            return Ok(fail(EINVAL));
        }
    }
    Ok(0)
}
