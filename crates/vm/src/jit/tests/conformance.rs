//! The programs of bpf_conformance in both engines, if `BPF_CONFORMANCE` names a file of them: a line for
//! each, with name, result in hexadecimal, expected error, memory and program as hexadecimal bytes,
//! separated by tabs.

use std::cell::Cell;

use super::*;
use crate::mem::Window;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

#[test]
fn conformance_programs_give_their_results() {
    let Some(path) = std::env::var_os("BPF_CONFORMANCE") else {
        println!("skipped: BPF_CONFORMANCE does not name a file of programs");
        return;
    };
    let text = std::fs::read_to_string(path).unwrap();
    let (mut same, mut refused) = (0, Vec::new());
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, result, _error, memory, code] = fields[..] else { panic!("{line}") };
        let expected = u64::from_str_radix(result.trim_start_matches("0x"), 16).unwrap();
        let bytes = hex(code);
        let insns: Vec<Insn> = bytes.as_chunks::<8>().0.iter().copied().map(Insn::decode).collect();
        let program = linked(insns);
        let cells = || hex(memory).into_iter().map(Cell::new).collect::<Vec<_>>();
        let (mut host, mut worker) = (TestHost::default(), Worker::new(0));
        let memory = cells();
        let interpreted = worker.run_raw(&program, Window::from_cells(&memory), &mut host, DEFAULT_BUDGET);
        if interpreted.result.is_err() {
            refused.push(name);
            continue;
        }
        assert_eq!(interpreted.result, Ok(expected), "{name}, interpreted");
        let compiled = compiled(&program);
        let memory = cells();
        let window = Window::from_cells(&memory);
        let compiled = worker.run_compiled_raw(&compiled, window, &mut host, DEFAULT_BUDGET);
        assert_eq!(compiled.result, Ok(expected), "{name}, compiled");
        same += 1;
    }
    println!("{same} programs give their results; refused: {refused:?}");
    assert!(refused.len() <= 1, "{refused:?}");
}
