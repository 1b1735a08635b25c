//! How fast programs run: `cargo bench -p fuse-bpf --bench engine`.
//!
//! Four tables. The first sets compiled programs against the kernel's compiler, native code and the interpreter: the
//! same C (`bpf/bench/engine.bpf.c`), in turns, in one process. The others: what a call from Rust costs, how long
//! compilation takes, and what a second thread adds. Beside each measure stands its goal; nothing depends on whether
//! it is reached. Text after `--` picks rows whose name has it in it.
//!
//! Run by `cargo test --benches` it only makes sure that all sides compute the same.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark, which prints")]

use std::time::{Duration, Instant};

mod compile;
mod entry;
mod filters;
#[path = "../../../vm/tests/exec/kernel.rs"]
#[allow(dead_code, reason = "shared with tests")]
mod kernel;
mod native;
mod object;
mod programs;
mod threads;

/// What is asked for on the command line.
struct Options {
    /// Part of the names of the rows that are wanted.
    wanted: String,
    /// Whether times are wanted, and not only that everything runs.
    measure: bool,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        name.contains(&self.wanted)
    }

    /// How often a measurement is made.
    fn rounds(&self, rounds: usize) -> usize {
        if self.measure { rounds } else { 1 }
    }

    /// How long one turn of a measurement should take.
    fn turn(&self, turn: Duration) -> Duration {
        if self.measure { turn } else { Duration::ZERO }
    }
}

/// The least, the median and the most of some numbers.
#[derive(Clone, Copy)]
struct Spread([f64; 3]);

impl Spread {
    fn of(numbers: impl IntoIterator<Item = f64>) -> Spread {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        let at = |index: usize| numbers.get(index).copied().unwrap_or(f64::NAN);
        Spread([at(0), at(numbers.len() / 2), at(numbers.len().saturating_sub(1))])
    }

    fn median(&self) -> f64 {
        self.0[1]
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [least, median, most] = self.0.map(short);
        write!(f, "{least:>6} {median:>6} {most:>6}")
    }
}

/// A number with about three digits.
fn short(number: f64) -> String {
    match number {
        _ if number < 10.0 => format!("{number:.2}"),
        _ if number < 100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

/// Nanoseconds one `run` takes, of so many one after the other.
fn time(times: u32, mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..times {
        run();
    }
    start.elapsed().as_nanos() as f64 / f64::from(times)
}

/// How many runs take about as long as a turn should.
fn times(turn: Duration, mut run: impl FnMut()) -> u32 {
    run();
    let one = time(3, run).max(1.0);
    (turn.as_nanos() as f64 / one).clamp(1.0, 1e6) as u32
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let options = Options {
        wanted: args.iter().find(|arg| !arg.starts_with("--")).cloned().unwrap_or_default(),
        // What cargo passes to benchmarks, and not to tests.
        measure: args.iter().any(|arg| arg == "--bench"),
    };
    programs::table(&options);
    entry::table(&options);
    compile::table(&options);
    threads::table(&options);
}
