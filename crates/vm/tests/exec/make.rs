//! Random programs that compute with what they read from memory, bound it, and use it as an offset.

use fuse_bpf_vm::insn::{Insn, op};

/// xorshift64*.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 33) % limit
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A register for numbers.
    pub(crate) fn number(&mut self) -> u8 {
        self.pick(&[0, 1, 2, 3, 4, 5])
    }

    pub(crate) fn imm(&mut self) -> i32 {
        match self.below(6) {
            0 => self.next() as i32,
            1 => self.pick(&[i32::MIN, i32::MAX, -1, 0, 1, 0x7fff_fffe, -2]),
            2 => 1i32.wrapping_shl(self.below(32) as u32).wrapping_sub(self.below(2) as i32),
            _ => self.below(80) as i32 - 8,
        }
    }
}

pub(crate) fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst, src, off, imm }
}

/// Makes a program statement by statement.
pub(crate) struct Maker<'r> {
    pub(crate) random: &'r mut Random,
    pub(crate) code: Vec<Insn>,
    /// Where the program may read and write: base register, first and last offset.
    pub(crate) objects: Vec<(u8, i16, i16)>,
    /// Whether most accesses of the stack are to be aligned, as the kernel wants them.
    pub(crate) aligned: bool,
}

pub(crate) const CONDITIONS: [u8; 11] =
    [op::JEQ, op::JNE, op::JGT, op::JGE, op::JLT, op::JLE, op::JSGT, op::JSGE, op::JSLT, op::JSLE, op::JSET];
pub(crate) const SIZES: [(u8, i16); 4] = [(op::B, 1), (op::H, 2), (op::W, 4), (op::DW, 8)];

impl Maker<'_> {
    pub(crate) fn push(&mut self, code: u8, dst: u8, src: u8, off: i16, imm: i32) {
        self.code.push(insn(code, dst, src, off, imm));
    }

    /// Sets R0 to R5 from memory.
    pub(crate) fn numbers(&mut self, base: u8, len: i16) {
        for register in 0..6 {
            let (size, bytes) = self.random.pick(&SIZES);
            let off = self.random.below((len - bytes) as u64 + 1) as i16;
            self.push(op::LDX | op::MEM | size, register, base, off, 0);
        }
    }

    pub(crate) fn statement(&mut self, depth: u32) {
        match self.random.below(23) {
            0..=5 => self.alu(),
            6 | 7 => self.fixed_access(),
            8..=12 => self.bounded_access(),
            13 | 14 if depth > 0 => self.branch(depth),
            15 if depth > 0 => self.rounds(depth),
            16 => self.spill(),
            17 => self.relink(),
            18 => self.atomic(),
            19 | 20 => self.related(),
            21 => self.checked_copy(),
            _ => self.alu(),
        }
    }

    pub(crate) fn alu(&mut self) {
        let (dst, src) = (self.random.number(), self.random.number());
        let class = self.random.pick(&[op::ALU, op::ALU64]);
        let bits = if class == op::ALU { 32 } else { 64 };
        let code = self.random.pick(&[
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
            op::AND,
            op::ADD,
            op::MOV,
            op::RSH,
        ]);
        let register = self.random.below(2) == 0;
        match code {
            op::NEG => self.push(class | op::NEG, dst, 0, 0, 0),
            op::END => {
                let width = self.random.pick(&[16, 32, 64]);
                let kind =
                    self.random.pick(&[op::ALU | op::END, op::ALU | op::END | op::X, op::ALU64 | op::END]);
                self.push(kind, dst, 0, 0, width);
            }
            op::MOV if register => {
                let off = if class == op::ALU {
                    self.random.pick(&[0, 0, 8, 16])
                } else {
                    self.random.pick(&[0, 0, 8, 16, 32])
                };
                self.push(class | op::MOV | op::X, dst, src, off, 0);
            }
            op::LSH | op::RSH | op::ARSH if !register => {
                let by = self.random.below(bits) as i32;
                self.push(class | code, dst, 0, 0, by);
            }
            op::DIV | op::MOD => {
                let signed = self.random.below(3) == 0;
                if register {
                    self.push(class | code | op::X, dst, src, signed.into(), 0);
                } else {
                    let by = self.random.imm().max(1);
                    self.push(class | code, dst, 0, signed.into(), by);
                }
            }
            _ if register => self.push(class | code | op::X, dst, src, 0, 0),
            _ => {
                let imm = self.random.imm();
                self.push(class | code, dst, 0, 0, imm);
            }
        }
    }

    /// Somewhere a program may read and write.
    pub(crate) fn object(&mut self) -> (u8, i16, i16) {
        self.random.pick(&self.objects)
    }

    pub(crate) fn access(&mut self, base: u8, off: i16, size: u8) {
        let number = self.random.number();
        match self.random.below(5) {
            0 | 1 => self.push(op::LDX | op::MEM | size, number, base, off, 0),
            2 if size != op::DW => self.push(op::LDX | op::MEMSX | size, number, base, off, 0),
            3 => {
                let imm = self.random.imm();
                self.push(op::ST | op::MEM | size, base, 0, off, imm);
            }
            _ => self.push(op::STX | op::MEM | size, base, number, off, 0),
        }
    }

    pub(crate) fn fixed_access(&mut self) {
        let (base, first, last) = self.object();
        let (size, bytes) = self.random.pick(&SIZES);
        let mut off = first + self.random.below((last - first - bytes) as u64 + 1) as i16;
        let align = self.aligned && base == 10 && self.random.below(32) != 0;
        if align || self.random.below(2) == 0 {
            off -= off.rem_euclid(bytes);
        }
        self.access(base, off.max(first), size);
    }

    /// A number is bounded in one of many ways and becomes an offset. The bound fits exactly, or nearly.
    pub(crate) fn bounded_access(&mut self) {
        let (base, first, last) = self.object();
        let (mut size, mut bytes) = self.random.pick(&SIZES);
        if self.aligned && base == 10 && self.random.below(32) != 0 {
            (size, bytes) = (op::B, 1);
        }
        let number = self.random.number();
        let other = self.random.number();
        let room = i32::from(last - first - bytes);
        let slack = self.random.below(4) as i32;
        let most = match self.random.below(12) {
            0 => room + 1,
            _ => (room - slack).max(0),
        };
        let mut checked = number;
        match self.random.below(5) {
            0 => {
                self.push(op::ALU64 | op::MOV | op::X, other, number, 0, 0);
                checked = other;
            }
            1 => {
                self.push(op::ALU | op::MOV | op::X, other, number, 0, 0);
                checked = self.random.pick(&[other, number]);
            }
            _ => {}
        }
        let skip = self.code.len();
        let class = self.random.pick(&[op::JMP, op::JMP, op::JMP32]);
        match self.random.below(9) {
            0 => self.push(op::ALU64 | op::AND, number, 0, 0, (1 << (31 - most.max(1).leading_zeros())) - 1),
            1 => self.push(class | op::JGT, checked, 0, 0, most),
            2 => self.push(class | op::JGE, checked, 0, 0, most + 1),
            3 => {
                self.push(class | op::JSGT, checked, 0, 0, most);
                self.push(class | op::JSLT, checked, 0, 0, 0);
            }
            4 => {
                let limit = self.random.number();
                self.push(op::ALU64 | op::AND, limit, 0, 0, (1 << (31 - most.max(1).leading_zeros())) - 1);
                self.push(class | op::JGT | op::X, checked, limit, 0, 0);
            }
            5 => self.push(op::ALU | op::MOD, number, 0, 0, most + 1),
            6 => {
                let bits = 31 - most.max(1).leading_zeros();
                self.push(op::ALU64 | op::RSH, number, 0, 0, 64 - bits as i32);
            }
            7 => {
                self.push(op::ALU64 | op::LSH, number, 0, 0, 32);
                let shift = self.random.pick(&[op::RSH, op::ARSH]);
                self.push(op::ALU64 | shift, number, 0, 0, 32);
                self.push(class | op::JGT, number, 0, 0, most);
            }
            _ => {
                let condition = self.random.pick(&CONDITIONS);
                self.push(class | condition, checked, 0, 0, most);
            }
        }
        let used = if self.random.below(4) == 0 { checked } else { number };
        self.push(op::ALU64 | op::MOV | op::X, 7, base, 0, 0);
        let turned = self.random.below(6) == 0;
        if turned && base != 10 {
            // From the end.
            self.push(op::ALU64 | op::ADD, 7, 0, 0, most);
            self.push(op::ALU64 | op::SUB | op::X, 7, used, 0, 0);
        } else {
            self.push(op::ALU64 | op::ADD | op::X, 7, used, 0, 0);
        }
        self.access(7, first, size);
        let end = self.code.len();
        for at in skip..end {
            let jump = matches!(self.code[at].class(), op::JMP | op::JMP32);
            if jump {
                self.code[at].off = (end - at - 1) as i16;
            }
        }
    }

    pub(crate) fn branch(&mut self, depth: u32) {
        let class = self.random.pick(&[op::JMP, op::JMP32]);
        let condition = self.random.pick(&CONDITIONS);
        let (a, b) = (self.random.number(), self.random.number());
        let at = self.code.len();
        if self.random.below(2) == 0 {
            self.push(class | condition | op::X, a, b, 0, 0);
        } else {
            let imm = self.random.imm();
            self.push(class | condition, a, 0, 0, imm);
        }
        for _ in 0..1 + self.random.below(4) {
            self.statement(depth - 1);
        }
        self.code[at].off = (self.code.len() - at - 1) as i16;
    }

    /// A loop with a counter in R9.
    pub(crate) fn rounds(&mut self, depth: u32) {
        let most = 1 + self.random.below(20) as i32;
        self.push(op::ALU64 | op::MOV, 9, 0, 0, 0);
        let head = self.code.len();
        for _ in 0..1 + self.random.below(3) {
            self.statement(depth.saturating_sub(2));
        }
        if self.random.below(2) == 0 {
            // The counter as an offset.
            let (base, first, _) = self.object();
            self.push(op::ALU64 | op::MOV | op::X, 7, base, 0, 0);
            self.push(op::ALU64 | op::ADD | op::X, 7, 9, 0, 0);
            self.access(7, first, op::B);
        }
        self.push(op::ALU64 | op::ADD, 9, 0, 0, 1);
        let class = self.random.pick(&[op::JMP, op::JMP32]);
        let condition = self.random.pick(&[op::JLT, op::JNE, op::JSLT, op::JLE]);
        let back = head as i16 - self.code.len() as i16 - 1;
        self.push(class | condition, 9, 0, back, most);
    }

    /// A pointer or number through the stack.
    pub(crate) fn spill(&mut self) {
        let off = -8 - 8 * self.random.below(5) as i16;
        let from = self.random.pick(&[6, 8, 0, 1, 2, 3]);
        self.push(op::STX | op::MEM | op::DW, 10, from, off, 0);
        if self.random.below(2) == 0 {
            self.alu();
        }
        if from >= 6 {
            self.push(op::LDX | op::MEM | op::DW, 7, 10, off, 0);
            let at = self.random.below(41) as i16;
            self.access(7, at, op::DW);
        } else {
            let (size, bytes) = self.random.pick(&SIZES);
            let at = self.random.below((8 / bytes) as u64) as i16 * bytes;
            let number = self.random.number();
            self.push(op::LDX | op::MEM | size, number, 10, off + at, 0);
        }
        // Nothing stays behind that would make the next program part of the stack.
        self.push(op::ST | op::MEM | op::DW, 10, 0, off, 0);
    }

    /// A copy at a distance, and a check of the copy.
    pub(crate) fn relink(&mut self) {
        let (a, b) = (self.random.number(), self.random.number());
        let class = self.random.pick(&[op::ALU64, op::ALU64, op::ALU]);
        self.push(class | op::MOV | op::X, b, a, 0, 0);
        let by = self.random.below(100) as i32 - 50;
        self.push(class | op::ADD, b, 0, 0, by);
        let condition = self.random.pick(&CONDITIONS);
        let limit = self.random.imm();
        let class = self.random.pick(&[op::JMP, op::JMP32]);
        let at = self.code.len();
        self.push(class | condition, b, 0, 0, limit);
        self.bounded_access();
        self.code[at].off = (self.code.len() - at - 1) as i16;
    }

    /// Three numbers, no two of them the same.
    fn three(&mut self) -> [u8; 3] {
        let first = self.random.number();
        let second = (first + 1 + self.random.below(5) as u8) % 6;
        let rest: Vec<u8> = (0..6).filter(|number| *number != first && *number != second).collect();
        [first, second, self.random.pick(&rest)]
    }

    /// An access at a number as an offset, with the jumps since `from` to behind it.
    fn use_offset(&mut self, (base, first): (u8, i16), number: u8, size: u8, from: usize) {
        self.push(op::ALU64 | op::MOV | op::X, 7, base, 0, 0);
        self.push(op::ALU64 | op::ADD | op::X, 7, number, 0, 0);
        self.access(7, first, size);
        let end = self.code.len();
        for at in from..end {
            if matches!(self.code[at].class(), op::JMP | op::JMP32) {
                self.code[at].off = (end - at - 1) as i16;
            }
        }
    }

    /// A number that is bounded only by what is known of it and another: which is greater, their sum, what a
    /// division left. Sometimes nearly.
    pub(crate) fn related(&mut self) {
        let (base, first, last) = self.object();
        let (mut size, mut bytes) = self.random.pick(&SIZES);
        if self.aligned && base == 10 {
            (size, bytes) = (op::B, 1);
        }
        let room = i32::from(last - first - bytes);
        let [a, b, c] = self.three();
        let class = if self.random.below(8) == 0 { op::ALU } else { op::ALU64 };
        let jumps = if self.random.below(8) == 0 { op::JMP32 } else { op::JMP };
        let most = room + i32::from(self.random.below(16) == 0);
        let from = self.code.len();
        match self.random.below(4) {
            // What is left of a number when one that is not greater is taken away.
            0 => {
                self.push(op::JMP | op::JGT, b, 0, 0, most);
                let signed = self.random.below(8) == 0;
                let (condition, low, high) = match signed {
                    true => (op::JSGT, a, b),
                    false => self.random.pick(&[(op::JGT, a, b), (op::JLT, b, a), (op::JGE, a, b)]),
                };
                self.push(jumps | condition | op::X, low, high, 0, 0);
                if self.random.below(4) == 0 {
                    self.push(op::ALU64 | op::MOV | op::X, c, a, 0, 0);
                }
                self.push(class | op::SUB | op::X, b, a, 0, 0);
                self.use_offset((base, first), b, size, from);
            }
            // A sum that is bounded, and its parts one after the other.
            1 | 2 => {
                let small = self.random.pick(&[0xff, 0x3f, 0xffff, i32::MAX]);
                self.push(op::ALU64 | op::AND, a, 0, 0, small);
                self.push(op::ALU64 | op::AND, b, 0, 0, small);
                self.push(op::ALU64 | op::MOV | op::X, c, a, 0, 0);
                self.push(class | op::ADD | op::X, c, b, 0, 0);
                self.push(jumps | op::JGT, c, 0, 0, most);
                match self.random.below(8) {
                    0 => {
                        self.push(op::ALU64 | op::SUB | op::X, c, b, 0, 0);
                        self.use_offset((base, first), c, size, from);
                    }
                    1..=4 => self.use_offset((base, first), a, size, from),
                    _ => {
                        self.push(op::ALU64 | op::MOV | op::X, 7, base, 0, 0);
                        self.push(op::ALU64 | op::ADD | op::X, 7, a, 0, 0);
                        self.use_offset((7, first), b, size, from);
                    }
                }
            }
            // A remainder by hand.
            _ => {
                let by = most.max(0) + 1;
                self.push(op::ALU64 | op::MOV | op::X, c, a, 0, 0);
                if self.random.below(2) == 0 {
                    self.push(class | op::DIV, c, 0, 0, by);
                    self.push(class | op::MUL, c, 0, 0, by);
                } else {
                    self.push(op::ALU64 | op::MOV, b, 0, 0, by);
                    self.push(class | op::DIV | op::X, c, b, 0, 0);
                    self.push(class | op::MUL | op::X, c, b, 0, 0);
                }
                self.push(class | op::SUB | op::X, a, c, 0, 0);
                self.use_offset((base, first), a, size, from);
            }
        }
    }

    /// A number on the stack, checked there or where it came from, and used where it was not checked.
    pub(crate) fn checked_copy(&mut self) {
        let (base, first, last) = self.object();
        let off = -8 - 8 * self.random.below(5) as i16;
        let [a, b, c] = self.three();
        let (width, bytes) = match self.random.below(8) {
            0 => (op::H, 2),
            1 => (op::W, 4),
            _ => (op::DW, 8),
        };
        let (back, from) = match self.random.below(8) {
            0 => self.random.pick(&[(op::W, 0), (op::B, 0), (op::W, 4)]),
            _ => (width, 0),
        };
        self.push(op::STX | op::MEM | width, 10, a, off, 0);
        let start = self.code.len();
        let most = i32::from(last - first - 1);
        let class = if self.random.below(8) == 0 { op::JMP32 } else { op::JMP };
        let (checked, used) = self.random.pick(&[(a, b), (a, b), (b, a), (b, c)]);
        if checked == b {
            self.push(op::LDX | op::MEM | back, b, 10, off + from, 0);
        }
        if self.random.below(6) == 0 {
            // Not a copy any more.
            match self.random.below(3) {
                0 => self.alu(),
                1 => {
                    let at = off + self.random.below(bytes) as i16;
                    self.push(op::STX | op::MEM | op::B, 10, b, at, 0);
                }
                _ => self.push(op::ALU64 | op::ADD, a, 0, 0, 1),
            }
        }
        let condition = if self.random.below(8) == 0 { op::JSGT } else { op::JGT };
        self.push(class | condition, checked, 0, 0, most);
        if checked == a || used == c {
            self.push(op::LDX | op::MEM | back, used, 10, off + from, 0);
        }
        self.use_offset((base, first), used, op::B, start);
        // Nothing stays behind that would make the next program part of the stack.
        self.push(op::ST | op::MEM | op::DW, 10, 0, off, 0);
    }

    pub(crate) fn atomic(&mut self) {
        let (base, first, last) = self.object();
        let (size, bytes) = self.random.pick(&[(op::W, 4), (op::DW, 8)]);
        let steps = (last - first) / bytes;
        let off = first + bytes * self.random.below(steps as u64) as i16;
        let kind = self.random.pick(&[0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, op::XCHG, op::CMPXCHG]);
        let number = self.random.number();
        self.push(op::STX | op::ATOMIC | size, base, number, off, kind);
    }
}
