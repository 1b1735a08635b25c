//! Random programs that call: helpers on maps, rings and dynptrs, functions, global ones among them, and callbacks.
//!
//! R6 is 64 bytes of memory, R8 a value of a map of 48, R9 what a statement works with while others go on; R7 is for
//! whoever needs it.

use fuse_bpf_vm::insn::{Insn, op, pseudo};
use fuse_bpf_vm::program::{Argument, Function, Signature};

use crate::make::{Maker, Random};

/// Bytes of memory a program is given, and of the value of [`INPUT`].
pub(crate) const MEMORY: u32 = 64;
/// Bytes of the values of other maps.
pub(crate) const VALUE: u32 = 48;

/// The maps of every program, by index.
pub(crate) const SINGLE: i32 = 0;
pub(crate) const HASH: i32 = 1;
pub(crate) const ARRAY: i32 = 2;
pub(crate) const RING: i32 = 3;
pub(crate) const INPUT: i32 = 4;

/// Where things are on the stack that plain statements leave alone: below [`OPEN`].
const KEY: i16 = -416;
const DYNPTR: i16 = -432;
const CLONE: i16 = -448;
const ITERATOR: i16 = -456;
const RECORD: i16 = -472;
const ROUND: i16 = -480;
/// The last bytes of stack plain statements use.
const OPEN: i16 = -400;

/// What may be called, by the number of the helper.
mod helper {
    pub(super) const LOOKUP: i32 = 1;
    pub(super) const UPDATE: i32 = 2;
    pub(super) const DELETE: i32 = 3;
    pub(super) const RINGBUF_OUTPUT: i32 = 130;
    pub(super) const RINGBUF_RESERVE: i32 = 131;
    pub(super) const RINGBUF_SUBMIT: i32 = 132;
    pub(super) const RINGBUF_DISCARD: i32 = 133;
    pub(super) const FOR_EACH_MAP_ELEM: i32 = 164;
    pub(super) const LOOP: i32 = 181;
    pub(super) const DYNPTR_FROM_MEM: i32 = 197;
    pub(super) const RINGBUF_RESERVE_DYNPTR: i32 = 198;
    pub(super) const RINGBUF_SUBMIT_DYNPTR: i32 = 199;
    pub(super) const RINGBUF_DISCARD_DYNPTR: i32 = 200;
    pub(super) const DYNPTR_READ: i32 = 201;
    pub(super) const DYNPTR_WRITE: i32 = 202;
    pub(super) const DYNPTR_DATA: i32 = 203;
}

/// Kinds of statements beside those of [`Maker`], and how often each is made.
type Kind = (u64, fn(&mut Writer<'_>));
const KINDS: &[Kind] = &[
    (40, |writer| writer.plain()),
    (4, |writer| writer.branch()),
    (4, |writer| writer.lookup()),
    (2, |writer| writer.update()),
    (2, |writer| writer.delete()),
    (3, |writer| writer.record()),
    (1, |writer| writer.output()),
    (3, |writer| writer.dynptr_of_value()),
    (2, |writer| writer.dynptr_of_record()),
    (2, |writer| writer.iterator()),
    (2, |writer| writer.looped()),
    (1, |writer| writer.for_each()),
    (2, |writer| writer.call()),
    (2, |writer| writer.call_global()),
    (1, |writer| writer.mistake()),
];

/// What a function that is still to be written is called for.
#[derive(Debug, Clone)]
enum Called {
    /// By a call: 32 bytes of the caller's stack, a number, a value of a map.
    Here,
    /// By what its signature says.
    Global(Signature),
    /// By `bpf_loop`.
    Loop,
    /// For each entry of a map.
    Element { map: i32 },
}

/// A program that is made statement by statement, its functions behind each other.
pub(crate) struct Writer<'r> {
    maker: Maker<'r>,
    /// Slots that name functions which are still to be written.
    pending: Vec<(usize, Called)>,
    /// How many statements lie around the next.
    depth: u32,
    /// What is in use and cannot be used by a statement inside.
    busy: Vec<i16>,
    /// Whether the dynptr in use was cloned.
    cloned: bool,
}

/// The next program and its functions.
pub(crate) fn write(random: &mut Random) -> (Vec<Insn>, Vec<Function>) {
    let maker = Maker { random, code: Vec::new(), objects: Vec::new(), aligned: false };
    let mut writer = Writer { maker, pending: Vec::new(), depth: 0, busy: Vec::new(), cloned: false };
    let statements = 4 + writer.below(14);
    writer.copy(6, 1);
    writer.function(statements);
    let mut functions = vec![Function { start: 0, name: "random".into(), ..Function::default() }];
    let mut written = 0;
    while let Some((slot, called)) = writer.pending.get(written).cloned() {
        let start = writer.maker.code.len();
        writer.maker.code[slot].imm = (start - slot - 1) as i32;
        let signature = if let Called::Global(signature) = &called { Some(signature.clone()) } else { None };
        functions.push(Function { start, name: format!("f{written}"), signature });
        writer.callee(&called);
        written += 1;
    }
    (writer.maker.code, functions)
}

impl Writer<'_> {
    fn push(&mut self, code: u8, dst: u8, src: u8, off: i16, imm: i32) {
        self.maker.push(code, dst, src, off, imm);
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.maker.random.below(limit)
    }

    fn copy(&mut self, dst: u8, src: u8) {
        self.push(op::ALU64 | op::MOV | op::X, dst, src, 0, 0);
    }

    fn set(&mut self, dst: u8, imm: i32) {
        self.push(op::ALU64 | op::MOV, dst, 0, 0, imm);
    }

    fn stack(&mut self, dst: u8, off: i16) {
        self.copy(dst, 10);
        self.push(op::ALU64 | op::ADD, dst, 0, 0, off.into());
    }

    fn wide(&mut self, dst: u8, kind: u8, imm: i32) {
        self.push(op::LDDW, dst, kind, 0, imm);
        self.push(0, 0, 0, 0, 0);
    }

    fn helper(&mut self, id: i32) {
        self.push(op::CALL_IMM, 0, pseudo::CALL_HELPER, 0, id);
    }

    fn kfunc(&mut self, name: &str) {
        let index = fuse_bpf_vm::helpers::KFUNCS.iter().position(|kfunc| kfunc.name == name).unwrap();
        self.push(op::CALL_IMM, 0, pseudo::CALL_KFUNC, 0, index as i32);
    }

    /// Numbers in the registers a call leaves with nothing.
    fn numbers(&mut self) {
        self.maker.numbers(6, MEMORY as i16);
    }

    /// A function, but for what it does with its arguments: R6 is set.
    fn function(&mut self, statements: u64) {
        self.maker.objects = vec![(6, 0, MEMORY as i16), (8, 0, VALUE as i16), (10, -40, 0), (10, OPEN, 0)];
        self.wide(8, pseudo::MAP_VALUE, SINGLE);
        self.numbers();
        for _ in 0..statements {
            self.statement();
        }
        self.push(op::EXIT_INSN, 0, 0, 0, 0);
    }

    fn statement(&mut self) {
        let all: u64 = KINDS.iter().map(|(weight, _)| weight).sum();
        let mut at = self.below(all);
        for (weight, make) in KINDS {
            if at < *weight {
                return make(self);
            }
            at -= weight;
        }
    }

    fn plain(&mut self) {
        // Rounds need R9.
        let depth = if self.busy.is_empty() { 2 } else { 0 };
        self.maker.statement(depth);
    }

    /// Statements in a statement.
    fn inner(&mut self, most: u64) {
        if self.depth == 3 {
            return self.maker.alu();
        }
        self.depth += 1;
        for _ in 0..1 + self.below(most) {
            self.statement();
        }
        self.depth -= 1;
    }

    /// Lets the jump at a slot lead here.
    fn land(&mut self, jump: usize) {
        self.maker.code[jump].off = (self.maker.code.len() - jump - 1) as i16;
    }

    /// A jump that is taken if R0 is 0, seldom the other way round, and its slot. Now and then it is missing.
    fn unless_null(&mut self) -> Option<usize> {
        let slot = self.maker.code.len();
        match self.below(96) {
            0 => return None,
            1 => self.push(op::JMP | op::JNE, 0, 0, 0, 0),
            _ => self.push(op::JMP | op::JEQ, 0, 0, 0, 0),
        }
        Some(slot)
    }

    fn branch(&mut self) {
        let condition = self.maker.random.pick(&crate::make::CONDITIONS);
        let (number, imm) = (self.maker.random.number(), self.maker.random.imm());
        let jump = self.maker.code.len();
        self.push(op::JMP | condition, number, 0, 0, imm);
        self.inner(4);
        self.land(jump);
    }

    /// A map with entries, and its key in R2; the map itself in R1.
    fn key(&mut self) {
        let (map, size) = self.maker.random.pick(&[(HASH, op::DW), (ARRAY, op::W)]);
        if self.below(2) == 0 {
            let number = self.maker.random.number();
            let mask = self.maker.random.pick(&[3, 3, 3, 7]);
            self.push(op::ALU64 | op::AND, number, 0, 0, mask);
            self.push(op::STX | op::MEM | size, 10, number, KEY, 0);
        } else {
            let key = self.below(5) as i32;
            self.push(op::ST | op::MEM | size, 10, 0, KEY, key);
        }
        self.wide(1, pseudo::MAP, map);
        self.stack(2, KEY);
    }

    /// Another value in R8, if there is one.
    fn lookup(&mut self) {
        self.key();
        self.helper(helper::LOOKUP);
        if let Some(null) = self.unless_null() {
            self.copy(8, 0);
            self.numbers();
            if self.below(2) == 0 {
                let off = self.below(u64::from(VALUE) - 7) as i16;
                self.maker.access(8, off, op::DW);
            }
            self.land(null);
        } else {
            self.copy(8, 0);
        }
        self.numbers();
    }

    fn update(&mut self) {
        self.key();
        match self.below(3) {
            0 => self.copy(3, 8),
            _ => self.stack(3, -(VALUE as i16)),
        }
        let flags = self.below(3) as i32;
        self.set(4, flags);
        self.helper(helper::UPDATE);
        self.numbers();
    }

    fn delete(&mut self) {
        self.key();
        self.helper(helper::DELETE);
        self.numbers();
    }

    /// Runs `inside` with what is at a place of the stack in use; not twice at once.
    fn using(&mut self, place: i16, inside: impl FnOnce(&mut Self)) {
        if self.busy.contains(&place) || self.depth == 3 {
            return self.plain();
        }
        self.busy.push(place);
        inside(self);
        self.busy.pop();
    }

    /// Statements that may use the memory R9 is the address of, which is at a place of the stack as well.
    fn with_memory(&mut self, place: i16, len: i16) {
        self.push(op::STX | op::MEM | op::DW, 10, 9, place, 0);
        let objects = self.maker.objects.len();
        self.maker.objects.push((9, 0, len));
        self.maker.objects.push((9, 0, len));
        self.numbers();
        self.depth += 2;
        self.inner(4);
        self.depth -= 2;
        self.maker.objects.truncate(objects);
        self.push(op::LDX | op::MEM | op::DW, 9, 10, place, 0);
    }

    /// A record of the ring, written and given back.
    fn record(&mut self) {
        self.using(ROUND, |writer| {
            let len = writer.maker.random.pick(&[8, 12, 24, 40]);
            writer.wide(1, pseudo::MAP, RING);
            writer.set(2, len);
            writer.set(3, 0);
            writer.helper(helper::RINGBUF_RESERVE);
            let null = writer.unless_null();
            writer.copy(9, 0);
            // What other records held before is different from run to run.
            for off in (0..len).step_by(4) {
                writer.push(op::ST | op::MEM | op::W, 9, 0, off as i16, off);
            }
            writer.with_memory(RECORD, len as i16);
            let end = writer.maker.random.pick(&[helper::RINGBUF_SUBMIT, helper::RINGBUF_DISCARD]);
            if writer.below(32) != 0 {
                writer.copy(1, 9);
                writer.set(2, 0);
                writer.helper(end);
            }
            if let Some(null) = null {
                writer.land(null);
            }
            writer.push(op::ST | op::MEM | op::DW, 10, 0, RECORD, 0);
            writer.set(9, 0);
            writer.numbers();
        });
    }

    fn output(&mut self) {
        let len = 1 + self.below(40) as i16;
        self.wide(1, pseudo::MAP, RING);
        match self.below(2) {
            0 => self.stack(2, -len),
            _ => self.copy(2, 8),
        }
        self.set(3, len.into());
        self.set(4, 0);
        self.helper(helper::RINGBUF_OUTPUT);
        self.numbers();
    }

    fn dynptr_of_value(&mut self) {
        self.using(DYNPTR, |writer| {
            // None of no bytes: the engines refuse what the verifier accepts (`Call::lent`).
            let len = 1 + writer.below(u64::from(VALUE)) as i32;
            writer.copy(1, 8);
            writer.set(2, len);
            writer.set(3, 0);
            writer.stack(4, DYNPTR);
            writer.helper(helper::DYNPTR_FROM_MEM);
            writer.use_dynptr();
        });
    }

    fn dynptr_of_record(&mut self) {
        self.using(DYNPTR, |writer| {
            let len = writer.below(64) as i32;
            writer.wide(1, pseudo::MAP, RING);
            writer.set(2, len);
            writer.set(3, 0);
            writer.stack(4, DYNPTR);
            writer.helper(helper::RINGBUF_RESERVE_DYNPTR);
            // As for records.
            writer.stack(1, DYNPTR);
            writer.set(2, 0);
            writer.set(3, len);
            writer.set(4, 3);
            writer.kfunc("bpf_dynptr_memset");
            writer.use_dynptr();
            let ends = [helper::RINGBUF_SUBMIT_DYNPTR, helper::RINGBUF_DISCARD_DYNPTR];
            let end = writer.maker.random.pick(&ends);
            if writer.below(32) != 0 {
                writer.stack(1, DYNPTR);
                writer.set(2, 0);
                writer.helper(end);
                writer.numbers();
            }
        });
    }

    /// One to three uses of the dynptr.
    fn use_dynptr(&mut self) {
        self.cloned = false;
        for _ in 0..1 + self.below(3) {
            match self.below(6) {
                0 => self.dynptr_copied(helper::DYNPTR_READ),
                1 => self.dynptr_copied(helper::DYNPTR_WRITE),
                2 => self.dynptr_changed(),
                _ => self.slice(),
            }
        }
        self.numbers();
    }

    /// Bytes from the dynptr to the stack, or from there to it.
    fn dynptr_copied(&mut self, helper: i32) {
        let (len, off) = (1 + self.below(40) as i16, self.below(24) as i32);
        let (memory, dynptr) = if helper == helper::DYNPTR_READ { (1, 3) } else { (3, 1) };
        self.stack(memory, -len);
        self.set(memory + 1, len.into());
        self.stack(dynptr, DYNPTR);
        self.set(dynptr + 1, off);
        self.set(5, 0);
        self.helper(helper);
    }

    fn dynptr_changed(&mut self) {
        let (start, len) = (self.below(8) as i32, self.below(32) as i32);
        self.stack(1, DYNPTR);
        self.set(2, start);
        self.set(3, start + len);
        match self.below(3) {
            0 => self.kfunc("bpf_dynptr_adjust"),
            1 => {
                self.set(4, 7);
                self.kfunc("bpf_dynptr_memset");
            }
            _ => {
                self.stack(2, CLONE);
                self.kfunc("bpf_dynptr_clone");
                self.cloned = true;
            }
        }
    }

    /// Part of the dynptr's memory, or a copy of it.
    fn slice(&mut self) {
        let (off, len) = (self.below(16) as i32, self.maker.random.pick(&[1, 4, 8, 16]));
        let place = if self.cloned && self.below(2) == 0 { CLONE } else { DYNPTR };
        self.stack(1, place);
        self.set(2, off);
        self.set(3, len);
        let mut writable = true;
        if self.below(2) == 0 {
            self.helper(helper::DYNPTR_DATA);
        } else {
            match self.below(2) {
                0 => self.set(3, 0),
                _ => self.stack(3, -16),
            }
            self.set(4, len);
            writable = self.below(2) == 0;
            self.kfunc(if writable { "bpf_dynptr_slice_rdwr" } else { "bpf_dynptr_slice" });
        }
        if let Some(null) = self.unless_null() {
            self.copy(7, 0);
            self.numbers();
            for _ in 0..2 {
                let off = self.below(len as u64) as i16;
                if writable || self.below(24) == 0 {
                    self.maker.access(7, off, op::B);
                } else {
                    let number = self.maker.random.number();
                    self.push(op::LDX | op::MEM | op::B, number, 7, off, 0);
                }
            }
            self.land(null);
        }
    }

    /// A loop over numbers.
    fn iterator(&mut self) {
        self.using(ITERATOR, |writer| {
            let most = writer.below(6) as i32;
            writer.stack(1, ITERATOR);
            writer.set(2, 0);
            writer.set(3, most);
            writer.kfunc("bpf_iter_num_new");
            let head = writer.maker.code.len();
            writer.stack(1, ITERATOR);
            writer.kfunc("bpf_iter_num_next");
            let out = writer.maker.code.len();
            writer.push(op::JMP | op::JEQ, 0, 0, 0, 0);
            writer.push(op::LDX | op::MEM | op::W, 7, 0, 0, 0);
            writer.numbers();
            writer.copy(0, 7);
            writer.inner(3);
            let back = head as i16 - writer.maker.code.len() as i16 - 1;
            writer.push(op::GOTO, 0, 0, back, 0);
            writer.land(out);
            if writer.below(32) != 0 {
                writer.stack(1, ITERATOR);
                writer.kfunc("bpf_iter_num_destroy");
            }
            writer.numbers();
        });
    }

    /// Whether another function may be called from here.
    fn may_call(&self) -> bool {
        self.pending.len() < 4
    }

    /// Some of the stack, or nothing, for a callback in R3.
    fn context(&mut self) {
        match self.below(4) {
            0 => self.set(3, 0),
            _ => self.stack(3, -32),
        }
        self.set(4, 0);
    }

    fn callback(&mut self, called: Called) {
        self.pending.push((self.maker.code.len(), called));
        self.wide(2, pseudo::FUNC, 0);
    }

    fn looped(&mut self) {
        if !self.may_call() {
            return self.plain();
        }
        if self.below(2) == 0 {
            let number = self.maker.random.number();
            self.push(op::ALU64 | op::AND, number, 0, 0, 7);
            self.copy(1, number);
        } else {
            let most = self.below(6) as i32;
            self.set(1, most);
        }
        self.callback(Called::Loop);
        self.context();
        self.helper(helper::LOOP);
        self.numbers();
    }

    fn for_each(&mut self) {
        if !self.may_call() {
            return self.plain();
        }
        let map = self.maker.random.pick(&[HASH, ARRAY]);
        self.wide(1, pseudo::MAP, map);
        self.callback(Called::Element { map });
        self.context();
        self.helper(helper::FOR_EACH_MAP_ELEM);
        self.numbers();
    }

    fn call(&mut self) {
        if !self.may_call() {
            return self.plain();
        }
        let number = self.maker.random.number();
        self.copy(2, number);
        self.stack(1, -32);
        self.copy(3, 8);
        self.call_local(Called::Here);
    }

    fn call_local(&mut self, called: Called) {
        self.pending.push((self.maker.code.len(), called));
        self.push(op::CALL_IMM, 0, pseudo::CALL_LOCAL, 0, 0);
        if self.below(3) == 0 {
            // The result as an offset, as if it were known.
            self.copy(7, 6);
            self.push(op::ALU64 | op::AND, 0, 0, 0, 31);
            self.push(op::ALU64 | op::ADD | op::X, 7, 0, 0, 0);
            self.push(op::LDX | op::MEM | op::B, 0, 7, 0, 0);
        }
        self.numbers();
    }

    /// A number and some memory.
    fn call_global(&mut self) {
        if !self.may_call() {
            return self.plain();
        }
        let (size, nullable) = (8 + 8 * self.below(4), self.below(2) == 0);
        let number = self.maker.random.number();
        self.copy(1, number);
        match self.below(if nullable { 4 } else { 3 }) {
            0 => self.stack(2, -(size as i16)),
            1 => self.copy(2, 8),
            2 => self.copy(2, 6),
            _ => self.set(2, 0),
        }
        let args = vec![Argument::Scalar, Argument::Mem { size, nullable }];
        self.call_local(Called::Global(Signature { args, void: false }));
    }

    fn callee(&mut self, called: &Called) {
        let statements = match called {
            // Whether what is added to a hash meanwhile is visited is different from run to run.
            Called::Element { map: HASH } => 0,
            _ => 1 + self.below(4),
        };
        match called {
            Called::Here => {
                // A copy of each, the number in R9.
                self.copy(9, 2);
                let off = 8 * self.below(4) as i16;
                self.copy(7, 1);
                self.copy(8, 3);
                self.set(0, 0);
                self.push(op::LDX | op::MEM | op::DW, 1, 7, off, 0);
                self.push(op::STX | op::MEM | op::DW, 7, 9, off, 0);
                self.push(op::STX | op::MEM | op::DW, 8, 1, off, 0);
            }
            Called::Global(signature) => self.memory_given(signature),
            Called::Loop => {
                self.memory_of_callback(2);
                self.copy(9, 1);
            }
            Called::Element { .. } => {
                self.push(op::LDX | op::MEM | op::W, 9, 2, 0, 0);
                self.push(op::LDX | op::MEM | op::DW, 5, 3, 16, 0);
                self.push(op::STX | op::MEM | op::DW, 3, 9, 24, 0);
                self.memory_of_callback(4);
            }
        }
        self.wide(6, pseudo::MAP_VALUE, INPUT);
        self.function(statements);
        if matches!(called, Called::Loop | Called::Element { .. }) {
            self.maker.code.pop();
            self.push(op::ALU64 | op::AND, 0, 0, 0, 1);
            self.push(op::EXIT_INSN, 0, 0, 0, 0);
        }
    }

    /// Uses the memory of a global function.
    fn memory_given(&mut self, signature: &Signature) {
        let Some(&Argument::Mem { size, nullable }) = signature.args.get(1) else { return };
        let null = self.maker.code.len();
        if nullable {
            self.push(op::JMP | op::JEQ, 2, 0, 0, 0);
        }
        let wrong = u64::from(self.below(32) == 0);
        let off = self.below(size - 7 + wrong) as i16;
        self.push(op::LDX | op::MEM | op::DW, 3, 2, off, 0);
        self.push(op::STX | op::MEM | op::DW, 2, 1, off, 0);
        if self.below(2) == 0 {
            self.push(op::JMP | op::JGT, 1, 0, 2, size as i32 - 1);
            self.push(op::ALU64 | op::ADD | op::X, 2, 1, 0, 0);
            self.push(op::ST | op::MEM | op::B, 2, 0, 0, 7);
        }
        if nullable {
            self.land(null);
        }
    }

    /// Uses what a callback was handed, if it was anything.
    fn memory_of_callback(&mut self, register: u8) {
        let null = self.maker.code.len();
        self.push(op::JMP | op::JEQ, register, 0, 0, 0);
        let off = 8 * self.below(4) as i16;
        self.push(op::LDX | op::MEM | op::DW, 5, register, off, 0);
        self.push(op::ALU64 | op::ADD, 5, 0, 0, 1);
        self.push(op::STX | op::MEM | op::DW, register, 5, off, 0);
        self.land(null);
    }

    /// Something that is wrong most of the time.
    fn mistake(&mut self) {
        if self.below(3) != 0 {
            return self.plain();
        }
        match self.below(7) {
            0 => {
                self.copy(1, 9);
                self.set(2, 0);
                self.helper(helper::RINGBUF_SUBMIT);
                self.numbers();
            }
            1 => self.push(op::LDX | op::MEM | op::DW, 0, 8, VALUE as i16 - 4, 0),
            2 => self.push(op::STX | op::MEM | op::DW, 6, 8, 0, 0),
            3 => self.push(op::ST | op::MEM | op::DW, 10, 0, DYNPTR, 0),
            4 => self.push(op::LDX | op::MEM | op::DW, 0, 10, RECORD, 0),
            5 => self.push(op::STX | op::MEM | op::DW, 10, 0, ITERATOR, 0),
            _ => self.slice(),
        }
    }
}
