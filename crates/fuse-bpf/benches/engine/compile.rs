//! How long compilation takes: of every program of every object in `bpf/`.

use std::hint::black_box;
use std::time::Instant;

use fuse_bpf_vm::jit::compile;
use fuse_bpf_vm::verify::{Entry, Limits, verify};

use crate::{Options, Spread, filters};

/// How often each program is compiled: the best time counts.
const TIMES: usize = 5;
/// Instructions from which on the goal holds: what every program costs, whatever its length, is little by then.
const FEW: usize = 50;
/// Microseconds an instruction may take.
const GOAL: f64 = 8.0;

/// Some programs together.
#[derive(Default)]
struct Sum {
    programs: usize,
    insns: usize,
    bytes: usize,
    micros: f64,
}

impl Sum {
    fn add(&mut self, insns: usize, bytes: usize, micros: f64) {
        self.programs += 1;
        self.insns += insns;
        self.bytes += bytes;
        self.micros += micros;
    }

    fn show(&self, name: &str) {
        println!(
            "{name:32} {:>8} {:>12} {:>9} bytes {:>9.2} ms {:>8.2} us",
            self.programs,
            self.insns,
            self.bytes,
            self.micros / 1e3,
            self.micros / self.insns as f64
        );
    }
}

pub(crate) fn table(options: &Options) {
    println!("Compilation\n");
    println!(
        "{:32} {:>8} {:>12} {:>15} {:>12} {:>11}",
        "", "programs", "instructions", "code", "time", "each"
    );
    let (mut all, mut large) = (Sum::default(), Vec::new());
    for path in filters::objects() {
        let mut sum = Sum::default();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !options.wants(&name) {
            continue;
        }
        for (program_name, program, args) in filters::filters(&path) {
            let verified = verify(&program, Entry::Context(&args), Limits::default());
            let verified = verified.unwrap_or_else(|rejection| panic!("{program_name}: {rejection}"));
            // What cannot be reached is not compiled.
            let insns = verified.facts().reached.iter().filter(|reached| **reached).count();
            let mut best = (f64::INFINITY, 0);
            for _ in 0..options.rounds(TIMES) {
                let start = Instant::now();
                let compiled = black_box(compile(black_box(&verified)).unwrap());
                best = (best.0.min(start.elapsed().as_secs_f64() * 1e6), compiled.code().len());
            }
            let (micros, bytes) = best;
            sum.add(insns, bytes, micros);
            all.add(insns, bytes, micros);
            if insns >= FEW {
                large.push(micros / insns as f64);
            }
        }
        if sum.programs > 0 {
            sum.show(&name);
        }
    }
    all.show("all");
    println!(
        "\n{} programs of at least {FEW} instructions, microseconds for each: least median most {} (goal <= {GOAL:.0})\n",
        large.len(),
        Spread::of(large)
    );
}
