//! Small programs with the verdict of the verifier written on the line that must be refused; accepted ones are run
//! by the checked interpreter as well, which must find nothing wrong with them, and before each instruction must hold
//! what the verifier knew there.
//!
//! The programs are in `corpus/*.bpf.s`. Each starts with `== name`, which may be followed by
//!
//! * `memory N`: it is entered with R1 the address of `N` bytes and R2 their number. Without, R1 is a context of
//!   [`ARGS`];
//! * `sleepable`;
//! * `limit N`: instructions the verifier may look at.
//!
//! After a `;` at the end of a line, or several, stands `error: TEXT` (the line must be refused, and the message has the text in
//! it), `poison` (the line needs something that does not exist) or `target` (the line is in the jump table).
//! Maps are written by name (see [`maps`]), as are helpers and kfuncs. Functions start at labels that are called.
//!
//! `known.bpf.s` holds safe programs that are refused nevertheless: their errors are shortcomings, not rules.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test, and its helpers")]

use std::cell::Cell;
use std::fmt::Write as _;
use std::sync::Arc;

use fuse_bpf_vm::asm::assemble;
use fuse_bpf_vm::contract::{ArgKind, ArgType, Callable, DynptrKind, Effects, RetKind};
use fuse_bpf_vm::helpers;
use fuse_bpf_vm::host::{Buffer, Caller, Host};
use fuse_bpf_vm::insn::{Insn, op, pseudo};
use fuse_bpf_vm::interp::{Arg, Call, Dynptr, FaultKind, Worker};
use fuse_bpf_vm::maps::{Map, MapKind, MapSpec, UpdateMode};
use fuse_bpf_vm::mem::{Access, Window};
use fuse_bpf_vm::program::{Function, JumpTable, Missing, Poison, Program};
use fuse_bpf_vm::validate::{check_insns, target};
use fuse_bpf_vm::verify::trace::{Follower, verify_traced};
use fuse_bpf_vm::verify::{Entry, Limits, LogLevel, Verified, verify, verify_logged};

/// The arguments of programs with a context.
pub(crate) const ARGS: &[ArgType] = &[
    ArgType::Struct { name: "in", size: 16, access: Access::Read },
    ArgType::Struct { name: "out", size: 16, access: Access::ReadWrite },
    ArgType::Buffer { name: "buffer", access: Access::ReadWrite },
    ArgType::Buffer { name: "const_buffer", access: Access::Read },
];

/// Where the programs are; a benchmark of another crate uses them too.
const TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../vm/tests");

/// Slots maps are made for.
const SLOTS: usize = 2;

/// An embedder's kfuncs.
static KFUNCS: [Callable; 3] = [
    Callable {
        name: "buffer_read",
        id: 0,
        proto: "void %s(const struct buffer *b, struct bpf_dynptr *d)",
        args: &[ArgKind::Buffer { access: Access::Read }, ArgKind::DynptrUninit(DynptrKind::Buffer)],
        ret: RetKind::Void,
        effects: Effects::BUFFER_READ,
        run: buffer_read,
    },
    Callable {
        name: "buffer_write",
        id: 0,
        proto: "void %s(struct buffer *b, struct bpf_dynptr *d)",
        args: &[ArgKind::Buffer { access: Access::ReadWrite }, ArgKind::DynptrUninit(DynptrKind::Buffer)],
        ret: RetKind::Void,
        effects: Effects::BUFFER_WRITE,
        run: buffer_write,
    },
    Callable {
        name: "nap",
        id: 0,
        proto: "void %s(void)",
        args: &[],
        ret: RetKind::Void,
        effects: Effects::SLEEPS,
        run: nap,
    },
];

fn buffer_read(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let window = call.buffer(0)?.read();
    call.set_dynptr(1, Dynptr::new(window))?;
    Ok(0)
}

fn buffer_write(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let buffer = call.buffer(0)?;
    let size = buffer.len();
    let window = buffer.write(size, true);
    call.set_dynptr(1, window.and_then(Dynptr::new))?;
    Ok(0)
}

#[allow(clippy::unnecessary_wraps, reason = "the type of an implementation")]
fn nap(_: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    Ok(0)
}

#[derive(Debug)]
struct TestBuffer<'r> {
    window: Window<'r>,
    writable: bool,
}

impl<'s, 'r: 's> Buffer<'s> for TestBuffer<'r> {
    fn len(&self) -> usize {
        self.window.len()
    }

    fn read(&self) -> Window<'s> {
        self.window.read_only()
    }

    fn write(&mut self, size: usize, _copy: bool) -> Option<Window<'s>> {
        self.window.sub(0, size).filter(|_| self.writable)
    }
}

#[derive(Debug)]
struct TestHost<'r> {
    buffers: Vec<TestBuffer<'r>>,
}

impl<'s, 'r: 's> Host<'s> for TestHost<'r> {
    fn buffer(&mut self, index: u32) -> Option<&mut dyn Buffer<'s>> {
        self.buffers.get_mut(index as usize).map(|buffer| buffer as _)
    }

    fn caller(&self) -> Caller {
        Caller { uid: 1000, gid: 100, tid: 43 }
    }

    fn process(&self) -> u32 {
        42
    }

    fn comm(&self) -> [u8; 16] {
        *b"corpus\0\0\0\0\0\0\0\0\0\0"
    }

    fn node(&self) -> Option<u64> {
        Some(7)
    }

    fn print(&mut self, _line: &str) {}
}

/// The maps of every program. Values are 16 bytes where nothing else is said.
fn maps(jumps: &[usize]) -> Vec<Arc<Map>> {
    let map = |spec: MapSpec| Map::new(spec, SLOTS).unwrap();
    let spec = |name: &str, kind, key, value, entries| MapSpec::new(name, kind, key, value, entries);
    let locked = MapSpec { lock: Some(0), ..spec("locked", MapKind::Array, 4, 16, 1) };
    let inner = MapSpec { flags: 1 << 12, ..spec("inner", MapKind::Array, 4, 16, 4) };
    let outer =
        MapSpec { inner: Some(Box::new(inner.clone())), ..spec("outer", MapKind::ArrayOfMaps, 4, 4, 2) };
    let all = vec![
        map(spec("array", MapKind::Array, 4, 16, 4)),
        map(spec("hash", MapKind::Hash, 8, 16, 4)),
        map(MapSpec { read_only: true, ..spec("rodata", MapKind::Array, 4, 16, 1) }),
        map(spec("ring", MapKind::RingBuf, 0, 0, 4096)),
        map(locked),
        map(spec("percpu", MapKind::PerCpuArray, 4, 16, 4)),
        map(spec("data", MapKind::Array, 4, 32, 1)),
        map(spec("progs", MapKind::ProgArray, 4, 4, 2)),
        map(outer),
        map(spec("queue", MapKind::Queue, 0, 16, 4)),
        map(spec("bloom", MapKind::Bloom, 0, 16, 4)),
        map(spec("storage", MapKind::InodeStorage, 4, 16, 4)),
        map(MapSpec { read_only: true, ..spec("table", MapKind::Array, 4, 64, 1) }),
        map(spec("lpm", MapKind::LpmTrie, 8, 16, 4)),
        map(MapSpec { read_only: true, ..spec("text", MapKind::Array, 4, 8, 1) }),
    ];
    let fill = |map: &Map, value: &[u8]| map.update(&[0; 4], value, UpdateMode::Any).unwrap();
    for map in &all {
        let name = map.spec().name.as_str();
        match name {
            // "%d" and its end, then 0x01 to the end, which no string ends in.
            "rodata" => fill(map, b"%d\0\0\x05\0\0\0\x01\x01\x01\x01\x01\x01\x01\x01"),
            "text" => fill(map, b"%s\0%x\0\0\0"),
            "table" => {
                let mut words: Vec<u8> = jumps.iter().flat_map(|slot| (*slot as u64).to_le_bytes()).collect();
                words.resize(64, 0);
                fill(map, &words);
            }
            "hash" => map.update(&[0; 8], &[3; 16], UpdateMode::Any).unwrap(),
            // Shorter than what it is declared with, which its flag allows.
            "outer" => {
                let short = Map::new(MapSpec { max_entries: 1, ..inner.clone() }, SLOTS).unwrap();
                map.set_inner(&[0; 4], short, UpdateMode::Any).unwrap();
            }
            _ => {}
        }
    }
    all
}

/// Kfuncs by index in every program.
fn kfuncs() -> Vec<&'static Callable> {
    KFUNCS.iter().chain(helpers::KFUNCS).collect()
}

/// One program of the corpus.
#[derive(Debug, Default)]
struct Case {
    name: String,
    memory: Option<u32>,
    limit: Option<u64>,
    program: Arc<Program>,
    /// The slot that must be refused, and with what.
    error: Option<(usize, String)>,
}

fn cases(file: &str, text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for part in format!("\n{text}").split("\n== ").skip(1) {
        let (header, body) = part.split_once('\n').unwrap_or((part, ""));
        let mut words = header.split_whitespace();
        let name = format!("{file}: {}", words.next().unwrap());
        let mut case = Case { name, ..Case::default() };
        let mut sleepable = false;
        while let Some(word) = words.next() {
            let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap();
            match word {
                "memory" => case.memory = Some(u32::try_from(number()).unwrap()),
                "limit" => case.limit = Some(number()),
                "sleepable" => sleepable = true,
                other => panic!("{}: unknown `{other}`", case.name),
            }
        }
        fill(&mut case, body, sleepable);
        cases.push(case);
    }
    cases
}

/// The text with names of maps, helpers and kfuncs replaced by numbers.
fn resolved(body: &str, maps: &[Arc<Map>], kfuncs: &[&'static Callable]) -> String {
    let mut text = String::new();
    for line in body.lines() {
        let mut line = line.split(';').next().unwrap_or_default().to_owned();
        for (index, map) in maps.iter().enumerate() {
            line = line.replace(&format!("map[{}]", map.spec().name), &format!("map[{index}]"));
        }
        if let Some((before, callee)) = line.split_once("call ") {
            let callee = callee.trim();
            if let Some(index) = kfuncs.iter().position(|kfunc| kfunc.name == callee) {
                line = format!("{before}call kfunc#{index}");
            } else if let Some(helper) = helpers::HELPERS.iter().find(|helper| helper.name == callee) {
                line = format!("{before}call {}", helper.id);
            }
        }
        writeln!(text, "{line}").unwrap();
    }
    text
}

fn fill(case: &mut Case, body: &str, sleepable: bool) {
    let kfuncs = kfuncs();
    let text = resolved(body, &maps(&[]), &kfuncs);
    let insns = assemble(&text).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    // Which slot a line is at: by what the lines before it assemble to.
    let mut slot = 0;
    let (mut poisons, mut targets) = (Vec::new(), Vec::new());
    for (line, source) in body.lines().zip(text.lines()) {
        let mut code = source.split("//").next().unwrap_or_default().trim();
        while let Some((label, rest)) = code.split_once(':') {
            if label.contains(' ') {
                break;
            }
            code = rest.trim();
        }
        for note in line.split(';').skip(1).map(str::trim) {
            if let Some(error) = note.strip_prefix("error:") {
                assert!(
                    case.error.is_none() && !code.is_empty(),
                    "{}: two errors or an empty line",
                    case.name
                );
                case.error = Some((slot, error.trim().to_owned()));
                continue;
            }
            match note {
                "poison" => poisons.push(Poison { slot, missing: Missing::Kfunc("absent".into()) }),
                "target" => targets.push(slot),
                other => panic!("{}: unknown note `{other}`", case.name),
            }
        }
        if !code.is_empty() {
            slot += if code.ends_with(" ll") { 2 } else { 1 };
        }
    }
    assert_eq!(slot, insns.len(), "{}: lines and slots", case.name);
    let tables = maps(&targets);
    let table = tables.iter().position(|map| map.spec().name == "table").unwrap();
    let jump_tables =
        if targets.is_empty() { vec![] } else { vec![JumpTable { map: table, function: 0, targets }] };
    let functions = functions(&insns);
    check_insns(&insns, &functions).unwrap_or_else(|error| panic!("{}: {error:?}", case.name));
    case.program = Arc::new(Program {
        name: case.name.clone(),
        sleepable,
        insns,
        maps: tables,
        kfuncs,
        functions,
        poisons,
        jump_tables,
        ..Program::default()
    });
}

/// The entry, and what is called.
pub(crate) fn functions(insns: &[Insn]) -> Vec<Function> {
    let calls = |insn: &Insn| match insn.code {
        op::CALL_IMM => insn.src == pseudo::CALL_LOCAL,
        op::LDDW => insn.src == pseudo::FUNC,
        _ => false,
    };
    let called = insns.iter().enumerate().filter(|(_, insn)| calls(insn));
    let mut starts: Vec<usize> =
        called.map(|(slot, insn)| usize::try_from(target(slot, *insn).unwrap()).unwrap()).collect();
    starts.push(0);
    starts.sort_unstable();
    starts.dedup();
    starts
        .into_iter()
        .map(|start| Function { start, name: format!("f{start}"), ..Function::default() })
        .collect()
}

/// All programs, for benchmarks: with the size of the memory they are entered with, if any, and their limit.
#[allow(dead_code, reason = "the benchmark of verification includes this file")]
pub(crate) fn programs() -> Vec<(Arc<Program>, Option<u32>, Option<u64>)> {
    let folder = format!("{TESTS}/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| std::fs::read_to_string(file).unwrap());
    let all = texts.flat_map(|text| cases("corpus", &text));
    all.map(|case| (case.program, case.memory, case.limit)).collect()
}

/// What is wrong with the verdict.
fn check(case: &Case) -> Result<bool, String> {
    let entry = case.memory.map_or(Entry::Context(ARGS), |size| Entry::Memory { size });
    let mut limits = Limits::default();
    if let Some(insns) = case.limit {
        limits.insns = insns;
    }
    match (verify(&case.program, entry, limits), &case.error) {
        (Ok(_), None) => Ok(true),
        (Ok(_), Some((slot, error))) => Err(format!("accepted, but instruction {slot} is wrong: {error}")),
        (Err(rejection), None) => Err(format!("refused: {rejection} [{}]", rejection.insn)),
        (Err(rejection), Some((slot, error))) => {
            let message = rejection.rule.to_string();
            if rejection.slot == *slot && message.contains(error.as_str()) {
                Ok(false)
            } else {
                Err(format!("refused for another reason: {rejection}, not {slot}: {error}"))
            }
        }
    }
}

/// The bytes of one round of inputs.
fn bytes(round: u64, count: usize) -> Vec<Cell<u8>> {
    let mut state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 56) as u8
    };
    let byte = |index: usize| match round {
        0 => 0,
        1 => 0xff,
        2 => index as u8,
        3 => u8::from(index.is_multiple_of(8)),
        4 => 0x80 >> (index % 8),
        // Words of small numbers.
        round if round % 2 == 1 => {
            if index.is_multiple_of(4) {
                next() % 24
            } else {
                0
            }
        }
        _ => next(),
    };
    (0..count).map(byte).map(Cell::new).collect()
}

/// Runs an accepted program: what the checked interpreter finds wrong with it.
fn run(case: &Case) -> Result<(), String> {
    let entry = case.memory.map_or(Entry::Context(ARGS), |size| Entry::Memory { size });
    // Those that are refused without a reason are run as well.
    let trace = verify_traced(&case.program, entry, Limits::default()).ok().and_then(|(_, trace)| trace);
    for round in 0..24 {
        let memory = bytes(round, case.memory.map_or(48, |size| size as usize));
        for map in &case.program.maps {
            let value: Vec<u8> = bytes(round, 32).into_iter().map(Cell::into_inner).collect();
            if map.spec().name == "data" {
                map.update(&[0; 4], &value, UpdateMode::Any).unwrap();
            }
        }
        let mut follower =
            trace.as_ref().filter(|_| round < FOLLOWED).map(|trace| Follower::new(trace, &case.program));
        execute(&case.program, &memory, case.memory.is_some(), follower.as_mut())
            .map_err(|fault| format!("faults at run time (round {round}): {fault}"))?;
        if let Some(wrong) = follower.as_ref().and_then(|follower| follower.wrong()) {
            return Err(format!("not as the verifier knows (round {round}): {wrong}"));
        }
    }
    Ok(())
}

/// Of the runs of a program, those that are compared with what the verifier knew.
const FOLLOWED: u64 = 4;
/// Instructions of a run.
const BUDGET: u64 = 100_000;

fn execute(
    program: &Program,
    memory: &[Cell<u8>],
    raw: bool,
    follower: Option<&mut Follower<'_>>,
) -> Result<(), String> {
    let mut worker = Worker::new(0);
    let window = Window::from_cells(memory);
    let part = |off| window.sub(off, 16).unwrap();
    let outcome = if raw {
        let mut host = TestHost { buffers: vec![] };
        match follower {
            Some(follower) => worker.run_raw_observed(program, window, &mut host, BUDGET, follower),
            None => worker.run_raw(program, window, &mut host, BUDGET),
        }
    } else {
        let buffers = vec![
            TestBuffer { window: part(32), writable: true },
            TestBuffer { window: part(32), writable: false },
        ];
        let mut host = TestHost { buffers };
        let args = [Arg::Mem(part(0).read_only()), Arg::Mem(part(16)), Arg::Buffer(0), Arg::Buffer(1)];
        match follower {
            Some(follower) => worker.run_observed(program, &args, &mut host, BUDGET, follower),
            None => worker.run(program, &args, &mut host, BUDGET),
        }
    };
    match outcome.result {
        Ok(_) => Ok(()),
        Err(fault) if matches!(fault.kind, FaultKind::Budget { .. }) => Ok(()),
        Err(fault) => Err(fault.to_string()),
    }
}

#[test]
fn verdicts_are_those_written_on_the_lines() {
    let folder = format!("{TESTS}/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut names, mut wrong) = (std::collections::BTreeSet::new(), Vec::new());
    let only = std::env::var("CORPUS").unwrap_or_default();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for case in cases(&name, &std::fs::read_to_string(&file).unwrap()) {
            assert!(names.insert(case.name.clone()), "{} is there twice", case.name);
            if !case.name.contains(&only) {
                continue;
            }
            let shortcoming = name == "known.bpf.s";
            let verdict = check(&case);
            let result = match verdict {
                Ok(true) if !shortcoming => run(&case),
                Ok(false) if shortcoming => run(&case),
                verdict => verdict.map(drop),
            };
            if let Err(error) = result {
                wrong.push(format!("{}: {error}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} programs:\n{}", wrong.len(), names.len(), wrong.join("\n"));
}

/// The logs of the programs in `logs/*.bpf.s` are in files beside them; `BLESS=1 cargo test` rewrites these.
#[test]
fn logs_are_those_beside_the_programs() {
    for file in ["values", "paths"] {
        let path = format!("{TESTS}/logs/{file}");
        let programs = std::fs::read_to_string(format!("{path}.bpf.s")).unwrap();
        let mut text = String::new();
        for case in cases(file, &programs) {
            let entry = case.memory.map_or(Entry::Context(ARGS), |size| Entry::Memory { size });
            let mut limits = Limits::default();
            limits.insns = case.limit.unwrap_or(limits.insns);
            writeln!(text, "== {}", case.name).unwrap();
            for level in [LogLevel::Path, LogLevel::Every] {
                let mut log = Vec::new();
                let logged = verify_logged(&case.program, entry, limits, level, &mut log).unwrap();
                let silent = verify(&case.program, entry, limits);
                let work = |verdict: Result<Verified, _>| verdict.map(|verified| verified.stats().clone());
                assert_eq!(work(logged), work(silent), "{}", case.name);
                writeln!(text, "-- {level:?}\n{}", String::from_utf8(log).unwrap()).unwrap();
            }
        }
        let path = format!("{path}.log");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, text).unwrap();
            continue;
        }
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        let differs = text.lines().zip(known.lines()).find(|(now, known)| now != known);
        assert!(text == known, "{path}: {differs:#?}; BLESS=1 cargo test -p fuse-bpf-vm --test corpus");
    }
}

/// Attempts to prove all rounds of a loop at once are told of, those in vain too. How many there are may change.
#[test]
fn logs_tell_of_attempts() {
    let log = |body: &str| {
        let case = cases("attempts", &format!("== one memory 8\n{body}")).remove(0);
        let (entry, mut log) = (Entry::Memory { size: 8 }, Vec::new());
        let level = LogLevel::Every;
        verify_logged(&case.program, entry, Limits::default(), level, &mut log).unwrap().unwrap();
        String::from_utf8(log).unwrap()
    };
    let proved = log("
        r3 = *(u64 *)(r1 +0)
        r2 = 0
        r0 = 0
        more: r2 += 1
        if r2 == 9 goto on
        r0 = 1
        on: if r2 > 50000 goto out
        if r2 < r3 goto more
        out: r0 = 0
        exit
    ");
    assert!(proved.contains("\n3: one state for all rounds: R2=scalar("), "{proved}");
    assert!(proved.contains("\n3: safe, for all rounds\n") && !proved.contains("instead"), "{proved}");
    let in_vain = log("
        r2 = *(u32 *)(r1 +0)
        r6 = 0
        more: w2 >>= 1
        if r2 == 0 goto out
        r6 += 1
        r0 = 1
        goto more
        out: r0 = 0
        r3 = r10
        r3 += -32
        r3 += r6
        *(u8 *)(r3 +0) = 1
        exit
    ");
    assert!(in_vain.contains("\n2: one state for all rounds: R2="), "{in_vain}");
    assert!(in_vain.contains("\n2: rounds are walked instead\n\n2: R2="), "{in_vain}");
}
