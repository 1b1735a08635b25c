//! `fuse-bpf prog`: programs without a mount.

use std::io::Write as _;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use fuse_bpf::Errno;
use fuse_bpf::call::Step;
use fuse_bpf::dryrun::{DryRun, Report};
use fuse_bpf::filter::{Jit, LoadOptions, Runnable, Stage, Trial, Unproved};
use serde_json::{Value, json};

use crate::Answer;
use crate::chain::FilterSpec;
use crate::listing;
use crate::options::JitChoice;
use crate::rejection;
use crate::render::{self, Change};

/// Work with the programs of a filter object
#[derive(Subcommand, Debug)]
pub(crate) enum ProgCommand {
    Run(RunCommand),
    #[command(subcommand)]
    Dump(DumpCommand),
}

impl ProgCommand {
    pub(crate) fn execute(self) -> anyhow::Result<Answer> {
        match self {
            ProgCommand::Run(command) => command.execute(),
            ProgCommand::Dump(command) => command.execute(),
        }
    }
}

/// Ask a filter about one imaginary call
///
/// Runs what the filter has for the operation, without a mount, and shows each verdict, the arguments it changed,
/// the instructions executed and what was printed. The operation between prefilter and postfilter succeeds and
/// leaves what --set says, or fails as --error says. Exit status 1 means that the call would end in an error.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, verbatim_doc_comment)]
pub(crate) struct RunCommand {
    /// The filter object, and which of its program sets
    #[arg(value_name = "OBJ[:SET]")]
    filter: FilterSpec,
    /// The operation, by its name or that of its members (`fuse-bpf ops` lists them)
    #[arg(long, value_name = "OPERATION")]
    op: String,
    /// A name the operation is about; once more for the second (rename, symlink)
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// A field before the call (`in.flags=2`) or as the operation leaves it (`out.attr.mode=0x1ed`)
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    fields: Vec<Assignment>,
    /// The bytes that follow the names (the value of setxattr)
    #[arg(long, value_name = "TEXT")]
    payload: Option<String>,
    /// Who calls
    #[arg(long, default_value_t = 0)]
    uid: u32,
    /// Their group
    #[arg(long, default_value_t = 0)]
    gid: u32,
    /// Their process
    #[arg(long, default_value_t = 0)]
    pid: u32,
    /// The nodeid the filter sees
    #[arg(long, value_name = "N", default_value_t = 1)]
    nodeid: u64,
    /// Let the operation itself fail, by name or number
    #[arg(long, value_name = "ENOENT", value_parser = errno)]
    error: Option<Errno>,
    /// Make the call N times and show the nanoseconds each program took for one run; the rest is that of the
    /// last, and maps keep what the calls before did
    #[arg(long, value_name = "N")]
    repeat: Option<NonZeroU32>,
    /// Whether the programs are compiled. Interpreted ones have each of their instructions counted [default: never;
    /// with --repeat auto]
    #[arg(long, value_name = "WHEN", hide_default_value = true)]
    jit: Option<JitChoice>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Show what programs are made of
#[derive(Subcommand, Debug)]
pub(crate) enum DumpCommand {
    /// Show a program's instructions with their lines of C
    ///
    /// As they are run: linked, with what relocations put in. The program need not be acceptable.
    #[command(after_help = XLATED_EXAMPLES)]
    Xlated(Member),
    /// Show a program's machine code with its instructions and their lines of C
    ///
    /// By offset, in the order of the code. Code of its own, such as that which enters a function, stands below what
    /// comes before it. Addresses in it are those of this run.
    #[command(after_help = JITED_EXAMPLES)]
    Jited(Member),
}

/// A program of an object.
#[derive(Args, Debug)]
pub(crate) struct Member {
    /// The filter object, and which of its program sets
    #[arg(value_name = "OBJ[:SET]")]
    filter: FilterSpec,
    /// The member whose program it is. One of struct fuse_filter may be given with an operation and a stage, for
    /// which it is compiled: names/unlink_prefilter
    #[arg(value_name = "MEMBER")]
    member: String,
}

const XLATED_EXAMPLES: &str = "\
Examples:
  fuse-bpf prog dump xlated hide.bpf.o names/lookup_prefilter
  fuse-bpf prog dump xlated x.bpf.o:strict default_filter";

const JITED_EXAMPLES: &str = "\
Examples:
  fuse-bpf prog dump jited hide.bpf.o names/lookup_prefilter";

impl DumpCommand {
    fn execute(self) -> anyhow::Result<Answer> {
        let mut out = std::io::stdout().lock();
        match self {
            DumpCommand::Xlated(member) => listing::xlated(&mut out, &member.find()?)?,
            DumpCommand::Jited(member) => {
                let trial = member.find()?;
                let proof = match trial.judge() {
                    Ok(proof) => proof,
                    Err(rejection) => {
                        let context = format!("{} of {}", rejection.program, trial.set);
                        bail!("only what is proved is compiled\n{}", rejection::human(&rejection, &context));
                    }
                };
                let runnable = Runnable::new(Arc::new(proof), Jit::Always)?;
                if let Some(code) = runnable.code() {
                    listing::jited(&mut out, &trial, code)?;
                }
            }
        }
        Ok(Answer::Yes)
    }
}

impl Member {
    fn find(&self) -> anyhow::Result<Trial> {
        let object = Unproved::load_file(&self.filter.object, 1)?;
        let set = object.set(self.filter.set.as_deref())?;
        let own = object.trials().into_iter().filter(|trial| trial.set == set && !trial.tail);
        let mut own: Vec<Trial> = own.collect();
        let is_asked = |trial: &Trial| {
            let rest = trial.member.strip_prefix(&self.member);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match own.iter().position(is_asked) {
            Some(index) => Ok(own.swap_remove(index)),
            None => {
                let members = own.iter().filter_map(|trial| trial.member.split('/').next());
                let mut members: Vec<&str> = members.collect();
                members.dedup();
                bail!("{}:{set} has no {}; it has: {}", object.name(), self.member, members.join(", "));
            }
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  fuse-bpf prog run hide.bpf.o --op lookup --name secret
  fuse-bpf prog run x.bpf.o:strict --op open --set in.flags=2 --uid 1000
  fuse-bpf prog run x.bpf.o --op rename --name old --name new --json
  fuse-bpf prog run x.bpf.o --op lookup --name secret --repeat 100000";

/// `FIELD=VALUE`.
#[derive(Debug, Clone)]
struct Assignment {
    field: String,
    value: u64,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Assignment, String> {
        let (field, value) = text.split_once('=').ok_or("not of the form FIELD=VALUE, such as in.flags=2")?;
        let number = |digits, radix| u64::from_str_radix(digits, radix);
        let parsed = match (value.strip_prefix("0x"), value.strip_prefix("0o"), value.strip_prefix('-')) {
            (Some(hex), ..) => number(hex, 16),
            (_, Some(octal), _) => number(octal, 8),
            (.., Some(negative)) => number(negative, 10).map(u64::wrapping_neg),
            _ => number(value, 10),
        };
        let value = parsed.map_err(|_| format!("`{value}` is not a number (10, 0xa, 0o12, -1)"))?;
        Ok(Assignment { field: field.to_owned(), value })
    }
}

fn errno(text: &str) -> Result<Errno, String> {
    if let Some(errno) = Errno::from_name(text) {
        return Ok(errno);
    }
    match text.parse::<i32>() {
        Ok(number) if Errno::new(number).raw() == number => Ok(Errno::new(number)),
        _ => Err("not an error such as ENOENT or 2".to_owned()),
    }
}

impl RunCommand {
    fn execute(self) -> anyhow::Result<Answer> {
        let jit = match (self.jit, self.repeat) {
            (Some(choice), _) => choice.into(),
            (None, Some(_)) => Jit::Auto,
            (None, None) => Jit::Never,
        };
        let set = self.filter.load(LoadOptions::new(1).jit(jit))?;
        let mut run = DryRun::new(&self.op)?.caller(self.uid, self.gid, self.pid).nodeid(self.nodeid);
        for (index, name) in self.names.iter().enumerate() {
            run = run.name(index, name)?;
        }
        for Assignment { field, value } in &self.fields {
            run = run.field(field, *value)?;
        }
        if let Some(payload) = self.payload {
            run = run.payload(payload.into_bytes())?;
        }
        if let Some(error) = self.error {
            run = run.error(error);
        }
        let mut times = Times::default();
        let report =
            run.repeat(&set, self.repeat.unwrap_or(NonZeroU32::MIN), &mut |steps| times.add(steps))?;
        let times = self.repeat.map(|_| times);
        let changes = render::changes(&report.before, &report.after);
        let mut out = std::io::stdout().lock();
        if self.json {
            let mut document = document(&self.op, set.name(), &report, &changes);
            if let Some(times) = times {
                document["repeat"] = times.document();
            }
            writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?;
        } else {
            print(&mut out, &report, &changes)?;
            if let Some(times) = times {
                times.print(&mut out)?;
            }
        }
        if set.faults() > 0 {
            out.flush()?;
            bail!("{}: a program was stopped for a fault", self.filter.object.display());
        }
        Ok(if report.result.is_ok() { Answer::Yes } else { Answer::No })
    }
}

/// How long programs took: time and runs by stage and name, in the order of their first runs.
#[derive(Debug, Default)]
struct Times(Vec<(Stage, String, Duration, u32)>);

impl Times {
    fn add(&mut self, steps: &[Step]) {
        for step in steps {
            let same = |(stage, program, ..): &&mut (Stage, String, _, _)| {
                *stage == step.stage && *program == step.program
            };
            match self.0.iter_mut().find(same) {
                Some((.., time, runs)) => {
                    *time += step.time;
                    *runs += 1;
                }
                None => self.0.push((step.stage, step.program.clone(), step.time, 1)),
            }
        }
    }

    fn each(&self) -> impl Iterator<Item = (&str, Stage, u32, u64)> {
        self.0.iter().map(|(stage, program, time, runs)| {
            let each = time.as_nanos() / u128::from((*runs).max(1));
            (program.as_str(), *stage, *runs, u64::try_from(each).unwrap_or(u64::MAX))
        })
    }

    fn print(&self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        for (program, _, runs, each) in self.each() {
            writeln!(out, "{program}: {each} ns per run ({runs} runs)")?;
        }
        Ok(())
    }

    fn document(&self) -> Value {
        let each = self.each().map(|(program, stage, runs, each)| {
            json!({ "program": program, "stage": stage_name(stage), "runs": runs, "ns_per_run": each })
        });
        each.collect()
    }
}

fn stage_name(stage: Stage) -> &'static str {
    stage.suffix().trim_start_matches('_')
}

fn print(out: &mut impl std::io::Write, report: &Report, changes: &[Change]) -> std::io::Result<()> {
    if report.steps.is_empty() {
        writeln!(out, "the set has nothing to say of this operation")?;
    }
    for step in &report.steps {
        let value = match &step.value {
            Ok(value) => render::verdict_name(*value),
            Err(fault) => format!("fault: {fault}"),
        };
        let insns =
            if step.compiled { "compiled".to_owned() } else { format!("{} instructions", step.insns) };
        writeln!(out, "{}: {value} ({insns})", step.program)?;
    }
    for change in changes {
        writeln!(out, "  {}: {} -> {}", change.path, change.before.text(), change.after.text())?;
    }
    for line in &report.printed {
        writeln!(out, "  printed: {line}")?;
    }
    match report.result {
        Ok(()) => writeln!(out, "result: success"),
        Err(errno) => writeln!(out, "result: {errno}"),
    }
}

fn document(operation: &str, set: &str, report: &Report, changes: &[Change]) -> Value {
    let steps: Vec<Value> = report
        .steps
        .iter()
        .map(|step| {
            let (value, verdict, fault) = match &step.value {
                Ok(value) => (Some(value), Some(render::verdict_name(*value)), None),
                Err(fault) => (None, None, Some(fault)),
            };
            json!({
                "program": step.program,
                "stage": stage_name(step.stage),
                "verdict": verdict,
                "value": value,
                "fault": fault,
                "compiled": step.compiled,
                "instructions": (!step.compiled).then_some(step.insns),
            })
        })
        .collect();
    let changed: Vec<Value> = changes
        .iter()
        .map(|c| json!({ "path": c.path, "before": c.before.json(), "after": c.after.json() }))
        .collect();
    json!({
        "version": 1,
        "operation": operation,
        "set": set,
        "steps": steps,
        "changed": changed,
        "printed": report.printed,
        "result": report.result.err().map_or_else(|| "success".to_owned(), |errno| errno.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments() {
        let value = |text: &str| text.parse::<Assignment>().map(|a| (a.field, a.value));
        assert_eq!(value("in.flags=2"), Ok(("in.flags".to_owned(), 2)));
        assert_eq!(value("in.mode=0o644"), Ok(("in.mode".to_owned(), 0o644)));
        assert_eq!(value("in.mask=0xff"), Ok(("in.mask".to_owned(), 255)));
        assert_eq!(value("out.offset=-1"), Ok(("out.offset".to_owned(), u64::MAX)));
        assert!(value("in.flags").is_err());
        assert!(value("in.flags=x").is_err());
    }

    #[test]
    fn errors_by_name_and_number() {
        assert_eq!(errno("ENOENT"), Ok(Errno::ENOENT));
        assert_eq!(errno("2"), Ok(Errno::ENOENT));
        for bad in ["0", "-2", "9999", "nothing"] {
            assert!(errno(bad).is_err(), "{bad}");
        }
    }
}
