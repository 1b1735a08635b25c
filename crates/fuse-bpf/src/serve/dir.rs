//! Open directories and their records.
//!
//! Filters see one page of records at a time in the form of the series: `off` is the position of the
//! record itself and `fuse_read_out.offset` the position after the last one. The kernel wants in each
//! record the position after it.

use std::sync::Arc;

use zerocopy::IntoBytes;

use super::file::reply_open;
use super::{Server, operation};
use crate::abi::*;
use crate::call::{Call, Opened};
use crate::errno::Errno;
use crate::ops::{self, READDIR_PAGE};

/// Longest name in a record (series: `FUSE_NAME_MAX`).
const NAME_MAX: usize = 1024;

operation!(
    /// FUSE_OPENDIR.
    opendir,
    |server, call| {
        call.opened = Some(Opened::Backed(server.backing.open_dir(&call.node)?));
        Ok(())
    },
    |server, call| {
        let fh = call.out::<fuse_open_out>(0).fh;
        reply_open(server, call, fh, 0)
    }
);

operation!(
    /// FUSE_RELEASEDIR. The handle is gone before any filter is asked, whatever it says.
    releasedir,
    |_, _call| Ok(())
);

operation!(
    /// FUSE_FSYNCDIR.
    fsyncdir,
    |server, call| {
        let data_only = call.input::<fuse_fsync_in>().fsync_flags & flags::FSYNC_FDATASYNC != 0;
        server.backing.fsync(call.file()?, data_only)
    }
);

operation!(
    /// FUSE_READDIR.
    readdir,
    |server, call| page(server, call),
    |server, call| emit(server, call, false)
);

operation!(
    /// FUSE_READDIRPLUS: as readdir, each record with its entry.
    readdirplus,
    |server, call| page(server, call),
    |server, call| emit(server, call, true)
);

/// Reads one page of records into the out buffer.
fn page(server: &Server, call: &mut Call<'_>) -> Result<(), Errno> {
    let start = call.position.unwrap_or(call.sent::<fuse_read_in>().offset);
    let file = Arc::clone(call.file()?);
    let page = call.arena().alloc_slice_fill_copy(READDIR_PAGE, 0u8);
    let mut len = 0;
    let end = server.backing.read_dir(&file, start, &mut |record| {
        let Some(to) = page.get_mut(len..len + dirent_size(record.name.len())) else { return false };
        write_record(to, record.ino, record.offset, record.kind.into(), record.name);
        len += to.len();
        true
    })?;
    call.out_buffer()?.fill(&page[..len]);
    call.set_out(0, &fuse_read_out { offset: end, again: 0, padding: 0 });
    Ok(())
}

/// Turns the page, as postfilters left it, into what the kernel wants.
fn emit(server: &Server, call: &mut Call<'_>, plus: bool) -> Result<(), Errno> {
    let start = call.position.unwrap_or(call.sent::<fuse_read_in>().offset);
    let out: fuse_read_out = call.out(0);
    let room = (call.sent::<fuse_read_in>().size as usize).min(call.data.len());
    let page = call.out_buffer()?.bytes();
    let mut records = Records { page };
    let mut next = records.next().transpose()?;
    let emitted = call.data_len;
    while let Some((record, name)) = next {
        next = records.next().transpose()?;
        let after = next.map_or(out.offset, |(following, _)| following.off);
        let head = if plus { size_of::<fuse_entry_out>() } else { 0 };
        let size = head + dirent_size(name.len());
        if call.data_len + size > room {
            break;
        }
        if plus {
            server.reply_plus(call, name);
        }
        let at = call.data_len + head;
        let to = call.data.get_mut(at..call.data_len + size).ok_or(Errno::EIO)?;
        write_record(to, record.ino, after, record.r#type, name);
        call.data_len += size;
    }
    // A filter that dropped every record of a page asks for the next one, lest the directory seem to end.
    if out.again != 0 && call.data_len == emitted {
        if page.is_empty() && out.offset == start {
            return Err(Errno::EINVAL);
        }
        call.position = Some(out.offset);
        call.again = true;
    }
    Ok(())
}

fn write_record(to: &mut [u8], ino: u64, off: u64, kind: u32, name: &[u8]) {
    let namelen = u32::try_from(name.len()).unwrap_or(0);
    let header = fuse_dirent { ino, off, namelen, r#type: kind };
    let bytes = header.as_bytes().iter().chain(name).chain(std::iter::repeat(&0));
    for (to, from) in to.iter_mut().zip(bytes) {
        *to = *from;
    }
}

/// The records of a page a filter may have written: checked one by one.
struct Records<'b> {
    page: &'b [u8],
}

impl<'b> Iterator for Records<'b> {
    type Item = Result<(fuse_dirent, &'b [u8]), Errno>;

    fn next(&mut self) -> Option<Self::Item> {
        let record: fuse_dirent = read(self.page)?;
        let namelen = record.namelen as usize;
        if namelen == 0 || namelen > NAME_MAX {
            self.page = &[];
            return Some(Err(Errno::EIO));
        }
        let start = size_of::<fuse_dirent>();
        // A record cut short at the end of the page is no record.
        let name = self.page.get(start..start + namelen)?;
        self.page = self.page.get(dirent_size(namelen)..).unwrap_or_default();
        if name.contains(&b'/') || name.contains(&0) {
            return Some(Err(Errno::EIO));
        }
        Some(Ok((record, name)))
    }
}

/// Whether records may carry entries: not where a lookup filter would have a say on each of them. The
/// kernel then looks them up one by one.
pub(super) fn may_carry_entries(call: &Call<'_>) -> bool {
    !call.chain.asks(Some(&ops::LOOKUP))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &[u8], off: u64) -> Vec<u8> {
        let mut bytes = vec![0; dirent_size(name.len())];
        write_record(&mut bytes, 7, off, 8, name);
        bytes
    }

    #[test]
    fn records_are_read_back() {
        let page = [record(b"a", 0), record(b"longer-name", 5)].concat();
        let all: Vec<_> = Records { page: &page }.map(|r| r.unwrap()).collect();
        assert_eq!(all[0].1, b"a");
        assert_eq!(all[1].1, b"longer-name");
        assert_eq!(all[1].0.off, 5);
    }

    #[test]
    fn what_a_filter_must_not_write_is_an_error() {
        for bad in [&b"a/b"[..], b"a\0b"] {
            assert_eq!(Records { page: &record(bad, 0) }.next(), Some(Err(Errno::EIO)));
        }
        let mut empty = record(b"x", 0);
        empty[16] = 0;
        assert_eq!(Records { page: &empty }.next(), Some(Err(Errno::EIO)));
    }

    #[test]
    fn a_cut_record_ends_the_page() {
        let page = record(b"a-name-of-some-length", 0);
        assert_eq!(Records { page: &page[..30] }.next(), None);
        assert_eq!(Records { page: &page[..10] }.next(), None);
    }
}
