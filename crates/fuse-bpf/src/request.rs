//! The request decoder: bytes from the kernel to a typed view, by the table of operations.

use std::ffi::CStr;

use crate::abi::{self, fuse_ext_header, fuse_in_header};
use crate::ops::{self, Op};

/// Most strings a request has.
const STRINGS: usize = 2;

/// A request, borrowed from the buffer it was read into.
#[derive(Debug, Clone, Copy)]
pub struct Decoded<'b> {
    /// Its row of the table.
    pub op: &'static Op,
    /// The bytes of the fixed struct; exactly its size.
    pub input: &'b [u8],
    /// The strings; as many as the table says, the rest empty.
    pub strings: [&'b CStr; STRINGS],
    /// The bytes after the strings.
    pub payload: &'b [u8],
    /// The supplementary group the kernel vouches for (`FUSE_EXT_GROUPS`).
    pub group: Option<u32>,
}

/// Why a request makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The opcode is not in the table.
    #[error("unknown opcode {0}")]
    Opcode(u32),
    /// The request ends inside a part.
    #[error("{op}: request ends inside `{part}`")]
    Short {
        /// Operation.
        op: &'static str,
        /// The part.
        part: &'static str,
    },
    /// There are bytes nobody reads.
    #[error("{op}: {count} bytes too many")]
    Long {
        /// Operation.
        op: &'static str,
        /// How many.
        count: usize,
    },
    /// The extensions do not fit the request or each other.
    #[error("{op}: malformed extension block")]
    Extension {
        /// Operation.
        op: &'static str,
    },
}

/// Decodes the bytes after the header.
pub fn decode<'b>(header: &fuse_in_header, body: &'b [u8]) -> Result<Decoded<'b>, DecodeError> {
    let op = ops::by_opcode(header.opcode).ok_or(DecodeError::Opcode(header.opcode))?;
    let extensions = usize::from(header.total_extlen) * 8;
    let end = body.len().checked_sub(extensions).ok_or(DecodeError::Extension { op: op.name })?;
    let (body, extensions) = body.split_at(end);
    let group = group(extensions).ok_or(DecodeError::Extension { op: op.name })?;

    let (input, mut rest) = match op.input {
        Some(desc) => {
            body.split_at_checked(desc.size).ok_or(DecodeError::Short { op: op.name, part: desc.name })?
        }
        None => (&body[..0], body),
    };
    let mut strings = [c""; STRINGS];
    for (slot, part) in strings.iter_mut().zip(op.strings) {
        let string =
            CStr::from_bytes_until_nul(rest).map_err(|_| DecodeError::Short { op: op.name, part })?;
        rest = &rest[string.to_bytes_with_nul().len()..];
        *slot = string;
    }
    if op.payload.is_none() && !rest.is_empty() {
        return Err(DecodeError::Long { op: op.name, count: rest.len() });
    }
    Ok(Decoded { op, input, strings, payload: rest, group })
}

/// Walks the extension records (`struct fuse_ext_header`) and picks the group. `None` when malformed.
fn group(mut records: &[u8]) -> Option<Option<u32>> {
    let mut found = None;
    while !records.is_empty() {
        let header: fuse_ext_header = abi::read(records)?;
        let size = usize::try_from(header.size).ok()?;
        if size < size_of::<fuse_ext_header>() || size > records.len() {
            return None;
        }
        let (record, rest) = records.split_at(size);
        if header.r#type == abi::flags::EXT_GROUPS {
            let words = record.get(8..)?;
            let count = u32::from_ne_bytes(words.get(..4)?.try_into().ok()?);
            if count > 0 {
                found = Some(u32::from_ne_bytes(words.get(4..8)?.try_into().ok()?));
            }
        }
        records = rest;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(opcode: u32, extlen: u16) -> fuse_in_header {
        fuse_in_header { opcode, total_extlen: extlen, ..Default::default() }
    }

    #[test]
    fn a_rename_has_a_struct_and_two_names() {
        let mut body = 7u64.to_ne_bytes().to_vec();
        body.extend(b"old\0new\0");
        let decoded = decode(&header(12, 0), &body).unwrap();
        assert_eq!(decoded.input, 7u64.to_ne_bytes());
        assert_eq!(decoded.strings, [c"old", c"new"]);
        assert!(decoded.payload.is_empty());
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            decode(&header(12, 0), &[0; 7]).unwrap_err(),
            DecodeError::Short { op: "RENAME", part: "fuse_rename_in" }
        );
        assert_eq!(
            decode(&header(1, 0), b"no end").unwrap_err(),
            DecodeError::Short { op: "LOOKUP", part: "name" }
        );
        assert_eq!(decode(&header(99, 0), b"").unwrap_err(), DecodeError::Opcode(99));
        assert_eq!(decode(&header(1, 0), b"a\0b").unwrap_err(), DecodeError::Long { op: "LOOKUP", count: 1 });
    }

    #[test]
    fn the_creators_group_is_found_behind_the_name() {
        let mut body = vec![0; 8];
        body.extend(b"d\0");
        for word in [16u32, 32, 1, 1000] {
            body.extend(word.to_ne_bytes());
        }
        let decoded = decode(&header(9, 2), &body).unwrap();
        assert_eq!(decoded.strings[0], c"d");
        assert_eq!(decoded.group, Some(1000));
        assert_eq!(decode(&header(9, 9), &body).unwrap_err(), DecodeError::Extension { op: "MKDIR" });
    }

    /// A request of the shape the table gives an operation.
    fn shaped(op: &Op) -> Vec<u8> {
        let mut body = vec![0x11; op.input.map_or(0, |desc| desc.size)];
        for name in op.strings {
            body.extend(name.as_bytes());
            body.push(0);
        }
        if op.payload.is_some() {
            body.extend([0x22; 5]);
        }
        body
    }

    #[test]
    fn every_operation_decodes_its_own_shape_and_nothing_shorter() {
        for op in ops::OPS {
            let body = shaped(op);
            let decoded = decode(&header(op.opcode, 0), &body).unwrap();
            assert!(std::ptr::eq(decoded.op, op));
            assert_eq!(decoded.input.len(), op.input.map_or(0, |desc| desc.size), "{}", op.name);
            for (string, name) in decoded.strings.iter().zip(op.strings) {
                assert_eq!(string.to_bytes(), name.as_bytes(), "{}", op.name);
            }
            assert_eq!(decoded.payload.len(), if op.payload.is_some() { 5 } else { 0 }, "{}", op.name);
            let fixed = body.len() - decoded.payload.len();
            for cut in 0..fixed {
                assert!(
                    matches!(decode(&header(op.opcode, 0), &body[..cut]), Err(DecodeError::Short { .. })),
                    "{} cut at {cut}",
                    op.name
                );
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(opcode in 0u32..60, extlen in 0u16..8, body: Vec<u8>) {
            if let Ok(decoded) = decode(&header(opcode, extlen), &body) {
                let strings: usize = decoded.strings.iter().take(decoded.op.strings.len()).map(|s| s.count_bytes() + 1).sum();
                proptest::prop_assert_eq!(
                    decoded.input.len() + strings + decoded.payload.len() + usize::from(extlen) * 8,
                    body.len()
                );
            }
        }
    }
}
