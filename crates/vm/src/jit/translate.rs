//! One function of a program, from its instructions to those of the code generator.
//!
//! Registers are variables, the frame is the one the interpreter would use. A function that its callers
//! know gets what it [`Needs`] and no more; one that Rust calls has the fixed signature of
//! [`super::entry`].

use std::collections::{BTreeSet, HashMap};

use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{
    AbiParam, AtomicRmwOp, Block, ExtFuncData, ExternalName, FuncRef, GlobalValueData, InstBuilder,
    MemFlagsData, Signature, SourceLoc, Type, UserExternalName, Value, types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, Switch, Variable};

use super::CompileError;
use super::alu::{self, Operand};
use super::shape::{Needs, Shape, Shapes, charges, end_of};
use crate::insn::{Insn, op, pseudo};
use crate::interp::compiled::{RESERVE, Reason};
use crate::interp::handle;
use crate::maps::Map;
use crate::mem::Width;
use crate::program::Program;
use crate::validate;
use crate::verify::Facts;

/// Offset of a field of the run, as an operand.
macro_rules! field {
    ($name:ident) => {
        const { std::mem::offset_of!($crate::interp::compiled::Run<'static, 'static>, $name) as i32 }
    };
}

/// Offset of a field of the worker.
macro_rules! own {
    ($($name:ident).+) => {
        const { std::mem::offset_of!($crate::interp::Worker, $($name).+) as i32 }
    };
}
pub(super) use own;

/// What code refers to: functions of the program, and single values of its maps, both by index.
pub(super) const FUNCTIONS: u32 = 0;
pub(super) const VALUES: u32 = 1;

/// What all functions of a program are translated with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) program: &'a Program,
    pub(super) facts: &'a Facts,
    pub(super) shapes: &'a Shapes,
}

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Convention {
    /// By functions of its program: R1 on, then what it needs. Gives R0, and the budget left if it needs
    /// that.
    Inner,
    /// By Rust: run, frame, budget left, R1 on. Gives R0 and the budget left.
    Outer,
}

/// The parameters and results of a function.
pub(super) fn signature(shape: &Shape, convention: Convention) -> Signature {
    let mut signature = Signature::new(CallConv::SystemV);
    let (params, returns) = match convention {
        Convention::Inner => {
            (shape.args + shape.needs.iter().count(), 1 + usize::from(shape.needs.contains(Needs::FUEL)))
        }
        Convention::Outer => (3 + shape.args, 2),
    };
    signature.params = vec![AbiParam::new(types::I64); params];
    signature.returns = vec![AbiParam::new(types::I64); returns];
    signature
}

/// A function in translation.
pub(super) struct Translator<'a, 'b> {
    pub(super) source: Source<'a>,
    pub(super) shape: &'a Shape,
    pub(super) b: FunctionBuilder<'b>,
    registers: [Variable; 10],
    pub(super) fuel: Option<Variable>,
    pub(super) frame: Option<Value>,
    pub(super) run: Option<Value>,
    /// By instruction that begins a block.
    blocks: Vec<Option<Block>>,
    /// Instructions before this one are done already.
    next: usize,
    /// Blocks that end the run at an instruction, or what a call there left of it.
    ends: Vec<(Block, usize, bool)>,
    /// Leaves the function after the run ended.
    out: Option<Block>,
    functions: HashMap<usize, FuncRef>,
}

/// An access that is known to be to memory of the program. It may be unaligned.
pub(super) fn memory() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// A file-private short form for what does not exist.
fn bad(slot: usize, insn: Insn) -> CompileError {
    CompileError::BadInsn { slot, code: insn.code }
}

/// Translates the function at `index` into `b`, which has its signature.
pub(super) fn function(
    source: Source<'_>,
    index: usize,
    convention: Convention,
    mut b: FunctionBuilder<'_>,
) -> Result<(), CompileError> {
    let shape = &source.shapes.functions[index];
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    let params = b.block_params(entry).to_vec();
    let registers = std::array::from_fn(|_| b.declare_var(types::I64));
    let mut translator = Translator {
        source,
        shape,
        b,
        registers,
        fuel: None,
        frame: None,
        run: None,
        blocks: Vec::new(),
        next: 0,
        ends: Vec::new(),
        out: None,
        functions: HashMap::new(),
    };
    translator.parameters(convention, params);
    translator.zero_frame();
    translator.body()?;
    translator.endings();
    translator.b.seal_all_blocks();
    translator.b.finalize(super::frontend_config()?);
    Ok(())
}

/// Translates a function that Rust calls and that only calls the one at `index`.
pub(super) fn wrapper(
    source: Source<'_>,
    index: usize,
    mut b: FunctionBuilder<'_>,
) -> Result<(), CompileError> {
    let shape = &source.shapes.functions[index];
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    let params = b.block_params(entry).to_vec();
    let mut args = params[3..].to_vec();
    for (need, param) in [(Needs::FRAME, 1), (Needs::RUN, 0), (Needs::FUEL, 2)] {
        if shape.needs.contains(need) {
            args.push(params[param]);
        }
    }
    let callee = import(&mut b, shape, index);
    let call = b.ins().call(callee, &args);
    let mut results = b.inst_results(call).to_vec();
    if results.len() == 1 {
        results.push(params[2]);
    }
    b.ins().return_(&results);
    b.finalize(super::frontend_config()?);
    Ok(())
}

fn import(b: &mut FunctionBuilder<'_>, shape: &Shape, index: usize) -> FuncRef {
    let signature = b.import_signature(signature(shape, Convention::Inner));
    let name = b.func.declare_imported_user_function(UserExternalName::new(FUNCTIONS, index as u32));
    b.import_function(ExtFuncData {
        name: ExternalName::user(name),
        signature,
        colocated: true,
        patchable: false,
    })
}

impl Translator<'_, '_> {
    fn parameters(&mut self, convention: Convention, params: Vec<Value>) {
        let mut params = params.into_iter();
        let (args, needs) = match convention {
            Convention::Inner => {
                let args: Vec<Value> = params.by_ref().take(self.shape.args).collect();
                let mut need = |need| self.shape.needs.contains(need).then(|| params.next()).flatten();
                (args, [need(Needs::FRAME), need(Needs::RUN), need(Needs::FUEL)])
            }
            Convention::Outer => {
                let (run, frame, fuel) = (params.next(), params.next(), params.next());
                (params.collect(), [frame, run, fuel])
            }
        };
        let [frame, run, fuel] = needs;
        (self.frame, self.run) = (frame, run);
        for (i, arg) in args.into_iter().enumerate() {
            self.b.def_var(self.registers[i + 1], arg);
        }
        if let Some(fuel) = fuel {
            let variable = self.b.declare_var(types::I64);
            self.b.def_var(variable, fuel);
            self.fuel = Some(variable);
        }
    }

    fn zero_frame(&mut self) {
        let Some(frame) = self.frame else { return };
        let mut wide = None;
        for (off, words) in self.shape.zeroed.stores() {
            let zero = if words == 2 {
                *wide.get_or_insert_with(|| {
                    let word = self.b.ins().iconst(types::I64, 0);
                    self.b.ins().splat(types::I64X2, word)
                })
            } else {
                self.b.ins().iconst(types::I64, 0)
            };
            self.b.ins().store(memory(), zero, frame, off);
        }
    }

    fn body(&mut self) -> Result<(), CompileError> {
        let start = self.shape.slots.start;
        let blocks = self.shape.leaders.iter().map(|&leader| leader.then(|| self.b.create_block()));
        self.blocks = blocks.collect();
        // Blocks that no jump comes back to have all their predecessors when they begin.
        let mut comes_back = vec![false; self.blocks.len()];
        for slot in self.shape.slots.clone().filter(|slot| self.shape.reached[slot - start]) {
            for target in self.source.program.targets(slot).filter(|&target| target <= slot) {
                comes_back[target - start] = true;
            }
        }
        let mut open = true;
        for slot in self.shape.slots.clone() {
            if !self.shape.reached[slot - start] {
                continue;
            }
            if let Some(block) = self.blocks[slot - start] {
                if open {
                    self.b.ins().jump(block, &[]);
                }
                self.b.switch_to_block(block);
                if !comes_back[slot - start] {
                    self.b.seal_block(block);
                }
            }
            if slot < self.next {
                continue;
            }
            self.b.set_srcloc(SourceLoc::new(slot as u32));
            open = self.instruction(slot)?;
        }
        Ok(())
    }

    /// The blocks in which runs end.
    fn endings(&mut self) {
        for (block, slot, by_call) in std::mem::take(&mut self.ends) {
            self.b.switch_to_block(block);
            self.b.seal_block(block);
            let worker = self.worker();
            let slot = self.b.ins().iconst(types::I64, slot as i64);
            self.b.ins().store(memory(), slot, worker, own!(notes.at));
            if !by_call {
                let over = self.b.ins().iconst(types::I64, -1);
                self.b.ins().store(memory(), over, worker, own!(notes.fuel));
            }
            let out = self.out();
            self.b.ins().jump(out, &[]);
        }
        if let Some(out) = self.out {
            self.b.switch_to_block(out);
            let worker = self.worker();
            let value = self.b.ins().load(types::I64, memory(), worker, own!(notes.value));
            let left = self.b.ins().load(types::I64, memory(), worker, own!(notes.fuel));
            self.b.ins().return_(&[value, left]);
        }
    }

    /// Where a jump goes, if it is one.
    fn target(&self, slot: usize) -> Option<usize> {
        self.source.program.targets(slot).next()
    }

    /// Translates an instruction. Whether control goes on with the next.
    fn instruction(&mut self, slot: usize) -> Result<bool, CompileError> {
        if let Some(reason) = end_of(self.source.program, self.source.facts, slot) {
            self.end(reason, slot);
            return Ok(false);
        }
        let insn = self.source.program.insns[slot];
        match insn.class() {
            op::ALU | op::ALU64 => {
                let (left, right) = self.operands(insn);
                let result = alu::alu(&mut self.b, insn, left, right).ok_or_else(|| bad(slot, insn))?;
                self.set(insn.dst, result);
            }
            op::LD => {
                let value = match insn.src {
                    pseudo::MAP_VALUE => self.value_of_map(slot, insn)?,
                    _ => {
                        let value = self.wide(slot, insn)?;
                        self.b.ins().iconst(types::I64, value as i64)
                    }
                };
                self.set(insn.dst, value);
            }
            op::LDX => {
                let base = self.register(insn.src);
                let value = self.load(insn, base);
                self.set(insn.dst, value);
            }
            op::ST => {
                let ty = width(insn);
                let value = alu::constant(&mut self.b, ty, insn.imm.into());
                let base = self.register(insn.dst);
                self.b.ins().store(memory(), value, base, i32::from(insn.off));
            }
            op::STX if insn.code & 0xe0 == op::MEM => {
                let value = self.register(insn.src);
                let value = alu::narrow(&mut self.b, value, width(insn));
                let base = self.register(insn.dst);
                self.b.ins().store(memory(), value, base, i32::from(insn.off));
            }
            op::STX => self.atomic(slot, insn)?,
            _ => return self.control(slot, insn),
        }
        Ok(true)
    }

    /// A register's value.
    pub(super) fn register(&mut self, number: u8) -> Value {
        match self.registers.get(usize::from(number)) {
            Some(&variable) => self.b.use_var(variable),
            None => self.need(self.frame),
        }
    }

    pub(super) fn set(&mut self, number: u8, value: Value) {
        if let Some(&variable) = self.registers.get(usize::from(number)) {
            self.b.def_var(variable, value);
        }
    }

    /// A parameter the function has by its shape.
    pub(super) fn need(&mut self, param: Option<Value>) -> Value {
        debug_assert!(param.is_some(), "the shape says what is needed");
        param.unwrap_or_else(|| self.b.ins().iconst(types::I64, 0))
    }

    /// The worker that runs the program.
    pub(super) fn worker(&mut self) -> Value {
        let run = self.need(self.run);
        self.b.ins().load(types::I64, memory(), run, field!(worker))
    }

    fn operands(&mut self, insn: Insn) -> (Value, Operand) {
        let operation = insn.code & 0xf0;
        let moves = matches!(insn.class(), op::ALU | op::ALU64) && operation == op::MOV;
        let left = if moves { insn.src } else { insn.dst };
        let swaps = matches!(insn.class(), op::ALU | op::ALU64) && operation == op::END;
        let right = if insn.code & op::X != 0 && !swaps {
            Operand::Register(self.register(insn.src))
        } else {
            Operand::Immediate(insn.imm)
        };
        let left = match right {
            Operand::Register(right) if moves => right,
            // What is only set has no value yet.
            Operand::Immediate(_) if moves => self.b.ins().iconst(types::I64, 0),
            _ => self.register(left),
        };
        (left, right)
    }

    /// The second half of a 64-bit immediate load.
    fn high(&self, slot: usize) -> u32 {
        self.source.program.insns.get(slot + 1).map_or(0, |second| second.imm as u32)
    }

    /// The map of a 64-bit immediate load.
    fn map(&self, slot: usize, insn: Insn) -> Result<&Map, CompileError> {
        let index = usize::try_from(insn.imm).ok();
        let map = index.and_then(|index| self.source.program.maps.get(index));
        map.map(|map| &**map).ok_or(CompileError::NoSuchMap { slot, index: insn.imm })
    }

    /// The address in the single value of a map that a 64-bit immediate load gives. It is not a constant to the
    /// code generator, which would make that anew in every block: registers keep it.
    fn value_of_map(&mut self, slot: usize, insn: Insn) -> Result<Value, CompileError> {
        let map = self.map(slot, insn)?;
        if map.single_value().is_none() {
            return Err(CompileError::NoSingleValue { slot, map: map.spec().name.clone() });
        }
        let name = UserExternalName::new(VALUES, insn.imm as u32);
        let name = ExternalName::user(self.b.func.declare_imported_user_function(name));
        let offset = i64::from(self.high(slot)).into();
        let place = GlobalValueData::Symbol { name, offset, colocated: false, tls: false };
        let place = self.b.create_global_value(place);
        Ok(self.b.ins().symbol_value(types::I64, place))
    }

    /// The value of a 64-bit immediate load that is a constant.
    fn wide(&self, slot: usize, insn: Insn) -> Result<u64, CompileError> {
        match insn.src {
            pseudo::IMM64 => Ok(u64::from(insn.imm as u32) | u64::from(self.high(slot)) << 32),
            pseudo::MAP => self.map(slot, insn).map(handle::of_map),
            pseudo::FUNC => {
                let target = validate::target(slot, insn).and_then(|target| u32::try_from(target).ok());
                target.map(handle::of_function).ok_or_else(|| bad(slot, insn))
            }
            _ => Err(bad(slot, insn)),
        }
    }

    fn load(&mut self, insn: Insn, base: Value) -> Value {
        let (flags, off) = (memory(), i32::from(insn.off));
        let ins = self.b.ins();
        match (insn.code & 0xe0 == op::MEMSX, insn.code & 0x18) {
            (false, op::B) => ins.uload8(types::I64, flags, base, off),
            (false, op::H) => ins.uload16(types::I64, flags, base, off),
            (false, op::W) => ins.uload32(flags, base, off),
            (true, op::B) => ins.sload8(types::I64, flags, base, off),
            (true, op::H) => ins.sload16(types::I64, flags, base, off),
            (true, op::W) => ins.sload32(flags, base, off),
            _ => ins.load(types::I64, flags, base, off),
        }
    }

    fn atomic(&mut self, slot: usize, insn: Insn) -> Result<(), CompileError> {
        let ty = width(insn);
        // Atomics are aligned, which the verifier checks.
        let flags = MemFlagsData::trusted();
        let base = if insn.imm == op::LOAD_ACQ { insn.src } else { insn.dst };
        let base = self.register(base);
        let addr = if insn.off == 0 { base } else { self.b.ins().iadd_imm_s(base, i64::from(insn.off)) };
        if insn.imm == op::LOAD_ACQ {
            let value = self.b.ins().atomic_load(ty, flags, addr);
            let value = alu::widen(&mut self.b, value);
            self.set(insn.dst, value);
            return Ok(());
        }
        let value = self.register(insn.src);
        let value = alu::narrow(&mut self.b, value, ty);
        let operation = match insn.imm {
            op::STORE_REL => {
                self.b.ins().atomic_store(flags, value, addr);
                return Ok(());
            }
            op::CMPXCHG => {
                let expected = self.register(0);
                let expected = alu::narrow(&mut self.b, expected, ty);
                let old = self.b.ins().atomic_cas(flags, addr, expected, value);
                let old = alu::widen(&mut self.b, old);
                self.set(0, old);
                return Ok(());
            }
            op::XCHG => AtomicRmwOp::Xchg,
            imm => match (imm & !op::FETCH) as u8 {
                op::ADD => AtomicRmwOp::Add,
                op::OR => AtomicRmwOp::Or,
                op::AND => AtomicRmwOp::And,
                op::XOR => AtomicRmwOp::Xor,
                _ => return Err(bad(slot, insn)),
            },
        };
        let old = self.b.ins().atomic_rmw(ty, flags, operation, addr, value);
        if insn.imm & op::FETCH != 0 {
            let old = alu::widen(&mut self.b, old);
            self.set(insn.src, old);
        }
        Ok(())
    }

    /// Jumps, calls and `exit`. Whether control goes on with the next instruction without a jump.
    fn control(&mut self, slot: usize, insn: Insn) -> Result<bool, CompileError> {
        match insn.code {
            op::EXIT_INSN => {
                let value = self.register(0);
                let fuel = self.fuel.map(|fuel| self.b.use_var(fuel));
                let results: Vec<Value> = [Some(value), fuel].into_iter().flatten().collect();
                self.b.ins().return_(&results);
                return Ok(false);
            }
            op::CALL_IMM => return self.call(slot),
            op::GOTOX => {
                self.indirect(slot, insn)?;
                return Ok(false);
            }
            _ => {}
        }
        let target = self.target(slot).ok_or_else(|| bad(slot, insn))?;
        let charged = charges(self.source.program, self.source.facts, target, slot);
        let to = self.block(target).ok_or_else(|| bad(slot, insn))?;
        if matches!(insn.code, op::GOTO | op::GOTOL) {
            if charged {
                self.charged_jump(self.shape.loop_cost(target, slot), slot, to);
            } else {
                self.b.ins().jump(to, &[]);
            }
            return Ok(false);
        }
        // Of two blocks the second is placed next: what goes on in a loop is.
        let holds = if insn.code == op::MAY_GOTO {
            let run = self.need(self.run);
            let budget = self.b.ins().load(types::I64, memory(), run, field!(budget));
            let reserve = self.b.ins().ushr_imm_u(budget, i64::from(RESERVE.ilog2()));
            let left = self.left();
            let condition = IntCC::SignedLessThanOrEqual;
            let condition = if charged { condition.complement() } else { condition };
            self.b.ins().icmp(condition, left, reserve)
        } else {
            let (left, right) = self.operands(insn);
            alu::holds(&mut self.b, insn, left, right, charged).ok_or_else(|| bad(slot, insn))?
        };
        let next = self.block(slot + 1).ok_or_else(|| bad(slot, insn))?;
        if charged {
            let edge = self.b.create_block();
            self.b.ins().brif(holds, next, &[], edge, &[]);
            self.b.switch_to_block(edge);
            self.b.seal_block(edge);
            self.charged_jump(self.shape.loop_cost(target, slot), slot, to);
        } else {
            self.b.ins().brif(holds, to, &[], next, &[]);
        }
        Ok(false)
    }

    /// A jump to a place in one of the function's tables.
    fn indirect(&mut self, slot: usize, insn: Insn) -> Result<(), CompileError> {
        let mut switch = Switch::new();
        let mut edges = Vec::new();
        let targets: BTreeSet<usize> = self.source.program.targets(slot).collect();
        for target in targets {
            let to = self.block(target).ok_or_else(|| bad(slot, insn))?;
            let edge = if charges(self.source.program, self.source.facts, target, slot) {
                let edge = self.b.create_block();
                edges.push((edge, target, to));
                edge
            } else {
                to
            };
            switch.set_entry(target as u128, edge);
        }
        let wrong = self.b.create_block();
        self.b.set_cold_block(wrong);
        let place = self.register(insn.dst);
        switch.emit(&mut self.b, place, wrong);
        for (edge, target, to) in edges {
            self.b.switch_to_block(edge);
            self.b.seal_block(edge);
            self.charged_jump(self.shape.loop_cost(target, slot), slot, to);
        }
        self.b.switch_to_block(wrong);
        self.b.seal_block(wrong);
        let worker = self.worker();
        self.b.ins().store(memory(), place, worker, own!(notes.value));
        self.end(Reason::BadIndirectJump, slot);
        Ok(())
    }

    /// Where the instruction after `slot` goes if R0 is null, and if it is not. `None` if that is not what
    /// it asks, or if others jump to it.
    pub(super) fn null_check_after(&mut self, slot: usize) -> Option<(Block, Block)> {
        let at = slot + 1;
        let insn = *self.source.program.insns.get(at)?;
        let plain = insn.dst == 0 && insn.imm == 0 && self.block(at).is_none();
        let target = self.target(at)?;
        if !plain || target <= at || !self.source.facts.reached.get(at).copied().unwrap_or(true) {
            return None;
        }
        let (to, next) = (self.block(target)?, self.block(at + 1)?);
        let both = match insn.code {
            code if code == op::JMP | op::JEQ => (to, next),
            code if code == op::JMP | op::JNE => (next, to),
            _ => return None,
        };
        self.next = at + 1;
        Some(both)
    }

    fn block(&self, slot: usize) -> Option<Block> {
        self.blocks.get(slot.checked_sub(self.shape.slots.start)?).copied().flatten()
    }

    /// What is left of the budget.
    pub(super) fn left(&mut self) -> Value {
        match self.fuel {
            Some(fuel) => self.b.use_var(fuel),
            None => self.need(None),
        }
    }

    /// Takes from the budget. Whether that was too much.
    fn take(&mut self, cost: u64, over: IntCC) -> Value {
        let left = self.left();
        let cost = i64::try_from(cost).unwrap_or(i64::MAX);
        let left = self.b.ins().iadd_imm_s(left, -cost);
        if let Some(fuel) = self.fuel {
            self.b.def_var(fuel, left);
        }
        self.b.ins().icmp_imm_s(over, left, 0)
    }

    /// Takes from the budget, and ends the run if that is too much.
    pub(super) fn charge(&mut self, cost: u64, slot: usize) {
        let over = self.take(cost, IntCC::SignedLessThan);
        self.end_if(over, slot);
    }

    /// Takes from the budget, and jumps if that is not too much.
    fn charged_jump(&mut self, cost: u64, slot: usize, to: Block) {
        let enough = self.take(cost, IntCC::SignedGreaterThanOrEqual);
        let end = self.end_at(slot);
        self.b.ins().brif(enough, to, &[], end, &[]);
    }

    /// A block that ends the run at an instruction.
    fn end_at(&mut self, slot: usize) -> Block {
        let end = self.b.create_block();
        self.b.set_cold_block(end);
        self.ends.push((end, slot, false));
        end
    }

    /// Leaves the function after a call if a condition holds: the run is over, or another program went on.
    pub(super) fn end_call_if(&mut self, over: Value, slot: usize) {
        let end = self.b.create_block();
        self.b.set_cold_block(end);
        self.ends.push((end, slot, true));
        self.go_on_unless(over, end);
    }

    /// Ends the run at an instruction if a condition holds.
    pub(super) fn end_if(&mut self, over: Value, slot: usize) {
        let end = self.end_at(slot);
        self.go_on_unless(over, end);
    }

    /// Leaves the function if a condition holds: the run ended in a function it called.
    pub(super) fn leave_if(&mut self, over: Value) {
        let out = self.out();
        self.go_on_unless(over, out);
    }

    fn go_on_unless(&mut self, over: Value, to: Block) {
        let next = self.b.create_block();
        self.b.ins().brif(over, to, &[], next, &[]);
        self.b.switch_to_block(next);
        self.b.seal_block(next);
    }

    fn out(&mut self) -> Block {
        *self.out.get_or_insert_with(|| {
            let out = self.b.create_block();
            self.b.set_cold_block(out);
            out
        })
    }

    /// Ends the run at an instruction, and the block.
    pub(super) fn end(&mut self, reason: Reason, slot: usize) {
        let worker = self.worker();
        let reason = self.b.ins().iconst(types::I64, reason as i64);
        self.b.ins().store(memory(), reason, worker, own!(notes.reason));
        let end = self.end_at(slot);
        self.b.ins().jump(end, &[]);
    }

    /// Another function of the program.
    pub(super) fn function(&mut self, index: usize) -> FuncRef {
        let shape = &self.source.shapes.functions[index];
        *self.functions.entry(index).or_insert_with(|| import(&mut self.b, shape, index))
    }
}

/// The type of a load, a store or an atomic.
fn width(insn: Insn) -> Type {
    match insn.width() {
        Width::B => types::I8,
        Width::H => types::I16,
        Width::W => types::I32,
        Width::DW => types::I64,
    }
}
