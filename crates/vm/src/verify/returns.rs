//! What a program returns, where that is the same on every path.
//!
//! A verification does not tell: states stand for each other where what matters is alike, and what is returned does
//! not matter to it. So the program is walked once more with its result mattering, until there is a second one.

use super::reject::Rule;
use super::state::Scalar;
use super::walk::Walker;
use super::{Entry, Given, Limits, Verified};

/// Results seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Returned {
    Nothing,
    Always(u64),
    Various,
}

impl Verified {
    /// What the program returns on every path, if that is one number that is known. `None` says nothing: it may
    /// have been too much work to find out.
    ///
    /// A program that goes on with another one by a tail call returns what that one returns, which is not looked at.
    pub fn returns(&self) -> Option<u64> {
        let entry = match &self.given {
            Given::Context(types) => Entry::Context(types),
            Given::Memory(size) => Entry::Memory { size: *size },
            #[cfg(all(test, feature = "jit"))]
            Given::Anything => return None,
        };
        // With more that matters, fewer states stand for others.
        let limits = Limits { insns: self.stats.processed.saturating_mul(2) + 64, ..Limits::default() };
        let mut walker = Walker::new(&self.program, entry, limits);
        walker.returned = Some(Returned::Nothing);
        let walked = walker.walk().is_ok();
        match walker.returned {
            Some(Returned::Always(value)) if walked => Some(value),
            _ => None,
        }
    }
}

impl Walker<'_> {
    /// A path ends with this result.
    pub(super) fn returns(&mut self, result: &Scalar) -> Result<(), Box<Rule>> {
        let Some(before) = self.returned else { return Ok(()) };
        self.marks.mark(result.node);
        let now = match (before, result.value()) {
            (Returned::Nothing, Some(value)) => Returned::Always(value),
            (Returned::Always(known), Some(value)) if known == value => before,
            _ => Returned::Various,
        };
        self.returned = Some(now);
        // There is no more to be found out.
        if now == Returned::Various {
            Err(Rule::TooComplex { processed: self.processed }.into())
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::asm::assemble;
    use crate::contract::ArgType;
    use crate::mem::Access;
    use crate::program::Program;
    use crate::verify::{Rejection, verify};

    const STRUCT: ArgType = ArgType::Struct { name: "in", size: 8, access: Access::Read };

    fn number(value: Option<u64>) -> ArgType {
        ArgType::Scalar { name: "enum op", value }
    }

    fn judge(text: &str, args: &[ArgType]) -> Result<Verified, Box<Rejection>> {
        let program = Arc::new(Program { insns: assemble(text).unwrap(), ..Program::default() });
        verify(&program, Entry::Context(args), Limits::default())
    }

    fn returns(text: &str, args: &[ArgType]) -> Option<u64> {
        judge(text, args).unwrap().returns()
    }

    #[test]
    fn one_result_is_known_and_two_are_not() {
        assert_eq!(returns("r0 = 7\nexit\n", &[]), Some(7));
        assert_eq!(returns("w0 = -2\nexit\n", &[]), Some(0xffff_fffe));
        let branches = |a, b| {
            format!(
                "r1 = *(u64 *)(r1 +0)\nr1 = *(u32 *)(r1 +0)\nr0 = {a}\nif r1 == 5 goto x\nr0 = {b}\nx: exit\n"
            )
        };
        assert_eq!(returns(&branches(3, 3), &[STRUCT]), Some(3));
        // Where paths meet, states that differ by the result alone stand for each other.
        assert_eq!(returns(&branches(3, 4), &[STRUCT]), None);
        let loaded = "r1 = *(u64 *)(r1 +0)\nr0 = *(u32 *)(r1 +0)\nexit\n";
        assert_eq!(returns(loaded, &[STRUCT]), None);
        let nops = "r8 = 0\n".repeat(8);
        let choose = |at, add, label| {
            format!("{nops}r9 = *(u32 *)(r6 +{at})\nif r9 == 1 goto {label}\nr0 += {add}\n{label}: r9 = 0\n")
        };
        let many = format!(
            "r6 = *(u64 *)(r1 +0)\nr0 = 0\n{}{}{}{nops}exit\n",
            choose(0, 1, "a"),
            choose(4, 0, "b"),
            choose(0, 0, "c")
        );
        assert_eq!(returns(&many, &[STRUCT]), None);
    }

    #[test]
    fn a_number_among_the_arguments_decides_where_it_is_known() {
        let text = "r1 = *(u64 *)(r1 +0)\nr0 = 0\nif r1 != 10 goto x\nr0 = 1\nx: exit\n";
        assert_eq!(returns(text, &[number(Some(10))]), Some(1));
        assert_eq!(returns(text, &[number(Some(11))]), Some(0));
        assert_eq!(returns(text, &[number(None)]), None);
    }

    #[test]
    fn parts_of_a_number_can_be_loaded() {
        let value = 0xffff_0203_0405_8607;
        for (part, expected) in [
            ("u64 *)(r1 +8", value),
            ("u32 *)(r1 +8", 0x0405_8607),
            ("u32 *)(r1 +12", 0xffff_0203),
            ("u16 *)(r1 +8", 0x8607),
            ("s16 *)(r1 +8", 0xffff_ffff_ffff_8607),
            ("u8 *)(r1 +13", 0x02),
            ("s8 *)(r1 +14", u64::MAX),
        ] {
            let text = format!("r0 = *({part})\nexit\n");
            assert_eq!(returns(&text, &[STRUCT, number(Some(value))]), Some(expected), "{part}");
        }
        for part in ["u64 *)(r1 +12", "u32 *)(r1 +10", "u32 *)(r1 +0", "u64 *)(r1 +16", "u8 *)(r1 -1"] {
            let text = format!("r2 = *({part})\nr0 = 0\nexit\n");
            let rejection = judge(&text, &[STRUCT, number(Some(value))]).unwrap_err();
            assert!(matches!(rejection.rule, Rule::Context { .. }), "{part}: {rejection}");
        }
        let narrow = "r0 = *(u8 *)(r1 +0)\nif r0 < 256 goto x\nr0 = *(u64 *)(r0 +0)\nx: r0 = 0\nexit\n";
        assert_eq!(returns(narrow, &[number(None)]), Some(0));
    }

    #[test]
    fn of_a_struct_some_bytes_may_be_there() {
        let part = |at, size| ArgType::Part { name: "in", at, size, access: Access::ReadWrite };
        let text = |off| format!("r1 = *(u64 *)(r1 +0)\nr0 = *(u32 *)(r1 +{off})\nr0 = 0\nexit\n");
        for (at, size, off, fits) in
            [(8, 8, 8, true), (8, 8, 12, true), (8, 8, 4, false), (8, 8, 13, false), (0, 0, 0, false)]
        {
            let judged = judge(&text(off), &[part(at, size)]);
            assert_eq!(judged.is_ok(), fits, "{at} {size} {off}");
        }
        let said = |off, part| judge(&text(off), &[part]).unwrap_err().rule.to_string();
        assert_eq!(
            said(4, part(8, 8)),
            "invalid access to in, off=4 len=4: of it there is off=8 size=8 here"
        );
        assert_eq!(said(4, part(0, 0)), "invalid access to in, off=4 len=4: of it there is nothing here");
    }

    #[test]
    fn a_number_is_no_address_and_no_buffer() {
        let text = "r1 = *(u64 *)(r1 +0)\nr0 = *(u64 *)(r1 +0)\nexit\n";
        let rejection = judge(text, &[number(Some(4096))]).unwrap_err();
        assert!(matches!(rejection.rule, Rule::NotMemory { .. }), "{rejection}");
    }
}
