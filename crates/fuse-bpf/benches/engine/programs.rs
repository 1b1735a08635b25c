//! Programs, as four engines run them.

use std::hint::black_box;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use fuse_bpf_vm::host::Nobody;
use fuse_bpf_vm::interp::{DEFAULT_BUDGET, Worker};
use fuse_bpf_vm::jit::{Compiled, compile};
use fuse_bpf_vm::link::Module;
use fuse_bpf_vm::program::Program;
use fuse_bpf_vm::verify::{Entry, Limits, verify};

use crate::native::{Function, Native};
use crate::object::{self, Theirs};
use crate::{Options, Spread, short, time, times};

/// Rounds of a measurement, and how often each side has its turn in one: its best time counts.
const ROUNDS: usize = 15;
const TURNS: usize = 5;
/// How long a turn takes. It is short, so that all sides meet the same weather.
const TURN: Duration = Duration::from_micros(300);

/// What is measured: what it is called, its program, how many bodies that has, and what the goal is for the time of
/// the compiled program as a multiple of the kernel's.
const ROWS: [(&str, &str, f64, Option<f64>); 15] = [
    ("filter", "filter_32", 32.0, Some(1.1)),
    ("loop over 32 bytes", "bytes_8", 8.0, Some(1.1)),
    ("loop over 32 entries", "branches_8", 8.0, Some(1.1)),
    ("1000 rounds in registers", "registers_1", 1.0, Some(1.1)),
    ("call", "calls_32", 32.0, Some(0.5)),
    ("call that makes two", "deep_calls_32", 32.0, Some(0.5)),
    ("array lookup", "array_256", 256.0, Some(1.2)),
    ("per-CPU array lookup", "percpu_array_256", 256.0, None),
    ("hash lookup, 8-byte key", "hash_256", 256.0, Some(1.0)),
    ("hash lookup, 4-byte key", "hash_of_u32_256", 256.0, Some(1.0)),
    ("hash lookup, 32-byte key", "hash_of_4_u64_256", 256.0, Some(1.0)),
    ("hash lookup, 8192 entries", "large_hash_1024", 1024.0, Some(1.0)),
    ("per-CPU hash lookup", "percpu_hash_256", 256.0, None),
    ("LRU hash lookup", "lru_hash_256", 256.0, None),
    ("prefix lookup", "prefixes_256", 256.0, None),
];

/// A program in the forms it is run in. What is missing was told.
struct Sides {
    program: Arc<Program>,
    compiled: Compiled,
    kernel: Option<OwnedFd>,
    native: Option<Function>,
}

/// What times are taken of.
#[derive(Clone, Copy)]
enum Side {
    Compiled,
    Kernel,
    Native,
    Interpreted,
}

/// All that runs programs.
struct Engines {
    worker: Worker,
    /// Or why it runs none.
    kernel: Result<Theirs, String>,
    native: Result<Native, String>,
}

impl Engines {
    fn new(module: &Module) -> Engines {
        let mut theirs = Theirs::new();
        let kernel = theirs.load(object::program(module, "empty")).map(|_| theirs);
        Engines { worker: Worker::new(0), kernel, native: Native::new() }
    }

    /// What there is to compare with, for people.
    fn tell(&self) {
        let jit = std::fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").unwrap_or_default();
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        match (&self.kernel, jit.trim()) {
            (Err(error), _) => println!("kernel: absent, bpf(2): {error}"),
            (Ok(_), "0") => {
                println!("kernel: {}, which INTERPRETS (net.core.bpf_jit_enable is 0)", release.trim())
            }
            (Ok(_), _) => println!("kernel: {}, its compiler", release.trim()),
        }
        match &self.native {
            Err(error) => println!("native: absent, {error}"),
            Ok(native) => println!("native: {}, -O2", native.compiler),
        }
    }

    /// A program in all its forms, and why the kernel does not have it.
    fn make(&mut self, program: &Arc<Program>) -> (Sides, Option<String>) {
        let verified = verify(program, Entry::Context(&[]), Limits::default()).unwrap();
        let compiled = compile(&verified).unwrap();
        let loaded = self.kernel.as_mut().ok().map(|theirs| theirs.load(program)).transpose();
        let native = self.native.as_ref().ok().and_then(|native| native.function(&program.name));
        let (kernel, refused) = match loaded {
            Ok(kernel) => (kernel, None),
            Err(refused) => (None, Some(refused)),
        };
        (Sides { program: Arc::clone(program), compiled, kernel, native }, refused)
    }

    /// Nanoseconds for one of so many runs; `None` where there is no such side.
    fn time(&mut self, sides: &Sides, side: Side, count: u32) -> Option<f64> {
        let worker = &mut self.worker;
        Some(match side {
            Side::Compiled => time(count, || {
                black_box(run_compiled(worker, black_box(&sides.compiled)));
            }),
            Side::Interpreted => time(count.div_ceil(16), || {
                black_box(interpret(worker, black_box(&sides.program)));
            }),
            Side::Native => {
                let function = sides.native?;
                time(count, || {
                    black_box(black_box(function).call());
                })
            }
            Side::Kernel => {
                let (theirs, program) = (self.kernel.as_mut().ok()?, sides.kernel.as_ref()?);
                theirs.run(program, count).1.into()
            }
        })
    }

    /// Makes sure that all sides compute the same.
    fn agree(&mut self, sides: &Sides) {
        let expected = interpret(&mut self.worker, &sides.program);
        let name = &sides.program.name;
        assert_eq!(run_compiled(&mut self.worker, &sides.compiled), expected, "{name}, compiled");
        if let Some(function) = sides.native {
            assert_eq!(function.call(), expected, "{name}, native");
        }
        if let (Ok(theirs), Some(program)) = (&mut self.kernel, &sides.kernel) {
            assert_eq!(theirs.run(program, 1).0, expected as u32, "{name}, in the kernel");
        }
    }
}

fn run_compiled(worker: &mut Worker, program: &Compiled) -> u64 {
    worker.run_compiled(program, &[], &mut Nobody, DEFAULT_BUDGET).result.unwrap()
}

fn interpret(worker: &mut Worker, program: &Program) -> u64 {
    worker.run(program, &[], &mut Nobody, DEFAULT_BUDGET).result.unwrap()
}

/// Nanoseconds a body takes on each side, in each round.
fn measure(
    engines: &mut Engines,
    sides: &Sides,
    empty: &Sides,
    bodies: f64,
    options: &Options,
) -> [Vec<f64>; 4] {
    let count = times(options.turn(TURN), || {
        black_box(run_compiled(&mut engines.worker, &sides.compiled));
    });
    let mut found = [const { Vec::new() }; 4];
    for _ in 0..options.rounds(ROUNDS) {
        let mut best = [[f64::INFINITY; 2]; 4];
        for _ in 0..options.rounds(TURNS) {
            let order = [Side::Compiled, Side::Kernel, Side::Native, Side::Interpreted];
            for (side, best) in order.into_iter().zip(&mut best) {
                for (sides, best) in [sides, empty].into_iter().zip(best) {
                    *best = best.min(engines.time(sides, side, count).unwrap_or(f64::NAN));
                }
            }
        }
        for (found, [full, empty]) in found.iter_mut().zip(best) {
            if full.is_finite() {
                found.push((full - empty).max(0.0) / bodies);
            }
        }
    }
    found
}

/// The times of one side as multiples of those of another.
fn ratio(times: &[f64], others: &[f64]) -> Option<Spread> {
    (!others.is_empty()).then(|| Spread::of(times.iter().zip(others).map(|(time, other)| time / other)))
}

fn cell(spread: Option<Spread>) -> String {
    spread.map_or(format!("{:>6} {:>6} {:>6}", "-", "-", "-"), |spread| spread.to_string())
}

pub(crate) fn table(options: &Options) {
    if !ROWS.iter().any(|row| options.wants(row.0)) {
        return;
    }
    let module = object::load();
    let mut engines = Engines::new(&module);
    println!("Compiled programs\n");
    engines.tell();
    println!(
        "Times as multiples of each other, lower is better: least median most of {ROUNDS} rounds.\n\n\
         {:26} {:>8}  {:^20}  {:^7}  {:^20}  {:^20}",
        "", "compiled", "compiled / kernel", "goal", "compiled / native", "interpreted / comp."
    );
    let (empty, _) = engines.make(object::program(&module, "empty"));
    engines.agree(&empty);
    for (name, program, bodies, goal) in ROWS {
        if !options.wants(name) {
            continue;
        }
        let (sides, refused) = engines.make(object::program(&module, program));
        engines.agree(&sides);
        let [compiled, kernel, native, interpreted] = measure(&mut engines, &sides, &empty, bodies, options);
        println!(
            "{name:26} {:>5} ns  {}  {:^7}  {}  {}",
            short(Spread::of(compiled.iter().copied()).median()),
            cell(ratio(&compiled, &kernel)),
            goal.map_or("-".into(), |goal| format!("<= {goal:.1}")),
            cell(ratio(&compiled, &native)),
            cell(ratio(&interpreted, &compiled)),
        );
        if let Some(refused) = refused {
            println!("    not in the kernel: {refused}");
        }
    }
    println!();
}
