//! What it costs to call a program from Rust.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use fuse_bpf_vm::asm::assemble;
use fuse_bpf_vm::contract::ArgType;
use fuse_bpf_vm::host::{Host, Nobody};
use fuse_bpf_vm::interp::{Arg, DEFAULT_BUDGET, Worker};
use fuse_bpf_vm::jit::compile;
use fuse_bpf_vm::mem::{Access, Window};
use fuse_bpf_vm::program::{Function, Program};
use fuse_bpf_vm::verify::{Entry, Limits, Verified, verify};

use crate::{Options, Spread, time, times};

const ROUNDS: usize = 51;
const TURN: Duration = Duration::from_millis(1);

/// What a filter is given: who asks, what for, a name, and what is to be answered.
static ARGUMENTS: [ArgType; 4] = [
    ArgType::Struct { name: "meta", size: 64, access: Access::Read },
    ArgType::Struct { name: "in", size: 32, access: Access::ReadWrite },
    ArgType::Buffer { name: "name", access: Access::ReadWrite },
    ArgType::Struct { name: "out", size: 128, access: Access::ReadWrite },
];

/// A program; whether it is given arguments; and the goal, in nanoseconds.
const ROWS: [(&str, &str, bool, Option<f64>); 4] = [
    ("no arguments", "r0 = 0\nexit", false, None),
    (
        "four arguments, all looked at",
        "r2 = *(u64 *)(r1 + 0)\nr0 = *(u32 *)(r2 + 8)\nr2 = *(u64 *)(r1 + 8)\nr3 = *(u32 *)(r2 + 4)\nr0 += r3\n\
         r2 = *(u64 *)(r1 + 24)\n*(u64 *)(r2 + 16) = r0\nr2 = *(u64 *)(r1 + 16)\nif r2 == 0 goto a\nr0 += 1\na: exit",
        true,
        Some(10.0),
    ),
    ("four arguments, and a helper", "call 15\nexit", true, None),
    ("four arguments, and two helpers", "call 15\ncall 15\nexit", true, None),
];

fn proved(name: &str, text: &str, given: &[ArgType]) -> Verified {
    let program = Program {
        name: name.to_owned(),
        insns: assemble(text).unwrap(),
        functions: vec![Function { name: name.to_owned(), ..Function::default() }],
        ..Program::default()
    };
    verify(&Arc::new(program), Entry::Context(given), Limits::default()).unwrap()
}

/// What nothing can be faster than: a call of what does nothing.
const FLOOR: &str = "four arguments, nobody called";

type Callee = for<'r> fn(&mut Worker, &[Arg<'r>], &mut dyn Host<'r>, u64) -> u64;

fn nothing<'r>(_: &mut Worker, _: &[Arg<'r>], _: &mut dyn Host<'r>, budget: u64) -> u64 {
    budget
}

/// The arguments and the host made as in the other rows, and a call through a pointer.
fn floor(options: &Options) {
    let words = [const { Cell::new(0) }; 16];
    let mut worker = Worker::new(0);
    let mut run = || {
        let memory = Window::from_words(black_box(&words));
        let all = [Arg::Mem(memory.read_only()), Arg::Mem(memory), Arg::Buffer(0), Arg::Mem(memory)];
        let callee = black_box(nothing as Callee);
        black_box(callee(&mut worker, black_box(&all[..]), &mut Nobody, DEFAULT_BUDGET));
    };
    let count = times(options.turn(TURN), &mut run);
    let rounds: Vec<f64> = (0..options.rounds(ROUNDS)).map(|_| time(count, &mut run)).collect();
    println!("{FLOOR:32} {}", Spread::of(rounds));
}

pub(crate) fn table(options: &Options) {
    if !ROWS.iter().map(|row| row.0).chain([FLOOR]).any(|name| options.wants(name)) {
        return;
    }
    println!("From Rust to a program and back, in nanoseconds: least median most of {ROUNDS} rounds\n");
    println!("{:32} {:^20}  {:^8}  {:^20}", "", "compiled", "goal", "interpreted");
    if options.wants(FLOOR) {
        floor(options);
    }
    for (name, text, given, goal) in ROWS {
        if !options.wants(name) {
            continue;
        }
        let verified = proved(name, text, if given { &ARGUMENTS } else { &[] });
        let compiled = compile(&verified).unwrap();
        let words = [const { Cell::new(0) }; 16];
        let mut worker = Worker::new(0);
        // All of what a call needs: the arguments and the host are made anew.
        let mut run = |interpreted: bool| {
            let memory = Window::from_words(black_box(&words));
            let all = [Arg::Mem(memory.read_only()), Arg::Mem(memory), Arg::Buffer(0), Arg::Mem(memory)];
            // Who calls a program knows neither how many there are nor what they are.
            let args = black_box(if given { &all[..] } else { &[] });
            let mut host = Nobody;
            let outcome = if interpreted {
                worker.run(black_box(verified.program()), args, &mut host, DEFAULT_BUDGET)
            } else {
                worker.run_compiled(black_box(&compiled), args, &mut host, DEFAULT_BUDGET)
            };
            black_box(outcome.result.unwrap());
        };
        let count = times(options.turn(TURN), || run(false));
        let (mut fast, mut slow) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds(ROUNDS) {
            fast.push(time(count, || run(false)));
            slow.push(time(count.div_ceil(8), || run(true)));
        }
        let goal = goal.map_or("-".to_owned(), |goal| format!("<= {goal:.0} ns"));
        println!("{name:32} {}  {goal:^8}  {}", Spread::of(fast), Spread::of(slow));
    }
    println!();
}
