//! Random programs, run here and by the kernel.
//!
//! Needs the right to load XDP programs. Without it, and where a kernel lacks newer instructions, the
//! test says so and does less. `KERNEL_ORACLE_PROGRAMS` sets how many programs are run and
//! `KERNEL_ORACLE_SEED` which ones.

#[macro_use]
#[path = "exec/build.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod build;

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use build::*;
use fuse_bpf_vm::host::{Buffer, Caller, Host};
use fuse_bpf_vm::insn::{Insn, op};
use fuse_bpf_vm::interp::{DEFAULT_BUDGET, Worker};

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

/// Bytes of the stack programs use.
const STACK: i16 = 64;

/// Makes programs the kernel's verifier takes: everything is set before it is used, jumps go
/// forward, shifts and divisors are in range where they are immediates.
struct Generator {
    state: u64,
    /// Whether the kernel knows sign extension, signed division and long jumps.
    v4: bool,
    /// Whether it knows loads with acquire and stores with release ordering.
    ordered: bool,
}

impl Generator {
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 32) % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 1
    }

    fn register(&mut self) -> u8 {
        self.below(10) as u8
    }

    /// A number that is likely to be at some edge.
    fn value(&mut self) -> u64 {
        match self.below(6) {
            0 => self.next(),
            1 => self.below(8),
            2 => self.below(8).wrapping_neg(),
            3 => 1 << self.below(64),
            4 => (1u64 << self.below(64)).wrapping_sub(1),
            _ => self.next() as u32 as u64,
        }
    }

    fn size(&mut self) -> (u8, i16) {
        self.pick(&[(op::B, 1), (op::H, 2), (op::W, 4), (op::DW, 8)])
    }

    /// An aligned offset from the frame pointer.
    fn place(&mut self, size: i16) -> i16 {
        -size * (1 + self.below((STACK / size) as u64) as i16)
    }

    fn alu(&mut self) -> Insn {
        let wide = self.flip();
        let class = if wide { op::ALU64 } else { op::ALU };
        let bits = if wide { 64 } else { 32 };
        let (dst, src) = (self.register(), self.register());
        let operation = self.pick(&[
            op::ADD,
            op::SUB,
            op::MUL,
            op::DIV,
            op::OR,
            op::AND,
            op::LSH,
            op::RSH,
            op::NEG,
            op::MOD,
            op::XOR,
            op::MOV,
            op::ARSH,
            op::END,
        ]);
        let x = self.flip();
        match operation {
            op::NEG => insn(class | op::NEG, dst, 0, 0, 0),
            op::END => {
                let width = self.pick(&[16, 32, 64]);
                if wide && self.v4 {
                    insn(op::ALU64 | op::END, dst, 0, 0, width)
                } else {
                    insn(op::ALU | op::END | if x { op::X } else { 0 }, dst, 0, 0, width)
                }
            }
            op::MOV if x && self.v4 && self.flip() => {
                let off = if wide { self.pick(&[8, 16, 32]) } else { self.pick(&[8, 16]) };
                insn(class | op::MOV | op::X, dst, src, off, 0)
            }
            op::LSH | op::RSH | op::ARSH if !x => insn(class | operation, dst, 0, 0, self.below(bits) as i32),
            op::DIV | op::MOD => {
                let off = i16::from(self.v4 && self.flip());
                if x {
                    insn(class | operation | op::X, dst, src, off, 0)
                } else {
                    let imm = self.value() as i32;
                    insn(class | operation, dst, 0, off, if imm == 0 { 3 } else { imm })
                }
            }
            _ if x => insn(class | operation | op::X, dst, src, 0, 0),
            _ => insn(class | operation, dst, 0, 0, self.value() as i32),
        }
    }

    fn memory(&mut self) -> Vec<Insn> {
        let (size, bytes) = self.size();
        let off = self.place(bytes);
        let register = self.register();
        match self.below(4) {
            0 => code![load(size, register, 10, off)],
            1 if self.v4 && size != op::DW => {
                code![insn(op::LDX | op::MEMSX | size, register, 10, off, 0)]
            }
            1 => code![store_imm(size, 10, off, self.value() as i32)],
            2 => code![store(size, 10, register, off)],
            _ => {
                // Through another register, which is a number again afterwards.
                let base = self.pick(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
                let shift = self.below(32) as i16 - 16;
                code![
                    copy(base, 10),
                    add(base, shift.into()),
                    store_imm(size, base, off - shift, self.value() as i32),
                    load(size, base, base, off - shift)
                ]
            }
        }
    }

    fn atomic(&mut self) -> Vec<Insn> {
        if self.ordered && self.below(4) == 0 {
            let (size, bytes) = self.size();
            let off = self.place(bytes);
            let register = self.register();
            return if self.flip() {
                code![atomic(size, op::LOAD_ACQ, register, 10, off)]
            } else {
                code![atomic(size, op::STORE_REL, 10, register, off)]
            };
        }
        let (size, bytes) = self.pick(&[(op::W, 4), (op::DW, 8)]);
        let off = self.place(bytes);
        let imm = self.pick(&[0, 1, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, op::XCHG, op::CMPXCHG]);
        let source = self.register();
        if self.flip() {
            return code![atomic(size, imm, 10, source, off)];
        }
        let base = self.pick(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let source = if source == base { (base + 1) % 10 } else { source };
        code![copy(base, 10), atomic(size, imm, base, source, off), mov(base, self.value() as i32)]
    }

    fn condition(&mut self, over: i16) -> Insn {
        let class = self.pick(&[op::JMP, op::JMP32]);
        let condition = self.pick(&[
            op::JEQ,
            op::JGT,
            op::JGE,
            op::JSET,
            op::JNE,
            op::JSGT,
            op::JSGE,
            op::JLT,
            op::JLE,
            op::JSLT,
            op::JSLE,
        ]);
        let (dst, src) = (self.register(), self.register());
        if self.flip() {
            insn(class | condition | op::X, dst, src, over, 0)
        } else {
            insn(class | condition, dst, 0, over, self.value() as i32)
        }
    }

    /// Straight code with jumps forward in it.
    fn body(&mut self, parts: u64) -> Vec<Insn> {
        let mut insns = Vec::new();
        for _ in 0..parts {
            match self.below(10) {
                0..5 => insns.push(self.alu()),
                5 => insns.extend(self.memory()),
                6 => insns.extend(self.atomic()),
                7 => {
                    let value = self.value();
                    insns.extend(wide(self.register(), value));
                }
                8 => {
                    let count = 1 + self.below(4);
                    let inner = self.body(count);
                    let over = inner.len() as i16;
                    insns.push(self.condition(over));
                    insns.extend(inner);
                }
                _ => {
                    // A loop that runs a few times. Its counter is on the stack, where the body does not
                    // write; R1 is set aside and, but for later rounds, the same in the body.
                    let count = 1 + self.below(4);
                    let inner: Vec<Insn> = (0..count).map(|_| self.alu()).collect();
                    let times = 1 + self.below(5) as i32;
                    let slot = -STACK - 8;
                    let mut round = code![
                        inner,
                        store(op::DW, 10, 1, slot - 8),
                        load(op::DW, 1, 10, slot),
                        add(1, -1),
                        store(op::DW, 10, 1, slot),
                    ];
                    let back = -(round.len() as i16) - 1;
                    round.push(jump(op::JNE, 1, 0, back));
                    insns.extend(code![
                        store_imm(op::DW, 10, slot, times),
                        round,
                        load(op::DW, 1, 10, slot - 8)
                    ]);
                }
            }
        }
        insns
    }

    /// Sets every register and the stack.
    fn prologue(&mut self) -> Vec<Insn> {
        let mut insns = Vec::new();
        for register in 0..10 {
            insns.extend(wide(register, self.value()));
        }
        for off in (8..=STACK).step_by(8) {
            insns.push(store(op::DW, 10, self.register(), -off));
        }
        insns
    }

    /// Folds every register and the stack into R0, and R0 into its low half.
    fn epilogue() -> Vec<Insn> {
        let mut insns = Vec::new();
        let mut take = |register| {
            insns.push(insn(op::ALU64 | op::MUL, 0, 0, 0, 31));
            insns.push(alu64(op::ADD, 0, register));
        };
        (1..10).for_each(&mut take);
        for off in (8..=STACK).step_by(8) {
            insns.push(load(op::DW, 1, 10, -off));
            insns.push(insn(op::ALU64 | op::MUL, 0, 0, 0, 31));
            insns.push(alu64(op::ADD, 0, 1));
        }
        insns.extend([copy(1, 0), insn(op::ALU64 | op::RSH, 1, 0, 0, 32), alu64(op::XOR, 0, 1), exit()]);
        insns
    }

    fn program(&mut self) -> Vec<Insn> {
        let parts = 1 + self.below(30);
        let mut main = self.prologue();
        main.extend(self.body(parts));
        let calls = self.below(3) == 0;
        let call_at = main.len();
        if calls {
            main.push(exit());
            (1..6).for_each(|register| main.push(copy(register, 0)));
        }
        let parts = self.below(8);
        main.extend(self.body(parts));
        main.extend(Self::epilogue());
        if calls {
            main[call_at] = call_local((main.len() - call_at - 1) as i32);
            // The callee's arguments go into its registers, where the rest is set anew.
            let mut callee = self.prologue();
            callee.drain(2..12);
            let parts = 1 + self.below(10);
            callee.extend(self.body(parts));
            callee.extend(Self::epilogue());
            main.extend(callee);
        }
        main
    }
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
