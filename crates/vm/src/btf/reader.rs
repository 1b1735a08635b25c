//! Bounds-checked reading of little-endian words, shared by both sections.

use super::BtfError;

/// `magic` of both sections.
pub(super) const MAGIC: u16 = 0xeb9f;

/// A cursor over a range of a section. Offsets are from the start of the section.
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    end: usize,
}

impl<'b> Reader<'b> {
    /// Reads `start..end`, which [`Header::range`] or the caller checked; reading past what
    /// exists is an error all the same.
    pub(super) fn new(bytes: &'b [u8], start: usize, end: usize) -> Self {
        Reader { bytes, at: start, end: end.min(bytes.len()) }
    }

    pub(super) fn offset(&self) -> usize {
        self.at
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.end
    }

    pub(super) fn malformed(&self, reason: &'static str) -> BtfError {
        BtfError::Malformed { offset: self.at, reason }
    }

    pub(super) fn u32(&mut self) -> Result<u32, BtfError> {
        let word = self.bytes.get(self.at..self.end).and_then(<[u8]>::first_chunk::<4>);
        let word = word.ok_or_else(|| self.malformed("ends in the middle of a record"))?;
        self.at += 4;
        Ok(u32::from_le_bytes(*word))
    }

    /// An offset into a string table of `strings` bytes.
    pub(super) fn string(&mut self, strings: usize) -> Result<u32, BtfError> {
        let at = self.at;
        let offset = self.u32()?;
        if (offset as usize) < strings {
            Ok(offset)
        } else {
            Err(BtfError::Malformed { offset: at, reason: "name lies outside the string table" })
        }
    }

    /// An empty list with room for `len` records of `size` bytes, if so many can follow.
    pub(super) fn list<T>(&self, len: u32, size: usize) -> Result<Vec<T>, BtfError> {
        let room = self.end.saturating_sub(self.at) / size.max(1);
        if len as usize > room {
            return Err(self.malformed("announces more records than fit"));
        }
        Ok(Vec::with_capacity(len as usize))
    }

    /// Moves on to `offset`, which must not lie behind.
    pub(super) fn skip_to(&mut self, offset: usize) -> Result<(), BtfError> {
        if offset < self.at || offset > self.end {
            return Err(self.malformed("record leaves its table"));
        }
        self.at = offset;
        Ok(())
    }
}

/// What both headers start with.
pub(super) struct Header {
    pub(super) len: usize,
}

impl Header {
    /// Checks magic, version and flags, and that the header has at least `least` bytes.
    pub(super) fn read(bytes: &[u8], least: usize) -> Result<Header, BtfError> {
        let bad = |offset, reason| Err(BtfError::Malformed { offset, reason });
        let Some(&[m0, m1, version, flags, l0, l1, l2, l3]) = bytes.first_chunk::<8>() else {
            return bad(0, "shorter than its header");
        };
        match u16::from_le_bytes([m0, m1]) {
            MAGIC => {}
            magic if magic.swap_bytes() == MAGIC => return bad(0, "big-endian; build with -target bpfel"),
            _ => return bad(0, "wrong magic number"),
        }
        if version != 1 {
            return bad(2, "unknown version");
        }
        if flags != 0 {
            return bad(3, "unknown flags");
        }
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if len < least || len > bytes.len() {
            return bad(4, "impossible header length");
        }
        Ok(Header { len })
    }

    /// Start and end of a table, given its offset from the end of the header and its length.
    /// `field` is where the header says so.
    pub(super) fn range(
        &self,
        bytes: &[u8],
        off: u32,
        len: u32,
        field: usize,
    ) -> Result<(usize, usize), BtfError> {
        let start = self.len.checked_add(off as usize);
        let end = start.and_then(|start| start.checked_add(len as usize));
        match (start, end) {
            (Some(start), Some(end)) if end <= bytes.len() => Ok((start, end)),
            _ => Err(BtfError::Malformed { offset: field, reason: "table lies outside the section" }),
        }
    }
}

/// Takes a string table: starts and ends with NUL. Bytes that are not UTF-8 (comments in old
/// source files) become `?` so that offsets stay.
pub(super) fn strings(bytes: &[u8], start: usize, end: usize) -> Result<String, BtfError> {
    let mut table = bytes.get(start..end).unwrap_or_default().to_vec();
    if table.first() != Some(&0) || table.last() != Some(&0) {
        let reason = "string table does not start and end with NUL";
        return Err(BtfError::Malformed { offset: start, reason });
    }
    let mut from = 0;
    while let Some(rest) = table.get_mut(from..)
        && let Err(error) = str::from_utf8(rest)
    {
        let bad = error.valid_up_to();
        let len = error.error_len().unwrap_or(rest.len() - bad);
        rest.iter_mut().skip(bad).take(len).for_each(|b| *b = b'?');
        from += bad + len;
    }
    String::from_utf8(table)
        .map_err(|_| BtfError::Malformed { offset: start, reason: "string table is not text" })
}
