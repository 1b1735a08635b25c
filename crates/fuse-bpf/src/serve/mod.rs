//! What is done with each operation: a few lines between the table ([`crate::ops`]), the call
//! ([`crate::call`]) and the backing directory ([`crate::backing`]).
//!
//! Every operation has a `run` (the operation proper, inside the filters) and a `finish` (the reply,
//! after them). What `run` acquires lives in the call and is given back when the call fails.

mod attr;
mod dir;
mod file;
mod lock;
mod names;
mod promised;
mod server;
mod xattr;

pub use attr::{access, getattr, readlink, setattr, statfs, statx};
pub use dir::{fsyncdir, opendir, readdir, readdirplus, releasedir};
pub use file::{
    copy_file_range, copy_file_range_64, create, fallocate, flush, fsync, ioctl, lseek, open, read, release,
    syncfs, tmpfile, write,
};
pub use lock::{getlk, setlk, setlkw};
pub use names::{link, lookup, mkdir, mknod, rename, rename2, rmdir, symlink, unlink};
pub use server::{Server, ServerConfig};
pub use xattr::{getxattr, listxattr, removexattr, setxattr};

use crate::call::Call;
use crate::errno::Errno;

/// The operation proper.
pub type Run = fn(&Server, &mut Call<'_>) -> Result<(), Errno>;
/// Builds the reply.
pub type Finish = fn(&Server, &mut Call<'_>) -> Result<(), Errno>;

/// The finish of an operation whose success says it all.
fn done(_: &Server, _: &mut Call<'_>) -> Result<(), Errno> {
    Ok(())
}

/// Declares one operation: `run`, and `finish` where the reply has a body.
macro_rules! operation {
    ($(#[$doc:meta])* $name:ident, |$server:pat_param, $call:ident| $run:expr) => {
        operation!($(#[$doc])* $name, |$server, $call| $run, |_server, call| $crate::serve::done(_server, call));
    };
    ($(#[$doc:meta])* $name:ident, |$server:pat_param, $call:ident| $run:expr, |$fserver:pat_param, $fcall:ident| $finish:expr) => {
        $(#[$doc])*
        pub mod $name {
            #[allow(unused_imports, reason = "shared by all operations of a file; each uses some")]
            use super::*;

            /// The operation proper.
            ///
            /// # Errors
            ///
            /// Those of the system call behind it.
            pub fn run($server: &Server, $call: &mut Call<'_>) -> Result<(), Errno> {
                $run
            }

            /// Builds the reply.
            ///
            /// # Errors
            ///
            /// When filters left no result that can be answered.
            pub fn finish($fserver: &Server, $fcall: &mut Call<'_>) -> Result<(), Errno> {
                $finish
            }
        }
    };
}
use operation;
