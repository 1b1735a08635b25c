//! What a verification goes through, as text: in the form of the kernel's verifier log, which people and tools know.
//!
//! Nothing of it is kept: each line is written as soon as it is complete, so that a log may be as long as it likes.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::marks::Marks;
use super::reject::{Rejection, Rule};
use super::state::State;
use super::walk::Walker;
use super::watch::Watch;
use super::{Entry as Start, Limits, Verified, retried, verified};
use crate::disasm::kernel_line;
use crate::program::{Program, SourceLine};
use values::View;

mod values;

/// Least width of an instruction in front of what it changed, as the kernel has it.
const WIDTH: usize = 39;

/// How much a log tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Of a program that is refused, the branches on the way there and why; how much work it was.
    Path,
    /// Also each instruction in the order in which they are walked, with what it changed.
    Every,
}

/// As [`super::verify`], with a log of it in the form of the kernel's: [`LogLevel::Every`] is its `log_level` 2.
///
/// The log is written while the verification goes on, and nothing of it is kept. How long it gets depends on how much is
/// known: of programs tried, 50 to 250 bytes for each instruction walked, of which there may be a million.
///
/// ```
/// use std::sync::Arc;
/// use fuse_bpf_vm::asm::assemble;
/// use fuse_bpf_vm::program::Program;
/// use fuse_bpf_vm::verify::{Entry, Limits, LogLevel, verify_logged};
///
/// let insns = assemble("r0 = *(u8 *)(r1 +8)\nexit\n").unwrap();
/// let program = Arc::new(Program { insns, ..Program::default() });
/// let mut log = Vec::new();
/// let entry = Entry::Memory { size: 8 };
/// let verdict = verify_logged(&program, entry, Limits::default(), LogLevel::Every, &mut log)?;
/// assert!(verdict.is_err());
/// assert_eq!(
///     String::from_utf8_lossy(&log),
///     "\
/// 0: R1=mem(sz=8) R2=8 R10=fp0
/// 0: (71) r0 = *(u8 *)(r1 +8)
/// invalid access to mem, size=8 off=8 len=1
/// processed 1 insns (limit 1000000) max_states_per_insn 1 total_states 1 peak_states 1 mark_read 0
/// "
/// );
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// When the log cannot be written. The verdict is in the result.
pub fn verify_logged(
    program: &Arc<Program>,
    entry: Start<'_>,
    limits: Limits,
    level: LogLevel,
    sink: &mut dyn io::Write,
) -> io::Result<Result<Verified, Box<Rejection>>> {
    program.maps.iter().for_each(|map| map.freeze());
    let mut log = Log {
        program,
        start: entry,
        level,
        sink,
        failed: None,
        line: None,
        way: Way::Known,
        trying: false,
        now: None,
        last: None,
        most_states: (0, 0),
    };
    log.functions();
    let mut walker = Walker::new(program, entry, limits);
    walker.watch = Some(&mut log);
    let longest = walker.walk();
    let work = Work { processed: walker.processed, limit: limits.insns, states: walker.checkpoints() };
    let walked = longest.map(|longest| verified(walker, longest, None));
    log.close(walked.as_ref().err().map(|rejection| &**rejection), &work)?;
    let rejection = match walked {
        Ok(verified) => return Ok(Ok(verified)),
        Err(rejection) => rejection,
    };
    let verdict = retried(program, entry, limits, rejection);
    if let Ok(verified) = &verdict {
        let processed = verified.stats().processed;
        writeln!(sink, "proved with its global functions by their signatures: processed {processed} insns")?;
    }
    Ok(verdict)
}

/// How a path was come to whose state is not yet shown.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Its state is known from what was shown last.
    Known,
    /// It is the first, or goes on after an attempt.
    Here,
    /// By a branch at a slot.
    Branch(usize),
    /// In the place of the rounds of a loop.
    Attempt,
}

/// What closes a log.
struct Work {
    processed: u64,
    limit: u64,
    states: usize,
}

/// A log in progress.
struct Log<'l> {
    program: &'l Program,
    start: Start<'l>,
    level: LogLevel,
    sink: &'l mut dyn io::Write,
    /// Why it cannot be written any more.
    failed: Option<io::Error>,
    /// The line of C last shown.
    line: Option<&'l SourceLine>,
    way: Way,
    /// An attempt is about to start.
    trying: bool,
    /// The state whose instruction is walked.
    now: Option<State>,
    /// The last that was shown.
    last: Option<State>,
    /// Most states remembered at one instruction, and at all.
    most_states: (usize, usize),
}

impl<'l> Log<'l> {
    fn say(&mut self, text: fmt::Arguments<'_>) {
        if self.failed.is_none() {
            // At once, for sinks that keep nothing.
            self.failed = self.sink.write_all(format!("{text}\n").as_bytes()).err();
        }
    }

    /// Whether single instructions are told of.
    fn tells(&self) -> bool {
        self.level == LogLevel::Every && self.failed.is_none()
    }

    fn view<'v>(&self, state: &'v State, marks: &'v Marks) -> View<'v>
    where
        'l: 'v,
    {
        let args = match self.start {
            Start::Context(args) => args,
            Start::Memory { .. } => &[],
        };
        View { program: self.program, args, marks, state }
    }

    /// Where functions start.
    fn functions(&mut self) {
        if self.tells() {
            for (index, function) in self.program.functions.iter().enumerate() {
                self.say(format_args!("func#{index} @{} {}", function.start, function.name));
            }
        }
    }

    /// The line of C of a slot, if it is another than that of the last.
    fn source(&mut self, slot: usize) {
        // Compilers say 0 of what they cannot tell.
        let line = self.program.line(slot).filter(|line| line.line > 0);
        let place = |line: Option<&'l SourceLine>| line.map(|line| (&line.file, line.line));
        if let Some(new) = line.filter(|_| place(line) != place(self.line)) {
            self.say(format_args!("; {} @ {}:{}", new.text.trim(), new.file, new.line));
        }
        self.line = line.or(self.line);
    }

    /// An instruction, and what there is to say of it.
    fn insn(&mut self, slot: usize, note: &str) {
        self.source(slot);
        let text = kernel_line(self.program, slot).map_or(String::new(), |(text, _)| text);
        let text = format!("{slot}: {text}");
        match note.trim_start() {
            "" => self.say(format_args!("{text}")),
            note => self.say(format_args!("{text:WIDTH$} ; {note}")),
        }
    }

    /// How the path was come to, with what is known there, if that is not yet said.
    fn arrival(&mut self, at: usize, known: fmt::Arguments<'_>) {
        match std::mem::replace(&mut self.way, Way::Known) {
            Way::Known | Way::Here => self.say(format_args!("{at}:{known}")),
            Way::Branch(from) => self.say(format_args!("\nfrom {from} to {at}:{known}")),
            Way::Attempt => self.say(format_args!("\n{at}: one state for all rounds:{known}")),
        }
        self.line = None;
    }

    fn close(mut self, rejection: Option<&Rejection>, work: &Work) -> io::Result<()> {
        if let Some(rejection) = rejection {
            if self.level == LogLevel::Path {
                for branch in &rejection.path {
                    self.insn(branch.slot, if branch.taken { "taken" } else { "not taken" });
                }
            }
            self.insn(rejection.slot, "");
            self.say(format_args!("{}", rejection.rule));
        }
        let Work { processed, limit, states } = work;
        let (here, all) = self.most_states;
        self.say(format_args!(
            "processed {processed} insns (limit {limit}) max_states_per_insn {here} total_states {states} \
             peak_states {all} mark_read 0"
        ));
        self.failed.map_or(Ok(()), Err)
    }
}

impl Watch for Log<'_> {
    fn takes_up(&mut self, _: &State, branch: Option<usize>, _: &Marks) {
        self.way = match branch {
            _ if std::mem::take(&mut self.trying) => Way::Attempt,
            Some(slot) => Way::Branch(slot),
            None => Way::Here,
        };
    }

    fn before(&mut self, state: &mut State, marks: &Marks) {
        if !self.tells() {
            return;
        }
        let view = self.view(state, marks);
        let known = match (self.way, self.last.take()) {
            // Where paths meet, numbers may be forgotten.
            (Way::Known, Some(last)) => view.changes(&last, 0),
            _ => view.all(),
        };
        if !known.is_empty() {
            self.arrival(state.pc, format_args!("{known}"));
        }
        self.now = Some(state.clone());
    }

    fn after(&mut self, state: &State, ends: bool, marks: &Marks) {
        let Some(before) = self.now.take() else { return };
        self.last = Some(state.clone());
        let view = self.view(state, marks);
        let (old, new) = (before.frames.len(), state.frames.len());
        let mut slot = before.pc;
        let insn = self.program.insns[slot];
        // Two shifts that are one to the walk.
        if before.insns + 2 == state.insns {
            self.insn(slot, "");
            slot += 1;
        }
        if ends || old != new {
            self.insn(slot, "");
        } else {
            self.insn(slot, &view.changes(&before, insn.reads() | insn.sets()));
        }
        if ends || old == new {
            return;
        }
        let left = View { state: &before, ..view }.frame(old - 1);
        if old < new {
            self.say(format_args!("caller:\n{}\ncallee:\n{}", view.frame(old - 1), view.frame(new - 1)));
        } else {
            let at = state.pc;
            self.say(format_args!("returning from callee:\n{left}\nto caller at {at}:\n{}", view.all()));
        }
        self.line = None;
    }

    fn covered(&mut self, state: &State, _: u32) {
        if self.tells() {
            self.arrival(state.pc, format_args!(" safe"));
        }
    }

    fn remembered(&mut self, here: usize, all: usize) {
        let (most_here, most) = &mut self.most_states;
        (*most_here, *most) = ((*most_here).max(here), (*most).max(all));
    }

    fn tries(&mut self) {
        self.trying = true;
    }

    fn tried(&mut self, state: &State, failed: Option<&Rule>, _: &Marks) {
        if !self.tells() {
            return;
        }
        let at = state.pc;
        match failed {
            None => self.say(format_args!("{at}: safe, for all rounds")),
            Some(rule) => {
                if let Some(state) = self.now.take() {
                    self.insn(state.pc, "");
                }
                self.say(format_args!("{rule}\n{at}: rounds are walked instead\n"));
                self.way = Way::Here;
                self.line = None;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::asm::assemble;

    /// Takes so many bytes.
    struct Full(usize);

    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_cannot_be_written_is_an_error() {
        let insns = assemble("r0 = 0\nexit\n").unwrap();
        let program = Arc::new(Program { insns, ..Program::default() });
        let log = |size| {
            let entry = Start::Memory { size: 8 };
            verify_logged(&program, entry, Limits::default(), LogLevel::Every, &mut Full(size))
        };
        assert!(log(1000).unwrap().is_ok());
        assert_eq!(log(40).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
