//! Random programs that every engine has to run the same way.

use fuse_bpf_vm::insn::{Insn, op};

use crate::build::*;

/// Bytes of the stack programs use.
const STACK: i16 = 64;

/// Makes programs the kernel's verifier takes: everything is set before it is used, jumps go
/// forward, shifts and divisors are in range where they are immediates.
pub(crate) struct Generator {
    pub(crate) state: u64,
    /// Whether the kernel knows sign extension, signed division and long jumps.
    pub(crate) v4: bool,
    /// Whether it knows loads with acquire and stores with release ordering.
    pub(crate) ordered: bool,
}

impl Generator {
    pub(crate) fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 32) % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 1
    }

    fn register(&mut self) -> u8 {
        self.below(10) as u8
    }

    /// A number that is likely to be at some edge.
    fn value(&mut self) -> u64 {
        match self.below(6) {
            0 => self.next(),
            1 => self.below(8),
            2 => self.below(8).wrapping_neg(),
            3 => 1 << self.below(64),
            4 => (1u64 << self.below(64)).wrapping_sub(1),
            _ => self.next() as u32 as u64,
        }
    }

    fn size(&mut self) -> (u8, i16) {
        self.pick(&[(op::B, 1), (op::H, 2), (op::W, 4), (op::DW, 8)])
    }

    /// An aligned offset from the frame pointer.
    fn place(&mut self, size: i16) -> i16 {
        -size * (1 + self.below((STACK / size) as u64) as i16)
    }

    fn alu(&mut self) -> Insn {
        let wide = self.flip();
        let class = if wide { op::ALU64 } else { op::ALU };
        let bits = if wide { 64 } else { 32 };
        let (dst, src) = (self.register(), self.register());
        let operation = self.pick(&[
            op::ADD,
            op::SUB,
            op::MUL,
            op::DIV,
            op::OR,
            op::AND,
            op::LSH,
            op::RSH,
            op::NEG,
            op::MOD,
            op::XOR,
            op::MOV,
            op::ARSH,
            op::END,
        ]);
        let x = self.flip();
        match operation {
            op::NEG => insn(class | op::NEG, dst, 0, 0, 0),
            op::END => {
                let width = self.pick(&[16, 32, 64]);
                if wide && self.v4 {
                    insn(op::ALU64 | op::END, dst, 0, 0, width)
                } else {
                    insn(op::ALU | op::END | if x { op::X } else { 0 }, dst, 0, 0, width)
                }
            }
            op::MOV if x && self.v4 && self.flip() => {
                let off = if wide { self.pick(&[8, 16, 32]) } else { self.pick(&[8, 16]) };
                insn(class | op::MOV | op::X, dst, src, off, 0)
            }
            op::LSH | op::RSH | op::ARSH if !x => insn(class | operation, dst, 0, 0, self.below(bits) as i32),
            op::DIV | op::MOD => {
                let off = i16::from(self.v4 && self.flip());
                if x {
                    insn(class | operation | op::X, dst, src, off, 0)
                } else {
                    let imm = self.value() as i32;
                    insn(class | operation, dst, 0, off, if imm == 0 { 3 } else { imm })
                }
            }
            _ if x => insn(class | operation | op::X, dst, src, 0, 0),
            _ => insn(class | operation, dst, 0, 0, self.value() as i32),
        }
    }

    fn memory(&mut self) -> Vec<Insn> {
        let (size, bytes) = self.size();
        let off = self.place(bytes);
        let register = self.register();
        match self.below(4) {
            0 => code![load(size, register, 10, off)],
            1 if self.v4 && size != op::DW => {
                code![insn(op::LDX | op::MEMSX | size, register, 10, off, 0)]
            }
            1 => code![store_imm(size, 10, off, self.value() as i32)],
            2 => code![store(size, 10, register, off)],
            _ => {
                // Through another register, which is a number again afterwards.
                let base = self.pick(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
                let shift = self.below(32) as i16 - 16;
                code![
                    copy(base, 10),
                    add(base, shift.into()),
                    store_imm(size, base, off - shift, self.value() as i32),
                    load(size, base, base, off - shift)
                ]
            }
        }
    }

    fn atomic(&mut self) -> Vec<Insn> {
        if self.ordered && self.below(4) == 0 {
            let (size, bytes) = self.size();
            let off = self.place(bytes);
            let register = self.register();
            return if self.flip() {
                code![atomic(size, op::LOAD_ACQ, register, 10, off)]
            } else {
                code![atomic(size, op::STORE_REL, 10, register, off)]
            };
        }
        let (size, bytes) = self.pick(&[(op::W, 4), (op::DW, 8)]);
        let off = self.place(bytes);
        let imm = self.pick(&[0, 1, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, op::XCHG, op::CMPXCHG]);
        let source = self.register();
        if self.flip() {
            return code![atomic(size, imm, 10, source, off)];
        }
        let base = self.pick(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let source = if source == base { (base + 1) % 10 } else { source };
        code![copy(base, 10), atomic(size, imm, base, source, off), mov(base, self.value() as i32)]
    }

    fn condition(&mut self, over: i16) -> Insn {
        let class = self.pick(&[op::JMP, op::JMP32]);
        let condition = self.pick(&[
            op::JEQ,
            op::JGT,
            op::JGE,
            op::JSET,
            op::JNE,
            op::JSGT,
            op::JSGE,
            op::JLT,
            op::JLE,
            op::JSLT,
            op::JSLE,
        ]);
        let (dst, src) = (self.register(), self.register());
        if self.flip() {
            insn(class | condition | op::X, dst, src, over, 0)
        } else {
            insn(class | condition, dst, 0, over, self.value() as i32)
        }
    }

    /// Straight code with jumps forward in it.
    fn body(&mut self, parts: u64) -> Vec<Insn> {
        let mut insns = Vec::new();
        for _ in 0..parts {
            match self.below(10) {
                0..5 => insns.push(self.alu()),
                5 => insns.extend(self.memory()),
                6 => insns.extend(self.atomic()),
                7 => {
                    let value = self.value();
                    insns.extend(wide(self.register(), value));
                }
                8 => {
                    let count = 1 + self.below(4);
                    let inner = self.body(count);
                    let over = inner.len() as i16;
                    insns.push(self.condition(over));
                    insns.extend(inner);
                }
                _ => {
                    // A loop that runs a few times. Its counter is on the stack, where the body does not
                    // write; R1 is set aside and, but for later rounds, the same in the body.
                    let count = 1 + self.below(4);
                    let inner: Vec<Insn> = (0..count).map(|_| self.alu()).collect();
                    let times = 1 + self.below(5) as i32;
                    let slot = -STACK - 8;
                    let mut round = code![
                        inner,
                        store(op::DW, 10, 1, slot - 8),
                        load(op::DW, 1, 10, slot),
                        add(1, -1),
                        store(op::DW, 10, 1, slot),
                    ];
                    let back = -(round.len() as i16) - 1;
                    round.push(jump(op::JNE, 1, 0, back));
                    insns.extend(code![
                        store_imm(op::DW, 10, slot, times),
                        round,
                        load(op::DW, 1, 10, slot - 8)
                    ]);
                }
            }
        }
        insns
    }

    /// Sets every register and the stack.
    fn prologue(&mut self) -> Vec<Insn> {
        let mut insns = Vec::new();
        for register in 0..10 {
            insns.extend(wide(register, self.value()));
        }
        for off in (8..=STACK).step_by(8) {
            insns.push(store(op::DW, 10, self.register(), -off));
        }
        insns
    }

    /// Folds every register and the stack into R0, and R0 into its low half.
    fn epilogue() -> Vec<Insn> {
        let mut insns = Vec::new();
        let mut take = |register| {
            insns.push(insn(op::ALU64 | op::MUL, 0, 0, 0, 31));
            insns.push(alu64(op::ADD, 0, register));
        };
        (1..10).for_each(&mut take);
        for off in (8..=STACK).step_by(8) {
            insns.push(load(op::DW, 1, 10, -off));
            insns.push(insn(op::ALU64 | op::MUL, 0, 0, 0, 31));
            insns.push(alu64(op::ADD, 0, 1));
        }
        insns.extend([copy(1, 0), insn(op::ALU64 | op::RSH, 1, 0, 0, 32), alu64(op::XOR, 0, 1), exit()]);
        insns
    }

    /// The next program.
    pub(crate) fn program(&mut self) -> Vec<Insn> {
        let parts = 1 + self.below(30);
        let mut main = self.prologue();
        main.extend(self.body(parts));
        let calls = self.below(3) == 0;
        let call_at = main.len();
        if calls {
            main.push(exit());
            (1..6).for_each(|register| main.push(copy(register, 0)));
        }
        let parts = self.below(8);
        main.extend(self.body(parts));
        main.extend(Self::epilogue());
        if calls {
            main[call_at] = call_local((main.len() - call_at - 1) as i32);
            // The callee's arguments go into its registers, where the rest is set anew.
            let mut callee = self.prologue();
            callee.drain(2..12);
            let parts = 1 + self.below(10);
            callee.extend(self.body(parts));
            callee.extend(Self::epilogue());
            main.extend(callee);
        }
        main
    }
}
