//! CO-RE relocations: numbers in the code that depend on the layout of somebody else's types.
//!
//! A relocation names a type of the object and a path in it, and asks for a number: the offset of a
//! field, whether a type exists, the value of an enumerator. The path is followed in the types of
//! the object, then by name in the types the embedder offers, and the instruction is patched with what is found
//! there. The rules are those of libbpf (`relo_core.c`, and "BPF CO-RE relocations" in its
//! documentation), so that an object means the same here and there. Where libbpf would make the
//! instruction one that must not be reached, so does this: [`poison::CORE`].
//!
//! Without types of an embedder the object's own are the target, and every relocation asks for what
//! the code says already; that is checked.

use std::collections::HashMap;
use std::fmt;

use crate::btf::Btf;
use crate::btf::CoreRelocation;
use crate::btf::Kind;
use crate::insn::Insn;
use crate::insn::op;
use crate::insn::poison;

mod matching;
mod spec;

pub(super) use matching::without_flavour;
use spec::Spec;

/// Most comparisons of types and members for all relocations of an object.
const MAX_STEPS: u32 = 1 << 22;

/// What a relocation asks for: `enum bpf_core_relo_kind` of `linux/bpf.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    FieldOffset,
    FieldSize,
    FieldExists,
    FieldSigned,
    FieldLeftShift,
    FieldRightShift,
    LocalType,
    TargetType,
    TypeExists,
    TypeSize,
    EnumeratorExists,
    EnumeratorValue,
    TypeMatches,
}

/// By number, with the names libbpf prints.
const ASKS: [(Ask, &str); 13] = [
    (Ask::FieldOffset, "byte_off"),
    (Ask::FieldSize, "byte_sz"),
    (Ask::FieldExists, "field_exists"),
    (Ask::FieldSigned, "signed"),
    (Ask::FieldLeftShift, "lshift_u64"),
    (Ask::FieldRightShift, "rshift_u64"),
    (Ask::LocalType, "local_type_id"),
    (Ask::TargetType, "target_type_id"),
    (Ask::TypeExists, "type_exists"),
    (Ask::TypeSize, "type_size"),
    (Ask::EnumeratorExists, "enumval_exists"),
    (Ask::EnumeratorValue, "enumval_value"),
    (Ask::TypeMatches, "type_matches"),
];

impl Ask {
    fn is_about_field(self) -> bool {
        (self as u8) <= Ask::FieldRightShift as u8
    }

    fn is_about_enumerator(self) -> bool {
        matches!(self, Ask::EnumeratorExists | Ask::EnumeratorValue)
    }
}

/// A relocation that is wrong, whatever the target.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    /// What it asks for: `byte_off of struct task::pid`.
    pub(super) relocation: String,
    pub(super) reason: String,
}

/// Applies relocations.
pub(super) struct Core<'b> {
    local: &'b Btf,
    /// `None`: the object's own.
    target: Option<&'b Btf>,
    /// Types of the target by name without flavour.
    names: HashMap<&'b str, Vec<u32>>,
    /// Types of the target a type of the object may stand for: those of its name that had everything asked
    /// for so far.
    candidates: HashMap<u32, Vec<u32>>,
    steps: u32,
}

/// The number a relocation asks for, in one set of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answer {
    value: u64,
    /// Size in bytes and type of the field, where the size of a load or store depends on it.
    field: Option<(u64, u32)>,
    /// Whether compilers have no choice, so that the code must hold this number.
    certain: bool,
}

impl Answer {
    fn certain(value: u64) -> Answer {
        Answer { value, field: None, certain: true }
    }
}

/// What to do to an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Decision {
    /// What it held, and what it holds from now on.
    Patch { old: Answer, new: Answer, resize: Resize },
    /// It must not be reached.
    Poison(&'static str),
}

/// Whether a load or store may become one of another size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resize {
    /// The sizes are equal, or it is no matter.
    Same,
    /// From one size to another.
    To { old: u64, new: u64 },
    /// Signs or kinds differ, so that more than the size would have to change.
    Impossible,
}

impl<'b> Core<'b> {
    pub(super) fn new(local: &'b Btf, target: Option<&'b Btf>) -> Self {
        let mut names: HashMap<&str, Vec<u32>> = HashMap::new();
        if let Some(target) = target {
            for id in (1..target.len()).filter_map(|id| u32::try_from(id).ok()) {
                let name = without_flavour(target.name(id));
                if !name.is_empty() {
                    names.entry(name).or_default().push(id);
                }
            }
        }
        Core { local, target, names, candidates: HashMap::new(), steps: MAX_STEPS }
    }

    /// Applies one relocation to an instruction and the slot after it. When the instruction must not be
    /// reached, it becomes a call of [`poison::CORE`] and the text says what is missing.
    pub(super) fn apply(
        &mut self,
        relocation: &CoreRelocation,
        insn: &mut Insn,
        second: Option<&mut Insn>,
    ) -> Result<Option<String>, Problem> {
        let ask = usize::try_from(relocation.kind).ok().and_then(|kind| ASKS.get(kind));
        let Some((ask, name)) = ask.copied() else {
            let reason = "unknown kind of relocation; build with an older clang".to_owned();
            return Err(Problem { relocation: format!("kind {}", relocation.kind), reason });
        };
        let problem = |what: &dyn fmt::Display, reason: &str| Problem {
            relocation: format!("{name} of `{what}`"),
            reason: reason.to_owned(),
        };
        let root = Root { btf: self.local, ty: relocation.ty };
        let access = self.local.string(relocation.access);
        let spec = match Spec::parse(self.local, relocation.ty, access, ask) {
            Ok(spec) => spec,
            Err(reason) => return Err(problem(&root, reason)),
        };
        let decision = self.decide(ask, &spec).map_err(|reason| problem(&spec, reason))?;
        let patched = match decision {
            Decision::Patch { old, new, resize } => patch(insn, second, old, new, resize),
            Decision::Poison(reason) => {
                poison(insn, second);
                Ok(Some(reason))
            }
        };
        match patched {
            Ok(None) => Ok(None),
            Ok(Some(reason)) => Ok(Some(format!("{name} of `{spec}`: {reason}"))),
            Err(reason) => Err(problem(&spec, &reason)),
        }
    }

    /// Finds the number in the target.
    fn decide(&mut self, ask: Ask, local: &Spec<'b>) -> Result<Decision, &'static str> {
        if ask == Ask::LocalType {
            let same = Answer { certain: false, ..Answer::certain(local.root.into()) };
            return Ok(Decision::Patch { old: same, new: same, resize: Resize::Same });
        }
        let Some(target) = self.target else {
            return decide(ask, local, Some(local));
        };
        let name = without_flavour(self.local.name(local.root));
        if name.is_empty() {
            return Err("the type has no name to find it by");
        }
        let candidates = match self.candidates.get(&local.root) {
            Some(narrowed) => narrowed.clone(),
            None => self.names.get(name).cloned().unwrap_or_default(),
        };
        let mut found: Option<(u64, Decision)> = None;
        let mut matching = Vec::new();
        for candidate in candidates {
            let Some(spec) = self.follow(ask, local, target, candidate)? else { continue };
            matching.push(candidate);
            let decision = decide(ask, local, Some(&spec))?;
            match &found {
                None => found = Some((spec.bit_offset, decision)),
                Some((offset, first)) if *offset != spec.bit_offset || !same_number(first, &decision) => {
                    return Err("several types of this name are offered here, and they differ");
                }
                Some(_) => {}
            }
        }
        match found {
            Some((_, decision)) => {
                self.candidates.insert(local.root, matching);
                Ok(decision)
            }
            None => decide(ask, local, None),
        }
    }
}

fn same_number(a: &Decision, b: &Decision) -> bool {
    match (a, b) {
        (Decision::Patch { new: a, .. }, Decision::Patch { new: b, .. }) => a.value == b.value,
        _ => a == b,
    }
}

/// Compares the answers of the object's own types and of the target's.
fn decide(ask: Ask, local: &Spec<'_>, target: Option<&Spec<'_>>) -> Result<Decision, &'static str> {
    let missing = || {
        Ok(Decision::Poison(match ask {
            _ if ask.is_about_field() => "there is no such field here",
            _ if ask.is_about_enumerator() => "there is no such enumerator here",
            _ => "there is no such type here",
        }))
    };
    let old = local.answer(ask)?;
    let new = match target {
        Some(target) => target.answer(ask)?,
        // What exists and how large it is can be said of anything; the rest cannot.
        None if ask.is_about_field() && ask != Ask::FieldExists => return missing(),
        None if ask == Ask::EnumeratorValue => return missing(),
        None => Answer::certain(0),
    };
    let resize = match (target, old.field, new.field) {
        (Some(target), Some((old, old_type)), Some((new, new_type))) if old != new => {
            // A pointer may be narrower elsewhere, and an unsigned integer is extended with zeroes.
            match (local.btf.kind(old_type), target.btf.kind(new_type)) {
                (Some(Kind::Ptr { .. }), Some(Kind::Ptr { .. })) => Resize::To { old, new },
                (Some(Kind::Int { signed: false, .. }), Some(Kind::Int { signed: false, .. })) => {
                    Resize::To { old, new }
                }
                _ => Resize::Impossible,
            }
        }
        // A bit field on one side only.
        (_, Some(_), None) | (_, None, Some(_)) => Resize::Impossible,
        _ => Resize::Same,
    };
    Ok(Decision::Patch { old, new, resize })
}

/// Puts a number into an instruction; a reason when it must be poisoned after all.
fn patch(
    insn: &mut Insn,
    second: Option<&mut Insn>,
    old: Answer,
    new: Answer,
    resize: Resize,
) -> Result<Option<&'static str>, String> {
    let check = |present: u64, as_found: u64| {
        if !old.certain || present == old.value || as_found == old.value {
            return Ok(());
        }
        Err(format!("the code holds {as_found} where the object's own types say {}", old.value))
    };
    match insn.class() {
        op::ALU | op::ALU64 if insn.code & op::X == 0 => {
            let present = i64::from(insn.imm).cast_unsigned();
            check(present, u64::from(insn.imm.cast_unsigned()))?;
            // Enumerators may be negative: what matters is that the low half says it all.
            let fits = i32::try_from(new.value.cast_signed()).is_ok() || u32::try_from(new.value).is_ok();
            if !fits {
                return Err(format!("{} does not fit the instruction", new.value));
            }
            insn.imm = new.value as i32;
        }
        op::LDX | op::ST | op::STX => {
            check(i64::from(insn.off).cast_unsigned(), i64::from(insn.off).cast_unsigned())?;
            let off = i16::try_from(new.value);
            let off = off.map_err(|_| format!("offset {} does not fit the instruction", new.value))?;
            match resize {
                Resize::Same => {}
                Resize::Impossible => {
                    poison(insn, second);
                    return Ok(Some(
                        "the field has another size here, and is not an unsigned integer or a pointer on both sides",
                    ));
                }
                Resize::To { old, new } => {
                    if access_size(insn.code) != old {
                        return Err(format!("the instruction accesses not all {old} bytes of the field"));
                    }
                    let size = match new {
                        1 => op::B,
                        2 => op::H,
                        4 => op::W,
                        8 => op::DW,
                        _ => return Err(format!("no instruction accesses {new} bytes")),
                    };
                    insn.code = insn.code & !0x18 | size;
                }
            }
            insn.off = off;
        }
        op::LD if insn.is_wide() => {
            let Some(second) = second else {
                return Err("64-bit immediate load is cut short".to_owned());
            };
            let present = u64::from(second.imm.cast_unsigned()) << 32 | u64::from(insn.imm.cast_unsigned());
            check(present, present)?;
            insn.imm = new.value as i32;
            second.imm = (new.value >> 32) as i32;
        }
        _ => return Err("the instruction holds no number to relocate".to_owned()),
    }
    Ok(None)
}

/// Bytes a load or store accesses.
fn access_size(code: u8) -> u64 {
    match code & 0x18 {
        op::B => 1,
        op::H => 2,
        op::W => 4,
        _ => 8,
    }
}

/// Makes an instruction one that must not be reached, both slots of a wide load.
fn poison(insn: &mut Insn, second: Option<&mut Insn>) {
    let call = Insn { code: op::CALL_IMM, imm: poison::CORE, ..Insn::default() };
    if insn.is_wide()
        && let Some(second) = second
    {
        *second = call;
    }
    *insn = call;
}

/// A type by its C name, for errors.
struct Root<'b> {
    btf: &'b Btf,
    ty: u32,
}

impl fmt::Display for Root<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.btf.kind(self.ty) {
            Some(Kind::Struct { .. }) => "struct ",
            Some(Kind::Union { .. }) => "union ",
            Some(Kind::Enum { .. }) => "enum ",
            _ => "",
        })?;
        match self.btf.name(self.ty) {
            "" => write!(f, "type {}", self.ty),
            name => f.write_str(name),
        }
    }
}
