//! `fuse-bpf build`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueHint};
use fuse_bpf::filter::{FilterError, FilterObject, Unproved};

use crate::{Answer, clang, rejection};

/// Compile a filter with clang
///
/// Prints the clang line, runs it, and checks that the object can be mounted: every
/// program is proved, and exit status 1 means that one is refused. The header fuse_bpf.h comes
/// with this program; one beside the source is preferred. BPF_CLANG names another compiler, BPF_CFLAGS adds
/// options.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, verbatim_doc_comment)]
pub(crate) struct BuildCommand {
    /// The object [default: the source with .o in place of .c, in the same directory]
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// The source
    #[arg(value_name = "X.bpf.c", value_hint = ValueHint::FilePath)]
    source: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  fuse-bpf build count.bpf.c
  BPF_CLANG=clang-16 BPF_CFLAGS=-DDEBUG fuse-bpf build count.bpf.c -o debug.bpf.o";

impl BuildCommand {
    pub(crate) fn execute(self) -> anyhow::Result<Answer> {
        let source = &self.source;
        std::fs::metadata(source).with_context(|| format!("{}: cannot read the source", source.display()))?;
        let object = match self.output {
            Some(output) => output,
            None if source.extension().is_some_and(|extension| extension == "c") => {
                source.with_extension("o")
            }
            None => bail!("{}: not a .c file; say with -o what the object shall be called", source.display()),
        };
        let headers = clang::unpack_header()?;
        let line = clang::Line::from_environment(&headers, source, &object);
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()?;
        if !line.run()? {
            return Ok(Answer::No);
        }
        describe(&mut out, &object)
    }
}

/// Loads the object, so that a mistake shows now and not at the first mount.
fn describe(out: &mut impl std::io::Write, object: &Path) -> anyhow::Result<Answer> {
    let filter = match FilterObject::load_file(object, 1) {
        Err(FilterError::Rejected { object, set, member, rejection }) => {
            let context = format!("{member} of {object}:{set}");
            write!(std::io::stderr(), "{}", rejection::human(&rejection, &context))?;
            return Ok(Answer::No);
        }
        other => other?,
    };
    warn(object)?;
    for set in filter.sets() {
        let (members, all) = set.members();
        writeln!(out, "{}:{} ({members} of {all} members)", object.display(), set.name())?;
    }
    Ok(Answer::Yes)
}

/// Tells of what is accepted and likely a mistake.
fn warn(object: &Path) -> anyhow::Result<()> {
    let mut warned: Vec<String> = Vec::new();
    for trial in Unproved::load_file(object, 1)?.trials() {
        let Ok(proof) = trial.judge() else { continue };
        let context = format!("{} of {}:{}", proof.program().name, object.display(), trial.set);
        for warning in rejection::warnings(&proof, &context) {
            if !warned.contains(&warning) {
                write!(std::io::stderr(), "{warning}")?;
                warned.push(warning);
            }
        }
    }
    Ok(())
}
