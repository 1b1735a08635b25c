//! Random programs, run here and by the kernel.
//!
//! Needs the right to load XDP programs. Without it, and where a kernel lacks newer instructions, the
//! test says so and does less. `KERNEL_ORACLE_PROGRAMS` sets how many programs are run and
//! `KERNEL_ORACLE_SEED` which ones.

#[macro_use]
#[path = "exec/build.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod build;
#[path = "exec/generate.rs"]
mod generate;
#[path = "exec/kernel.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod kernel;
#[path = "exec/setting.rs"]
mod setting;

use build::*;
use fuse_bpf_vm::host::Nobody;
use fuse_bpf_vm::insn::{Insn, op};
use fuse_bpf_vm::interp::{DEFAULT_BUDGET, Worker};
use generate::Generator;
use kernel::Kernel;
use setting::setting;

const PROGRAMS: u64 = 2000;

#[test]
fn the_kernel_agrees() {
    let mut kernel = Kernel::new();
    let trivial = code![mov(0, 7), exit()];
    match kernel.run_once(&trivial) {
        Ok(value) => assert_eq!(value, 7),
        Err(error) => {
            println!("skipped: the kernel does not run programs for this user: {error}");
            return;
        }
    }
    let mut knows = |one: Insn| {
        let probe = code![mov(0, 1), mov(1, 1), store_imm(op::DW, 10, -8, 1), one, mov(0, 0), exit()];
        let known = kernel.load(&probe).is_ok();
        if !known {
            println!(
                "the kernel does not know opcode {:#04x}, off {}, imm {:#x}",
                one.code, one.off, one.imm
            );
        }
        known
    };
    let mut generator = Generator {
        state: setting("KERNEL_ORACLE_SEED", 0x9e37_79b9_7f4a_7c15) | 1,
        v4: knows(insn(op::ALU64 | op::MOV | op::X, 0, 1, 8, 0)),
        ordered: knows(atomic(op::DW, op::LOAD_ACQ, 0, 10, -8)),
    };
    let total = setting("KERNEL_ORACLE_PROGRAMS", PROGRAMS);
    let mut worker = Worker::new(0);
    let mut refused = 0;
    let mut length = 0;
    for n in 0..total {
        let insns = generator.program();
        length += insns.len();
        let theirs = match kernel.run_once(&insns) {
            Ok(value) => value,
            Err(error) => {
                refused += 1;
                if refused <= 3 {
                    println!("program {n} was refused: {error}: {}", kernel.reason());
                }
                continue;
            }
        };
        let program = program(insns);
        let outcome = worker.run(&program, &[], &mut Nobody, DEFAULT_BUDGET);
        let ours = outcome.result.map(|value| value as u32);
        assert_eq!(ours, Ok(theirs), "program {n}: {:?}", program.insns);
    }
    println!("{} programs agree, {refused} refused, {length} instructions", total - refused);
    assert!(refused * 20 < total, "the generator makes programs the kernel refuses");
}
