//! What options may be.

use fuse_bpf::call::Compat;
use fuse_bpf::filter::Jit;
use fuse_bpf::transport::MountOptions;

/// An option of the mount itself, spelled as mount(8) does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[clap(rename_all = "snake_case")]
pub(crate) enum MountFlag {
    /// Let other users in; an ordinary user may only if /etc/fuse.conf has the line user_allow_other
    AllowOther,
    /// Let the kernel check permissions by mode and owner
    DefaultPermissions,
    /// Let the kernel refuse every change
    Ro,
    /// The opposite
    Rw,
    /// Ignore device files
    Nodev,
    /// Ignore setuid and setgid bits
    Nosuid,
    /// Refuse to run programs
    Noexec,
}

/// Whether filters are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum JitChoice {
    /// They are interpreted, and each access is checked again
    Never,
    /// Where it is possible; if it is not, the log says why
    Auto,
    /// A filter that cannot be compiled is refused
    Always,
}

impl From<JitChoice> for Jit {
    fn from(choice: JitChoice) -> Jit {
        match choice {
            JitChoice::Never => Jit::Never,
            JitChoice::Auto => Jit::Auto,
            JitChoice::Always => Jit::Always,
        }
    }
}

/// `--compat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CompatChoice {
    /// The last one of the series, of March 2024
    V4,
}

impl From<CompatChoice> for Compat {
    fn from(choice: CompatChoice) -> Compat {
        match choice {
            CompatChoice::V4 => Compat::V4,
        }
    }
}

/// The options these amount to; of two that contradict each other the last counts.
pub(crate) fn resolve(flags: &[MountFlag]) -> MountOptions {
    let mut options = MountOptions::default();
    for flag in flags {
        match flag {
            MountFlag::AllowOther => options.allow_other = true,
            MountFlag::DefaultPermissions => options.default_permissions = true,
            MountFlag::Ro => options.read_only = true,
            MountFlag::Rw => options.read_only = false,
            MountFlag::Nodev => options.nodev = true,
            MountFlag::Nosuid => options.nosuid = true,
            MountFlag::Noexec => options.noexec = true,
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_option_counts() {
        assert!(!resolve(&[MountFlag::Ro, MountFlag::Rw]).read_only);
        assert!(resolve(&[MountFlag::Rw, MountFlag::Ro, MountFlag::Nosuid]).read_only);
    }
}
