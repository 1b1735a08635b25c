//! The filters that ship: their objects, and how they are configured.
//!
//! Sources are in `bpf/filters`; the objects beside them are embedded, so that nobody needs a compiler. A
//! test rebuilds them and compares.

use std::ops::Range;
use std::str::FromStr;

use fuse_bpf_vm::link::Module;
use fuse_bpf_vm::maps::{MapError, UpdateMode};

use crate::filter::{FilterError, FilterObject, FilterSet, LoadOptions};

/// The header filters are written against.
pub const HEADER: &str = include_str!("../../../bpf/include/fuse_bpf.h");

/// Objects by name.
pub const OBJECTS: &[(&str, &[u8])] = &[
    ("hide", include_bytes!("../../../bpf/filters/hide.bpf.o")),
    ("readonly", include_bytes!("../../../bpf/filters/readonly.bpf.o")),
    ("audit", include_bytes!("../../../bpf/filters/audit.bpf.o")),
    ("mask", include_bytes!("../../../bpf/filters/mask.bpf.o")),
    ("redact", include_bytes!("../../../bpf/filters/redact.bpf.o")),
];

/// Longest name, in bytes.
const NAME: usize = 255;
/// Room for a name and its NUL in the maps of patterns.
const TEXT: usize = 256;

/// Why a shipped filter cannot be used as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShippedError {
    /// A pattern is of no known form.
    #[error("pattern `{pattern}`: {reason}; a pattern is a name, `prefix*` or `*suffix`")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// What is to be redacted is of no known form.
    #[error(
        "`{text}`: {reason}; what is redacted is PATTERN=START-END[,START-END...], in bytes, END not included"
    )]
    Redaction {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More patterns than the filter holds.
    #[error("{given} {kind} patterns, at most {limit} are possible")]
    TooMany {
        /// Which kind.
        kind: &'static str,
        /// How many there are.
        given: usize,
        /// How many are possible.
        limit: usize,
    },
    /// The embedded object is unusable.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A map of the embedded object is unusable.
    #[error("the embedded filter does not take its configuration")]
    Map(#[source] MapError),
    /// A map of the embedded object is missing.
    #[error("the embedded filter has no map `{0}`")]
    NoMap(&'static str),
}

/// Which names a filter is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// This name.
    Name(String),
    /// Every name that starts so.
    Prefix(String),
    /// Every name that ends so.
    Suffix(String),
}

impl FromStr for Pattern {
    type Err = ShippedError;

    fn from_str(pattern: &str) -> Result<Pattern, ShippedError> {
        let refuse = |reason| Err(ShippedError::Pattern { pattern: pattern.to_owned(), reason });
        let (text, make): (&str, fn(String) -> Pattern) =
            match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
                (Some(_), Some(_)) => return refuse("a star at both ends would hide too much"),
                (Some(suffix), None) => (suffix, Pattern::Suffix),
                (None, Some(prefix)) => (prefix, Pattern::Prefix),
                (None, None) => (pattern, Pattern::Name),
            };
        match text {
            "" => refuse("it is empty"),
            "." | ".." => refuse("this name cannot be hidden"),
            _ if text.len() > NAME => refuse("it is longer than a name can be"),
            _ if text.contains('/') => refuse("it has a slash, and names have none"),
            _ if text.contains('*') => refuse("a star may only stand at one end"),
            _ if text.contains('\0') => refuse("it has a NUL byte"),
            _ => Ok(make(text.to_owned())),
        }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pattern::Name(text) => write!(f, "{text}"),
            Pattern::Prefix(text) => write!(f, "{text}*"),
            Pattern::Suffix(text) => write!(f, "*{text}"),
        }
    }
}

/// A set that hides names.
///
/// # Errors
///
/// When there are more patterns than it holds.
pub fn hide(patterns: &[Pattern], options: impl Into<LoadOptions>) -> Result<FilterSet, ShippedError> {
    let set = load("hide", options)?;
    put_patterns(&set, patterns)?;
    Ok(set)
}

/// A set that shows stars in place of what follows the first `=` of each line of files with such names. They cannot be
/// written.
///
/// # Errors
///
/// As [`hide`].
pub fn mask(patterns: &[Pattern], options: impl Into<LoadOptions>) -> Result<FilterSet, ShippedError> {
    let set = load("mask", options)?;
    put_patterns(&set, patterns)?;
    Ok(set)
}

/// A set that shows zeros in place of ranges of files with such names. The ranges cannot be written.
///
/// # Errors
///
/// As [`hide`], and when there are more ranges than it holds.
pub fn redact(
    redactions: &[Redaction],
    options: impl Into<LoadOptions>,
) -> Result<Vec<FilterSet>, ShippedError> {
    let options = options.into();
    let each = redactions.iter().map(|redaction| {
        let set = load("redact", options)?;
        put_patterns(&set, std::slice::from_ref(&redaction.pattern))?;
        for (index, range) in redaction.ranges.iter().enumerate() {
            let value = [range.start.to_ne_bytes(), range.end.to_ne_bytes()].concat();
            put(&set, "redact_ranges", index + 1, "range", &(index as u32).to_ne_bytes(), &value)?;
        }
        let count = redaction.ranges.len() as u32;
        put(&set, "redact_count", 1, "", &0u32.to_ne_bytes(), &count.to_ne_bytes())?;
        Ok(set)
    });
    each.collect()
}

/// Ranges of files with such names: `PATTERN=START-END[,START-END...]`, in bytes, the end not included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redaction {
    /// The names.
    pub pattern: Pattern,
    /// The ranges.
    pub ranges: Vec<Range<u64>>,
}

impl FromStr for Redaction {
    type Err = ShippedError;

    fn from_str(text: &str) -> Result<Redaction, ShippedError> {
        let refuse = |reason| ShippedError::Redaction { text: text.to_owned(), reason };
        let (pattern, ranges) = text.rsplit_once('=').ok_or_else(|| refuse("it has no `=`"))?;
        let range = |range: &str| {
            let (start, end) = range.split_once('-').ok_or_else(|| refuse("a range is START-END"))?;
            let number = |text: &str| text.parse().map_err(|_| refuse("START and END are numbers of bytes"));
            let range = number(start)?..number(end)?;
            if range.is_empty() { Err(refuse("a range is empty")) } else { Ok(range) }
        };
        let ranges = ranges.split(',').map(range).collect::<Result<_, _>>()?;
        Ok(Redaction { pattern: pattern.parse()?, ranges })
    }
}

/// Configures the patterns of a set.
fn put_patterns(set: &FilterSet, patterns: &[Pattern]) -> Result<(), ShippedError> {
    let mut affixes = 0u32;
    let mut names = 0;
    for pattern in patterns {
        let (kind, text) = match pattern {
            Pattern::Name(text) => {
                names += 1;
                let mut key = [0; TEXT];
                key[..text.len()].copy_from_slice(text.as_bytes());
                put(set, "pattern_names", names, "name", &key, &1u32.to_ne_bytes())?;
                continue;
            }
            Pattern::Prefix(text) => (1u32, text),
            Pattern::Suffix(text) => (2u32, text),
        };
        let mut value = Vec::with_capacity(8 + TEXT);
        value.extend(kind.to_ne_bytes());
        value.extend((text.len() as u32).to_ne_bytes());
        value.extend(text.as_bytes());
        value.resize(8 + TEXT, 0);
        put(
            set,
            "pattern_affixes",
            affixes as usize + 1,
            "prefix and suffix",
            &affixes.to_ne_bytes(),
            &value,
        )?;
        affixes += 1;
    }
    put(set, "pattern_count", 1, "", &0u32.to_ne_bytes(), &affixes.to_ne_bytes())
}

/// A set that refuses every change.
///
/// # Errors
///
/// When the embedded object is unusable.
pub fn readonly(options: impl Into<LoadOptions>) -> Result<FilterSet, ShippedError> {
    load("readonly", options)
}

/// A set that records every operation in the ring buffer `audit_events`.
///
/// # Errors
///
/// When the embedded object is unusable.
pub fn audit(options: impl Into<LoadOptions>) -> Result<FilterSet, ShippedError> {
    load("audit", options)
}

fn load(name: &'static str, options: impl Into<LoadOptions>) -> Result<FilterSet, ShippedError> {
    let bytes = OBJECTS.iter().find(|(n, _)| *n == name).map_or(&[][..], |(_, bytes)| bytes);
    Ok(FilterObject::load(name, bytes, options)?.set(Some(name))?)
}

/// Puts entry number `given` of a kind into a map.
fn put(
    set: &FilterSet,
    map: &'static str,
    given: usize,
    kind: &'static str,
    key: &[u8],
    value: &[u8],
) -> Result<(), ShippedError> {
    let module: &Module = set.module();
    let map = module.maps.iter().find(|m| m.spec().name == map).ok_or(ShippedError::NoMap(map))?;
    let limit = map.spec().max_entries as usize;
    if given > limit {
        return Err(ShippedError::TooMany { kind, given, limit });
    }
    map.update(key, value, UpdateMode::Any).map_err(ShippedError::Map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert_eq!("secret".parse::<Pattern>().unwrap(), Pattern::Name("secret".into()));
        assert_eq!("secret*".parse::<Pattern>().unwrap(), Pattern::Prefix("secret".into()));
        assert_eq!("*.key".parse::<Pattern>().unwrap(), Pattern::Suffix(".key".into()));
        for bad in ["", "*", "**", "*a*", "a*b", "a/b", ".", "..", "*a*b"] {
            let error = bad.parse::<Pattern>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{bad}`")), "{error}");
        }
    }

    #[test]
    fn shipped_filters_load() {
        hide(&["a".parse().unwrap(), "b*".parse().unwrap(), "*c".parse().unwrap()], 1).unwrap();
        assert_eq!(audit(1).unwrap().members(), (9, 9));
        assert_eq!(readonly(1).unwrap().members(), (7, 9));
    }

    #[test]
    fn too_many_patterns_are_refused() {
        let many: Vec<_> = (0..1025).map(|i| Pattern::Prefix(format!("p{i}"))).collect();
        let error = hide(&many, 1).unwrap_err();
        assert!(matches!(error, ShippedError::TooMany { limit: 1024, .. }), "{error}");
    }
}
