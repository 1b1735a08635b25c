//! The formats of `bpf_printk` and `bpf_snprintf`.
//!
//! What the kernel takes, less the conversions that need a kernel behind them: `%d %i %u %x %X` with
//! `l` or `ll` for 64 bits, `%c %s %p %px %pK %%`, each with the flags `0 - + space` and a width. `%p` and `%pK` print
//! a number that stands for the value, as in the kernel; `%px` the value.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

/// The format is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadFormat;

/// Widest field, so that a short format does not make a long line.
const MAX_WIDTH: usize = 4096;
/// Most bytes of a result; formats may repeat long strings.
const MAX_TEXT: usize = 1 << 16;

/// Flags and width of a conversion.
#[derive(Debug, Clone, Copy, Default)]
struct Field {
    zeros: bool,
    left: bool,
    plus: bool,
    space: bool,
    width: usize,
}

impl Field {
    fn parse(rest: &mut &[u8]) -> Result<Field, BadFormat> {
        let mut field = Field::default();
        while let Some((&flag, after)) = rest.split_first() {
            match flag {
                b'0' => field.zeros = true,
                b'-' => field.left = true,
                b'+' => field.plus = true,
                b' ' => field.space = true,
                _ => break,
            }
            *rest = after;
        }
        while let Some((&digit @ b'0'..=b'9', after)) = rest.split_first() {
            field.width = field.width * 10 + usize::from(digit - b'0');
            if field.width > MAX_WIDTH {
                return Err(BadFormat);
            }
            *rest = after;
        }
        Ok(field)
    }

    /// Appends a text, padded.
    fn pad(self, out: &mut String, sign: &str, text: &str, numeric: bool) {
        let len = sign.len() + text.chars().count();
        let missing = self.width.saturating_sub(len);
        let fill = |out: &mut String, with: char| out.extend(std::iter::repeat_n(with, missing));
        match (self.left, self.zeros && numeric) {
            (true, _) => {
                out.push_str(sign);
                out.push_str(text);
                fill(out, ' ');
            }
            (false, true) => {
                out.push_str(sign);
                fill(out, '0');
                out.push_str(text);
            }
            (false, false) => {
                fill(out, ' ');
                out.push_str(sign);
                out.push_str(text);
            }
        }
    }

    fn signed(self, out: &mut String, value: i64) {
        let sign = match (value < 0, self.plus, self.space) {
            (true, _, _) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        self.pad(out, sign, &value.unsigned_abs().to_string(), true);
    }
}

/// How a value is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Printed {
    /// As a number or character.
    Number,
    /// As a number that stands for it, the same as long as the process lives.
    Hash,
    /// As the text at the address it is.
    Text,
}

/// A piece of a format.
#[derive(Debug, Clone, Copy)]
enum Piece {
    Char(char),
    Value { field: Field, long: bool, conversion: u8 },
}

/// The pieces of a format, up to the first mistake.
struct Pieces<'f> {
    rest: &'f [u8],
}

impl Pieces<'_> {
    fn value(&mut self) -> Result<Piece, BadFormat> {
        let field = Field::parse(&mut self.rest)?;
        let mut long = false;
        for _ in 0..2 {
            if let Some((b'l', after)) = self.rest.split_first() {
                self.rest = after;
                long = true;
            }
        }
        let (&conversion, after) = self.rest.split_first().ok_or(BadFormat)?;
        self.rest = after;
        let conversion = match conversion {
            b'd' | b'i' | b'u' | b'x' | b'X' => conversion,
            b'c' | b's' if !long => conversion,
            b'p' if !long => {
                let plain = match self.rest.split_first() {
                    Some((&kind @ (b'x' | b'K'), after)) => {
                        self.rest = after;
                        kind == b'x'
                    }
                    _ => false,
                };
                // `%ps`, `%pi4` and the like name things of the kernel.
                if self.rest.first().is_some_and(u8::is_ascii_alphanumeric) {
                    return Err(BadFormat);
                }
                if plain { PLAIN } else { b'p' }
            }
            _ => return Err(BadFormat),
        };
        Ok(Piece::Value { field, long, conversion })
    }
}

/// In place of the letter of `%px`.
const PLAIN: u8 = b'P';

impl Iterator for Pieces<'_> {
    type Item = Result<Piece, BadFormat>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&byte, after) = self.rest.split_first()?;
        self.rest = after;
        Some(match (byte, self.rest.split_first()) {
            (b'%', Some((b'%', after))) => {
                self.rest = after;
                Ok(Piece::Char('%'))
            }
            (b'%', _) => self.value(),
            _ if byte.is_ascii_graphic() || byte == b' ' || (b'\t'..=b'\r').contains(&byte) => {
                Ok(Piece::Char(byte.into()))
            }
            _ => Err(BadFormat),
        })
    }
}

/// How a format, which has no NUL, prints each value.
///
/// # Errors
///
/// As [`format`].
pub(crate) fn printed(fmt: &[u8]) -> Result<Vec<Printed>, BadFormat> {
    let pieces = Pieces { rest: fmt };
    let of = |piece| match piece {
        Ok(Piece::Char(_)) => None,
        Ok(Piece::Value { conversion: b's', .. }) => Some(Ok(Printed::Text)),
        Ok(Piece::Value { conversion: b'p', .. }) => Some(Ok(Printed::Hash)),
        Ok(Piece::Value { .. }) => Some(Ok(Printed::Number)),
        Err(bad) => Some(Err(bad)),
    };
    pieces.filter_map(of).collect()
}

/// A number that stands for an address: nobody learns the address from it.
fn hashed(value: u64) -> u32 {
    static SECRET: OnceLock<RandomState> = OnceLock::new();
    SECRET.get_or_init(RandomState::new).hash_one(value) as u32
}

/// Formats `values` by `fmt`, which has no NUL. `string` reads the string at an address; where it
/// cannot, `(fault)` is printed. Bytes that are not UTF-8 come out as replacement characters.
///
/// # Errors
///
/// An unknown conversion, a byte that is neither printable ASCII nor white space, or more conversions
/// than values.
pub(super) fn format(
    fmt: &[u8],
    values: &[u64],
    mut string: impl FnMut(u64) -> Option<Vec<u8>>,
) -> Result<String, BadFormat> {
    let mut values = values.iter().copied();
    let mut out = String::with_capacity(fmt.len());
    for piece in (Pieces { rest: fmt }) {
        let (field, long, conversion) = match piece? {
            Piece::Char(char) => {
                out.push(char);
                continue;
            }
            Piece::Value { field, long, conversion } => (field, long, conversion),
        };
        let value = values.next().ok_or(BadFormat)?;
        let unsigned = if long { value } else { value as u32 as u64 };
        match conversion {
            b'd' | b'i' => field.signed(&mut out, if long { value as i64 } else { value as i32 as i64 }),
            b'u' => field.pad(&mut out, "", &unsigned.to_string(), true),
            b'x' => field.pad(&mut out, "", &format!("{unsigned:x}"), true),
            b'X' => field.pad(&mut out, "", &format!("{unsigned:X}"), true),
            b'c' => field.pad(&mut out, "", &String::from_utf8_lossy(&[value as u8]), false),
            b's' => match string(value) {
                Some(bytes) => field.pad(&mut out, "", &String::from_utf8_lossy(&bytes), false),
                None => field.pad(&mut out, "", "(fault)", false),
            },
            PLAIN => field.pad(&mut out, "", &format!("{value:016x}"), true),
            _ if value == 0 => field.pad(&mut out, "", "(null)", false),
            _ => field.pad(&mut out, "", &format!("{:016x}", hashed(value)), true),
        }
        if out.len() > MAX_TEXT {
            return Err(BadFormat);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(fmt: &str, values: &[u64]) -> Result<String, BadFormat> {
        format(fmt.as_bytes(), values, |addr| (addr == 1).then(|| b"name".to_vec()))
    }

    #[test]
    fn conversions() {
        let minus = -5i64 as u64;
        for (fmt, values, expected) in [
            ("plain 100%%\n", &[][..], "plain 100%\n"),
            ("%d %i", &[minus, 7], "-5 7"),
            ("%u", &[minus], "4294967291"),
            ("%x %X", &[0xabcd, 0xabcd], "abcd ABCD"),
            ("%d", &[0x1_0000_0002], "2"),
            ("%ld %lld", &[minus, minus], "-5 -5"),
            ("%lu %llu", &[u64::MAX, 1], "18446744073709551615 1"),
            ("%lx %llX", &[u64::MAX, 0xa], "ffffffffffffffff A"),
            ("%px", &[0x1234], "0000000000001234"),
            ("[%p]", &[0], "[(null)]"),
            ("[%s][%s]", &[1, 2], "[name][(fault)]"),
            ("%c%c", &[65, 0x142], "AB"),
            ("%5d|%-5d|%05d", &[minus, minus, minus], "   -5|-5   |-0005"),
            ("%+d% d", &[1, 1], "+1 1"),
            ("%6s|%-6s|%06s", &[1, 1, 1], "  name|name  |  name"),
            ("%08x", &[0xbeef], "0000beef"),
            ("%d", &[1, 2, 3], "1"),
        ] {
            assert_eq!(text(fmt, values).as_deref(), Ok(expected), "{fmt}");
        }
    }

    #[test]
    fn pointers_are_hashed() {
        let all = text("%p %pK %p", &[0x1234, 0x1234, 0x1235]).unwrap();
        let [first, again, other] = all.split(' ').collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert!(first.len() == 16 && first.starts_with("00000000"), "{all}");
    }

    #[test]
    fn how_values_are_printed() {
        use Printed::*;
        let of = |fmt: &str| printed(fmt.as_bytes());
        assert_eq!(of("100%% %5d%s, %p %px %llx"), Ok(vec![Number, Text, Hash, Number, Number]));
        assert_eq!(of("%s%q"), Err(BadFormat));
    }

    #[test]
    fn what_the_kernel_refuses_is_refused() {
        for fmt in [
            "%", "%l", "%q", "%hd", "%f", "%n", "%*d", "%.3s", "%lld%", "%llld", "%ls", "%lc", "%lp", "%ps",
            "%pi4", "%9999d", "\u{1}", "\u{e9}",
        ] {
            assert_eq!(text(fmt, &[1, 1]), Err(BadFormat), "{fmt:?}");
        }
        assert_eq!(text("%d %d", &[1]), Err(BadFormat));
    }
}
