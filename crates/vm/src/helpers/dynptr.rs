//! Dynptrs.

use super::errno::{E2BIG, EINVAL, ERANGE, fail};
use crate::interp::{Call, Dynptr, FaultKind};
use crate::mem::Window;

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
        return Ok(fail(EINVAL));
    };
    Ok(match dynptr.slice(off, to.len() as u64) {
        Some(from) if from.copy_to(&to) => 0,
        Some(_) => fail(EINVAL),
        None => fail(E2BIG),
    })
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

/// Hands out a part of a dynptr, or null.
fn give<'r>(call: &mut Call<'_, 'r>, part: Option<Window<'r>>) -> Result<u64, FaultKind> {
    part.map_or(Ok(0), |part| call.give(part))
}

pub(super) fn data(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (off, len) = (call.scalar(1), call.scalar(2));
    let dynptr = call.dynptr(0).filter(|dynptr| !dynptr.is_read_only());
    give(call, dynptr.and_then(|dynptr| dynptr.slice(off, len)))
}

// Memory is always contiguous here, so the buffer to copy to is never needed.
pub(super) fn slice(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (off, len) = (call.scalar(1), call.scalar(3));
    let part = call.dynptr(0).and_then(|dynptr| dynptr.slice(off, len));
    give(call, part.map(Window::read_only))
}

pub(super) fn slice_rdwr(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (off, len) = (call.scalar(1), call.scalar(3));
    let dynptr = call.dynptr(0).filter(|dynptr| !dynptr.is_read_only());
    give(call, dynptr.and_then(|dynptr| dynptr.slice(off, len)))
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
            call.set_dynptr(0, Dynptr::new(part))?;
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
