//! Verdicts on random programs: the kernel's verifier and ours.
//!
//! Programs look values up in maps, compute, bound numbers and use them as offsets, go through loops, call functions, spill
//! to the stack, do atomic operations, and now and then something that is wrong. Where both verifiers accept a
//! program, the kernel, the interpreter and the compiler run it and must agree in the result and in what maps
//! hold afterwards. Where only one does, a row of `kernel_verdicts.tsv` has to say why, by a part of the other one's
//! message; a program that only we accept runs in the checked interpreter, which must find nothing wrong with it, and
//! before each instruction must hold what our verifier knew.
//!
//! Needs the right to load XDP programs; without it, the test says so and does nothing. `KERNEL_VERDICTS_PROGRAMS` sets
//! how many programs are made, `KERNEL_VERDICTS_SEED` where they start from, and with `KERNEL_VERDICTS_SHOW`
//! the first program of each row is printed. What the counts in the file are of is written there; for 100,000:
//! `KERNEL_VERDICTS_PROGRAMS=100000 cargo test --release -p fuse-bpf-vm --test kernel_verdicts -- --nocapture`
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test, and its helpers")]

#[path = "exec/kernel.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod kernel;
#[path = "exec/make.rs"]
mod make;
#[path = "exec/setting.rs"]
mod setting;

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use fuse_bpf_vm::disasm::disassemble;
use fuse_bpf_vm::host::Nobody;
use fuse_bpf_vm::insn::{Insn, op, pseudo};
use fuse_bpf_vm::interp::Worker;
use fuse_bpf_vm::maps::{Map, MapKind, MapSpec, UpdateMode};
use fuse_bpf_vm::program::{Function, Program};
use fuse_bpf_vm::validate::check_insns;
use fuse_bpf_vm::verify::trace::{Follower, Trace, verify_traced};
use fuse_bpf_vm::verify::{Entry, Limits, Verified};
use kernel::Kernel;
use make::{Maker, Random, insn};
use setting::setting;

const ROWS: &str = include_str!("kernel_verdicts.tsv");

const PROGRAMS: u64 = 1000;
/// Runs of each program that both accept.
const RUNS: u64 = 3;
/// Instructions of a run; the kernel has no such limit, its verifier walked them.
const BUDGET: u64 = 4_000_000;
/// Bytes of the value programs read their numbers from.
const INPUT: usize = 64;
/// Bytes of the values that are looked up.
const VALUE: usize = 48;
/// Where keys are on the stack.
const KEY: i16 = -72;

/// Makes programs of several functions.
struct Author<'r> {
    maker: Maker<'r>,
    /// Slots of calls of functions that are still to be written.
    calls: Vec<usize>,
}

impl Author<'_> {
    fn push(&mut self, code: u8, dst: u8, src: u8, off: i16, imm: i32) {
        self.maker.push(code, dst, src, off, imm);
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.maker.random.below(limit)
    }

    /// A function: what it needs in registers and on the stack, statements, the end.
    fn function(&mut self, callee: bool, statements: u64) {
        if callee {
            // What the caller gave: the address of some of its stack.
            self.push(op::ALU64 | op::MOV | op::X, 7, 1, 0, 0);
            let off = 8 * self.below(3) as i16;
            self.maker.access(7, off, op::DW);
        }
        self.push(op::LDDW, 6, pseudo::MAP_VALUE, 0, 0);
        self.push(0, 0, 0, 0, 0);
        // All of it: to the kernel, what a program of root has not written holds anything.
        for off in (8..=80).step_by(8) {
            self.push(op::ST | op::MEM | op::DW, 10, 0, -off, 0);
        }
        self.lookup();
        for _ in 0..statements {
            self.statement();
        }
        if callee && self.below(2) == 0 {
            self.push(op::ALU64 | op::AND, 0, 0, 0, 31);
        }
        self.push(op::EXIT_INSN, 0, 0, 0, 0);
    }

    fn statement(&mut self) {
        match self.below(40) {
            0 => self.lookup(),
            1 | 2 => self.call(),
            3 => self.forget(),
            4 if self.below(4) == 0 => self.mistake(),
            _ => self.maker.statement(2),
        }
    }

    /// A value of a map in R8, and numbers.
    fn lookup(&mut self) {
        let index = 1 + self.below(2) as i32;
        let size = if index == 1 { op::DW } else { op::W };
        if self.maker.code.len() > 24 && self.below(2) == 0 {
            let number = self.maker.random.number();
            self.push(op::ALU64 | op::AND, number, 0, 0, 3);
            self.push(op::STX | op::MEM | size, 10, number, KEY, 0);
        } else {
            let key = self.below(3) as i32;
            self.push(op::ST | op::MEM | size, 10, 0, KEY, key);
        }
        self.push(op::LDDW, 1, pseudo::MAP, 0, index);
        self.push(0, 0, 0, 0, 0);
        self.push(op::ALU64 | op::MOV | op::X, 2, 10, 0, 0);
        self.push(op::ALU64 | op::ADD, 2, 0, 0, KEY.into());
        self.push(op::CALL_IMM, 0, pseudo::CALL_HELPER, 0, 1);
        match self.below(24) {
            0 => {}
            1..=4 => {
                self.push(op::ALU64 | op::MOV | op::X, 8, 0, 0, 0);
                self.push(op::JMP | op::JNE, 8, 0, 2, 0);
                self.push(op::ALU64 | op::MOV, 0, 0, 0, 0);
                self.push(op::EXIT_INSN, 0, 0, 0, 0);
            }
            _ => {
                self.push(op::JMP | op::JNE, 0, 0, 2, 0);
                self.push(op::ALU64 | op::MOV, 0, 0, 0, 0);
                self.push(op::EXIT_INSN, 0, 0, 0, 0);
            }
        }
        self.push(op::ALU64 | op::MOV | op::X, 8, 0, 0, 0);
        self.maker.numbers(6, INPUT as i16);
    }

    /// A call of a function that is written later.
    fn call(&mut self) {
        if self.calls.len() == 3 {
            return;
        }
        self.push(op::ALU64 | op::MOV | op::X, 1, 10, 0, 0);
        self.push(op::ALU64 | op::ADD, 1, 0, 0, -32);
        self.calls.push(self.maker.code.len());
        self.push(op::CALL_IMM, 0, pseudo::CALL_LOCAL, 0, 0);
        if self.below(3) == 0 {
            // The result as an offset.
            self.push(op::ALU64 | op::MOV | op::X, 7, 6, 0, 0);
            self.push(op::ALU64 | op::ADD | op::X, 7, 0, 0, 0);
            self.push(op::LDX | op::MEM | op::B, 0, 7, 0, 0);
        }
        self.maker.numbers(6, INPUT as i16);
    }

    /// A number through two halves of a slot of the stack.
    fn forget(&mut self) {
        let (a, b, c) = (self.maker.random.number(), self.maker.random.number(), self.maker.random.number());
        let off = -8 - 8 * self.below(4) as i16;
        self.push(op::STX | op::MEM | op::W, 10, a, off, 0);
        self.push(op::STX | op::MEM | op::W, 10, b, off + 4, 0);
        let (size, bytes) = self.maker.random.pick(&make::SIZES);
        let at = self.below((8 / bytes) as u64) as i16 * bytes;
        self.push(op::LDX | op::MEM | size, c, 10, off + at, 0);
    }

    /// Something that is wrong, or is to one of the two.
    fn mistake(&mut self) {
        let number = self.maker.random.number();
        let base = self.maker.random.pick(&[6, 8, 10]);
        match self.below(9) {
            0 => self.push(op::STX | op::MEM | op::DW, 6, base, 8, 0),
            1 => self.push(op::ALU64 | op::MUL, 8, 0, 0, 3),
            2 => self.push(op::ALU | op::MOV | op::X, number, base, 0, 0),
            3 => {
                self.push(op::ALU64 | op::MOV | op::X, number, 8, 0, 0);
                self.push(op::ALU64 | op::SUB | op::X, number, 8, 0, 0);
            }
            4 => self.push(op::JMP | op::JEQ | op::X, base, number, 0, 0),
            5 => self.push(op::JMP | op::JGT | op::X, base, 6, 0, 0),
            6 => self.push(op::LDX | op::MEM | op::DW, number, 8, VALUE as i16 - 4, 0),
            7 => self.push(op::ALU64 | op::MOV | op::X, 0, 9, 0, 0),
            _ => {
                self.push(op::ALU64 | op::MOV | op::X, 7, base, 0, 0);
                self.push(op::ALU64 | op::ADD | op::X, 7, number, 0, 0);
                self.push(op::LDX | op::MEM | op::B, number, 7, 0, 0);
            }
        }
    }
}

/// A program, and where its functions start.
fn write(random: &mut Random) -> (Vec<Insn>, Vec<usize>) {
    let objects = vec![(6, 0, INPUT as i16), (8, 0, VALUE as i16), (10, -64, 0), (10, -40, 0)];
    let maker = Maker { random, code: Vec::new(), objects, aligned: true };
    let mut author = Author { maker, calls: Vec::new() };
    let statements = 3 + author.below(12);
    author.function(false, statements);
    let mut starts = vec![0];
    let mut written = 0;
    while let Some(&call) = author.calls.get(written) {
        let start = author.maker.code.len();
        author.maker.code[call].imm = (start - call - 1) as i32;
        starts.push(start);
        let statements = author.below(4);
        author.function(true, statements);
        written += 1;
    }
    (author.maker.code, starts)
}

/// What a program left: R0 and the values of the maps.
type After = (u32, Vec<Option<Vec<u8>>>);

/// The kernel's maps.
struct Theirs {
    maps: Vec<OwnedFd>,
}

fn keys() -> impl Iterator<Item = (usize, Vec<u8>, usize)> {
    let first = std::iter::once((0, vec![0; 4], INPUT));
    let hash = (0..2u64).map(|key| (1, key.to_ne_bytes().to_vec(), VALUE));
    let array = (0..4u32).map(|key| (2, key.to_ne_bytes().to_vec(), VALUE));
    first.chain(hash).chain(array)
}

impl Theirs {
    fn new(kernel: &mut Kernel) -> std::io::Result<Theirs> {
        let maps = vec![
            kernel.map(2, 4, INPUT as u32, 1)?,
            kernel.map(1, 8, VALUE as u32, 4)?,
            kernel.map(2, 4, VALUE as u32, 4)?,
        ];
        Ok(Theirs { maps })
    }

    /// The program with descriptors in place of indices.
    fn insns(&self, insns: &[Insn]) -> Vec<Insn> {
        let mut insns = insns.to_vec();
        for insn in &mut insns {
            if insn.is_wide() && matches!(insn.src, pseudo::MAP | pseudo::MAP_VALUE) {
                insn.imm = self.maps[insn.imm as usize].as_raw_fd();
            }
        }
        insns
    }

    fn run(&self, kernel: &mut Kernel, program: &OwnedFd, before: &[Vec<u8>]) -> After {
        for ((map, key, _), value) in keys().zip(before) {
            kernel.update(&self.maps[map], &key, value).unwrap();
        }
        let result = kernel.run(program, 1).unwrap().0;
        let values = keys().map(|(map, key, len)| kernel.lookup(&self.maps[map], &key, len)).collect();
        (result, values)
    }
}

fn maps() -> Vec<Arc<Map>> {
    let map = |name: &str, kind, key, value: usize, entries| {
        Map::new(MapSpec::new(name, kind, key, value as u32, entries), 1).unwrap()
    };
    vec![
        map("input", MapKind::Array, 4, INPUT, 1),
        map("hash", MapKind::Hash, 8, VALUE, 4),
        map("array", MapKind::Array, 4, VALUE, 4),
    ]
}

fn after(program: &Program, result: u64) -> After {
    (result as u32, keys().map(|(map, key, _)| program.maps[map].lookup(&key)).collect())
}

fn prepare(program: &Program, before: &[Vec<u8>]) {
    for ((map, key, _), value) in keys().zip(before) {
        program.maps[map].update(&key, value, UpdateMode::Any).unwrap();
    }
}

/// A run in the interpreter, followed: what it left, or what is wrong.
fn interpret(
    program: &Program,
    trace: Option<&Trace>,
    before: &[Vec<u8>],
    worker: &mut Worker,
) -> Result<After, String> {
    prepare(program, before);
    let outcome = match trace {
        Some(trace) => {
            let mut follower = Follower::new(trace, program);
            let outcome = worker.run_observed(program, &[], &mut Nobody, BUDGET, &mut follower);
            if let Some(wrong) = follower.wrong() {
                return Err(format!("not as known: {wrong}"));
            }
            outcome
        }
        None => worker.run(program, &[], &mut Nobody, BUDGET),
    };
    match outcome.result {
        Ok(result) => Ok(after(program, result)),
        Err(fault) => Err(fault.to_string()),
    }
}

#[cfg(all(feature = "jit", target_arch = "x86_64"))]
fn compiled(verified: &Verified) -> impl Fn(&[Vec<u8>], &mut Worker) -> Option<After> + use<> {
    let code = fuse_bpf_vm::jit::compile(verified).unwrap();
    let program = Arc::clone(verified.program());
    move |before, worker| {
        prepare(&program, before);
        let outcome = worker.run_compiled(&code, &[], &mut Nobody, BUDGET);
        Some(after(&program, outcome.result.unwrap()))
    }
}

#[cfg(not(all(feature = "jit", target_arch = "x86_64")))]
fn compiled(_: &Verified) -> impl Fn(&[Vec<u8>], &mut Worker) -> Option<After> + use<> {
    |_, _| None
}

/// What maps hold before a run.
fn inputs(random: &mut Random) -> Vec<Vec<u8>> {
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
    keys().map(|(_, _, len)| (0..len / 8).flat_map(|_| word().to_ne_bytes()).collect()).collect()
}

/// The program with a whole frame of zeros in front.
fn written(program: &Program) -> Program {
    let frame = (8..=512).step_by(8);
    let mut insns: Vec<Insn> = frame.map(|off| insn(op::ST | op::MEM | op::DW, 10, 0, -off, 0)).collect();
    let by = insns.len();
    insns.extend_from_slice(&program.insns);
    let moved = |function: &Function| match function.start {
        0 => function.clone(),
        start => Function { start: start + by, ..function.clone() },
    };
    let functions = program.functions.iter().map(moved).collect();
    Program { insns, maps: program.maps.clone(), functions, ..Program::default() }
}

/// Why one verifier accepts what the other does not.
struct Row {
    /// Who accepts it: `kernel` or `ours`.
    only: &'static str,
    /// Part of the message of the one that refuses.
    part: &'static str,
}

impl Row {
    fn fits(&self, only: &str, message: &str) -> bool {
        self.only == only && message.contains(self.part)
    }
}

fn rows() -> Vec<Row> {
    let lines = ROWS.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let mut fields = line.split('\t');
            let (only, _, part, why) = (fields.next(), fields.next(), fields.next(), fields.next());
            assert!(why.is_some_and(|why| why.len() > 20), "a row without a reason: {line}");
            Row { only: only.unwrap(), part: part.unwrap() }
        })
        .collect()
}

#[derive(Default)]
struct Counts {
    both: u64,
    neither: u64,
    runs: u64,
    only: [u64; 2],
    /// Programs that read stack they have not written, which holds anything in the kernel and zeros here.
    unwritten: u64,
    rows: BTreeMap<usize, u64>,
    unexplained: BTreeMap<String, (u64, String)>,
}

/// Where a message says why.
fn last_line(text: &str) -> String {
    let lines: Vec<&str> = text.split(" / ").filter(|line| !line.starts_with("processed ")).collect();
    lines.last().map_or(String::new(), |line| (*line).to_owned())
}

impl Counts {
    fn differs(&mut self, only: &'static str, message: &str, insns: &[Insn], rows: &[Row], show: bool) {
        self.only[usize::from(only == "ours")] += 1;
        let row = rows.iter().position(|row| row.fits(only, message));
        let Some(row) = row else {
            let text = format!("{only}: {}", last_line(message));
            let text: String =
                text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
            self.unexplained
                .entry(text)
                .or_insert_with(|| (0, format!("{message}\n{}", disassemble(insns))))
                .0 += 1;
            return;
        };
        let count = self.rows.entry(row).or_default();
        *count += 1;
        if show && *count == 1 {
            println!("only {only}: {message}\n{}", disassemble(insns));
        }
    }
}

#[test]
fn verdicts_differ_for_known_reasons_only() {
    let mut kernel = Kernel::new();
    let trivial = [make::insn(op::ALU64 | op::MOV, 0, 0, 0, 7), make::insn(op::EXIT_INSN, 0, 0, 0, 0)];
    if let Err(error) = kernel.run_once(&trivial) {
        println!("skipped: the kernel does not run programs for this user: {error}");
        return;
    }
    let theirs = match Theirs::new(&mut kernel) {
        Ok(theirs) => theirs,
        Err(error) => {
            println!("skipped: the kernel makes no maps for this user: {error}");
            return;
        }
    };
    let programs = setting("KERNEL_VERDICTS_PROGRAMS", PROGRAMS);
    let mut random = Random(setting("KERNEL_VERDICTS_SEED", 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let show = std::env::var_os("KERNEL_VERDICTS_SHOW").is_some();
    let rows = rows();
    let mut worker = Worker::new(0);
    let mut counts = Counts::default();
    for n in 0..programs {
        let (insns, starts) = write(&mut random);
        let name = |start| Function { start, name: format!("f{start}"), ..Function::default() };
        let functions: Vec<Function> = starts.into_iter().map(name).collect();
        if let Err(error) = check_insns(&insns, &functions) {
            panic!("program {n} is none: {error:?}\n{}", disassemble(&insns));
        }
        let program =
            Arc::new(Program { name: "random".into(), insns, maps: maps(), functions, ..Program::default() });
        let ours = verify_traced(&program, Entry::Context(&[]), Limits::default());
        let loaded = kernel.load(&theirs.insns(&program.insns));
        let insns = &program.insns;
        let wrong = |what: String| -> ! { panic!("program {n}: {what}\n{}", disassemble(insns)) };
        match (&ours, &loaded) {
            (Ok((verified, trace)), Ok(loaded)) => {
                counts.both += 1;
                let compiled = compiled(verified);
                for _ in 0..RUNS {
                    let before = inputs(&mut random);
                    let expected = theirs.run(&mut kernel, loaded, &before);
                    let got = interpret(&program, trace.as_ref(), &before, &mut worker)
                        .unwrap_or_else(|what| wrong(what));
                    if got != expected {
                        let written = written(&program);
                        let Ok(loaded) = kernel.load(&theirs.insns(&written.insns)) else {
                            // All of the stack in several functions is more than the kernel allows.
                            counts.unwritten += 1;
                            break;
                        };
                        let expected = theirs.run(&mut kernel, &loaded, &before);
                        let got = interpret(&written, None, &before, &mut worker)
                            .unwrap_or_else(|what| wrong(what));
                        if got != expected {
                            wrong(format!("interpreted: {got:x?}\nin the kernel: {expected:x?}"));
                        }
                        counts.unwritten += 1;
                        break;
                    }
                    if let Some(got) = compiled(&before, &mut worker)
                        && got != expected
                    {
                        wrong(format!("compiled: {got:x?}\nin the kernel: {expected:x?}"));
                    }
                    counts.runs += 1;
                }
            }
            (Ok((_, trace)), Err(error)) => {
                for _ in 0..RUNS {
                    let before = inputs(&mut random);
                    if let Err(what) = interpret(&program, trace.as_ref(), &before, &mut worker) {
                        wrong(what);
                    }
                }
                counts.differs("ours", &format!("{error}: {}", kernel.reason()), insns, &rows, show);
            }
            (Err(rejection), Ok(_)) => {
                let message = format!("insn {} ({}): {}", rejection.slot, rejection.insn, rejection.rule);
                counts.differs("kernel", &message, insns, &rows, show);
            }
            (Err(_), Err(_)) => counts.neither += 1,
        }
    }
    println!(
        "{programs} programs: {} accepted by both, {} runs of them equal; {} by neither, {} by the kernel only, {} by us only",
        counts.both, counts.runs, counts.neither, counts.only[0], counts.only[1]
    );
    println!(
        "{} read stack they have not written: compared with zeros in front, if the kernel allows",
        counts.unwritten
    );
    for (index, row) in rows.iter().enumerate() {
        let count = counts.rows.get(&index).unwrap_or(&0);
        println!("{}\t{count}\t{}", row.only, row.part);
    }
    for (text, (count, example)) in &counts.unexplained {
        println!("unexplained, {count} times: {text}\n{example}");
    }
    assert!(counts.unexplained.is_empty(), "{} kinds of disagreement have no row", counts.unexplained.len());
    assert!(
        counts.both * 8 > programs,
        "more programs should be worth running: {} of {programs}",
        counts.both
    );
}
