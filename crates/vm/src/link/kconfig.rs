//! Variables of section `.kconfig`: numbers and texts about the system a program runs on.
//!
//! The embedder says what they are ([`Kconfig`]); the machine asks no system. Names, types and the
//! syntax of values are those of libbpf and of a kernel's `.config`. The variables get their places in a
//! read-only map of their own. One that is weak and not set is zero; one that is not and not set is an
//! error where the program refers to it.

use std::collections::BTreeMap;
use std::collections::HashMap;

use crate::btf::Btf;
use crate::btf::Kind;

/// Largest number of variables, and largest size of all of them in bytes.
const MAX_VARIABLES: usize = 4096;
const MAX_SIZE: u32 = 1 << 20;

/// The section, and the map made of it.
pub(super) const NAME: &str = ".kconfig";

/// What `.kconfig` variables hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kconfig {
    values: BTreeMap<String, ConfigValue>,
}

/// A value of a kernel's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigValue {
    /// `n`.
    No,
    /// `y`.
    Yes,
    /// `m`.
    Module,
    /// A number; negative ones as two's complement.
    Number(u64),
    /// A text.
    Text(String),
}

impl Kconfig {
    /// Nothing but what libbpf makes up itself: `LINUX_HAS_BPF_COOKIE` and
    /// `LINUX_HAS_SYSCALL_WRAPPER`, both no.
    pub fn new() -> Kconfig {
        Kconfig::default()
    }

    /// Sets a value: `CONFIG_HZ`, or a virtual one that starts with `LINUX_`.
    pub fn with(mut self, name: &str, value: ConfigValue) -> Kconfig {
        self.values.insert(name.to_owned(), value);
        self
    }

    /// Sets `LINUX_KERNEL_VERSION`, as `KERNEL_VERSION(major, minor, patch)` of `linux/version.h` counts.
    pub fn with_version(self, major: u32, minor: u32, patch: u32) -> Kconfig {
        let version = u64::from(major) << 16 | u64::from(minor.min(255)) << 8 | u64::from(patch.min(255));
        self.with("LINUX_KERNEL_VERSION", ConfigValue::Number(version))
    }

    /// Sets what a kernel's `.config` says. Lines that say nothing, and values that are none, are passed over.
    pub fn with_file(mut self, text: &str) -> Kconfig {
        for line in text.lines() {
            if let Some((name, value)) = line.trim().split_once('=')
                && name.starts_with("CONFIG_")
                && let Some(value) = ConfigValue::parse(value)
            {
                self.values.insert(name.to_owned(), value);
            }
        }
        self
    }

    fn get(&self, name: &str) -> Option<&ConfigValue> {
        let made_up = matches!(name, "LINUX_HAS_BPF_COOKIE" | "LINUX_HAS_SYSCALL_WRAPPER");
        self.values.get(name).or(made_up.then_some(&ConfigValue::No))
    }
}

impl ConfigValue {
    /// Reads a value as it stands in a `.config`: `y`, `m`, `n`, a number, or a text in quotes.
    pub fn parse(text: &str) -> Option<ConfigValue> {
        Some(match text.trim() {
            "y" => ConfigValue::Yes,
            "m" => ConfigValue::Module,
            "n" => ConfigValue::No,
            text => {
                if let Some(inner) = text.strip_prefix('"') {
                    return Some(ConfigValue::Text(inner.strip_suffix('"')?.to_owned()));
                }
                let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
                let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
                let number = match hex {
                    Some(hex) => u64::from_str_radix(hex, 16),
                    None => digits.parse(),
                };
                let number = number.ok()?;
                ConfigValue::Number(if negative { number.wrapping_neg() } else { number })
            }
        })
    }
}

/// The variables of an object.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// The value of the map; empty when there are no variables.
    pub(super) data: Vec<u8>,
    /// Offset in it by name, or why there is none.
    pub(super) places: HashMap<String, Result<u32, &'static str>>,
    /// The section's type.
    pub(super) section: u32,
}

const NOT_SET: &str = "the host gives it no value; declare it __weak, or give it one when loading";

/// Gives the variables of `.kconfig` their places and values. `weak` says of a name whether the
/// object does without it.
pub(super) fn variables(btf: &Btf, kconfig: &Kconfig, weak: impl Fn(&str) -> bool) -> Variables {
    let mut found = Variables::default();
    let Some((id, _, vars)) = btf.sections().find(|(_, name, _)| *name == NAME) else { return found };
    found.section = id;
    for var in vars.iter().take(MAX_VARIABLES) {
        let (name, Some(Kind::Var { to, .. })) = (btf.name(var.ty), btf.kind(var.ty)) else { continue };
        let place = Shape::of(btf, *to).and_then(|shape| {
            let bytes = match kconfig.get(name) {
                Some(value) => shape.encode(value)?,
                None if weak(name) => Vec::new(),
                None => return Err(NOT_SET),
            };
            let (size, align) = shape.layout();
            let start = u32::try_from(found.data.len()).unwrap_or(u32::MAX).next_multiple_of(align);
            let end = start.checked_add(size).filter(|end| *end <= MAX_SIZE);
            let end = end.ok_or("the variables are too large together")?;
            found.data.resize(start as usize, 0);
            found.data.extend(bytes.into_iter().take(size as usize));
            found.data.resize(end as usize, 0);
            Ok(start)
        });
        found.places.entry(name.to_owned()).or_insert(place);
    }
    found
}

/// The types a variable may have.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Bool,
    Char,
    Int { size: u32, signed: bool },
    Tristate,
    Text { len: u32 },
}

const WRONG_TYPE: &str =
    "its type cannot hold the value; there are bool, char, integers, enum libbpf_tristate and char arrays";

impl Shape {
    fn of(btf: &Btf, id: u32) -> Result<Shape, &'static str> {
        let id = btf.resolve(id).map_err(|_| WRONG_TYPE)?;
        match btf.kind(id) {
            Some(Kind::Int { bool: true, size: 1, .. }) => Ok(Shape::Bool),
            Some(Kind::Int { size: 1, .. }) => Ok(Shape::Char),
            Some(Kind::Int { size: size @ (2 | 4 | 8), signed, .. }) => {
                Ok(Shape::Int { size: *size, signed: *signed })
            }
            Some(Kind::Enum { size: 4, .. }) if btf.name(id) == "libbpf_tristate" => Ok(Shape::Tristate),
            Some(Kind::Array { element, len }) if *len != 0 => match Shape::of(btf, *element) {
                Ok(Shape::Char) => Ok(Shape::Text { len: *len }),
                _ => Err(WRONG_TYPE),
            },
            _ => Err(WRONG_TYPE),
        }
    }

    /// Size and alignment in bytes.
    fn layout(self) -> (u32, u32) {
        match self {
            Shape::Bool | Shape::Char => (1, 1),
            Shape::Int { size, .. } => (size, size),
            Shape::Tristate => (4, 4),
            Shape::Text { len } => (len, 1),
        }
    }

    /// The bytes of a value; what is missing is zero.
    fn encode(self, value: &ConfigValue) -> Result<Vec<u8>, &'static str> {
        let letter = match value {
            ConfigValue::No => Some((b'n', 0)),
            ConfigValue::Yes => Some((b'y', 1)),
            ConfigValue::Module => Some((b'm', 2)),
            _ => None,
        };
        match (self, letter, value) {
            (Shape::Bool, Some((_, number @ (0 | 1))), _) => Ok(vec![number]),
            (Shape::Char, Some((letter, _)), _) => Ok(vec![letter]),
            (Shape::Tristate, Some((_, number)), _) => Ok(vec![number]),
            // The flags that start with LINUX_HAS_ may be integers.
            (Shape::Int { .. }, Some((_, number @ (0 | 1))), _) => Ok(vec![number]),
            (Shape::Text { len }, _, ConfigValue::Text(text)) => {
                let room = len.saturating_sub(1) as usize;
                Ok(text.bytes().take(room).collect())
            }
            (Shape::Char | Shape::Int { .. }, _, ConfigValue::Number(number)) => {
                let (size, signed) =
                    if let Shape::Int { size, signed } = self { (size, signed) } else { (1, true) };
                let bits = size * 8;
                let half = 1u64 << (bits - 1);
                let fits = bits == 64
                    || if signed { number.wrapping_add(half) >> bits == 0 } else { number >> bits == 0 };
                let bytes = number.to_le_bytes().into_iter().take(size as usize);
                if fits { Ok(bytes.collect()) } else { Err("the value is out of the range of its type") }
            }
            _ => Err(WRONG_TYPE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_in_a_config_file() {
        let text = "# comment\nCONFIG_A=y\nCONFIG_B=m\nCONFIG_C=0x10\nCONFIG_D=-3\nCONFIG_E=\"x=y\"\nOTHER=1\n\
                    CONFIG_F=\n# CONFIG_G is not set\n";
        let kconfig = Kconfig::new().with_file(text).with_version(6, 18, 300);
        let get = |name: &str| kconfig.get(name).cloned();
        assert_eq!(get("CONFIG_A"), Some(ConfigValue::Yes));
        assert_eq!(get("CONFIG_B"), Some(ConfigValue::Module));
        assert_eq!(get("CONFIG_C"), Some(ConfigValue::Number(16)));
        assert_eq!(get("CONFIG_D"), Some(ConfigValue::Number(-3i64 as u64)));
        assert_eq!(get("CONFIG_E"), Some(ConfigValue::Text("x=y".into())));
        assert_eq!(get("CONFIG_F"), None);
        assert_eq!(get("CONFIG_G"), None);
        assert_eq!(get("OTHER"), None);
        assert_eq!(get("LINUX_KERNEL_VERSION"), Some(ConfigValue::Number(0x0612ff)));
        assert_eq!(get("LINUX_HAS_BPF_COOKIE"), Some(ConfigValue::No));
    }

    #[test]
    fn values_must_fit_their_types() {
        let number = ConfigValue::Number;
        let short = Shape::Int { size: 2, signed: true };
        assert_eq!(short.encode(&number(-2i64 as u64)), Ok(vec![0xfe, 0xff]));
        assert!(short.encode(&number(0x8000)).is_err());
        assert_eq!(Shape::Int { size: 2, signed: false }.encode(&number(0x8000)), Ok(vec![0, 0x80]));
        assert_eq!(Shape::Int { size: 8, signed: false }.encode(&number(u64::MAX)), Ok(vec![0xff; 8]));
        assert_eq!(Shape::Tristate.encode(&ConfigValue::Module), Ok(vec![2]));
        assert!(Shape::Bool.encode(&ConfigValue::Module).is_err());
        assert_eq!(Shape::Char.encode(&ConfigValue::Module), Ok(vec![b'm']));
        let text = ConfigValue::Text("abcdef".into());
        assert_eq!(Shape::Text { len: 4 }.encode(&text), Ok(b"abc".to_vec()));
        assert!(Shape::Char.encode(&text).is_err());
    }
}
