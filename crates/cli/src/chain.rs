//! The chain of a mount: which program sets, in which order.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use fuse_bpf::Builder;
use fuse_bpf::filter::{FilterObject, FilterSet, LoadOptions, Registry};
use fuse_bpf::shipped::{self, Pattern, Redaction};

/// `OBJ[:SET]`: an object file and a program set in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterSpec {
    /// The object file.
    pub(crate) object: PathBuf,
    /// The set; the only one, when there is no name.
    pub(crate) set: Option<String>,
}

impl FromStr for FilterSpec {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<FilterSpec, Infallible> {
        let whole = || FilterSpec { object: text.into(), set: None };
        // A file may have a colon in its name.
        if std::fs::metadata(text).is_ok() {
            return Ok(whole());
        }
        let legal = |set: &str| set.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        Ok(match text.rsplit_once(':') {
            Some((object, set)) if !object.is_empty() && !set.is_empty() && legal(set) => {
                FilterSpec { object: object.into(), set: Some(set.to_owned()) }
            }
            _ => whole(),
        })
    }
}

impl FilterSpec {
    /// Loads the object and picks the set.
    pub(crate) fn load(&self, options: LoadOptions) -> anyhow::Result<FilterSet> {
        Ok(FilterObject::load_file(&self.object, options)?.set(self.set.as_deref())?)
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) audit: bool,
    pub(crate) filters: &'a [FilterSpec],
    pub(crate) hide: &'a [Pattern],
    pub(crate) mask: &'a [Pattern],
    pub(crate) redact: &'a [Redaction],
    pub(crate) readonly: bool,
}

/// A set of the chain.
#[derive(Debug)]
pub(crate) enum Link {
    /// One of --filter.
    Filter(FilterSet),
    /// One that is built in: it is around everything, whoever does it.
    Policy(FilterSet),
}

impl Link {
    /// Adds it to a mount.
    pub(crate) fn add_to(self, builder: Builder) -> Builder {
        match self {
            Link::Filter(set) => builder.filter(set),
            Link::Policy(set) => builder.policy(set),
        }
    }
}

/// What was loaded.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The chain, outermost first.
    pub(crate) links: Vec<Link>,
    /// Every set of the objects given with --filter, by name.
    pub(crate) registry: Registry,
}

impl Wanted<'_> {
    /// Loads the sets, outermost first: audit sees what was really asked for and how it ended, hide keeps the
    /// names from the directory whatever a filter made of them, what is masked and redacted no filter sees, readonly has the last
    /// word on changes.
    pub(crate) fn load(&self, options: LoadOptions) -> anyhow::Result<Loaded> {
        let mut links = Vec::new();
        let mut registry = Registry::default();
        if self.audit {
            links.push(Link::Policy(shipped::audit(options)?));
        }
        // Sets of one file share its maps, so a file is loaded once.
        let mut objects: HashMap<&PathBuf, FilterObject> = HashMap::new();
        for spec in self.filters {
            if !objects.contains_key(&spec.object) {
                let object = FilterObject::load_file(&spec.object, options)?;
                object.sets().iter().try_for_each(|set| registry.register(set))?;
                objects.insert(&spec.object, object);
            }
            if let Some(object) = objects.get(&spec.object) {
                links.push(Link::Filter(object.set(spec.set.as_deref())?));
            }
        }
        if !self.hide.is_empty() {
            links.push(Link::Policy(shipped::hide(self.hide, options)?));
        }
        if !self.mask.is_empty() {
            links.push(Link::Policy(shipped::mask(self.mask, options)?));
        }
        links.extend(shipped::redact(self.redact, options)?.into_iter().map(Link::Policy));
        if self.readonly {
            links.push(Link::Policy(shipped::readonly(options)?));
        }
        Ok(Loaded { links, registry })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> (String, Option<String>) {
        let Ok(spec) = text.parse::<FilterSpec>();
        (spec.object.display().to_string(), spec.set)
    }

    #[test]
    fn a_set_follows_the_last_colon() {
        assert_eq!(spec("x.bpf.o"), ("x.bpf.o".into(), None));
        assert_eq!(spec("x.bpf.o:strict"), ("x.bpf.o".into(), Some("strict".into())));
        assert_eq!(spec("a:b.o:s_1"), ("a:b.o".into(), Some("s_1".into())));
        assert_eq!(spec("dir:with/x.o"), ("dir:with/x.o".into(), None));
        assert_eq!(spec("x.o:"), ("x.o:".into(), None));
        assert_eq!(spec(":s"), (":s".into(), None));
    }
}
