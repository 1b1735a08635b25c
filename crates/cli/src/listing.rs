//! Programs as text: their instructions, and the machine code made of them, with the lines of C they come from.

use std::fmt;
use std::io::{self, Write};

use fuse_bpf::filter::{Compiled, SourceLine, Trial};
use iced_x86::{Decoder, DecoderOptions, Formatter as _, NasmFormatter};

/// A line of C, as the kernel's verifier writes it.
pub(crate) struct Source<'a>(pub(crate) &'a SourceLine);

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Source(line) = self;
        write!(f, "; {} @ {}:{}", line.text.trim(), line.file, line.line)
    }
}

/// Writes what stands above instructions: their function and their line, when these change.
struct Headings<'a> {
    trial: &'a Trial,
    shown: Option<&'a SourceLine>,
}

impl<'a> Headings<'a> {
    fn function(&mut self, out: &mut impl Write, slot: usize) -> io::Result<()> {
        let mut functions = self.trial.program.functions.iter();
        if let Some(function) = functions.find(|function| function.start == slot) {
            writeln!(out, "{}:", function.name)?;
            self.shown = None;
        }
        Ok(())
    }

    fn line(&mut self, out: &mut impl Write, slot: usize) -> io::Result<()> {
        let line = self.trial.program.line(slot);
        let place = |line: Option<&'a SourceLine>| line.map(|line| (&line.file, line.line));
        if let Some(new) = line.filter(|_| place(line) != place(self.shown)) {
            writeln!(out, "{}", Source(new))?;
            self.shown = line;
        }
        Ok(())
    }
}

/// The instructions by slot.
pub(crate) fn xlated(out: &mut impl Write, trial: &Trial) -> io::Result<()> {
    let mut headings = Headings { trial, shown: None };
    for (slot, text) in trial.instructions() {
        headings.function(out, slot)?;
        headings.line(out, slot)?;
        writeln!(out, "{slot:>4}: {text}")?;
    }
    Ok(())
}

/// The machine code in its own order, by offset, each part below the instruction it was made of.
pub(crate) fn jited(out: &mut impl Write, trial: &Trial, code: &Compiled) -> io::Result<()> {
    let instructions = trial.instructions();
    let mut headings = Headings { trial, shown: None };
    let mut formatter = NasmFormatter::new();
    for function in code.functions() {
        headings.function(out, function.slot)?;
        let mut above = None;
        let bytes = code.code().get(function.code.clone()).unwrap_or_default();
        let decoder = Decoder::with_ip(64, bytes, function.code.start as u64, DecoderOptions::NONE);
        for machine in decoder {
            let slot = code.slot_at(machine.ip() as usize);
            if let Some(slot) = slot.filter(|_| slot != above) {
                headings.line(out, slot)?;
                if let Ok(index) = instructions.binary_search_by_key(&slot, |(slot, _)| *slot) {
                    writeln!(out, "{slot:>4}: {}", instructions[index].1)?;
                }
            }
            above = slot.or(above);
            let mut text = String::new();
            formatter.format(&machine, &mut text);
            writeln!(out, "      {:>6x}: {text}", machine.ip())?;
        }
    }
    Ok(())
}
