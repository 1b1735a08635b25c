//! Strings: printing, parsing, comparing.

use std::cmp::Ordering;

use super::errno::{EFAULT, EINVAL, ERANGE, fail};
use super::format::format;
use super::wipe;
use crate::interp::{Call, FaultKind};
use crate::mem::{Width, Window};

/// Most bytes of a format (a stack frame; data sections may hold longer ones, which are refused).
pub(crate) const MAX_FORMAT: usize = 4096;
/// Most arguments (`MAX_BPRINTF_VARARGS`).
const MAX_ARGS: usize = 12;
/// Longest `%s` argument, in bytes.
const MAX_STR: usize = 4096;
/// Longest number `bpf_strtol` looks at, in bytes, without space and sign.
const MAX_DIGITS: usize = 63;

/// Formats with the arguments in `values`; the error is what R0 holds.
fn print(call: &mut Call<'_, '_>, fmt: &[u8], values: &[u64]) -> Result<String, u64> {
    let string = |addr| {
        if call.is_context(addr) {
            return None;
        }
        let rest = call.probe_rest(addr)?;
        let len = (0..rest.len().min(MAX_STR)).find(|&i| rest.load(i, Width::B) == Some(0))?;
        rest.sub(0, len).map(|window| window.to_vec())
    };
    format(fmt, values, string).map_err(|_| fail(EINVAL))
}

/// The bytes of a format before its NUL, which must be there.
fn terminated(fmt: Window<'_>) -> Option<Vec<u8>> {
    let mut bytes = fmt.sub(0, fmt.len().min(MAX_FORMAT))?.to_vec();
    let end = bytes.iter().position(|&byte| byte == 0)?;
    bytes.truncate(end);
    Some(bytes)
}

/// The words of an argument array; `None` when its length is not that of up to 12 words.
fn words(data: Option<Window<'_>>, len: u64) -> Option<Vec<u64>> {
    if !len.is_multiple_of(8) || len > 8 * MAX_ARGS as u64 {
        return None;
    }
    match data {
        Some(data) => (0..data.len()).step_by(8).map(|off| data.load(off, Width::DW)).collect(),
        None => (len == 0).then(Vec::new),
    }
}

/// Prints one line, or one for each line feed inside. Returns its length in bytes.
fn emit(call: &mut Call<'_, '_>, fmt: Window<'_>, values: &[u64]) -> u64 {
    let Some(fmt) = terminated(fmt) else {
        return fail(EINVAL);
    };
    match print(call, &fmt, values) {
        Ok(text) => {
            for line in text.strip_suffix('\n').unwrap_or(&text).split('\n') {
                call.host().print(line);
            }
            text.len() as u64
        }
        Err(error) => error,
    }
}

pub(super) fn trace_printk(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let fmt = call.required(0)?;
    let values = [call.scalar(2), call.scalar(3), call.scalar(4)];
    Ok(emit(call, fmt, &values))
}

pub(super) fn trace_vprintk(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let fmt = call.required(0)?;
    match words(call.mem(2), call.scalar(3)) {
        Some(values) => Ok(emit(call, fmt, &values)),
        None => Ok(fail(EINVAL)),
    }
}

pub(super) fn snprintf(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let fmt = call.str(2)?;
    let to = call.mem(0);
    let words = words(call.mem(3), call.scalar(4)).filter(|_| fmt.len() < MAX_FORMAT);
    let text = match words {
        Some(values) => print(call, &fmt.to_vec(), &values),
        None => Err(fail(EINVAL)),
    };
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            to.map(wipe);
            return Ok(error);
        }
    };
    match to {
        Some(to) if !to.is_empty() => {
            let kept = &text.as_bytes()[..text.len().min(to.len() - 1)];
            if !to.write(0, kept) {
                return Ok(fail(EFAULT));
            }
            // The NUL, and what comes behind it.
            to.sub(kept.len(), to.len() - kept.len()).map(wipe);
        }
        None if call.scalar(1) != 0 => return Ok(fail(EINVAL)),
        _ => {}
    }
    // What the whole text takes, its NUL included.
    Ok(text.len() as u64 + 1)
}

pub(super) fn strncmp(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (a, b) = (call.required(0)?, call.str(2)?);
    for i in 0..a.len() {
        let left = a.load(i, Width::B).unwrap_or(0);
        // The string ends where its window does.
        let right = b.load(i, Width::B).unwrap_or(0);
        match left.cmp(&right) {
            Ordering::Less => return Ok(-1i64 as u64),
            Ordering::Greater => return Ok(1),
            Ordering::Equal if left == 0 => break,
            Ordering::Equal => {}
        }
    }
    Ok(0)
}

/// A number at the start of a text: its sign, magnitude, and how many bytes it took.
#[derive(Debug, PartialEq, Eq)]
struct Parsed {
    negative: bool,
    magnitude: u64,
    consumed: usize,
}

/// Reads a number as `bpf_strtol` does: space, an optional minus, a prefix if the base allows it,
/// digits. The error is an error number.
fn parse(text: &[u8], base: u64) -> Result<Parsed, i32> {
    let space = |byte: &&u8| matches!(byte, b' ' | b'\t'..=b'\r' | 0xa0);
    let mut at = text.iter().take_while(space).count();
    let negative = text.get(at) == Some(&b'-');
    at += usize::from(negative);
    let digits = &text[at..];
    let digits = &digits[..digits.len().min(MAX_DIGITS)];
    let prefixed = matches!(digits, [b'0', b'x' | b'X', ..]);
    let base = match base {
        0 if prefixed && digits.get(2).is_some_and(u8::is_ascii_hexdigit) => 16,
        0 if digits.first() == Some(&b'0') => 8,
        0 => 10,
        8 | 10 | 16 => base as u32,
        _ => return Err(EINVAL),
    };
    let prefix = if base == 16 && prefixed { 2 } else { 0 };
    let mut magnitude = 0u64;
    let mut count = 0;
    for digit in digits[prefix..].iter().map_while(|&byte| char::from(byte).to_digit(base)) {
        let grown = magnitude.checked_mul(base.into()).and_then(|m| m.checked_add(digit.into()));
        magnitude = grown.ok_or(ERANGE)?;
        count += 1;
    }
    if count == 0 {
        return Err(EINVAL);
    }
    Ok(Parsed { negative, magnitude, consumed: at + prefix + count })
}

/// The text and base of a call.
fn parse_argument(call: &Call<'_, '_>) -> Result<Result<Parsed, i32>, FaultKind> {
    let text = call.required(0)?;
    // Space may precede the digits, so the limit is generous.
    let text = text.sub(0, text.len().min(MAX_FORMAT)).unwrap_or(text);
    Ok(parse(&text.to_vec(), call.scalar(2)))
}

fn store(call: &Call<'_, '_>, value: u64, consumed: usize) -> Result<u64, FaultKind> {
    let stored = call.required(3)?.store(0, Width::DW, value);
    Ok(stored.map_or(fail(EFAULT), |()| consumed as u64))
}

/// What a number that was not parsed leaves: zero, as in Linux.
fn no_number(call: &Call<'_, '_>, error: i32) -> Result<u64, FaultKind> {
    wipe(call.required(3)?);
    Ok(fail(error))
}

pub(super) fn strtol(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let parsed = match parse_argument(call)? {
        Ok(parsed) => parsed,
        Err(error) => return no_number(call, error),
    };
    let value = if parsed.negative {
        0i64.checked_sub_unsigned(parsed.magnitude)
    } else {
        i64::try_from(parsed.magnitude).ok()
    };
    match value {
        Some(value) => store(call, value as u64, parsed.consumed),
        None => no_number(call, ERANGE),
    }
}

pub(super) fn strtoul(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    match parse_argument(call)? {
        Ok(parsed) if parsed.negative => no_number(call, EINVAL),
        Ok(parsed) => store(call, parsed.magnitude, parsed.consumed),
        Err(error) => no_number(call, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let ok = |negative, magnitude, consumed| Ok(Parsed { negative, magnitude, consumed });
        for (text, base, expected) in [
            ("0", 0, ok(false, 0, 1)),
            ("12 ", 0, ok(false, 12, 2)),
            (" \t-12x", 10, ok(true, 12, 5)),
            ("0x1fG", 0, ok(false, 0x1f, 4)),
            ("0X1F", 16, ok(false, 0x1f, 4)),
            ("0x", 0, ok(false, 0, 1)),
            ("0xg", 16, Err(EINVAL)),
            ("017", 0, ok(false, 15, 3)),
            ("018", 0, ok(false, 1, 2)),
            ("17", 8, ok(false, 15, 2)),
            ("18446744073709551615", 10, ok(false, u64::MAX, 20)),
            ("18446744073709551616", 10, Err(ERANGE)),
            ("", 0, Err(EINVAL)),
            ("-", 0, Err(EINVAL)),
            ("+1", 0, Err(EINVAL)),
            ("--1", 0, Err(EINVAL)),
            ("x", 0, Err(EINVAL)),
            ("1", 2, Err(EINVAL)),
            ("1", 1 << 32, Err(EINVAL)),
        ] {
            assert_eq!(parse(text.as_bytes(), base), expected, "{text:?} base {base}");
        }
    }
}
