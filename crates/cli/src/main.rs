//! `fuse-bpf`: mount a directory behind BPF filters.
//!
//! This file is the list of commands, the dispatch and the exit codes; each command is a file under
//! `commands`. Wire formats and the machine are the library's business.
//!
//! Exit codes: 0, done; 1, the answer is no; 2, wrong usage or failure.
#![deny(unsafe_code)]

mod background;
mod bench;
mod chain;
mod checks;
mod clang;
mod commands;
mod listing;
mod options;
mod rejection;
mod render;

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use fuse_bpf::filter::FilterError;

/// Mount a directory behind BPF filters
#[derive(Parser, Debug)]
#[command(name = "fuse-bpf", version, max_term_width = 100, after_help = EXAMPLES, arg_required_else_help = true)]
struct Cli {
    /// Log more; twice for everything (FUSE_BPF_LOG takes filters such as `fuse_bpf=debug`)
    #[arg(short, long, action = clap::ArgAction::Count, global = true, display_order = 900)]
    verbose: u8,
    /// Log errors only
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 901)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  fuse-bpf mount --hide 'secret*' --hide '*.key' project mnt
  fuse-bpf mount --background --filter count.bpf.o project mnt && fuse-bpf umount mnt
  fuse-bpf new myfilter && make -C myfilter test

Exit status: 0 done, 1 the answer is no, 2 wrong usage or failure.";

#[derive(Subcommand, Debug)]
enum Command {
    Mount(commands::mount::MountCommand),
    Umount(commands::umount::UmountCommand),
    Build(commands::build::BuildCommand),
    Verify(commands::verify::VerifyCommand),
    New(commands::new::NewCommand),
    #[command(subcommand)]
    Prog(commands::prog::ProgCommand),
    Trace(commands::trace::TraceCommand),
    Ops(commands::ops::OpsCommand),
    Bench(commands::bench::BenchCommand),
}

/// What a command that did its work has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}

impl Cli {
    fn execute(self) -> anyhow::Result<Answer> {
        match self.command {
            Command::Mount(command) => command.execute(),
            Command::Umount(command) => command.execute(),
            Command::Build(command) => command.execute(),
            Command::Verify(command) => command.execute(),
            Command::New(command) => command.execute(),
            Command::Prog(command) => command.execute(),
            Command::Trace(command) => command.execute(),
            Command::Ops(command) => command.execute(),
            Command::Bench(command) => command.execute().map(|()| Answer::Yes),
        }
    }
}

fn main() -> ExitCode {
    // clap exits with 2 when the usage is wrong.
    let cli = Cli::parse();
    log(cli.verbose, cli.quiet);
    match cli.execute() {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // When even this cannot be written there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "fuse-bpf: {error:#}{}", remedy(&error));
            ExitCode::from(2)
        }
    }
}

/// What to do about a program that was refused.
fn remedy(error: &anyhow::Error) -> String {
    let refused = error.chain().find_map(|cause| match cause.downcast_ref()? {
        FilterError::Rejected { object, .. } => Some(object),
        _ => None,
    });
    refused.map_or(String::new(), |object| format!("; `fuse-bpf verify {object}` shows how it gets there"))
}

/// Whether whoever read our output went away, as `head` does.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|cause| cause.kind() == ErrorKind::BrokenPipe)
    })
}

fn log(verbose: u8, quiet: bool) {
    let default = match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, 2) => "debug",
        (false, _) => "trace",
    };
    let filter = ["FUSE_BPF_LOG", "RUST_LOG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_else(|| default.to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
