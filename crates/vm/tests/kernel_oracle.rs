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

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use build::*;
use fuse_bpf_vm::host::{Buffer, Caller, Host};
use fuse_bpf_vm::insn::{Insn, op};
use fuse_bpf_vm::interp::{DEFAULT_BUDGET, Worker};
use generate::Generator;

const PROGRAMS: u64 = 2000;

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_TEST_RUN: libc::c_int = 10;
const BPF_PROG_TYPE_XDP: u32 = 6;

/// The first bytes of `union bpf_attr`, as words.
type Attr = [u64; 18];

fn bpf(command: libc::c_int, attr: &mut Attr) -> io::Result<i32> {
    // SAFETY: `attr` is valid for reads and writes of the size given, and what it points to is alive
    // in the callers.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of::<Attr>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

/// Two 32-bit fields in one word of the attributes.
fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

struct Kernel {
    log: Vec<u8>,
}

impl Kernel {
    /// What the kernel's verifier and just-in-time compiler make of a program.
    fn load(&mut self, insns: &[Insn]) -> io::Result<OwnedFd> {
        let code: Vec<u8> = insns.iter().flat_map(|insn| insn.encode()).collect();
        let mut attr = [0; 18];
        attr[0] = pair(BPF_PROG_TYPE_XDP, insns.len() as u32);
        attr[1] = code.as_ptr() as u64;
        attr[2] = c"GPL".as_ptr() as u64;
        let result = bpf(BPF_PROG_LOAD, &mut attr);
        let fd = result.or_else(|_| {
            // Once more, for the reason.
            self.log.fill(0);
            attr[3] = pair(1, self.log.len() as u32);
            attr[4] = self.log.as_mut_ptr() as u64;
            bpf(BPF_PROG_LOAD, &mut attr)
        })?;
        // SAFETY: the kernel just returned this descriptor, nobody else has it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// The low half of R0 after a run.
    fn run(&mut self, insns: &[Insn]) -> io::Result<u32> {
        let program = self.load(insns)?;
        let packet = [0u8; 64];
        let mut attr = [0; 18];
        attr[0] = pair(program.as_raw_fd() as u32, 0);
        attr[1] = pair(packet.len() as u32, 0);
        attr[2] = packet.as_ptr() as u64;
        attr[4] = pair(1, 0);
        bpf(BPF_PROG_TEST_RUN, &mut attr)?;
        Ok((attr[0] >> 32) as u32)
    }

    fn reason(&self) -> String {
        let end = self.log.iter().position(|&byte| byte == 0).unwrap_or(0);
        let text = String::from_utf8_lossy(&self.log[..end]).into_owned();
        let lines: Vec<&str> = text.lines().rev().take(4).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }
}

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

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn the_kernel_agrees() {
    let mut kernel = Kernel { log: vec![0; 1 << 20] };
    let trivial = code![mov(0, 7), exit()];
    match kernel.run(&trivial) {
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
        state: number("KERNEL_ORACLE_SEED", 0x9e37_79b9_7f4a_7c15) | 1,
        v4: knows(insn(op::ALU64 | op::MOV | op::X, 0, 1, 8, 0)),
        ordered: knows(atomic(op::DW, op::LOAD_ACQ, 0, 10, -8)),
    };
    let total = number("KERNEL_ORACLE_PROGRAMS", PROGRAMS);
    let mut worker = Worker::new(0);
    let mut refused = 0;
    let mut length = 0;
    for n in 0..total {
        let insns = generator.program();
        length += insns.len();
        let theirs = match kernel.run(&insns) {
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
