//! Calls: of functions of the program, of helpers and kfuncs, and helpers that need no call.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, InstBuilder, Signature, Type, Value, types};
use cranelift_codegen::isa::CallConv;

use super::CompileError;
use super::entry::Shim;
use super::shape::{Needs, Site};
use super::translate::{Translator, memory, own};
use crate::contract::Callable;
use crate::interp::compiled::{NEXT_FRAME, Reason};
use crate::maps::{Map, MapKind};

/// Arguments of a helper: R1 to R5.
const MAX_ARGS: u8 = 5;

impl Translator<'_, '_> {
    /// Translates a call. Whether control goes on with the next instruction.
    pub(super) fn call(&mut self, slot: usize) -> Result<bool, CompileError> {
        let map = |index: u32| {
            let no_map = CompileError::NoSuchMap { slot, index: index as i32 };
            self.source.program.maps.get(index as usize).ok_or(no_map)
        };
        match self.source.shapes.sites.get(&slot) {
            None => return Err(CompileError::UnknownCall { slot }),
            Some(&Site::Local(callee)) => self.call_local(slot, callee),
            Some(&Site::Out(callable)) => self.call_out(slot, callable),
            Some(&Site::Array(index)) => {
                let map = map(index)?;
                return Ok(self.array(slot, map));
            }
            Some(&Site::Hash(index)) => {
                let map = map(index)?;
                self.hash(map);
            }
            Some(Site::Slot) => {
                let worker = self.worker();
                let number = self.b.ins().load(types::I64, memory(), worker, own!(slot));
                self.set(0, number);
            }
        }
        Ok(true)
    }

    fn call_local(&mut self, slot: usize, index: usize) {
        let callee = &self.source.shapes.functions[index];
        if callee.is_charged() {
            self.charge(callee.cost, slot);
        }
        if self.source.shapes.deep {
            let (worker, frame) = (self.worker(), self.need(self.frame));
            let last = self.b.ins().load(types::I64, memory(), worker, own!(notes.last_frame));
            let too_deep = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, frame, last);
            let (stop, next) = (self.b.create_block(), self.b.create_block());
            self.b.set_cold_block(stop);
            self.b.ins().brif(too_deep, stop, &[], next, &[]);
            self.b.switch_to_block(stop);
            self.b.seal_block(stop);
            self.end(Reason::TooDeep, slot);
            self.b.switch_to_block(next);
            self.b.seal_block(next);
        }
        let mut args: Vec<Value> = (1..=callee.args).map(|number| self.register(number as u8)).collect();
        if callee.needs.contains(Needs::FRAME) {
            let frame = self.need(self.frame);
            args.push(self.b.ins().iadd_imm_s(frame, NEXT_FRAME));
        }
        if callee.needs.contains(Needs::RUN) {
            args.push(self.need(self.run));
        }
        if callee.needs.contains(Needs::FUEL) {
            args.push(self.left());
        }
        let function = self.function(index);
        let call = self.b.ins().call(function, &args);
        let results = self.b.inst_results(call).to_vec();
        self.set(0, results[0]);
        if let (Some(fuel), Some(&left)) = (self.fuel, results.get(1)) {
            self.b.def_var(fuel, left);
            let over = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, left, 0);
            self.leave_if(over);
        }
    }

    /// A helper or kfunc, called as the interpreter calls it.
    fn call_out(&mut self, slot: usize, callable: &'static Callable) {
        let (run, frame, left) = (self.need(self.run), self.need(self.frame), self.left());
        let worker = self.worker();
        self.b.ins().store(memory(), left, worker, own!(notes.fuel));
        self.b.ins().store(memory(), frame, worker, own!(notes.frame));
        let mut args = vec![run, self.b.ins().iconst(types::I64, std::ptr::from_ref(callable) as i64)];
        for number in 1..=MAX_ARGS {
            args.push(if usize::from(number) <= callable.args.len() {
                self.register(number)
            } else {
                self.b.ins().iconst(types::I64, 0)
            });
        }
        let results = self.call_rust(Shim::CallOut, &[types::I64; 2], &args);
        self.set(0, results[0]);
        if let Some(fuel) = self.fuel {
            self.b.def_var(fuel, results[1]);
        }
        let over = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, results[1], 0);
        self.end_call_if(over, slot);
    }

    fn call_rust(&mut self, shim: Shim, returns: &[Type], args: &[Value]) -> Vec<Value> {
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params = args.iter().map(|&arg| AbiParam::new(self.b.func.dfg.value_type(arg))).collect();
        signature.returns = returns.iter().map(|&ty| AbiParam::new(ty)).collect();
        let signature = self.b.import_signature(signature);
        let callee = self.b.ins().iconst(types::I64, shim.addr());
        let call = self.b.ins().call_indirect(signature, callee, args);
        self.b.inst_results(call).to_vec()
    }

    /// `bpf_map_lookup_elem` in an array. If the next instruction asks whether there is a value, that is
    /// answered at once. Whether control goes on with the next instruction.
    fn array(&mut self, slot: usize, map: &Map) -> bool {
        let null = self.b.ins().iconst(types::I64, 0);
        let Some(values) = map.values(0) else {
            self.set(0, null);
            return true;
        };
        let key = self.register(2);
        let index = self.b.ins().load(types::I32, memory(), key, 0);
        let entries = (values.window.len() / values.stride) as i64;
        let found = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, index, entries);
        let own = (map.spec().kind == MapKind::PerCpuArray).then(|| self.own_slot(map.slots()));
        let after = self.null_check_after(slot);
        let (hit, miss) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(found, hit, &[], miss, &[]);
        let (if_null, if_found) = after.unwrap_or_else(|| {
            let next = self.b.create_block();
            (next, next)
        });
        self.b.switch_to_block(miss);
        self.b.seal_block(miss);
        self.set(0, null);
        self.b.ins().jump(if_null, &[]);
        self.b.switch_to_block(hit);
        self.b.seal_block(hit);
        let mut first = self.b.ins().iconst(types::I64, values.window.addr() as i64);
        if let Some(slot) = own {
            let distance = map.values(1).map_or(0, |next| next.window.addr() - values.window.addr());
            let off = self.b.ins().imul_imm_s(slot, distance as i64);
            first = self.b.ins().iadd(first, off);
        }
        let index = self.b.ins().uextend(types::I64, index);
        let off = self.b.ins().imul_imm_s(index, values.stride as i64);
        let value = self.b.ins().iadd(first, off);
        self.set(0, value);
        self.b.ins().jump(if_found, &[]);
        if after.is_some() {
            return false;
        }
        self.b.switch_to_block(if_found);
        self.b.seal_block(if_found);
        true
    }

    /// The slot of the running thread in a map that has `slots` of them; threads past the last share.
    fn own_slot(&mut self, slots: usize) -> Value {
        let worker = self.worker();
        let slot = self.b.ins().load(types::I64, memory(), worker, own!(slot));
        let (past, own) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(past);
        let result = self.b.append_block_param(own, types::I64);
        let exists = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, slot, slots as i64);
        self.b.ins().brif(exists, own, &[slot.into()], past, &[]);
        self.b.switch_to_block(past);
        self.b.seal_block(past);
        let shared = self.b.ins().urem_imm_u(slot, slots as i64);
        self.b.ins().jump(own, &[shared.into()]);
        self.b.switch_to_block(own);
        self.b.seal_block(own);
        result
    }

    /// `bpf_map_lookup_elem` in a map that finds values by what is in their keys.
    fn hash(&mut self, map: &Map) {
        let key = self.register(2);
        let (shim, key) = match map.spec().key_size {
            4 => (Shim::Lookup4, self.b.ins().load(types::I32, memory(), key, 0)),
            8 => (Shim::Lookup8, self.b.ins().load(types::I64, memory(), key, 0)),
            _ => (Shim::Lookup, key),
        };
        let slot = if map.spec().kind.is_per_cpu() {
            let worker = self.worker();
            self.b.ins().load(types::I64, memory(), worker, own!(slot))
        } else {
            self.b.ins().iconst(types::I64, 0)
        };
        let map = self.b.ins().iconst(types::I64, std::ptr::from_ref(map) as i64);
        let results = self.call_rust(shim, &[types::I64], &[map, key, slot]);
        self.set(0, results[0]);
    }
}
