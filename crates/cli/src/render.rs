//! Values of filter calls as text and as JSON.

use std::fmt::Write as _;

use fuse_bpf::Errno;
use fuse_bpf::abi::{FieldDesc, StructDesc, verdict};
use fuse_bpf::call::{Argument, Inspection};
use serde_json::{Value, json};

/// Bytes of a buffer that are shown.
const SHOWN: usize = 96;

/// What a filter's value is called in C.
pub(crate) fn verdict_name(value: u32) -> String {
    let name = match value {
        verdict::CONTINUE => "BPF_FUSE_CONTINUE",
        verdict::USER => "BPF_FUSE_USER",
        verdict::USER_PREFILTER => "BPF_FUSE_USER_PREFILTER",
        verdict::POSTFILTER => "BPF_FUSE_POSTFILTER",
        verdict::USER_POSTFILTER => "BPF_FUSE_USER_POSTFILTER",
        verdict::CALL_DEFAULT => "BPF_FUSE_CALL_DEFAULT",
        _ => return errno_value(value).unwrap_or_else(|| format!("{value} (unknown, as BPF_FUSE_CONTINUE)")),
    };
    name.to_owned()
}

/// A value with bit 31 set is a negative error number.
fn errno_value(value: u32) -> Option<String> {
    let number = i64::from(value as i32);
    if number >= 0 {
        return None;
    }
    let errno = i32::try_from(-number).map_or(Errno::EIO, Errno::new);
    if i64::from(errno.raw()) == -number {
        Some(format!("-{errno}"))
    } else {
        Some(format!("{number} (no error number, as -{errno})"))
    }
}

/// An argument, or a part of one, that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// `in.flags`, `name`.
    pub(crate) path: String,
    pub(crate) before: Shown,
    pub(crate) after: Shown,
}

/// A value that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    Unsigned(u64),
    Signed(i64),
    Bytes(Vec<u8>),
    Absent,
}

/// What differs between two states of a call.
pub(crate) fn changes(before: &Inspection, after: &Inspection) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, new) in &after.arguments {
        let old = before.arguments.iter().find(|(n, _)| n == name).map(|(_, argument)| argument);
        match (old, new) {
            (old, new) if old == Some(new) => {}
            (old, Argument::Struct(desc, new)) => {
                let old = match old {
                    Some(Argument::Struct(_, old)) => old.as_slice(),
                    _ => &[],
                };
                fields(desc, name, old, new, &mut changes);
            }
            (old, Argument::Buffer(new)) => {
                let before = match old {
                    Some(Argument::Buffer(old)) => Shown::Bytes(old.clone()),
                    _ => Shown::Absent,
                };
                changes.push(Change { path: (*name).to_owned(), before, after: Shown::Bytes(new.clone()) });
            }
        }
    }
    changes
}

fn fields(desc: &StructDesc, prefix: &str, old: &[u8], new: &[u8], changes: &mut Vec<Change>) {
    for field in desc.fields {
        let path = format!("{prefix}.{}", field.name.trim_start_matches("r#"));
        let range = field.offset..field.offset + field.size;
        let (old, new) = (old.get(range.clone()), new.get(range));
        if old == new {
            continue;
        }
        match field.nested {
            Some(nested) => fields(nested, &path, old.unwrap_or_default(), new.unwrap_or_default(), changes),
            None => changes.push(Change { path, before: scalar(field, old), after: scalar(field, new) }),
        }
    }
}

fn scalar(field: &FieldDesc, bytes: Option<&[u8]>) -> Shown {
    let Some(bytes) = bytes else { return Shown::Absent };
    if field.array.is_some() || bytes.len() > 8 {
        return Shown::Bytes(bytes.to_vec());
    }
    // Structs are those of this machine.
    let mut wide = [0; 8];
    if cfg!(target_endian = "little") {
        wide[..bytes.len()].copy_from_slice(bytes);
    } else {
        wide[8 - bytes.len()..].copy_from_slice(bytes);
    }
    let value = u64::from_ne_bytes(wide);
    if field.signed {
        let unused = 64 - 8 * bytes.len() as u32;
        return Shown::Signed(((value << unused) as i64) >> unused);
    }
    Shown::Unsigned(value)
}

impl Shown {
    /// For people.
    pub(crate) fn text(&self) -> String {
        match self {
            Shown::Unsigned(value) if *value > 9 => format!("{value} ({value:#x})"),
            Shown::Unsigned(value) => value.to_string(),
            Shown::Signed(value) => value.to_string(),
            Shown::Bytes(bytes) => quoted(bytes),
            Shown::Absent => "nothing".to_owned(),
        }
    }

    /// For programs: a number, or a text without its NUL in which bytes that are no UTF-8 are escaped.
    pub(crate) fn json(&self) -> Value {
        match self {
            Shown::Unsigned(value) => json!(value),
            Shown::Signed(value) => json!(value),
            Shown::Bytes(bytes) => json!(escaped(without_nul(bytes))),
            Shown::Absent => Value::Null,
        }
    }
}

fn without_nul(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\0").unwrap_or(bytes)
}

fn quoted(bytes: &[u8]) -> String {
    let text = without_nul(bytes);
    match text.get(..SHOWN) {
        Some(start) if text.len() > SHOWN => format!("\"{}\"... ({} bytes)", escaped(start), bytes.len()),
        _ => format!("\"{}\"", escaped(text)),
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                c if c.is_control() => text.extend(c.escape_default()),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a String does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use fuse_bpf::abi::{Wire as _, fuse_entry_out, fuse_lseek_in};

    #[test]
    fn verdicts_have_names() {
        assert_eq!(verdict_name(0), "BPF_FUSE_CONTINUE");
        assert_eq!(verdict_name(3), "BPF_FUSE_POSTFILTER");
        assert_eq!(verdict_name(-2i32 as u32), "-ENOENT");
        assert_eq!(verdict_name(77), "77 (unknown, as BPF_FUSE_CONTINUE)");
        assert_eq!(verdict_name(0x8000_0000), "-2147483648 (no error number, as -EIO)");
        assert_eq!(verdict_name(-4096i32 as u32), "-4096 (no error number, as -EIO)");
    }

    #[test]
    fn nested_fields_and_buffers_are_compared() {
        let desc = fuse_entry_out::DESC;
        let attr = desc.fields.iter().find(|f| f.name == "attr").unwrap();
        let mode = attr.nested.unwrap().fields.iter().find(|f| f.name == "mode").unwrap();
        let old = vec![0; desc.size];
        let mut new = old.clone();
        new[attr.offset + mode.offset..][..4].copy_from_slice(&0o755u32.to_ne_bytes());
        let call = |name: &[u8], out: Vec<u8>| Inspection {
            arguments: vec![("name", Argument::Buffer(name.to_vec())), ("out", Argument::Struct(desc, out))],
        };
        let changes = changes(&call(b"a\0", old), &call(b"b\0", new));
        let shown: Vec<_> = changes
            .iter()
            .map(|c| format!("{}: {} -> {}", c.path, c.before.text(), c.after.text()))
            .collect();
        assert_eq!(shown, ["name: \"a\" -> \"b\"", "out.attr.mode: 0 -> 493 (0x1ed)"]);
    }

    #[test]
    fn values_are_shown_as_their_types() {
        let field = |name| fuse_lseek_in::DESC.fields.iter().find(|f| f.name == name).unwrap();
        assert_eq!(scalar(field("whence"), Some(&3u32.to_ne_bytes())), Shown::Unsigned(3));
        assert_eq!(quoted(b"a\"\n\xff\0"), "\"a\\\"\\n\\xff\"");
        assert!(quoted(&[b'x'; 200]).ends_with("... (200 bytes)"));
    }
}
