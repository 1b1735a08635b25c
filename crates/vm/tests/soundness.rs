//! What the verifier accepts does nothing wrong: random programs, proved, then run in the interpreter, which checks every
//! access for itself. What went well there is run compiled as well, and must do the same.
//!
//! In some runs of each program, what the verifier knew before each instruction is compared with what registers and
//! stack hold then: it must be true. What that means, pruned paths and numbers that do not matter included, is written in
//! `verify::trace`.
//!
//! `SOUNDNESS_PROGRAMS` sets how many programs are made, `SOUNDNESS_SEED` where they start from. For 10 million runs:
//! `SOUNDNESS_PROGRAMS=1300000 cargo test --release -p fuse-bpf-vm --test soundness -- --nocapture`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::sync::Arc;

use fuse_bpf_vm::disasm::disassemble;
use fuse_bpf_vm::host::{Buffer, Caller, Host};
use fuse_bpf_vm::insn::{Insn, op, pseudo};
use fuse_bpf_vm::interp::{FaultKind, Worker};
use fuse_bpf_vm::maps::{Map, MapKind, MapSpec, UpdateMode};
use fuse_bpf_vm::mem::Window;
use fuse_bpf_vm::program::{Function, Program};
use fuse_bpf_vm::verify::trace::{Follower, verify_traced};
use fuse_bpf_vm::verify::{Entry, Limits, Verified};

/// Bytes of memory a program is given.
const MEMORY: u32 = 64;
/// Bytes of the map's value.
const VALUE: u32 = 48;
/// Runs of each accepted program.
const RUNS: u64 = 16;
/// Of these, runs whose states are compared with those of the verifier, which takes a while without optimisation.
const FOLLOWED: u64 = if cfg!(debug_assertions) { 1 } else { 4 };

struct Nobody;

impl<'r> Host<'r> for Nobody {
    fn buffer(&mut self, _: u32) -> Option<&mut dyn Buffer<'r>> {
        None
    }
    fn caller(&self) -> Caller {
        Caller::default()
    }
    fn process(&self) -> u32 {
        0
    }
    fn comm(&self) -> [u8; 16] {
        [0; 16]
    }
    fn print(&mut self, _: &str) {}
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 33) % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A register for numbers.
    fn number(&mut self) -> u8 {
        self.pick(&[0, 1, 2, 3, 4, 5])
    }

    fn imm(&mut self) -> i32 {
        match self.below(6) {
            0 => self.next() as i32,
            1 => self.pick(&[i32::MIN, i32::MAX, -1, 0, 1, 0x7fff_fffe, -2]),
            2 => 1i32.wrapping_shl(self.below(32) as u32).wrapping_sub(self.below(2) as i32),
            _ => self.below(80) as i32 - 8,
        }
    }
}

fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst, src, off, imm }
}

/// Makes a program statement by statement.
struct Maker<'r> {
    random: &'r mut Random,
    code: Vec<Insn>,
}

const CONDITIONS: [u8; 11] =
    [op::JEQ, op::JNE, op::JGT, op::JGE, op::JLT, op::JLE, op::JSGT, op::JSGE, op::JSLT, op::JSLE, op::JSET];
const SIZES: [(u8, i16); 4] = [(op::B, 1), (op::H, 2), (op::W, 4), (op::DW, 8)];

impl Maker<'_> {
    fn push(&mut self, code: u8, dst: u8, src: u8, off: i16, imm: i32) {
        self.code.push(insn(code, dst, src, off, imm));
    }

    fn program(&mut self) {
        self.push(op::ALU64 | op::MOV | op::X, 6, 1, 0, 0);
        self.push(op::LDDW, 8, pseudo::MAP_VALUE, 0, 0);
        self.push(0, 0, 0, 0, 0);
        for register in [0, 1, 2, 3, 4, 5] {
            let (size, bytes) = self.random.pick(&SIZES);
            let off = self.random.below((MEMORY as i16 - bytes) as u64 + 1) as i16;
            self.push(op::LDX | op::MEM | size, register, 6, off, 0);
        }
        let statements = 4 + self.random.below(16);
        for _ in 0..statements {
            self.statement(2);
        }
        self.push(op::EXIT_INSN, 0, 0, 0, 0);
    }

    fn statement(&mut self, depth: u32) {
        match self.random.below(20) {
            0..=5 => self.alu(),
            6 | 7 => self.fixed_access(),
            8..=12 => self.bounded_access(),
            13 | 14 if depth > 0 => self.branch(depth),
            15 if depth > 0 => self.rounds(depth),
            16 => self.spill(),
            17 => self.relink(),
            18 => self.atomic(),
            _ => self.alu(),
        }
    }

    fn alu(&mut self) {
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

    /// Somewhere a program may read and write: base register, first and last offset.
    fn object(&mut self) -> (u8, i16, i16) {
        self.random.pick(&[(6, 0, MEMORY as i16), (8, 0, VALUE as i16), (10, -40, 0), (10, -512, 0)])
    }

    fn access(&mut self, base: u8, off: i16, size: u8) {
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

    fn fixed_access(&mut self) {
        let (base, first, last) = self.object();
        let (size, bytes) = self.random.pick(&SIZES);
        let mut off = first + self.random.below((last - first - bytes) as u64 + 1) as i16;
        if self.random.below(2) == 0 {
            off -= off.rem_euclid(bytes);
        }
        self.access(base, off.max(first), size);
    }

    /// A number is bounded in one of many ways and becomes an offset. The bound fits exactly, or nearly.
    fn bounded_access(&mut self) {
        let (base, first, last) = self.object();
        let (size, bytes) = self.random.pick(&SIZES);
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

    fn branch(&mut self, depth: u32) {
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
    fn rounds(&mut self, depth: u32) {
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
    fn spill(&mut self) {
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
    fn relink(&mut self) {
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

    fn atomic(&mut self) {
        let (base, first, last) = self.object();
        let (size, bytes) = self.random.pick(&[(op::W, 4), (op::DW, 8)]);
        let steps = (last - first) / bytes;
        let off = first + bytes * self.random.below(steps as u64) as i16;
        let kind = self.random.pick(&[0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, op::XCHG, op::CMPXCHG]);
        let number = self.random.number();
        self.push(op::STX | op::ATOMIC | size, base, number, off, kind);
    }
}

/// A result, and what memory and the map's value hold.
type After = (Result<u64, FaultKind>, Vec<Cell<u64>>, Vec<u8>);

/// A program in machine code, where there is a compiler.
#[cfg(all(feature = "jit", target_arch = "x86_64"))]
struct Compiled(fuse_bpf_vm::jit::Compiled);

#[cfg(all(feature = "jit", target_arch = "x86_64"))]
impl Compiled {
    fn new(verified: &Verified) -> Compiled {
        Compiled(fuse_bpf_vm::jit::compile(verified).unwrap())
    }

    /// What is other than it was in the interpreter. The map is set to what it was before.
    fn differs(
        &self,
        program: &Program,
        value: &[u8],
        cells: Vec<Cell<u64>>,
        expected: &After,
        worker: &mut Worker,
    ) -> Option<String> {
        let map = &program.maps[0];
        map.update(&[0; 4], value, UpdateMode::Any).unwrap();
        let outcome = worker.run_compiled_raw(&self.0, Window::from_words(&cells), &mut Nobody, 1_000_000);
        let result = outcome.result.map_err(|fault| fault.kind);
        let got = (result, cells, map.lookup(&[0; 4]).unwrap());
        (got != *expected).then(|| format!("compiled: {got:x?}\ninterpreted: {expected:x?}"))
    }
}

#[cfg(not(all(feature = "jit", target_arch = "x86_64")))]
struct Compiled;

#[cfg(not(all(feature = "jit", target_arch = "x86_64")))]
impl Compiled {
    fn new(_: &Verified) -> Compiled {
        Compiled
    }

    fn differs(&self, _: &Program, _: &[u8], _: Vec<Cell<u64>>, _: &After, _: &mut Worker) -> Option<String> {
        None
    }
}

/// What was found in the runs of a program.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    /// Runs that used up their budget.
    stopped: u64,
    /// Instructions before which the state was compared.
    states: u64,
    /// Of these, those where all the verifier knew was true, not only what mattered.
    whole: u64,
    /// Programs whose verification was too long to be followed.
    untraced: u64,
}

fn program_of(insns: &[Insn]) -> Arc<Program> {
    let map = Map::new(MapSpec::new("value", MapKind::Array, 4, VALUE, 1), 1).unwrap();
    Arc::new(Program {
        name: "random".into(),
        insns: insns.to_vec(),
        maps: vec![map],
        functions: vec![Function { start: 0, name: "random".into(), ..Function::default() }],
        ..Program::default()
    })
}

/// Memory for one run.
fn input(random: &mut Random) -> Vec<Cell<u64>> {
    let mut word = || {
        let word = random.next();
        match random.below(5) {
            0 => word,
            1 => random.pick(&[0, 1, u64::MAX, 1 << 63, 1 << 31, 1 << 32, u64::MAX >> 1, 0xffff_ffff]),
            2 => word & 0x3f,
            3 => word & 0x3f3f_3f3f_3f3f_3f3f,
            _ => (word & 0x7f).wrapping_sub(0x40),
        }
    };
    (0..MEMORY / 8).map(|_| Cell::new(word())).collect()
}

/// Proves a program and runs it. `None` if it is refused.
fn judge(insns: &[Insn], seed: u64, worker: &mut Worker) -> Option<Result<Counts, String>> {
    let program = program_of(insns);
    let mut limits = Limits::default();
    limits.insns = 100_000;
    let (verified, trace) = verify_traced(&program, Entry::Memory { size: MEMORY }, limits).ok()?;
    let compiled = Compiled::new(&verified);
    let mut random = Random(seed);
    let mut counts = Counts { untraced: trace.is_none().into(), ..Counts::default() };
    for round in 0..RUNS {
        let cells = input(&mut random);
        let again = cells.clone();
        let value = program.maps[0].lookup(&[0; 4]).unwrap();
        let window = Window::from_words(&cells);
        let outcome = match trace.as_ref().filter(|_| round < FOLLOWED) {
            Some(trace) => {
                let mut follower = Follower::new(trace, &program);
                let outcome =
                    worker.run_raw_observed(&program, window, &mut Nobody, 1_000_000, &mut follower);
                if let Some(wrong) = follower.wrong() {
                    return Some(Err(format!("not as known: {wrong}")));
                }
                counts.states += follower.checked();
                counts.whole += follower.whole();
                outcome
            }
            None => worker.run_raw(&program, window, &mut Nobody, 1_000_000),
        };
        match outcome.result {
            Ok(result) => {
                let after = (Ok(result), cells, program.maps[0].lookup(&[0; 4]).unwrap());
                if let Some(difference) = compiled.differs(&program, &value, again, &after, worker) {
                    return Some(Err(difference));
                }
            }
            Err(fault) if matches!(fault.kind, FaultKind::Budget { .. }) => counts.stopped += 1,
            Err(fault) => return Some(Err(fault.to_string())),
        }
    }
    Some(Ok(counts))
}

/// A program that still does wrong with as many instructions as can be turned into nothing.
fn shrink(mut insns: Vec<Insn>, seed: u64, worker: &mut Worker) -> Vec<Insn> {
    let nothing = insn(op::GOTO, 0, 0, 0, 0);
    for _ in 0..3 {
        for at in 0..insns.len() {
            let old = insns[at];
            if old.is_wide() || old.code == 0 || old == nothing || old.code == op::EXIT_INSN {
                continue;
            }
            insns[at] = nothing;
            if !matches!(judge(&insns, seed, worker), Some(Err(_))) {
                insns[at] = old;
            }
        }
    }
    insns
}

#[test]
fn accepted_programs_do_nothing_wrong() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let programs: u64 = number("SOUNDNESS_PROGRAMS", 15_000);
    let seed: u64 = number("SOUNDNESS_SEED", 1);
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut worker = Worker::new(0);
    let (mut accepted, mut total) = (0u64, Counts::default());
    for _ in 0..programs {
        let mut maker = Maker { random: &mut random, code: Vec::new() };
        maker.program();
        let insns = maker.code;
        let seed = random.next() | 1;
        match judge(&insns, seed, &mut worker) {
            None => continue,
            Some(Ok(counts)) => {
                total.stopped += counts.stopped;
                total.states += counts.states;
                total.whole += counts.whole;
                total.untraced += counts.untraced;
            }
            Some(Err(fault)) => {
                let small = shrink(insns, seed, &mut worker);
                let again = judge(&small, seed, &mut worker);
                panic!(
                    "accepted, and yet: {fault}\nseed {seed}, without what does not matter:\n{}{again:?}",
                    disassemble(&small)
                );
            }
        }
        accepted += 1;
    }
    println!(
        "{programs} programs, {accepted} accepted, {} runs, {} of them out of budget",
        accepted * RUNS,
        total.stopped
    );
    println!(
        "{} states of instructions compared in {FOLLOWED} runs of each, {} as a whole; {} programs too long to follow",
        total.states, total.whole, total.untraced
    );
    assert!(accepted * 4 > programs, "most programs should be worth running: {accepted} of {programs}");
}

/// The comparison with what the verifier knew can fail: runs of programs that are not quite the ones that were proved, as if
/// a transfer function had been wrong, are told from the genuine ones.
///
/// The same with the verifier itself broken by hand, one line at a time, each of which this file's other test noticed:
/// MUTATIONS
#[test]
fn other_programs_are_noticed() {
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut worker = Worker::new(0);
    let (mut changed, mut noticed) = (0, 0);
    for _ in 0..1500 {
        let mut maker = Maker { random: &mut random, code: Vec::new() };
        maker.program();
        let mut code = maker.code;
        let program = program_of(&code);
        let mut limits = Limits::default();
        limits.insns = 10_000;
        let Ok((_, Some(trace))) = verify_traced(&program, Entry::Memory { size: MEMORY }, limits) else {
            continue;
        };
        // One addition of a constant adds one more.
        let adds: Vec<usize> = (0..code.len())
            .filter(|&at| code[at].code == op::ALU64 | op::ADD && code[at].dst < 6)
            .collect();
        if adds.is_empty() {
            continue;
        }
        let at = random.pick(&adds);
        code[at].imm = code[at].imm.wrapping_add(1);
        let other = program_of(&code);
        let cells = input(&mut random);
        let mut follower = Follower::new(&trace, &other);
        let window = Window::from_words(&cells);
        let _ = worker.run_raw_observed(&other, window, &mut Nobody, 100_000, &mut follower);
        changed += 1;
        noticed += u64::from(follower.wrong().is_some());
    }
    println!("{noticed} of {changed} changes noticed");
    assert!(noticed * 10 > changed, "{noticed} of {changed}");
}
