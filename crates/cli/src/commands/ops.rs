//! `fuse-bpf ops`.

use std::io::Write as _;

use clap::Args;
use fuse_bpf::filter::Stage;
use fuse_bpf::filter::contract::arguments;
use fuse_bpf::ops::{Filter, OPS, Op, OutArg, Serve};
use serde_json::{Value, json};

use crate::Answer;

/// List the operations, and the members of struct fuse_ops that filter them
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct OpsCommand {
    /// Print one JSON document, with every field
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the table of the manual
    #[arg(long, hide = true)]
    markdown: bool,
}

const EXAMPLES: &str = "\
Examples:
  fuse-bpf ops
  fuse-bpf ops --json | jq '.operations[] | select(.filter != null).name'";

impl OpsCommand {
    pub(crate) fn execute(self) -> anyhow::Result<Answer> {
        let mut out = std::io::stdout().lock();
        if self.json {
            let operations: Vec<Value> = OPS.iter().map(document).collect();
            let document = json!({ "version": 1, "operations": operations });
            writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?;
        } else if self.markdown {
            markdown(&mut out)?;
        } else {
            table(&mut out)?;
        }
        Ok(Answer::Yes)
    }
}

fn table(out: &mut impl std::io::Write) -> std::io::Result<()> {
    writeln!(
        out,
        "{:>2}  {:<19} {:<16} ARGUMENTS AFTER meta (after `|`: postfilter only)",
        "#", "OPERATION", "MEMBERS"
    )?;
    for op in OPS {
        let (members, arguments) = match op.filter {
            Some(filter) => (filter.member.to_owned(), prototype(filter)),
            None => ("-".to_owned(), served(op)),
        };
        let line = format!("{:>2}  {:<19} {members:<16} {arguments}", op.opcode, op.name);
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out, "\nEach member name takes _prefilter and _postfilter.")
}

fn markdown(out: &mut impl std::io::Write) -> std::io::Result<()> {
    writeln!(
        out,
        "| operation | members | both stages, after `meta` | postfilter only |\n|---|---|---|---|"
    )?;
    for op in OPS {
        let code = |names: Vec<String>| match names.as_slice() {
            [] => "-".to_owned(),
            names => format!("`{}`", names.join("`, `")),
        };
        let (members, common, outs) = match op.filter {
            Some(filter) => (format!("`{}`", filter.member), code(inputs(filter)), code(outputs(filter))),
            None => ("-".to_owned(), served(op), "-".to_owned()),
        };
        writeln!(out, "| {} | {members} | {common} | {outs} |", op.name)?;
    }
    Ok(())
}

/// What becomes of an operation without members of its own.
fn served(op: &Op) -> String {
    match op.serve {
        Serve::Control => "protocol, never filtered".to_owned(),
        Serve::Backed { .. } => "`default_filter` only".to_owned(),
        Serve::Refused(errno, why) => format!("refused with {errno}: {why}"),
    }
}

fn prototype(filter: &Filter) -> String {
    let (inputs, outputs) = (inputs(filter).join(", "), outputs(filter).join(", "));
    if outputs.is_empty() { inputs } else { format!("{inputs} | {outputs}").trim_start().to_owned() }
}

fn inputs(filter: &Filter) -> Vec<String> {
    let structs = filter.input.map(|desc| format!("{} *in", desc.name));
    structs
        .into_iter()
        .chain(filter.buffers.iter().map(|buffer| format!("fuse_buffer *{}", buffer.name)))
        .collect()
}

fn outputs(filter: &Filter) -> Vec<String> {
    filter
        .outs
        .iter()
        .map(|out| match out {
            OutArg::Struct { name, desc } => format!("{} *{name}", desc.name),
            OutArg::Buffer { name, .. } => format!("fuse_buffer *{name}"),
        })
        .collect()
}

fn document(op: &Op) -> Value {
    let (serve, reason) = match op.serve {
        Serve::Control => ("control", None),
        Serve::Backed { .. } => ("backed", None),
        Serve::Refused(_, why) => ("refused", Some(why)),
    };
    let filter = op.filter.map(|filter| {
        let stage = |stage: Stage| {
            json!({
                "member": format!("{}{}", filter.member, stage.suffix()),
                "arguments": arguments(filter, stage).iter().map(|(_, name)| *name).collect::<Vec<_>>(),
            })
        };
        json!({
            "member": filter.member,
            "opcode": filter.opcode,
            "inputs": inputs(filter),
            "outputs": outputs(filter),
            "prefilter": stage(Stage::Pre),
            "postfilter": stage(Stage::Post),
        })
    });
    json!({
        "opcode": op.opcode,
        "name": op.name,
        "strings": op.strings,
        "input": op.input.map(|desc| desc.name),
        "payload": op.payload,
        "output": op.output.iter().map(|desc| desc.name).collect::<Vec<_>>(),
        "data": op.data,
        "serve": serve,
        "reason": reason,
        "filter": filter,
    })
}
