//! Where Rust calls compiled code, and compiled code calls Rust.
//!
//! # Why it is sound
//!
//! Compiled code is made of a [`Verified`](crate::verify::Verified) program only: it was proved to access
//! nothing but its stack, its context and arguments, values of its maps and what calls gave it, and to
//! call what it calls with arguments of the kinds declared. [`Compiled`] keeps the program, with its maps,
//! and the code. It is entered with the arguments it was proved for, which are checked, be it by Rust or in
//! place of a function of another program (a tail call); nobody else changes its frames, or those of functions
//! that wait, meanwhile.
//!
//! A run of compiled code is one [`Run`], borrowed for as long as the code runs. The code has a pointer to
//! it, which it passes to the functions here; while one of them runs, the code does not. Of the run's fields it
//! writes none; what it writes are cells of the worker, [`Notes`](crate::interp::compiled::Notes), which the run
//! borrows shared.
#![allow(unsafe_code, reason = "calls between compiled code and Rust; see the module header")]

use super::{Compiled, CompiledFunction};
use crate::contract::Callable;
use crate::helpers;
use crate::interp::compiled::{Ended, Run};
use crate::maps::Map;
use crate::mem::Window;

/// A function of compiled code that Rust calls: the run, the end of its frame, what is left of the budget,
/// R1 and R2.
type Entry = unsafe extern "C" fn(*mut Run<'_, '_>, u64, i64, u64, u64) -> Ended;

/// The same of a callback, with R1 to R5: it takes no notice of those it does not have.
type Callback = unsafe extern "C" fn(*mut Run<'_, '_>, u64, i64, u64, u64, u64, u64, u64) -> Ended;

impl Compiled {
    /// The function that starts at a slot, if Rust may enter it.
    pub(crate) fn callback(&self, slot: usize) -> Option<&CompiledFunction> {
        let index = self.functions.binary_search_by_key(&slot, |function| function.slot).ok()?;
        self.functions.get(index).filter(|function| function.entry.is_some())
    }

    /// Runs a function of the program that [`Compiled::callback`] gave.
    pub(crate) fn call_back(
        &self,
        run: &mut Run<'_, '_>,
        function: &CompiledFunction,
        frame: u64,
        fuel: i64,
        [r1, r2, r3, r4, r5]: [u64; 5],
    ) -> Ended {
        let Some(entry) = function.entry else { return Ended { value: 0, fuel: -1 } };
        let entry = self.code.start() + entry;
        // SAFETY: at this address is the code of a function of this signature, but for arguments at the end
        // that it may not have, by how it was compiled. The address is not null.
        let entry = unsafe { std::mem::transmute::<usize, Callback>(entry) };
        // SAFETY: see the module header. The code that called for this waits until this returns. It was
        // proved for all arguments that the helpers with callbacks give.
        unsafe { entry(run, frame, fuel, r1, r2, r3, r4, r5) }
    }

    /// Runs the program's first function.
    #[inline]
    pub(crate) fn enter(&self, run: &mut Run<'_, '_>, frame: u64, fuel: i64, r1: u64, r2: u64) -> Ended {
        let entry = self.code.start() + self.entry;
        // SAFETY: at this address is the code of a function of this signature, by how it was compiled. The
        // address is not null.
        let entry = unsafe { std::mem::transmute::<usize, Entry>(entry) };
        // SAFETY: see the module header. The code stays while `self` is borrowed.
        unsafe { entry(run, frame, fuel, r1, r2) }
    }
}

/// Calls a helper or kfunc.
extern "C" fn call_out<'w, 'r: 'w>(
    run: *mut Run<'w, 'r>,
    callable: *const Callable,
    r1: u64,
    r2: u64,
    r3: u64,
    r4: u64,
    r5: u64,
) -> Ended {
    // SAFETY: compiled code passes on the pointer it got, and is not using it now.
    let run = unsafe { &mut *run };
    // SAFETY: compiled code has the address of a static table's entry.
    let callable: &'static Callable = unsafe { &*callable };
    run.call_out(callable, [r1, r2, r3, r4, r5])
}

/// Address of the value a thread has in a map with keys of 4 bytes, or 0.
extern "C" fn lookup_4(map: *const Map, key: u32, slot: u64) -> u64 {
    // SAFETY: compiled code has the address of a map of its program.
    let map = unsafe { &*map };
    map.address(&key.to_ne_bytes(), slot as usize)
}

/// As [`lookup_4`], with keys of 8 bytes.
extern "C" fn lookup_8(map: *const Map, key: u64, slot: u64) -> u64 {
    // SAFETY: as in `lookup_4`.
    let map = unsafe { &*map };
    map.address(&key.to_ne_bytes(), slot as usize)
}

/// As [`lookup_4`], with the address of a key.
extern "C" fn lookup(map: *const Map, key: u64, slot: u64) -> u64 {
    // SAFETY: as in `lookup_4`.
    let map = unsafe { &*map };
    // SAFETY: the program was proved to pass the address of as many bytes that can be read, as this
    // helper declares.
    let key = unsafe { Window::from_addr(key, map.spec().key_size as usize) };
    helpers::with_key(key, |key| map.address(key, slot as usize))
}

/// Addresses of the functions above, for compiled code.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shim {
    /// [`call_out`].
    CallOut,
    /// [`lookup_4`].
    Lookup4,
    /// [`lookup_8`].
    Lookup8,
    /// [`lookup`].
    Lookup,
}

impl Shim {
    pub(super) fn addr(self) -> i64 {
        match self {
            Shim::CallOut => call_out as *const () as i64,
            Shim::Lookup4 => lookup_4 as *const () as i64,
            Shim::Lookup8 => lookup_8 as *const () as i64,
            Shim::Lookup => lookup as *const () as i64,
        }
    }
}
