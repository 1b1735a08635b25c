//! `fuse-bpf ops`.

use std::io::Write as _;

use clap::Args;
use fuse_bpf::filter::Stage;
use fuse_bpf::filter::contract::arguments;
use fuse_bpf::filter::family::{Allowed, FAMILIES, Family, Parameter};
use fuse_bpf::ops::{self, Filter, OPS, Op, OutArg, Serve};
use serde_json::{Value, json};

use crate::Answer;

/// List the operations, and the members of struct fuse_ops and struct fuse_filter that filter them
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct OpsCommand {
    /// Print one JSON document, with every field
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// List the members of struct fuse_filter, and what their programs may change for each operation
    #[arg(long, conflicts_with = "json")]
    families: bool,
    /// Print the table of the manual
    #[arg(long, hide = true)]
    markdown: bool,
}

const EXAMPLES: &str = "\
Examples:
  fuse-bpf ops
  fuse-bpf ops --families
  fuse-bpf ops --json | jq '.operations[] | select(.filter != null).name'";

impl OpsCommand {
    pub(crate) fn execute(self) -> anyhow::Result<Answer> {
        let mut out = std::io::stdout().lock();
        if self.json {
            let operations: Vec<Value> = OPS.iter().map(document).collect();
            let families: Vec<Value> = FAMILIES.iter().map(family_document).collect();
            let document = json!({ "version": 1, "operations": operations, "families": families });
            writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?;
        } else if self.families {
            families(&mut out, self.markdown)?;
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

/// What a family's program may do for one operation: its name, what it may read before, change before and after.
fn allowed(family: &Family, filter: &Filter) -> (String, [Vec<String>; 3]) {
    let op = ops::by_opcode(filter.opcode).map_or_else(String::new, |op| format!("FUSE_{}", op.name));
    let Allowed { read, before, after } = family.allowed(filter);
    (op, [read, before, after])
}

/// The parameters of a family's program after those all have.
fn parameters(family: &Family) -> Vec<&'static str> {
    family.parameters().into_iter().skip(3).map(Parameter::name).collect()
}

fn families(out: &mut impl std::io::Write, markdown: bool) -> std::io::Result<()> {
    if markdown {
        writeln!(
            out,
            "| member | after `meta`, `op`, `stage` | `op` | before, to read | before, to change | after, to change |\n\
             |---|---|---|---|---|---|"
        )?;
    }
    for family in FAMILIES {
        let own = parameters(family);
        if !markdown {
            writeln!(out, "{}: {}\n    meta, op, stage, {}", family.member, family.about, own.join(", "))?;
        }
        for (index, filter) in family.filters.iter().enumerate() {
            let (op, columns) = allowed(family, filter);
            if markdown {
                let code = |names: Vec<String>| match names.as_slice() {
                    [] => "-".to_owned(),
                    names => format!("`{}`", names.join("`, `")),
                };
                let (member, own) = match index {
                    0 => (format!("`{}`", family.member), format!("`{}`", own.join("`, `"))),
                    _ => (String::new(), String::new()),
                };
                let cells = columns.map(code).join(" | ");
                writeln!(out, "| {member} | {own} | `{op}` | {cells} |")?;
            } else {
                let [read, before, after] = columns.map(|names| match names.as_slice() {
                    [] => "-".to_owned(),
                    names => names.join(", "),
                });
                writeln!(out, "    {op:<20} {read:<20} {before:<20} {after}")?;
            }
        }
    }
    if markdown {
        return Ok(());
    }
    writeln!(
        out,
        "\nOf each operation: what is const before it, what may be changed before it, and what after it. What there\n\
         was before is const afterwards, and everything else is not there. default_filter is asked about every\n\
         operation whose family has no program, and those without a family, with meta, op and stage."
    )
}

fn family_document(family: &Family) -> Value {
    let operations = family.filters.iter().map(|filter| {
        let (op, [read, before, after]) = allowed(family, filter);
        json!({ "op": op, "read": read, "before": before, "after": after })
    });
    let operations: Vec<Value> = operations.collect();
    json!({
        "member": family.member,
        "about": family.about,
        "parameters": family.parameters().into_iter().map(Parameter::name).collect::<Vec<_>>(),
        "operations": operations,
    })
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
