//! Attributes of inodes and of the file system.

use super::{Server, operation};
use crate::abi::*;
use crate::call::Call;
use crate::errno::Errno;
use crate::ops;

operation!(
    /// FUSE_GETATTR.
    getattr,
    |server, call| {
        let by_file = call.input::<fuse_getattr_in>().getattr_flags & flags::GETATTR_FH != 0;
        let attr = server.backing.getattr(&call.node, call.file.as_deref().filter(|_| by_file))?;
        call.set_out(0, &fuse_attr_out { attr, ..Default::default() });
        Ok(())
    },
    |server, call| reply_attr(server, call)
);

operation!(
    /// FUSE_SETATTR. Filters may edit the values, and which of them are set.
    setattr,
    |server, call| {
        let set: fuse_setattr_in = call.input();
        let attr = server.backing.setattr(&call.node, call.file.as_deref(), &set)?;
        call.set_out(0, &fuse_attr_out { attr, ..Default::default() });
        Ok(())
    },
    |server, call| reply_attr(server, call)
);

/// Answers with attributes. A filter may change any of them but the type of the file, which would turn
/// the inode into another.
fn reply_attr(server: &Server, call: &mut Call<'_>) -> Result<(), Errno> {
    let mut out: fuse_attr_out = call.out(0);
    if out.attr.mode & libc::S_IFMT != call.node.mode() & libc::S_IFMT {
        return Err(Errno::EIO);
    }
    if (out.attr_valid, out.attr_valid_nsec) == (0, 0) && !call.node.is_lent() {
        (out.attr_valid, out.attr_valid_nsec) = server.attr_valid(&call.chain);
    }
    call.reply(&out);
    Ok(())
}

operation!(
    /// FUSE_STATX. The series has no member for it; where a getattr filter could have changed the answer
    /// the kernel is told to ask that way.
    statx,
    |server, call| {
        if call.chain.asks(Some(&ops::GETATTR)) {
            return Err(Errno::ENOSYS);
        }
        let sent: fuse_statx_in = call.sent();
        let stat = server.backing.statx(&call.node, call.file.as_deref(), sent.sx_mask, sent.sx_flags)?;
        let (attr_valid, attr_valid_nsec) = server.attr_valid(&call.chain);
        call.reply(&fuse_statx_out { attr_valid, attr_valid_nsec, stat, ..Default::default() });
        Ok(())
    }
);

operation!(
    /// FUSE_STATFS.
    statfs,
    |server, call| {
        let st = server.backing.statfs(&call.node)?;
        call.set_out(0, &fuse_statfs_out { st });
        Ok(())
    },
    |_, call| {
        let out: fuse_statfs_out = call.out(0);
        call.reply(&out);
        Ok(())
    }
);

operation!(
    /// FUSE_READLINK.
    readlink,
    |server, call| {
        call.data_len = match call.edited(0) {
            Some(name) => server.backing.readlink_beside(&call.node, name?, call.data)?,
            None => server.backing.readlink(&call.node, call.data)?,
        };
        call.show_data(call.data_len)
    },
    |_, call| call.take_data()
);

operation!(
    /// FUSE_ACCESS: as the kernel sends it, for access(2) and chdir(2).
    access,
    |server, call| server.backing.access(&call.node, call.input::<fuse_access_in>().mask)
);
