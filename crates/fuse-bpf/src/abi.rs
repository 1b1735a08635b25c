//! The FUSE wire format: structs, constants and their descriptions.
//!
//! Layouts are those of `linux/fuse.h` (protocol 7.45) and of the FUSE-BPF series. Each struct is
//! declared once; its [`StructDesc`] feeds the C header, the filter contracts and the command line.
//! All are plain bytes: reading one never fails on content, only on length.

#![allow(non_camel_case_types, reason = "C owns these names")]
#![allow(missing_debug_implementations, reason = "the layout types zerocopy derives have none")]
#![allow(missing_docs, reason = "fields are documented in linux/fuse.h and carry its names")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Protocol version this crate speaks.
pub const KERNEL_VERSION: u32 = 7;
/// Minor protocol version this crate speaks.
pub const KERNEL_MINOR: u32 = 45;
/// The nodeid of the root of a mount.
pub const ROOT_ID: u64 = 1;

/// A struct as C sees it.
#[derive(Debug)]
pub struct StructDesc {
    /// Its C name.
    pub name: &'static str,
    /// Its size in bytes.
    pub size: usize,
    /// Its fields in order.
    pub fields: &'static [FieldDesc],
}

/// A field of a [`StructDesc`].
#[derive(Debug)]
pub struct FieldDesc {
    /// Its C name.
    pub name: &'static str,
    /// Its C type without array bounds.
    pub ctype: &'static str,
    /// Number of elements, for an array.
    pub array: Option<usize>,
    /// Offset in bytes.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
    /// The struct it is, if it is one.
    pub nested: Option<&'static StructDesc>,
    /// Whether the type is signed.
    pub signed: bool,
}

/// A struct of the wire format.
pub trait Wire: FromBytes + IntoBytes + Immutable + KnownLayout + Copy + 'static {
    /// Its description.
    const DESC: &'static StructDesc;
}

/// A type a wire field may have.
trait Field {
    const CTYPE: &'static str;
    const ARRAY: Option<usize> = None;
    const NESTED: Option<&'static StructDesc> = None;
    const SIGNED: bool = false;
}

macro_rules! scalar_fields {
    ($($ty:ty => $c:literal $signed:literal),* $(,)?) => {
        $(impl Field for $ty { const CTYPE: &'static str = $c; const SIGNED: bool = $signed; })*
    };
}
scalar_fields!(u8 => "uint8_t" false, u16 => "uint16_t" false, u32 => "uint32_t" false, u64 => "uint64_t" false, i32 => "int32_t" true, i64 => "int64_t" true);

impl<T: Field, const N: usize> Field for [T; N] {
    const CTYPE: &'static str = T::CTYPE;
    const ARRAY: Option<usize> = Some(N);
    const NESTED: Option<&'static StructDesc> = T::NESTED;
    const SIGNED: bool = T::SIGNED;
}

macro_rules! wire {
    ($($(#[$meta:meta])* struct $name:ident { $($field:ident: $ty:ty),* $(,)? })*) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
            #[repr(C)]
            pub struct $name { $(pub $field: $ty),* }

            impl Wire for $name {
                const DESC: &'static StructDesc = &StructDesc {
                    name: stringify!($name),
                    size: size_of::<$name>(),
                    fields: &[$(FieldDesc {
                        name: stringify!($field),
                        ctype: <$ty as Field>::CTYPE,
                        array: <$ty as Field>::ARRAY,
                        offset: std::mem::offset_of!($name, $field),
                        size: size_of::<$ty>(),
                        nested: <$ty as Field>::NESTED,
                        signed: <$ty as Field>::SIGNED,
                    }),*],
                };
            }

            impl Field for $name {
                const CTYPE: &'static str = concat!("struct ", stringify!($name));
                const NESTED: Option<&'static StructDesc> = Some(<$name as Wire>::DESC);
            }
        )*

        /// Every struct of this module, in declaration order.
        pub const STRUCTS: &[&StructDesc] = &[$(<$name as Wire>::DESC),*];
    };
}

wire! {
    struct fuse_attr {
        ino: u64, size: u64, blocks: u64, atime: u64, mtime: u64, ctime: u64,
        atimensec: u32, mtimensec: u32, ctimensec: u32,
        mode: u32, nlink: u32, uid: u32, gid: u32, rdev: u32, blksize: u32, flags: u32,
    }
    struct fuse_sx_time { tv_sec: i64, tv_nsec: u32, __reserved: i32 }
    struct fuse_statx {
        mask: u32, blksize: u32, attributes: u64, nlink: u32, uid: u32, gid: u32, mode: u16, __spare0: [u16; 1],
        ino: u64, size: u64, blocks: u64, attributes_mask: u64,
        atime: fuse_sx_time, btime: fuse_sx_time, ctime: fuse_sx_time, mtime: fuse_sx_time,
        rdev_major: u32, rdev_minor: u32, dev_major: u32, dev_minor: u32, __spare2: [u64; 14],
    }
    struct fuse_kstatfs {
        blocks: u64, bfree: u64, bavail: u64, files: u64, ffree: u64,
        bsize: u32, namelen: u32, frsize: u32, padding: u32, spare: [u32; 6],
    }
    struct fuse_file_lock { start: u64, end: u64, r#type: u32, pid: u32 }
    struct fuse_entry_out {
        nodeid: u64, generation: u64, entry_valid: u64, attr_valid: u64,
        entry_valid_nsec: u32, attr_valid_nsec: u32, attr: fuse_attr,
    }
    struct fuse_forget_in { nlookup: u64 }
    struct fuse_forget_one { nodeid: u64, nlookup: u64 }
    struct fuse_batch_forget_in { count: u32, dummy: u32 }
    struct fuse_getattr_in { getattr_flags: u32, dummy: u32, fh: u64 }
    struct fuse_attr_out { attr_valid: u64, attr_valid_nsec: u32, dummy: u32, attr: fuse_attr }
    struct fuse_statx_in { getattr_flags: u32, reserved: u32, fh: u64, sx_flags: u32, sx_mask: u32 }
    struct fuse_statx_out { attr_valid: u64, attr_valid_nsec: u32, flags: u32, spare: [u64; 2], stat: fuse_statx }
    struct fuse_mknod_in { mode: u32, rdev: u32, umask: u32, padding: u32 }
    struct fuse_mkdir_in { mode: u32, umask: u32 }
    struct fuse_rename_in { newdir: u64 }
    struct fuse_rename2_in { newdir: u64, flags: u32, padding: u32 }
    struct fuse_link_in { oldnodeid: u64 }
    struct fuse_setattr_in {
        valid: u32, padding: u32, fh: u64, size: u64, lock_owner: u64, atime: u64, mtime: u64, ctime: u64,
        atimensec: u32, mtimensec: u32, ctimensec: u32, mode: u32, unused4: u32, uid: u32, gid: u32, unused5: u32,
    }
    struct fuse_open_in { flags: u32, open_flags: u32 }
    struct fuse_create_in { flags: u32, mode: u32, umask: u32, open_flags: u32 }
    struct fuse_open_out { fh: u64, open_flags: u32, padding: u32 }
    struct fuse_release_in { fh: u64, flags: u32, release_flags: u32, lock_owner: u64 }
    struct fuse_flush_in { fh: u64, unused: u32, padding: u32, lock_owner: u64 }
    struct fuse_read_in {
        fh: u64, offset: u64, size: u32, read_flags: u32, lock_owner: u64, flags: u32, padding: u32,
    }
    struct fuse_read_out { offset: u64, again: u32, padding: u32 }
    struct fuse_read_iter_out { ret: u64 }
    struct fuse_write_in {
        fh: u64, offset: u64, size: u32, write_flags: u32, lock_owner: u64, flags: u32, padding: u32,
    }
    struct fuse_write_out { size: u32, padding: u32 }
    struct fuse_write_iter_out { ret: u64 }
    struct fuse_statfs_out { st: fuse_kstatfs }
    struct fuse_fsync_in { fh: u64, fsync_flags: u32, padding: u32 }
    struct fuse_setxattr_in { size: u32, flags: u32, setxattr_flags: u32, padding: u32 }
    struct fuse_getxattr_in { size: u32, padding: u32 }
    struct fuse_getxattr_out { size: u32, padding: u32 }
    struct fuse_lk_in { fh: u64, owner: u64, lk: fuse_file_lock, lk_flags: u32, padding: u32 }
    struct fuse_lk_out { lk: fuse_file_lock }
    struct fuse_access_in { mask: u32, padding: u32 }
    struct fuse_init_in { major: u32, minor: u32, max_readahead: u32, flags: u32, flags2: u32, unused: [u32; 11] }
    struct fuse_init_out {
        major: u32, minor: u32, max_readahead: u32, flags: u32, max_background: u16, congestion_threshold: u16,
        max_write: u32, time_gran: u32, max_pages: u16, map_alignment: u16, flags2: u32, max_stack_depth: u32,
        request_timeout: u16, unused: [u16; 11],
    }
    struct fuse_interrupt_in { unique: u64 }
    struct fuse_bmap_in { block: u64, blocksize: u32, padding: u32 }
    struct fuse_ioctl_in { fh: u64, flags: u32, cmd: u32, arg: u64, in_size: u32, out_size: u32 }
    struct fuse_ioctl_out { result: i32, flags: u32, in_iovs: u32, out_iovs: u32 }
    struct fuse_poll_in { fh: u64, kh: u64, flags: u32, events: u32 }
    struct fuse_poll_out { revents: u32, padding: u32 }
    struct fuse_bmap_out { block: u64 }
    struct fuse_fallocate_in { fh: u64, offset: u64, length: u64, mode: u32, padding: u32 }
    struct fuse_lseek_in { fh: u64, offset: u64, whence: u32, padding: u32 }
    struct fuse_lseek_out { offset: u64 }
    struct fuse_copy_file_range_in {
        fh_in: u64, off_in: u64, nodeid_out: u64, fh_out: u64, off_out: u64, len: u64, flags: u64,
    }
    struct fuse_copy_file_range_out { bytes_copied: u64 }
    struct fuse_syncfs_in { padding: u64 }
    struct fuse_in_header {
        len: u32, opcode: u32, unique: u64, nodeid: u64, uid: u32, gid: u32, pid: u32,
        total_extlen: u16, padding: u16,
    }
    struct fuse_out_header { len: u32, error: i32, unique: u64 }
    struct fuse_dirent { ino: u64, off: u64, namelen: u32, r#type: u32 }
    struct fuse_ext_header { size: u32, r#type: u32 }
    /// What a filter is told of the call it filters (v4 layout of the series, `linux/bpf_fuse.h`).
    struct bpf_fuse_meta_info { nodeid: u64, opcode: u32, error_in: u32, error_out: u32, padding: u32 }
}

/// Reads a struct from the start of `bytes`.
pub fn read<T: Wire>(bytes: &[u8]) -> Option<T> {
    T::read_from_prefix(bytes).ok().map(|(value, _)| value)
}

/// The 32-bit number at an offset; 0 where there are no such bytes.
pub fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

/// Length of a directory record with a name of `namelen` bytes: header, name, padded to 8.
pub const fn dirent_size(namelen: usize) -> usize {
    (size_of::<fuse_dirent>() + namelen + 7) & !7
}

/// Opcodes of the protocol that code other than the table of operations has to name.
pub mod opcode {
    #![allow(missing_docs, reason = "names of linux/fuse.h")]
    macro_rules! opcodes {
        ($($name:ident = $number:literal),* $(,)?) => {
            $(pub const $name: u32 = $number;)*
            #[cfg(test)]
            pub(crate) const ALL: &[(&str, u32)] = &[$((stringify!($name), $number)),*];
        };
    }
    opcodes!(
        FORGET = 2,
        GETATTR = 3,
        SETATTR = 4,
        MKNOD = 8,
        OPEN = 14,
        RELEASE = 18,
        INIT = 26,
        READDIR = 28,
        RELEASEDIR = 29,
        SETLKW = 33,
        INTERRUPT = 36,
        DESTROY = 38,
        COPY_FILE_RANGE = 47,
    );
}

/// `fuse_entry_out` blocks of the series: attachments to a looked-up entry.
pub mod entry {
    /// Size of one `struct fuse_bpf_entry_out`.
    pub const BLOCK: usize = 24;
    /// Most blocks one lookup may carry.
    pub const MAX: usize = 2;
    /// Longest program set name, with its NUL.
    pub const NAME_MAX: usize = 16;
    /// `FUSE_ENTRY_BACKING`: replace the backing object. Never accepted from BPF.
    pub const BACKING: u32 = 1;
    /// `FUSE_ENTRY_BPF`: give the entry this program set.
    pub const BPF: u32 = 2;
    /// `FUSE_ENTRY_REMOVE_BACKING`: drop the backing object.
    pub const REMOVE_BACKING: u32 = 3;
    /// `FUSE_ENTRY_REMOVE_BPF`: no program set.
    pub const REMOVE_BPF: u32 = 4;
}

/// Constants of `linux/fuse.h` by group.
pub mod flags {
    #![allow(missing_docs, reason = "names of linux/fuse.h")]
    /// `FATTR_*`: which fields of `fuse_setattr_in` are set.
    pub mod fattr {
        pub const MODE: u32 = 1 << 0;
        pub const UID: u32 = 1 << 1;
        pub const GID: u32 = 1 << 2;
        pub const SIZE: u32 = 1 << 3;
        pub const ATIME: u32 = 1 << 4;
        pub const MTIME: u32 = 1 << 5;
        pub const FH: u32 = 1 << 6;
        pub const ATIME_NOW: u32 = 1 << 7;
        pub const MTIME_NOW: u32 = 1 << 8;
        pub const LOCKOWNER: u32 = 1 << 9;
        pub const CTIME: u32 = 1 << 10;
        pub const KILL_SUIDGID: u32 = 1 << 11;
    }
    /// `FOPEN_*`: how the kernel treats an opened file.
    pub mod fopen {
        pub const DIRECT_IO: u32 = 1 << 0;
        pub const KEEP_CACHE: u32 = 1 << 1;
        pub const NONSEEKABLE: u32 = 1 << 2;
        pub const CACHE_DIR: u32 = 1 << 3;
        pub const STREAM: u32 = 1 << 4;
        pub const NOFLUSH: u32 = 1 << 5;
        pub const PARALLEL_DIRECT_WRITES: u32 = 1 << 6;
        pub const PASSTHROUGH: u32 = 1 << 7;
    }
    /// `fuse_getattr_in.getattr_flags`: `fh` is valid.
    pub const GETATTR_FH: u32 = 1 << 0;
    /// `fuse_fsync_in.fsync_flags`: data only.
    pub const FSYNC_FDATASYNC: u32 = 1 << 0;
    /// `fuse_lk_in.lk_flags`: a flock lock.
    pub const LK_FLOCK: u32 = 1 << 0;
    /// `fuse_release_in.release_flags`: flush on release.
    pub const RELEASE_FLUSH: u32 = 1 << 0;
    /// `fuse_release_in.release_flags`: drop the flock lock.
    pub const RELEASE_FLOCK_UNLOCK: u32 = 1 << 1;
    /// `fuse_write_in.write_flags`: from the page cache; the file handle is a guess.
    pub const WRITE_CACHE: u32 = 1 << 0;
    /// `fuse_write_in.write_flags`: clear setuid and setgid.
    pub const WRITE_KILL_SUIDGID: u32 = 1 << 2;
    /// `fuse_open_in.open_flags`: clear setuid and setgid.
    pub const OPEN_KILL_SUIDGID: u32 = 1 << 0;
    /// `fuse_setxattr_in.setxattr_flags`: clear setgid after an ACL change.
    pub const SETXATTR_ACL_KILL_SGID: u32 = 1 << 0;
    /// `fuse_in_header` extension: supplementary groups of the creator.
    pub const EXT_GROUPS: u32 = 32;
    /// `FMODE_EXEC` in `fuse_open_in.flags`: opened to be executed.
    pub const OPEN_EXEC: u32 = 0o40;
}

/// Verdicts of a filter (series, 24/36 and 33/36) and the stage bits of `meta.opcode`.
pub mod verdict {
    /// Do the backing operation; no more filters of this set.
    pub const CONTINUE: u32 = 0;
    /// Hand the call to the daemon.
    pub const USER: u32 = 1;
    /// Ask the daemon as prefilter.
    pub const USER_PREFILTER: u32 = 2;
    /// Backing operation, then the BPF postfilter.
    pub const POSTFILTER: u32 = 3;
    /// Backing operation, then the daemon as postfilter.
    pub const USER_POSTFILTER: u32 = 4;
    /// Ask `default_filter`.
    pub const CALL_DEFAULT: u32 = 5;
    /// Mask of the plain opcode.
    pub const OPCODE_FILTER: u32 = 0x0ffff;
    /// Set in `meta.opcode` while prefilters run.
    pub const PREFILTER: u32 = 0x10000;
    /// Set in `meta.opcode` while postfilters run.
    pub const POSTFILTER_BIT: u32 = 0x20000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_kernel() {
        for (desc, size) in [
            (fuse_attr::DESC, 88),
            (fuse_entry_out::DESC, 128),
            (fuse_attr_out::DESC, 104),
            (fuse_setattr_in::DESC, 88),
            (fuse_read_in::DESC, 40),
            (fuse_write_in::DESC, 40),
            (fuse_statfs_out::DESC, 80),
            (fuse_init_in::DESC, 64),
            (fuse_init_out::DESC, 64),
            (fuse_copy_file_range_in::DESC, 56),
            (fuse_lk_in::DESC, 48),
            (fuse_in_header::DESC, 40),
            (fuse_out_header::DESC, 16),
            (fuse_statx::DESC, 256),
            (fuse_statx_out::DESC, 288),
            (bpf_fuse_meta_info::DESC, 24),
            (fuse_read_out::DESC, 16),
        ] {
            assert_eq!(desc.size, size, "{}", desc.name);
        }
    }

    #[test]
    fn opcodes_are_those_of_the_table() {
        for (name, number) in opcode::ALL {
            assert_eq!(crate::ops::by_opcode(*number).unwrap().name, *name);
        }
    }

    #[test]
    fn directory_records_are_padded_to_8() {
        assert_eq!(dirent_size(0), 24);
        assert_eq!(dirent_size(1), 32);
        assert_eq!(dirent_size(8), 32);
        assert_eq!(dirent_size(255), 280);
    }
}
