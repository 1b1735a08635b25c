//! Programs loaded and run by the kernel.
#![allow(unsafe_code, reason = "the system call that loads and runs programs")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use fuse_bpf_vm::insn::Insn;

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_DELETE_ELEM: libc::c_int = 3;
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

fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the kernel just returned this descriptor, nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Two 32-bit fields in one word of the attributes.
fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// The kernel's verifier, compiler and test runs.
pub(crate) struct Kernel {
    log: Vec<u8>,
}

impl Kernel {
    pub(crate) fn new() -> Kernel {
        Kernel { log: vec![0; 1 << 20] }
    }

    /// What the kernel's verifier and just-in-time compiler make of a program.
    pub(crate) fn load(&mut self, insns: &[Insn]) -> io::Result<OwnedFd> {
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
        Ok(owned(fd))
    }

    /// The low half of R0 after runs, and the nanoseconds one takes as the kernel sees it.
    pub(crate) fn run(&mut self, program: &OwnedFd, times: u32) -> io::Result<(u32, u32)> {
        let packet = [0u8; 64];
        let mut attr = [0; 18];
        attr[0] = pair(program.as_raw_fd() as u32, 0);
        attr[1] = pair(packet.len() as u32, 0);
        attr[2] = packet.as_ptr() as u64;
        attr[4] = pair(times, 0);
        bpf(BPF_PROG_TEST_RUN, &mut attr)?;
        Ok(((attr[0] >> 32) as u32, (attr[4] >> 32) as u32))
    }

    /// The low half of R0 after one run of a program.
    pub(crate) fn run_once(&mut self, insns: &[Insn]) -> io::Result<u32> {
        let program = self.load(insns)?;
        Ok(self.run(&program, 1)?.0)
    }

    /// A map, by the number of its kind.
    pub(crate) fn map(&mut self, kind: u32, key: u32, value: u32, entries: u32) -> io::Result<OwnedFd> {
        self.map_with_flags(kind, [key, value, entries], 0)
    }

    /// A map, by the number of its kind, the lengths of a key and a value, how many entries, and flags.
    pub(crate) fn map_with_flags(&mut self, kind: u32, sizes: [u32; 3], flags: u32) -> io::Result<OwnedFd> {
        let [key, value, entries] = sizes;
        let mut attr = [0; 18];
        attr[0] = pair(kind, key);
        attr[1] = pair(value, entries);
        attr[2] = pair(flags, 0);
        bpf(BPF_MAP_CREATE, &mut attr).map(owned)
    }

    /// Sets an entry of a map.
    pub(crate) fn update(&mut self, map: &OwnedFd, key: &[u8], value: &[u8]) -> io::Result<()> {
        let mut attr = [0; 18];
        attr[0] = pair(map.as_raw_fd() as u32, 0);
        attr[1] = key.as_ptr() as u64;
        attr[2] = value.as_ptr() as u64;
        bpf(BPF_MAP_UPDATE_ELEM, &mut attr).map(drop)
    }

    /// The value of an entry of `len` bytes, if it is there.
    pub(crate) fn lookup(&mut self, map: &OwnedFd, key: &[u8], len: usize) -> Option<Vec<u8>> {
        let mut value = vec![0; len];
        let mut attr = [0; 18];
        attr[0] = pair(map.as_raw_fd() as u32, 0);
        attr[1] = key.as_ptr() as u64;
        attr[2] = value.as_mut_ptr() as u64;
        bpf(BPF_MAP_LOOKUP_ELEM, &mut attr).ok().map(|_| value)
    }

    /// Removes an entry of a map.
    pub(crate) fn delete(&mut self, map: &OwnedFd, key: &[u8]) -> io::Result<()> {
        let mut attr = [0; 18];
        attr[0] = pair(map.as_raw_fd() as u32, 0);
        attr[1] = key.as_ptr() as u64;
        bpf(BPF_MAP_DELETE_ELEM, &mut attr).map(drop)
    }

    /// Why the last program was refused: the last lines of the verifier's log.
    pub(crate) fn reason(&self) -> String {
        let end = self.log.iter().position(|&byte| byte == 0).unwrap_or(0);
        let text = String::from_utf8_lossy(&self.log[..end]).into_owned();
        let lines: Vec<&str> = text.lines().rev().take(4).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }
}
