//! The cases, by what they are about.

mod attr;
mod data;
mod dir;
mod lock;
mod names;
mod notices;
mod open;
mod rename;
mod xattr;

pub(crate) use notices::self_tests;

use crate::twin::{Case, Inherent, Kind};

/// A list of cases: `OPERATION: function, function;`.
macro_rules! cases {
    ($($op:ident: $($name:ident),+;)+) => {
        /// The cases of this file.
        pub(crate) static CASES: &[$crate::twin::Case] = &[
            $($($crate::twin::Case { op: stringify!($op), name: stringify!($name), run: $name },)+)+
        ];
    };
}
use cases;

/// Every case.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [
        names::CASES,
        rename::CASES,
        attr::CASES,
        open::CASES,
        data::CASES,
        dir::CASES,
        xattr::CASES,
        lock::CASES,
        notices::CASES,
    ]
    .into_iter()
    .flatten()
}

/// Differences that no FUSE server can avoid, or that are decided and documented.
pub(crate) static INHERENT: &[Inherent] = &[
    Inherent {
        case: "statx_btime",
        label: "btime given",
        mount: "false",
        on: Kind::Filtered,
        reason: "struct fuse_ops has no member for STATX, so a filtered mount answers with GETATTR, which has no btime",
    },
    Inherent {
        case: "fallocate_collapse_insert",
        label: "collapse",
        mount: "EOPNOTSUPP",
        on: Kind::Any,
        reason: "the kernel's FUSE client refuses the mode before any server is asked",
    },
    Inherent {
        case: "fallocate_collapse_insert",
        label: "insert",
        mount: "EOPNOTSUPP",
        on: Kind::Any,
        reason: "the kernel's FUSE client refuses the mode before any server is asked",
    },
    Inherent {
        case: "mknod_devices",
        label: "stranger",
        mount: "EPERM",
        on: Kind::Any,
        reason: "the kernel asks for the capability before it asks the server, who would say EACCES",
    },
    Inherent {
        case: "open_permission",
        label: "no atime",
        mount: "EPERM",
        on: Kind::Any,
        reason: "the kernel looks at O_NOATIME before it asks the server, who would say EACCES",
    },
    Inherent {
        case: "access_exec",
        label: "run 111",
        mount: "EACCES",
        on: Kind::ByUser,
        reason: "the server reads the program with the rights of its user, who may not",
    },
    Inherent {
        case: "write_kills_suid",
        label: "mapped",
        mount: "*",
        on: Kind::ByUser,
        reason: "the server writes down what was mapped with write(2), which takes setuid and setgid away",
    },
];
