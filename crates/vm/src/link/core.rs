//! CO-RE relocations, as far as they say what the code says already.
//!
//! Nothing here has another layout than the object's own, so a relocation about a member asks for
//! the number the compiler has put into the instruction. That is checked; everything else is an
//! error until relocations are applied.

use crate::btf::Btf;
use crate::btf::BtfError;
use crate::btf::CoreRelocation;
use crate::btf::Kind;
use crate::insn::Insn;
use crate::insn::op;

/// Longest path to a member, in steps.
const MAX_STEPS: usize = 64;

/// Checks one relocation against the instruction it is for and the slot after.
///
/// # Errors
///
/// Why the relocation cannot be left alone.
pub(super) fn check(
    btf: &Btf,
    relocation: &CoreRelocation,
    insn: Insn,
    next: Option<Insn>,
) -> Result<(), &'static str> {
    let access = btf.string(relocation.access);
    let expected = match relocation.kind {
        0..=5 => {
            let field = Field::find(btf, relocation.ty, access).ok_or("the path to the member is broken")?;
            match field.value(btf, relocation.kind) {
                Ok(Some(value)) => value,
                Ok(None) => return Ok(()),
                Err(_) => return Err("the member has no size"),
            }
        }
        6 | 7 => return Err("type ids"),
        8 | 9 | 12 => return Err("existence, size or match of types"),
        10 | 11 => return Err("existence or value of enum constants"),
        _ => return Err("unknown kind"),
    };
    let present = match insn.class() {
        op::ALU | op::ALU64 if insn.code & op::X == 0 => i64::from(insn.imm).cast_unsigned(),
        op::LDX | op::ST | op::STX => i64::from(insn.off).cast_unsigned(),
        op::LD if insn.is_wide() => {
            let high = next.map_or(0, |next| u64::from(next.imm.cast_unsigned()));
            high << 32 | u64::from(insn.imm.cast_unsigned())
        }
        _ => return Err("the instruction holds no number to relocate"),
    };
    if present == expected { Ok(()) } else { Err("the code differs from the object's own types") }
}

/// A member reached by a path.
struct Field {
    ty: u32,
    /// Offset from the start of the outermost type, in bits.
    bit_offset: u64,
    /// Width if it is a bit field, else 0.
    bits: u8,
}

impl Field {
    /// Follows a path like `0:1:2`: an index into an array of the type itself, then member and
    /// element indices.
    fn find(btf: &Btf, root: u32, access: &str) -> Option<Field> {
        let mut steps = access.split(':').take(MAX_STEPS + 1).map(|step| step.parse::<u32>().ok());
        let index = steps.next()??;
        let size = btf.size_of(root).ok()?;
        let bit_offset = size.checked_mul(u64::from(index))?.checked_mul(8)?;
        let mut field = Field { ty: btf.resolve(root).ok()?, bit_offset, bits: 0 };
        for (depth, step) in steps.enumerate() {
            let index = step.filter(|_| depth < MAX_STEPS)?;
            let (ty, offset, bits) = match btf.kind(field.ty)? {
                Kind::Struct { members, .. } | Kind::Union { members, .. } => {
                    let member = members.get(index as usize)?;
                    (member.ty, u64::from(member.bit_offset), member.bits)
                }
                Kind::Array { element, .. } => {
                    let size = btf.size_of(*element).ok()?;
                    (*element, size.checked_mul(u64::from(index))?.checked_mul(8)?, 0)
                }
                _ => return None,
            };
            field.bit_offset = field.bit_offset.checked_add(offset)?;
            (field.ty, field.bits) = (btf.resolve(ty).ok()?, bits);
        }
        Some(field)
    }

    /// The number a relocation of this kind asks for: 0 byte offset, 1 size, 2 existence,
    /// 3 signedness. `None` where compilers choose among several right answers: which word to load
    /// for a bit field, and the shifts (4 and 5) that go with it. They chose for this very layout.
    fn value(&self, btf: &Btf, kind: u32) -> Result<Option<u64>, BtfError> {
        let bit_field = self.bits != 0;
        Ok(match kind {
            0 if !bit_field => Some(self.bit_offset / 8),
            1 if !bit_field => Some(btf.size_of(self.ty)?),
            2 => Some(1),
            3 => match btf.kind(self.ty) {
                Some(Kind::Int { signed, .. } | Kind::Enum { signed, .. }) => Some(u64::from(*signed)),
                _ => None,
            },
            _ => None,
        })
    }
}
