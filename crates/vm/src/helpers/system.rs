//! Time, chance, the calling process, and memory a program is not sure of.

use rustix::time::{ClockId, DynamicClockId, clock_gettime, clock_gettime_dynamic};

use super::errno::{EFAULT, EINVAL, fail};
use super::wipe;
use crate::interp::{Call, FaultKind};
use crate::mem::Access;

fn nanoseconds(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    // Both are never negative for these clocks; 584 years fit.
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

pub(super) fn ktime_get_ns(_: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    Ok(nanoseconds(ClockId::Monotonic))
}

pub(super) fn ktime_get_boot_ns(_: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    Ok(nanoseconds(ClockId::Boottime))
}

pub(super) fn ktime_get_coarse_ns(_: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    Ok(nanoseconds(ClockId::MonotonicCoarse))
}

pub(super) fn ktime_get_tai_ns(_: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    // A clock every kernel has that this runs on, but which is asked for as one that might not be there.
    let Ok(now) = clock_gettime_dynamic(DynamicClockId::Tai) else {
        return Ok(0);
    };
    Ok((now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64))
}

pub(super) fn get_prandom_u32(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    Ok(call.random() >> 32)
}

pub(super) fn get_smp_processor_id(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    Ok(call.slot() as u64)
}

pub(super) fn get_current_pid_tgid(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let host = call.host();
    Ok(u64::from(host.process()) << 32 | u64::from(host.caller().tid))
}

pub(super) fn get_current_uid_gid(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let caller = call.host().caller();
    Ok(u64::from(caller.gid) << 32 | u64::from(caller.uid))
}

pub(super) fn get_current_comm(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let to = call.required(0)?;
    let comm = call.host().comm();
    let name = comm.split(|&byte| byte == 0).next().unwrap_or_default();
    let Some(room) = to.len().checked_sub(1) else {
        return Ok(fail(EINVAL));
    };
    let name = &name[..name.len().min(room)];
    let mut written = to.write(0, name);
    // What is left is zeroed, the terminating byte included.
    for off in name.len()..to.len() {
        written &= to.write(off, &[0]);
    }
    Ok(if written { 0 } else { fail(EINVAL) })
}

pub(super) fn get_current_cgroup_id(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    Ok(call.host().cgroup(None))
}

pub(super) fn get_current_ancestor_cgroup_id(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let level = u32::try_from(call.scalar(0) as i32);
    Ok(level.map_or(0, |level| call.host().cgroup(Some(level))))
}

pub(super) fn probe_read_kernel(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (to, addr) = (call.required(0)?, call.scalar(2));
    if to.is_empty() {
        return Ok(0);
    }
    // Its own stack and context a program reads with loads, which tell addresses from numbers.
    let from =
        if call.holds_addresses(addr, to.len()) { None } else { call.probe(addr, to.len(), Access::Read) };
    if from.is_some_and(|from| from.copy_to(&to)) {
        return Ok(0);
    }
    wipe(to);
    Ok(fail(EFAULT))
}

/// As many bytes of a text as fit, and always a NUL. What is behind it is zeroed.
pub(super) fn probe_read_kernel_str(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (to, addr) = (call.required(0)?, call.scalar(2));
    wipe(to);
    if to.is_empty() {
        return Ok(0);
    }
    // Byte by byte is work.
    call.charge(to.len() as u64 / 8);
    for off in 0..to.len() {
        let at = addr.wrapping_add(off as u64);
        let from = if call.holds_addresses(at, 1) { None } else { call.probe(at, 1, Access::Read) };
        let mut byte = [0];
        if !from.is_some_and(|from| from.read(0, &mut byte)) {
            wipe(to);
            return Ok(fail(EFAULT));
        }
        // The last byte is the NUL's.
        if byte == [0] || off + 1 == to.len() {
            return Ok(off as u64 + 1);
        }
        if !to.write(off, &byte) {
            return Ok(fail(EFAULT));
        }
    }
    Ok(fail(EFAULT))
}
