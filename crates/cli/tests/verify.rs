//! `verify`, `prog dump xlated`, and that nothing is mounted or run that was refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;
use serde_json::{Value, json};

/// An object of the repository.
fn object(name: &str) -> String {
    checkout().join("bpf").join(name).display().to_string()
}

#[test]
fn every_program_is_judged_and_told_of() {
    let (mistakes, hide) = (object("rejected/mistakes.bpf.o"), object("filters/hide.bpf.o"));
    let output = fuse_bpf(["verify", &mistakes, &hide]);
    let text = stdout(&output);
    assert_eq!((status(&output), stderr(&output).as_str()), (1, ""), "{text}");
    let verdicts = |verdict: &str| text.lines().filter(|line| line.starts_with(verdict)).count();
    assert_eq!((verdicts("rejected  "), verdicts("error: ")), (7, 7), "{text}");
    assert!(text.contains(&format!("accepted  {mistakes}:fine open_prefilter (fine)\n")), "{text}");
    assert!(text.contains(&format!("accepted  {hide}:hide names (hide_name), in 16 places\n")), "{text}");
    assert_eq!(stdout(&fuse_bpf(["verify", &hide])).lines().count(), verdicts("accepted  ") - 1);
}

#[test]
fn a_rejection_is_told_as_compilers_do() {
    let mistakes = object("rejected/mistakes.bpf.o");
    let text = stdout(&fuse_bpf(["verify", &mistakes]));
    let expected = "\
error: invalid access to fp, size=512 off=-16..0 len=1
  --> ./rejected/mistakes.bpf.c:38:9  insn 10: r0 = *(u8 *)(r2 +0)  [bounds of OBJECT:bounds]
   |
38 | \treturn table[at];
   | \t       ^
   = path: the branches on the way there
       insn 6 not taken      36: if (at > 16)
   = help: check the offset on every path, so that offset and length together stay within the size
";
    assert!(text.contains(&expected.replace("OBJECT", &mistakes)), "{text}");
    for (message, help) in [
        ("R0 invalid mem access 'map_value_or_null'", "compare it with NULL first"),
        ("R1 invalid mem access 'scalar'", "a number is no address"),
        ("write into const struct fuse_open_in is not allowed: it is read-only", "it is const here"),
        ("leaks addr into memory others can read", "store a number instead"),
        ("Unreleased reference", "bpf_ringbuf_submit"),
        ("infinite loop detected", "bound the loop"),
    ] {
        let one = text.split("\n\n").find(|one| one.starts_with("error: ") && one.contains(message));
        assert!(
            one.unwrap().contains(&format!(" = help: {help}")) || one.unwrap().contains(help),
            "{message}"
        );
    }
}

#[test]
fn the_log_is_as_the_kernel_writes_it() {
    let (places, mistakes) = (object("rejected/places.bpf.o"), object("rejected/mistakes.bpf.o"));
    let refused = "\
; in->flags = 0; @ ./rejected/places.bpf.c:12
2: (63) *(u32 *)(r1 +0) = r2
write into const struct fuse_open_in is not allowed: it is read-only
processed 3 insns (limit 1000000) max_states_per_insn 1 total_states 1 peak_states 1 mark_read 0
rejected  OBJECT:after open_postfilter (clear)
"
    .replace("OBJECT", &places);
    let text = stdout(&fuse_bpf(["verify", "--log", "1", &places]));
    assert!(text.starts_with(&format!("{places}:")) && text.contains(&refused), "{text}");
    let work = "processed 5 insns (limit 1000000) max_states_per_insn 1 total_states 1 ";
    assert!(text.contains(work) && !text.contains("; R") && !text.contains("error: "), "{text}");
    let text = stdout(&fuse_bpf(["verify", "--log", "1", &mistakes]));
    let way = "; if (at > 16) @ ./rejected/mistakes.bpf.c:36\n6: (25) if r1 > 0x10 goto pc+6          ; not taken\n";
    assert!(text.contains(way) && !text.contains("R1="), "{text}");

    let text = stdout(&fuse_bpf(["verify", "--log", "2", "--stats", &places]));
    let every = format!(
        "\
0: R1=ctx() R10=fp0
; uint32_t BPF_PROG(clear, const struct bpf_fuse_meta_info *meta, struct fuse_open_in *in) @ \
./rejected/places.bpf.c:10
0: (79) r1 = *(u64 *)(r1 +8)            ; R1=rdonly_trusted_ptr_fuse_open_in()
1: (b4) w2 = 0                          ; R2=0
{}: processed 3, ",
        refused.trim_end()
    );
    assert!(text.contains(&every), "{text}");
    fails(2, ["verify", "--log", "3", &places]);
}

/// What is not a file is no reason to hold back what is.
#[test]
fn a_log_is_written_while_programs_are_judged() {
    let hide = object("filters/hide.bpf.o");
    let output = fuse_bpf(["verify", "--log", "2", &hide, "no-such.bpf.o"]);
    let text = stdout(&output);
    assert_eq!(status(&output), 2);
    for part in [
        "\nfrom 67 to 75: ",
        "\nfunc#1 @87 matches\n",
        "callee:\n frame1: R1=fp[0]-256 ",
        "; frame1: R0=map_value_or_null(id=",
        ",map=pattern_names,ks=256,vs=4)",
        " fp-272=dynptr_buffer(id=",
        ": safe\n",
        "returning from callee:\n frame1: R0=",
        "\nto caller at 72:\n R0=",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Nobody reads on, which is no error.
    let mut child = std::process::Command::new(program())
        .args(["verify", "--log", "2", &hide])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn stats_tell_how_much_work_it_was() {
    let text =
        succeeds(["verify", "--stats", &object("filters/readonly.bpf.o"), &object("filters/hide.bpf.o")]);
    let line = text.lines().find(|line| line.contains(":readonly renames/rename_prefilter")).unwrap();
    assert!(
        line.contains(": processed 2, states 1, longest path 2, frames 1, ") && line.ends_with(" µs"),
        "{line}"
    );
    // Its loop is bpf_loop.
    let line = text.lines().find(|line| line.contains(":hide names/lookup_prefilter")).unwrap();
    assert!(line.contains(", bounded by fuel, frames 2, "), "{line}");
}

/// The row of a program in a document.
fn row<'d>(document: &'d Value, set: &str, program: &str) -> &'d Value {
    let rows = document["programs"].as_array().unwrap();
    rows.iter().find(|row| row["set"] == set && row["program"] == program).unwrap()
}

#[test]
fn the_document_has_what_programs_touch() {
    let (mistakes, places) = (object("rejected/mistakes.bpf.o"), object("rejected/places.bpf.o"));
    let output = fuse_bpf(["verify", "--json", &mistakes, &places]);
    assert_eq!(status(&output), 1);
    let document: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(document["version"], 1);
    assert_eq!(document["programs"].as_array().unwrap().len(), 12);

    let fine = row(&document, "fine", "fine");
    assert_eq!((&fine["verdict"], &fine["reason"]), (&json!("accepted"), &Value::Null));
    assert_eq!((&fine["object"], &fine["member"]), (&json!(mistakes), &json!("open_prefilter")));
    assert_eq!((&fine["maps_read"], &fine["maps_written"]), (&json!(["counts"]), &json!(["counts"])));
    assert_eq!(fine["effects"], json!(["map_read", "map_write"]));
    assert_eq!(
        fine["arguments"],
        json!([
            { "name": "meta", "type": "bpf_fuse_meta_info", "read": [[8, 12]], "written": [] },
            { "name": "in", "type": "fuse_open_in", "read": [[0, 4]], "written": [[0, 4]] },
        ])
    );
    assert!(fine["stats"]["processed"].as_u64().unwrap() > 5 && fine["stats"]["longest"].is_u64());

    let number = row(&document, "number", "number");
    assert_eq!(
        (&number["verdict"], &number["reason"], &number["insn"], &number["line"]),
        (&json!("rejected"), &json!("R1 invalid mem access 'scalar'"), &json!(1), &json!(56))
    );
    assert_eq!(number["file"], "./rejected/mistakes.bpf.c");
    assert_eq!(number["stats"]["processed"], 2);

    // What one goes on to is judged with it.
    assert_eq!(row(&document, "onward", "onward")["verdict"], "accepted");
    let target = row(&document, "onward", "target");
    assert_eq!((&target["verdict"], &target["tail_call"]), (&json!("rejected"), &json!(true)));
}

#[test]
fn a_comparison_shows_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (old, mistakes) = (dir.path().join("old.json"), object("rejected/mistakes.bpf.o"));
    let mut document: Value =
        serde_json::from_str(&stdout(&fuse_bpf(["verify", "--json", &mistakes]))).unwrap();
    let compare = |document: &Value| {
        std::fs::write(&old, document.to_string()).unwrap();
        let output = fuse_bpf(["verify", "--compare", old.to_str().unwrap(), &mistakes]);
        assert_eq!(status(&output), 1, "{}", stderr(&output));
        stdout(&output)
    };
    assert_eq!(compare(&document), "0 changed, 8 programs\n");
    let rows = document["programs"].as_array_mut().unwrap();
    for row in rows.iter_mut() {
        match row["set"].as_str().unwrap() {
            "fine" => row["stats"]["processed"] = json!(7),
            "number" => row["verdict"] = json!("accepted"),
            "leak" => row["program"] = json!("lost"),
            _ => {}
        }
    }
    let text = compare(&document);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(lines[0].contains(":fine open_prefilter (fine): accepted, processed 7 -> "), "{text}");
    assert!(lines[1].ends_with(" (number): accepted -> rejected: R1 invalid mem access 'scalar'"), "{text}");
    assert!(lines[2].contains(":leak open_prefilter (leak): new, rejected: "), "{text}");
    assert!(lines[3].ends_with(":leak open_prefilter (lost): gone"), "{text}");
    assert_eq!(lines[4], "4 changed, 8 programs");

    std::fs::write(&old, "{}").unwrap();
    let error = fails(2, ["verify", "--compare", old.to_str().unwrap(), &mistakes]);
    assert!(error.contains("old.json: not what `fuse-bpf verify --json` prints"), "{error}");
}

#[test]
fn an_object_that_cannot_be_read_is_status_2_and_the_others_are_judged() {
    let (mistakes, hide) = (object("rejected/mistakes.bpf.o"), object("filters/hide.bpf.o"));
    assert!(fails(2, ["verify", "no-such.bpf.o"]).contains("no-such.bpf.o"));
    fails(2, ["verify"]);
    let source = mistakes.replace(".bpf.o", ".bpf.c");
    let output = fuse_bpf(["verify", "no-such.bpf.o", &mistakes, &source, &hide]);
    assert_eq!(status(&output), 2);
    assert!(stdout(&output).contains(":number ") && stdout(&output).contains(":hide "));
    let error = stderr(&output);
    assert!(error.contains("no-such.bpf.o: ") && error.contains(&source), "{error}");
    assert!(error.ends_with("2 of 4 objects cannot be judged\n"), "{error}");
}

#[test]
fn what_is_refused_is_neither_run_nor_mounted() {
    // `before` itself is right, but its programs could attach the others to an entry.
    let places = object("rejected/places.bpf.o");
    let before = format!("{places}:before");
    let refused =
        format!("fuse-bpf: {places}:after: open_postfilter is refused: clear: insn 2: write into const");
    let check = |error: String| {
        assert!(error.starts_with(&refused) && error.contains("places.bpf.c:12:"), "{error}");
        assert!(error.contains(&format!("`fuse-bpf verify {places}`")), "{error}");
    };
    check(fails(2, ["prog", "run", &before, "--op", "open"]));
    if fuse() {
        let scratch = Scratch::new();
        check(fails(2, scratch.mount_args(&["--filter", &before])));
        assert!(!scratch.is_mounted());
    }
}

#[test]
fn dump_shows_instructions_with_their_lines() {
    let places = object("rejected/places.bpf.o");
    let text = succeeds(["prog", "dump", "xlated", &format!("{places}:after"), "open_postfilter"]);
    assert!(text.starts_with("clear:\n; "), "{text}");
    assert!(
        text.contains("; in->flags = 0; @ ./rejected/places.bpf.c:12\n   2: *(u32 *)(r1 +0) = r2\n"),
        "{text}"
    );
    let text = succeeds(["prog", "dump", "jited", &format!("{places}:before"), "open_prefilter"]);
    let above = "; in->flags = 0; @ ./rejected/places.bpf.c:12\n   2: *(u32 *)(r1 +0) = r2\n";
    let (_, below) = text.split_once(above).unwrap_or_else(|| panic!("{text}"));
    assert!(below.lines().next().unwrap_or_default().contains(": mov "), "{text}");
    let error = fails(2, ["prog", "dump", "jited", &format!("{places}:after"), "open_postfilter"]);
    assert!(error.contains("only what is proved is compiled"), "{error}");
    let error = fails(2, ["prog", "dump", "xlated", &format!("{places}:after"), "open_prefilter"]);
    assert!(error.contains("after has no open_prefilter; it has: open_postfilter"), "{error}");
    let error = fails(2, ["prog", "dump", "xlated", &places, "open_prefilter"]);
    assert!(error.contains("name one: "), "{error}");
}

/// A proof says that a loop ends, not that it does so soon.
#[test]
fn a_proved_program_that_takes_too_long_fails_its_operation_only() {
    let budget = object("tests/budget.bpf.o");
    succeeds(["verify", &budget]);
    let output = fuse_bpf(["prog", "run", &budget, "--op", "open", "--set", "in.flags=1"]);
    assert_eq!(status(&output), 2);
    assert!(stdout(&output).contains("open_prefilter: fault: "), "{}", stdout(&output));
    assert!(stderr(&output).contains("a program was stopped for a fault"), "{}", stderr(&output));
    if !fuse() {
        return;
    }
    let scratch = Scratch::new();
    scratch.mount(&["--filter", &budget]);
    let file = scratch.mnt().join("public");
    let error = std::fs::File::options().write(true).open(&file).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    std::fs::read(&file).unwrap();
    assert_eq!(status(&scratch.umount()), 0);
}
