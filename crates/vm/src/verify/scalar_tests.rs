//! Every operation at a small width against every concrete case.

use super::*;
use crate::verify::tnum::Tnum;

const W: u32 = 4;
const OPS: [Op; 13] = [
    Op::Add,
    Op::Sub,
    Op::Mul,
    Op::Div,
    Op::Mod,
    Op::Sdiv,
    Op::Smod,
    Op::Or,
    Op::And,
    Op::Xor,
    Op::Lsh,
    Op::Rsh,
    Op::Arsh,
];
const CONDS: [Cond; 12] = [
    Cond::Eq,
    Cond::Ne,
    Cond::Gt,
    Cond::Ge,
    Cond::Lt,
    Cond::Le,
    Cond::Sgt,
    Cond::Sge,
    Cond::Slt,
    Cond::Sle,
    Cond::Set,
    Cond::Clear,
];

fn concrete<const N: u32>(op: Op, a: u64, b: u64) -> u64 {
    let (sa, sb) = (Num::<N>::signed(a), Num::<N>::signed(b));
    let by = if N.is_power_of_two() { b & u64::from(N - 1) } else { b % u64::from(N) };
    let result = match op {
        Op::Add => a.wrapping_add(b),
        Op::Sub => a.wrapping_sub(b),
        Op::Mul => a.wrapping_mul(b),
        Op::Div => a.checked_div(b).unwrap_or(0),
        Op::Mod => a.checked_rem(b).unwrap_or(a),
        Op::Sdiv => sa.checked_div(sb).unwrap_or(0) as u64,
        Op::Smod => sa.checked_rem(sb).unwrap_or(sa) as u64,
        Op::Or => a | b,
        Op::And => a & b,
        Op::Xor => a ^ b,
        Op::Lsh => a << by,
        Op::Rsh => a >> by,
        Op::Arsh => (sa >> by) as u64,
    };
    result & Num::<N>::MASK
}

fn holds<const N: u32>(cond: Cond, a: u64, b: u64) -> bool {
    let (sa, sb) = (Num::<N>::signed(a), Num::<N>::signed(b));
    match cond {
        Cond::Eq => a == b,
        Cond::Ne => a != b,
        Cond::Gt => a > b,
        Cond::Ge => a >= b,
        Cond::Lt => a < b,
        Cond::Le => a <= b,
        Cond::Sgt => sa > sb,
        Cond::Sge => sa >= sb,
        Cond::Slt => sa < sb,
        Cond::Sle => sa <= sb,
        Cond::Set => a & b != 0,
        Cond::Clear => a & b == 0,
    }
}

/// Every settled combination of a tnum with an unsigned range, and with a signed one.
fn all<const N: u32>() -> Vec<Num<N>> {
    let top = Num::<N>::MASK;
    let mut found = Vec::new();
    for mask in 0..=top {
        for value in (0..=top).filter(|value| value & mask == 0) {
            let bits = Tnum { value, mask };
            for (least, most) in (0..=top).flat_map(|least| (least..=top).map(move |most| (least, most))) {
                let unsigned = Num { bits, umin: least, umax: most, ..Num::ANY };
                let (smin, smax) = (Num::<N>::signed(least), Num::<N>::signed(most));
                let signed = Num { bits, smin: smin.min(smax), smax: smin.max(smax), ..Num::ANY };
                found.extend([unsigned, signed].into_iter().filter_map(Num::settle));
            }
        }
    }
    found.sort_by_key(|n| (n.bits.mask, n.bits.value, n.umin, n.umax, n.smin, n.smax));
    found.dedup();
    found
}

fn members<const N: u32>(num: &Num<N>) -> Vec<u64> {
    (0..=Num::<N>::MASK).filter(|&value| num.contains(value)).collect()
}

#[test]
fn settling_loses_no_number_and_finds_every_contradiction() {
    let top = Num::<W>::MASK;
    for num in all::<W>() {
        let inside = members(&num);
        assert!(!inside.is_empty(), "{num:?} holds nothing");
        // Each end of a range is exact when only the ranges matter.
        assert_eq!(num.settle(), Some(num));
    }
    for mask in 0..=top {
        for value in (0..=top).filter(|value| value & mask == 0) {
            for (umin, umax) in (0..=top).flat_map(|min| (min..=top).map(move |max| (min, max))) {
                let raw = Num::<W> { bits: Tnum { value, mask }, umin, umax, ..Num::ANY };
                let before = members(&raw);
                match raw.settle() {
                    Some(after) => assert_eq!(members(&after), before, "{raw:?}"),
                    None => assert!(before.is_empty(), "{raw:?}"),
                }
            }
        }
    }
}

#[test]
fn operations_hold_every_concrete_result() {
    let all = all::<W>();
    let inside: Vec<Vec<u64>> = all.iter().map(members).collect();
    for op in OPS {
        for (a, in_a) in all.iter().zip(&inside).step_by(3) {
            for (b, in_b) in all.iter().zip(&inside).step_by(2) {
                let result = op.apply(a, b);
                for &x in in_a {
                    for &y in in_b {
                        let value = concrete::<W>(op, x, y);
                        assert!(
                            result.contains(value),
                            "{op:?} {a:?} {b:?}: {x} {y} gives {value} not in {result:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn branches_lose_no_number() {
    let all = all::<W>();
    let inside: Vec<Vec<u64>> = all.iter().map(members).collect();
    for cond in CONDS {
        for (a, in_a) in all.iter().zip(&inside).step_by(3) {
            for (b, in_b) in all.iter().zip(&inside).step_by(2) {
                let left = Num::when(cond, a, b);
                for &x in in_a {
                    for &y in in_b {
                        let kept = left.is_some_and(|(a, b)| a.contains(x) && b.contains(y));
                        assert!(
                            kept || !holds::<W>(cond, x, y),
                            "{cond:?} {a:?} {b:?}: {x} {y} lost in {left:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn halves_refine_each_other_and_lose_no_number() {
    let halves = all::<2>();
    for full in all::<W>() {
        for low in &halves {
            let raw = Wide::<W, 2> { full, low: *low };
            let before: Vec<u64> = (0..=Num::<W>::MASK).filter(|&v| raw.contains(v)).collect();
            match raw.settle() {
                Some(after) => {
                    for value in before {
                        assert!(after.contains(value), "{raw:?} lost {value}: {after:?}");
                    }
                }
                None => assert!(before.is_empty(), "{raw:?}"),
            }
        }
    }
}

#[test]
fn operations_on_halves_hold_every_concrete_result() {
    let all: Vec<Wide<W, 2>> = all::<W>().into_iter().map(Wide::from_full).collect();
    let some = || all.iter().step_by(7);
    let inside = |wide: &Wide<W, 2>| (0..=Num::<W>::MASK).filter(|&v| wide.contains(v)).collect::<Vec<u64>>();
    for op in OPS {
        for a in some() {
            for b in some().step_by(3) {
                let (full, low) = (Wide::apply(op, a, b), Wide::apply_low(op, a, b));
                for x in inside(a) {
                    for y in inside(b) {
                        assert!(
                            full.contains(concrete::<W>(op, x, y)),
                            "{op:?} {a:?} {b:?}: {x} {y}, {full:?}"
                        );
                        assert!(
                            low.contains(concrete::<2>(op, x & 3, y & 3)),
                            "low {op:?} {a:?} {b:?}: {x} {y}, {low:?}"
                        );
                    }
                }
            }
        }
    }
    for a in &all {
        for x in inside(a) {
            for bits in 1..=W {
                let extended = Num::<W>::MASK & (((x << (64 - bits)) as i64) >> (64 - bits)) as u64;
                assert!(a.sign_extend(bits).contains(extended), "{a:?} {x} {bits}");
                assert!(a.zero_extend(bits).contains(x & (Num::<W>::MASK >> (W - bits))), "{a:?} {x} {bits}");
            }
            assert!(a.truncate().contains(x & 3));
        }
    }
}

#[test]
fn numbers_are_shown_as_the_kernel_does() {
    let show = |num: Num<64>| Number::from_full(num).to_string();
    assert_eq!(Number::ANY.to_string(), "");
    assert_eq!(
        show(Num::unsigned_range(0, 255)),
        "smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff)"
    );
    // Decimal as long as it fits into 16 bits.
    assert_eq!(show(Num::signed_range(-32768, 65536)), "smin=smin32=-32768,smax=smax32=0x10000");
    assert_eq!(
        show(Num::signed_range(-65536, -1)),
        "smin=smin32=0xffffffffffff0000,smax=smax32=-1,umin=0xffffffffffff0000,umin32=0xffff0000,\
         var_off=(0xffffffffffff0000; 0xffff)"
    );
    assert_eq!(show(Num::unsigned_range(1, u64::MAX)), "umin=1");
    let odd = Num { bits: Tnum { value: 1, mask: !1 }, ..Num::ANY };
    assert!(Number::from_full(odd).to_string().ends_with(",var_off=(0x1; 0xfffffffffffffffe)"));
}
