//! What the embedder lends a program for one run, beside its arguments.

use crate::mem::Window;

/// The thread on whose behalf a program runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caller {
    /// Effective user id for file access.
    pub uid: u32,
    /// Effective group id for file access.
    pub gid: u32,
    /// Thread id.
    pub tid: u32,
}

/// An opaque, possibly growable byte buffer of the embedder. Programs hold a handle to it and
/// reach its bytes only through dynptrs.
pub trait Buffer<'r> {
    /// Length in bytes.
    fn len(&self) -> usize;
    /// Whether the buffer holds no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The bytes, read-only.
    fn read(&self) -> Window<'r>;
    /// Write access to the buffer resized to `size`; with `copy` the old bytes stay. `None` when
    /// the buffer may not be written or not be that large: it is then unchanged. Memory handed out
    /// earlier stays valid until the run ends.
    fn write(&mut self, size: usize, copy: bool) -> Option<Window<'r>>;

    /// Write access to the bytes as they are: nothing is copied, and the length stays.
    ///
    /// # Errors
    ///
    /// [`Refused::Immutable`], or [`Refused::Lent`] where the bytes are somebody else's until
    /// [`Buffer::resize`].
    fn edit(&mut self) -> Result<Window<'r>, Refused> {
        let len = self.len();
        self.write(len, true).ok_or(Refused::Immutable)
    }

    /// Gives the buffer memory of its own with room for `size` bytes. What fits stays, and what is new is zero.
    ///
    /// # Errors
    ///
    /// [`Refused::Immutable`] or [`Refused::TooLarge`]; the buffer is then unchanged.
    fn resize(&mut self, size: usize) -> Result<(), Refused> {
        self.write(size, true).map(|_| ()).ok_or(Refused::TooLarge)
    }
}

/// Why a buffer is not to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Nobody may change it.
    Immutable,
    /// Its bytes are somebody else's.
    Lent,
    /// It may not be that large.
    TooLarge,
}

/// What one run may ask of its embedder.
pub trait Host<'r> {
    /// The buffer behind an opaque argument, by the number given in
    /// [`crate::interp::Arg::Buffer`].
    fn buffer(&mut self, index: u32) -> Option<&mut dyn Buffer<'r>>;
    /// The calling thread.
    fn caller(&self) -> Caller;
    /// The calling process's id (thread group); the thread's own id when it is gone.
    fn process(&self) -> u32;
    /// The calling process's command name, NUL-padded (`TASK_COMM_LEN` is 16).
    fn comm(&self) -> [u8; 16];
    /// What the operation in progress is about, as a number that stands for the same thing as long as
    /// the thing exists: the key of [`crate::maps::MapKind::InodeStorage`]. `None` when it is about
    /// nothing that storage could belong to.
    fn node(&self) -> Option<u64> {
        None
    }
    /// The id of the cgroup the calling process is in, in the version-2 hierarchy; or of that ancestor of it which has
    /// so many above it. 0 if there is none.
    fn cgroup(&self, _level: Option<u32>) -> u64 {
        0
    }
    /// Reads from the file the operation in progress is on; how much was read, less than asked for at its end only.
    /// `None` when it is on none, or that cannot be read.
    fn read_file(&mut self, _offset: u64, _to: &mut [u8]) -> Option<usize> {
        None
    }
    /// Sets what the operation in progress ends with: 0, or a negative error number. Whether that can be done.
    fn set_result(&mut self, _result: i32) -> bool {
        false
    }
    /// A line printed by `bpf_printk`.
    fn print(&mut self, line: &str);
}

/// Nobody a program could ask: no buffers, a caller with all ids 0, and what it prints is lost. For programs
/// that are run for their result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Nobody;

impl<'r> Host<'r> for Nobody {
    fn buffer(&mut self, _: u32) -> Option<&mut dyn Buffer<'r>> {
        None
    }

    fn caller(&self) -> Caller {
        Caller::default()
    }

    fn process(&self) -> u32 {
        0
    }

    fn comm(&self) -> [u8; 16] {
        [0; 16]
    }

    fn print(&mut self, _: &str) {}
}
