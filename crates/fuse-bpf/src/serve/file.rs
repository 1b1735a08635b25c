//! Open files and their data.

use super::names::reply_entry;
use super::{Server, operation};
use crate::abi::flags::fopen;
use crate::abi::*;
use crate::call::{Call, Opened};
use crate::daemon::Handles;
use crate::errno::Errno;
use crate::filter::Chain;
use crate::ops;

operation!(
    /// FUSE_OPEN.
    open,
    |server, call| {
        let file = server.backing.open_file(&call.node, call.input::<fuse_open_in>().flags)?;
        call.opened = Some(Opened::Backed(file));
        Ok(())
    },
    |server, call| {
        let out: fuse_open_out = call.out(0);
        let flags = open_flags(&call.chain);
        reply_open(server, call, out.fh, flags)
    }
);

operation!(
    /// FUSE_CREATE.
    create,
    |server, call| {
        let sent: fuse_create_in = call.input();
        let name = call.string(0)?;
        let (entry, file) = server.backing.create(&call.node, name, sent.mode, sent.umask, sent.flags)?;
        call.entry = Some(entry);
        call.opened = Some(Opened::Backed(file));
        Ok(())
    },
    |server, call| reply_created(server, call)
);

operation!(
    /// FUSE_TMPFILE: an unnamed file. Filters see it as a create of the name the kernel sends, `/`.
    tmpfile,
    |server, call| {
        let sent: fuse_create_in = call.input();
        let (entry, file) = server.backing.tmpfile(&call.node, sent.mode, sent.umask, sent.flags)?;
        call.entry = Some(entry);
        call.opened = Some(Opened::Backed(file));
        Ok(())
    },
    |server, call| reply_created(server, call)
);

fn reply_created(server: &Server, call: &mut Call<'_>) -> Result<(), Errno> {
    let (entry, open): (fuse_entry_out, fuse_open_out) = (call.out(0), call.out(1));
    reply_entry(server, call, entry.nodeid)?;
    let flags = open_flags(&call.chain);
    reply_open(server, call, open.fh, flags)
}

/// Answers with the opened file of the call; `filter_fh` is the handle filters will see.
pub(super) fn reply_open(
    server: &Server,
    call: &mut Call<'_>,
    filter_fh: u64,
    open_flags: u32,
) -> Result<(), Errno> {
    let (fh, open_flags) = match call.opened.as_ref().ok_or(Errno::EIO)? {
        Opened::Backed(file) => {
            file.set_filter_fh(filter_fh);
            (server.backing.register(std::sync::Arc::clone(file)), open_flags)
        }
        Opened::Daemon(file) => {
            let handles = server.handles();
            (handles.register(std::sync::Arc::clone(file)), open_flags | file.open_flags())
        }
    };
    call.fh = Some(fh);
    call.reply(&fuse_open_out { fh, open_flags, padding: 0 });
    Ok(())
}

/// How the kernel treats an open file: where reads or writes are filtered each one must come here, so
/// its page cache is bypassed; mappings still work.
fn open_flags(chain: &Chain) -> u32 {
    let filtered = chain.asks(Some(&ops::READ_ITER)) || chain.asks(Some(&ops::WRITE_ITER));
    if filtered { fopen::DIRECT_IO | fopen::PARALLEL_DIRECT_WRITES } else { 0 }
}

operation!(
    /// FUSE_READ.
    read,
    |server, call| {
        let (sent, seen): (fuse_read_in, fuse_read_in) = (call.sent(), call.input());
        let file = std::sync::Arc::clone(call.file()?);
        let size = (seen.size.min(sent.size) as usize).min(call.data.len());
        let read = server.backing.read(&file, seen.offset, &mut call.data[..size])?;
        call.show_data(read)
    },
    |_, call| {
        let out: fuse_read_iter_out = call.out(0);
        call.take_data()?;
        call.data_len = call.data_len.min(usize::try_from(out.ret).unwrap_or(usize::MAX));
        Ok(())
    }
);

operation!(
    /// FUSE_WRITE.
    write,
    |server, call| {
        let (sent, seen): (fuse_write_in, fuse_write_in) = (call.sent(), call.input());
        let data = call.payload();
        let size = (seen.size.min(sent.size) as usize).min(data.len());
        let data = data.get(..size).ok_or(Errno::EINVAL)?;
        let file = call.file()?;
        // What comes from the page cache has its place, and the handle is a guess.
        let append = sent.flags & libc::O_APPEND.cast_unsigned() != 0 && sent.write_flags & flags::WRITE_CACHE == 0;
        let written = server.backing.write(file, seen.offset, data, append)?;
        call.set_out(0, &fuse_write_iter_out { ret: written as u64 });
        Ok(())
    },
    |_, call| {
        let (sent, out): (fuse_write_in, fuse_write_iter_out) = (call.sent(), call.out(0));
        let size = u32::try_from(out.ret).unwrap_or(u32::MAX).min(sent.size);
        call.reply(&fuse_write_out { size, padding: 0 });
        Ok(())
    }
);

operation!(
    /// FUSE_FLUSH: sent for every close(2).
    flush,
    |server, call| {
        let owner = call.sent::<fuse_flush_in>().lock_owner;
        server.backing.flush(call.file()?, owner)
    }
);

operation!(
    /// FUSE_RELEASE. The handle is gone before any filter is asked, whatever it says.
    release,
    |_, _call| Ok(())
);

operation!(
    /// FUSE_FSYNC.
    fsync,
    |server, call| {
        let data_only = call.input::<fuse_fsync_in>().fsync_flags & flags::FSYNC_FDATASYNC != 0;
        server.backing.fsync(call.file()?, data_only)
    }
);

operation!(
    /// FUSE_FALLOCATE.
    fallocate,
    |server, call| {
        let seen: fuse_fallocate_in = call.input();
        server.backing.fallocate(call.file()?, seen.mode, seen.offset, seen.length)
    }
);

operation!(
    /// FUSE_LSEEK: the kernel asks for SEEK_DATA and SEEK_HOLE only.
    lseek,
    |server, call| {
        let seen: fuse_lseek_in = call.input();
        let offset = server.backing.lseek(call.file()?, seen.offset, seen.whence)?;
        call.set_out(0, &fuse_lseek_out { offset });
        Ok(())
    },
    |_, call| {
        let out: fuse_lseek_out = call.out(0);
        call.reply(&out);
        Ok(())
    }
);

operation!(
    /// FUSE_COPY_FILE_RANGE.
    copy_file_range,
    |server, call| copy(server, call),
    |_, call| {
        let out: fuse_write_out = call.out(0);
        call.reply(&out);
        Ok(())
    }
);

operation!(
    /// FUSE_COPY_FILE_RANGE_64: the same with a longer count in the answer. It cannot be refused: a kernel that hears so twice at once
    /// takes it that neither exists, and then copies by reading and writing.
    copy_file_range_64,
    |server, call| copy(server, call),
    |_, call| {
        let out: fuse_write_out = call.out(0);
        call.reply(&fuse_copy_file_range_out { bytes_copied: out.size.into() });
        Ok(())
    }
);

fn copy(server: &Server, call: &mut Call<'_>) -> Result<(), Errno> {
    let (sent, seen): (fuse_copy_file_range_in, fuse_copy_file_range_in) = (call.sent(), call.input());
    if Handles::has(sent.fh_out) {
        return Err(Errno::EXDEV);
    }
    let to = server.backing.file(sent.fh_out)?;
    server.may_copy(call, to.node())?;
    let len = seen.len.min(u64::from(u32::MAX));
    let copied =
        server.backing.copy_file_range(call.file()?, seen.off_in, &to, seen.off_out, len, seen.flags)?;
    call.set_out(0, &fuse_write_out { size: u32::try_from(copied).unwrap_or(u32::MAX), padding: 0 });
    Ok(())
}

operation!(
    /// FUSE_SYNCFS.
    syncfs,
    |server, call| server.backing.syncfs(&call.node)
);

operation!(
    /// FUSE_IOCTL: inode flags and attributes; what else exists means nothing through a mount.
    ioctl,
    |server, call| {
        let sent: fuse_ioctl_in = call.sent();
        let input = call.request.payload.get(..sent.in_size as usize).ok_or(Errno::EINVAL)?;
        let size = (sent.out_size as usize).min(call.data.len());
        let file = std::sync::Arc::clone(call.file()?);
        let (result, len) = server.backing.ioctl(&file, sent.cmd, input, &mut call.data[..size])?;
        call.data_len = len;
        call.reply(&fuse_ioctl_out { result, ..Default::default() });
        Ok(())
    }
);
