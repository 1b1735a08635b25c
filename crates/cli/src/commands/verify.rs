//! `fuse-bpf verify`.

use std::collections::BTreeMap;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, ValueHint};
use fuse_bpf::filter::{ArgType, LogLevel, Rejection, Trial, Unproved, Verified};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Answer, rejection};

/// Judge every program of filter objects
///
/// Proves each program of each set, or says which rule it breaks, where, and how it gets there. Nothing is run
/// or mounted; mount, build and prog run do the same when they load an object, and stop at the first program
/// that is refused. A program of struct fuse_filter is judged for each operation of its family, before and after
/// it: names/unlink_prefilter is one of its places. Exit status 1 means that a program is refused, 2 that an
/// object cannot be read.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, verbatim_doc_comment)]
pub(crate) struct VerifyCommand {
    /// The filter objects
    #[arg(value_name = "OBJ", required = true, value_hint = ValueHint::FilePath)]
    objects: Vec<PathBuf>,
    /// How to tell of each program: 0 as compilers do, 1 as the kernel's verifier does, with the branches on the way
    /// to what it refuses, 2 with each instruction it walks and the registers and stack that changes, too
    #[arg(long, value_name = "LEVEL", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    log: u8,
    /// Show how much work each program was
    #[arg(long)]
    stats: bool,
    /// Print one JSON document, with what each program reads, changes and depends on
    #[arg(long, conflicts_with_all = ["log", "stats", "compare"])]
    json: bool,
    /// Show only what differs from an earlier --json: verdicts, and instructions processed
    #[arg(long, value_name = "OLD.json", conflicts_with_all = ["log", "stats"], value_hint = ValueHint::FilePath)]
    compare: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  fuse-bpf verify count.bpf.o
  fuse-bpf verify --stats *.bpf.o
  fuse-bpf verify --json count.bpf.o >old.json; fuse-bpf verify --compare old.json count.bpf.o";

/// A program that was judged.
struct Judged {
    place: String,
    object: String,
    trial: Trial,
    outcome: Result<Verified, Box<Rejection>>,
    time: Duration,
}

impl VerifyCommand {
    pub(crate) fn execute(self) -> anyhow::Result<Answer> {
        let old = self.compare.as_deref().map(Old::read).transpose()?;
        let mut out = BufWriter::new(std::io::stdout().lock());
        let (judged, unusable) = self.judge(&mut out)?;
        if self.json {
            let programs: Vec<Value> = judged.iter().map(Judged::document).collect();
            let document = json!({ "version": 1, "programs": programs });
            writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?;
        } else if let Some(old) = old {
            compare(&mut out, &old, &judged)?;
        } else if self.level().is_none() {
            self.print(&mut out, &judged)?;
        }
        out.flush()?;
        let mut unusable = unusable.into_iter();
        match (unusable.next(), unusable.len()) {
            (None, _) => {}
            (Some(error), 0) => return Err(error),
            (Some(error), more) => {
                for error in std::iter::once(error).chain(unusable) {
                    writeln!(std::io::stderr(), "fuse-bpf: {error:#}")?;
                }
                bail!("{} of {} objects cannot be judged", more + 1, self.objects.len());
            }
        }
        Ok(if judged.iter().all(|judged| judged.outcome.is_ok()) { Answer::Yes } else { Answer::No })
    }

    fn level(&self) -> Option<LogLevel> {
        match self.log {
            0 => None,
            1 => Some(LogLevel::Path),
            _ => Some(LogLevel::Every),
        }
    }

    /// Judges every program, with its log if there is to be one; of objects that cannot be loaded, says why.
    fn judge(&self, out: &mut impl Write) -> std::io::Result<(Vec<Judged>, Vec<anyhow::Error>)> {
        let mut unusable = Vec::new();
        let mut waiting = Vec::new();
        for path in &self.objects {
            match Unproved::load_file(path, 1) {
                Ok(object) => {
                    waiting
                        .extend(object.trials().into_iter().map(|trial| (object.name().to_owned(), trial)));
                }
                Err(error) => unusable.push(error.into()),
            }
        }
        let level = self.level();
        let shown = level.is_none() && std::io::stderr().is_terminal();
        let progress = Progress { total: waiting.len(), shown };
        let mut judged = Vec::new();
        for (object, trial) in waiting {
            progress.show(judged.len(), &object, &trial);
            let place = place(&object, &trial);
            if level.is_some() {
                writeln!(out, "{place}:")?;
            }
            let start = Instant::now();
            let outcome = match level {
                Some(level) => trial.judge_logged(level, out)?,
                None => trial.judge(),
            };
            let done = Judged { place, object, trial, outcome, time: start.elapsed() };
            if level.is_some() {
                self.verdict(out, &done)?;
                writeln!(out)?;
            }
            judged.push(done);
        }
        progress.clear();
        Ok((judged, unusable))
    }

    fn verdict(&self, out: &mut impl Write, judged: &Judged) -> std::io::Result<()> {
        write!(out, "{}  {}", judged.verdict(), judged.place)?;
        if self.stats {
            write!(out, ": {}", judged.stats())?;
        }
        writeln!(out)
    }

    fn print(&self, out: &mut impl Write, judged: &[Judged]) -> std::io::Result<()> {
        // A family's program is accepted for all its operations in one line.
        let alike = |one: &Judged, other: &Judged| {
            let family = one.family();
            let same = family.is_some() && family == other.family() && one.object == other.object;
            same && !self.stats && one.outcome.is_ok() && other.outcome.is_ok()
        };
        for group in judged.chunk_by(alike) {
            match group {
                [first, .., _] => writeln!(out, "accepted  {}, in {} places", first.program(), group.len())?,
                [one] => self.verdict(out, one)?,
                [] => {}
            }
        }
        let mut warned: Vec<String> = Vec::new();
        for judged in judged {
            let Ok(proof) = &judged.outcome else { continue };
            let context = format!("{} of {}:{}", proof.program().name, judged.object, judged.trial.set);
            for warning in rejection::warnings(proof, &context) {
                // Once, in however many places.
                if !warned.contains(&warning) {
                    write!(out, "\n{warning}")?;
                    warned.push(warning);
                }
            }
        }
        // What a family's program does wrong in several places is told of once.
        let mut told = Vec::new();
        for judged in judged {
            if let Err(why) = &judged.outcome {
                if let Some(family) = judged.family() {
                    let this = (judged.object.as_str(), family, why.slot, mem::discriminant(&why.rule));
                    if told.contains(&this) {
                        continue;
                    }
                    told.push(this);
                }
                let place = match judged.family() {
                    Some(_) => &judged.trial.member,
                    None => &why.program,
                };
                let context = format!("{place} of {}:{}", judged.object, judged.trial.set);
                write!(out, "\n{}", rejection::human(why, &context))?;
            }
        }
        Ok(())
    }
}

/// Where a program is, as other commands take it, with its name where the member does not tell.
fn place(object: &str, trial: &Trial) -> String {
    let Trial { set, member, program, tail, .. } = trial;
    let name = match (tail, program.name == *member) {
        (true, _) => format!(" ({}, by a tail call)", program.name),
        (false, true) => String::new(),
        (false, false) => format!(" ({})", program.name),
    };
    format!("{object}:{set} {member}{name}")
}

impl Judged {
    /// Set, member and program, of a member that is judged for each operation of its family.
    fn family(&self) -> Option<(&str, &str, &str)> {
        let (member, _) = self.trial.member.split_once('/')?;
        Some((&self.trial.set, member, &self.trial.program.name))
    }

    /// As [`place`], without the operation.
    fn program(&self) -> String {
        let member = self.trial.member.split('/').next().unwrap_or_default().to_owned();
        let mut trial = self.trial.clone();
        trial.member = member;
        place(&self.object, &trial)
    }

    fn verdict(&self) -> &'static str {
        if self.outcome.is_ok() { "accepted" } else { "rejected" }
    }

    fn key(&self) -> [String; 4] {
        let Trial { set, member, program, .. } = &self.trial;
        [self.object.clone(), set.clone(), member.clone(), program.name.clone()]
    }

    fn processed(&self) -> u64 {
        self.outcome.as_ref().map_or_else(|rejection| rejection.processed, |done| done.stats().processed)
    }

    fn stats(&self) -> String {
        let time = self.time.as_micros();
        match &self.outcome {
            Ok(done) => {
                let stats = done.stats();
                let longest = match stats.longest {
                    Some(longest) => format!("longest path {longest}"),
                    None => "bounded by fuel".to_owned(),
                };
                let (processed, states, frames) = (stats.processed, stats.states, stats.frames);
                format!("processed {processed}, states {states}, {longest}, frames {frames}, {time} µs")
            }
            Err(rejection) => format!("processed {}, {time} µs", rejection.processed),
        }
    }

    fn document(&self) -> Value {
        let Trial { set, member, program, tail, .. } = &self.trial;
        let mut document = json!({
            "object": self.object,
            "program": program.name,
            "set": set,
            "member": member,
            "tail_call": tail,
            "verdict": self.verdict(),
            "reason": null,
            "insn": null,
            "file": null,
            "line": null,
            "effects": [],
            "maps_read": [],
            "maps_written": [],
            "arguments": [],
        });
        match &self.outcome {
            Ok(done) => {
                let (uses, stats) = (done.uses(), done.stats());
                let maps = |indices: &std::collections::BTreeSet<u32>| -> Vec<&str> {
                    let maps = indices.iter().filter_map(|&index| program.maps.get(index as usize));
                    maps.map(|map| map.spec().name.as_str()).collect()
                };
                let effects = uses.effects.iter_names().map(|(name, _)| name.to_lowercase());
                document["effects"] = effects.collect();
                document["maps_read"] = json!(maps(&uses.maps_read));
                document["maps_written"] = json!(maps(&uses.maps_written));
                document["arguments"] =
                    (0..self.trial.arguments.len()).map(|i| self.argument(done, i)).collect();
                document["stats"] = json!({
                    "processed": stats.processed,
                    "states": stats.states,
                    "longest": stats.longest,
                    "frames": stats.frames,
                    "microseconds": self.time.as_micros() as u64,
                });
            }
            Err(rejection) => {
                document["reason"] = json!(rejection.rule.to_string());
                document["insn"] = json!(rejection.slot);
                document["file"] = json!(rejection.line.as_ref().map(|line| &*line.file));
                document["line"] = json!(rejection.line.as_ref().map(|line| line.line));
                document["stats"] = json!({
                    "processed": rejection.processed,
                    "microseconds": self.time.as_micros() as u64,
                });
            }
        }
        document
    }

    /// What is used of one argument: ranges of bytes of a struct, `[first, past the last]`; of a buffer, whether.
    fn argument(&self, done: &Verified, index: usize) -> Value {
        let Some((ty, name)) = self.trial.arguments.get(index) else { return Value::Null };
        let uses = done.uses();
        match ty {
            ArgType::Struct { name: ty, .. } | ArgType::Part { name: ty, .. } => {
                let used = uses.arguments.get(index).cloned().unwrap_or_default();
                json!({ "name": name, "type": ty, "read": ranges(&used.read), "written": ranges(&used.written) })
            }
            ArgType::Buffer { name: ty, .. } => {
                let among = |buffers: &std::collections::BTreeSet<u8>| {
                    buffers.iter().any(|&buffer| usize::from(buffer) == index)
                };
                let (read, written) = (among(&uses.buffers_read), among(&uses.buffers_written));
                json!({ "name": name, "type": ty, "read": read, "written": written })
            }
            ArgType::Scalar { name: ty, value } => json!({ "name": name, "type": ty, "value": value }),
        }
    }
}

/// Numbers as ranges, each with its first and the one past its last.
fn ranges<'n>(numbers: impl IntoIterator<Item = &'n u32>) -> Vec<[u32; 2]> {
    let mut ranges: Vec<[u32; 2]> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some([_, end]) if *end == number => *end += 1,
            _ => ranges.push([number, number + 1]),
        }
    }
    ranges
}

/// The document of an earlier run, as far as it is compared.
#[derive(Deserialize)]
struct Old {
    version: u32,
    programs: Vec<OldProgram>,
}

#[derive(Deserialize)]
struct OldProgram {
    object: String,
    program: String,
    set: String,
    member: String,
    verdict: String,
    stats: OldStats,
}

#[derive(Deserialize)]
struct OldStats {
    processed: u64,
}

impl Old {
    fn read(path: &Path) -> anyhow::Result<Old> {
        let name = path.display();
        let text = std::fs::read(path).with_context(|| format!("{name}: cannot be read"))?;
        let old: Old = serde_json::from_slice(&text)
            .with_context(|| format!("{name}: not what `fuse-bpf verify --json` prints"))?;
        if old.version != 1 {
            bail!("{name}: version {} of the document is not known", old.version);
        }
        Ok(old)
    }
}

fn compare(out: &mut impl Write, old: &Old, judged: &[Judged]) -> std::io::Result<()> {
    let mut before: BTreeMap<[String; 4], &OldProgram> = BTreeMap::new();
    for program in &old.programs {
        let OldProgram { object, set, member, program: name, .. } = program;
        before.insert([object.clone(), set.clone(), member.clone(), name.clone()], program);
    }
    let mut changed = 0;
    for new in judged {
        let (verdict, processed) = (new.verdict(), new.processed());
        let change = match before.remove(&new.key()) {
            None => format!("new, {verdict}"),
            Some(old) if old.verdict != verdict => format!("{} -> {verdict}", old.verdict),
            Some(old) if old.stats.processed != processed => {
                format!("{verdict}, processed {} -> {processed}", old.stats.processed)
            }
            Some(_) => continue,
        };
        let reason = new.outcome.as_ref().err().map_or(String::new(), |why| format!(": {}", why.rule));
        writeln!(out, "{}: {change}{reason}", new.place)?;
        changed += 1;
    }
    // Of objects that were not asked about now, nothing is known.
    for [object, set, member, program] in before.into_keys() {
        if judged.iter().any(|judged| judged.object == object) {
            writeln!(out, "{object}:{set} {member} ({program}): gone")?;
            changed += 1;
        }
    }
    writeln!(out, "{changed} changed, {} programs", judged.len())
}

/// A line on the terminal that says how far the work is.
struct Progress {
    total: usize,
    shown: bool,
}

impl Progress {
    fn show(&self, done: usize, object: &str, trial: &Trial) {
        if self.shown {
            // A line that cannot be written is no reason to stop.
            let _ = write!(
                std::io::stderr(),
                "\r\x1b[K{}/{} {object}:{} {}",
                done + 1,
                self.total,
                trial.set,
                trial.member
            );
        }
    }

    fn clear(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_ranges() {
        assert_eq!(ranges(&[]), [[0; 2]; 0]);
        assert_eq!(ranges(&[0, 1, 2, 3, 8, 9, 16]), [[0, 4], [8, 10], [16, 17]]);
    }
}
