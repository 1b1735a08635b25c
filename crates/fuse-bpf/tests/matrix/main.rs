//! The matrix: every operation that filters have members for, with every verdict before and after it, arguments and results
//! edited or not, done below or failed, on real mounts; against a model written from the specification ([`model`]).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::print_stdout,
    reason = "skipped tests say why, and how many cases there were is worth knowing"
)]

#[path = "../common/mod.rs"]
mod common;
mod drivers;
mod facts;
mod model;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use common::can_mount;
use drivers::*;
use fuse_bpf::Errno;
use fuse_bpf::daemon::Answer;
use fuse_bpf::ops::{FILTERS, OutArg};
use model::*;
use world::*;

#[test]
fn every_row_has_a_driver_and_every_driver_a_row() {
    for row in FILTERS {
        assert!(DRIVERS.iter().any(|driver| driver.member == row.member), "{} has no driver", row.member);
    }
    for driver in DRIVERS {
        let row = driver.row();
        assert!(row.is_some(), "{} is no member", driver.member);
        let row = row.unwrap();
        // Results that can be edited are.
        let edited = DRIVERS.iter().any(|other| other.member == row.member && other.edit_out.is_some());
        assert!(row.outs.is_empty() || edited, "no result of {} is edited", row.member);
        let arguments = usize::from(row.input.is_some()) + row.buffers.len();
        let edited = DRIVERS.iter().any(|other| other.member == row.member && other.edit_in.is_some());
        // Sizes of what is read are the kernel's, and a directory is opened in one way.
        let nothing = ["opendir", "listxattr"].contains(&row.member);
        assert!(arguments == 0 || edited || nothing, "no argument of {} is edited", row.member);
    }
    for (member, _) in IMPOSSIBLE {
        assert!(FILTERS.iter().any(|row| row.member == *member), "{member}");
    }
}

#[test]
fn every_operation() {
    if !can_mount() {
        return;
    }
    let start = Instant::now();
    let only = std::env::var("MATRIX_ONLY").ok();
    let world = World::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for row in FILTERS {
        let drivers: Vec<_> = DRIVERS.iter().filter(|driver| driver.member == row.member).collect();
        assert!(!drivers.is_empty(), "{} has no driver", row.member);
        for driver in drivers {
            if only.as_ref().is_some_and(|only| only != driver.member) {
                continue;
            }
            let edits = [driver.edit_in.is_some(), driver.edit_out.is_some()];
            let cases = cases(edits, driver.by_daemon(), driver.cannot_fail.is_none());
            for case in cases.into_iter().filter_map(|case| driver.takes(case)) {
                *counts.entry(row.member).or_default() += 1;
                if let Err(why) = attempt(&world, driver, &case) {
                    wrong.push(format!("{}: {case:?}:{why}", driver.name()));
                }
            }
        }
    }
    for (member, count) in &counts {
        println!("{member:<16} {count:>5} cases");
    }
    println!("{:<16} {:>5} cases in {:?}", "all", counts.values().sum::<usize>(), start.elapsed());
    for driver in DRIVERS {
        if let Some(why) = driver.cannot_fail {
            println!("{}: never fails below: {why}", driver.name());
        }
    }
    for (member, why) in IMPOSSIBLE {
        println!("{member}: {why}");
    }
    let shown: Vec<_> = wrong.iter().take(20).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} cases are not as the model says:\n{}", wrong.len(), shown.join("\n"));
}

/// Prepares what is open.
fn scene(world: &World, driver: &Driver, set: usize) -> Scene {
    use rustix::fs::{Mode, OFlags, openat};
    let mut scene = world.scene(set, driver.on != On::Directory);
    let open =
        |name: &str, flags| Some(openat(&scene.dir, name, flags | OFlags::CLOEXEC, Mode::empty()).unwrap());
    match driver.open {
        Open::Nothing => {}
        Open::File => {
            scene.file = open("f", OFlags::RDWR);
            if driver.member == "copy_file_range" {
                scene.other = open("g", OFlags::RDWR);
            }
        }
        Open::Directory => scene.file = open(".", OFlags::RDONLY | OFlags::DIRECTORY),
    }
    scene
}

/// Tells everybody what to do.
fn instruct(world: &World, driver: &Driver, case: &Case) {
    let opcode = driver.opcode();
    let rule = |editor, edit: Option<Edit>, verdict: Verdict| match edit {
        Some(edit) if editor == Editor::Filter => edit.rule(verdict.value()),
        _ => Rule { value: verdict.value(), ..NO_RULE },
    };
    let just = |verdict: Verdict| Rule { value: verdict.value(), ..NO_RULE };
    world.upper.rule(opcode, 0, rule(case.edit_in, driver.edit_in, case.pre));
    let after = rule(case.edit_out, driver.edit_out, case.post);
    world.upper.rule(opcode, AFTER, Rule { result: case.error_out as u32, ..after });
    world.upper.rule(opcode, DEFAULT, just(case.pre_default));
    world.upper.rule(opcode, DEFAULT | AFTER, just(case.post_default));
    if case.fails {
        for below in driver.below {
            world.lower.rule(*below, 0, just(Verdict::Fails(errors::BACKING)));
        }
    }
    let answer = driver.answer;
    // READDIRPLUS is the daemon's where the kernel asks for it.
    let plus = (driver.member == "readdir").then_some(44);
    for opcode in [Some(opcode), plus].into_iter().flatten() {
        world.oracle.answer(opcode, move |heard| Ok(Answer { body: answer(heard), ..Answer::default() }));
    }
    let (copy, driver) = (*case, *driver);
    // Filters and the daemon see the opcode of the member pair.
    let row = driver.row().unwrap();
    world.oracle.answer(row.opcode | PREFILTER, move |heard| {
        if let Verdict::Fails(errno) = copy.daemon_pre {
            return Err(Errno::new(errno));
        }
        let edit = driver.edit_in.filter(|_| copy.edit_in == Editor::Daemon);
        let body = edit.map_or_else(Vec::new, |edit| edited_arguments(&driver, &edit, &heard.body));
        Ok(Answer { verdict: copy.daemon_pre.value(), body, ..Answer::default() })
    });
    world.oracle.answer(row.opcode | POSTFILTER, move |heard| {
        if let Verdict::Fails(errno) = copy.daemon_post {
            return Err(Errno::new(errno));
        }
        let edit = driver.edit_out.filter(|_| copy.edit_out == Editor::Daemon);
        let body = edit.map_or_else(Vec::new, |edit| edited_results(&driver, &edit, &heard.body));
        Ok(Answer { body, ..Answer::default() })
    });
}

/// The struct and the buffers of a daemon's request: where each ends. Buffers are strings, save for the last of setxattr.
fn split<'b>(driver: &Driver, body: &'b [u8]) -> (&'b [u8], Vec<&'b [u8]>, &'b [u8]) {
    let row = driver.row().unwrap();
    let (input, mut rest) = body.split_at(row.input.map_or(0, |desc| desc.size));
    let mut buffers = Vec::new();
    for buffer in row.buffers.iter().filter(|buffer| !buffer.extension) {
        let end = match buffer.name {
            "value" => rest.len(),
            _ => rest.iter().position(|byte| *byte == 0).unwrap() + 1,
        };
        buffers.push(&rest[..end]);
        rest = &rest[end..];
    }
    (input, buffers, rest)
}

/// What a daemon that filters answers to change an argument: all of them, without those that cannot change.
fn edited_arguments(driver: &Driver, edit: &Edit, body: &[u8]) -> Vec<u8> {
    let row = driver.row().unwrap();
    let (input, buffers, _) = split(driver, body);
    let mut answer = input.to_vec();
    let first = usize::from(row.input.is_some());
    if edit.place == 1 && first == 1 {
        edit.apply(&mut answer);
    }
    let sent = row.buffers.iter().filter(|buffer| !buffer.extension);
    for (index, (buffer, bytes)) in sent.zip(buffers).enumerate() {
        if buffer.flags.immutable {
            continue;
        }
        let here = edit.place as usize == first + index + 1;
        answer.extend(if here { (edit.text)() } else { bytes.to_vec() });
    }
    answer
}

/// What a daemon that filters answers to change a result: all that mean something.
fn edited_results(driver: &Driver, edit: &Edit, body: &[u8]) -> Vec<u8> {
    let row = driver.row().unwrap();
    let (_, _, mut rest) = split(driver, &body[..body.len() - 16]);
    let first =
        usize::from(row.input.is_some()) + row.buffers.iter().filter(|buffer| !buffer.extension).count();
    let length_only = driver.variant == "the length";
    let value = matches!(driver.member, "getxattr" | "listxattr");
    let mut answer = Vec::new();
    for (index, out) in row.outs.iter().enumerate() {
        let here = edit.place as usize == first + index + 1;
        match out {
            OutArg::Struct { .. } if value && !length_only => {}
            OutArg::Buffer { .. } if value && length_only => {}
            OutArg::Buffer { extension: true, .. } => {}
            OutArg::Struct { desc, .. } => {
                let (bytes, after) = rest.split_at(desc.size);
                let mut bytes = bytes.to_vec();
                if here {
                    edit.apply(&mut bytes);
                }
                answer.extend(bytes);
                rest = after;
            }
            OutArg::Buffer { .. } => {
                answer.extend(if here { (edit.text)() } else { rest.to_vec() });
                rest = &[];
            }
        }
    }
    answer
}

/// Tries one case.
fn attempt(world: &World, driver: &Driver, case: &Case) -> Result<(), String> {
    let mut scene = scene(world, driver, driver.set.unwrap_or(usize::from(!case.with_default)));
    let before = world.state(&scene);
    instruct(world, driver, case);
    world.upper.forget();
    world.lower.forget();
    let outcome = (driver.act)(world, &mut scene);
    let mut result = compare(world, driver, case, &scene, &before, &outcome);
    let end = Instant::now() + Duration::from_secs(2);
    while result.is_err() && Instant::now() < end {
        // Nobody waits for the answer to a release, and records end where a program that is still at work has reserved the next:
        // what there is to be seen may be under way.
        std::thread::sleep(Duration::from_millis(1));
        result = compare(world, driver, case, &scene, &before, &outcome);
    }
    world.strike(scene);
    result
}

/// Compares what happened with what the model says.
fn compare(
    world: &World,
    driver: &Driver,
    case: &Case,
    scene: &Scene,
    before: &BTreeMap<String, String>,
    outcome: &Outcome,
) -> Result<(), String> {
    let id = match driver.on {
        On::Directory => scene.ids[0],
        On::File => scene.ids[1],
        On::Nobody => 0,
    };
    // What was closed earlier may be heard of now.
    let ours = |record: &Record| record.is(driver.opcode()) && (!driver.ignored || record.nodeid == id);
    let log: Vec<Record> = world.upper.log().into_iter().filter(ours).collect();
    let heard: Vec<Heard> =
        world.oracle.heard().into_iter().filter(|h| !driver.ignored || h.nodeid == id).collect();
    let below = world.lower.log();

    let backing = |edited| match (case.fails, driver.replaced, (driver.outcome)(edited, false)) {
        (true, ..) => Err(errors::BACKING),
        (_, Some(errno), _) => Err(errno),
        (false, _, outcome) => outcome.map(drop),
    };
    let expected = expect(case, backing);
    // The kernel does it itself.
    let replaced = driver.replaced.is_some_and(|errno| expected.result == Err(errno));
    let mut why = String::new();
    let mut same = |what: &str, got: &dyn std::fmt::Debug, wanted: &dyn std::fmt::Debug| {
        let (got, wanted) = (format!("{got:?}"), format!("{wanted:?}"));
        if got != wanted {
            write!(why, "\n    {what}: {got}, not {wanted}").unwrap();
        }
    };

    // What the caller sees.
    let wanted: Outcome = match expected.result {
        _ if driver.ignored => Ok(String::new()),
        _ if replaced => (driver.outcome)(false, false).map(ToOwned::to_owned),
        Err(errno) => Err(errno),
        Ok(By::Daemon) => Ok(driver.by_daemon.into()),
        Ok(By::Backing) => (driver.outcome)(expected.edited_in, expected.edited_out).map(ToOwned::to_owned),
    };
    same("the caller sees", outcome, &wanted);

    // What is below.
    let mut wanted = before.clone();
    let succeeded = replaced || expected.below && backing(expected.edited_in).is_ok();
    for (name, text) in if succeeded { (driver.changes)(expected.edited_in) } else { &[] } {
        match text {
            Some(text) => drop(wanted.insert((*name).to_owned(), (*text).to_owned())),
            None => drop(wanted.remove(*name)),
        }
    }
    same("below is", &world.state(scene), &wanted);
    let reached: Vec<_> = below
        .iter()
        .filter(|record| record.program == 0 && driver.below.iter().any(|op| record.is(*op)))
        .filter(|record| driver.open != Open::File || record.nodeid == id)
        .collect();
    // Files are closed below whatever is said.
    if driver.cannot_fail.is_none() {
        same("done below", &!reached.is_empty(), &expected.below);
    }
    if let (Some((word, wanted)), true, Some(record)) = (driver.word, expected.below, reached.first()) {
        same("below sees", &record.input[word], &wanted[usize::from(expected.edited_in)]);
    }

    // The programs that ran.
    let wanted: Vec<_> = expected.ran.iter().map(|(program, error)| (*program, -error)).collect();
    let ran: Vec<_> = log
        .iter()
        .map(|record| {
            let program = match (record.opcode & !OPCODE, record.program) {
                (PREFILTER, 0) => Program::Pre,
                (POSTFILTER, AFTER) => Program::Post,
                (PREFILTER, DEFAULT) => Program::PreDefault,
                (POSTFILTER, 3) => Program::PostDefault,
                other => panic!("{}: {other:?}", driver.name()),
            };
            (program, record.error_in.cast_signed())
        })
        .collect();
    same("programs that ran", &ran, &wanted);
    same("nodeid", &log.iter().map(|record| record.nodeid).collect::<Vec<_>>(), &vec![id; log.len()]);

    // What the daemon was asked.
    let row = driver.row().unwrap();
    let asked: Vec<_> = heard
        .iter()
        .filter_map(|heard| match heard.opcode {
            op if op == row.opcode | PREFILTER => Some((Asked::Prefilter, 0)),
            op if op == row.opcode | POSTFILTER => {
                let at = heard.body.len() - 8;
                let error = i32::from_ne_bytes(heard.body[at..at + 4].try_into().unwrap());
                Some((Asked::Postfilter, -error))
            }
            44 if driver.member == "readdir" => Some((Asked::Operation, 0)),
            op if op == driver.opcode() => Some((Asked::Operation, 0)),
            _ => None,
        })
        .collect();
    same("the daemon is asked", &asked, &expected.asked);
    if let Some(first) = log.first() {
        bodies(driver, case, first, &log, &heard, &mut same);
        same("numbers the daemon is told", &heard_ids(driver, &heard), &vec![id; asked.len()]);
    }
    if why.is_empty() { Ok(()) } else { Err(why) }
}

fn heard_ids(driver: &Driver, heard: &[Heard]) -> Vec<u64> {
    let row = driver.row().unwrap();
    let of = |heard: &&Heard| {
        let opcode = heard.opcode & OPCODE;
        let filter = heard.opcode != opcode && opcode == row.opcode;
        let own = heard.opcode == driver.opcode() || driver.member == "readdir" && opcode == 44;
        filter || own
    };
    heard
        .iter()
        .filter(of)
        .map(|heard| if driver.member == "link" && heard.opcode == 13 { 0 } else { heard.nodeid })
        .collect()
}

/// Compares what the daemon was sent with what programs saw.
fn bodies(
    driver: &Driver,
    case: &Case,
    first: &Record,
    log: &[Record],
    heard: &[Heard],
    same: &mut dyn FnMut(&str, &dyn std::fmt::Debug, &dyn std::fmt::Debug),
) {
    let row = driver.row().unwrap();
    let size = row.input.map_or(0, |desc| desc.size);
    let sent = zerocopy::IntoBytes::as_bytes(&first.input)[..size].to_vec();
    let is_struct = |edit: &Edit| edit.place == 1 && size > 0;
    let mut edited = sent.clone();
    if let Some(edit) = driver.edit_in.filter(is_struct) {
        edit.apply(&mut edited);
    }
    let names = |edit: Option<&Edit>| -> Vec<u8> {
        let mut all = Vec::new();
        for (index, buffer) in row.buffers.iter().enumerate().filter(|(_, buffer)| !buffer.extension) {
            let here = edit.filter(|edit| edit.place as usize == usize::from(size > 0) + index + 1);
            match here {
                Some(edit) if !buffer.flags.immutable => all.extend((edit.text)()),
                _ => all.extend(&first.text[index][..first.len[index] as usize]),
            }
        }
        all
    };
    let by_filter = case.edit_in == Editor::Filter;
    let by_anybody = case.edit_in != Editor::Nobody;
    for heard in heard {
        match heard.opcode {
            op if op == row.opcode | PREFILTER => {
                let (input, edit) =
                    if by_filter { (&edited, driver.edit_in.as_ref()) } else { (&sent, None) };
                same("the daemon's prefilter gets", &heard.body, &[&input[..], &names(edit)].concat());
            }
            op if op == row.opcode | POSTFILTER => {
                let (input, edit) =
                    if by_anybody { (&edited, driver.edit_in.as_ref()) } else { (&sent, None) };
                let start = [&input[..], &names(edit)].concat();
                same("the daemon's postfilter gets", &&heard.body[..start.len()], &start);
                let record = &heard.body[heard.body.len() - 16..];
                same("and a record", &&record[..8], &[16, 0, 0, 0, 33, 0, 0, 0]);
            }
            op if op == driver.opcode() && !matches!(driver.member, "get_link" | "readdir") => {
                // As it was sent.
                let mut body = [&sent[..], &names(None)].concat();
                if driver.member == "write_iter" {
                    body.extend(b"abcd");
                }
                same("the daemon gets", &heard.body, &body);
            }
            _ => {}
        }
    }
    // A postfilter sees what the prefilters left of the struct.
    for record in log.iter().filter(|record| record.program == AFTER) {
        let input = &zerocopy::IntoBytes::as_bytes(&record.input)[..size];
        same("the postfilter sees", &input, &&(if by_anybody { &edited } else { &sent })[..]);
    }
}

/// The kernel first asks for COPY_FILE_RANGE_64. When that does not exist and two are under way, it takes it that the older one
/// does not exist either, and copies by reading and writing: nobody would be asked of a copy any more.
#[test]
fn copies_are_filtered_when_the_first_ones_come_together() {
    use rustix::fs::{Mode, OFlags, openat};
    const COPIERS: usize = 8;
    const ROUNDS: usize = 4;
    if !can_mount() {
        return;
    }
    let world = World::new();
    let scene = world.scene(0, false);
    let open = |name: &str| openat(&scene.dir, name, OFlags::RDWR, Mode::empty()).unwrap();
    // Copies to one file wait for each other.
    let to = |number: usize| {
        let name = format!("to{number}");
        std::fs::write(world.below(&scene.name).join(&name), "").unwrap();
        open(&name)
    };
    let start = std::sync::Barrier::new(COPIERS);
    world.upper.forget();
    std::thread::scope(|scope| {
        for number in 0..COPIERS {
            let (from, to, start) = (open("f"), to(number), &start);
            scope.spawn(move || {
                start.wait();
                for _ in 0..ROUNDS {
                    assert_eq!(rustix::fs::copy_file_range(&from, Some(&mut 0), &to, Some(&mut 0), 4), Ok(4));
                }
            });
        }
    });
    let asked = world.upper.log().iter().filter(|record| record.opcode == 47 | PREFILTER).count();
    assert_eq!(asked, COPIERS * ROUNDS);
    world.strike(scene);
}
