//! Which type of the target a type of the object stands for.

use super::Ask;
use super::Core;
use super::spec::MAX_PATH;
use super::spec::Spec;
use super::spec::Step;
use crate::btf::Btf;
use crate::btf::Kind;

/// How deep types are compared.
const MAX_DEPTH: u32 = 32;

const TOO_LONG: &str = "comparing the types takes too long";
const TOO_DEEP: &str = "the types are nested too deeply to compare";

/// The name without flavour: `task` of `task___old`. A flavour follows exactly three underscores
/// between other characters; the last ones count.
pub(in crate::link) fn without_flavour(name: &str) -> &str {
    let bytes = name.as_bytes();
    let separates = |window: &[u8]| matches!(window, [a, b'_', b'_', b'_', b] if *a != b'_' && *b != b'_');
    match bytes.windows(5).rposition(separates) {
        Some(at) => name.get(..=at).unwrap_or(name),
        None => name,
    }
}

/// Whether two kinds can stand for the same thing at all: enums of 32 and of 64 bits can.
fn same_kind(a: &Kind, b: &Kind) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

impl<'b> Core<'b> {
    fn step(&mut self) -> Result<(), &'static str> {
        self.steps = self.steps.checked_sub(1).ok_or(TOO_LONG)?;
        Ok(())
    }

    /// Follows the path of `local` by name in the candidate type of the target; `None` when it is not
    /// the same kind of type or has no such path.
    pub(super) fn follow(
        &mut self,
        ask: Ask,
        local: &Spec<'b>,
        target: &'b Btf,
        candidate: u32,
    ) -> Result<Option<Spec<'b>>, &'static str> {
        self.step()?;
        let kinds = self.local.kind(local.root).zip(target.kind(candidate));
        if !kinds.is_some_and(|(a, b)| same_kind(a, b)) {
            return Ok(None);
        }
        let mut spec = Spec::new(target, candidate);
        if !ask.is_about_field() && !ask.is_about_enumerator() {
            let found = if ask == Ask::TypeMatches {
                self.matches(local.root, target, candidate, false, MAX_DEPTH)?
            } else {
                self.compatible(local.root, target, candidate, MAX_DEPTH)?
            };
            return Ok(found.then_some(spec));
        }
        let Ok(mut at) = target.resolve(candidate) else { return Ok(None) };
        if ask.is_about_enumerator() {
            let Some(Kind::Enum { values, .. }) = target.kind(at) else { return Ok(None) };
            let wanted = local.steps.last().and_then(|step| step.name).map_or("", without_flavour);
            for (index, value) in (0..).zip(values) {
                self.step()?;
                let name = target.string(value.name);
                if without_flavour(name) == wanted {
                    spec.steps.push(Step { ty: at, index, name: Some(name) });
                    return Ok(Some(spec));
                }
            }
            return Ok(None);
        }
        for (depth, step) in local.steps.iter().enumerate() {
            at = target.resolve(at).map_err(|_| TOO_DEEP)?;
            if step.name.is_some() {
                match self.member(step, at, &mut spec)? {
                    Some(next) => at = next,
                    None => return Ok(None),
                }
                continue;
            }
            // The first step counts elements of the candidate itself.
            if depth > 0 {
                let Some(Kind::Array { element, len }) = target.kind(at) else { return Ok(None) };
                if step.index >= *len && !spec.at_flexible(*len) {
                    return Ok(None);
                }
                at = target.resolve(*element).map_err(|_| TOO_DEEP)?;
            }
            if spec.len >= MAX_PATH {
                return Err(TOO_DEEP);
            }
            spec.len += 1;
            spec.steps.push(Step { ty: at, index: step.index, name: None });
            spec.skip(at, step.index)?;
        }
        Ok(Some(spec))
    }

    /// Finds the member of the object's step in a type of the target, also inside members without
    /// name, and steps to it. Gives its type.
    fn member(&mut self, step: &Step<'b>, at: u32, spec: &mut Spec<'b>) -> Result<Option<u32>, &'static str> {
        let (local, target) = (self.local, spec.btf);
        let Some(wanted) = local.members(step.ty).and_then(|m| m.get(step.index as usize)) else {
            return Ok(None);
        };
        let at = target.resolve(at).map_err(|_| TOO_DEEP)?;
        for (index, member) in (0..).zip(target.members(at).unwrap_or_default()) {
            self.step()?;
            if spec.len >= MAX_PATH {
                return Err(TOO_DEEP);
            }
            let before = spec.bit_offset;
            spec.advance(member.bit_offset.into())?;
            spec.len += 1;
            let name = target.string(member.name);
            if name.is_empty() {
                if let Some(found) = self.member(step, member.ty, spec)? {
                    return Ok(Some(found));
                }
            } else if Some(name) == step.name {
                if !self.same_field(wanted.ty, target, member.ty)? {
                    return Ok(None);
                }
                spec.steps.push(Step { ty: at, index, name: Some(name) });
                return Ok(Some(member.ty));
            }
            spec.bit_offset = before;
            spec.len -= 1;
        }
        Ok(None)
    }

    /// Whether fields of these types can stand for each other: both composite, both pointers, both
    /// integers whatever their sizes, enums of one name, arrays of such.
    fn same_field(&mut self, local: u32, target: &Btf, candidate: u32) -> Result<bool, &'static str> {
        let (mut local, mut candidate) = (local, candidate);
        for _ in 0..MAX_DEPTH {
            self.step()?;
            local = self.local.resolve(local).map_err(|_| TOO_DEEP)?;
            candidate = target.resolve(candidate).map_err(|_| TOO_DEEP)?;
            let (Some(a), Some(b)) = (self.local.kind(local), target.kind(candidate)) else {
                return Ok(false);
            };
            return Ok(match (a, b) {
                (Kind::Struct { .. } | Kind::Union { .. }, Kind::Struct { .. } | Kind::Union { .. })
                | (Kind::Ptr { .. }, Kind::Ptr { .. })
                | (Kind::Float { .. }, Kind::Float { .. }) => true,
                (Kind::Forward { .. }, Kind::Forward { .. }) | (Kind::Enum { .. }, Kind::Enum { .. }) => {
                    let (a, b) =
                        (without_flavour(self.local.name(local)), without_flavour(target.name(candidate)));
                    a.is_empty() || b.is_empty() || a == b
                }
                // Integers that are bit fields of old encodings are not integers one can load.
                (Kind::Int { bit_offset: a, .. }, Kind::Int { bit_offset: b, .. }) => *a == 0 && *b == 0,
                (Kind::Array { element: a, .. }, Kind::Array { element: b, .. }) => {
                    (local, candidate) = (*a, *b);
                    continue;
                }
                _ => false,
            });
        }
        Err(TOO_DEEP)
    }

    /// Whether types are of one kind all the way down through pointers, arrays and prototypes
    /// (`type_exists`, `type_size`, `target_type_id`). Members are not compared.
    fn compatible(
        &mut self,
        local: u32,
        target: &Btf,
        candidate: u32,
        depth: u32,
    ) -> Result<bool, &'static str> {
        self.step()?;
        let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
        let local = self.local.resolve(local).map_err(|_| TOO_DEEP)?;
        let candidate = target.resolve(candidate).map_err(|_| TOO_DEEP)?;
        let (Some(a), Some(b)) = (self.local.kind(local), target.kind(candidate)) else { return Ok(false) };
        if !same_kind(a, b) {
            return Ok(false);
        }
        match (a, b) {
            (
                Kind::Void
                | Kind::Struct { .. }
                | Kind::Union { .. }
                | Kind::Enum { .. }
                | Kind::Forward { .. },
                _,
            ) => Ok(true),
            (Kind::Int { bit_offset: a, .. }, Kind::Int { bit_offset: b, .. }) => Ok(*a == 0 && *b == 0),
            (Kind::Ptr { to: a }, Kind::Ptr { to: b }) => self.compatible(*a, target, *b, depth),
            (Kind::Array { element: a, .. }, Kind::Array { element: b, .. }) => {
                self.compatible(*a, target, *b, depth)
            }
            (Kind::Prototype { result: a, params: x }, Kind::Prototype { result: b, params: y }) => {
                if x.len() != y.len() {
                    return Ok(false);
                }
                for (x, y) in x.iter().zip(y) {
                    if !self.compatible(x.ty, target, y.ty, depth)? {
                        return Ok(false);
                    }
                }
                self.compatible(*a, target, *b, depth)
            }
            _ => Ok(false),
        }
    }

    /// Whether a type of the target has all the object's type has (`type_matches`): names, sizes, and
    /// a match for every member and enumerator. Behind a pointer, kind and name are enough.
    fn matches(
        &mut self,
        local: u32,
        target: &Btf,
        candidate: u32,
        behind_pointer: bool,
        depth: u32,
    ) -> Result<bool, &'static str> {
        self.step()?;
        let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
        let local = self.local.resolve(local).map_err(|_| TOO_DEEP)?;
        let candidate = target.resolve(candidate).map_err(|_| TOO_DEEP)?;
        if without_flavour(self.local.name(local)) != without_flavour(target.name(candidate)) {
            return Ok(false);
        }
        let (Some(a), Some(b)) = (self.local.kind(local), target.kind(candidate)) else { return Ok(false) };
        match (a, b) {
            (Kind::Void, Kind::Void) => Ok(true),
            (Kind::Forward { union: a }, Kind::Forward { union: b }) => Ok(a == b),
            (Kind::Forward { union }, Kind::Struct { .. })
            | (Kind::Struct { .. }, Kind::Forward { union }) => Ok(behind_pointer && !union),
            (Kind::Forward { union }, Kind::Union { .. }) | (Kind::Union { .. }, Kind::Forward { union }) => {
                Ok(behind_pointer && *union)
            }
            (Kind::Enum { size: a, values: x, .. }, Kind::Enum { size: b, values: y, .. }) => {
                if a != b || x.len() > y.len() {
                    return Ok(false);
                }
                for x in x {
                    let name = without_flavour(self.local.string(x.name));
                    let mut found = false;
                    for y in y {
                        self.step()?;
                        found |= without_flavour(target.string(y.name)) == name;
                    }
                    if !found {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Kind::Struct { members: x, .. }, Kind::Struct { members: y, .. })
            | (Kind::Union { members: x, .. }, Kind::Union { members: y, .. }) => {
                if behind_pointer {
                    return Ok(true);
                }
                if x.len() > y.len() {
                    return Ok(false);
                }
                for x in x {
                    let name = without_flavour(self.local.string(x.name));
                    let mut found = false;
                    for y in y {
                        self.step()?;
                        if without_flavour(target.string(y.name)) == name
                            && self.matches(x.ty, target, y.ty, behind_pointer, depth)?
                        {
                            found = true;
                            break;
                        }
                    }
                    if !found {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Kind::Int { size: a, signed: x, .. }, Kind::Int { size: b, signed: y, .. }) => {
                Ok(a == b && x == y)
            }
            (Kind::Ptr { to: a }, Kind::Ptr { to: b }) => self.matches(*a, target, *b, true, depth),
            (Kind::Array { element: a, len: x }, Kind::Array { element: b, len: y }) => {
                Ok(x == y && self.matches(*a, target, *b, behind_pointer, depth)?)
            }
            (Kind::Prototype { result: a, params: x }, Kind::Prototype { result: b, params: y }) => {
                if x.len() != y.len() {
                    return Ok(false);
                }
                for (x, y) in x.iter().zip(y) {
                    if !self.matches(x.ty, target, y.ty, behind_pointer, depth)? {
                        return Ok(false);
                    }
                }
                self.matches(*a, target, *b, behind_pointer, depth)
            }
            _ => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::without_flavour;

    #[test]
    fn flavours_are_what_follows_three_underscores() {
        for (name, plain) in [
            ("task", "task"),
            ("task___old", "task"),
            ("task___old___older", "task___old"),
            ("task____old", "task____old"),
            ("___task", "___task"),
            ("task___", "task___"),
            ("a___b", "a"),
            ("", ""),
        ] {
            assert_eq!(without_flavour(name), plain, "{name}");
        }
    }
}
