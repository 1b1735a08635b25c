//! Why a program is refused, as compilers tell it.

use fuse_bpf::filter::{Rejection, Rule, SourceLine, Verified};

/// Branches that are shown, the last before the rejection.
const BRANCHES: usize = 5;
/// Most columns of C in a line about a branch.
const COLUMNS: usize = 60;

/// As compilers do it: the message, the place, the line with a caret, the way there, a remedy.
pub(crate) fn human(rejection: &Rejection, context: &str) -> String {
    let mut text = format!("error: {}\n", rejection.rule);
    let insn = format!("insn {}: {}", rejection.slot, rejection.insn);
    let number = rejection.line.as_ref().map(|line| line.line.to_string()).unwrap_or_default();
    let margin = " ".repeat(number.len());
    let mut say = |line: String| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    match &rejection.line {
        Some(line) => {
            say(format!("{margin}--> {}:{}:{}  {insn}  [{context}]", line.file, line.line, line.column));
            if !line.text.trim().is_empty() {
                say(format!("{margin} |"));
                say(format!("{number} | {}", line.text));
                say(format!("{margin} | {}^", indent(line)));
            }
        }
        None => say(format!("{margin}--> {insn}  [{context}]")),
    }
    let earlier = rejection.path.len().saturating_sub(BRANCHES);
    if !rejection.path.is_empty() {
        let more = if earlier > 0 {
            format!(", the last {BRANCHES} of {}", rejection.path.len())
        } else {
            String::new()
        };
        say(format!("{margin} = path: the branches on the way there{more}"));
    }
    for branch in rejection.path.iter().skip(earlier) {
        let taken = if branch.taken { "taken" } else { "not taken" };
        let place = branch
            .line
            .as_ref()
            .map_or(String::new(), |line| format!("  {}: {}", line.line, short(line.text.trim())));
        say(format!("{margin}     {:<20}{place}", format!("insn {} {taken}", branch.slot)));
    }
    if let Some(help) = help(&rejection.rule) {
        say(format!("{margin} = help: {help}"));
    }
    text
}

/// A warning of each line that uses memory of a buffer which has been given other memory.
pub(crate) fn warnings(proof: &Verified, context: &str) -> Vec<String> {
    let mut lines: Vec<_> =
        proof.uses().stale.iter().map(|&slot| proof.program().line(slot as usize)).collect();
    lines.dedup();
    let warn = |line: Option<&SourceLine>| {
        let mut text =
            "warning: this uses a slice from before the buffer was resized: what is stored there is lost\n"
                .to_owned();
        match line {
            Some(line) => {
                let (number, margin) = (line.line.to_string(), " ".repeat(line.line.to_string().len()));
                text += &format!("{margin}--> {}:{}:{}  [{context}]\n", line.file, line.line, line.column);
                text += &format!(
                    "{margin} |\n{number} | {}\n{margin} | {}^\n",
                    line.text.trim_end(),
                    indent(line)
                );
            }
            None => text += &format!(" --> [{context}]\n"),
        }
        text + &format!(
            "{} = help: take access again after bpf_fuse_buffer_resize or bpf_fuse_get_rw_dynptr\n",
            line.map_or(String::new(), |line| " ".repeat(line.line.to_string().len()))
        )
    };
    lines.into_iter().map(warn).collect()
}

/// What moves the caret below its column: as many columns, tabs kept.
fn indent(line: &SourceLine) -> String {
    let before = line.text.as_bytes().get(..line.column.saturating_sub(1) as usize).unwrap_or_default();
    String::from_utf8_lossy(before).chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect()
}

fn short(text: &str) -> String {
    match text.char_indices().nth(COLUMNS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The remedy, where there is an obvious one.
fn help(rule: &Rule) -> Option<&'static str> {
    let null = "the pointer may be null: compare it with NULL first";
    Some(match rule {
        Rule::NullArithmetic { .. } => null,
        Rule::NotMemory { what, .. } if what.ends_with("_or_null") => null,
        Rule::Argument { reason, .. } if reason.contains("_or_null") => null,
        Rule::Argument { reason, .. } if reason.contains("unbounded memory access") => {
            "compare the length with that of the memory first, and lower it or give up"
        }
        Rule::NotMemory { what, .. } if what == "scalar" => {
            "a number is no address: addresses come from arguments, the stack, maps and helpers"
        }
        Rule::Unset { .. } => "give the variable a value on every path",
        Rule::Part { .. } => {
            "this operation does not have it, or not in this stage: compare `op` and `stage` first"
        }
        Rule::Bounds { .. } => {
            "check the offset on every path, so that offset and length together stay within the size"
        }
        Rule::Unbounded { .. } => "check the offset from below and from above first, or make it unsigned",
        Rule::ReadOnly { .. } => {
            "it is const here: inputs can be changed by prefilters only, results by postfilters only"
        }
        Rule::Argument { reason, .. } if reason.contains("it may only be read here") => {
            "not every operation has it or lets it be changed: of a family, compare `op` and `stage` first"
        }
        Rule::Opaque { .. } => "use bpf_dynptr_from_fuse_buffer_ro or bpf_dynptr_from_fuse_buffer_rw",
        Rule::Leak { .. } => "store a number instead: addresses must not get to where others can read them",
        Rule::Unreleased { .. } => {
            "give it back on every path to the end: bpf_ringbuf_submit or _discard, or the iterator's _destroy"
        }
        Rule::Locked { .. } => "call bpf_spin_unlock first",
        Rule::InfiniteLoop | Rule::TooComplex { .. } => {
            "bound the loop by a constant, or use bpf_loop, which is looked at once"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_below_its_column() {
        let line = |text: &str, column| SourceLine { file: "x.c".into(), line: 1, column, text: text.into() };
        assert_eq!(indent(&line("\tx = y;", 2)), "\t");
        assert_eq!(indent(&line("  x = y;", 7)), "      ");
        assert_eq!(indent(&line("x", 9)), "");
        assert_eq!(indent(&line("x", 0)), "");
    }

    #[test]
    fn long_lines_are_shortened_between_characters() {
        assert_eq!(short("a"), "a");
        assert_eq!(short(&"ä".repeat(61)), format!("{}...", "ä".repeat(60)));
    }
}
