//! The error numbers that go back to the kernel.

use std::num::NonZeroI32;

/// An error number, positive and never zero, so that "error 0" cannot be written.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(NonZeroI32);

macro_rules! errnos {
    ($($name:ident),* $(,)?) => {
        #[allow(missing_docs, reason = "the names are those of errno(3)")]
        impl Errno {
            $(pub const $name: Errno = Errno::of(libc::$name);)*

            /// The symbolic name, e.g. `ENOENT`, where this list has it.
            pub fn name(self) -> Option<&'static str> {
                $(if self == Errno::$name { return Some(stringify!($name)); })*
                None
            }

            /// The error with this symbolic name.
            pub fn from_name(name: &str) -> Option<Errno> {
                match name {
                    $(stringify!($name) => Some(Errno::$name),)*
                    _ => None,
                }
            }
        }
    };
}

errnos!(
    EPERM,
    ENOENT,
    EINTR,
    EIO,
    ENXIO,
    E2BIG,
    EBADF,
    EAGAIN,
    ENOMEM,
    EACCES,
    EFAULT,
    EBUSY,
    EEXIST,
    EXDEV,
    ENODEV,
    ENOTDIR,
    EISDIR,
    EINVAL,
    ENFILE,
    EMFILE,
    ENOTTY,
    ETXTBSY,
    EFBIG,
    ENOSPC,
    ESPIPE,
    EROFS,
    EMLINK,
    EPIPE,
    EDOM,
    ERANGE,
    EDEADLK,
    ENAMETOOLONG,
    ENOLCK,
    ENOSYS,
    ENOTEMPTY,
    ELOOP,
    ENODATA,
    EPROTO,
    EOVERFLOW,
    EOPNOTSUPP,
    ENOTCONN,
    ETIMEDOUT,
    ECONNABORTED,
    EALREADY,
    ESTALE,
    EDQUOT,
    ECANCELED,
    EUCLEAN
);

impl Errno {
    const fn of(raw: i32) -> Errno {
        match NonZeroI32::new(raw) {
            Some(n) => Errno(n),
            None => panic!("an error number is not zero"),
        }
    }

    /// The error with this number. FUSE accepts 1 to 511 in a reply (`linux/fuse.h`); anything else
    /// becomes `EIO`.
    pub fn new(raw: i32) -> Errno {
        match NonZeroI32::new(raw) {
            Some(n) if (1..512).contains(&raw) => Errno(n),
            _ => Errno::EIO,
        }
    }

    /// The positive number.
    pub fn raw(self) -> i32 {
        self.0.get()
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(e: rustix::io::Errno) -> Errno {
        Errno::new(e.raw_os_error())
    }
}

impl From<std::io::Error> for Errno {
    fn from(e: std::io::Error) -> Errno {
        Errno::new(e.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl std::fmt::Debug for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.raw()),
        }
    }
}

impl std::error::Error for Errno {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        assert_eq!(Errno::from_name("EROFS"), Some(Errno::EROFS));
        assert_eq!(Errno::EROFS.name(), Some("EROFS"));
        assert_eq!(Errno::from_name("EWHAT"), None);
    }

    #[test]
    fn numbers_a_reply_cannot_carry_become_eio() {
        assert_eq!(Errno::new(0), Errno::EIO);
        assert_eq!(Errno::new(-2), Errno::EIO);
        assert_eq!(Errno::new(512), Errno::EIO);
        assert_eq!(Errno::new(libc::ENOENT), Errno::ENOENT);
    }
}
