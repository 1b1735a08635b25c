//! The operations of FUSE, each declared once.
//!
//! The request decoder, the reply, the filter contracts, the C header, the manual's table and the
//! test that walks every opcode all read [`OPS`]. A new operation is a new row.

use crate::abi::{Wire as _, *};
use crate::errno::Errno;
use crate::filter::buffer::BufferFlags;
use crate::serve::{self, Finish, Run};

/// One operation of the protocol.
#[derive(Debug)]
pub struct Op {
    /// Number in `fuse_in_header.opcode`.
    pub opcode: u32,
    /// Name in `linux/fuse.h` without `FUSE_`.
    pub name: &'static str,
    /// The fixed struct the request starts with.
    pub input: Option<&'static StructDesc>,
    /// The NUL-terminated strings that follow it.
    pub strings: &'static [&'static str],
    /// The name of the bytes that fill the rest of the request, if any may.
    pub payload: Option<&'static str>,
    /// The structs a successful reply starts with.
    pub output: &'static [&'static StructDesc],
    /// The name of the bytes that follow them, if any do.
    pub data: Option<&'static str>,
    /// The members of `struct fuse_ops` that filter it.
    pub filter: Option<&'static Filter>,
    /// What is done with it.
    pub serve: Serve,
}

/// What is done with an operation.
#[derive(Debug, Clone, Copy)]
pub enum Serve {
    /// Part of the protocol itself; never filtered.
    Control,
    /// Done on the backing directory.
    Backed {
        /// The operation proper: reads the (filtered) arguments, fills the results.
        run: Run,
        /// Builds the reply from the (filtered) results.
        finish: Finish,
        /// Whether the kernel decides by the caller's credentials whether it may be done.
        as_caller: bool,
    },
    /// Answered with an error, always, and why.
    Refused(Errno, &'static str),
}

/// A pair of members of `struct fuse_ops`.
#[derive(Debug)]
pub struct Filter {
    /// Name without `_prefilter` and `_postfilter`.
    pub member: &'static str,
    /// Opcode that filters see in `meta`.
    pub opcode: u32,
    /// The struct both are given after `meta`: writable for the prefilter, const for the postfilter.
    pub input: Option<&'static StructDesc>,
    /// The buffers that follow, same rule.
    pub buffers: &'static [InBuffer],
    /// What only the postfilter is given, writable, in order.
    pub outs: &'static [OutArg],
    /// What the series makes of it.
    pub series: Series,
}

/// A buffer argument that comes from the request.
#[derive(Debug)]
pub struct InBuffer {
    /// Its name in the C prototype.
    pub name: &'static str,
    /// Where its bytes are.
    pub from: Source,
    /// What a prefilter may do with it.
    pub flags: BufferFlags,
    /// Longest it may grow, in bytes; it may always keep its length.
    pub max: usize,
    /// Whether the series does not have it.
    pub extension: bool,
}

/// Where the bytes of an [`InBuffer`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A string of the request, with its NUL.
    String(usize),
    /// The bytes that fill the rest of the request.
    Payload,
    /// The name under which the node was last found, with its NUL.
    NodeName,
}

/// An argument that only a postfilter gets.
#[derive(Debug)]
pub enum OutArg {
    /// A struct.
    Struct {
        /// Its name in the C prototype.
        name: &'static str,
        /// Its layout.
        desc: &'static StructDesc,
    },
    /// A buffer of variable size.
    Buffer {
        /// Its name in the C prototype.
        name: &'static str,
        /// Longest it may be.
        max: Limit,
        /// Whether the series does not have it.
        extension: bool,
    },
}

/// How long a buffer of results may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// So many bytes.
    Bytes(usize),
    /// As many as the request says, in the 32-bit field of its struct at this offset.
    Asked(usize),
}

/// What the series does with what filters change, which `compat=v4` does as well: of everything else changes are dropped.
#[derive(Debug)]
pub struct Series {
    /// Fields of the in-struct and buffers that reach the operation: `flags`, `name`.
    pub before: &'static [&'static str],
    /// Results that reach the caller: `out.fh`, all of `out`, `value`.
    pub after: &'static [&'static str],
    /// Whether postfilters are told of errors.
    pub tells_errors: bool,
}

impl Filter {
    /// The index of the only out buffer among the buffers of a call: it follows the in-buffers.
    pub fn out_buffer(&self) -> Option<usize> {
        self.outs.iter().any(|out| matches!(out, OutArg::Buffer { .. })).then_some(self.buffers.len())
    }

    /// The structs among the out arguments, in order.
    pub fn out_structs(&self) -> impl Iterator<Item = &'static StructDesc> {
        self.outs.iter().filter_map(|out| match out {
            OutArg::Struct { desc, .. } => Some(*desc),
            OutArg::Buffer { .. } => None,
        })
    }
}

/// Longest name a filter may make of a name, with its NUL.
const NAME: usize = 256;
/// One page of directory records.
pub const READDIR_PAGE: usize = 4096;

/// A name that prefilters see and cannot change.
const fn fixed_name(name: &'static str, string: usize) -> InBuffer {
    InBuffer {
        name,
        from: Source::String(string),
        flags: BufferFlags::IMMUTABLE,
        max: NAME,
        extension: false,
    }
}

/// A name that prefilters may replace.
const fn name(from: Source) -> InBuffer {
    InBuffer { name: "name", from, flags: BufferFlags::EDITABLE, max: NAME, extension: false }
}

const fn out(name: &'static str, desc: &'static StructDesc) -> OutArg {
    OutArg::Struct { name, desc }
}

const VALUE: OutArg = buffer("value", Limit::Asked(0));

const fn buffer(name: &'static str, max: Limit) -> OutArg {
    OutArg::Buffer { name, max, extension: false }
}

macro_rules! filters {
    ($($(#[$doc:meta])* $konst:ident = $member:literal, $opcode:literal, in $input:expr, [$($buffer:expr),*], out [$($out:expr),*],
        series [$($before:literal),*] [$($after:literal),*] $errors:ident;)*) => {
        $($(#[$doc])* pub static $konst: Filter = Filter {
            member: $member,
            opcode: $opcode,
            input: $input,
            buffers: &[$($buffer),*],
            outs: &[$($out),*],
            series: Series { before: &[$($before),*], after: &[$($after),*], tells_errors: filters!(@ $errors) },
        };)*

        /// The member pairs of `struct fuse_ops`, in its order.
        pub static FILTERS: &[&Filter] = &[$(&$konst),*];
    };
    (@ errors) => { true };
    (@ silent) => { false };
}

filters! {
    /// FUSE_OPEN.
    OPEN = "open", 14, in Some(fuse_open_in::DESC), [], out [out("out", fuse_open_out::DESC)],
        series ["flags"] ["out.fh"] errors;
    /// FUSE_OPENDIR.
    OPENDIR = "opendir", 27, in Some(fuse_open_in::DESC), [], out [out("out", fuse_open_out::DESC)],
        series ["flags"] ["out.fh"] errors;
    /// FUSE_CREATE and FUSE_TMPFILE.
    CREATE_OPEN = "create_open", 35, in Some(fuse_create_in::DESC), [fixed_name("name", 0)],
        out [out("entry_out", fuse_entry_out::DESC), out("out", fuse_open_out::DESC)],
        series ["mode"] ["entry_out.nodeid", "out.fh"] errors;
    /// FUSE_RELEASE.
    RELEASE = "release", 18, in Some(fuse_release_in::DESC), [], out [],
        series [] [] errors;
    /// FUSE_RELEASEDIR.
    RELEASEDIR = "releasedir", 29, in Some(fuse_release_in::DESC), [], out [],
        series [] [] errors;
    /// FUSE_FLUSH.
    FLUSH = "flush", 25, in Some(fuse_flush_in::DESC), [], out [],
        series [] [] errors;
    /// FUSE_LSEEK.
    LSEEK = "lseek", 46, in Some(fuse_lseek_in::DESC), [], out [out("out", fuse_lseek_out::DESC)],
        series ["offset", "whence"] ["out.offset"] silent;
    /// FUSE_COPY_FILE_RANGE and FUSE_COPY_FILE_RANGE_64.
    COPY_FILE_RANGE = "copy_file_range", 47, in Some(fuse_copy_file_range_in::DESC), [],
        out [out("out", fuse_write_out::DESC)],
        series ["off_in", "off_out", "len", "flags"] [] silent;
    /// FUSE_FSYNC.
    FSYNC = "fsync", 20, in Some(fuse_fsync_in::DESC), [], out [],
        series ["fsync_flags"] [] silent;
    /// FUSE_FSYNCDIR.
    DIR_FSYNC = "dir_fsync", 30, in Some(fuse_fsync_in::DESC), [], out [],
        series ["fsync_flags"] [] silent;
    /// FUSE_GETXATTR: with `in->size` 0 the answer is in `out`, else in `value`.
    GETXATTR = "getxattr", 22, in Some(fuse_getxattr_in::DESC), [name(Source::String(0))],
        out [VALUE, out("out", fuse_getxattr_out::DESC)],
        series ["name"] ["value", "out.size"] silent;
    /// FUSE_LISTXATTR: as for getxattr.
    LISTXATTR = "listxattr", 23, in Some(fuse_getxattr_in::DESC), [],
        out [VALUE, out("out", fuse_getxattr_out::DESC)],
        series [] ["value", "out.size"] errors;
    /// FUSE_SETXATTR.
    SETXATTR = "setxattr", 21, in Some(fuse_setxattr_in::DESC), [
        name(Source::String(0)),
        InBuffer { name: "value", from: Source::Payload, flags: BufferFlags::EDITABLE, max: 65536, extension: false }
    ], out [],
        series [] [] silent;
    /// FUSE_REMOVEXATTR.
    REMOVEXATTR = "removexattr", 24, in None, [name(Source::String(0))], out [],
        series [] [] silent;
    /// FUSE_READ, with the data that was read.
    READ_ITER = "read_iter", 15, in Some(fuse_read_in::DESC), [], out [
        out("out", fuse_read_iter_out::DESC),
        OutArg::Buffer { name: "data", max: Limit::Asked(16), extension: true }
    ],
        series [] [] errors;
    /// FUSE_WRITE, with the data that is to be written; more than was sent there cannot be.
    WRITE_ITER = "write_iter", 16, in Some(fuse_write_in::DESC), [
        InBuffer { name: "data", from: Source::Payload, flags: BufferFlags::EDITABLE, max: 0, extension: true }
    ], out [out("out", fuse_write_iter_out::DESC)],
        series [] ["out.ret"] errors;
    /// FUSE_FALLOCATE.
    FILE_FALLOCATE = "file_fallocate", 43, in Some(fuse_fallocate_in::DESC), [], out [],
        series ["mode", "offset", "length"] [] silent;
    /// FUSE_LOOKUP: the postfilter may write entry blocks.
    LOOKUP = "lookup", 1, in None, [name(Source::String(0))], out [
        out("out", fuse_entry_out::DESC),
        buffer("entries", Limit::Bytes(entry::BLOCK * entry::MAX))
    ],
        series ["name"] ["out.nodeid", "entries"] errors;
    /// FUSE_MKNOD.
    MKNOD = "mknod", 8, in Some(fuse_mknod_in::DESC), [fixed_name("name", 0)], out [],
        series ["mode", "rdev", "umask"] [] errors;
    /// FUSE_MKDIR.
    MKDIR = "mkdir", 9, in Some(fuse_mkdir_in::DESC), [fixed_name("name", 0)], out [],
        series ["mode", "umask"] [] errors;
    /// FUSE_RMDIR.
    RMDIR = "rmdir", 11, in None, [fixed_name("name", 0)], out [],
        series [] [] errors;
    /// FUSE_RENAME2: `renameat2(2)` with flags.
    RENAME2 = "rename2", 45, in Some(fuse_rename2_in::DESC),
        [fixed_name("old_name", 0), fixed_name("new_name", 1)], out [],
        series ["flags"] [] errors;
    /// FUSE_RENAME.
    RENAME = "rename", 12, in Some(fuse_rename_in::DESC),
        [fixed_name("old_name", 0), fixed_name("new_name", 1)], out [],
        series [] [] errors;
    /// FUSE_UNLINK.
    UNLINK = "unlink", 10, in None, [fixed_name("name", 0)], out [],
        series [] [] errors;
    /// FUSE_LINK: filtered by the set of the file, not of the directory.
    LINK = "link", 13, in Some(fuse_link_in::DESC), [name(Source::String(0))], out [],
        series [] [] errors;
    /// FUSE_GETATTR.
    GETATTR = "getattr", 3, in Some(fuse_getattr_in::DESC), [], out [out("out", fuse_attr_out::DESC)],
        series [] ["out"] silent;
    /// FUSE_SETATTR.
    SETATTR = "setattr", 4, in Some(fuse_setattr_in::DESC), [], out [out("out", fuse_attr_out::DESC)],
        series ["size", "atime", "mtime", "ctime", "atimensec", "mtimensec", "ctimensec", "mode", "uid", "gid"] [] silent;
    /// FUSE_STATFS.
    STATFS = "statfs", 17, in None, [], out [out("out", fuse_statfs_out::DESC)],
        series [] ["out"] silent;
    /// FUSE_READLINK, with the target that was read.
    GET_LINK = "get_link", 5, in None, [name(Source::NodeName)], out [
        OutArg::Buffer { name: "target", max: Limit::Bytes(4096), extension: true }
    ],
        series [] [] silent;
    /// FUSE_SYMLINK.
    SYMLINK = "symlink", 6, in None, [
        fixed_name("name", 0),
        InBuffer { name: "path", from: Source::String(1), flags: BufferFlags::EDITABLE, max: 4096, extension: false }
    ], out [],
        series [] [] errors;
    /// FUSE_READDIR and FUSE_READDIRPLUS: one page of records at a time.
    READDIR = "readdir", 28, in Some(fuse_read_in::DESC), [], out [
        out("out", fuse_read_out::DESC),
        buffer("buffer", Limit::Bytes(READDIR_PAGE))
    ],
        series [] ["buffer", "out.offset", "out.again"] errors;
    /// FUSE_ACCESS.
    ACCESS = "access", 34, in Some(fuse_access_in::DESC), [], out [],
        series ["mask"] [] silent;
}

/// A row of [`OPS`] that is done on the backing directory.
macro_rules! op {
    ($opcode:literal $name:literal $func:ident $as:ident in $input:expr, [$($string:literal),*], $payload:expr; out [$($output:expr),*], $data:expr; $filter:expr) => {
        Op {
            opcode: $opcode,
            name: $name,
            input: $input,
            strings: &[$($string),*],
            payload: $payload,
            output: &[$($output),*],
            data: $data,
            filter: $filter,
            serve: Serve::Backed { run: serve::$func::run, finish: serve::$func::finish, as_caller: op!(@ $as) },
        }
    };
    (@ caller) => { true };
    (@ handle) => { false };
}

/// A row of [`OPS`] that has no backing operation.
const fn plain(opcode: u32, name: &'static str, input: Option<&'static StructDesc>, serve: Serve) -> Op {
    Op { opcode, name, input, strings: &[], payload: None, output: &[], data: None, filter: None, serve }
}

const DAX: &str = "DAX windows exist on virtiofs only";

/// Every operation of the protocol.
///
/// `caller`: done with the caller's credentials: the system decides by them whether it may be done, or what
/// else it does (clearing setuid, counting quota and reserved space). `handle`: done by descriptor; it needs no permission, or that was given when the
/// file was opened.
#[rustfmt::skip]
pub static OPS: &[Op] = &[
    op!(1 "LOOKUP" lookup caller in None, ["name"], None; out [fuse_entry_out::DESC], None; Some(&LOOKUP)),
    plain(2, "FORGET", Some(fuse_forget_in::DESC), Serve::Control),
    op!(3 "GETATTR" getattr handle in Some(fuse_getattr_in::DESC), [], None; out [fuse_attr_out::DESC], None; Some(&GETATTR)),
    op!(4 "SETATTR" setattr caller in Some(fuse_setattr_in::DESC), [], None; out [fuse_attr_out::DESC], None; Some(&SETATTR)),
    op!(5 "READLINK" readlink handle in None, [], None; out [], Some("path"); Some(&GET_LINK)),
    op!(6 "SYMLINK" symlink caller in None, ["name", "path"], None; out [fuse_entry_out::DESC], None; Some(&SYMLINK)),
    op!(8 "MKNOD" mknod caller in Some(fuse_mknod_in::DESC), ["name"], None; out [fuse_entry_out::DESC], None; Some(&MKNOD)),
    op!(9 "MKDIR" mkdir caller in Some(fuse_mkdir_in::DESC), ["name"], None; out [fuse_entry_out::DESC], None; Some(&MKDIR)),
    op!(10 "UNLINK" unlink caller in None, ["name"], None; out [], None; Some(&UNLINK)),
    op!(11 "RMDIR" rmdir caller in None, ["name"], None; out [], None; Some(&RMDIR)),
    op!(12 "RENAME" rename caller in Some(fuse_rename_in::DESC), ["old_name", "new_name"], None; out [], None; Some(&RENAME)),
    op!(13 "LINK" link caller in Some(fuse_link_in::DESC), ["name"], None; out [fuse_entry_out::DESC], None; Some(&LINK)),
    op!(14 "OPEN" open caller in Some(fuse_open_in::DESC), [], None; out [fuse_open_out::DESC], None; Some(&OPEN)),
    op!(15 "READ" read handle in Some(fuse_read_in::DESC), [], None; out [], Some("data"); Some(&READ_ITER)),
    op!(16 "WRITE" write caller in Some(fuse_write_in::DESC), [], Some("data"); out [fuse_write_out::DESC], None; Some(&WRITE_ITER)),
    op!(17 "STATFS" statfs handle in None, [], None; out [fuse_statfs_out::DESC], None; Some(&STATFS)),
    op!(18 "RELEASE" release handle in Some(fuse_release_in::DESC), [], None; out [], None; Some(&RELEASE)),
    op!(20 "FSYNC" fsync handle in Some(fuse_fsync_in::DESC), [], None; out [], None; Some(&FSYNC)),
    op!(21 "SETXATTR" setxattr caller in Some(fuse_setxattr_in::DESC), ["name"], Some("value"); out [], None; Some(&SETXATTR)),
    op!(22 "GETXATTR" getxattr caller in Some(fuse_getxattr_in::DESC), ["name"], None; out [], Some("value"); Some(&GETXATTR)),
    op!(23 "LISTXATTR" listxattr caller in Some(fuse_getxattr_in::DESC), [], None; out [], Some("value"); Some(&LISTXATTR)),
    op!(24 "REMOVEXATTR" removexattr caller in None, ["name"], None; out [], None; Some(&REMOVEXATTR)),
    op!(25 "FLUSH" flush handle in Some(fuse_flush_in::DESC), [], None; out [], None; Some(&FLUSH)),
    plain(26, "INIT", Some(fuse_init_in::DESC), Serve::Control),
    op!(27 "OPENDIR" opendir caller in Some(fuse_open_in::DESC), [], None; out [fuse_open_out::DESC], None; Some(&OPENDIR)),
    op!(28 "READDIR" readdir handle in Some(fuse_read_in::DESC), [], None; out [], Some("buffer"); Some(&READDIR)),
    op!(29 "RELEASEDIR" releasedir handle in Some(fuse_release_in::DESC), [], None; out [], None; Some(&RELEASEDIR)),
    op!(30 "FSYNCDIR" fsyncdir handle in Some(fuse_fsync_in::DESC), [], None; out [], None; Some(&DIR_FSYNC)),
    op!(31 "GETLK" getlk handle in Some(fuse_lk_in::DESC), [], None; out [fuse_lk_out::DESC], None; None),
    op!(32 "SETLK" setlk handle in Some(fuse_lk_in::DESC), [], None; out [], None; None),
    op!(33 "SETLKW" setlkw handle in Some(fuse_lk_in::DESC), [], None; out [], None; None),
    op!(34 "ACCESS" access caller in Some(fuse_access_in::DESC), [], None; out [], None; Some(&ACCESS)),
    op!(35 "CREATE" create caller in Some(fuse_create_in::DESC), ["name"], None; out [fuse_entry_out::DESC, fuse_open_out::DESC], None; Some(&CREATE_OPEN)),
    plain(36, "INTERRUPT", Some(fuse_interrupt_in::DESC), Serve::Control),
    Op { output: &[fuse_bmap_out::DESC], ..plain(37, "BMAP", Some(fuse_bmap_in::DESC), Serve::Refused(Errno::ENOSYS, "block numbers mean something on block devices only")) },
    plain(38, "DESTROY", None, Serve::Control),
    op!(39 "IOCTL" ioctl caller in Some(fuse_ioctl_in::DESC), [], Some("data"); out [fuse_ioctl_out::DESC], Some("data"); None),
    Op { output: &[fuse_poll_out::DESC], ..plain(40, "POLL", Some(fuse_poll_in::DESC), Serve::Refused(Errno::ENOSYS, "files and directories are always ready; the kernel then says so itself")) },
    Op { payload: Some("data"), ..plain(41, "NOTIFY_REPLY", None, Serve::Control) },
    Op { payload: Some("forgets"), ..plain(42, "BATCH_FORGET", Some(fuse_batch_forget_in::DESC), Serve::Control) },
    op!(43 "FALLOCATE" fallocate caller in Some(fuse_fallocate_in::DESC), [], None; out [], None; Some(&FILE_FALLOCATE)),
    op!(44 "READDIRPLUS" readdirplus handle in Some(fuse_read_in::DESC), [], None; out [], Some("buffer"); Some(&READDIR)),
    op!(45 "RENAME2" rename2 caller in Some(fuse_rename2_in::DESC), ["old_name", "new_name"], None; out [], None; Some(&RENAME2)),
    op!(46 "LSEEK" lseek handle in Some(fuse_lseek_in::DESC), [], None; out [fuse_lseek_out::DESC], None; Some(&LSEEK)),
    op!(47 "COPY_FILE_RANGE" copy_file_range caller in Some(fuse_copy_file_range_in::DESC), [], None; out [fuse_write_out::DESC], None; Some(&COPY_FILE_RANGE)),
    plain(48, "SETUPMAPPING", None, Serve::Refused(Errno::ENOSYS, DAX)),
    plain(49, "REMOVEMAPPING", None, Serve::Refused(Errno::ENOSYS, DAX)),
    op!(50 "SYNCFS" syncfs handle in Some(fuse_syncfs_in::DESC), [], None; out [], None; None),
    op!(51 "TMPFILE" tmpfile caller in Some(fuse_create_in::DESC), ["name"], None; out [fuse_entry_out::DESC, fuse_open_out::DESC], None; Some(&CREATE_OPEN)),
    op!(52 "STATX" statx handle in Some(fuse_statx_in::DESC), [], None; out [fuse_statx_out::DESC], None; None),
    op!(53 "COPY_FILE_RANGE_64" copy_file_range_64 caller in Some(fuse_copy_file_range_in::DESC), [], None; out [fuse_copy_file_range_out::DESC], None; Some(&COPY_FILE_RANGE)),
];

/// Highest opcode of [`OPS`].
const LAST: usize = 53;

/// Row of each opcode, or [`u8::MAX`].
static ROWS: [u8; LAST + 1] = {
    let mut rows = [u8::MAX; LAST + 1];
    let mut row = 0;
    while row < OPS.len() {
        rows[OPS[row].opcode as usize] = row as u8;
        row += 1;
    }
    rows
};

/// The operation with this number.
pub fn by_opcode(opcode: u32) -> Option<&'static Op> {
    let row = *ROWS.get(usize::try_from(opcode).ok()?)?;
    OPS.get(usize::from(row))
}

/// The operation with this name, as in `LOOKUP`, or the first one behind this `fuse_ops` member, as in
/// `create_open`; case does not matter.
pub fn by_name(name: &str) -> Option<&'static Op> {
    OPS.iter()
        .find(|op| op.name.eq_ignore_ascii_case(name))
        .or_else(|| OPS.iter().find(|op| op.filter.is_some_and(|f| f.member.eq_ignore_ascii_case(name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_opcode_is_found_and_unique() {
        for op in OPS {
            assert!(std::ptr::eq(by_opcode(op.opcode).unwrap(), op), "{}", op.name);
        }
        assert!(by_opcode(0).is_none());
        assert!(by_opcode(7).is_none());
        assert!(by_opcode(54).is_none());
        assert!(by_opcode(u32::MAX).is_none());
    }

    #[test]
    fn every_member_pair_filters_an_operation() {
        assert_eq!(FILTERS.len(), 32);
        for filter in FILTERS {
            let op = by_opcode(filter.opcode).unwrap();
            assert!(op.filter.is_some_and(|f| std::ptr::eq(f, *filter)), "{}", filter.member);
            assert_eq!(op.input.map(|d| d.name), filter.input.map(|d| d.name), "{}", filter.member);
        }
    }

    #[test]
    fn names_find_operations_and_members() {
        assert_eq!(by_name("lookup").unwrap().opcode, 1);
        assert_eq!(by_name("create_open").unwrap().opcode, 35);
        assert_eq!(by_name("get_link").unwrap().opcode, 5);
        assert!(by_name("nothing").is_none());
    }

    #[test]
    fn programs_get_at_most_five_arguments() {
        for filter in FILTERS {
            let fixed = 1 + usize::from(filter.input.is_some()) + filter.buffers.len();
            assert!(fixed + filter.outs.len() <= 5, "{}", filter.member);
        }
    }
}
