//! How requests come and replies go: `/dev/fuse`, mounting, and what is agreed with the kernel.
//!
//! Nothing here knows what a request means.

mod dev;
mod init;
mod ioctl;
mod mount;

pub use dev::{Buffer, Channel, Delivery, Reply, Request};
pub use init::{CAPABILITIES, Capability, InitConfig, InitError, Negotiated, State, negotiate};
pub use mount::{FS_TYPE, MountError, MountOptions, Mounted, mount, mounted_at, unmount};
