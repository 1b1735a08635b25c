//! POSIX locks and flock, shared with processes beside the mount.

use super::{Server, operation};
use crate::abi::*;
use crate::call::Call;
use crate::errno::Errno;

operation!(
    /// FUSE_GETLK.
    getlk,
    |server, call| {
        let sent: fuse_lk_in = call.sent();
        let lk = server.backing.getlk(call.file()?, sent.owner, &sent.lk)?;
        call.reply(&fuse_lk_out { lk });
        Ok(())
    }
);

operation!(
    /// FUSE_SETLK: now or `EAGAIN`.
    setlk,
    |server, call| server.lock(call, false)
);

operation!(
    /// FUSE_SETLKW: answered when the lock is had, or interrupted.
    setlkw,
    |server, call| server.lock(call, true)
);
