//! How long verification takes and how much memory: `cargo bench -p fuse-bpf --bench verify`.
//!
//! Three tables: the programs of the filters in `bpf/`, the small programs of the test corpus together, and programs
//! made so that as much has to be walked as the limits allow. Text after `--` picks rows whose name has it in it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark, which prints")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use fuse_bpf_vm::asm::assemble;
use fuse_bpf_vm::program::Program;
use fuse_bpf_vm::verify::{Entry, Limits, verify};

#[path = "engine/filters.rs"]
mod filters;

#[path = "../../vm/tests/corpus.rs"]
#[allow(dead_code, unused_imports, reason = "only its programs are used here")]
mod corpus;

/// Bytes in use, and the most that were.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(more: usize, less: usize) {
    // Only one thread measures, so that plain loads and stores will do.
    let live = LIVE.load(Relaxed).wrapping_add(more).wrapping_sub(less);
    LIVE.store(live, Relaxed);
    if live > PEAK.load(Relaxed) {
        PEAK.store(live, Relaxed);
    }
}

// SAFETY: every call is handed to the allocator of the system as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promises are those `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both exist while the content is moved.
        count(size, 0);
        count(0, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// What was measured of one program.
struct Measured {
    accepted: bool,
    processed: u64,
    states: Option<usize>,
    time: Duration,
    peak: usize,
}

impl Measured {
    fn rate(&self) -> f64 {
        self.processed as f64 / self.time.as_secs_f64() / 1e6
    }
}

/// Verifies a program again and again for `at_least`, and takes the median.
fn measure(program: &Arc<Program>, entry: Entry<'_>, limits: Limits, at_least: Duration) -> Measured {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let (accepted, processed, states) = match verify(program, entry, limits) {
        Ok(verified) => (true, verified.stats().processed, Some(verified.stats().states)),
        Err(rejection) => (false, rejection.processed, None),
    };
    let peak = PEAK.load(Relaxed) - before;
    let mut times = Vec::new();
    let start = Instant::now();
    // What takes seconds is measured once.
    while times.is_empty()
        || start.elapsed() < at_least
        || times.len() < 5 && start.elapsed() < Duration::from_secs(2)
    {
        let start = Instant::now();
        black_box(verify(black_box(program), entry, limits).is_ok());
        times.push(start.elapsed());
    }
    times.sort();
    Measured { accepted, processed, states, time: times[times.len() / 2], peak }
}

fn header() {
    println!(
        "{:44} {:>8} {:>9} {:>8} {:>11} {:>12} {:>10}",
        "", "verdict", "processed", "states", "time", "Minsns/s", "peak"
    );
}

fn row(name: &str, measured: &Measured) {
    let verdict = if measured.accepted { "accepted" } else { "refused" };
    let states = measured.states.map_or("-".to_owned(), |states| states.to_string());
    let micros = measured.time.as_secs_f64() * 1e6;
    let time = if micros < 10_000.0 { format!("{micros:.1} us") } else { format!("{:.0} ms", micros / 1e3) };
    let peak = format!("{:.2} MiB", measured.peak as f64 / 1048576.0);
    println!(
        "{name:44} {verdict:>8} {:>9} {states:>8} {time:>11} {:>12.2} {peak:>10}",
        measured.processed,
        measured.rate()
    );
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

fn real_filters(wanted: &str) {
    header();
    let (mut rows, mut processed, mut total, mut worst) = (Vec::new(), 0, Duration::ZERO, 0);
    for path in filters::objects() {
        // Programs of one length that are as much work are alike: the first stands for them.
        let mut alike: Vec<(String, Measured, usize, usize)> = Vec::new();
        for (name, program, args) in
            filters::filters(&path).into_iter().filter(|(name, ..)| name.contains(wanted))
        {
            let measured =
                measure(&program, Entry::Context(&args), Limits::default(), Duration::from_millis(10));
            let same = alike.iter_mut().find(|(_, first, len, _)| {
                first.processed == measured.processed && *len == program.insns.len()
            });
            match same {
                Some((.., count)) => *count += 1,
                None => alike.push((name, measured, program.insns.len(), 1)),
            }
        }
        for (name, measured, _, count) in alike {
            let others = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
            row(&format!("{name}{others}"), &measured);
            rows.push(measured.time.as_secs_f64() * 1e6);
            processed += measured.processed;
            total += measured.time;
            worst = worst.max(measured.peak);
        }
    }
    println!(
        "{} rows: median {:.1} us, most {:.1} us; {processed} instructions in {:.1} us, {:.2} Minsns/s; peak {:.2} MiB\n",
        rows.len(),
        median(rows.clone()),
        rows.iter().copied().fold(0.0, f64::max),
        total.as_secs_f64() * 1e6,
        processed as f64 / total.as_secs_f64() / 1e6,
        worst as f64 / 1048576.0,
    );
}

/// Programs of the corpus, but those that are there for a limit of their own.
fn small_programs() {
    let (mut times, mut processed, mut total) = (Vec::new(), 0, Duration::ZERO);
    let (mut slowest, mut worst) = ((0.0, String::new()), 0);
    for (program, memory, limit) in corpus::programs() {
        let entry = memory.map_or(Entry::Context(corpus::ARGS), |size| Entry::Memory { size });
        if limit.is_some() {
            continue;
        }
        let measured = measure(&program, entry, Limits::default(), Duration::from_micros(500));
        let micros = measured.time.as_secs_f64() * 1e6;
        if micros > slowest.0 {
            slowest = (micros, program.name.clone());
        }
        times.push(micros);
        processed += measured.processed;
        total += measured.time;
        worst = worst.max(measured.peak);
    }
    println!(
        "{} programs: median {:.1} us, most {:.1} us ({}); {processed} instructions in {:.1} us, {:.2} Minsns/s; peak {:.2} MiB\n",
        times.len(),
        median(times),
        slowest.0,
        slowest.1,
        total.as_secs_f64() * 1e6,
        processed as f64 / total.as_secs_f64() / 1e6,
        worst as f64 / 1048576.0,
    );
}

/// A program as text, with functions that start at the labels.
fn program(name: &str, text: &str) -> Arc<Program> {
    let insns = assemble(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let functions = corpus::functions(&insns);
    Arc::new(Program { name: name.to_owned(), insns, functions, ..Program::default() })
}

/// `text` so many times, `@` being the number of the copy, `#` eight times that number and 8 more, and `$` the power of two.
fn times(count: usize, text: &str) -> String {
    (0..count).fold(String::new(), |mut all, copy| {
        let (slot, power) = (copy * 8 + 8, 1u64 << (copy % 30));
        let text = text.replace('@', &copy.to_string());
        writeln!(all, "{}", text.replace('#', &slot.to_string()).replace('$', &power.to_string())).unwrap();
        all
    })
}

/// Adds a number of its own for each choice, so that no two paths are alike, and the sum matters in the end.
const CHOICES: &str = "call 7\nif r0 == 0 goto c@\nr6 += $\nc@:";
/// The sum in R6 decides.
const DECIDE: &str = "if r6 == 1000003 goto end\nr0 = 0\nexit\nend: r0 = 1\nexit\n";

/// Programs made to be hard, by name.
fn hard() -> Vec<(&'static str, String)> {
    let spill = times(60, "call 7\n*(u64 *)(r10 - #) = r0");
    let unspill = times(60, "r0 = *(u64 *)(r10 - #)\nif r0 == 7 goto u@\nr7 += 1\nu@:");
    let fill = times(60, "*(u64 *)(r10 - #) = @");
    let functions: String = (1..7).fold(String::new(), |mut all, depth| {
        write!(
            all,
            "f{depth}:\nr6 = r1\n{spill}r1 = r6\ncall f{}\nr0 = *(u64 *)(r10 - 8)\nexit\n",
            depth + 1
        )
        .unwrap();
        all
    });
    vec![
        ("branches", format!("r6 = 0\n{}{DECIDE}", times(30, CHOICES))),
        (
            "branches, long blocks",
            format!(
                "r6 = 0\nr7 = 0\n{}{DECIDE}",
                times(30, &format!("{CHOICES}{}", "r7 += r6\nr7 ^= 5\nr7 *= 3\nr7 >>= 1\n".repeat(5)))
            ),
        ),
        (
            "branches, unknown numbers",
            format!(
                "r6 = 0\ncall 7\nr7 = r0\nr8 = r0\n{}{DECIDE}",
                times(30, &format!("{CHOICES}r7 += r0\nr7 *= 31\nr8 ^= r7\nw9 = w8\nw9 s>>= 3\nr9 &= 255\nr7 -= r9\nif r9 > 200 goto d@\nr8 |= 1\nd@:"))
            ),
        ),
        (
            "loop, one block",
            "r6 = 0\nr7 = 0\nl: r6 += 1\nr7 += 1\nif r6 < 1000000 goto l\nr6 -= r7\nr1 = r10\nr1 += r6\n\
             r0 = *(u64 *)(r1 - 8)\nexit\n"
                .to_owned(),
        ),
        (
            "loop, branches",
            "r6 = 0\nr7 = 0\nl: r8 = r6\nr8 &= 1\nif r8 == 0 goto a\nr8 = 5\na: r6 += 1\nr7 += 1\nif r6 < 1000000 goto l\nr6 -= r7\n\
             r1 = r10\nr1 += r6\nr0 = *(u64 *)(r1 - 8)\nexit\n"
                .to_owned(),
        ),
        (
            "loop, 60 slots",
            format!(
                "{fill}r6 = 0\nr7 = 0\nl: r6 += 1\n*(u64 *)(r10 - 8) = r6\nr8 = *(u64 *)(r10 - 240)\nr8 += r6\n\
                 *(u64 *)(r10 - 240) = r8\nr7 += 1\nif r6 < 1000000 goto l\nr6 -= r7\nr1 = r10\nr1 += r6\n\
                 r0 = *(u64 *)(r1 - 8)\nexit\n"
            ),
        ),
        ("60 slots of unknown numbers", format!("r6 = 0\nr7 = 0\n{spill}{}{unspill}{DECIDE}", times(30, CHOICES))),
        (
            "60 slots, all changing",
            format!(
                "r6 = 0\nr7 = 0\n{fill}{}{unspill}{DECIDE}",
                times(30, &format!("{CHOICES}r1 = *(u64 *)(r10 - #)\nr1 += r6\n*(u64 *)(r10 - #) = r1"))
            ),
        ),
        (
            "60 copies of one number",
            format!(
                "call 7\nr6 = 0\nr7 = r0\n{}{}{DECIDE}",
                times(60, "*(u64 *)(r10 - #) = r7"),
                times(30, &format!("{CHOICES}if r7 > $ goto d@\nr6 += 1\nd@:"))
            ),
        ),
        (
            "8 frames of 60 slots",
            format!(
                "r6 = 0\n{spill}r1 = r6\ncall f1\nr0 = 0\nexit\n{functions}f7:\nr6 = r1\nr7 = 0\n{spill}{}{unspill}{DECIDE}",
                times(30, CHOICES)
            ),
        ),
        (
            "calls, one by one",
            format!(
                "r6 = 0\n{}{DECIDE}f: call 7\nr0 &= 3\nif r0 > 1 goto g\nr0 = 5\nexit\ng: r0 = 9\nexit\n",
                times(30, "r1 = r6\ncall f\nr6 += r0\nr6 *= 3")
            ),
        ),
        (
            "callbacks",
            format!(
                "r6 = 0\n{}{DECIDE}f: call 7\nif r0 == 0 goto g\nr0 = 0\nexit\ng: r0 = 1\nexit\n",
                times(30, &format!("r1 = 10\nr2 = func f ll\nr3 = 0\nr4 = 0\ncall 181\n{CHOICES}"))
            ),
        ),
    ]
}

fn worst_cases(wanted: &str) {
    header();
    let (mut slowest, mut worst) = (Duration::ZERO, 0);
    for (name, text) in hard() {
        if !name.contains(wanted) {
            continue;
        }
        let program = program(name, &text);
        let measured = measure(&program, Entry::Memory { size: 64 }, Limits::default(), Duration::ZERO);
        row(name, &measured);
        slowest = slowest.max(measured.time);
        worst = worst.max(measured.peak);
    }
    println!("most {:.0} ms; peak {:.1} MiB", slowest.as_secs_f64() * 1e3, worst as f64 / 1048576.0);
}

fn main() {
    // Cargo passes `--bench`.
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with("--")).unwrap_or_default();
    println!("Filters in bpf/\n");
    real_filters(&wanted);
    if wanted.is_empty() {
        println!("Programs of the test corpus\n");
        small_programs();
    }
    println!("Programs made to be hard\n");
    worst_cases(&wanted);
}
