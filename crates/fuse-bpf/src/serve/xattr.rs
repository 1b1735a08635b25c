//! Extended attributes.

use super::{Server, operation};
use crate::abi::*;
use crate::call::Call;
use crate::errno::Errno;

operation!(
    /// FUSE_GETXATTR.
    getxattr,
    |server, call| {
        let name = call.string(0)?;
        let node = std::sync::Arc::clone(&call.node);
        fetch(call, |value| server.backing.getxattr(&node, name, value))
    },
    |_, call| reply_value(call)
);

operation!(
    /// FUSE_LISTXATTR.
    listxattr,
    |server, call| {
        let node = std::sync::Arc::clone(&call.node);
        fetch(call, |list| server.backing.listxattr(&node, list))
    },
    |_, call| reply_value(call)
);

/// Size the kernel asks for: 0 to learn how much there is.
fn wanted(call: &Call<'_>) -> usize {
    call.sent::<fuse_getxattr_in>().size as usize
}

/// Puts a value, or its length when only that was asked for, where postfilters find it.
fn fetch(call: &mut Call<'_>, get: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<(), Errno> {
    let wanted = wanted(call).min(call.data.len());
    let value = call.arena().alloc_slice_fill_copy(wanted, 0u8);
    let len = get(value)?;
    if wanted == 0 {
        let size = u32::try_from(len).map_err(|_| Errno::E2BIG)?;
        call.set_out(0, &fuse_getxattr_out { size, padding: 0 });
    } else {
        call.out_buffer()?.fill(value.get(..len).ok_or(Errno::ERANGE)?);
    }
    Ok(())
}

fn reply_value(call: &mut Call<'_>) -> Result<(), Errno> {
    if wanted(call) == 0 {
        let out: fuse_getxattr_out = call.out(0);
        call.reply(&out);
        return Ok(());
    }
    let bytes = call.out_buffer()?.bytes();
    call.data.get_mut(..bytes.len()).ok_or(Errno::ERANGE)?.copy_from_slice(bytes);
    call.data_len = bytes.len();
    Ok(())
}

operation!(
    /// FUSE_SETXATTR.
    setxattr,
    |server, call| {
        let (sent, seen): (fuse_setxattr_in, fuse_setxattr_in) = (call.sent(), call.input());
        let value = call.payload();
        if sent.size as usize != call.request.payload.len() {
            return Err(Errno::EINVAL);
        }
        server.backing.setxattr(&call.node, call.string(0)?, value, seen.flags)
    }
);

operation!(
    /// FUSE_REMOVEXATTR.
    removexattr,
    |server, call| server.backing.removexattr(&call.node, call.string(0)?)
);
