//! Names: finding, making, moving and removing them.

use super::{Server, operation};
use crate::abi::*;
use crate::backing::Entry;
use crate::call::Call;
use crate::errno::Errno;

operation!(
    /// FUSE_LOOKUP.
    lookup,
    |server, call| {
        let entry = server.backing.lookup(&call.node, call.string(0)?)?;
        call.set_out(0, &fuse_entry_out { attr: entry.attr, ..Default::default() });
        call.entry = Some(entry);
        Ok(())
    },
    |server, call| {
        let nodeid = call.out::<fuse_entry_out>(0).nodeid;
        reply_entry(server, call, nodeid)
    }
);

operation!(
    /// FUSE_MKNOD.
    mknod,
    |server, call| {
        let sent: fuse_mknod_in = call.input();
        let entry = server.backing.mknod(&call.node, call.string(0)?, sent.mode, sent.rdev, sent.umask)?;
        made(call, entry)
    },
    |server, call| reply_entry(server, call, 0)
);

operation!(
    /// FUSE_MKDIR.
    mkdir,
    |server, call| {
        let sent: fuse_mkdir_in = call.input();
        let entry = server.backing.mkdir(&call.node, call.string(0)?, sent.mode, sent.umask)?;
        made(call, entry)
    },
    |server, call| reply_entry(server, call, 0)
);

operation!(
    /// FUSE_SYMLINK.
    symlink,
    |server, call| {
        let entry = server.backing.symlink(&call.node, call.string(0)?, call.string(1)?)?;
        made(call, entry)
    },
    |server, call| reply_entry(server, call, 0)
);

operation!(
    /// FUSE_LINK.
    link,
    |server, call| {
        let entry = server.backing.link(call.other()?, &call.node, call.string(0)?)?;
        made(call, entry)
    },
    |server, call| reply_entry(server, call, 0)
);

operation!(
    /// FUSE_UNLINK.
    unlink,
    |server, call| server.backing.unlink(&call.node, call.string(0)?)
);

operation!(
    /// FUSE_RMDIR.
    rmdir,
    |server, call| server.backing.rmdir(&call.node, call.string(0)?)
);

operation!(
    /// FUSE_RENAME.
    rename,
    |server, call| move_name(server, call, 0)
);

operation!(
    /// FUSE_RENAME2.
    rename2,
    |server, call| {
        let flags = call.input::<fuse_rename2_in>().flags;
        move_name(server, call, flags)
    }
);

fn move_name(server: &Server, call: &mut Call<'_>, flags: u32) -> Result<(), Errno> {
    let (name, to, new_name) = (call.string(0)?, call.other()?, call.string(1)?);
    if let Some(moved) = server.backing.rename(&call.node, name, to, new_name, flags)? {
        server.moved(&moved, to, new_name);
    }
    Ok(())
}

/// Keeps what was made until the kernel has been told.
fn made(call: &mut Call<'_>, entry: Entry) -> Result<(), Errno> {
    call.entry = Some(entry);
    Ok(())
}

/// Answers with the entry of the call, after giving it its program sets and, unless 0, the nodeid filters
/// will see.
pub(super) fn reply_entry(server: &Server, call: &mut Call<'_>, filter_nodeid: u64) -> Result<(), Errno> {
    if call.entry_removed {
        return Err(Errno::ENOENT);
    }
    let adopted = call.node.is_lent() && call.entry.as_ref().is_some_and(|entry| !entry.node.is_lent());
    let wanted = match adopted {
        true => server.sets_of_adopted(call)?,
        false => call.entry_chain.take().or_else(|| server.sets_of_made(call)),
    };
    let entry = call.entry.as_ref().ok_or(Errno::EIO)?;
    let chain = server.attach(&call.chain, wanted, &entry.node)?;
    if filter_nodeid != 0 && !entry.node.is_lent() {
        entry.node.set_filter_nodeid(filter_nodeid);
    }
    let out = server.entry_out(entry, &call.chain, &chain);
    call.reply(&out);
    Ok(())
}
