//! CO-RE relocations, as far as they say what the code says already.
//!
//! Nothing here has another layout than the object's own, so a relocation about a member asks for
//! the number the compiler has put into the instruction. That is checked; everything else is an
//! error until relocations are applied.

use crate::btf::Btf;
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
            field.value(btf, relocation.kind).ok_or("the member cannot be accessed")?
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

    /// The number a relocation of this kind asks for: 0 byte offset, 1 size of the access,
    /// 2 existence, 3 signedness, 4 and 5 the shifts that extract the member from 64 bits.
    fn value(&self, btf: &Btf, kind: u32) -> Option<u64> {
        let mut size = btf.size_of(self.ty).ok()?;
        let mut offset = self.bit_offset / 8;
        let width = if self.bits == 0 { size.checked_mul(8)? } else { u64::from(self.bits) };
        if self.bits != 0 {
            // The aligned word that holds all of the bit field, wider than its type if need be.
            loop {
                if !(1..=8).contains(&size) {
                    return None;
                }
                offset = self.bit_offset / 8 / size * size;
                if self.bit_offset.checked_add(width)?.checked_sub(offset * 8)? <= size * 8 {
                    break;
                }
                size *= 2;
            }
        }
        Some(match kind {
            0 => offset,
            1 => size,
            2 => 1,
            3 => match btf.kind(self.ty)? {
                Kind::Int { signed, .. } | Kind::Enum { signed, .. } => u64::from(*signed),
                _ => 0,
            },
            4 => 64u64.checked_sub(self.bit_offset.checked_add(width)?.checked_sub(offset * 8)?)?,
            _ => 64u64.checked_sub(width)?,
        })
    }
}
