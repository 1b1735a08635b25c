//! What undefined symbols mean: kfuncs, `.kconfig` variables, and what nobody provides.

use super::LoadError;
use super::code::Linker;
use super::core::without_flavour;
use crate::btf::Btf;
use crate::btf::Kind;
use crate::btf::Linkage;
use crate::contract::Callable;
use crate::object::Relocation;
use crate::object::Symbol;

use std::collections::HashMap;

/// Functions of the C library that compilers call on their own.
const LIBRARY: [&str; 5] = ["memcmp", "memcpy", "memmove", "memset", "bcmp"];

/// What a name of the outside is.
pub(super) enum External {
    Kfunc(&'static Callable),
    /// A variable: its offset in the map of `.kconfig`.
    Config(u32),
    /// Missing, and the object does without.
    Absent,
}

/// Prototypes of the functions an object declares and does not define.
pub(super) fn prototypes(btf: &Btf) -> HashMap<&str, u32> {
    let ids = (1..btf.len()).filter_map(|id| u32::try_from(id).ok());
    ids.filter_map(|id| match btf.kind(id) {
        Some(Kind::Func { to, linkage: Linkage::Extern }) => Some((btf.name(id), *to)),
        _ => None,
    })
    .collect()
}

impl<'d> Linker<'_, 'd> {
    /// Finds what an undefined symbol means.
    pub(super) fn external(
        &self,
        section: usize,
        relocation: &Relocation,
        symbol: &Symbol<'d>,
    ) -> Result<External, LoadError> {
        let (offset, name) = (relocation.offset, symbol.name.to_owned());
        let section = || self.section_name(section);
        if let Some(place) = self.context.kconfig.get(symbol.name) {
            return match place {
                Ok(at) => Ok(External::Config(*at)),
                Err(reason) => Err(LoadError::Kconfig { section: section(), offset, name, reason }),
            };
        }
        let kfunc = self.kfuncs.get(symbol.name).or_else(|| self.kfuncs.get(without_flavour(symbol.name)));
        if let Some(kfunc) = kfunc {
            self.check_prototype(symbol.name, kfunc).map_err(|found| LoadError::KfuncPrototype {
                section: section(),
                offset,
                name,
                found,
                expected: kfunc.proto.replace("%s", kfunc.name),
            })?;
            return Ok(External::Kfunc(kfunc));
        }
        let section = section();
        if symbol.weak {
            Ok(External::Absent)
        } else if self.variables.contains(symbol.name) {
            Err(LoadError::KernelVariable { section, offset, name })
        } else if LIBRARY.contains(&symbol.name) {
            Err(LoadError::LibraryCall { section, offset, name })
        } else if symbol.name.starts_with("_ZN") || symbol.name.starts_with("_R") {
            Err(LoadError::RustCall { section, offset, name })
        } else {
            Err(LoadError::UnknownKfunc { section, offset, name })
        }
    }

    /// Compares the number of arguments the object gives a kfunc with what it takes. Objects without types
    /// (of Rust) declare nothing to compare. The error is the number found.
    fn check_prototype(&self, name: &str, kfunc: &Callable) -> Result<(), usize> {
        let Some(proto) = self.prototypes.get(name) else { return Ok(()) };
        let Some(Kind::Prototype { params, .. }) = self.context.btf.kind(*proto) else { return Ok(()) };
        let variadic = params.last().is_some_and(|last| last.ty == 0);
        let found = params.len() - usize::from(variadic);
        let (expected, more) = kfunc.parameters();
        if found == expected || (more && found >= expected) { Ok(()) } else { Err(found) }
    }
}
