//! The formats of `bpf_printk` and `bpf_snprintf`.
//!
//! What the kernel takes, less the conversions that need a kernel behind them: `%d %i %u %x %X` with
//! `l` or `ll` for 64 bits, `%c %s %p %px %pK %%`, each with the flags `0 - + space` and a width.

/// The format is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadFormat;

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
    let mut rest = fmt;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            if !(byte.is_ascii_graphic() || byte == b' ' || (b'\t'..=b'\r').contains(&byte)) {
                return Err(BadFormat);
            }
            out.push(byte.into());
            continue;
        }
        if let Some((b'%', after)) = rest.split_first() {
            rest = after;
            out.push('%');
            continue;
        }
        let field = Field::parse(&mut rest)?;
        let mut long = false;
        for _ in 0..2 {
            if let Some((b'l', after)) = rest.split_first() {
                rest = after;
                long = true;
            }
        }
        let (&conversion, after) = rest.split_first().ok_or(BadFormat)?;
        rest = after;
        let value = values.next().ok_or(BadFormat)?;
        let unsigned = if long { value } else { value as u32 as u64 };
        match conversion {
            b'd' | b'i' => field.signed(&mut out, if long { value as i64 } else { value as i32 as i64 }),
            b'u' => field.pad(&mut out, "", &unsigned.to_string(), true),
            b'x' => field.pad(&mut out, "", &format!("{unsigned:x}"), true),
            b'X' => field.pad(&mut out, "", &format!("{unsigned:X}"), true),
            b'p' if !long => {
                if let Some((b'x' | b'K', after)) = rest.split_first() {
                    rest = after;
                }
                // `%ps`, `%pi4` and the like name things of the kernel.
                if rest.first().is_some_and(u8::is_ascii_alphanumeric) {
                    return Err(BadFormat);
                }
                field.pad(&mut out, "", &format!("{value:016x}"), true);
            }
            b'c' if !long => field.pad(&mut out, "", &String::from_utf8_lossy(&[value as u8]), false),
            b's' if !long => match string(value) {
                Some(bytes) => field.pad(&mut out, "", &String::from_utf8_lossy(&bytes), false),
                None => field.pad(&mut out, "", "(fault)", false),
            },
            _ => return Err(BadFormat),
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
            ("%p", &[0x1234], "0000000000001234"),
            ("%px,%pK", &[1, 2], "0000000000000001,0000000000000002"),
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
