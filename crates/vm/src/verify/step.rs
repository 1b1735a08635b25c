//! What one instruction does to a state.

use super::memory::holds;
use super::num::{Cond, Num};
use super::reject::Rule;
use super::scalar::{Number, Op};
use super::state::{Entered, Entry, Frame, Kind, MapRef, Pointer, Scalar, Slot, State, Value};
use super::tnum::Tnum;
use super::walk::{Next, Walker};
use crate::insn::{Insn, op, pseudo};
use crate::interp::MAX_FRAMES;
use crate::mem::Access;
use crate::program::Function;
use std::rc::Rc;

type Done<T> = Result<T, Box<Rule>>;

/// Farthest an offset may get from the start of an object, as in Linux (`BPF_MAX_VAR_OFF`).
const MOST_OFFSET: i64 = 1 << 29;

impl Walker<'_> {
    /// One instruction.
    pub(super) fn step(&mut self, state: &mut State, insn: Insn) -> Done<Next> {
        if let Some(missing) = self.program.poison(state.pc) {
            return Err(Rule::Missing(missing.clone()).into());
        }
        match insn.class() {
            op::ALU64 => self.alu(state, insn, true)?,
            op::ALU => self.alu(state, insn, false)?,
            op::LDX => {
                let signed = insn.code & 0xe0 == op::MEMSX;
                let value = self.load(state, insn.src, insn.off, insn.width(), signed)?;
                state.set(insn.dst, value);
            }
            op::ST => {
                let value = Value::constant(i64::from(insn.imm) as u64);
                self.store(state, insn.dst, insn.off, insn.width(), (value, insn.dst))?;
            }
            op::STX if insn.code & 0xe0 == op::MEM => {
                let spills =
                    matches!(state.reg(insn.dst), Value::Pointer(Pointer { kind: Kind::Stack(_), .. }));
                let width = insn.width();
                let copies = |value| matches!(value, Value::Scalar(number) if width.bytes() >= 4 || holds(&number, width.bytes()));
                if spills && copies(state.reg(insn.src)) {
                    // Whoever loads it has a copy.
                    self.link(state, insn.src);
                }
                let value = state.reg(insn.src);
                self.store(state, insn.dst, insn.off, insn.width(), (value, insn.src))?;
            }
            op::STX => self.atomics(state, insn)?,
            op::JMP | op::JMP32 => return self.jump(state, insn),
            _ if insn.is_wide() => {
                self.wide(state, insn)?;
                state.pc += 1;
            }
            _ => return Err(Rule::Instruction { code: insn.code }.into()),
        }
        state.pc += 1;
        Ok(Next::On)
    }

    fn wide(&mut self, state: &mut State, insn: Insn) -> Done<()> {
        let second = self.program.insns.get(state.pc + 1).map_or(0, |insn| insn.imm);
        let index = insn.imm as u32;
        let value = match insn.src {
            pseudo::IMM64 => Value::constant(u64::from(insn.imm as u32) | u64::from(second as u32) << 32),
            pseudo::MAP => Value::Pointer(Pointer::new(Kind::Map(MapRef::Own(index)))),
            pseudo::MAP_VALUE => {
                let off = Scalar::constant(second as u32 as u64);
                Value::Pointer(Pointer { off, ..Pointer::new(Kind::Value(MapRef::Own(index))) })
            }
            pseudo::FUNC => {
                let target = crate::validate::target(state.pc, insn).unwrap_or(-1);
                Value::Pointer(Pointer::new(Kind::Function(target as u32)))
            }
            _ => return Err(Rule::Instruction { code: insn.code }.into()),
        };
        state.set(insn.dst, value);
        Ok(())
    }

    /// A register as an operand.
    fn operand(&self, state: &State, insn: Insn) -> Done<Value> {
        if insn.code & op::X == 0 {
            return Ok(Value::constant(i64::from(insn.imm) as u64));
        }
        match state.reg(insn.src) {
            Value::None => Err(Rule::Unset { register: insn.src }.into()),
            value => Ok(value),
        }
    }

    fn alu(&mut self, state: &mut State, insn: Insn, full: bool) -> Done<()> {
        let code = insn.code & 0xf0;
        if code == op::MOV {
            return self.mov(state, insn, full);
        }
        let dst = match state.reg(insn.dst) {
            Value::None => return Err(Rule::Unset { register: insn.dst }.into()),
            value => value,
        };
        if matches!(code, op::END | op::NEG) {
            let Value::Scalar(scalar) = dst else {
                return Err(arithmetic(insn.dst, "negation and byte order"));
            };
            let num = match code {
                op::NEG if full => Number::apply(Op::Sub, &Number::constant(0), &scalar.num),
                op::NEG => Number::apply_low(Op::Sub, &Number::constant(0), &scalar.num),
                _ => byte_order(insn, &scalar.num, full),
            };
            state.set(insn.dst, Value::Scalar(Scalar { node: scalar.node, ..Scalar::new(num) }));
            return Ok(());
        }
        let src = self.operand(state, insn)?;
        let Some(operation) = operation(code, insn.off) else {
            return Err(Rule::Instruction { code: insn.code }.into());
        };
        let result = match (dst, src) {
            (Value::Scalar(a), Value::Scalar(b)) => {
                if let Some(done) = self.extension(state, insn, &a, full) {
                    state.set(insn.dst, Value::Scalar(done));
                    return Ok(());
                }
                let a = self.sign(state, insn, operation, (&a, &b), full)?.unwrap_or(a);
                let mut result = self.compute(operation, &a, &b, full);
                let register = (insn.code & op::X != 0 && insn.src != insn.dst).then_some(insn.src);
                self.relate(state, operation, (a, b), register, full, &mut result);
                Value::Scalar(result)
            }
            (Value::Pointer(pointer), Value::Scalar(by)) | (Value::Scalar(by), Value::Pointer(pointer)) => {
                let turned = matches!(dst, Value::Scalar(_));
                Value::Pointer(self.displace(state, insn, (operation, turned), pointer, by, full)?)
            }
            (Value::Pointer(a), Value::Pointer(b)) => {
                // The distance of two places in one object is no address.
                if !(full
                    && operation == Op::Sub
                    && a.null == 0
                    && b.null == 0
                    && a.kind == b.kind
                    && a.object == b.object)
                {
                    return Err(arithmetic(insn.dst, "another pointer"));
                }
                let node = self.marks.join(a.off.node, b.off.node);
                let num = match a.kind {
                    // Which record or slice is not known, only that it is one of a kind. Values that were looked up
                    // have names, and those that were not are the only one of their map.
                    Kind::Stack(_) | Kind::Argument(_) | Kind::Value(_) => {
                        Number::apply(Op::Sub, &a.off.num, &b.off.num)
                    }
                    _ => return Err(arithmetic(insn.dst, "another pointer")),
                };
                Value::Scalar(Scalar { node, ..Scalar::new(num) })
            }
            _ => return Err(Rule::Unset { register: insn.src }.into()),
        };
        state.set(insn.dst, result);
        Ok(())
    }

    /// `r <<= 32; r >>= 32` is how code for old processors extends 32 bits: taken as one, so that the number stays
    /// linked with what it was copied from.
    fn extension(&mut self, state: &mut State, insn: Insn, a: &Scalar, full: bool) -> Option<Scalar> {
        if !full || insn.code != op::ALU64 | op::LSH || insn.imm != 32 {
            return None;
        }
        let next = *self.program.insns.get(state.pc + 1)?;
        if self.flow.meets[state.pc + 1] || next.dst != insn.dst || next.imm != 32 {
            return None;
        }
        let unsigned = match next.code {
            code if code == op::ALU64 | op::RSH => true,
            code if code == op::ALU64 | op::ARSH => false,
            _ => return None,
        };
        self.processed += 1;
        self.reached[state.pc + 1] = true;
        state.insns += 1;
        state.since += 1;
        state.pc += 1;
        if unsigned {
            return Some(truncated(a));
        }
        let num = a.num.sign_extend(32);
        Some(if num == a.num { *a } else { Scalar::with_half_of(num, a) })
    }

    /// `r s>>= 63; r &= C` is how compilers choose between 0 and C: what is all ones or 0 is walked as one and as
    /// the other, as Linux does. What it is on the path that goes on.
    fn sign(
        &mut self,
        state: &mut State,
        insn: Insn,
        operation: Op,
        (a, b): (&Scalar, &Scalar),
        full: bool,
    ) -> Done<Option<Scalar>> {
        let (smin, smax) =
            if full { (a.num.full.smin, a.num.full.smax) } else { (a.num.low.smin, a.num.low.smax) };
        let chooses = matches!(operation, Op::And | Op::Or) && (smin, smax) == (-1, 0);
        if !chooses || b.value().is_none() {
            return Ok(None);
        }
        let of = |number| Scalar { node: a.node, ..Scalar::constant(number) };
        let mut other = state.clone();
        let result = self.compute(operation, &of(0), b, full);
        other.set(insn.dst, Value::Scalar(result));
        other.pc += 1;
        self.fork(other, true, state.pc)?;
        self.note(state, state.pc, false);
        Ok(Some(of(if full { u64::MAX } else { u32::MAX.into() })))
    }

    fn compute(&mut self, operation: Op, a: &Scalar, b: &Scalar, full: bool) -> Scalar {
        let num = if full {
            match (a.value(), b.value(), operation) {
                // Of the same number: nothing is left, and that is known.
                _ if operation == Op::Sub && a.id != 0 && a.id == b.id => {
                    Number::constant(a.delta.wrapping_sub(b.delta))
                }
                _ => Number::apply(operation, &a.num, &b.num),
            }
        } else {
            Number::apply_low(operation, &a.num, &b.num)
        };
        let node = self.marks.join(a.node, b.node);
        let mut result = Scalar { node, ..Scalar::new(num) };
        if let (true, Some(by), Op::Add | Op::Sub) = (a.half != 0, b.value(), operation) {
            self.marks.mark(b.node);
            let by = by as u32;
            result.half = a.half;
            result.half_delta = if operation == Op::Add {
                a.half_delta.wrapping_add(by)
            } else {
                a.half_delta.wrapping_sub(by)
            };
        }
        // Adding a constant keeps the link.
        if let (true, Some(by), Op::Add | Op::Sub) = (full && a.id != 0, b.value(), operation) {
            // A constant that only this path has is a fact like any other.
            self.marks.mark(b.node);
            result.id = a.id;
            result.delta =
                if operation == Op::Add { a.delta.wrapping_add(by) } else { a.delta.wrapping_sub(by) };
        }
        if num.value().is_some() {
            (result.id, result.delta, result.half, result.half_delta) = (0, 0, 0, 0);
        }
        result
    }

    fn mov(&mut self, state: &mut State, insn: Insn, full: bool) -> Done<()> {
        let value = self.operand(state, insn)?;
        let value = match value {
            Value::Scalar(scalar) if insn.code & op::X == 0 => {
                Value::Scalar(if full { scalar } else { truncated(&scalar) })
            }
            Value::Scalar(_) if insn.off == 0 => {
                self.link(state, insn.src);
                let Value::Scalar(scalar) = state.reg(insn.src) else {
                    return Err(Rule::Unset { register: insn.src }.into());
                };
                Value::Scalar(if full { scalar } else { truncated(&scalar) })
            }
            Value::Scalar(scalar) => {
                let bits = insn.off as u32;
                let num = if full { scalar.num.sign_extend(bits) } else { scalar.num.sign_extend_low(bits) };
                if num == scalar.num {
                    Value::Scalar(scalar)
                } else {
                    let cut = Scalar { node: scalar.node, ..Scalar::new(num) };
                    let keeps = full && bits == 32;
                    Value::Scalar(if keeps { Scalar::with_half_of(num, &scalar) } else { cut })
                }
            }
            Value::Pointer(pointer) => {
                if !full || insn.off != 0 {
                    return Err(arithmetic(insn.src, "a move of 32 bits"));
                }
                Value::Pointer(pointer)
            }
            Value::None => return Err(Rule::Unset { register: insn.src }.into()),
        };
        state.set(insn.dst, value);
        Ok(())
    }

    /// Gives the number in a register names, for copies to share.
    pub(super) fn link(&mut self, state: &mut State, register: u8) {
        if let Value::Scalar(mut scalar) = state.reg(register)
            && scalar.value().is_none()
        {
            if scalar.id == 0 {
                (scalar.id, scalar.delta) = (self.fresh(), 0);
            }
            if scalar.half == 0 {
                (scalar.half, scalar.half_delta) = (self.fresh(), 0);
            }
            state.set(register, Value::Scalar(scalar));
        }
    }

    /// Pointer and number.
    fn displace(
        &mut self,
        state: &State,
        insn: Insn,
        (operation, turned): (Op, bool),
        pointer: Pointer,
        by: Scalar,
        full: bool,
    ) -> Done<Pointer> {
        let kind = pointer.kind.c_name();
        if !full {
            return Err(arithmetic(insn.dst, "32 bits"));
        }
        if !(operation == Op::Add || operation == Op::Sub && !turned) {
            return Err(arithmetic(insn.dst, "an operator other than addition and subtraction"));
        }
        if pointer.null != 0 {
            return Err(Rule::NullArithmetic { register: insn.dst, kind }.into());
        }
        if matches!(pointer.kind, Kind::Map(_) | Kind::Function(_) | Kind::Buffer(_)) && by.value() != Some(0)
        {
            return Err(arithmetic(insn.dst, "a handle"));
        }
        let range = &by.num.full;
        if range.smin < -MOST_OFFSET || range.smax > MOST_OFFSET {
            return Err(Rule::Unbounded { kind }.into());
        }
        self.marks.mark(by.node);
        let num = Number::apply(operation, &pointer.off.num, &by.num);
        let mut off = Scalar::new(num);
        if operation == Op::Add {
            match (pointer.off.value(), by.value()) {
                (Some(at), None) => off = Scalar { id: by.id, delta: by.delta.wrapping_add(at), ..off },
                (None, Some(by)) => {
                    off = Scalar { num, delta: pointer.off.delta.wrapping_add(by), ..pointer.off };
                }
                (None, None) => {
                    if let Some(most) = self.reach(state, &pointer.off, &by)
                        && let Some(less) =
                            num.intersect(&Number::from_full(Num::signed_range(i64::MIN, most)))
                    {
                        off.num = less;
                    }
                }
                _ => {}
            }
        }
        let range = &off.num.full;
        if range.smin < -MOST_OFFSET || range.smax > MOST_OFFSET {
            return Err(Rule::Unbounded { kind }.into());
        }
        Ok(Pointer { off, ..pointer })
    }

    fn atomics(&mut self, state: &mut State, insn: Insn) -> Done<()> {
        let width = insn.width();
        if insn.imm == op::LOAD_ACQ {
            let old = self.atomic(state, insn.src, insn.off, width, Access::Read)?;
            state.set(insn.dst, Value::Scalar(old));
            return Ok(());
        }
        for register in [Some(insn.src), (insn.imm == op::CMPXCHG).then_some(0)].into_iter().flatten() {
            match state.reg(register) {
                Value::Scalar(_) => {}
                Value::None => return Err(Rule::Unset { register }.into()),
                Value::Pointer(_) => return Err(Rule::Leak { register, to: "an atomic operation" }.into()),
            }
        }
        let old = self.atomic(state, insn.dst, insn.off, width, Access::ReadWrite)?;
        if insn.imm == op::CMPXCHG {
            state.set(0, Value::Scalar(old));
        } else if insn.imm & op::FETCH != 0 && insn.imm != op::STORE_REL {
            state.set(insn.src, Value::Scalar(old));
        }
        Ok(())
    }

    fn jump(&mut self, state: &mut State, insn: Insn) -> Done<Next> {
        let pc = state.pc;
        let target = || {
            crate::validate::target(pc, insn).and_then(|to| usize::try_from(to).ok()).unwrap_or(usize::MAX)
        };
        match insn.code {
            op::GOTO | op::GOTOL => {
                state.pc = target();
                // Loops without a branch are loops as well.
                state.jumps += 1;
                Ok(Next::On)
            }
            op::CALL_IMM if insn.src == pseudo::CALL_LOCAL => {
                if let Some(summary) = self.globals.get(&target()).map(Rc::clone) {
                    self.call_global(state, &summary)?;
                    return Ok(Next::On);
                }
                self.enter(state, target(), Entered::Call, pc)?;
                for register in 1..=5 {
                    let value = state.frames[state.frames.len() - 2].regs[register];
                    state.set(register as u8, value);
                }
                let caller = state.frames.len() - 2;
                state.frame_mut(caller).regs[..6].fill(Value::None);
                Ok(Next::On)
            }
            op::CALL_IMM => self.call(state, insn),
            op::EXIT_INSN => self.leave(state),
            op::MAY_GOTO => {
                // The way out first: what matters there is then known when rounds are compared.
                state.rounds += 1;
                let mut on = state.clone();
                on.pc += 1;
                self.joined = true;
                self.fork(on, false, pc)?;
                self.note(state, pc, true);
                state.pc = target();
                Ok(Next::On)
            }
            op::GOTOX => self.jump_table(state, insn),
            _ => self.branch(state, insn, target()),
        }
    }

    /// An indirect jump: to any place in the tables of the function. That the register holds one of them is checked
    /// when the program runs.
    fn jump_table(&mut self, state: &mut State, insn: Insn) -> Done<Next> {
        let pc = state.pc;
        let Value::Scalar(scalar) = state.reg(insn.dst) else {
            return Err(Rule::JumpTable { register: insn.dst }.into());
        };
        self.marks.mark(scalar.node);
        let mut targets: Vec<usize> = self.program.targets(pc).collect();
        targets.sort_unstable();
        targets.dedup();
        targets.retain(|&to| scalar.num.contains(to as u64));
        let Some(last) = targets.pop() else {
            return Err(Rule::JumpTable { register: insn.dst }.into());
        };
        for to in targets {
            let mut other = state.clone();
            other.pc = to;
            self.fork(other, true, pc)?;
        }
        self.note(state, pc, true);
        state.pc = last;
        Ok(Next::On)
    }

    /// A frame for a function.
    pub(super) fn enter(&mut self, state: &mut State, to: usize, entered: Entered, call: usize) -> Done<()> {
        if !state.can_enter() {
            return Err(Rule::TooDeep { limit: MAX_FRAMES }.into());
        }
        let depth = state.frames.len();
        self.deepest = self.deepest.max(depth + 1);
        state.frames.push(Rc::new(Frame::new(depth, call, entered)));
        state.pc = to;
        Ok(())
    }

    pub(super) fn leave(&mut self, state: &mut State) -> Done<Next> {
        let result = match state.reg(0) {
            Value::Pointer(pointer) if matches!(pointer.kind, Kind::Stack(depth) if usize::from(depth) + 1 == state.frames.len()) =>
            {
                return Err(Rule::Dangling { what: "return stack pointer to the caller" }.into());
            }
            value => value,
        };
        if state.frames.len() == 1 {
            return self.finish(state, result);
        }
        // What the frame holds on its own stack must not outlive it.
        let frame = &state.frames[state.frames.len() - 1];
        let holds = |entry: Entry<'_>| match entry.slot {
            Slot::Iter { .. } => true,
            Slot::Dynptr { state, .. } => state.reference != 0,
            _ => false,
        };
        if frame.entries().any(holds) {
            return Err(Rule::Unreleased { what: "an iterator or a record of the function that ends" }.into());
        }
        let (call, entered) = (frame.call, frame.entered);
        let gone: Vec<_> = frame
            .entries()
            .filter_map(|entry| match entry.slot {
                Slot::Dynptr { state, .. } => Some(state.id),
                _ => None,
            })
            .collect();
        // A key is lent to the callback alone.
        if let Entered::Callback(_) = entered {
            let lent = State::lent_key(state.frames.len());
            state.forget_pointers(|pointer| matches!(pointer.kind, Kind::Key(_)) && pointer.object == lent);
        }
        state.frames.pop();
        if !gone.is_empty() {
            state.forget_pointers(|pointer| pointer.is_slice_of(&gone));
        }
        match entered {
            Entered::Call => {
                let stale = matches!(result, Value::Pointer(pointer) if pointer.is_slice_of(&gone));
                let result = if stale { Value::None } else { result };
                state.set(0, result);
                state.pc = call + 1;
            }
            Entered::Callback(_) => {
                let Value::Scalar(scalar) = result else {
                    return Err(Rule::Unset { register: 0 }.into());
                };
                self.marks.mark(scalar.node);
                if scalar.num.full.smin < 0 || scalar.num.full.smax > 1 {
                    return Err(Rule::Return { at: "callback return", min: 0, max: 1 }.into());
                }
                // Once more, or on.
                state.pc = call;
                state.rounds += 1;
            }
        }
        Ok(Next::On)
    }

    /// The end of the program.
    fn finish(&mut self, state: &mut State, result: Value) -> Done<Next> {
        let void = |function: &Function| function.signature.as_ref().is_some_and(|signature| signature.void);
        match result {
            Value::Scalar(scalar) => self.returns(&scalar)?,
            Value::None if self.function.is_some_and(void) => {}
            Value::None => return Err(Rule::Unset { register: 0 }.into()),
            Value::Pointer(_) => return Err(Rule::Leak { register: 0, to: "the return value" }.into()),
        }
        if state.lock.is_some() {
            return Err(Rule::Locked { what: "the end of the program" }.into());
        }
        if !state.references.is_empty() {
            return Err(Rule::Unreleased { what: "a ring-buffer record or an iterator" }.into());
        }
        Ok(Next::End)
    }

    fn branch(&mut self, state: &mut State, insn: Insn, target: usize) -> Done<Next> {
        let pc = state.pc;
        let a = match state.reg(insn.dst) {
            Value::None => return Err(Rule::Unset { register: insn.dst }.into()),
            value => value,
        };
        let b = self.operand(state, insn)?;
        let low = insn.class() == op::JMP32;
        let Some(cond) = condition(insn.code & 0xf0) else {
            return Err(Rule::Instruction { code: insn.code }.into());
        };
        let register = (insn.code & op::X != 0).then_some(insn.src);
        // Of two numbers compared, which is greater is a fact, when it bounds neither by itself.
        let (mut a, mut b) = (a, b);
        let order = register.filter(|_| ordering(cond, low, &a, &b));
        if let Some(register) = order {
            self.link(state, insn.dst);
            self.link(state, register);
            (a, b) = (state.reg(insn.dst), state.reg(register));
        }
        // Before there are two of it.
        self.forget_slots(state, state.frames.len() - 1);
        let (mut taken, mut on) = (None, None);
        let itself = match (&a, &b) {
            (Value::Scalar(x), Value::Scalar(y)) if register == Some(insn.dst) || are_same(x, y, low) => {
                cond.of_itself()
            }
            _ => None,
        };
        let (may, may_not) = match (a, b) {
            (Value::Scalar(x), Value::Scalar(y)) if let Some(holds) = itself => {
                // What links them decided.
                self.marks.mark(x.node);
                self.marks.mark(y.node);
                (holds, !holds)
            }
            (Value::Scalar(x), Value::Scalar(y)) => {
                let yes = Number::when(cond, &x.num, &y.num, low);
                let no = Number::when(cond.negated(), &x.num, &y.num, low);
                let mut may = yes.is_some();
                if let Some((p, q)) = yes {
                    // What is certain needs no second state.
                    let of = match no {
                        Some(_) => taken.insert(state.clone()),
                        None => &mut *state,
                    };
                    may = self.learn(of, insn.dst, x, p, y)
                        && register.is_none_or(|r| self.learn(of, r, y, q, x));
                }
                let mut may_not = no.is_some();
                if let Some((p, q)) = no {
                    may_not = self.learn(state, insn.dst, x, p, y)
                        && register.is_none_or(|r| self.learn(state, r, y, q, x));
                }
                if let (Some(register), true, Some(taken)) = (order, may && may_not, &mut taken) {
                    self.order(taken, cond, insn.dst, register);
                    self.order(state, cond.negated(), insn.dst, register);
                }
                self.follow_facts(state);
                if let Some(taken) = &mut taken {
                    self.follow_facts(taken);
                }
                if may != may_not {
                    // It was decided, so the numbers matter.
                    self.marks.mark(x.node);
                    self.marks.mark(y.node);
                }
                (may, may_not)
            }
            (Value::Pointer(pointer), Value::Scalar(number)) if !low && number.value() == Some(0) => {
                let is_null = matches!(cond, Cond::Eq | Cond::Le);
                let is_not = matches!(cond, Cond::Ne | Cond::Gt);
                self.marks.mark(number.node);
                if !is_null && !is_not {
                    (true, true)
                } else if pointer.null == 0 {
                    (is_not, is_null)
                } else {
                    self.resolve(taken.insert(state.clone()), pointer.null, is_null);
                    self.resolve(state, pointer.null, is_not);
                    (true, true)
                }
            }
            (Value::Pointer(p), Value::Pointer(q)) if !low && matches!(cond, Cond::Eq | Cond::Ne) => {
                // One that is not null makes one that may be, if they are the same, not null.
                let taken = taken.insert(state.clone());
                let same = if cond == Cond::Eq { taken } else { &mut *state };
                match (p.null, q.null) {
                    (0, null) | (null, 0) if null != 0 && p.kind == q.kind => self.resolve(same, null, false),
                    _ => {}
                }
                (true, true)
            }
            _ => (true, true),
        };
        if may {
            if may_not {
                let mut taken = taken.unwrap_or_else(|| state.clone());
                taken.pc = target;
                on = Some(taken);
            } else {
                if let Some(taken) = taken {
                    *state = taken;
                }
                state.pc = target;
                state.jumps += 1;
                return Ok(Next::On);
            }
        } else if !may_not {
            // A contradiction between linked numbers: nothing comes here.
            return Ok(Next::End);
        }
        state.pc = pc + 1;
        if let Some(mut taken) = on {
            // Ways out of loops first, so that few are waiting.
            let leaves = self.flow.leaves[pc];
            if leaves {
                std::mem::swap(state, &mut taken);
            }
            self.fork(taken, !leaves, pc)?;
            self.note(state, pc, leaves);
        } else {
            state.jumps += 1;
        }
        Ok(Next::On)
    }

    /// Remembers what a comparison of two registers says of their order.
    fn order(&mut self, state: &mut State, cond: Cond, a: u8, b: u8) {
        match cond {
            Cond::Lt | Cond::Slt => self.ordered(state, a, b, true),
            Cond::Le | Cond::Sle => self.ordered(state, a, b, false),
            Cond::Gt | Cond::Sgt => self.ordered(state, b, a, true),
            Cond::Ge | Cond::Sge => self.ordered(state, b, a, false),
            _ => {}
        }
    }

    /// A number was learned more of, by comparing it with `other`: so were those linked with it. Whether that can be.
    fn learn(&mut self, state: &mut State, register: u8, old: Scalar, num: Number, other: Scalar) -> bool {
        if num == old.num {
            return true;
        }
        let node = self.marks.join(old.node, other.node);
        let learned = Scalar { num, node, ..old };
        state.set(register, Value::Scalar(learned));
        self.spread(state, &old, num, node)
    }

    /// What was learned of a number is known of those linked with it. Whether that can be.
    pub(super) fn spread(&mut self, state: &mut State, old: &Scalar, num: Number, node: u32) -> bool {
        if old.id == 0 && old.half == 0 {
            return true;
        }
        let mut possible = true;
        let marks = &mut self.marks;
        state.change_linked(old, |scalar, register| {
            let known = if old.id != 0 && scalar.id == old.id {
                match scalar.delta.wrapping_sub(old.delta) {
                    0 if scalar.num == old.num => Some(num),
                    by => scalar.num.intersect(&Number::apply(Op::Add, &num, &Number::constant(by))),
                }
            } else if old.half != 0 && scalar.half == old.half {
                let by = scalar.half_delta.wrapping_sub(old.half_delta);
                let low = num.low.add(&Num::constant(by.into()));
                scalar.num.intersect(&Number { low, ..Number::ANY })
            } else {
                return;
            };
            match known {
                Some(known) if known != scalar.num => {
                    scalar.num = known;
                    scalar.node = marks.join(scalar.node, node);
                }
                Some(_) => {}
                None if register => {
                    // It decided, as much as the number compared.
                    marks.mark(scalar.node);
                    possible = false;
                }
                // A slot that nobody reads is not compared, so nothing follows from it.
                None => {}
            }
        });
        if old.id != 0 {
            self.spread_to_pointers(state, old, &num, node);
        }
        if !possible {
            // What decided is what both are made of.
            self.marks.mark(node);
        }
        possible
    }

    /// Pointers that are null together are, or are not.
    pub(super) fn resolve(&mut self, state: &mut State, null: u32, is_null: bool) {
        let mut references = Vec::new();
        let same = |value: &Value| matches!(value, Value::Pointer(pointer) if pointer.null == null);
        state.change(same, |value| {
            if let Value::Pointer(pointer) = value {
                if is_null {
                    if let Kind::Record { reference, .. } = pointer.kind {
                        references.push(reference);
                    }
                    *value = Value::constant(0);
                } else {
                    pointer.null = 0;
                }
            }
        });
        state.references.retain(|held| !references.contains(held));
    }
}

/// Whether two numbers, or their lower halves, are the same for certain.
fn are_same(a: &Scalar, b: &Scalar, low: bool) -> bool {
    let linked = a.id != 0 && a.id == b.id;
    if low {
        linked && a.delta as u32 == b.delta as u32
            || a.half != 0 && a.half == b.half && a.half_delta == b.half_delta
    } else {
        linked && a.delta == b.delta
    }
}

/// Whether a comparison tells the order of two unsigned numbers of 64 bits, both unknown.
fn ordering(cond: Cond, low: bool, a: &Value, b: &Value) -> bool {
    let (Value::Scalar(a), Value::Scalar(b)) = (a, b) else { return false };
    let within = |most: u64| a.num.full.umax <= most && b.num.full.umax <= most;
    let fits = match cond {
        Cond::Lt | Cond::Le | Cond::Gt | Cond::Ge => !low || within(u32::MAX.into()),
        Cond::Slt | Cond::Sle | Cond::Sgt | Cond::Sge if low => within(i32::MAX as u64),
        Cond::Slt | Cond::Sle | Cond::Sgt | Cond::Sge => within(i64::MAX as u64),
        _ => false,
    };
    fits && a.value().is_none() && b.value().is_none()
}

/// The lower half, keeping links where they hold.
fn truncated(scalar: &Scalar) -> Scalar {
    if scalar.num.full.umax <= u64::from(u32::MAX) {
        return *scalar;
    }
    Scalar::with_half_of(scalar.num.truncate(), scalar)
}

fn arithmetic(register: u8, what: &'static str) -> Box<Rule> {
    Rule::Arithmetic { register, what }.into()
}

fn operation(code: u8, variant: i16) -> Option<Op> {
    Some(match (code, variant) {
        (op::ADD, 0) => Op::Add,
        (op::SUB, 0) => Op::Sub,
        (op::MUL, 0) => Op::Mul,
        (op::DIV, 0) => Op::Div,
        (op::DIV, 1) => Op::Sdiv,
        (op::MOD, 0) => Op::Mod,
        (op::MOD, 1) => Op::Smod,
        (op::OR, 0) => Op::Or,
        (op::AND, 0) => Op::And,
        (op::XOR, 0) => Op::Xor,
        (op::LSH, 0) => Op::Lsh,
        (op::RSH, 0) => Op::Rsh,
        (op::ARSH, 0) => Op::Arsh,
        _ => return None,
    })
}

/// Byte order: `le` cuts, `be` and `bswap` turn bytes around.
fn byte_order(insn: Insn, num: &Number, full: bool) -> Number {
    let bits = insn.imm as u32;
    let turns = full || insn.code & op::X != 0;
    match num.value() {
        Some(value) => {
            let value = if turns { value.swap_bytes() >> (64 - bits.clamp(16, 64)) } else { value };
            Number::constant(if bits >= 64 { value } else { value & ((1 << bits) - 1) })
        }
        None if turns => {
            let turned = |known: u64| known.swap_bytes() >> (64 - bits.clamp(16, 64));
            let known = Tnum { value: turned(num.full.bits.value), mask: turned(num.full.bits.mask) };
            Number::from_full(Num { bits: known, ..Num::ANY })
        }
        None => num.zero_extend(bits),
    }
}

fn condition(code: u8) -> Option<Cond> {
    Some(match code {
        op::JEQ => Cond::Eq,
        op::JNE => Cond::Ne,
        op::JGT => Cond::Gt,
        op::JGE => Cond::Ge,
        op::JLT => Cond::Lt,
        op::JLE => Cond::Le,
        op::JSGT => Cond::Sgt,
        op::JSGE => Cond::Sge,
        op::JSLT => Cond::Slt,
        op::JSLE => Cond::Sle,
        op::JSET => Cond::Set,
        _ => return None,
    })
}
