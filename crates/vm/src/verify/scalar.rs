//! What is known of a register that holds a number: of all its bits and of its lower half.

use std::fmt;

use super::num::{Cond, Num};

/// A number of `W` bits and, refining each other, its lower `H` bits. Programs have 64 and 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wide<const W: u32, const H: u32> {
    /// All bits.
    pub(super) full: Num<W>,
    /// The lower half.
    pub(super) low: Num<H>,
}

/// A number in a register.
pub(super) type Number = Wide<64, 32>;

/// Operations of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of RFC 9669 section 4.1")]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Sdiv,
    Smod,
    Or,
    And,
    Xor,
    Lsh,
    Rsh,
    Arsh,
}

impl Op {
    /// The operation at one width.
    pub(super) fn apply<const W: u32>(self, a: &Num<W>, b: &Num<W>) -> Num<W> {
        match self {
            Op::Add => a.add(b),
            Op::Sub => a.sub(b),
            Op::Mul => a.mul(b),
            Op::Div => a.div(b),
            Op::Mod => a.rem(b),
            Op::Sdiv => a.sdiv(b),
            Op::Smod => a.srem(b),
            Op::Or => a.or(b),
            Op::And => a.and(b),
            Op::Xor => a.xor(b),
            Op::Lsh => a.shl(b),
            Op::Rsh => a.shr(b),
            Op::Arsh => a.sar(b),
        }
    }

    /// Whether the lower half of the result depends on the lower halves of the operands alone.
    fn is_local(self) -> bool {
        matches!(self, Op::Add | Op::Sub | Op::Mul | Op::Or | Op::And | Op::Xor)
    }
}

impl<const W: u32, const H: u32> Wide<W, H> {
    /// Any number.
    pub(super) const ANY: Self = Wide { full: Num::ANY, low: Num::ANY };

    /// Exactly one number.
    pub(super) const fn constant(value: u64) -> Self {
        Wide { full: Num::constant(value), low: Num::constant(value) }
    }

    /// From what is known of all bits.
    pub(super) fn from_full(full: Num<W>) -> Self {
        Wide { full, low: Num::ANY }.settled()
    }

    /// A lower half, zero-extended.
    pub(super) fn from_low(low: Num<H>) -> Self {
        let full = Num { bits: low.bits, umin: low.umin, umax: low.umax, ..Num::ANY };
        full.settle().map_or(Self::ANY, |full| Wide { full, low })
    }

    /// The number, if it is only one.
    pub(super) fn value(&self) -> Option<u64> {
        self.full.value()
    }

    /// Whether a number is in the set.
    pub(super) fn contains(&self, value: u64) -> bool {
        self.full.contains(value) && self.low.contains(value)
    }

    /// Whether all of `other` are among these.
    pub(super) fn includes(&self, other: &Self) -> bool {
        self.full.includes(&other.full) && self.low.includes(&other.low)
    }

    /// What is in both.
    pub(super) fn intersect(&self, other: &Self) -> Option<Self> {
        Wide { full: self.full.intersect(&other.full)?, low: self.low.intersect(&other.low)? }.settle()
    }

    /// Lets the halves, each of which is settled, refine each other; `None` when they contradict each other.
    pub(super) fn settle(self) -> Option<Self> {
        if let Some(value) = self.full.value() {
            return self.low.contains(value).then_some(Self::constant(value));
        }
        let mut now = self;
        for _ in 0..2 {
            let before = now;
            now = now.settle_once()?;
            if now == before {
                break;
            }
        }
        Some(now)
    }

    fn settled(self) -> Self {
        let settled = self.settle();
        debug_assert!(settled.is_some(), "{self:?}");
        settled.unwrap_or(Self::ANY)
    }

    fn settle_once(self) -> Option<Self> {
        let half = Num::<H>::MASK;
        let (mut full, mut low) = (self.full, self.low);
        low.bits = low.bits.intersect(full.bits.cut(half))?;
        if full.umin >> H == full.umax >> H {
            low.umin = low.umin.max(full.umin & half);
            low.umax = low.umax.min(full.umax & half);
        }
        // Both ends in one stretch of the signed numbers of the lower half.
        if full.smin >> H == full.smax >> H {
            low.umin = low.umin.max(full.smin as u64 & half);
            low.umax = low.umax.min(full.smax as u64 & half);
        }
        if full.smin >= Num::<H>::signed(1 << (H - 1)) && full.smax <= Num::<H>::signed(half >> 1) {
            low.smin = low.smin.max(full.smin);
            low.smax = low.smax.min(full.smax);
        }
        if low.umin > low.umax || low.smin > low.smax {
            return None;
        }
        let low = if low == self.low { low } else { low.settle()? };
        let known =
            super::tnum::Tnum { value: low.bits.value, mask: low.bits.mask | (Num::<W>::MASK & !half) };
        full.bits = full.bits.intersect(known)?;
        // The least and greatest whose lower half is in its range.
        full.umin = match full.umin & half {
            at if at < low.umin => (full.umin & !half) | low.umin,
            at if at > low.umax => {
                let next = (full.umin >> H) + 1;
                if next > Num::<W>::MASK >> H {
                    return None;
                }
                (next << H) | low.umin
            }
            _ => full.umin,
        };
        full.umax = match full.umax & half {
            at if at > low.umax => (full.umax & !half) | low.umax,
            at if at < low.umin => (((full.umax >> H).checked_sub(1)?) << H) | low.umax,
            _ => full.umax,
        };
        if full.umin > full.umax {
            return None;
        }
        let full = if full == self.full { full } else { full.settle()? };
        Some(Wide { full, low })
    }

    /// An operation on all bits.
    pub(super) fn apply(op: Op, a: &Self, b: &Self) -> Self {
        // With 0, these leave the number as it is.
        let leaves = matches!(op, Op::Add | Op::Sub | Op::Or | Op::Xor | Op::Lsh | Op::Rsh | Op::Arsh);
        if leaves && b.value() == Some(0) {
            return *a;
        }
        let full = op.apply(&a.full, &b.full);
        let low = if op.is_local() || (op == Op::Lsh && b.value().is_some_and(|by| by < u64::from(H))) {
            op.apply(&a.low, &b.low)
        } else {
            Num::ANY
        };
        Wide { full, low }.settled()
    }

    /// An operation on the lower halves, zero-extended.
    pub(super) fn apply_low(op: Op, a: &Self, b: &Self) -> Self {
        Self::from_low(op.apply(&a.low, &b.low))
    }

    /// The lower half, zero-extended.
    pub(super) fn truncate(&self) -> Self {
        Self::from_low(self.low)
    }

    /// The low `bits` of all, sign-extended.
    pub(super) fn sign_extend(&self, bits: u32) -> Self {
        if bits == H {
            // What is known of the half as a signed number is known of the result.
            let range = Num::signed_range(self.low.smin, self.low.smax);
            let full = self.full.sign_extend(bits).intersect(&range).unwrap_or(range);
            return Wide { full, low: self.low }.settled();
        }
        Self::from_full(self.full.sign_extend(bits))
    }

    /// The low `bits` of the lower half, sign-extended in it, the rest zero.
    pub(super) fn sign_extend_low(&self, bits: u32) -> Self {
        Self::from_low(self.low.sign_extend(bits))
    }

    /// The low `bits` of all, zero-extended.
    pub(super) fn zero_extend(&self, bits: u32) -> Self {
        if bits == H { self.truncate() } else { Self::from_full(self.full.zero_extend(bits)) }
    }

    /// What is left when a condition holds; `None` when it cannot. `low`: between the lower halves.
    pub(super) fn when(cond: Cond, a: &Self, b: &Self, low: bool) -> Option<(Self, Self)> {
        let (mut a, mut b) = (*a, *b);
        if low {
            (a.low, b.low) = Num::when(cond, &a.low, &b.low)?;
        } else {
            (a.full, b.full) = Num::when(cond, &a.full, &b.full)?;
            if cond == Cond::Eq {
                (a.low, b.low) = Num::when(cond, &a.low, &b.low)?;
            }
        }
        Some((a.settle()?, b.settle()?))
    }
}

/// A number in the kernel's log: decimal where it is small, as if it were signed if it may be negative.
#[derive(Clone, Copy)]
pub(super) enum Logged {
    Signed(i64),
    Unsigned(u64),
}

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Logged::Signed(value) if i16::try_from(value).is_ok() => write!(f, "{value}"),
            Logged::Unsigned(value) if u16::try_from(value).is_ok() => write!(f, "{value}"),
            Logged::Signed(value) => write!(f, "{value:#x}"),
            Logged::Unsigned(value) => write!(f, "{value:#x}"),
        }
    }
}

impl fmt::Display for Number {
    /// As in the kernel's log, what is known of a number that is not known: bounds that say something, those that are the
    /// same together, then bits. Nothing for any number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Logged::{Signed, Unsigned};
        let (full, low) = (&self.full, &self.low);
        let (any, half) = (Num::<64>::ANY, Num::<32>::ANY);
        let bounds = [
            ("smin", Signed(full.smin), full.smin != any.smin),
            ("smax", Signed(full.smax), full.smax != any.smax),
            ("umin", Unsigned(full.umin), full.umin != any.umin),
            ("umax", Unsigned(full.umax), full.umax != any.umax),
            ("smin32", Signed(low.smin), low.smin != half.smin),
            ("smax32", Signed(low.smax), low.smax != half.smax),
            ("umin32", Unsigned(low.umin), low.umin != half.umin),
            ("umax32", Unsigned(low.umax), low.umax != half.umax),
        ];
        // The same number has the same text, but for negative ones, which are not the same as any unsigned.
        let same = |a: Logged, b: Logged| match (a, b) {
            (Signed(a), Signed(b)) => a == b,
            (Unsigned(a), Unsigned(b)) => a == b,
            (Signed(a), Unsigned(b)) | (Unsigned(b), Signed(a)) => u64::try_from(a) == Ok(b),
        };
        let mut before = "";
        for (index, &(name, value, says)) in bounds.iter().enumerate() {
            // Least bounds and greatest ones take turns.
            let kind = |other: usize| other % 2 == index % 2;
            let equal = |other: &usize| bounds[*other].2 && kind(*other) && same(bounds[*other].1, value);
            if !says || (0..index).any(|other| equal(&other)) {
                continue;
            }
            write!(f, "{before}{name}=")?;
            for other in (index + 1..bounds.len()).filter(equal) {
                write!(f, "{}=", bounds[other].0)?;
            }
            write!(f, "{value}")?;
            before = ",";
        }
        if full.bits != any.bits {
            write!(f, "{before}var_off={}", full.bits)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "scalar_tests.rs"]
mod tests;
