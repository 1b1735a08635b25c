//! INIT: what kernel and library agree on, and why not more.

use crate::abi::{KERNEL_MINOR, KERNEL_VERSION, fuse_init_in, fuse_init_out};

/// A capability bit of INIT (`FUSE_*` in `linux/fuse.h`) and what is done about it.
#[derive(Debug)]
pub struct Capability {
    /// Bit number, 0 to 63: `flags` holds the low 32, `flags2` the rest.
    pub bit: u8,
    /// Name without `FUSE_`.
    pub name: &'static str,
    /// What is done about it.
    pub policy: Policy,
}

/// What is done about a capability.
#[derive(Debug, Clone, Copy)]
pub enum Policy {
    /// Used when offered.
    Want,
    /// The library does not work without it; the release of Linux that brought it.
    Need(&'static str),
    /// Used when the mount is so configured; else refused for this reason.
    When(fn(&InitConfig) -> bool, &'static str),
    /// Never used, for this reason.
    Refuse(&'static str),
}

/// What became of a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// In use.
    Active,
    /// The kernel does not have it.
    NotOffered,
    /// The kernel has it; not used, for this reason.
    Refused(&'static str),
}

/// What a mount wants of INIT.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InitConfig {
    /// Largest write in one request, in bytes.
    pub max_write: u32,
    /// Whether the kernel checks permissions (it then needs to know ACLs).
    pub default_permissions: bool,
}

impl Default for InitConfig {
    fn default() -> InitConfig {
        InitConfig { max_write: 1 << 20, default_permissions: false }
    }
}

/// What was agreed.
#[derive(Debug, Clone)]
pub struct Negotiated {
    /// The kernel's protocol version.
    pub kernel: (u32, u32),
    /// Largest write in one request, in bytes.
    pub max_write: u32,
    /// What became of each capability, in the order of [`CAPABILITIES`].
    pub capabilities: Vec<(&'static Capability, State)>,
}

/// Why there is no agreement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// The kernel speaks another major version.
    #[error("the kernel speaks FUSE {0}.x, this program {KERNEL_VERSION}.x")]
    Version(u32),
    /// The kernel lacks something that cannot be done without.
    #[error("the kernel lacks FUSE_{name}, which came with Linux {since}; use a newer kernel")]
    Lacks {
        /// The capability.
        name: &'static str,
        /// Release of Linux that brought it.
        since: &'static str,
    },
}

const SPLICE: &str = "slower than plain reads and writes for the messages of a directory tree";
const OPENS: &str = "opens are filtered and hold the file the reads go to";

/// Every capability of the protocol (7.45).
#[rustfmt::skip]
pub static CAPABILITIES: &[Capability] = &[
    want(0, "ASYNC_READ"),
    want(1, "POSIX_LOCKS"),
    refuse(2, "FILE_OPS", "without meaning to kernels since 2.6.24"),
    want(3, "ATOMIC_O_TRUNC"),
    refuse(4, "EXPORT_SUPPORT", "nodeids end when the kernel forgets them and are not found again by handle"),
    want(5, "BIG_WRITES"),
    want(6, "DONT_MASK"),
    refuse(7, "SPLICE_WRITE", SPLICE),
    refuse(8, "SPLICE_MOVE", SPLICE),
    refuse(9, "SPLICE_READ", SPLICE),
    want(10, "FLOCK_LOCKS"),
    want(11, "HAS_IOCTL_DIR"),
    want(12, "AUTO_INVAL_DATA"),
    want(13, "DO_READDIRPLUS"),
    want(14, "READDIRPLUS_AUTO"),
    want(15, "ASYNC_DIO"),
    refuse(16, "WRITEBACK_CACHE", "acknowledged writes would not have reached the directory, and filters would see them late"),
    refuse(17, "NO_OPEN_SUPPORT", OPENS),
    want(18, "PARALLEL_DIROPS"),
    refuse(19, "HANDLE_KILLPRIV", "superseded by HANDLE_KILLPRIV_V2"),
    Capability { bit: 20, name: "POSIX_ACL", policy: Policy::When(|config| config.default_permissions, "permissions are checked below the mount, with the caller's credentials") },
    want(21, "ABORT_ERROR"),
    want(22, "MAX_PAGES"),
    refuse(23, "CACHE_SYMLINKS", "a changed link below the mount would go unnoticed"),
    refuse(24, "NO_OPENDIR_SUPPORT", OPENS),
    refuse(25, "EXPLICIT_INVAL_DATA", "AUTO_INVAL_DATA notices changes below the mount"),
    refuse(26, "MAP_ALIGNMENT", "virtiofs only"),
    refuse(27, "SUBMOUNTS", "virtiofs only"),
    want(28, "HANDLE_KILLPRIV_V2"),
    Capability { bit: 29, name: "SETXATTR_EXT", policy: Policy::Need("5.12") },
    want(30, "INIT_EXT"),
    refuse(31, "INIT_RESERVED", "reserved"),
    refuse(32, "SECURITY_CTX", "labels are the backing file system's"),
    refuse(33, "HAS_INODE_DAX", "virtiofs only"),
    want(34, "CREATE_SUPP_GROUP"),
    want(35, "HAS_EXPIRE_ONLY"),
    want(36, "DIRECT_IO_ALLOW_MMAP"),
    refuse(37, "PASSTHROUGH", "reads and writes come here; leaving unfiltered ones to the kernel is later work"),
    want(38, "NO_EXPORT_SUPPORT"),
    refuse(39, "HAS_RESEND", "a restarted server cannot take requests over"),
    refuse(40, "ALLOW_IDMAP", "requests of idmapped mounts do not say who calls, and filters must know"),
    refuse(41, "OVER_IO_URING", "requests come through /dev/fuse; the ring is later work"),
    refuse(42, "REQUEST_TIMEOUT", "a slow backing directory is not an error"),
];

const fn want(bit: u8, name: &'static str) -> Capability {
    Capability { bit, name, policy: Policy::Want }
}

const fn refuse(bit: u8, name: &'static str, reason: &'static str) -> Capability {
    Capability { bit, name, policy: Policy::Refuse(reason) }
}

/// Bit of `flags` that says `flags2` counts.
const INIT_EXT: u64 = 1 << 30;
/// Bytes the kernel may read ahead in one request, and pages.
const PAGE: u32 = 4096;

/// Answers a kernel's offer.
///
/// # Errors
///
/// When the kernel is too old or too new to be served. (A newer major version offers again in ours after it
/// has seen our answer; that is the caller's loop.)
pub fn negotiate(
    offer: &fuse_init_in,
    config: &InitConfig,
) -> Result<(fuse_init_out, Negotiated), InitError> {
    if offer.major != KERNEL_VERSION {
        return Err(InitError::Version(offer.major));
    }
    let mut offered = u64::from(offer.flags);
    if offered & INIT_EXT != 0 {
        offered |= u64::from(offer.flags2) << 32;
    }
    let mut wanted = 0;
    let mut capabilities = Vec::with_capacity(CAPABILITIES.len());
    for capability in CAPABILITIES {
        let bit = 1 << capability.bit;
        let state = match (offered & bit != 0, capability.policy) {
            (false, Policy::Need(since)) => return Err(InitError::Lacks { name: capability.name, since }),
            (false, _) => State::NotOffered,
            (true, Policy::Refuse(reason)) => State::Refused(reason),
            (true, Policy::When(when, reason)) if !when(config) => State::Refused(reason),
            (true, _) => State::Active,
        };
        if state == State::Active {
            wanted |= bit;
        }
        capabilities.push((capability, state));
    }
    let max_write = config.max_write.max(PAGE);
    let out = fuse_init_out {
        major: KERNEL_VERSION,
        minor: KERNEL_MINOR,
        max_readahead: offer.max_readahead,
        flags: wanted as u32,
        flags2: (wanted >> 32) as u32,
        max_background: 64,
        congestion_threshold: 48,
        max_write,
        time_gran: 1,
        max_pages: u16::try_from(max_write.div_ceil(PAGE)).unwrap_or(u16::MAX),
        ..Default::default()
    };
    let kernel = (offer.major, offer.minor);
    Ok((out, Negotiated { kernel, max_write, capabilities }))
}

impl std::fmt::Display for Negotiated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (major, minor) = self.kernel;
        writeln!(f, "FUSE {major}.{minor}, writes up to {} KiB", self.max_write / 1024)?;
        for (capability, state) in &self.capabilities {
            match state {
                State::Active => writeln!(f, "  {:<22} active", capability.name)?,
                State::NotOffered => writeln!(f, "  {:<22} not offered by the kernel", capability.name)?,
                State::Refused(reason) => writeln!(f, "  {:<22} not used: {reason}", capability.name)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(bits: u64) -> fuse_init_in {
        fuse_init_in {
            major: 7,
            minor: 45,
            flags: bits as u32,
            flags2: (bits >> 32) as u32,
            max_readahead: 131_072,
            ..Default::default()
        }
    }

    #[test]
    fn the_table_is_complete_and_in_order() {
        for (bit, capability) in CAPABILITIES.iter().enumerate() {
            assert_eq!(usize::from(capability.bit), bit, "{}", capability.name);
        }
        assert_eq!(CAPABILITIES.len(), 43);
    }

    #[test]
    fn nothing_is_asked_for_that_was_not_offered_or_is_refused() {
        let all = (1u64 << 43) - 1;
        let (out, negotiated) = negotiate(&offer(all), &InitConfig::default()).unwrap();
        let asked = u64::from(out.flags) | u64::from(out.flags2) << 32;
        for (capability, state) in &negotiated.capabilities {
            assert_eq!(asked & (1 << capability.bit) != 0, *state == State::Active, "{}", capability.name);
        }
        assert_eq!(out.max_pages, 256);
        let few = INIT_EXT | 1 << 29;
        let (out, negotiated) = negotiate(&offer(few), &InitConfig::default()).unwrap();
        assert_eq!(u64::from(out.flags), few);
        assert_eq!(negotiated.capabilities[0].1, State::NotOffered);
    }

    #[test]
    fn the_upper_bits_count_only_with_init_ext() {
        let bits = (1 << 29) | (1 << 34);
        let (out, _) = negotiate(&offer(bits), &InitConfig::default()).unwrap();
        assert_eq!(out.flags2, 0);
    }

    #[test]
    fn acls_are_the_kernels_business_only_when_it_checks_permissions() {
        let bits = INIT_EXT | 1 << 29 | 1 << 20;
        let acl = |config: &InitConfig| negotiate(&offer(bits), config).unwrap().0.flags & (1 << 20) != 0;
        assert!(!acl(&InitConfig::default()));
        assert!(acl(&InitConfig { default_permissions: true, ..InitConfig::default() }));
    }

    #[test]
    fn kernels_that_cannot_be_served_are_told_why() {
        let error = negotiate(&offer(0), &InitConfig::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the kernel lacks FUSE_SETXATTR_EXT, which came with Linux 5.12; use a newer kernel"
        );
        let newer = fuse_init_in { major: 8, ..Default::default() };
        assert_eq!(negotiate(&newer, &InitConfig::default()).unwrap_err(), InitError::Version(8));
    }
}
