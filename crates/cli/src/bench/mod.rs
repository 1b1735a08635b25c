//! What a mount costs: the same work in a plain directory, an unfiltered and a filtered mount.
//!
//! The three are measured in one run, in turn, in an order that rotates: what disturbs the machine disturbs
//! all three. Each repetition is compared with the plain directory's of the same repetition. There are no
//! targets here; the numbers are what they are.

mod map;
mod mounts;
mod report;
mod work;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use mounts::Stage;
use report::{Report, Row};
use work::WORKS;

/// What to measure.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The directory whose file system is measured.
    pub(crate) source: PathBuf,
    /// Filters of the filtered mount; the audit filter if there is none.
    pub(crate) filters: Vec<String>,
    /// Repetitions of each operation.
    pub(crate) reps: usize,
    /// Names of operations, all if empty.
    pub(crate) only: Vec<String>,
    /// Seconds the kernel may keep names and attributes.
    pub(crate) cache_timeout: Option<f64>,
    /// Whether to print JSON.
    pub(crate) json: bool,
}

/// Names the operations.
pub(crate) fn list() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for work in WORKS {
        writeln!(out, "{:<16} {}", work.name, work.what)?;
    }
    Ok(())
}

/// Measures and prints.
pub(crate) fn run(plan: &Plan) -> anyhow::Result<()> {
    for name in &plan.only {
        if !WORKS.iter().any(|work| work.name == name) {
            bail!("no operation `{name}`; `fuse-bpf bench --list` names them");
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot take signals")?;
    }
    let source = fs::canonicalize(&plan.source).with_context(|| plan.source.display().to_string())?;
    let stage = Stage::new(&source, plan)?;
    let places = stage.places();
    let mut rows = Vec::new();
    for work in
        WORKS.iter().filter(|work| plan.only.is_empty() || plan.only.iter().any(|name| name == work.name))
    {
        let mut times = vec![Vec::new(); places.len()];
        // One repetition more than asked for: the first warms caches and is not counted.
        for rep in 0..=plan.reps {
            for turn in 0..places.len() {
                if stop.load(Ordering::Relaxed) {
                    bail!("interrupted; everything is unmounted and removed");
                }
                let at = (rep + turn) % places.len();
                let place = &places[at];
                let took =
                    (work.run)(place).with_context(|| format!("{} in {}", work.name, place.display()))?;
                if rep > 0 {
                    times[at].push(took.as_secs_f64() / work.count as f64);
                }
            }
        }
        rows.push(Row::new(work, &times));
    }
    let report = Report { plan, source: &source, rows };
    drop(stage);
    report.print()
}
