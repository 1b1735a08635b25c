//! Extended attributes, ACLs among them.

use std::ffi::CStr;

use rustix::fs::XattrFlags;

use super::Backing;
use super::node::Node;
use crate::errno::Errno;

impl Backing {
    /// The value of an attribute; with an empty buffer its length.
    ///
    /// # Errors
    ///
    /// Those of getxattr(2).
    pub fn getxattr(&self, node: &Node, name: &CStr, value: &mut [u8]) -> Result<usize, Errno> {
        let fd = self.nodes.fd(node)?;
        let path = self.proc_path(&fd);
        if value.is_empty() {
            return Ok(rustix::fs::getxattr_query(path, name)?);
        }
        Ok(rustix::fs::getxattr(path, name, value)?)
    }

    /// The names of all attributes, each with its NUL; with an empty buffer their length.
    ///
    /// # Errors
    ///
    /// Those of listxattr(2).
    pub fn listxattr(&self, node: &Node, list: &mut [u8]) -> Result<usize, Errno> {
        let fd = self.nodes.fd(node)?;
        let path = self.proc_path(&fd);
        if list.is_empty() {
            return Ok(rustix::fs::listxattr_query(path)?);
        }
        Ok(rustix::fs::listxattr(path, list)?)
    }

    /// Sets an attribute.
    ///
    /// # Errors
    ///
    /// Those of setxattr(2).
    pub fn setxattr(&self, node: &Node, name: &CStr, value: &[u8], flags: u32) -> Result<(), Errno> {
        let fd = self.nodes.fd(node)?;
        Ok(rustix::fs::setxattr(self.proc_path(&fd), name, value, XattrFlags::from_bits_retain(flags))?)
    }

    /// Removes an attribute.
    ///
    /// # Errors
    ///
    /// Those of removexattr(2).
    pub fn removexattr(&self, node: &Node, name: &CStr) -> Result<(), Errno> {
        let fd = self.nodes.fd(node)?;
        Ok(rustix::fs::removexattr(self.proc_path(&fd), name)?)
    }
}
