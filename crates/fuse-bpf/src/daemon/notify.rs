//! What a daemon tells the kernel without being asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zerocopy::IntoBytes as _;

use super::Daemon;
use crate::abi::{ROOT_ID, fuse_forget_in, fuse_in_header, opcode};
use crate::backing::{Lender, Node};
use crate::session::Kernel;
use crate::transport::Request;

/// Inodes that go by the daemon's numbers: where the kernel's are found when the daemon speaks of them.
#[derive(Debug)]
pub(super) struct Known {
    daemon: Arc<dyn Daemon>,
    ids: Mutex<HashMap<u64, u64>>,
}

impl Known {
    pub(super) fn new(daemon: Arc<dyn Daemon>) -> Known {
        Known { daemon, ids: Mutex::new(HashMap::from([(ROOT_ID, ROOT_ID)])) }
    }

    fn ids(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes which inode the daemon means by a number.
    pub(super) fn note(&self, nodeid: u64, node: &Node) {
        self.ids().insert(nodeid, node.nodeid());
    }

    /// The kernel's number for it.
    pub(super) fn id(&self, nodeid: u64) -> Option<u64> {
        self.ids().get(&nodeid).copied()
    }

    /// How many there are, the root not counted.
    pub(super) fn len(&self) -> usize {
        self.ids().len() - 1
    }
}

impl Lender for Known {
    fn forget(&self, node: u64, nodeid: u64, nlookup: u64) {
        let mut ids = self.ids();
        // Another inode may have come by the same number meanwhile.
        if ids.get(&nodeid) == Some(&node) && node != ROOT_ID {
            ids.remove(&nodeid);
        }
        drop(ids);
        let header = fuse_in_header { opcode: opcode::FORGET, nodeid, ..Default::default() };
        self.daemon.tell(&Request { header, body: fuse_forget_in { nlookup }.as_bytes() });
    }
}

/// How a daemon tells the kernel what it was not asked: that something changed, that a file is ready. Inodes are given by
/// the daemon's numbers.
#[derive(Debug, Clone)]
pub struct Notifier {
    pub(super) known: Arc<Known>,
    pub(super) kernel: Kernel,
}

/// A notification (`enum fuse_notify_code`) and where in it inodes are named.
struct Notification {
    code: i32,
    name: &'static str,
    /// Offsets of nodeids.
    nodes: &'static [usize],
}

const fn notification(code: i32, name: &'static str, nodes: &'static [usize]) -> Notification {
    Notification { code, name, nodes }
}

/// What daemons say.
static NOTIFICATIONS: &[Notification] = &[
    notification(1, "POLL", &[]),
    notification(2, "INVAL_INODE", &[0]),
    notification(3, "INVAL_ENTRY", &[0]),
    notification(4, "STORE", &[0]),
    notification(5, "RETRIEVE", &[8]),
    notification(6, "DELETE", &[0, 8]),
    notification(8, "INC_EPOCH", &[]),
];

impl Notifier {
    /// Tells the kernel something, in the form of the protocol: a code of `enum fuse_notify_code` and its struct, with what
    /// follows it. What is not known by the kernel, or not understood here, is dropped with a line in the log.
    pub fn pass_on(&self, code: i32, body: &[u8]) {
        let Some(notification) = NOTIFICATIONS.iter().find(|n| n.code == code) else {
            return tracing::warn!("the daemon sent notification {code}, which has no meaning here");
        };
        let name = notification.name;
        let mut body = body.to_vec();
        for &at in notification.nodes {
            let Some(word) = body.get_mut(at..at + 8) else {
                return tracing::error!("the daemon sent a notification {name} that is too short");
            };
            let nodeid = u64::from_ne_bytes(word.try_into().unwrap_or_default());
            match self.known.id(nodeid) {
                Some(id) => word.copy_from_slice(&id.to_ne_bytes()),
                // A child that is gone from the kernel is deleted by its name all the same.
                None if at > 0 && name == "DELETE" => word.fill(0),
                None => return tracing::debug!("notification {name} of inode {nodeid}, not known here"),
            }
        }
        if let Err(error) = self.kernel.notify(code, &[&body]) {
            tracing::debug!("notification {name}: {error}");
        }
    }
}
