//! What a run looks like before each of its instructions, for tests that compare it with what was proved.

use super::FRAME_STRIDE;
use super::machine::{CALLBACK, Frame, REGS};
use super::memory::{Local, Tables, handle, resolve};
use crate::mem::{Access, Width, Window};
use crate::program::Program;

/// Is shown every instruction of a run before it is executed.
#[doc(hidden)]
pub trait Observer {
    /// The run is about to execute the instruction at [`Moment::pc`].
    fn before(&mut self, moment: &Moment<'_, '_, '_>);
}

/// What a machine shows its instructions to.
pub(super) trait Watch {
    /// The instruction `moment` tells of is next.
    fn before<'m, 'w, 'r: 'm + 'w>(&mut self, moment: impl FnOnce() -> Moment<'m, 'w, 'r>)
    where
        'w: 'm;
}

/// Nobody looks: costs nothing.
#[derive(Debug)]
pub(super) struct Unwatched;

impl Watch for Unwatched {
    #[inline(always)]
    fn before<'m, 'w, 'r: 'm + 'w>(&mut self, _: impl FnOnce() -> Moment<'m, 'w, 'r>)
    where
        'w: 'm,
    {
    }
}

impl Watch for &mut dyn Observer {
    fn before<'m, 'w, 'r: 'm + 'w>(&mut self, moment: impl FnOnce() -> Moment<'m, 'w, 'r>)
    where
        'w: 'm,
    {
        Observer::before(*self, &moment());
    }
}

/// A run before an instruction.
#[doc(hidden)]
pub struct Moment<'m, 'w, 'r> {
    /// The program in progress.
    pub(super) program: &'r Program,
    /// The slot of the instruction.
    pub(super) pc: usize,
    pub(super) regs: &'m [u64; REGS],
    /// The functions that wait, outermost first.
    pub(super) callers: &'m [Frame<'r>],
    pub(super) local: Local<'w>,
    pub(super) tables: &'m Tables<'r>,
    /// The thread's number.
    pub(super) slot: usize,
}

impl std::fmt::Debug for Moment<'_, '_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Moment").field("pc", &self.pc).field("regs", &self.regs).finish_non_exhaustive()
    }
}

impl<'r> Moment<'_, '_, 'r> {
    pub(crate) fn program(&self) -> &'r Program {
        self.program
    }

    pub(crate) fn pc(&self) -> usize {
        self.pc
    }

    /// Functions that wait for the one in progress.
    pub(crate) fn depth(&self) -> usize {
        self.callers.len()
    }

    /// A register of the function at `depth`, if it is known: of those that wait, only R6 to R9 are kept.
    pub(crate) fn register(&self, depth: usize, register: usize) -> Option<u64> {
        match self.callers.get(depth) {
            None => self.regs.get(register).copied(),
            Some(caller) => caller.saved.get(register.checked_sub(6)?).copied(),
        }
    }

    /// Where the function at `depth`, which waits, goes on; `None` if a callable called a function of it.
    pub(crate) fn returns_to(&self, depth: usize) -> Option<usize> {
        self.callers.get(depth).map(|caller| caller.ret).filter(|&ret| ret != CALLBACK)
    }

    /// The end of the frame at `depth`.
    pub(crate) fn frame_end(&self, depth: usize) -> u64 {
        let off = depth * FRAME_STRIDE + super::FRAME_SIZE;
        self.local.stack.addr().wrapping_add(off as u64)
    }

    /// The word of stack at an address.
    pub(crate) fn stack_word(&self, addr: u64) -> Option<u64> {
        let off = self.local.stack_offset(addr, 8)?;
        self.local.stack.load(off, Width::DW)
    }

    /// The address of the context.
    pub(crate) fn context(&self) -> u64 {
        self.local.context.addr()
    }

    /// What an argument holds.
    pub(crate) fn argument(&self, index: usize) -> Option<u64> {
        self.local.context.load(index * 8, Width::DW)
    }

    /// The memory a run without a context was lent.
    pub(crate) fn memory(&self) -> Option<Window<'r>> {
        self.tables.args.first().copied()
    }

    /// Whether bytes may be used so.
    pub(crate) fn may(&self, addr: u64, len: usize, access: Access) -> bool {
        resolve(self.local, self.tables, addr, len, access, &mut 0).is_ok()
    }

    /// Whether a number is the handle of the program's map of an index, or of any map.
    pub(crate) fn is_map(&self, value: u64, own: Option<u32>) -> bool {
        match own {
            Some(index) => {
                let map = self.program.maps.get(index as usize);
                map.is_some_and(|map| handle::of_map(map) == value)
            }
            None => self.tables.map(value).is_some(),
        }
    }

    /// Whether a number is the handle of the function at a slot.
    pub(crate) fn is_function(&self, value: u64, slot: u32) -> bool {
        handle::of_function(slot) == value
    }

    /// Where the values of the program's map of an index start, or those of any map.
    pub(crate) fn values(&self, own: Option<u32>) -> Vec<u64> {
        let mut starts = Vec::new();
        let one = |index: u32| self.program.maps.get(index as usize).and_then(|map| map.values(self.slot));
        let all = match own {
            Some(index) => one(index).into_iter().collect(),
            None => self.tables.values.clone(),
        };
        for values in all {
            let count = (values.window.len() / values.stride).max(1);
            starts.extend((0..count).map(|n| values.window.addr() + (n * values.stride) as u64));
        }
        starts
    }

    /// Whether some memory handed out by calls starts where `fits` says.
    pub(crate) fn is_handed_out(&self, len: usize, fits: impl Fn(u64) -> bool) -> bool {
        self.tables.slices.iter().any(|slice| slice.len() >= len && fits(slice.addr()))
    }

    /// Whether a record that is reserved is so long and starts where `fits` says.
    pub(crate) fn is_record(&self, len: usize, fits: impl Fn(u64) -> bool) -> bool {
        let mut records = self.tables.records.iter().map(|record| record.window());
        records.any(|record| record.len() >= len && fits(record.addr()))
    }

    /// Whether a key that is lent to a callback starts where `fits` says.
    pub(crate) fn is_key(&self, fits: impl Fn(u64) -> bool) -> bool {
        self.tables.keys.iter().any(|key| fits(key.addr()))
    }

    /// Whether there is a dynptr at an address.
    pub(crate) fn is_dynptr(&self, addr: u64) -> bool {
        let place = self.local.stack_offset(addr, 16).and_then(|off| self.local.stack.sub(off, 16));
        place.is_some_and(|place| self.tables.dynptrs.get(place).is_some())
    }

    /// Whether a spin lock is held.
    pub(crate) fn is_locked(&self) -> bool {
        self.tables.lock.is_some()
    }
}
