//! Calls of helpers and kfuncs: their arguments are checked here, before the callable runs, against
//! what it declares.

use std::fmt;
use std::sync::Arc;

use super::dynptr::{DYNPTR_BYTES, Dynptr};
use super::memory::{Local, Miss, Tables, handle, resolve};
use super::{ArgFault, FaultKind};
use crate::contract::{ArgKind, Callable, RetKind};
use crate::host::{Buffer, Host};
use crate::maps::{Held, Map, MapKind, Reservation, Target};
use crate::mem::{Access, Width, Window};

/// Most arguments of a call: R1 to R5.
pub(super) const MAX_ARGS: usize = 5;

/// Bytes of an iterator on the stack.
const ITERATOR_BYTES: usize = 8;

/// Longest string an argument can be, in bytes.
const MAX_STR: usize = 1 << 16;

/// A helper or kfunc call in progress.
///
/// Arguments are numbered from 0 for R1. What an accessor gives was checked before the callable ran;
/// one that does not fit the callable's declaration gives [`FaultKind::Declaration`].
pub struct Call<'c, 'r> {
    callable: &'static Callable,
    regs: [u64; MAX_ARGS],
    checked: [Checked<'c, 'r>; MAX_ARGS],
    view: View<'c, 'r>,
}

/// What runs the program, as the calls of a run see it.
///
/// After a callable returned, the engine looks whether [`Tables::take_next`] has a program to go on with.
pub(super) trait Engine<'r> {
    /// What was lent to the run and what it made.
    fn tables(&mut self) -> &mut Tables<'r>;

    /// What the embedder lends the run.
    fn host(&mut self) -> &mut (dyn Host<'r> + '_);

    /// Takes from the budget. The run ends at its next instruction if that was too much.
    fn charge(&mut self, work: u64);

    /// Whether there is budget left.
    fn goes_on(&self) -> bool;

    /// Calls a function of the program that made the call, by its handle, in a frame of its own.
    ///
    /// # Errors
    ///
    /// Why the run is to be stopped, which the callable must return.
    fn call(&mut self, function: u64, args: [u64; MAX_ARGS]) -> Result<u64, FaultKind>;
}

/// What a call sees of its run.
pub(super) struct View<'c, 'r> {
    pub(super) engine: &'c mut dyn Engine<'r>,
    pub(super) local: Local<'c>,
    pub(super) slot: usize,
}

/// An argument, as its kind needs it.
#[derive(Clone, Copy)]
enum Checked<'c, 'r> {
    /// Nothing but a number, or not declared.
    Scalar,
    Map(&'r Arc<Map>),
    Mem(Option<Window<'c>>),
    Str(Window<'c>),
    /// The 16 bytes of a dynptr to be made.
    Place(Window<'c>),
    Dynptr(Window<'c>, Option<Dynptr<'r>>),
    Buffer(u32),
    /// The address of a record.
    Record,
    /// The handle of a function.
    Function,
    /// A lock word.
    Lock(Window<'r>),
}

impl<'c, 'r> Call<'c, 'r> {
    /// Checks the arguments and calls. It is not made and then moved: that would take longer than most
    /// callables do.
    pub(super) fn run(
        callable: &'static Callable,
        regs: [u64; MAX_ARGS],
        view: View<'c, 'r>,
    ) -> Result<u64, FaultKind> {
        let mut call = Call { callable, regs, checked: [Checked::Scalar; MAX_ARGS], view };
        let mut map = None;
        for (i, kind) in callable.args.iter().take(MAX_ARGS).enumerate() {
            let size = regs.get(i + 1).copied().unwrap_or(0);
            call.checked[i] = call.view.check(*kind, regs[i], size, map).map_err(|reason| {
                FaultKind::BadArgument { callable: callable.name, arg: i as u8 + 1, reason }
            })?;
            if let Checked::Map(found) = call.checked[i] {
                map = Some(found);
            }
        }
        let value = (callable.run)(&mut call)?;
        Ok(if callable.ret == RetKind::Word { value & u64::from(u32::MAX) } else { value })
    }

    /// A number.
    pub fn scalar(&self, i: usize) -> u64 {
        self.regs.get(i).copied().unwrap_or(0)
    }

    /// A map.
    pub fn map(&self, i: usize) -> Result<&'r Arc<Map>, FaultKind> {
        match self.checked.get(i) {
            Some(Checked::Map(map)) => Ok(map),
            _ => Err(self.undeclared(i)),
        }
    }

    /// The memory of a key, value, [`ArgKind::Mem`] or [`ArgKind::Fixed`], with just the length
    /// declared; `None` for a null pointer where that is allowed.
    ///
    /// It may be on the stack, so it is lent only for the call; see [`Call::lent`].
    pub fn mem(&self, i: usize) -> Option<Window<'c>> {
        match self.checked.get(i) {
            Some(Checked::Mem(window)) => *window,
            _ => None,
        }
    }

    /// The memory of an argument that must not be null.
    pub fn required(&self, i: usize) -> Result<Window<'c>, FaultKind> {
        self.mem(i).ok_or_else(|| self.fault(i, ArgFault::Null))
    }

    /// The memory of an argument for as long as the run: not the stack, not the context, and not a
    /// record, whose place in the ring is used again after it was submitted.
    pub fn lent(&mut self, i: usize) -> Result<Window<'r>, FaultKind> {
        let window = self.required(i)?;
        if window.is_empty() {
            return Ok(Window::from_cells(&[]));
        }
        let mut work = 0;
        let found = self.view.tables().lasting(window.addr(), window.len(), window.access(), &mut work);
        self.view.engine.charge(work);
        found
            .ok()
            .and_then(|object| object.sub((window.addr() - object.addr()) as usize, window.len()))
            .ok_or_else(|| self.fault(i, ArgFault::Passing))
    }

    /// The bytes of a string, without its NUL.
    pub fn str(&self, i: usize) -> Result<Window<'c>, FaultKind> {
        match self.checked.get(i) {
            Some(Checked::Str(window)) => Ok(*window),
            _ => Err(self.undeclared(i)),
        }
    }

    /// A dynptr; `None` for the invalid one that a failed request left.
    pub fn dynptr(&self, i: usize) -> Option<Dynptr<'r>> {
        match self.checked.get(i) {
            Some(Checked::Dynptr(_, dynptr)) => *dynptr,
            _ => None,
        }
    }

    /// Makes or replaces the dynptr of an [`ArgKind::DynptrUninit`] or [`ArgKind::Dynptr`]. `None`
    /// makes it invalid.
    pub fn set_dynptr(&mut self, i: usize, dynptr: Option<Dynptr<'r>>) -> Result<(), FaultKind> {
        match self.checked.get(i) {
            Some(Checked::Place(place) | Checked::Dynptr(place, _)) => {
                self.view.tables().dynptrs.set(*place, dynptr);
                Ok(())
            }
            _ => Err(self.undeclared(i)),
        }
    }

    /// An opaque buffer.
    pub fn buffer(&mut self, i: usize) -> Result<&mut dyn Buffer<'r>, FaultKind> {
        let Some(Checked::Buffer(number)) = self.checked.get(i).copied() else {
            return Err(self.undeclared(i));
        };
        let fault = self.fault(i, ArgFault::NotBuffer);
        self.view.engine.host().buffer(number).ok_or(fault)
    }

    /// Lets the program keep a ring-buffer record. Returns its address.
    pub fn keep_record(&mut self, record: Reservation<'r>) -> u64 {
        let addr = record.window().addr();
        self.view.tables().records.push(record);
        addr
    }

    /// Lets the program keep a ring-buffer record behind the dynptr of an [`ArgKind::DynptrUninit`].
    pub fn keep_record_dynptr(&mut self, i: usize, record: Reservation<'r>) -> Result<(), FaultKind> {
        let dynptr = Dynptr::of_record(&record);
        self.set_dynptr(i, dynptr)?;
        if dynptr.is_some() {
            self.view.tables().records.push(record);
        }
        Ok(())
    }

    /// Takes a ring-buffer record from the program.
    pub fn take_record(&mut self, i: usize) -> Result<Reservation<'r>, FaultKind> {
        match self.checked.get(i) {
            Some(Checked::Record) => {}
            _ => return Err(self.undeclared(i)),
        }
        let addr = self.scalar(i);
        self.view.tables().take_record(addr).ok_or_else(|| self.fault(i, ArgFault::NotRecord))
    }

    /// Takes the ring-buffer record of an [`ArgKind::DynptrRecord`] from the program, and all dynptrs of
    /// it. `None` for the dynptr a failed reservation left, which is gone as well.
    pub fn take_record_dynptr(&mut self, i: usize) -> Result<Option<Reservation<'r>>, FaultKind> {
        let Some(Checked::Dynptr(place, dynptr)) = self.checked.get(i).copied() else {
            return Err(self.undeclared(i));
        };
        let tables = self.view.tables();
        tables.dynptrs.remove(place);
        let Some(addr) = dynptr.and_then(|dynptr| dynptr.record()) else {
            return Ok(None);
        };
        tables.dynptrs.remove_record(addr);
        let record = tables.take_record(addr);
        record.map(Some).ok_or_else(|| self.fault(i, ArgFault::NotRecordDynptr))
    }

    /// Gives the program access to memory until the run ends. Returns its address, never 0.
    pub fn give(&mut self, window: Window<'r>) -> Result<u64, FaultKind> {
        self.view.tables().give(window)
    }

    /// Gives the program access to a part of a dynptr, for as long as the dynptr's memory lasts. Returns
    /// its address, never 0.
    pub fn give_part(&mut self, dynptr: &Dynptr<'r>, part: Window<'r>) -> Result<u64, FaultKind> {
        // A record can be reached while it is reserved, and no longer.
        if dynptr.record().is_some() { Ok(part.addr()) } else { self.give(part) }
    }

    /// Gives the program a map that was found in another one. Returns its handle.
    ///
    /// # Errors
    ///
    /// [`FaultKind::TooManyMaps`].
    pub fn give_map(&mut self, map: Arc<Map>) -> Result<u64, FaultKind> {
        let slot = self.view.slot;
        self.view.tables().found_map(map, slot)
    }

    /// Calls the program's function that is an [`ArgKind::Function`]. Its result.
    ///
    /// # Errors
    ///
    /// Why the run is to be stopped: the callable must return it.
    pub fn callback(&mut self, i: usize, args: [u64; MAX_ARGS]) -> Result<u64, FaultKind> {
        match self.checked.get(i) {
            Some(Checked::Function) => self.view.engine.call(self.regs[i], args),
            _ => Err(self.undeclared(i)),
        }
    }

    /// Lends the program, for loads, room for a key of `len` bytes until [`Call::return_key`]. What is
    /// returned can be written.
    ///
    /// # Errors
    ///
    /// [`FaultKind::TooDeep`] when as many are lent as there are frames.
    pub fn lend_key(&mut self, len: usize) -> Result<Window<'r>, FaultKind> {
        self.view.tables().lend_key(len)
    }

    /// Takes back the room lent last.
    pub fn return_key(&mut self) {
        self.view.tables().return_key();
    }

    /// Whether the run has budget left. A callable that works on and on stops when it has not.
    pub fn goes_on(&mut self) -> bool {
        self.view.engine.goes_on()
    }

    /// Asks that the run goes on with another program in place of the one that made the call. Whether it
    /// does: not after too many times, and only if the callable declares an [`ArgKind::Context`].
    pub(crate) fn tail_call(&mut self, target: Arc<Target>) -> bool {
        self.callable.args.contains(&ArgKind::Context) && self.view.tables().set_next(target)
    }

    /// Takes the spin lock that is an [`ArgKind::Lock`], waiting for it.
    ///
    /// # Errors
    ///
    /// [`FaultKind::SecondLock`] when the run holds one.
    pub fn lock(&mut self, i: usize) -> Result<(), FaultKind> {
        let Some(&Checked::Lock(word)) = self.checked.get(i) else {
            return Err(self.undeclared(i));
        };
        if self.view.tables().lock.is_some() {
            return Err(FaultKind::SecondLock);
        }
        let held = Held::take(word).ok_or_else(|| self.fault(i, ArgFault::ReadOnly))?;
        self.view.tables().lock = Some(held);
        Ok(())
    }

    /// Gives back the spin lock that is an [`ArgKind::Lock`].
    ///
    /// # Errors
    ///
    /// A fault when it is not the one that is held.
    pub fn unlock(&mut self, i: usize) -> Result<(), FaultKind> {
        let Some(&Checked::Lock(word)) = self.checked.get(i) else {
            return Err(self.undeclared(i));
        };
        match &self.view.tables().lock {
            Some(held) if held.addr() == word.addr() => {
                self.view.tables().lock = None;
                Ok(())
            }
            _ => Err(self.fault(i, ArgFault::NotHeld)),
        }
    }

    /// The 8 bytes of an iterator.
    pub fn iterator(&self, i: usize) -> Result<Window<'c>, FaultKind> {
        match self.checked.get(i) {
            Some(Checked::Place(place)) => Ok(*place),
            _ => Err(self.undeclared(i)),
        }
    }

    /// Takes from the budget of the run, for work that grows with what the program asked for. One is
    /// about the time of an instruction.
    pub fn charge(&mut self, work: u64) {
        self.view.engine.charge(work);
    }

    /// Whether some of `len` bytes at an address lie in memory of the run that holds addresses: the stack or the
    /// context.
    pub fn holds_addresses(&self, addr: u64, len: usize) -> bool {
        let end = addr.saturating_add(len as u64);
        let meets = |window: Window<'_>| {
            addr < window.addr().saturating_add(window.len() as u64) && end > window.addr()
        };
        meets(self.view.local.stack) || meets(self.view.local.context)
    }

    /// Whether an address lies in the program's context, which holds addresses.
    pub fn is_context(&self, addr: u64) -> bool {
        super::memory::covers(&self.view.local.context, addr, 1)
    }

    /// `len` bytes at an address the program made up, if it may access them.
    pub fn probe(&mut self, addr: u64, len: usize, access: Access) -> Option<Window<'c>> {
        self.view.mem(addr, len as u64, access).ok()
    }

    /// The object of the program's memory an address lies in, from that address on.
    pub fn probe_rest(&mut self, addr: u64) -> Option<Window<'c>> {
        self.view.rest(addr)
    }

    /// What the embedder lends the run.
    pub fn host(&mut self) -> &mut dyn Host<'r> {
        self.view.engine.host()
    }

    /// The thread's number; see [`super::Worker::new`].
    pub fn slot(&self) -> usize {
        self.view.slot
    }

    /// A random number, not fit for secrets.
    pub fn random(&mut self) -> u64 {
        // A counter through a mixing function (splitmix64, public domain).
        let random = &mut self.view.tables().random;
        let state = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        *random = state;
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The fault that blames an argument.
    pub fn fault(&self, i: usize, reason: ArgFault) -> FaultKind {
        FaultKind::BadArgument { callable: self.callable.name, arg: i as u8 + 1, reason }
    }

    fn undeclared(&self, i: usize) -> FaultKind {
        FaultKind::Declaration { callable: self.callable.name, arg: i as u8 + 1 }
    }
}

impl<'c, 'r> View<'c, 'r> {
    fn tables(&mut self) -> &mut Tables<'r> {
        self.engine.tables()
    }

    fn check(
        &mut self,
        kind: ArgKind,
        value: u64,
        next: u64,
        map: Option<&'r Arc<Map>>,
    ) -> Result<Checked<'c, 'r>, ArgFault> {
        let sized = |size: fn(&Map) -> u32| map.map(|map| size(map).into()).ok_or(ArgFault::WrongMap);
        Ok(match kind {
            ArgKind::Scalar
            | ArgKind::Any
            | ArgKind::Printed
            | ArgKind::Const
            | ArgKind::Size
            | ArgKind::ConstSize
            | ArgKind::Ignored => Checked::Scalar,
            ArgKind::Map(kinds) => {
                let map = self.tables().map(value).ok_or(ArgFault::NotMap)?;
                if !kinds.contains(&map.spec().kind) {
                    return Err(ArgFault::WrongMap);
                }
                Checked::Map(map)
            }
            ArgKind::Key => {
                let size = sized(|map| map.spec().key_size)?;
                Checked::Mem(Some(self.mem(value, size, Access::Read)?))
            }
            ArgKind::Value => {
                let size = sized(|map| map.spec().value_size)?;
                Checked::Mem(Some(self.mem(value, size, Access::Read)?))
            }
            ArgKind::ValueOrNull if value == 0 => Checked::Mem(None),
            ArgKind::ValueOrNull => {
                let size = sized(|map| map.spec().value_size)?;
                Checked::Mem(Some(self.mem(value, size, Access::Read)?))
            }
            ArgKind::ValueOut => {
                let size = sized(|map| map.spec().value_size)?;
                // A Bloom filter is asked whether it has the value.
                let bloom = map.is_some_and(|map| map.spec().kind == MapKind::Bloom);
                let access = if bloom { Access::Read } else { Access::ReadWrite };
                Checked::Mem(Some(self.mem(value, size, access)?))
            }
            ArgKind::Mem { nullable: true, .. } if value == 0 => Checked::Mem(None),
            ArgKind::Words if value == 0 => Checked::Mem(None),
            ArgKind::Format | ArgKind::Words => Checked::Mem(Some(self.mem(value, next, Access::Read)?)),
            ArgKind::Mem { access, .. } => Checked::Mem(Some(self.mem(value, next, access)?)),
            ArgKind::Fixed { len, access } => Checked::Mem(Some(self.mem(value, len as u64, access)?)),
            ArgKind::Str => {
                let rest = self.rest(value).ok_or(ArgFault::NotString)?;
                Checked::Str(until_nul(rest).ok_or(ArgFault::NotString)?)
            }
            ArgKind::DynptrUninit(_) => {
                Checked::Place(self.place(value, DYNPTR_BYTES).ok_or(ArgFault::NotStack)?)
            }
            ArgKind::Dynptr | ArgKind::DynptrRecord => {
                let place = self.place(value, DYNPTR_BYTES).ok_or(ArgFault::NotDynptr)?;
                let dynptr = self.tables().dynptrs.get(place).ok_or(ArgFault::NotDynptr)?;
                let wrong = dynptr.is_some_and(|dynptr| dynptr.record().is_none());
                if kind == ArgKind::DynptrRecord && wrong {
                    return Err(ArgFault::NotRecordDynptr);
                }
                Checked::Dynptr(place, dynptr)
            }
            ArgKind::Buffer { .. } => {
                let number = handle::number(handle::BUFFER, value).ok_or(ArgFault::NotBuffer)?;
                if !self.tables().has_buffer(number) {
                    return Err(ArgFault::NotBuffer);
                }
                Checked::Buffer(number)
            }
            ArgKind::Record => {
                let tables = self.tables();
                let record = tables.record_at(value).filter(|_| !tables.dynptrs.has_record(value));
                record.ok_or(ArgFault::NotRecord)?;
                Checked::Record
            }
            ArgKind::Function(_) => {
                handle::number(handle::FUNCTION, value).ok_or(ArgFault::NotFunction)?;
                Checked::Function
            }
            ArgKind::CallbackContext => {
                if value != 0 && self.local.stack_offset(value, 1).is_none() {
                    return Err(ArgFault::NotStackOrNull);
                }
                Checked::Scalar
            }
            ArgKind::IterUninit | ArgKind::Iter | ArgKind::IterDestroy => {
                Checked::Place(self.place(value, ITERATOR_BYTES).ok_or(ArgFault::NotIterator)?)
            }
            ArgKind::Lock { .. } => Checked::Lock(self.tables().lock_at(value).ok_or(ArgFault::NotLock)?),
            ArgKind::Context => {
                if value != self.local.context.addr() {
                    return Err(ArgFault::NotContext);
                }
                Checked::Scalar
            }
        })
    }

    /// `size` bytes of the program's memory.
    fn mem(&mut self, addr: u64, size: u64, access: Access) -> Result<Window<'c>, ArgFault> {
        if addr == 0 {
            return Err(ArgFault::Null);
        }
        if size == 0 {
            return Ok(Window::from_words(&[]));
        }
        let outside = ArgFault::OutOfBounds { addr, size };
        let len = usize::try_from(size).map_err(|_| outside)?;
        let mut work = size / 64;
        let found = resolve(self.local, self.tables(), addr, len, access, &mut work);
        self.engine.charge(work);
        match found {
            Ok((object, off)) => object.sub(off, len).ok_or(outside),
            Err(Miss::ReadOnly) => Err(ArgFault::ReadOnly),
            Err(Miss::Outside) => Err(outside),
        }
    }

    /// The rest of an object from an address on; never empty.
    fn rest(&mut self, addr: u64) -> Option<Window<'c>> {
        let mut work = 0;
        let found = resolve(self.local, self.tables(), addr, 1, Access::Read, &mut work);
        self.engine.charge(work);
        let (object, off) = found.ok()?;
        object.sub(off, object.len() - off)
    }

    /// Bytes of the stack for a dynptr or an iterator.
    fn place(&self, addr: u64, len: usize) -> Option<Window<'c>> {
        let off = self.local.stack_offset(addr, len).filter(|_| addr.is_multiple_of(8))?;
        self.local.stack.sub(off, len)
    }
}

/// The part of a window before its first NUL; `None` if there is none soon enough.
fn until_nul(window: Window<'_>) -> Option<Window<'_>> {
    let len = (0..window.len().min(MAX_STR)).find(|&i| window.load(i, Width::B) == Some(0))?;
    window.sub(0, len)
}

impl fmt::Debug for Call<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("callable", self.callable)
            .field("regs", &self.regs)
            .finish_non_exhaustive()
    }
}
