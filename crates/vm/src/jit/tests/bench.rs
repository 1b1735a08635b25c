//! Compiled programs against the kernel's: the same instructions, in turns, in one process.
//!
//! In tests this only checks that both give the same. With `ENGINE_BENCH=1` and optimized it measures:
//! `ENGINE_BENCH=1 cargo test --release -p fuse-bpf-vm --lib bench -- --nocapture --test-threads 1`. Bodies
//! stand 32 times in their program, since the kernel tells whole nanoseconds; what an empty program takes
//! is subtracted on both sides.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::kernel::Kernel;
use super::*;
use crate::maps::{Map, MapKind, MapSpec, UpdateMode};

/// How often a body stands in its program.
const COPIES: usize = 32;

/// One thing to measure.
struct Case {
    name: &'static str,
    /// Once at the start; R6 is a number the compilers do not know.
    setup: &'static str,
    /// What is repeated; `@` is replaced by the number of the copy.
    body: &'static str,
    copies: usize,
    /// Functions after the end.
    functions: &'static str,
    map: Option<MapKind>,
    /// What the kernel's time may be multiplied by.
    target: f64,
}

const CASES: [Case; 6] = [
    Case {
        name: "filter, 50 instructions",
        setup: "",
        body: "
            *(u64 *)(r10 - 8) = r6
            r6 *= 31
            *(u64 *)(r10 - 16) = r6
            r1 = *(u8 *)(r10 - 8)
            r2 = *(u8 *)(r10 - 7)
            r3 = *(u8 *)(r10 - 6)
            r4 = *(u16 *)(r10 - 4)
            r5 = *(u32 *)(r10 - 16)
            r0 = 0
            if r1 == 46 goto a@
            r0 += 1
            if r2 == 47 goto a@
            r0 += 2
            if r3 == 48 goto a@
            r0 += 4
            if r4 > 77 goto a@
            r0 += 8
        a@: r1 <<= 8
            r1 |= r2
            r1 <<= 8
            r1 |= r3
            r7 = r1
            r7 &= 0xf0f0
            if r7 == 0x1010 goto b@
            r0 ^= r7
            w7 = w5
            w7 += 12345
            w7 ^= w4
            r0 += r7
            w5 >>= 3
            if w5 < 100 goto b@
            w5 *= 17
            r0 += r5
        b@: r8 = *(u8 *)(r10 - 12)
            r9 = *(u8 *)(r10 - 11)
            if r8 != r9 goto c@
            r8 <<= 2
            r0 += r8
        c@: r8 += r9
            r8 s>>= 1
            r0 -= r8
            r9 = r0
            r9 >>= 7
            r0 ^= r9
            if r0 s> 1000 goto d@
            r0 += 3
        d@: r6 += r0
            r6 &= 0xffffff
",
        copies: COPIES,
        functions: "",
        map: None,
        target: 1.1,
    },
    Case {
        name: "fnv over 48 bytes",
        setup: "
            *(u64 *)(r10 - 48) = r6
            *(u64 *)(r10 - 40) = r6
            *(u64 *)(r10 - 32) = r6
            *(u64 *)(r10 - 24) = r6
            *(u64 *)(r10 - 16) = r6
            *(u64 *)(r10 - 8) = r6
",
        body: "
            r1 = 0
            r0 = 0xcbf29ce484222325 ll
            r4 = 0x100000001b3 ll
        a@: r2 = r10
            r2 += -48
            r2 += r1
            r3 = *(u8 *)(r2 + 0)
            r0 ^= r3
            r0 *= r4
            r1 += 1
            if r1 < 48 goto a@
            r6 += r0
",
        copies: 8,
        functions: "",
        map: None,
        target: 1.1,
    },
    Case {
        name: "1000 rounds in registers",
        setup: "",
        body: "
            r1 = 1000
            r2 = 77
        a@: r2 ^= r6
            r2 *= 31
            r3 = r2
            r3 >>= 13
            r2 += r3
            r6 += r2
            r1 += -1
            if r1 != 0 goto a@
",
        copies: 1,
        functions: "",
        map: None,
        target: 1.1,
    },
    Case {
        name: "calls of a function",
        setup: "",
        body: "
            r1 = r6
            r2 = @
            call f
            r6 += r0
",
        copies: COPIES,
        functions: "
        f:  r0 = r1
            r0 *= 3
            r0 ^= r2
            exit
",
        map: None,
        target: 0.5,
    },
    Case {
        name: "lookup in an array",
        setup: "",
        body: "
            r6 &= 7
            *(u32 *)(r10 - 4) = r6
            r1 = map[0] ll
            r2 = r10
            r2 += -4
            call 1
            if r0 == 0 goto a@
            r0 = *(u64 *)(r0 + 0)
            r6 += r0
        a@: r6 += 1
",
        copies: COPIES,
        functions: "",
        map: Some(MapKind::Array),
        target: 1.2,
    },
    Case {
        name: "lookup in a hash map",
        setup: "",
        body: "
            r6 &= 7
            *(u64 *)(r10 - 8) = r6
            r1 = map[0] ll
            r2 = r10
            r2 += -8
            call 1
            if r0 == 0 goto a@
            r0 = *(u64 *)(r0 + 0)
            r6 += r0
        a@: r6 += 1
",
        copies: COPIES,
        functions: "",
        map: Some(MapKind::Hash),
        target: 1.0,
    },
];

impl Case {
    fn text(&self, copies: usize) -> String {
        let bodies: String = (0..copies).map(|copy| self.body.replace('@', &copy.to_string())).collect();
        let functions = if copies == 0 { "" } else { self.functions };
        format!("call 8\nr6 = r0\nr6 += 5\nr0 = 0\n{}{bodies}r0 = r6\nexit\n{functions}", self.setup)
    }

    fn key_size(&self) -> usize {
        if self.map == Some(MapKind::Hash) { 8 } else { 4 }
    }

    fn our_map(&self) -> Vec<Arc<Map>> {
        let Some(kind) = self.map else { return Vec::new() };
        let spec = MapSpec::new("m", kind, self.key_size() as u32, 16, 64);
        let map = Map::new(spec, 1).unwrap();
        for i in 0..8u64 {
            map.update(&i.to_ne_bytes()[..self.key_size()], &[i as u8; 16], UpdateMode::Any).unwrap();
        }
        vec![map]
    }

    fn compile(&self, copies: usize, map: &[Arc<Map>]) -> Compiled {
        let program = whole(crate::build::program_with(asm(&self.text(copies)), map.to_vec(), Vec::new()));
        let calls = program.insns.iter().enumerate();
        let lookups = calls.filter(|(_, insn)| insn.code == op::CALL_IMM && insn.src == 0 && insn.imm == 1);
        let maps: BTreeMap<usize, u32> = lookups.map(|(slot, _)| (slot, 0)).collect();
        compiled_with(&program, Facts { maps, ..Facts::default() }).unwrap()
    }

    /// The kernel's program, and what it has to keep.
    fn load(&self, copies: usize, kernel: &mut Kernel) -> std::io::Result<(OwnedFd, Option<OwnedFd>)> {
        let mut insns = asm(&self.text(copies));
        let map = match self.map {
            Some(kind) => {
                let map = kernel.map(kind as u32, self.key_size() as u32, 16, 64)?;
                for i in 0..8u64 {
                    kernel.update(&map, &i.to_ne_bytes()[..self.key_size()], &[i as u8; 16])?;
                }
                for insn in insns.iter_mut().filter(|insn| insn.is_wide() && insn.src == pseudo::MAP) {
                    insn.imm = map.as_raw_fd();
                }
                Some(map)
            }
            None => None,
        };
        Ok((kernel.load(&insns)?, map))
    }
}

/// Runs a program `times` times. Nanoseconds for one.
fn time(compiled: &Compiled, times: u32) -> f64 {
    let mut worker = Worker::new(0);
    let mut host = TestHost::default();
    let start = Instant::now();
    for _ in 0..times {
        black_box(worker.run_compiled(black_box(compiled), &[], &mut host, DEFAULT_BUDGET).result.is_ok());
    }
    start.elapsed().as_nanos() as f64 / f64::from(times)
}

/// The number a tenth are below, the median, and the number a tenth are above.
fn spread(mut numbers: Vec<f64>) -> [f64; 3] {
    numbers.sort_by(f64::total_cmp);
    let last = numbers.len() - 1;
    [numbers[last / 10], numbers[last / 2], numbers[last - last / 10]]
}

#[test]
fn bench_against_the_kernel() {
    let measures = std::env::var_os("ENGINE_BENCH").is_some();
    let mut kernel = Kernel::new();
    for case in &CASES {
        let maps = case.our_map();
        let (ours, our_base) = (case.compile(case.copies, &maps), case.compile(0, &maps));
        let result = run(&ours, &[]).unwrap() as u32;
        let loaded =
            case.load(case.copies, &mut kernel).and_then(|full| Ok((full, case.load(0, &mut kernel)?)));
        let ((theirs, _map), (their_base, _)) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                println!("skipped: {}: the kernel does not run it: {error}: {}", case.name, kernel.reason());
                continue;
            }
        };
        let slot = kernel.run(&their_base, 1).unwrap().0.wrapping_sub(5);
        if slot == 0 {
            assert_eq!(kernel.run(&theirs, 1).unwrap().0, result, "{}", case.name);
        }
        if !measures {
            continue;
        }
        let mut pairs = Vec::new();
        // Short turns, so that both meet the same weather.
        let times = if case.copies == 1 { 500 } else { 4000 };
        for _ in 0..101 {
            let full = (time(&ours, times), f64::from(kernel.run(&theirs, times).unwrap().1));
            let base = (time(&our_base, times), f64::from(kernel.run(&their_base, times).unwrap().1));
            pairs.push(((full.0 - base.0) / case.copies as f64, (full.1 - base.1) / case.copies as f64));
        }
        pairs.retain(|pair| pair.0 > 0.0 && pair.1 > 0.0);
        let [ours, ..] = spread(pairs.iter().map(|pair| pair.0).collect());
        let [theirs, ..] = spread(pairs.iter().map(|pair| pair.1).collect());
        let [low, median, high] = spread(pairs.iter().map(|pair| pair.0 / pair.1).collect());
        let met = if median <= case.target { "met" } else { "MISSED" };
        println!(
            "{:28} {ours:8.2} ns, kernel {theirs:8.2} ns, ratio {low:.2} / {median:.2} / {high:.2}, target {} {met}",
            case.name, case.target
        );
    }
}

#[test]
fn bench_of_entry_and_compilation() {
    if std::env::var_os("ENGINE_BENCH").is_none() {
        println!("skipped: ENGINE_BENCH is not set");
        return;
    }
    let empty = compiled(&linked(asm("r0 = 0\nexit")));
    let helper = compiled(&linked(asm("call 15\nexit")));
    let two = compiled(&linked(asm("call 15\ncall 15\nexit")));
    let empties = spread((0..15).map(|_| time(&empty, 100_000)).collect());
    let helpers = spread((0..15).map(|_| time(&helper, 100_000)).collect());
    let twos = spread((0..15).map(|_| time(&two, 100_000)).collect());
    println!("an empty program             {empties:.2?} ns");
    println!("with one helper              {helpers:.2?} ns");
    println!("with two helpers             {twos:.2?} ns");
    let words = [const { Cell::new(0u64) }; 8];
    let window = crate::mem::Window::from_words(&words);
    let args = [Arg::Mem(window), Arg::Mem(window), Arg::Buffer(0), Arg::Scalar(4)];
    let mut worker = Worker::new(0);
    let mut host = TestHost::default();
    let rounds = (0..15).map(|_| {
        let start = Instant::now();
        for _ in 0..100_000 {
            let outcome = worker.run_compiled(black_box(&empty), black_box(&args), &mut host, DEFAULT_BUDGET);
            black_box(outcome.result.is_ok());
        }
        start.elapsed().as_nanos() as f64 / 100_000.0
    });
    println!("an empty program, four args  {:.2?} ns", spread(rounds.collect()));
    let interpreted = linked(asm("r0 = 0\nexit"));
    let rounds = (0..15).map(|_| {
        let start = Instant::now();
        for _ in 0..100_000 {
            let outcome = worker.run(black_box(&interpreted), black_box(&args), &mut host, DEFAULT_BUDGET);
            black_box(outcome.result.is_ok());
        }
        start.elapsed().as_nanos() as f64 / 100_000.0
    });
    println!("the same, interpreted        {:.2?} ns", spread(rounds.collect()));
    for case in &CASES {
        let maps = case.our_map();
        for copies in [case.copies.min(1), case.copies] {
            let length = asm(&case.text(copies)).len();
            let times = (0..15).map(|_| {
                let start = Instant::now();
                let compiled = case.compile(copies, &maps);
                let took: Duration = start.elapsed();
                black_box(compiled.code().len());
                took.as_nanos() as f64 / 1000.0
            });
            let [min, median, _] = spread(times.collect());
            let each = median / length as f64;
            println!(
                "compile {:28} {length:5} instructions: {min:.0} / {median:.0} us, {each:.1} us each",
                case.name
            );
        }
    }
}
