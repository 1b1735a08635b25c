//! Values as text.

use std::fmt::Write;

use super::Btf;
use super::EnumValue;
use super::Kind;
use super::MAX_DEPTH;
use super::Member;

/// Length in bytes after which output is cut.
const MAX_OUTPUT: usize = 64 << 10;

pub(super) fn render(btf: &Btf, id: u32, bytes: &[u8]) -> String {
    let mut out = Renderer { btf, out: String::new() };
    out.value(id, bytes, 0);
    if out.full() {
        out.out.push_str("...");
    }
    out.out
}

struct Renderer<'b> {
    btf: &'b Btf,
    out: String,
}

/// The part of a value that starts at `offset`.
fn tail(bytes: &[u8], offset: u64) -> &[u8] {
    usize::try_from(offset).ok().and_then(|o| bytes.get(o..)).unwrap_or_default()
}

/// A little-endian number of up to 8 bytes; `None` when bytes are missing.
fn number(bytes: &[u8], size: u32) -> Option<u64> {
    let size = usize::try_from(size).ok().filter(|size| *size <= 8)?;
    let mut word = [0; 8];
    word.get_mut(..size)?.copy_from_slice(bytes.get(..size)?);
    Some(u64::from_le_bytes(word))
}

/// Takes `bits` bits from bit `shift` on.
fn field(value: u64, shift: u32, bits: u32) -> u64 {
    let value = value.checked_shr(shift).unwrap_or(0);
    if bits < 64 { value & ((1 << bits) - 1) } else { value }
}

/// Extends the sign of a number of `bits` bits.
fn extend(value: u64, bits: u32) -> i64 {
    let unused = 64u32.saturating_sub(bits);
    value.checked_shl(unused).unwrap_or(0).cast_signed() >> unused.min(63)
}

impl Renderer<'_> {
    fn full(&self) -> bool {
        self.out.len() >= MAX_OUTPUT
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.out.write_fmt(text);
    }

    fn value(&mut self, id: u32, bytes: &[u8], depth: usize) {
        let btf = self.btf;
        let kind = btf.resolve(id).ok().and_then(|id| btf.kind(id));
        let (Some(kind), true) = (kind, depth < MAX_DEPTH && !self.full()) else {
            return self.push(format_args!("?"));
        };
        match kind {
            Kind::Int { size, bit_offset, bits, .. } => {
                let (shift, bits) = (u32::from(*bit_offset), u32::from(*bits));
                match number(bytes, *size) {
                    Some(value) => self.scalar(kind, field(value, shift, bits), bits),
                    None => self.hex(bytes, *size),
                }
            }
            Kind::Enum { size, .. } => match number(bytes, *size) {
                Some(value) => self.scalar(kind, value, size.saturating_mul(8)),
                None => self.push(format_args!("?")),
            },
            Kind::Ptr { .. } => match number(bytes, 8) {
                Some(value) => self.push(format_args!("{value:#x}")),
                None => self.push(format_args!("?")),
            },
            Kind::Float { size } => match (number(bytes, *size), size) {
                (Some(value), 4) => self.push(format_args!("{}", f32::from_bits(value as u32))),
                (Some(value), 8) => self.push(format_args!("{}", f64::from_bits(value))),
                _ => self.hex(bytes, *size),
            },
            Kind::Array { element, len } => self.array(*element, *len, bytes, depth),
            Kind::Struct { members, .. } | Kind::Union { members, .. } => self.members(members, bytes, depth),
            Kind::Var { to, .. } => self.value(*to, bytes, depth + 1),
            Kind::Section { vars, .. } => {
                self.push(format_args!("{{"));
                for (i, var) in vars.iter().enumerate() {
                    if self.full() {
                        return;
                    }
                    self.push(format_args!("{} .{} = ", if i == 0 { "" } else { "," }, btf.name(var.ty)));
                    self.value(var.ty, tail(bytes, u64::from(var.offset)), depth + 1);
                }
                self.push(format_args!("{}", if vars.is_empty() { "}" } else { " }" }));
            }
            _ => self.push(format_args!("?")),
        }
    }

    /// An integer or enum whose value is in the low `bits` of `value`.
    fn scalar(&mut self, kind: &Kind, value: u64, bits: u32) {
        let (signed, bool, values): (bool, bool, &[EnumValue]) = match kind {
            Kind::Enum { signed, values, .. } => (*signed, false, values),
            Kind::Int { signed, bool, .. } => (*signed, *bool, &[]),
            _ => (false, false, &[]),
        };
        let number = if signed { extend(value, bits) } else { value.cast_signed() };
        if let Some(named) = values.iter().find(|v| v.value == number) {
            let name = self.btf.string(named.name);
            self.push(format_args!("{name}"));
        } else if bool && value <= 1 {
            self.push(format_args!("{}", value == 1));
        } else if signed {
            self.push(format_args!("{number}"));
        } else {
            self.push(format_args!("{value}"));
        }
    }

    /// Something without a better form: its bytes as one number, the most significant first.
    fn hex(&mut self, bytes: &[u8], size: u32) {
        let Some(bytes) = bytes.get(..size.min(64) as usize).filter(|b| !b.is_empty()) else {
            return self.push(format_args!("?"));
        };
        self.push(format_args!("0x"));
        for byte in bytes.iter().rev() {
            self.push(format_args!("{byte:02x}"));
        }
    }

    fn array(&mut self, element: u32, len: u32, bytes: &[u8], depth: usize) {
        let btf = self.btf;
        let kind = btf.resolve(element).ok().and_then(|id| btf.kind(id));
        let is_char = match kind {
            Some(Kind::Int { size: 1, char, signed, .. }) => {
                // clang marks `char` as a signed byte only; `unsigned char` is a number.
                *char || *signed || btf.name(btf.resolve(element).unwrap_or(0)) == "char"
            }
            _ => false,
        };
        if is_char {
            let text = bytes.get(..(len as usize).min(bytes.len())).unwrap_or_default();
            let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
            let text = text.get(..end.min(MAX_OUTPUT)).unwrap_or_default();
            return self.push(format_args!("\"{}\"", text.escape_ascii()));
        }
        let size = btf.size_of(element).unwrap_or(0);
        self.push(format_args!("["));
        for i in 0..u64::from(len) {
            if self.full() {
                return;
            }
            if i != 0 {
                self.push(format_args!(", "));
            }
            let rest = tail(bytes, i.saturating_mul(size));
            if rest.is_empty() {
                return self.push(format_args!("?]"));
            }
            self.value(element, rest, depth + 1);
        }
        self.push(format_args!("]"));
    }

    fn members(&mut self, members: &[Member], bytes: &[u8], depth: usize) {
        self.push(format_args!("{{"));
        for (i, member) in members.iter().enumerate() {
            if self.full() {
                return;
            }
            let name = self.btf.string(member.name);
            let comma = if i == 0 { "" } else { "," };
            if name.is_empty() {
                self.push(format_args!("{comma} "));
            } else {
                self.push(format_args!("{comma} .{name} = "));
            }
            if member.bits == 0 {
                let rest = tail(bytes, u64::from(member.bit_offset / 8));
                self.value(member.ty, rest, depth + 1);
            } else {
                self.bit_field(member, bytes);
            }
        }
        self.push(format_args!("{}", if members.is_empty() { "}" } else { " }" }));
    }

    fn bit_field(&mut self, member: &Member, bytes: &[u8]) {
        let btf = self.btf;
        let (shift, bits) = (member.bit_offset % 8, u32::from(member.bits));
        let rest = tail(bytes, u64::from(member.bit_offset / 8));
        let size = (shift + bits).div_ceil(8);
        let kind = btf.resolve(member.ty).ok().and_then(|id| btf.kind(id));
        match (kind, number(rest, size)) {
            (Some(kind), Some(value)) => self.scalar(kind, field(value, shift, bits), bits),
            _ => self.push(format_args!("?")),
        }
    }
}
