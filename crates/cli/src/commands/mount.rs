//! `fuse-bpf mount`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueHint};
use fuse_bpf::call::Compat;
use fuse_bpf::filter::{FilterSet, LoadOptions};
use fuse_bpf::shipped::{Pattern, Redaction};
use fuse_bpf::{Builder, Mount, daemon};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::background::{self, Ready};
use crate::chain::{self, FilterSpec};
use crate::options::{self, CompatChoice, JitChoice, MountFlag};
use crate::{Answer, checks};

/// Mount a directory behind filters
///
/// Serves SRC at MNT until it is unmounted or a signal comes (SIGINT, SIGTERM, SIGHUP). The filters nest
/// like stacked mounts. From the outside in: --audit, each --filter in the order given, --hide, --mask, --redact,
/// --readonly. An outer filter is asked first and hears last how an operation ended.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, override_usage = "fuse-bpf mount [OPTIONS] [SRC] MNT", verbatim_doc_comment)]
pub(crate) struct MountCommand {
    /// A filter object made by `fuse-bpf build`, and which of its program sets
    #[arg(long = "filter", value_name = "OBJ[:SET]")]
    filters: Vec<FilterSpec>,
    /// Names that shall not exist: a name, `prefix*` or `*suffix`
    #[arg(long, value_name = "PATTERN")]
    hide: Vec<Pattern>,
    /// Files whose lines show stars behind the first `=`: a name, `prefix*` or `*suffix`
    ///
    /// They cannot be written, because what an editor has read are stars.
    #[arg(long, value_name = "PATTERN")]
    mask: Vec<Pattern>,
    /// Ranges of files that read as zeros, in bytes, END not included: `*.db=0-100,4096-8192`
    #[arg(long, value_name = "PATTERN=START-END[,...]")]
    redact: Vec<Redaction>,
    /// Refuse every change
    #[arg(long)]
    readonly: bool,
    /// Record every operation; `fuse-bpf trace MNT` shows the records
    #[arg(long)]
    audit: bool,
    /// Return as soon as the mount answers, and serve it in the background
    #[arg(long)]
    background: bool,
    /// A FUSE daemon beside SRC: what filters hand to it goes there; without SRC, everything
    ///
    /// A shell command that starts an ordinary FUSE program with /dev/fd/3 as its mount point, in the foreground:
    /// `my_fs -f /dev/fd/3`. It is sent what a mount would send it, and asked as a filter where filters say so.
    #[arg(long, value_name = "CMD")]
    daemon: Option<String>,
    /// How long the daemon may take for an answer before the operation fails
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, requires = "daemon")]
    daemon_timeout: Duration,
    /// How long the kernel may keep names and attributes that no filter looks at
    ///
    /// With 0 a change made directly in SRC is seen at once.
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    cache_timeout: Duration,
    /// Threads that serve requests [default: one for each CPU, at least two]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// Hold filters to what v4 of the FUSE-BPF series lets them change and see
    ///
    /// They see no data then, so not with --mask or --redact.
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["mask", "redact"])]
    compat: Option<CompatChoice>,
    /// Whether filters are compiled to machine code
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    jit: JitChoice,
    /// Options of the mount, separated by commas
    #[arg(short = 'o', value_name = "OPTIONS", value_delimiter = ',')]
    options: Vec<MountFlag>,
    /// Descriptor that a line is written to when the mount answers
    #[arg(long, value_name = "FD", hide = true)]
    ready_fd: Option<u32>,
    /// The directory to mount, and where: a directory that exists. With --daemon, SRC may be left out
    #[arg(value_names = ["SRC", "MNT"], num_args = 1..=2, required = true, value_hint = ValueHint::DirPath)]
    paths: Vec<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  fuse-bpf mount --hide 'secret*' --hide '*.key' --hide .env project mnt
  fuse-bpf mount --mask .env --redact 'users.db=4096-8192' project mnt
  fuse-bpf mount --background --audit --readonly /srv/data /mnt/data
  fuse-bpf mount --filter policy.bpf.o:strict -o allow_other project mnt
  fuse-bpf mount --filter policy.bpf.o --daemon 'my_fs -f /dev/fd/3' project mnt";

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds, such as 1.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

impl MountCommand {
    pub(crate) fn execute(self) -> anyhow::Result<Answer> {
        // The parent checks too, so that a plain mistake is told without a second process.
        let (source, mountpoint) = match &self.paths[..] {
            [source, mountpoint] => {
                let (source, mountpoint) = checks::paths(source, mountpoint)?;
                (Some(source), mountpoint)
            }
            [mountpoint] if self.daemon.is_some() => {
                (None, mountpoint.canonicalize().unwrap_or(mountpoint.clone()))
            }
            _ => bail!("MNT is missing: `fuse-bpf mount SRC MNT`; only with --daemon SRC may be left out"),
        };
        match self.ready_fd {
            None if self.background => background::launch(),
            None => self.serve(source.as_deref(), &mountpoint, Ready::Terminal),
            Some(fd) => {
                let ready = Ready::take(fd)?;
                self.serve(source.as_deref(), &mountpoint, ready)
            }
        }
    }

    fn serve(self, source: Option<&Path>, mountpoint: &Path, ready: Ready) -> anyhow::Result<Answer> {
        let workers = self.workers.map_or_else(fuse_bpf::worker_slots, usize::from);
        let chain = chain::Wanted {
            audit: self.audit,
            filters: &self.filters,
            hide: &self.hide,
            mask: &self.mask,
            redact: &self.redact,
            readonly: self.readonly,
        };
        let mut builder = source
            .map_or_else(Builder::without_source, Builder::new)
            .timeout(self.cache_timeout)
            .compat(self.compat.map_or(Compat::None, Into::into))
            .workers(workers)
            .options(options::resolve(&self.options));
        let chain::Loaded { links, registry } = chain.load(LoadOptions::new(workers).jit(self.jit.into()))?;
        for link in links {
            builder = link.add_to(builder);
        }
        builder = builder.registry(registry);
        // Taken before mounting, so that no signal leaves a mount behind.
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot take signals")?;
        // Ended after the mount, also when there is none.
        let mut daemon = None;
        if let Some(command) = &self.daemon {
            let (started, peer) = daemon::Command::start(command, self.daemon_timeout)?;
            daemon = Some(started);
            builder = builder.peer(peer);
        }
        let mut mount = builder.mount(mountpoint)?;
        let (tell, events) = mpsc::channel();
        stop_on_signals(signals, &mount, mountpoint, tell.clone())?;

        std::fs::metadata(mountpoint)
            .with_context(|| format!("{}: mounted, but does not answer", mountpoint.display()))?;
        let what = source.map_or_else(|| "a daemon".to_owned(), |source| source.display().to_string());
        ready.report(&format!("mounted {what} on {}", mountpoint.display()))?;
        let filters = mount.filters().to_vec();
        let wait = move || {
            mount.wait();
            drop(mount);
            // Nobody listens when the process is ending anyway.
            let _ = tell.send(Event::Ended);
        };
        thread("mount").spawn(wait).context("cannot start a thread")?;
        if events.recv() == Ok(Event::Stopped) {
            // A file still open may keep the connection, and with it the server, until this process ends.
            let _ = events.recv_timeout(GRACE);
        }
        drop(daemon);
        let faults: u64 = filters.iter().map(FilterSet::faults).sum();
        if faults > 0 {
            tracing::warn!("{faults} calls failed because a filter was stopped for a fault");
        }
        Ok(Answer::Yes)
    }
}

/// How long the server may take to end once its mount is gone.
const GRACE: Duration = Duration::from_secs(1);

/// What ends the foreground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// The mount is gone and its server ended.
    Ended,
    /// A signal came and the mount is gone.
    Stopped,
}

fn thread(name: &str) -> std::thread::Builder {
    std::thread::Builder::new().name(name.to_owned())
}

/// The first signal unmounts; the second detaches a mount that does not come down and gives up.
fn stop_on_signals(
    mut signals: Signals,
    mount: &Mount,
    mountpoint: &Path,
    tell: Sender<Event>,
) -> anyhow::Result<()> {
    let stop = mount.stop_handle();
    let mountpoint = mountpoint.to_owned();
    let run = move || {
        if signals.forever().next().is_none() {
            return;
        }
        // Waits for requests under way, and a second signal must be heard meanwhile.
        let unmount = move || {
            stop.stop();
            let _ = tell.send(Event::Stopped);
        };
        if let Err(error) = thread("stop").spawn(unmount) {
            tracing::error!("cannot start a thread to unmount: {error}");
        }
        if signals.forever().next().is_some() {
            let _ = writeln!(std::io::stderr(), "fuse-bpf: stopped again, giving up");
            let _ = fuse_bpf::transport::unmount(&mountpoint, true);
            std::process::exit(2);
        }
    };
    thread("signals").spawn(run).context("cannot start a thread")?;
    Ok(())
}
