//! What is known of a number of `W` bits.
//!
//! A [`Num`] is a reduced product: known bits, an unsigned range and a signed range, each of which refines the others. All
//! operations are generic over the width, so that tests can compare them with every concrete case at a small one.

use super::tnum::Tnum;

/// A set of numbers of `W` bits. Never empty: operations that find a contradiction give `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Num<const W: u32> {
    /// Known bits; none above `W`.
    pub(super) bits: Tnum,
    /// Least unsigned value.
    pub(super) umin: u64,
    /// Greatest unsigned value.
    pub(super) umax: u64,
    /// Least signed value.
    pub(super) smin: i64,
    /// Greatest signed value.
    pub(super) smax: i64,
}

/// The ranges of one sign: least and greatest.
type Part = Option<(u64, u64)>;

impl<const W: u32> Num<W> {
    /// All bits.
    pub(super) const MASK: u64 = u64::MAX >> (64 - W);
    const SIGN: u64 = 1 << (W - 1);
    const SMIN: i64 = -1 << (W - 1);
    const SMAX: i64 = !Self::SMIN;

    /// Any number.
    pub(super) const ANY: Self = Num {
        bits: Tnum::unknown(Self::MASK),
        umin: 0,
        umax: Self::MASK,
        smin: Self::SMIN,
        smax: Self::SMAX,
    };

    /// The signed value of `W` bits.
    pub(super) const fn signed(value: u64) -> i64 {
        ((value << (64 - W)) as i64) >> (64 - W)
    }

    const fn unsigned(value: i64) -> u64 {
        value as u64 & Self::MASK
    }

    /// Exactly one number.
    pub(super) const fn constant(value: u64) -> Self {
        let value = value & Self::MASK;
        let signed = Self::signed(value);
        Num { bits: Tnum::constant(value), umin: value, umax: value, smin: signed, smax: signed }
    }

    /// The number, if it is only one.
    pub(super) fn value(&self) -> Option<u64> {
        (self.umin == self.umax).then_some(self.umin)
    }

    /// All of an unsigned range.
    pub(super) fn unsigned_range(min: u64, max: u64) -> Self {
        Num { umin: min, umax: max.min(Self::MASK), ..Self::ANY }.settled()
    }

    /// All of a signed range.
    pub(super) fn signed_range(min: i64, max: i64) -> Self {
        Num { smin: min.max(Self::SMIN), smax: max.min(Self::SMAX), ..Self::ANY }.settled()
    }

    /// Whether a number is in the set as far as the set knows.
    pub(super) fn contains(&self, value: u64) -> bool {
        let value = value & Self::MASK;
        let signed = Self::signed(value);
        self.bits.contains(value)
            && (self.umin..=self.umax).contains(&value)
            && (self.smin..=self.smax).contains(&signed)
    }

    /// Whether all of `other` are among these.
    pub(super) fn includes(&self, other: &Self) -> bool {
        self.umin <= other.umin
            && self.umax >= other.umax
            && self.smin <= other.smin
            && self.smax >= other.smax
            && self.bits.includes(other.bits)
    }

    /// Lets each part refine the others; `None` when they contradict each other.
    pub(super) fn settle(self) -> Option<Self> {
        if self.umin == self.umax {
            return self.contains(self.umin).then_some(Self::constant(self.umin));
        }
        let mut now = self;
        for _ in 0..3 {
            let before = now;
            now = now.settle_once()?;
            if now == before {
                break;
            }
        }
        Some(now)
    }

    /// As [`Num::settle`] for results of operations, which are never contradictory.
    fn settled(self) -> Self {
        let settled = self.settle();
        debug_assert!(settled.is_some(), "{self:?}");
        settled.unwrap_or(Self::ANY)
    }

    fn settle_once(self) -> Option<Self> {
        let Num { bits, .. } = self;
        let umin = self.umin.max(bits.value);
        let umax = self.umax.min(bits.value | bits.mask);
        let smin = self.smin.max(Self::signed(bits.value | (bits.mask & Self::SIGN)));
        let smax = self.smax.min(Self::signed(bits.value | (bits.mask & !Self::SIGN)));
        // The numbers that are not negative, and those that are, as unsigned ranges with ends that are members.
        let trim = |(min, max): (u64, u64)| {
            let (min, max) = (bits.first_from(min)?, bits.last_to(max)?);
            (min <= max).then_some((min, max))
        };
        let not_negative: Part = (smax >= 0)
            .then(|| (umin.max(smin.max(0) as u64), umax.min(smax as u64).min(Self::SMAX as u64)))
            .filter(|(min, max)| min <= max)
            .and_then(trim);
        let negative: Part = (smin < 0)
            .then(|| {
                let most = if smax < 0 { Self::unsigned(smax) } else { Self::MASK };
                (umin.max(Self::unsigned(smin)), umax.min(most))
            })
            .filter(|(min, max)| min <= max)
            .and_then(trim);
        let (umin, umax, smin, smax) = match (not_negative, negative) {
            (None, None) => return None,
            (Some((min, max)), None) => (min, max, min as i64, max as i64),
            (None, Some((min, max))) => (min, max, Self::signed(min), Self::signed(max)),
            (Some((least, most)), Some((min, max))) => (least, max, Self::signed(min), most as i64),
        };
        let bits = bits.intersect(Tnum::range(umin, umax))?;
        Some(Num { bits, umin, umax, smin, smax })
    }

    /// What is in both.
    pub(super) fn intersect(&self, other: &Self) -> Option<Self> {
        Num {
            bits: self.bits.intersect(other.bits)?,
            umin: self.umin.max(other.umin),
            umax: self.umax.min(other.umax),
            smin: self.smin.max(other.smin),
            smax: self.smax.min(other.smax),
        }
        .settle()
    }

    /// Sum.
    pub(super) fn add(&self, other: &Self) -> Self {
        let mut sum = Num { bits: self.bits.add(other.bits, Self::MASK), ..Self::ANY };
        let (min, max) =
            (u128::from(self.umin) + u128::from(other.umin), u128::from(self.umax) + u128::from(other.umax));
        // Either none or all of the sums go past the end.
        if min >> W == max >> W {
            (sum.umin, sum.umax) = (min as u64 & Self::MASK, max as u64 & Self::MASK);
        }
        let (min, max) =
            (i128::from(self.smin) + i128::from(other.smin), i128::from(self.smax) + i128::from(other.smax));
        sum.set_signed(min, max);
        sum.settled()
    }

    /// Difference.
    pub(super) fn sub(&self, other: &Self) -> Self {
        let mut result = Num { bits: self.bits.sub(other.bits, Self::MASK), ..Self::ANY };
        let (min, max) =
            (i128::from(self.umin) - i128::from(other.umax), i128::from(self.umax) - i128::from(other.umin));
        if min >> W == max >> W {
            (result.umin, result.umax) = (min as u64 & Self::MASK, max as u64 & Self::MASK);
        }
        let (min, max) =
            (i128::from(self.smin) - i128::from(other.smax), i128::from(self.smax) - i128::from(other.smin));
        result.set_signed(min, max);
        result.settled()
    }

    /// Sets the signed range, if it is one of `W` bits.
    fn set_signed(&mut self, min: i128, max: i128) {
        if min >= i128::from(Self::SMIN) && max <= i128::from(Self::SMAX) {
            (self.smin, self.smax) = (min as i64, max as i64);
        }
    }

    /// Product.
    pub(super) fn mul(&self, other: &Self) -> Self {
        let mut product = Num { bits: self.bits.mul(other.bits, Self::MASK), ..Self::ANY };
        let most = u128::from(self.umax) * u128::from(other.umax);
        if most <= u128::from(Self::MASK) {
            (product.umin, product.umax) = (self.umin * other.umin, most as u64);
        }
        let corners = [
            (self.smin, other.smin),
            (self.smin, other.smax),
            (self.smax, other.smin),
            (self.smax, other.smax),
        ]
        .map(|(a, b)| i128::from(a) * i128::from(b));
        let min = corners.into_iter().min().unwrap_or(i128::MIN);
        let max = corners.into_iter().max().unwrap_or(i128::MAX);
        product.set_signed(min, max);
        product.settled()
    }

    /// Bitwise and.
    pub(super) fn and(&self, other: &Self) -> Self {
        let bits = self.bits.and(other.bits);
        Num { bits, umax: self.umax.min(other.umax), ..Self::ANY }.settled()
    }

    /// Bitwise or.
    pub(super) fn or(&self, other: &Self) -> Self {
        let bits = self.bits.or(other.bits);
        Num { bits, umin: self.umin.max(other.umin), ..Self::ANY }.settled()
    }

    /// Bitwise exclusive or.
    pub(super) fn xor(&self, other: &Self) -> Self {
        Num { bits: self.bits.xor(other.bits), ..Self::ANY }.settled()
    }

    /// Shift counts, of which only the low bits count: least and greatest.
    fn shifts(by: &Self) -> (u32, u32) {
        let top = u64::from(W - 1);
        if by.umax <= top { (by.umin as u32, by.umax as u32) } else { Self::masked_shifts(by, top) }
    }

    fn masked_shifts(by: &Self, top: u64) -> (u32, u32) {
        if !W.is_power_of_two() {
            return (0, W - 1);
        }
        let low = by.bits.cut(top);
        (low.value as u32, (low.value | low.mask) as u32)
    }

    /// Shift to the left.
    pub(super) fn shl(&self, by: &Self) -> Self {
        let (least, most) = Self::shifts(by);
        let bits = if least == most {
            self.bits.shl(least, Self::MASK)
        } else {
            // At least that many zeros at the end.
            let zeros = (self.bits.value | self.bits.mask).trailing_zeros().saturating_add(least);
            Tnum::unknown(u64::MAX.checked_shl(zeros).unwrap_or(0) & Self::MASK)
        };
        let mut result = Num { bits, ..Self::ANY };
        if u128::from(self.umax) << most <= u128::from(Self::MASK) {
            (result.umin, result.umax) = (self.umin << least, self.umax << most);
        }
        let min = (i128::from(self.smin) << most).min(i128::from(self.smin) << least);
        let max = (i128::from(self.smax) << most).max(i128::from(self.smax) << least);
        result.set_signed(min, max);
        result.settled()
    }

    /// Logical shift to the right.
    pub(super) fn shr(&self, by: &Self) -> Self {
        let (least, most) = Self::shifts(by);
        let bits = if least == most { self.bits.shr(least) } else { Tnum::unknown(Self::MASK) };
        Num { bits, umin: self.umin >> most, umax: self.umax >> least, ..Self::ANY }.settled()
    }

    /// Arithmetic shift to the right.
    pub(super) fn sar(&self, by: &Self) -> Self {
        let (least, most) = Self::shifts(by);
        let smin = if self.smin < 0 { self.smin >> least } else { self.smin >> most };
        let smax = if self.smax < 0 { self.smax >> most } else { self.smax >> least };
        let mut bits = Tnum::unknown(Self::MASK);
        if least == most {
            let value = Self::signed(self.bits.value) >> least;
            let mask = Self::signed(self.bits.mask) >> least;
            bits = Tnum { value: value as u64 & !(mask as u64) & Self::MASK, mask: mask as u64 & Self::MASK };
        }
        Num { bits, smin, smax, ..Self::ANY }.settled()
    }

    /// Unsigned quotient; that of 0 is 0.
    pub(super) fn div(&self, by: &Self) -> Self {
        if by.umax == 0 {
            return Self::constant(0);
        }
        let umin = if by.umin == 0 { 0 } else { self.umin / by.umax };
        Num { umin, umax: self.umax / by.umin.max(1), ..Self::ANY }.settled()
    }

    /// Unsigned remainder; that of 0 is the number itself.
    pub(super) fn rem(&self, by: &Self) -> Self {
        if by.umin > self.umax || by.umax == 0 {
            return *self;
        }
        let umax = if by.umin == 0 { self.umax } else { self.umax.min(by.umax - 1) };
        Num { umin: 0, umax, ..Self::ANY }.settled()
    }

    /// Signed quotient; that of 0 is 0, and that of the least number and -1 is the least number.
    pub(super) fn sdiv(&self, by: &Self) -> Self {
        if self.smin >= 0 && by.smin >= 0 || by.umax == 0 {
            return self.div(by);
        }
        if self.smin == Self::SMIN && by.smin <= -1 && by.smax >= -1 {
            return Self::ANY;
        }
        // Dividing makes no number greater in size.
        let most = self.smin.unsigned_abs().max(self.smax.unsigned_abs()).min(Self::SMAX as u64 + 1);
        if most > Self::SMAX as u64 {
            return Self::ANY;
        }
        Self::signed_range(-(most as i64), most as i64)
    }

    /// Signed remainder, which has the sign of the number; that of 0 is the number itself.
    pub(super) fn srem(&self, by: &Self) -> Self {
        if self.smin >= 0 && by.smin >= 0 || by.umax == 0 {
            return self.rem(by);
        }
        let (mut smin, mut smax) = (self.smin.min(0), self.smax.max(0));
        if by.smin > 0 || by.smax < 0 {
            let most = by.smin.unsigned_abs().max(by.smax.unsigned_abs()) - 1;
            if let Ok(most) = i64::try_from(most) {
                (smin, smax) = (smin.max(-most), smax.min(most));
            }
        }
        Self::signed_range(smin, smax)
    }

    /// The low `bits`, sign-extended.
    pub(super) fn sign_extend(&self, bits: u32) -> Self {
        if bits >= W {
            return *self;
        }
        let by = Self::constant(u64::from(W - bits));
        self.shl(&by).sar(&by)
    }

    /// The low `bits`, zero-extended.
    pub(super) fn zero_extend(&self, bits: u32) -> Self {
        if bits >= W { *self } else { self.and(&Self::constant(Self::MASK >> (W - bits))) }
    }
}

/// Conditions of jumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cond {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Unsigned greater.
    Gt,
    /// Unsigned greater or equal.
    Ge,
    /// Unsigned less.
    Lt,
    /// Unsigned less or equal.
    Le,
    /// Signed greater.
    Sgt,
    /// Signed greater or equal.
    Sge,
    /// Signed less.
    Slt,
    /// Signed less or equal.
    Sle,
    /// A bit in common.
    Set,
    /// No bit in common.
    Clear,
}

impl Cond {
    /// What holds when this does not.
    pub(super) fn negated(self) -> Cond {
        match self {
            Cond::Eq => Cond::Ne,
            Cond::Ne => Cond::Eq,
            Cond::Gt => Cond::Le,
            Cond::Ge => Cond::Lt,
            Cond::Lt => Cond::Ge,
            Cond::Le => Cond::Gt,
            Cond::Sgt => Cond::Sle,
            Cond::Sge => Cond::Slt,
            Cond::Slt => Cond::Sge,
            Cond::Sle => Cond::Sgt,
            Cond::Set => Cond::Clear,
            Cond::Clear => Cond::Set,
        }
    }

    /// Whether it holds between a number and itself; `None` where that depends on the number.
    pub(super) fn of_itself(self) -> Option<bool> {
        match self {
            Cond::Eq | Cond::Ge | Cond::Le | Cond::Sge | Cond::Sle => Some(true),
            Cond::Ne | Cond::Gt | Cond::Lt | Cond::Sgt | Cond::Slt => Some(false),
            Cond::Set | Cond::Clear => None,
        }
    }
}

impl<const W: u32> Num<W> {
    /// What is left of two numbers when a condition holds between them; `None` when it cannot.
    pub(super) fn when(cond: Cond, a: &Self, b: &Self) -> Option<(Self, Self)> {
        let (mut x, mut y) = (*a, *b);
        match cond {
            Cond::Eq => {
                let both = a.intersect(b)?;
                return Some((both, both));
            }
            Cond::Ne => {
                if let Some(value) = b.value() {
                    x.exclude(value)?;
                }
                if let Some(value) = a.value() {
                    y.exclude(value)?;
                }
            }
            Cond::Gt => {
                x.umin = x.umin.max(b.umin.checked_add(1)?);
                y.umax = y.umax.min(a.umax.checked_sub(1)?);
            }
            Cond::Ge => {
                x.umin = x.umin.max(b.umin);
                y.umax = y.umax.min(a.umax);
            }
            Cond::Sgt => {
                x.smin = x.smin.max(b.smin.checked_add(1)?);
                y.smax = y.smax.min(a.smax.checked_sub(1)?);
            }
            Cond::Sge => {
                x.smin = x.smin.max(b.smin);
                y.smax = y.smax.min(a.smax);
            }
            Cond::Lt | Cond::Le | Cond::Slt | Cond::Sle => {
                let turned = match cond {
                    Cond::Lt => Cond::Gt,
                    Cond::Le => Cond::Ge,
                    Cond::Slt => Cond::Sgt,
                    _ => Cond::Sge,
                };
                return Self::when(turned, b, a).map(|(b, a)| (a, b));
            }
            Cond::Set => {
                let possible = (a.bits.value | a.bits.mask) & (b.bits.value | b.bits.mask);
                if possible == 0 {
                    return None;
                }
                // Where only one bit can be common, it is.
                if possible.is_power_of_two() {
                    x.bits = x.bits.intersect(Tnum { value: possible, mask: Self::MASK & !possible })?;
                    y.bits = y.bits.intersect(Tnum { value: possible, mask: Self::MASK & !possible })?;
                }
            }
            Cond::Clear => {
                x.bits = x.bits.intersect(Tnum::unknown(Self::MASK & !b.bits.value))?;
                y.bits = y.bits.intersect(Tnum::unknown(Self::MASK & !a.bits.value))?;
            }
        }
        if x.umin > x.umax || y.umin > y.umax || x.smin > x.smax || y.smin > y.smax {
            return None;
        }
        Some((x.settle()?, y.settle()?))
    }

    /// Cuts a number off the ends of the ranges.
    fn exclude(&mut self, value: u64) -> Option<()> {
        if self.umin == self.umax {
            return (self.umin != value).then_some(());
        }
        if self.umin == value {
            self.umin += 1;
        }
        if self.umax == value {
            self.umax -= 1;
        }
        if self.smin == Self::signed(value) {
            self.smin += 1;
        }
        if self.smax == Self::signed(value) {
            self.smax -= 1;
        }
        Some(())
    }
}
