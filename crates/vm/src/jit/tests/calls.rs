//! Functions, helpers, the budget, and how runs end.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::contract::{ArgKind, ArgType, Callable, Effects, RetKind};
use crate::interp::{Call, MAX_FRAMES};
use crate::maps::{Map, MapKind, MapSpec, UpdateMode};
use crate::mem::{Access, Width, Window};
use crate::program::{JumpTable, Missing, Poison};
use crate::verify::{Entry, Limits, verify};

#[test]
fn functions_keep_the_callers_registers_and_frame() {
    let result = exec(asm("
        r6 = 1
        r7 = 2
        r8 = 3
        r9 = 4
        *(u64 *)(r10 - 8) = 100
        r1 = 10
        r5 = 50
        call f
        r0 += r6
        r0 += r7
        r0 += r8
        r0 += r9
        r1 = *(u64 *)(r10 - 8)
        r0 += r1
        exit
    f:  r6 = 1000
        r7 = r6
        r8 = r6
        r9 = r6
        *(u64 *)(r10 - 8) = r6
        r0 = r1
        r0 += r5
        exit"));
    assert_eq!(result, 170);
}

#[test]
fn functions_get_pointers_to_the_callers_frame_and_a_clean_one_of_their_own() {
    let result = exec(asm("
        *(u64 *)(r10 - 8) = 5
        r1 = r10
        r1 += -8
        call f
        r6 = r0
        r1 = r10
        r1 += -8
        call f
        r0 += r6
        r1 = *(u64 *)(r10 - 8)
        r0 += r1
        exit
    // Adds one to what R1 points to, and gives what its own frame held.
    f:  r2 = *(u64 *)(r1 + 0)
        r2 += 1
        *(u64 *)(r1 + 0) = r2
        r0 = *(u64 *)(r10 - 16)
        *(u64 *)(r10 - 16) = 1000
        exit"));
    assert_eq!(result, 7);
}

#[test]
fn functions_with_each_number_of_arguments() {
    for count in 0..=5 {
        let sum: String = (1..=count).map(|i| format!("r0 *= 7\nr0 += r{i}\n")).collect();
        let set: String = (1..=5).map(|i| format!("r{i} = {i}\n")).collect();
        // Once without and once with a helper, which needs frame, run and budget.
        for helper in [
            "",
            "r6 = r1\nr7 = r2\ncall 8\nr1 = r6\nr2 = r7\n",
            "r6 = r1\nr7 = r2\ncall 15\nr1 = r6\nr2 = r7\n",
        ] {
            let helper = if count <= 2 || helper.is_empty() { helper } else { "" };
            exec(asm(&format!("{set}call f\nexit\nf: {helper}r0 = 3\n{sum}exit")));
        }
    }
}

#[test]
fn frames_are_counted() {
    // Calls itself R1 times.
    let deep = |times: usize| {
        asm(&format!("r1 = {times}\ncall f\nexit\nf: r0 = 7\nif r1 == 0 goto e\nr1 += -1\ncall f\ne: exit"))
    };
    assert_eq!(exec(deep(MAX_FRAMES - 2)), 7);
    let program = linked(deep(MAX_FRAMES - 1));
    let outcome = run_for(&compiled(&program), &[], DEFAULT_BUDGET);
    let fault = outcome.result.unwrap_err();
    assert_eq!((fault.kind, fault.slot, fault.function.as_str()), (FaultKind::TooDeep, 6, "f3"));
    // A chain without a circle.
    let chain = |frames: usize| {
        let functions: String = (1..frames).map(|i| format!("call f{i}\nexit\nf{i}: ")).collect();
        asm(&format!("{functions}r0 = 5\nexit"))
    };
    assert_eq!(exec(chain(MAX_FRAMES)), 5);
    let program = linked(chain(MAX_FRAMES + 1));
    assert_eq!(run(&compiled(&program), &[]), Err(FaultKind::TooDeep));
}

#[test]
fn the_budget_ends_every_program() {
    let endless = [
        "a: goto a",
        "r0 = 0\na: r0 += 1\nif r0 != 0 goto a\nexit",
        "r0 = 0\na: call f\ngoto a\nf: r0 = 1\nexit",
        "call f\nr0 = 1\nexit\nf: r6 = 0\na: if r6 == 0 goto a\nr0 = 1\nexit",
        // A loop in a loop.
        "r1 = 0\na: r2 = 0\nb: r2 += 1\nif r2 < 5 goto b\nr1 += 1\ngoto a",
        "a: call 8\nif r0 == 0 goto a\nexit",
        "a: call 15\nif r0 != 0 goto a\nexit",
    ];
    for text in endless {
        let program = linked(asm(text));
        let compiled = compiled(&program);
        for budget in [0, 1, 1000, 100_000] {
            let outcome = run_for(&compiled, &[], budget);
            assert_eq!(outcome.result.unwrap_err().kind, FaultKind::Budget { budget }, "{text}");
            assert_eq!(outcome.insns, budget);
        }
    }
    // Doubling with each function: charged, though there is no loop.
    let functions: String =
        (1..8).map(|i| format!("{}exit\nf{i}: ", format!("call f{i}\n").repeat(40))).collect();
    let program = linked(asm(&format!("{functions}r0 = 5\nexit")));
    let outcome = run_for(&compiled(&program), &[], 1_000_000);
    assert_eq!(outcome.result.unwrap_err().kind, FaultKind::Budget { budget: 1_000_000 });
}

#[test]
fn a_loop_costs_what_it_costs_the_interpreter() {
    let program = linked(asm("r0 = 0\na: r0 += 1\nr1 = r0\nif r0 < 1000 goto a\nexit"));
    let interpreted = Worker::new(0).run(&program, &[], &mut TestHost::default(), DEFAULT_BUDGET).insns;
    let outcome = run_for(&compiled(&program), &[], DEFAULT_BUDGET);
    assert_eq!(outcome.result, Ok(1000));
    assert!(interpreted.abs_diff(outcome.insns) < 10, "{interpreted} {}", outcome.insns);
}

#[test]
fn loops_that_were_walked_to_their_end_cost_nothing() {
    let program =
        linked(asm("r0 = 0\na: r0 += 1\nif r0 < 1000 goto a\nb: r0 += 1\nif r0 < 2000 goto b\nexit"));
    let reached = vec![true; program.insns.len()];
    let facts = |fuel| Facts { reached: reached.clone(), maps: BTreeMap::new(), fuel };
    let none = compiled_with(&program, facts(vec![])).unwrap();
    let outcome = run_for(&none, &[], 10);
    assert_eq!((outcome.result, outcome.insns), (Ok(2000), 0));
    let one = compiled_with(&program, facts(vec![4])).unwrap();
    let outcome = run_for(&one, &[], 1_000_000);
    assert_eq!((outcome.result, outcome.insns), (Ok(2000), 2 * 999));
}

#[test]
fn what_is_not_reached_is_not_compiled() {
    let text = "r0 = *(u64 *)(r1 + 0)\nif r0 == 7 goto a\nr0 = 1\nexit\na: call 9999\nexit\nf: r0 = 3\nexit";
    let mut program = crate::build::program(asm(text));
    program.functions.push(Function { start: 6, name: "f".into(), ..Function::default() });
    let program = Arc::new(program);
    let reached = vec![true, true, true, true, false, false, false, false];
    let compiled = compiled_with(&program, Facts { reached, ..Facts::default() }).unwrap();
    assert_eq!(compiled.functions().len(), 1);
    assert_eq!(run(&compiled, &[Arg::Scalar(6)]), Ok(1));
    let outcome = run_for(&compiled, &[Arg::Scalar(7)], 1000);
    let fault = outcome.result.unwrap_err();
    assert_eq!((fault.kind, fault.slot), (FaultKind::Unreachable, 4));
}

#[test]
fn functions_whose_address_is_taken_can_be_entered() {
    for called in ["", "call f\n"] {
        // The one and the other kind of function: with and without what calls need.
        for body in
            ["r0 = *(u64 *)(r1 + 8)\nr0 += r2", "r6 = r2\nr7 = *(u64 *)(r1 + 8)\ncall 14\nr0 = r7\nr0 += r6"]
        {
            let text = format!("r2 = 1\n{called}r1 = func f ll\nr0 = 0\nexit\nf: {body}\nexit");
            let program = linked(asm(&text));
            let mut compiled = compiled(&program);
            assert_eq!(compiled.functions().len(), 2);
            assert!(compiled.functions()[0].height <= 2);
            compiled.entry = compiled.functions()[1].entry.unwrap();
            assert_eq!(run(&compiled, &[Arg::Scalar(1), Arg::Scalar(40)]), Ok(40));
        }
    }
}

#[test]
fn helpers_are_called_as_the_interpreter_calls_them() {
    let text = "
        r6 = 0x0a646c726f77 ll
        *(u64 *)(r10 - 8) = r6
        r1 = r10
        r1 += -8
        r2 = 7
        r3 = 7
        r4 = 8
        r5 = 9
        call 6
        r6 = r0
        call 14
        r6 += r0
        call 15
        r6 += r0
        r1 = r10
        r1 += -32
        r2 = 16
        call 16
        r0 = *(u64 *)(r10 - 32)
        r0 += r6
        exit";
    let program = linked(asm(text));
    let (mut one, mut two) = (TestHost::default(), TestHost::default());
    let expected = Worker::new(0).run(&program, &[], &mut one, DEFAULT_BUDGET).result.unwrap();
    let compiled = compiled(&program);
    let outcome = Worker::new(0).run_compiled(&compiled, &[], &mut two, DEFAULT_BUDGET);
    assert_eq!(outcome.result, Ok(expected));
    assert_eq!(one.printed, two.printed);
    assert_eq!(one.printed.len(), 1);
}

#[test]
fn the_processors_number_is_the_workers() {
    let program = linked(asm("call 8\nexit"));
    let compiled = compiled(&program);
    let outcome = Worker::new(7).run_compiled(&compiled, &[], &mut TestHost::default(), 10);
    assert_eq!(outcome.result, Ok(7));
}

#[test]
fn work_of_calls_takes_from_the_budget() {
    let big: Vec<Cell<u8>> = vec![Cell::new(0); 1 << 20];
    let program = linked(asm("r1 = *(u64 *)(r1 + 0)\nr2 = 0x100000\nr3 = r1\ncall 113\nexit"));
    let compiled = compiled(&program);
    let args = [Arg::Mem(Window::from_cells(&big))];
    let outcome = run_for(&compiled, &args, 1 << 20);
    assert_eq!(outcome.result, Ok(0));
    assert!(outcome.insns > 1 << 14, "{}", outcome.insns);
    let outcome = run_for(&compiled, &args, 1 << 10);
    assert_eq!(outcome.result.unwrap_err().kind, FaultKind::Budget { budget: 1 << 10 });
}

static CALLS: AtomicU64 = AtomicU64::new(0);

static FAILING: Callable = Callable {
    name: "fail",
    id: 0,
    proto: "int %s(u64 how)",
    args: &[ArgKind::Scalar],
    ret: RetKind::Scalar,
    effects: Effects::empty(),
    run: |call: &mut Call<'_, '_>| {
        CALLS.fetch_add(1, Ordering::Relaxed);
        match call.scalar(0) {
            0 => Ok(1),
            1 => Err(FaultKind::TooManySlices { limit: 3 }),
            _ => panic!("asked to"),
        }
    },
};

#[test]
fn faults_and_panics_in_calls_end_the_run_through_all_frames() {
    let text = "
        r1 = *(u64 *)(r1 + 0)
        r6 = r1
        call f
        r1 = r6
        call f
        exit
    f:  call g
        r0 += 10
        exit
    g:  call kfunc#0
        r0 += 100
        exit";
    let program = whole(crate::build::program_with(asm(text), Vec::new(), vec![&FAILING]));
    let compiled = compiled(&program);
    assert_eq!(run(&compiled, &[Arg::Scalar(0)]), Ok(111));
    let mut worker = Worker::new(0);
    let mut host = TestHost::default();
    for _ in 0..3 {
        let before = CALLS.load(Ordering::Relaxed);
        let fault = worker.run_compiled(&compiled, &[Arg::Scalar(1)], &mut host, 1000).result.unwrap_err();
        assert_eq!(fault.kind, FaultKind::TooManySlices { limit: 3 });
        assert_eq!((fault.slot, fault.function.as_str()), (9, "f9"));
        assert!(CALLS.load(Ordering::Relaxed) > before);
        let panic = catch_unwind(AssertUnwindSafe(|| {
            worker.run_compiled(&compiled, &[Arg::Scalar(2)], &mut host, 1000)
        }));
        assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"asked to"));
        // The worker is as good as before.
        assert_eq!(worker.run_compiled(&compiled, &[Arg::Scalar(0)], &mut host, 1000).result, Ok(111));
    }
}

#[test]
fn arguments_are_admitted_when_the_first_call_needs_them() {
    let bytes = *b"12345678";
    let cells: Vec<Cell<u8>> = bytes.iter().copied().map(Cell::new).collect();
    // bpf_strtol(arg 1, 8, 10, stack), then a store to argument 2.
    let text = "
        r6 = r1
        r7 = *(u64 *)(r6 + 8)
        *(u64 *)(r10 - 8) = 0
        r1 = *(u64 *)(r6 + 0)
        r2 = 8
        r3 = 10
        r4 = r10
        r4 += -8
        call 105
        r0 = *(u64 *)(r10 - 8)
        *(u32 *)(r7 + 4) = r0
        exit";
    let program = linked(asm(text));
    let compiled = compiled(&program);
    let args = [Arg::Mem(Window::from_bytes(&bytes)), Arg::Mem(Window::from_cells(&cells))];
    let mut worker = Worker::new(0);
    for _ in 0..3 {
        let outcome = worker.run_compiled(&compiled, &args, &mut TestHost::default(), 1000);
        assert_eq!(outcome.result, Ok(12_345_678));
        assert_eq!(Window::from_cells(&cells).load(4, Width::W), Some(12_345_678));
        // What was lent to one run is not lent to the next.
        let outcome = worker.run_compiled(
            &compiled,
            &[Arg::Scalar(bytes.as_ptr() as u64), args[1]],
            &mut TestHost::default(),
            1000,
        );
        assert!(matches!(outcome.result.unwrap_err().kind, FaultKind::BadArgument { arg: 1, .. }));
    }
}

#[test]
fn code_is_found_again_by_slot() {
    let program = linked(asm("r1 = *(u64 *)(r1 + 0)\ncall f\nr0 += 5\nexit\nf: r0 = r1\nr0 *= r1\nexit"));
    let compiled = compiled(&program);
    assert_eq!(run(&compiled, &[Arg::Scalar(3)]), Ok(14));
    assert!(!compiled.code().is_empty());
    let functions = compiled.functions();
    assert_eq!(functions.iter().map(|function| function.slot).collect::<Vec<_>>(), [0, 4]);
    assert!(functions.windows(2).all(|pair| pair[0].code.end <= pair[1].code.start));
    for range in compiled.slots() {
        assert_eq!(compiled.slot_at(range.code.start), Some(range.slot));
        let function = functions.iter().rfind(|function| function.slot <= range.slot).unwrap();
        assert!(function.code.start <= range.code.start && range.code.end <= function.code.end);
    }
    assert!(compiled.slots().is_sorted_by_key(|range| range.code.start));
    for slot in [0, 1, 5] {
        assert!(compiled.slots().iter().any(|range| range.slot == slot), "slot {slot}");
    }
    assert_eq!(compiled.slot_at(compiled.code().len()), None);
}

#[test]
fn compiled_programs_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Compiled>();
    let program =
        linked(asm("r0 = *(u64 *)(r1 + 0)\nr2 = 1000\na: r2 += -1\nr0 += 1\nif r2 != 0 goto a\nexit"));
    let compiled = Arc::new(compiled(&program));
    let threads: Vec<_> = (0..4)
        .map(|slot| {
            let compiled = Arc::clone(&compiled);
            std::thread::spawn(move || {
                let mut worker = Worker::new(slot);
                for n in 0..1000 {
                    let args = [Arg::Scalar(n)];
                    let outcome = worker.run_compiled(&compiled, &args, &mut TestHost::default(), 10_000);
                    assert_eq!(outcome.result, Ok(n + 1000));
                }
            })
        })
        .collect();
    drop(compiled);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn memory_of_dropped_code_is_used_again() {
    let program = linked(asm("r0 = 1\nexit"));
    let addr = compiled(&program).addr();
    let again = (0..1000).any(|_| compiled(&program).addr() == addr);
    assert!(again);
}

#[test]
fn programs_are_run_with_what_they_were_proved_for() {
    let program = linked(asm("r1 = *(u64 *)(r1 + 0)\nr0 = *(u64 *)(r1 + 8)\nexit"));
    let one = [ArgType::Struct { name: "one", size: 16, access: Access::ReadWrite }];
    let verified = verify(&program, Entry::Context(&one), Limits::default()).unwrap();
    let proved = compile(&verified).unwrap();
    let bytes: Vec<Cell<u8>> = (0..17).map(Cell::new).collect();
    let window = Window::from_cells(&bytes);
    assert_eq!(run(&proved, &[Arg::Mem(window)]), Ok(0x0f0e_0d0c_0b0a_0908));
    let short = Arg::Mem(window.sub(0, 15).unwrap());
    for args in [&[short][..], &[Arg::Mem(window.read_only())], &[Arg::Buffer(0)], &[Arg::Scalar(1)], &[]] {
        assert_eq!(run(&proved, args), Err(FaultKind::Given { arg: 1 }), "{args:?}");
    }
    assert_eq!(run(&proved, &[Arg::Mem(window); 2]), Err(FaultKind::Given { arg: 2 }));
    let outcome = Worker::new(0).run_compiled_raw(&proved, window, &mut TestHost::default(), 1000);
    assert_eq!(outcome.result.unwrap_err().kind, FaultKind::Given { arg: 1 });

    let program = linked(asm("r0 = *(u64 *)(r1 + 8)\nexit"));
    let verified = verify(&program, Entry::Memory { size: 16 }, Limits::default()).unwrap();
    let proved = compile(&verified).unwrap();
    let raw = |window| Worker::new(0).run_compiled_raw(&proved, window, &mut TestHost::default(), 1000);
    assert!(raw(window.sub(0, 16).unwrap()).result.is_ok());
    assert!(raw(window).result.is_err());
    assert!(raw(window.sub(0, 8).unwrap()).result.is_err());
    assert_eq!(run(&proved, &[Arg::Mem(window)]), Err(FaultKind::Given { arg: 1 }));
}

#[test]
fn callbacks_are_called_in_frames_of_their_own() {
    // Adds the index to what the context points to, and ends at 5.
    let loops = |count: u64, inside: &str| {
        linked(asm(&format!(
            "
        *(u64 *)(r10 - 8) = 100
        r1 = {count}
        r2 = func f ll
        r3 = r10
        r3 += -8
        r4 = 0
        call 181
        r0 *= 1000
        r1 = *(u64 *)(r10 - 8)
        r0 += r1
        exit
    f:  r3 = *(u64 *)(r10 - 8)
        *(u64 *)(r10 - 8) = 7
        r4 = *(u64 *)(r2 + 0)
        r4 += r1
        r4 += r3
        *(u64 *)(r2 + 0) = r4
        r6 = r1
        {inside}
        r0 = 0
        if r6 != 5 goto on
        r0 = 1
    on: exit"
        )))
    };
    for count in [0, 1, 4, 10] {
        exec(loops(count, "call 8").insns.clone());
    }
    // Each round costs something.
    let program = linked(asm("
        r1 = 100000
        r2 = func f ll
        r3 = 0
        r4 = 0
        call 181
        exit
    f:  r0 = 0
        exit"));
    let compiled = compiled(&program);
    assert_eq!(run(&compiled, &[]), Ok(100_000));
    let fault = run_for(&compiled, &[], 1000).result.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Budget { budget: 1000 });
}

#[test]
fn callbacks_that_go_wrong_end_the_run() {
    for how in [1, 2] {
        let text = format!(
            "r1 = 3\nr2 = func f ll\nr3 = 0\nr4 = 0\ncall 181\nexit\nf: r1 = {how}\ncall kfunc#0\nr0 = 0\nexit"
        );
        let program = whole(crate::build::program_with(asm(&text), Vec::new(), vec![&FAILING]));
        let compiled = compiled(&program);
        let result = catch_unwind(AssertUnwindSafe(|| run_for(&compiled, &[], 1000)));
        match result {
            Ok(outcome) => {
                let fault = outcome.result.unwrap_err();
                assert_eq!((fault.kind, fault.slot), (FaultKind::TooManySlices { limit: 3 }, 8));
                assert_eq!(how, 1);
            }
            Err(_) => assert_eq!(how, 2),
        }
    }
    // A callback in a callback, until there are no frames left.
    let text = "r1 = 1\nr2 = func f ll\nr3 = 0\nr4 = 0\ncall 181\nexit\n\
                f: r1 = 1\nr2 = func f ll\nr3 = 0\nr4 = 0\ncall 181\nr0 = 0\nexit";
    let program = linked(asm(text));
    let expected = Worker::new(0).run(&program, &[], &mut TestHost::default(), DEFAULT_BUDGET).result;
    let got = run_for(&compiled(&program), &[], DEFAULT_BUDGET).result;
    assert_eq!(got, expected);
    assert_eq!(got.unwrap_err().kind, FaultKind::TooDeep);
}

#[test]
fn elements_of_iterators_lie_in_the_frame() {
    let by_name = |name: &str| crate::helpers::KFUNCS.iter().find(|kfunc| kfunc.name == name).unwrap();
    let kfuncs = ["bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy"].map(by_name);
    let text = "
        r6 = 0
        r1 = r10
        r1 += -8
        r2 = 3
        r3 = 10
        call kfunc#0
    a:  r1 = r10
        r1 += -8
        call kfunc#1
        if r0 == 0 goto b
        r1 = *(s32 *)(r0 + 0)
        r6 += r1
        goto a
    b:  r1 = r10
        r1 += -8
        call kfunc#2
        r0 = r6
        exit";
    let program = whole(crate::build::program_with(asm(text), Vec::new(), kfuncs.to_vec()));
    let verified = verify(&program, Entry::Context(&[]), Limits::default()).unwrap();
    assert_eq!(run(&compile(&verified).unwrap(), &[]), Ok(42));
}

#[test]
fn instructions_that_need_what_is_missing_end_the_run() {
    let mut program =
        crate::build::program(asm("r0 = *(u64 *)(r1 + 0)\nif r0 == 7 goto a\nexit\na: call 8\nexit"));
    program.insns[3].imm = crate::insn::poison::CORE;
    program.poisons = vec![Poison { slot: 3, missing: Missing::Core("task".into()) }];
    let compiled = compiled(&Arc::new(program));
    assert_eq!(run(&compiled, &[Arg::Scalar(6)]), Ok(6));
    assert_eq!(run(&compiled, &[Arg::Scalar(7)]), Err(FaultKind::Missing(Missing::Core("task".into()))));
}

#[test]
fn indirect_jumps_go_to_what_is_in_the_tables() {
    let text = "
        r0 = 0
        r2 = *(u64 *)(r1 + 0)
        r3 = *(u64 *)(r1 + 8)
        gotox r2
        r0 += 1
        exit
        r0 += 10
        r2 = 4
        gotox r2
        r3 += -1
        if r3 == 0 goto e
        gotox r2
    e:  exit";
    let mut program = crate::build::program(asm(text));
    program.jump_tables = vec![
        JumpTable { map: 0, function: 0, targets: vec![4, 6] },
        JumpTable { map: 0, function: 0, targets: vec![6, 9, 12] },
    ];
    let compiled = compiled(&Arc::new(program));
    let go = |to, rounds| run(&compiled, &[Arg::Scalar(to), Arg::Scalar(rounds)]);
    assert_eq!((go(4, 0), go(6, 0), go(9, 3), go(12, 0)), (Ok(1), Ok(11), Ok(0), Ok(0)));
    for target in [0, 5, 7, 13, u64::MAX, 1 << 32 | 4] {
        assert_eq!(go(target, 0), Err(FaultKind::BadIndirectJump { target }));
    }
    let fault = run_for(&compiled, &[Arg::Scalar(9), Arg::Scalar(0)], 1000).result.unwrap_err();
    assert_eq!((fault.kind, fault.slot), (FaultKind::Budget { budget: 1000 }, 11));
}

#[test]
fn another_program_goes_on_in_place_of_a_function() {
    let programs = Map::new(MapSpec::new("next", MapKind::ProgArray, 4, 4, 4), 1).unwrap();
    let next =
        whole(crate::build::program(asm("r0 = *(u64 *)(r1 + 0)\n*(u64 *)(r10 - 8) = 9\nr0 += 1000\nexit")));
    let wrong = whole(crate::build::program(asm("r1 = 0\nr0 = *(u64 *)(r1 + 0)\nexit")));
    programs.set_program(0, next).unwrap();
    programs.set_program(1, wrong).unwrap();
    // In the entry, in a function, and in a callback.
    for (text, results) in [
        ("r6 = r1\nr2 = map[0] ll\nr3 = *(u64 *)(r1 + 8)\ncall 12\nr0 = 3\nexit", [1005, 3]),
        (
            "*(u64 *)(r10 - 8) = 1\ncall f\nr1 = *(u64 *)(r10 - 8)\nr0 += r1\nexit\n\
             f: r2 = map[0] ll\nr3 = *(u64 *)(r1 + 8)\ncall 12\nr0 = 3\nexit",
            [1006, 4],
        ),
    ] {
        let program = whole(crate::build::program_with(asm(text), vec![Arc::clone(&programs)], Vec::new()));
        let compiled = compiled(&program);
        for (index, expected) in [0, 2].into_iter().zip(results) {
            let args = [Arg::Scalar(5), Arg::Scalar(index)];
            assert_eq!(run(&compiled, &args), Ok(expected));
            let interpreted = Worker::new(0).run(&program, &args, &mut TestHost::default(), 1000).result;
            assert_eq!(interpreted, Ok(expected));
        }
        let args = [Arg::Scalar(5), Arg::Scalar(1)];
        let interpreted = Worker::new(0).run(&program, &args, &mut TestHost::default(), 1000).result;
        assert_eq!(run_for(&compiled, &args, 1000).result, interpreted);
        assert_eq!(interpreted.unwrap_err().kind, FaultKind::Null { addr: 0 });
    }
}

/// A program that tail-calls the one at the index of the second argument, in a function and in a frame that a
/// callback or local call made.
const GOES_ON: [&str; 3] = [
    "r2 = map[0] ll\nr3 = *(u64 *)(r1 + 8)\ncall 12\nr0 = 3\nexit",
    "r6 = r1\ncall f\nr0 += 1\nexit\nf: r2 = map[0] ll\nr3 = *(u64 *)(r1 + 8)\ncall 12\nr0 = 3\nexit",
    "*(u64 *)(r10 - 8) = r1\nr1 = 2\nr2 = func f ll\nr3 = r10\nr3 += -8\nr4 = 0\ncall 181\nr0 += 2\nexit\n\
     f: r1 = *(u64 *)(r2 + 0)\nr2 = map[0] ll\nr3 = *(u64 *)(r1 + 8)\ncall 12\nr0 = 3\nexit",
];

fn prog_array() -> Arc<Map> {
    Map::new(MapSpec::new("next", MapKind::ProgArray, 4, 4, 4), 1).unwrap()
}

/// What both engines make of a program of [`GOES_ON`] and of what it goes on with. The results are the same; how
/// much of the budget was used need not be.
fn goes_on(text: &str, programs: &Arc<Map>, args: &[Arg<'_>], budget: u64) -> (Outcome, u64) {
    let program = whole(crate::build::program_with(asm(text), vec![Arc::clone(programs)], Vec::new()));
    let compiled = compiled(&program);
    let outcome = run_for(&compiled, args, budget);
    let interpreted = Worker::new(0).run(&program, args, &mut TestHost::default(), budget);
    assert_eq!(outcome.result, interpreted.result, "{text}");
    (outcome, interpreted.insns)
}

#[test]
fn what_a_compiled_program_goes_on_with_runs_compiled() {
    let programs = prog_array();
    // 2000 instructions interpreted, and next to none of the budget compiled: the loop is known to end.
    let long = "r2 = 1000\nl: r2 += -1\nif r2 != 0 goto l\nr0 = *(u64 *)(r1 + 0)\nexit";
    let long = whole(crate::build::program(asm(long)));
    let facts = Facts { reached: vec![true; long.insns.len()], ..Facts::default() };
    programs.set_compiled(0, Arc::new(compiled_with(&long, facts).unwrap())).unwrap();
    programs.set_program(1, Arc::clone(&long)).unwrap();
    for (text, results) in GOES_ON.into_iter().zip([5, 6, 3]) {
        for index in [0, 1] {
            let args = [Arg::Scalar(5), Arg::Scalar(index)];
            let (outcome, interpreted) = goes_on(text, &programs, &args, 100_000);
            assert_eq!(outcome.result, Ok(results));
            assert!(interpreted > 2000);
            assert_eq!(outcome.insns < 100, index == 0, "{}", outcome.insns);
        }
    }
    // Another program in the entry takes the code with it.
    programs.set_program(0, long).unwrap();
    let (outcome, _) = goes_on(GOES_ON[0], &programs, &[Arg::Scalar(5), Arg::Scalar(0)], 100_000);
    assert!(outcome.insns > 2000);
}

#[test]
fn code_is_for_the_arguments_it_was_proved_for() {
    let words = [const { Cell::new(7) }; 4];
    let window = Window::from_words(&words);
    let given = |size| [ArgType::Struct { name: "s", size, access: Access::ReadWrite }];
    let spin = "r2 = 20\nl: r2 += -1\nif r2 != 0 goto l\n";
    let next = format!("r1 = *(u64 *)(r1 + 0)\nr0 = *(u64 *)(r1 + 0)\n{spin}exit");
    let next = whole(crate::build::program(asm(&next)));
    let code = |size| {
        Arc::new(compile(&verify(&next, Entry::Context(&given(size)), Limits::default()).unwrap()).unwrap())
    };
    let program = "r2 = map[0] ll\nr3 = 0\ncall 12\nr0 = 3\nexit";
    for (sizes, runs_compiled) in [(&[32][..], true), (&[40], false), (&[40, 8], true), (&[8], true)] {
        let programs = prog_array();
        sizes.iter().for_each(|&size| programs.set_compiled(0, code(size)).unwrap());
        let program = whole(crate::build::program_with(asm(program), vec![programs], Vec::new()));
        let verified = verify(&program, Entry::Context(&given(32)), Limits::default()).unwrap();
        let outcome = run_for(&compile(&verified).unwrap(), &[Arg::Mem(window)], 100_000);
        assert_eq!(outcome.result, Ok(7));
        assert_eq!(outcome.insns < 40, runs_compiled, "{sizes:?} {}", outcome.insns);
    }
}

#[test]
fn what_goes_wrong_in_the_other_program_is_told_of_that() {
    let programs = prog_array();
    let put = |index, name: &str, text: &str| {
        let program = Program { name: name.into(), ..crate::build::program(asm(text)) };
        programs.set_compiled(index, Arc::new(compiled(&whole(program)))).unwrap();
    };
    put(0, "endless", "r0 = 0\nl: r0 += 1\ngoto l");
    put(1, "wrong", "call 15\nr1 = 0\nr2 = 0\ncall 1\nexit");
    put(2, "deep", "call f\nexit\nf: call f\nexit");
    for text in GOES_ON {
        for (index, name, slot) in [(0, "endless", None), (1, "wrong", Some(3)), (2, "deep", Some(2))] {
            let args = [Arg::Scalar(5), Arg::Scalar(index)];
            let program =
                whole(crate::build::program_with(asm(text), vec![Arc::clone(&programs)], Vec::new()));
            let fault = run_for(&compiled(&program), &args, 2_000_000).result.unwrap_err();
            let interpreted = Worker::new(0).run(&program, &args, &mut TestHost::default(), 2_000_000);
            let expected = interpreted.result.unwrap_err();
            assert_eq!((fault.program.as_str(), &fault.kind), (name, &expected.kind));
            assert_eq!(fault.slot, slot.unwrap_or(fault.slot));
        }
    }
}

#[test]
fn programs_that_take_turns_stop_after_so_many() {
    let programs = prog_array();
    let counter = Map::new(MapSpec::new("m", MapKind::Array, 4, 8, 1), 1).unwrap();
    let text = "r6 = r1\nr7 = map[1][0] ll\nr8 = 1\nlock *(u64 *)(r7 + 0) += r8\nr1 = r6\nr2 = map[0] ll\n\
                r3 = 0\ncall 12\nr0 = *(u64 *)(r7 + 0)\nexit";
    let maps = vec![Arc::clone(&programs), counter];
    let again = whole(crate::build::program_with(asm(text), maps, Vec::new()));
    let verified = verify(&again, Entry::Context(&[]), Limits::default()).unwrap();
    let code = Arc::new(compile(&verified).unwrap());
    programs.set_compiled(0, Arc::clone(&code)).unwrap();
    let mut worker = Worker::new(0);
    for round in 1..4 {
        assert_eq!(worker.run_compiled(&code, &[], &mut TestHost::default(), 10_000).result, Ok(34 * round));
    }
    // They refer to each other.
    programs.clear_programs();
}

#[test]
fn a_program_that_was_not_proved_does_not_reach_the_frames_of_others() {
    // The one that waits loads from an address that it keeps in its frame, and the other one aims at that.
    let text = "*(u64 *)(r10 - 8) = r10\ncall f\nr1 = *(u64 *)(r10 - 8)\nr0 = *(u64 *)(r1 - 8)\nr0 = 9\nexit\n\
                f: r2 = map[0] ll\nr3 = 0\ncall 12\nr0 = 3\nexit";
    for distance in [1024, 512, 1016] {
        let programs = prog_array();
        let other = format!("r1 = r10\nr1 += -{distance}\n*(u64 *)(r1 - 8) = 8\nr0 = 0\nexit");
        programs.set_program(0, whole(crate::build::program(asm(&other)))).unwrap();
        let program = whole(crate::build::program_with(asm(text), vec![programs], Vec::new()));
        let verified = verify(&program, Entry::Context(&[]), Limits::default()).unwrap();
        let fault = run_for(&compile(&verified).unwrap(), &[], 1000).result.unwrap_err();
        assert!(matches!(fault.kind, FaultKind::Store { size: 8, .. }), "{fault:?}");
    }
    // Its own frames it reaches, as many as there are left.
    let text = "call f\nr0 += 1\nexit\nf: r2 = map[0] ll\nr3 = 0\ncall 12\nr0 = 3\nexit";
    for (calls, fits) in [(6, true), (7, false)] {
        let functions: String = (1..=calls)
            .map(|n| {
                let next = if n < calls { format!("call g{}", n + 1) } else { "r0 = 0".into() };
                format!("g{n}: *(u64 *)(r10 - 512) = {n}\n{next}\nr1 = *(u64 *)(r10 - 512)\nr0 += r1\nexit\n")
            })
            .collect();
        let programs = prog_array();
        let other = whole(crate::build::program(asm(&format!("call g1\nexit\n{functions}"))));
        let program = whole(crate::build::program_with(asm(text), vec![Arc::clone(&programs)], Vec::new()));
        let code = compile(&verify(&program, Entry::Context(&[]), Limits::default()).unwrap()).unwrap();
        let proved = verify(&other, Entry::Context(&[]), Limits::default()).unwrap();
        let expected = if fits { Ok(calls * (calls + 1) / 2 + 1) } else { Err(FaultKind::TooDeep) };
        programs.set_program(0, other).unwrap();
        assert_eq!(run(&code, &[]), expected);
        programs.set_compiled(0, Arc::new(compile(&proved).unwrap())).unwrap();
        assert_eq!(run(&code, &[]), expected);
    }
}

#[test]
fn what_another_program_gives_is_not_trusted() {
    let programs = Map::new(MapSpec::new("next", MapKind::ProgArray, 4, 4, 4), 1).unwrap();
    let text = |result| {
        format!(
            "r6 = r1\ncall f\nr1 = r10\nr1 += -16\nr1 += {result}\nr0 = *(u8 *)(r1 + 0)\nexit\n\
             f: r2 = map[0] ll\nr3 = 0\ncall 12\nr0 = 3\nexit"
        )
    };
    for (result, accepted) in [("3", true), ("r0", false)] {
        let maps = vec![Arc::clone(&programs)];
        let program = whole(crate::build::program_with(asm(&text(result)), maps, Vec::new()));
        assert_eq!(verify(&program, Entry::Context(&[]), Limits::default()).is_ok(), accepted);
    }
}

#[test]
fn every_thread_has_a_value() {
    let text = "*(u32 *)(r10 - 8) = 32\n*(u32 *)(r10 - 4) = 0\nr1 = map[0] ll\nr2 = r10\nr2 += KEY\n\
                call 1\nif r0 == 0 goto e\nr0 = *(u64 *)(r0 + 0)\ne: exit";
    for (kind, key) in [
        (MapKind::Array, 4),
        (MapKind::PerCpuArray, 4),
        (MapKind::Hash, 4),
        (MapKind::PerCpuHash, 4),
        (MapKind::PerCpuHash, 8),
        (MapKind::LruHash, 8),
        (MapKind::LruPerCpuHash, 4),
        (MapKind::LpmTrie, 8),
    ] {
        let flags = if kind == MapKind::LpmTrie { crate::maps::flags::NO_PREALLOC } else { 0 };
        let spec = MapSpec { flags, ..MapSpec::new("m", kind, key, 8, 1) };
        let map = Map::new(spec, 2).unwrap();
        let values = [7u64, 8].map(u64::to_ne_bytes).concat();
        let key_bytes = [32u32, 0].map(u32::to_ne_bytes).concat();
        map.update(&key_bytes[8 - key as usize..], &values[..8 * map.slots()], UpdateMode::Any).unwrap();
        let text = text.replace("KEY", &format!("-{key}"));
        let program = whole(crate::build::program_with(asm(&text), vec![map], Vec::new()));
        let compiled = compile(&verify(&program, Entry::Context(&[]), Limits::default()).unwrap()).unwrap();
        for slot in 0..5 {
            let mut worker = Worker::new(slot);
            let outcome = worker.run_compiled(&compiled, &[], &mut TestHost::default(), 100);
            let expected = if kind.is_per_cpu() { 7 + slot as u64 % 2 } else { 7 };
            assert_eq!(outcome.result, Ok(expected), "{kind:?}");
            assert_eq!(worker.run(&program, &[], &mut TestHost::default(), 100).result, Ok(expected));
        }
    }
}
