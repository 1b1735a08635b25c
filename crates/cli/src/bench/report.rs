//! The table and its machine form.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::Plan;
use super::work::Work;

/// All that was measured.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) plan: &'a Plan,
    pub(super) source: &'a Path,
    pub(super) rows: Vec<Row>,
}

/// What was measured of one operation.
#[derive(Debug)]
pub(super) struct Row {
    work: &'static Work,
    /// Seconds an operation, or a byte, took in the plain directory.
    plain: Spread,
    /// How many times that of the same repetition it took in each mount.
    ratios: Vec<Spread>,
}

/// The least, the median and the most of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    fn of(mut numbers: Vec<f64>) -> Spread {
        numbers.sort_by(f64::total_cmp);
        let at = |index: usize| numbers.get(index).copied().unwrap_or(f64::NAN);
        let middle = numbers.len() / 2;
        let median =
            if numbers.len() % 2 == 1 { at(middle) } else { (at(middle.wrapping_sub(1)) + at(middle)) / 2.0 };
        Spread { min: at(0), median, max: at(numbers.len().wrapping_sub(1)) }
    }

    fn map(self, f: impl Fn(f64) -> f64) -> Spread {
        Spread { min: f(self.min), median: f(self.median), max: f(self.max) }
    }

    fn json(self) -> Value {
        json!({ "min": self.min, "median": self.median, "max": self.max })
    }
}

impl Row {
    /// `times`: for each place, the plain one first, the seconds an operation took in each repetition.
    pub(super) fn new(work: &'static Work, times: &[Vec<f64>]) -> Row {
        let (plain, mounts) = times.split_first().map_or((&[][..], &[][..]), |(p, m)| (p.as_slice(), m));
        let ratios = mounts
            .iter()
            .map(|mount| Spread::of(mount.iter().zip(plain).map(|(mount, plain)| mount / plain).collect()))
            .collect();
        Row { work, plain: Spread::of(plain.to_vec()), ratios }
    }

    /// What the plain directory did, as people say it.
    fn absolute(&self) -> String {
        if self.work.bytes {
            format!("{:.0} MiB/s", 1.0 / self.plain.median / f64::from(1 << 20))
        } else {
            format!("{:.2} us", self.plain.median * 1e6)
        }
    }
}

impl Report<'_> {
    pub(super) fn print(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.plan.json {
            writeln!(out, "{:#}", self.json())?;
            return Ok(());
        }
        let filters =
            if self.plan.filters.is_empty() { "audit".to_owned() } else { self.plan.filters.join(", ") };
        writeln!(out, "{} repetitions in {}; filters: {filters}", self.plan.reps, self.source.display())?;
        writeln!(
            out,
            "Time in a mount divided by time in the plain directory, lower is better: least median most"
        )?;
        if cfg!(debug_assertions) {
            writeln!(out, "This is a debug build: a release build is several times faster.")?;
        }
        writeln!(out, "\n{:<14} {:>12}   {:^23}   {:^23}", "", "plain", "unfiltered", "filtered")?;
        for row in &self.rows {
            write!(out, "{:<14} {:>12}", row.work.name, row.absolute())?;
            for ratio in &row.ratios {
                write!(
                    out,
                    "   {:>7} {:>7} {:>7}",
                    digits(ratio.min),
                    digits(ratio.median),
                    digits(ratio.max)
                )?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                let unit = if row.work.bytes { "seconds per MiB" } else { "microseconds per operation" };
                let scale = if row.work.bytes { f64::from(1 << 20) } else { 1e6 };
                json!({
                    "op": row.work.name,
                    "what": row.work.what,
                    "unit": unit,
                    "plain": row.plain.map(|seconds| seconds * scale).json(),
                    "unfiltered": row.ratios.first().map(|ratio| ratio.json()),
                    "filtered": row.ratios.get(1).map(|ratio| ratio.json()),
                })
            })
            .collect();
        json!({
            "version": 1,
            "source": self.source.to_string_lossy(),
            "filters": self.plan.filters,
            "repetitions": self.plan.reps,
            "cache_timeout": self.plan.cache_timeout,
            "debug_build": cfg!(debug_assertions),
            "operations": rows,
        })
    }
}

/// Three digits that count.
fn digits(ratio: f64) -> String {
    match ratio {
        r if r < 10.0 => format!("{r:.2}"),
        r if r < 100.0 => format!("{r:.1}"),
        r => format!("{r:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads() {
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]), Spread { min: 1.0, median: 2.0, max: 3.0 });
        assert_eq!(Spread::of(vec![4.0, 1.0]), Spread { min: 1.0, median: 2.5, max: 4.0 });
        assert!(Spread::of(Vec::new()).median.is_nan());
    }

    #[test]
    fn ratios_are_of_the_same_repetition() {
        let row = Row::new(&super::super::work::WORKS[0], &[vec![1.0, 2.0], vec![2.0, 2.0]]);
        assert_eq!(row.ratios, [Spread { min: 1.0, median: 1.5, max: 2.0 }]);
    }

    #[test]
    fn three_digits() {
        assert_eq!(["1.00", "12.3", "123"].map(str::to_owned), [1.0, 12.34, 123.4].map(digits));
    }
}
