//! The instruction loop.

use std::sync::atomic::Ordering;

use super::alu::{self, Order};
use super::call::{Call, Engine, MAX_ARGS, View};
use super::memory::{Local, Miss, Tables, covers, handle, refuse, resolve};
use super::watch::{Moment, Watch};
use super::{CLOBBERED, FRAME_SIZE, Fault, FaultKind, MAX_FRAMES, Outcome};
use crate::contract::{ArgKind, Callable};
use crate::helpers;
use crate::host::Host;
use crate::insn::{Insn, op, pseudo};
use crate::mem::{Access, Width, Window};
use crate::program::Program;

/// Registers a program has.
pub(super) const REGS: usize = 11;
/// The frame pointer.
const FP: usize = 10;
/// `may_goto` jumps once only this part of the budget is left, so that the program can still finish.
const RESERVE: u64 = 8;

/// A fault on its way out: boxed, so that results of single steps fit in registers.
type Stop = Box<FaultKind>;

/// What a local call keeps for the caller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'r> {
    /// The caller's program: what it called may have gone on to another one.
    program: &'r Program,
    /// Where the caller goes on; [`CALLBACK`] if it is a callable that called a function.
    pub(super) ret: usize,
    /// R6 to R9 of the caller.
    pub(super) saved: [u64; 4],
}

/// In place of a slot to go on at.
pub(super) const CALLBACK: usize = usize::MAX;

/// Does the same for each width with the width as a constant, so that a load is one load.
macro_rules! by_width {
    ($insn:ident, $width:ident => $does:expr) => {
        match $insn.width() {
            Width::B => by_width!(@ $width, Width::B, $does),
            Width::H => by_width!(@ $width, Width::H, $does),
            Width::W => by_width!(@ $width, Width::W, $does),
            Width::DW => by_width!(@ $width, Width::DW, $does),
        }
    };
    (@ $width:ident, $value:expr, $does:expr) => {{
        let $width = $value;
        $does
    }};
}

/// One run of one program.
pub(super) struct Machine<'w, 'r, W> {
    program: &'r Program,
    regs: [u64; REGS],
    /// The instruction in progress.
    at: usize,
    /// The next one.
    pc: usize,
    frames: [Frame<'r>; MAX_FRAMES - 1],
    depth: usize,
    local: Local<'w>,
    /// The last two objects accessed that are not the stack, newest first; emptied by calls.
    recent: [Window<'w>; 2],
    tables: &'w mut Tables<'r>,
    host: &'w mut dyn Host<'r>,
    slot: usize,
    budget: u64,
    left: u64,
    /// Whether the loop goes on with a program that may be another one.
    switched: bool,
    /// Who is shown each instruction.
    watch: W,
}

impl<'w, 'r: 'w, W: Watch> Machine<'w, 'r, W> {
    /// `share`: the thread's number, and the budget.
    pub(super) fn new(
        program: &'r Program,
        local: Local<'w>,
        tables: &'w mut Tables<'r>,
        host: &'w mut dyn Host<'r>,
        share: (usize, u64),
        watch: W,
    ) -> Self {
        let (slot, budget) = share;
        Machine {
            program,
            regs: [0; REGS],
            at: 0,
            pc: 0,
            frames: [Frame { program, ret: 0, saved: [0; 4] }; MAX_FRAMES - 1],
            depth: 0,
            local,
            recent: [nowhere(); 2],
            tables,
            host,
            slot,
            budget,
            left: budget,
            switched: false,
            watch,
        }
    }

    /// Runs to the end with `args` in R1 and R2.
    pub(super) fn run(&mut self, args: [u64; 2]) -> Outcome {
        self.regs[1..3].copy_from_slice(&args);
        let result = self.enter().and_then(|()| self.steps());
        let result = result.map(|()| self.regs[0]).map_err(|kind| Fault::at(self.program, self.at, *kind));
        Outcome { result, insns: self.budget - self.left }
    }

    /// As [`Machine::run`], in place of a function of compiled code whose frame is the one at `depth`, with
    /// `left` of the budget.
    #[cfg(feature = "jit")]
    pub(super) fn run_at(&mut self, depth: usize, left: u64, context: u64) -> Outcome {
        if let Some(caller) = depth.checked_sub(1).and_then(|caller| self.frames.get_mut(caller)) {
            caller.ret = CALLBACK;
        }
        (self.depth, self.left) = (depth, left);
        self.run([context, 0])
    }

    /// Runs until the function the loop was started for returns.
    fn steps(&mut self) -> Result<(), Stop> {
        loop {
            self.steps_of_program()?;
            if !std::mem::take(&mut self.switched) {
                return Ok(());
            }
        }
    }

    /// Runs until that function returns, or another program goes on: `switched` tells.
    fn steps_of_program(&mut self) -> Result<(), Stop> {
        let insns = self.program.insns.as_slice();
        loop {
            let Some(&insn) = insns.get(self.pc) else {
                return Err(self.no_insn(self.pc as i64));
            };
            if self.left == 0 {
                return Err(FaultKind::Budget { budget: self.budget }.into());
            }
            self.left -= 1;
            self.watch.before(|| Moment {
                program: self.program,
                pc: self.pc,
                regs: &self.regs,
                callers: &self.frames[..self.depth],
                local: self.local,
                tables: self.tables,
                slot: self.slot,
            });
            self.at = self.pc;
            self.pc += 1;
            let (dst, src) = (insn.dst as usize, insn.src as usize);
            if dst >= REGS || src >= REGS {
                return Err(bad(insn));
            }
            match insn.class() {
                op::ALU64 => {
                    let value = self.alu64(insn)?;
                    self.set(dst, value)?;
                }
                op::ALU => {
                    let value = self.alu32(insn)?;
                    self.set(dst, value)?;
                }
                op::LDX if insn.code & 0xe0 == op::MEM => {
                    require(insn, insn.imm == 0)?;
                    let value = by_width!(insn, width => self.load(insn, width))?;
                    self.set(dst, value)?;
                }
                op::LDX => {
                    let value = self.load_signed(insn)?;
                    self.set(dst, value)?;
                }
                op::STX if insn.code & 0xe0 == op::MEM => {
                    require(insn, insn.imm == 0)?;
                    by_width!(insn, width => self.store(insn, width, self.regs[src]))?;
                }
                op::STX => {
                    require(insn, insn.code & 0xe0 == op::ATOMIC)?;
                    self.atomic(insn)?;
                }
                op::ST => {
                    require(insn, insn.code & 0xe0 == op::MEM && src == 0)?;
                    by_width!(insn, width => self.store(insn, width, insn.imm as u64))?;
                }
                op::JMP => {
                    if self.jump(insn)? {
                        return Ok(());
                    }
                }
                op::JMP32 => self.jump32(insn)?,
                _ => {
                    require(insn, insn.is_wide())?;
                    let value = self.wide(insn)?;
                    self.set(dst, value)?;
                }
            }
        }
    }

    #[inline(always)]
    fn set(&mut self, dst: usize, value: u64) -> Result<(), Stop> {
        if dst == FP {
            return Err(FaultKind::FramePointer.into());
        }
        self.regs[dst] = value;
        Ok(())
    }

    /// The right operand of an ALU or jump instruction, sign-extended if immediate.
    #[inline(always)]
    fn operand(&self, insn: Insn) -> Result<u64, Stop> {
        if insn.code & op::X != 0 {
            require(insn, insn.imm == 0)?;
            Ok(self.regs[insn.src as usize])
        } else {
            require(insn, insn.src == 0)?;
            Ok(insn.imm as u64)
        }
    }

    #[inline(always)]
    fn alu64(&self, insn: Insn) -> Result<u64, Stop> {
        let a = self.regs[insn.dst as usize];
        let b = self.operand(insn)?;
        if insn.off != 0 {
            return self.variant(insn, a, b);
        }
        alu::alu64(insn.code & 0xf0, a, b).map_or_else(|| unary(insn, a), Ok)
    }

    #[inline(always)]
    fn alu32(&self, insn: Insn) -> Result<u64, Stop> {
        let a = self.regs[insn.dst as usize];
        if insn.code & 0xf0 == op::END {
            return unary(insn, a);
        }
        let b = self.operand(insn)?;
        if insn.off != 0 {
            return self.variant(insn, a, b);
        }
        alu::alu32(insn.code & 0xf0, a as u32, b as u32).map_or_else(|| unary(insn, a), Ok)
    }

    /// The operations that `off` selects: signed division and modulo, sign-extending moves.
    #[inline(never)]
    fn variant(&self, insn: Insn, a: u64, b: u64) -> Result<u64, Stop> {
        let wide = insn.class() == op::ALU64;
        let result = match (insn.code & 0xf0, insn.off) {
            (op::DIV, 1) if wide => Some(alu::sdiv64(a, b)),
            (op::DIV, 1) => Some(alu::sdiv32(a as u32, b as u32)),
            (op::MOD, 1) if wide => Some(alu::smod64(a, b)),
            (op::MOD, 1) => Some(alu::smod32(a as u32, b as u32)),
            (op::MOV, bits @ (8 | 16 | 32)) if insn.code & op::X != 0 && (wide || bits != 32) => {
                let value = alu::sign_extend(b, bits as u32);
                value.map(|value| if wide { value } else { value as u32 as u64 })
            }
            _ => None,
        };
        result.ok_or_else(|| bad(insn))
    }

    /// The memory of an access.
    #[inline(always)]
    fn memory(&mut self, addr: u64, len: usize, access: Access) -> Result<(Window<'w>, usize), Stop> {
        if let Some(off) = self.local.stack_offset(addr, len) {
            return Ok((self.local.stack, off));
        }
        for &window in &self.recent {
            if covers(&window, addr, len) && window.allows(access) {
                return Ok((window, addr.wrapping_sub(window.addr()) as usize));
            }
        }
        self.search(addr, len, access)
    }

    #[inline(never)]
    fn search(&mut self, addr: u64, len: usize, access: Access) -> Result<(Window<'w>, usize), Stop> {
        let mut work = 0;
        let found = resolve(self.local, self.tables, addr, len, access, &mut work);
        self.left = self.left.saturating_sub(work);
        let (window, off) = found.map_err(|miss| refuse(addr, len, access, miss))?;
        self.recent = [window, self.recent[0]];
        Ok((window, off))
    }

    #[inline(always)]
    fn load(&mut self, insn: Insn, width: Width) -> Result<u64, Stop> {
        let addr = displaced(self.regs[insn.src as usize], insn);
        let (window, off) = self.memory(addr, width.bytes(), Access::Read)?;
        let refused = || refuse(addr, width.bytes(), Access::Read, Miss::Outside);
        Ok(window.load(off, width).ok_or_else(refused)?)
    }

    #[inline(never)]
    fn load_signed(&mut self, insn: Insn) -> Result<u64, Stop> {
        let width = insn.width();
        require(insn, insn.code & 0xe0 == op::MEMSX && width != Width::DW && insn.imm == 0)?;
        let value = self.load(insn, width)?;
        alu::sign_extend(value, width.bytes() as u32 * 8).ok_or_else(|| bad(insn))
    }

    #[inline(always)]
    fn store(&mut self, insn: Insn, width: Width, value: u64) -> Result<(), Stop> {
        let addr = displaced(self.regs[insn.dst as usize], insn);
        let (window, off) = self.memory(addr, width.bytes(), Access::ReadWrite)?;
        let refused = || refuse(addr, width.bytes(), Access::ReadWrite, Miss::Outside);
        Ok(window.store(off, width, value).ok_or_else(refused)?)
    }

    /// RFC 9669 section 5.3, and the acquire and release forms of Linux.
    #[inline(never)]
    fn atomic(&mut self, insn: Insn) -> Result<(), Stop> {
        let (dst, src) = (insn.dst as usize, insn.src as usize);
        let width = insn.width();
        let size = width.bytes();
        let (base, access) =
            if insn.imm == op::LOAD_ACQ { (src, Access::Read) } else { (dst, Access::ReadWrite) };
        let addr = displaced(self.regs[base], insn);
        let unaligned = || FaultKind::Unaligned { addr, size };
        match insn.imm {
            op::LOAD_ACQ => {
                let (window, off) = self.aligned(addr, size, access)?;
                let value = window.load_acquire(off, width).ok_or_else(unaligned)?;
                return self.set(dst, value);
            }
            op::STORE_REL => {
                let (window, off) = self.aligned(addr, size, access)?;
                return Ok(window.store_release(off, width, self.regs[src]).ok_or_else(unaligned)?);
            }
            _ => {}
        }
        let operation = (insn.imm & !op::FETCH) as u8;
        let known = match insn.imm {
            op::XCHG | op::CMPXCHG => true,
            imm => {
                imm & !(0xf0 | op::FETCH) == 0 && matches!(operation, op::ADD | op::OR | op::AND | op::XOR)
            }
        };
        require(insn, known && matches!(width, Width::W | Width::DW))?;
        let fetch = insn.imm & op::FETCH != 0;
        if fetch && insn.imm != op::CMPXCHG && src == FP {
            return Err(FaultKind::FramePointer.into());
        }
        let (window, off) = self.aligned(addr, size, access)?;
        let value = self.regs[src];
        let old = if width == Width::DW {
            let cell = window.atomic64(off).ok_or_else(unaligned)?;
            match insn.imm {
                op::XCHG => cell.swap(value, Ordering::SeqCst),
                op::CMPXCHG => cell
                    .compare_exchange(self.regs[0], value, Ordering::SeqCst, Ordering::SeqCst)
                    .unwrap_or_else(|old| old),
                _ => match operation {
                    op::ADD => cell.fetch_add(value, Ordering::SeqCst),
                    op::OR => cell.fetch_or(value, Ordering::SeqCst),
                    op::AND => cell.fetch_and(value, Ordering::SeqCst),
                    _ => cell.fetch_xor(value, Ordering::SeqCst),
                },
            }
        } else {
            let cell = window.atomic32(off).ok_or_else(unaligned)?;
            let value = value as u32;
            let old = match insn.imm {
                op::XCHG => cell.swap(value, Ordering::SeqCst),
                op::CMPXCHG => cell
                    .compare_exchange(self.regs[0] as u32, value, Ordering::SeqCst, Ordering::SeqCst)
                    .unwrap_or_else(|old| old),
                _ => match operation {
                    op::ADD => cell.fetch_add(value, Ordering::SeqCst),
                    op::OR => cell.fetch_or(value, Ordering::SeqCst),
                    op::AND => cell.fetch_and(value, Ordering::SeqCst),
                    _ => cell.fetch_xor(value, Ordering::SeqCst),
                },
            };
            old.into()
        };
        match insn.imm {
            op::CMPXCHG => self.regs[0] = old,
            _ if fetch => self.regs[src] = old,
            _ => {}
        }
        Ok(())
    }

    fn aligned(&mut self, addr: u64, size: usize, access: Access) -> Result<(Window<'w>, usize), Stop> {
        let found = self.memory(addr, size, access)?;
        if addr.is_multiple_of(size as u64) {
            Ok(found)
        } else {
            Err(FaultKind::Unaligned { addr, size }.into())
        }
    }

    /// Class `JMP`; whether the instructions of this program are over.
    #[inline(always)]
    fn jump(&mut self, insn: Insn) -> Result<bool, Stop> {
        let (dst, src) = (insn.dst as usize, insn.src);
        match insn.code {
            op::GOTO => {
                require(insn, dst == 0 && src == 0 && insn.imm == 0)?;
                self.go(insn.off.into())?;
            }
            op::CALL_IMM => {
                require(insn, dst == 0 && insn.off == 0)?;
                if self.call_any(insn)? {
                    return Ok(true);
                }
            }
            op::EXIT_INSN => {
                require(insn, dst == 0 && src == 0 && insn.off == 0 && insn.imm == 0)?;
                return Ok(self.leave());
            }
            op::GOTOX => {
                require(insn, src == 0 && insn.off == 0 && insn.imm == 0)?;
                let target = self.regs[dst];
                let known = self.program.may_jump(self.at, target);
                self.pc = known.ok_or(FaultKind::BadIndirectJump { target })?;
            }
            op::CALLX => return Err(FaultKind::IndirectCall.into()),
            op::MAY_GOTO => {
                require(insn, dst == 0 && src == 0 && insn.imm == 0)?;
                if self.left <= self.budget / RESERVE {
                    self.go(insn.off.into())?;
                }
            }
            code => {
                let b = self.operand(insn)?;
                let holds = alu::holds64(code & 0xf0, self.regs[dst], b).ok_or_else(|| bad(insn))?;
                if holds {
                    self.go(insn.off.into())?;
                }
            }
        }
        Ok(false)
    }

    #[inline(always)]
    fn jump32(&mut self, insn: Insn) -> Result<(), Stop> {
        if insn.code == op::GOTOL {
            require(insn, insn.dst == 0 && insn.src == 0 && insn.off == 0)?;
            return self.go(insn.imm.into());
        }
        let b = self.operand(insn)? as u32;
        let a = self.regs[insn.dst as usize] as u32;
        if alu::holds32(insn.code & 0xf0, a, b).ok_or_else(|| bad(insn))? {
            self.go(insn.off.into())?;
        }
        Ok(())
    }

    /// Goes on `distance` slots after the next instruction.
    #[inline(always)]
    fn go(&mut self, distance: i64) -> Result<(), Stop> {
        // Neither is near the limits of `i64`.
        let target = self.pc as i64 + distance;
        self.pc = usize::try_from(target).map_err(|_| self.no_insn(target))?;
        Ok(())
    }

    #[cold]
    fn no_insn(&self, target: i64) -> Stop {
        FaultKind::BadJump { target, len: self.program.insns.len() }.into()
    }

    /// The 64-bit immediate load; RFC 9669 section 5.4.
    #[inline(never)]
    fn wide(&mut self, insn: Insn) -> Result<u64, Stop> {
        let Some(&second) = self.program.insns.get(self.pc) else {
            return Err(self.no_insn(self.pc as i64));
        };
        require(second, second.code == 0 && second.dst == 0 && second.src == 0 && second.off == 0)?;
        require(insn, insn.off == 0)?;
        self.pc += 1;
        let program = self.program;
        let map = || {
            let index = usize::try_from(insn.imm).ok();
            let map = index.and_then(|index| program.maps.get(index));
            map.ok_or(FaultKind::NoSuchMap { index: insn.imm })
        };
        match insn.src {
            pseudo::IMM64 => Ok(u64::from(insn.imm as u32) | (u64::from(second.imm as u32) << 32)),
            pseudo::MAP => {
                require(second, second.imm == 0)?;
                Ok(handle::of_map(map()?))
            }
            pseudo::MAP_VALUE => {
                let map = map()?;
                let value = map.single_value();
                let value = value.ok_or_else(|| FaultKind::NoSingleValue { map: map.spec().name.clone() })?;
                Ok(value.addr().wrapping_add(second.imm as u32 as u64))
            }
            pseudo::FUNC => {
                require(second, second.imm == 0)?;
                // As for a local call, from the slot after the first.
                let target = self.at as i64 + 1 + i64::from(insn.imm);
                let known = usize::try_from(target).ok().filter(|&at| at < self.program.insns.len());
                let known =
                    known.and_then(|at| u32::try_from(at).ok()).ok_or_else(|| self.no_insn(target))?;
                Ok(handle::of_function(known))
            }
            _ => Err(bad(insn)),
        }
    }

    #[inline(never)]
    fn call_any(&mut self, insn: Insn) -> Result<bool, Stop> {
        let callable = match insn.src {
            pseudo::CALL_HELPER => helpers::by_id(insn.imm).ok_or_else(|| self.no_helper(insn.imm))?,
            pseudo::CALL_LOCAL => {
                self.push_frame(self.pc)?;
                self.go(insn.imm.into())?;
                self.enter()?;
                return Ok(false);
            }
            pseudo::CALL_KFUNC => {
                let kfuncs = &self.program.kfuncs;
                let found = usize::try_from(insn.imm).ok().and_then(|index| kfuncs.get(index));
                found.ok_or(FaultKind::UnknownKfunc { index: insn.imm })?
            }
            _ => return Err(bad(insn)),
        };
        self.regs[0] = self.call_out(callable)?;
        if let Some(target) = self.tables.take_next() {
            return self.go_on_with(&target.program);
        }
        self.clobber();
        Ok(false)
    }

    /// Why there is no helper of this number.
    #[cold]
    fn no_helper(&self, id: i32) -> FaultKind {
        match self.program.poison(self.at) {
            Some(missing) => FaultKind::Missing(missing.clone()),
            None => FaultKind::UnknownHelper { id },
        }
    }

    #[inline(never)]
    fn call_out(&mut self, callable: &'static Callable) -> Result<u64, Stop> {
        if self.tables.lock.is_some()
            && !callable.args.iter().any(|kind| matches!(kind, ArgKind::Lock { .. }))
        {
            return Err(FaultKind::Locked.into());
        }
        let mut regs = [0; MAX_ARGS];
        regs.copy_from_slice(&self.regs[1..=MAX_ARGS]);
        // Memory may come and go during the call.
        self.recent = [nowhere(); 2];
        let view = View { local: self.local, slot: self.slot, engine: self };
        let result = Call::run(callable, regs, view);
        Ok(result?)
    }

    /// Keeps what the function in progress needs to go on at `ret`, for one that is entered next.
    fn push_frame(&mut self, ret: usize) -> Result<(), Stop> {
        let Some(frame) = self.frames.get_mut(self.depth) else {
            return Err(FaultKind::TooDeep.into());
        };
        frame.program = self.program;
        frame.ret = ret;
        frame.saved.copy_from_slice(&self.regs[6..FP]);
        self.depth += 1;
        Ok(())
    }

    /// Gives the function at `depth` its frame.
    fn enter(&mut self) -> Result<(), Stop> {
        self.regs[FP] = self.local.enter(self.depth);
        self.local.clear_frame();
        Ok(())
    }

    /// Another program takes the place of the function in progress, with the same context.
    fn go_on_with(&mut self, program: &'r Program) -> Result<bool, Stop> {
        self.tables.begin(program, self.slot);
        self.program = program;
        (self.at, self.pc) = (0, 0);
        let context = self.regs[1];
        self.regs = [0; REGS];
        self.regs[1] = context;
        self.switched = true;
        self.enter()?;
        Ok(true)
    }

    /// Returns from a function; whether the instructions of this program are over.
    fn leave(&mut self) -> bool {
        let Some(caller) = self.depth.checked_sub(1) else {
            return true;
        };
        let Frame { program, ret, saved } = self.frames[caller];
        self.switched = ret != CALLBACK && !std::ptr::eq(program, self.program);
        self.depth = caller;
        self.program = program;
        self.pc = ret;
        self.regs[6..FP].copy_from_slice(&saved);
        self.regs[FP] = self.local.enter(caller);
        self.clobber();
        ret == CALLBACK || self.switched
    }

    fn clobber(&mut self) {
        for (register, value) in self.regs.iter_mut().enumerate().take(MAX_ARGS + 1).skip(1) {
            *value = CLOBBERED + register as u64;
        }
    }
}

impl<'r, W: Watch> Engine<'r> for Machine<'_, 'r, W> {
    fn tables(&mut self) -> &mut Tables<'r> {
        self.tables
    }

    fn host(&mut self) -> &mut (dyn Host<'r> + '_) {
        self.host
    }

    fn charge(&mut self, work: u64) {
        self.left = self.left.saturating_sub(work);
    }

    fn goes_on(&self) -> bool {
        self.left > 0
    }

    fn call(&mut self, function: u64, args: [u64; MAX_ARGS]) -> Result<u64, FaultKind> {
        let slot = handle::number(handle::FUNCTION, function).unwrap_or(u32::MAX);
        let (at, pc, regs) = (self.at, self.pc, self.regs);
        self.push_frame(CALLBACK).map_err(|stop| *stop)?;
        self.regs = [0; REGS];
        self.regs[1..=MAX_ARGS].copy_from_slice(&args);
        self.pc = slot as usize;
        self.enter().and_then(|()| self.steps()).map_err(|stop| *stop)?;
        let result = self.regs[0];
        (self.at, self.pc, self.regs) = (at, pc, regs);
        // The callable that called may take memory away.
        self.recent = [nowhere(); 2];
        Ok(result)
    }
}

/// No memory at all.
fn nowhere<'w>() -> Window<'w> {
    Window::from_words(&[])
}

#[cold]
fn bad(insn: Insn) -> Stop {
    let Insn { code, dst, src, off, imm } = insn;
    FaultKind::BadInsn { code, dst, src, off, imm }.into()
}

#[inline(always)]
fn require(insn: Insn, valid: bool) -> Result<(), Stop> {
    if valid { Ok(()) } else { Err(bad(insn)) }
}

/// Negation and byte swaps; everything else that is no binary operation is refused.
#[inline(never)]
fn unary(insn: Insn, value: u64) -> Result<u64, Stop> {
    require(insn, insn.src == 0 && insn.off == 0)?;
    let x = insn.code & op::X != 0;
    let result = match (insn.class(), insn.code & 0xf0) {
        (op::ALU64, op::NEG) if !x && insn.imm == 0 => Some(value.wrapping_neg()),
        (_, op::NEG) if !x && insn.imm == 0 => Some((value as u32).wrapping_neg().into()),
        (op::ALU64, op::END) if !x => alu::swap(value, insn.imm, Order::Swap),
        (op::ALU, op::END) => alu::swap(value, insn.imm, if x { Order::Big } else { Order::Little }),
        _ => None,
    };
    result.ok_or_else(|| bad(insn))
}

#[inline(always)]
fn displaced(base: u64, insn: Insn) -> u64 {
    base.wrapping_add(insn.off as u64)
}

/// The whole frame fits between two frame starts, or frames would share memory.
const _: () = assert!(FRAME_SIZE <= super::FRAME_STRIDE);
