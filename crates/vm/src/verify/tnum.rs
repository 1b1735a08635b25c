//! Tristate numbers: of each bit, whether it is 0, 1 or unknown.
//!
//! The algorithms are those of the literature on the abstract domain of the Linux verifier (Vishwanathan and others,
//! "Sound, Precise, and Fast Abstract Interpretation with Tristate Numbers", CGO 2022).

use std::fmt;

/// The numbers that agree with `value` in all bits that are not in `mask`. No bit is in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tnum {
    /// Bits that are known to be 1.
    pub(super) value: u64,
    /// Bits that are unknown.
    pub(super) mask: u64,
}

impl Tnum {
    /// Exactly one number.
    pub(super) const fn constant(value: u64) -> Tnum {
        Tnum { value, mask: 0 }
    }

    /// Any number of which only bits in `mask` can be 1.
    pub(super) const fn unknown(mask: u64) -> Tnum {
        Tnum { value: 0, mask }
    }

    /// The least tnum that holds all of `min` to `max`.
    pub(super) fn range(min: u64, max: u64) -> Tnum {
        let differ = min ^ max;
        if differ == 0 {
            return Tnum::constant(min);
        }
        let mask = u64::MAX >> differ.leading_zeros();
        Tnum { value: min & !mask, mask }
    }

    /// Whether a number is one of them.
    pub(super) const fn contains(self, number: u64) -> bool {
        (number & !self.mask) == self.value
    }

    /// Whether all of `other` are among these.
    pub(super) const fn includes(self, other: Tnum) -> bool {
        other.mask & !self.mask == 0 && other.value & !self.mask == self.value
    }

    /// The least of them that is not less than `from`.
    pub(super) fn first_from(self, from: u64) -> Option<u64> {
        let differ = (from ^ self.value) & !self.mask;
        if differ == 0 {
            return Some(from);
        }
        let top = 63 - differ.leading_zeros();
        let below = u64::MAX >> (63 - top);
        if self.value >> top & 1 == 1 {
            return Some((from & !below) | (self.value & below));
        }
        // Above the highest bit that is too great, the lowest unknown one that is 0 becomes 1.
        let free = self.mask & !from & !below;
        if free == 0 {
            return None;
        }
        let bit = free & free.wrapping_neg();
        Some((from & !(bit - 1)) | bit | (self.value & (bit - 1)))
    }

    /// The greatest of them that is not greater than `to`.
    pub(super) fn last_to(self, to: u64) -> Option<u64> {
        let mirrored = Tnum { value: !self.value & !self.mask, mask: self.mask };
        mirrored.first_from(!to).map(|number| !number)
    }

    /// What is in both; `None` when nothing is.
    pub(super) const fn intersect(self, other: Tnum) -> Option<Tnum> {
        let known = !self.mask & !other.mask;
        if (self.value ^ other.value) & known != 0 {
            return None;
        }
        let mask = self.mask & other.mask;
        Some(Tnum { value: (self.value | other.value) & !mask, mask })
    }

    /// Sum, cut to the bits of `width`.
    pub(super) fn add(self, other: Tnum, width: u64) -> Tnum {
        let masks = self.mask.wrapping_add(other.mask);
        let values = self.value.wrapping_add(other.value);
        let carries = masks.wrapping_add(values) ^ values;
        let mask = carries | self.mask | other.mask;
        Tnum { value: values & !mask & width, mask: mask & width }
    }

    /// Difference, cut to the bits of `width`.
    pub(super) fn sub(self, other: Tnum, width: u64) -> Tnum {
        let values = self.value.wrapping_sub(other.value);
        let most = values.wrapping_add(self.mask);
        let least = values.wrapping_sub(other.mask);
        let mask = (most ^ least) | self.mask | other.mask;
        Tnum { value: values & !mask & width, mask: mask & width }
    }

    /// Product, cut to the bits of `width`.
    pub(super) fn mul(self, other: Tnum, width: u64) -> Tnum {
        let values = self.value.wrapping_mul(other.value);
        let (mut a, mut b) = (self, other);
        let mut unknown = Tnum::constant(0);
        while a.value != 0 || a.mask != 0 {
            if a.value & 1 != 0 {
                unknown = unknown.add(Tnum::unknown(b.mask), u64::MAX);
            } else if a.mask & 1 != 0 {
                unknown = unknown.add(Tnum::unknown(b.value | b.mask), u64::MAX);
            }
            a = Tnum { value: a.value >> 1, mask: a.mask >> 1 };
            b = Tnum { value: b.value << 1, mask: b.mask << 1 };
        }
        Tnum::constant(values).add(unknown, width)
    }

    /// Bitwise and.
    pub(super) const fn and(self, other: Tnum) -> Tnum {
        let (a, b) = (self.value | self.mask, other.value | other.mask);
        let value = self.value & other.value;
        Tnum { value, mask: a & b & !value }
    }

    /// Bitwise or.
    pub(super) const fn or(self, other: Tnum) -> Tnum {
        let value = self.value | other.value;
        Tnum { value, mask: (self.mask | other.mask) & !value }
    }

    /// Bitwise exclusive or.
    pub(super) const fn xor(self, other: Tnum) -> Tnum {
        let mask = self.mask | other.mask;
        Tnum { value: (self.value ^ other.value) & !mask, mask }
    }

    /// Shift to the left, cut to the bits of `width`.
    pub(super) const fn shl(self, by: u32, width: u64) -> Tnum {
        Tnum { value: (self.value << by) & width, mask: (self.mask << by) & width }
    }

    /// Logical shift to the right.
    pub(super) const fn shr(self, by: u32) -> Tnum {
        Tnum { value: self.value >> by, mask: self.mask >> by }
    }

    /// Only the bits of `width`.
    pub(super) const fn cut(self, width: u64) -> Tnum {
        Tnum { value: self.value & width, mask: self.mask & width }
    }
}

impl fmt::Display for Tnum {
    /// As in the kernel's log: what is known, and which bits are not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:#x}; {:#x})", self.value, self.mask)
    }
}
