//! Which addresses a program may access.

use std::cell::Cell;
use std::sync::Arc;

use super::dynptr::Dynptrs;
use super::keep::Keep;
use super::{Arg, CLOBBERED, FRAME_SIZE, FRAME_STRIDE, FaultKind};
use crate::maps::{Held, Map, Reservation, Target, Values};
use crate::mem::{Access, Window};
use crate::program::Program;

/// Most slices one run can hold.
const MAX_SLICES: usize = 1 << 16;

/// Most maps one run can find in other maps.
const MAX_FOUND_MAPS: usize = 1 << 10;

/// Most programs one run can go on to (`MAX_TAIL_CALL_CNT`).
pub(super) const MAX_TAIL_CALLS: u32 = 33;

/// Addresses that are no memory. They are not canonical on any supported machine, so no window can
/// have them.
pub(crate) mod handle {
    use crate::maps::Map;

    /// Handles of opaque buffers, by number.
    pub(in crate::interp) const BUFFER: u64 = 0xfb0f_0000_0000_0000;
    /// Handles of maps, by [`crate::maps::Map::id`].
    pub(in crate::interp) const MAP: u64 = 0xfb0e_0000_0000_0000;
    /// Addresses of functions, by slot.
    pub(in crate::interp) const FUNCTION: u64 = 0xfb0d_0000_0000_0000;
    /// Distance between two handles, so that small offsets are not another handle.
    const STRIDE: u64 = 64;
    const KIND: u64 = 0xffff_0000_0000_0000;

    /// What a wide load of a map gives.
    pub(crate) fn of_map(map: &Map) -> u64 {
        make(MAP, map.id())
    }

    /// What a wide load of the address of a function gives, by its slot.
    pub(crate) fn of_function(slot: u32) -> u64 {
        make(FUNCTION, slot)
    }

    /// An argument that is an opaque buffer.
    pub(in crate::interp) fn of_buffer(number: u32) -> u64 {
        make(BUFFER, number)
    }

    /// The handle of a number.
    pub(in crate::interp) fn make(kind: u64, number: u32) -> u64 {
        kind + u64::from(number) * STRIDE
    }

    /// The number of a handle, if `value` is one of that kind.
    pub(in crate::interp) fn number(kind: u64, value: u64) -> Option<u32> {
        let off = value.wrapping_sub(kind);
        if !off.is_multiple_of(STRIDE) {
            return None;
        }
        u32::try_from(off / STRIDE).ok()
    }

    /// The kind of the handle `value` is or points near to, on either side.
    pub(in crate::interp) fn kind(value: u64) -> u64 {
        value.wrapping_add(1 << 47) & KIND
    }
}

/// Memory of the worker itself: it lives as long as the run, but not as long as what is lent to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Local<'w> {
    cells: &'w [Cell<u64>],
    /// All of `cells`.
    pub(super) stack: Window<'w>,
    pub(super) context: Window<'w>,
    /// Bytes of the stack up to the end of the innermost frame.
    live: u64,
    /// Frames below the stack, which are out of reach.
    below: usize,
}

impl<'w> Local<'w> {
    /// The memory of a run that starts: no frame is live.
    pub(super) fn new(stack: &'w [Cell<u64>], context: &'w [Cell<u64>]) -> Self {
        let context = Window::from_words(context).read_only();
        Local { cells: stack, stack: Window::from_words(stack), context, live: 0, below: 0 }
    }

    /// The same without the frames before the one at `depth`, which is not above the last. None is live.
    #[cfg(feature = "jit")]
    pub(super) fn from(self, depth: usize) -> Self {
        let cells = self.cells.get(depth.saturating_sub(self.below) * FRAME_STRIDE / 8..).unwrap_or_default();
        Local { cells, stack: Window::from_words(cells), below: depth.max(self.below), live: 0, ..self }
    }

    /// Zeroes the innermost frame.
    pub(super) fn clear_frame(&self) {
        let end = self.live as usize / 8;
        let frame = self.cells.get(end.saturating_sub(FRAME_SIZE / 8)..end);
        frame.unwrap_or_default().iter().for_each(|cell| cell.set(0));
    }

    /// Makes frames up to `depth`, counted from 0, live. Returns the end of that frame.
    pub(super) fn enter(&mut self, depth: usize) -> u64 {
        self.live = (depth.saturating_sub(self.below) * FRAME_STRIDE + FRAME_SIZE) as u64;
        self.stack.addr() + self.live
    }

    /// Makes the frame that ends at `end`, and those before it, live.
    #[cfg(feature = "jit")]
    pub(super) fn enter_at(&mut self, end: u64) {
        self.live = end.wrapping_sub(self.stack.addr()).min(self.stack.len() as u64);
    }

    /// The offset in the stack of `len` bytes at `addr` that lie in one live frame.
    #[inline(always)]
    pub(super) fn stack_offset(&self, addr: u64, len: usize) -> Option<usize> {
        let off = addr.wrapping_sub(self.stack.addr());
        if off >= self.live {
            return None;
        }
        let off = off as usize;
        let inside = (off % FRAME_STRIDE).checked_add(len)? <= FRAME_SIZE;
        inside.then_some(off)
    }
}

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Miss {
    /// It lies in no memory of the program.
    Outside,
    /// It lies in memory lent for loads only.
    ReadOnly,
}

/// What was lent to a run and what it made.
#[derive(Debug, Default)]
pub(super) struct Tables<'r> {
    /// Where what the run finds in maps is kept. `None` only between runs.
    keep: Option<&'r Keep>,
    /// Memory arguments.
    pub(super) args: Vec<Window<'r>>,
    /// Numbers of the buffers among the arguments.
    buffers: Vec<u32>,
    /// The programs that ran, the first one included.
    programs: Vec<&'r Program>,
    /// The maps of those programs, and the ones they found in them.
    maps: Vec<&'r Arc<Map>>,
    /// How many of the maps were found.
    found: usize,
    /// Values of the maps.
    pub(super) values: Vec<Values<'r>>,
    /// Memory handed out by calls.
    pub(super) slices: Vec<Window<'r>>,
    /// Records reserved and not finished.
    pub(super) records: Vec<Reservation<'r>>,
    pub(super) dynptrs: Dynptrs<'r>,
    /// Keys that callbacks in progress are shown.
    pub(super) keys: Vec<Window<'r>>,
    /// The spin lock the run holds.
    pub(super) lock: Option<Held<'r>>,
    tail_calls: u32,
    /// The program to go on with after the call in progress.
    next: Option<&'r Target>,
    /// State of the generator behind `bpf_get_prandom_u32`.
    pub(super) random: u64,
}

impl<'r> Tables<'r> {
    pub(super) fn new(seed: u64) -> Tables<'r> {
        Tables { random: seed, ..Tables::default() }
    }

    /// The same memory for another run. Records left are discarded, a lock left is released.
    pub(super) fn renew<'a>(mut self) -> Tables<'a> {
        self.buffers.clear();
        self.lock = None;
        Tables {
            keep: None,
            args: renew(self.args),
            buffers: self.buffers,
            programs: renew(self.programs),
            maps: renew(self.maps),
            found: 0,
            values: renew(self.values),
            slices: renew(self.slices),
            records: renew(self.records),
            dynptrs: self.dynptrs.renew(),
            keys: renew(self.keys),
            lock: None,
            tail_calls: 0,
            next: None,
            random: self.random,
        }
    }

    /// Starts a run whose finds are kept in `keep`.
    pub(super) fn start(&mut self, keep: &'r Keep, program: &'r Program, slot: usize) {
        self.keep = Some(keep);
        self.begin(program, slot);
    }

    /// Admits the maps of a program and their values.
    pub(super) fn begin(&mut self, program: &'r Program, slot: usize) {
        if self.programs.iter().any(|known| std::ptr::eq(*known, program)) {
            return;
        }
        self.programs.push(program);
        self.maps.extend(&program.maps);
        self.values.extend(program.maps.iter().filter_map(|map| map.values(slot)));
    }

    /// The map a handle stands for.
    pub(super) fn map(&self, value: u64) -> Option<&'r Arc<Map>> {
        let id = handle::number(handle::MAP, value)?;
        self.maps.iter().find(|map| map.id() == id).copied()
    }

    /// Admits a map that was found in another one. Returns its handle.
    pub(super) fn found_map(&mut self, map: Arc<Map>, slot: usize) -> Result<u64, FaultKind> {
        let value = handle::of_map(&map);
        if self.map(value).is_none() {
            let (Some(keep), true) = (self.keep, self.found < MAX_FOUND_MAPS) else {
                return Err(FaultKind::TooManyMaps { limit: MAX_FOUND_MAPS });
            };
            self.found += 1;
            let map = keep.map(map);
            self.maps.push(map);
            self.values.extend(map.values(slot));
        }
        Ok(value)
    }

    /// Notes that the run is to go on with another program. Whether it may.
    pub(super) fn set_next(&mut self, target: Arc<Target>) -> bool {
        let (Some(keep), true) = (self.keep, self.tail_calls < MAX_TAIL_CALLS) else {
            return false;
        };
        self.tail_calls += 1;
        self.next = Some(keep.program(target));
        true
    }

    /// The program a call asked to go on with. The engine looks after each call.
    pub(super) fn take_next(&mut self) -> Option<&'r Target> {
        self.next.take()
    }

    /// Lends room for a key of `len` bytes to the program, for loads. What is returned can be written.
    pub(super) fn lend_key(&mut self, len: usize) -> Result<Window<'r>, FaultKind> {
        let room = self.keep.and_then(|keep| keep.key(self.keys.len(), len)).ok_or(FaultKind::TooDeep)?;
        self.keys.push(room.read_only());
        Ok(room)
    }

    /// Takes back the room lent last.
    pub(super) fn return_key(&mut self) {
        self.keys.pop();
    }

    /// The lock word at an address, if it is one.
    pub(super) fn lock_at(&self, addr: u64) -> Option<Window<'r>> {
        self.values.iter().find_map(|values| values.lock_at(addr))
    }

    /// Admits an argument. Returns what its register holds.
    pub(super) fn admit(&mut self, arg: &Arg<'r>) -> u64 {
        match *arg {
            Arg::Scalar(value) => value,
            Arg::Mem(window) => {
                self.args.push(window);
                window.addr()
            }
            Arg::Buffer(number) => {
                self.buffers.push(number);
                handle::of_buffer(number)
            }
        }
    }

    /// Admits memory a call hands out.
    pub(super) fn give(&mut self, window: Window<'r>) -> Result<u64, FaultKind> {
        // Loops mostly ask for the same memory again: do not let them fill the table.
        let known = |old: &Window<'r>| {
            old.addr() == window.addr() && old.len() == window.len() && old.access() == window.access()
        };
        if !self.slices.iter().rev().take(8).any(known) {
            if self.slices.len() == MAX_SLICES {
                return Err(FaultKind::TooManySlices { limit: MAX_SLICES });
            }
            self.slices.push(window);
        }
        Ok(window.addr())
    }

    /// Whether a buffer is among the arguments.
    pub(super) fn has_buffer(&self, number: u32) -> bool {
        self.buffers.contains(&number)
    }

    /// Which record starts at an address.
    pub(super) fn record_at(&self, addr: u64) -> Option<usize> {
        self.records.iter().position(|record| record.window().addr() == addr)
    }

    /// Takes the record that starts at an address.
    pub(super) fn take_record(&mut self, addr: u64) -> Option<Reservation<'r>> {
        self.record_at(addr).map(|index| self.records.swap_remove(index))
    }

    /// The lent object that `len` bytes at `addr` lie in. `work` grows with the search.
    pub(super) fn find(
        &self,
        addr: u64,
        len: usize,
        access: Access,
        work: &mut u64,
    ) -> Result<Window<'r>, Miss> {
        // Records can always be written.
        let record = self.records.iter().map(Reservation::window).find(|record| covers(record, addr, len));
        if let Some(record) = record {
            return Ok(record);
        }
        match self.keys.iter().find(|key| covers(key, addr, len)) {
            Some(_) if access == Access::ReadWrite => Err(Miss::ReadOnly),
            Some(key) => Ok(*key),
            None => self.lasting(addr, len, access, work),
        }
    }

    /// As [`Tables::find`], but only objects that stay until the run ends.
    pub(super) fn lasting(
        &self,
        addr: u64,
        len: usize,
        access: Access,
        work: &mut u64,
    ) -> Result<Window<'r>, Miss> {
        let mut miss = Miss::Outside;
        let mut fits = |window: &Window<'r>| {
            let inside = covers(window, addr, len);
            if inside && !window.allows(access) {
                miss = Miss::ReadOnly;
                return false;
            }
            inside
        };
        if let Some(window) = self.args.iter().find(|window| fits(window)) {
            return Ok(*window);
        }
        *work += self.found as u64 / 16;
        let mut values = self.values.iter().filter_map(|values| values.find(addr, len));
        if let Some(window) = values.find(|window| fits(window)) {
            return Ok(window);
        }
        // The newest slice is the likeliest, and older ones are paid for.
        for (age, window) in self.slices.iter().rev().enumerate() {
            if fits(window) {
                *work += age as u64 / 16;
                return Ok(*window);
            }
        }
        *work += self.slices.len() as u64 / 16;
        Err(miss)
    }
}

/// An empty vector in the memory of another whose elements differ only in what they borrow. The
/// elements are dropped.
pub(super) fn renew<A, B>(mut old: Vec<A>) -> Vec<B> {
    if old.capacity() == 0 {
        return Vec::new();
    }
    old.clear();
    // Collecting a vector's own iterator into elements of the same layout reuses its memory.
    old.into_iter().map_while(|_| None).collect()
}

/// Whether `len` bytes at `addr` lie in a window.
#[inline(always)]
pub(super) fn covers(window: &Window<'_>, addr: u64, len: usize) -> bool {
    let off = addr.wrapping_sub(window.addr());
    let end = off.checked_add(len as u64);
    end.is_some_and(|end| end <= window.len() as u64)
}

/// The object that `len` bytes at `addr` lie in: a frame of the stack, the context or lent memory,
/// and the offset in it.
pub(super) fn resolve<'w, 'r: 'w>(
    local: Local<'w>,
    tables: &Tables<'r>,
    addr: u64,
    len: usize,
    access: Access,
    work: &mut u64,
) -> Result<(Window<'w>, usize), Miss> {
    if let Some(off) = local.stack_offset(addr, len) {
        let frame = off - off % FRAME_STRIDE;
        let window = local.stack.sub(frame, FRAME_SIZE).ok_or(Miss::Outside)?;
        return Ok((window, off - frame));
    }
    let window = if covers(&local.context, addr, len) {
        if access == Access::ReadWrite {
            return Err(Miss::ReadOnly);
        }
        local.context
    } else {
        tables.find(addr, len, access, work)?
    };
    Ok((window, addr.wrapping_sub(window.addr()) as usize))
}

/// The fault of a load or store that was refused.
#[cold]
pub(super) fn refuse(addr: u64, size: usize, access: Access, miss: Miss) -> FaultKind {
    match (miss, access) {
        (Miss::ReadOnly, _) => return FaultKind::ReadOnly { addr, size },
        _ if addr < 4096 => return FaultKind::Null { addr },
        _ => {}
    }
    match (handle::kind(addr), access) {
        (handle::BUFFER, _) => FaultKind::OpaqueBuffer,
        (handle::MAP, _) => FaultKind::MapHandle,
        (handle::FUNCTION, _) => FaultKind::FunctionHandle,
        (CLOBBERED, _) if (1..=5).contains(&(addr & 0xffff)) => {
            FaultKind::Clobbered { register: (addr & 0xffff) as u8 }
        }
        (_, Access::Read) => FaultKind::Load { addr, size },
        (_, Access::ReadWrite) => FaultKind::Store { addr, size },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_keep_their_memory_from_run_to_run() {
        let bytes = [0; 8];
        let mut tables = Tables::new(1);
        for _ in 0..10 {
            tables.admit(&Arg::Mem(Window::from_bytes(&bytes)));
        }
        let (ptr, capacity) = (tables.args.as_ptr() as usize, tables.args.capacity());
        let tables: Tables<'static> = tables.renew();
        assert!(tables.args.is_empty());
        assert_eq!((tables.args.as_ptr() as usize, tables.args.capacity()), (ptr, capacity));
    }

    #[test]
    fn handles_are_no_small_offset_apart_and_no_memory() {
        for kind in [handle::BUFFER, handle::MAP, handle::FUNCTION] {
            for number in [0, 1, 1000, u32::MAX] {
                let value = handle::make(kind, number);
                assert_eq!(handle::number(kind, value), Some(number));
                assert_eq!(handle::kind(value), kind);
                assert_eq!(handle::number(kind, value + 1), None);
                assert_eq!(handle::number(kind, value.wrapping_sub(8)), None);
            }
            assert_eq!(handle::number(kind, 0), None);
            assert_eq!(handle::number(kind, u64::MAX - 63), None);
        }
    }
}
