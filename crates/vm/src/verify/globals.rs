//! Global functions by themselves, for programs that are too much work when each call is walked.
//!
//! As the Linux verifier always does it: a function with a signature ([`Function::signature`]) is proved once for all
//! arguments the signature allows, and its calls are not walked into: they must pass what the signature asks for,
//! and give any number. Walking into each call knows more and proves more, so it comes first.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::effects::Uses;
use super::reject::{Rejection, Rule};
use super::state::{Kind, Pointer, Scalar, State, Value};
use super::walk::Walker;
use super::{Entry as Start, Limits, Verified, verified};
use crate::interp::MAX_FRAMES;
use crate::mem::Access;
use crate::program::{Argument, Function, Program, Signature};

type Done<T> = Result<T, Box<Rule>>;

/// What is known of a function that was proved by itself.
#[derive(Debug)]
pub(super) struct Summary {
    name: String,
    signature: Signature,
    /// Instructions of the longest path, if all loops were walked to their end.
    longest: Option<u64>,
    /// Frames that are live at once when it runs, its own included.
    height: usize,
}

/// What walks of several functions found together.
#[derive(Debug, Default)]
pub(super) struct WalkTotals {
    pub(super) processed: u64,
    pub(super) states: usize,
    pub(super) joined: bool,
    pub(super) reached: Vec<bool>,
    pub(super) calls: BTreeMap<usize, Option<u32>>,
    pub(super) uses: Uses,
}

impl WalkTotals {
    /// What one walk found, taken out of it.
    pub(super) fn of(walker: &mut Walker<'_>) -> WalkTotals {
        WalkTotals {
            processed: walker.processed,
            states: walker.checkpoints(),
            joined: walker.joined,
            reached: std::mem::take(&mut walker.reached),
            calls: std::mem::take(&mut walker.calls),
            uses: std::mem::take(&mut walker.uses),
        }
    }

    fn add(&mut self, walker: &Walker<'_>) {
        self.processed += walker.processed;
        self.states += walker.checkpoints();
        self.joined |= walker.joined;
        self.reached.resize(walker.reached.len(), false);
        self.reached.iter_mut().zip(&walker.reached).for_each(|(all, one)| *all |= one);
        for (&slot, &map) in &walker.calls {
            self.calls
                .entry(slot)
                .and_modify(|known| *known = known.filter(|_| *known == map))
                .or_insert(map);
        }
        self.uses.add(&walker.uses);
    }
}

/// Whether a function can be proved by itself for programs that are entered so.
fn is_judged(function: &Function, start: Start<'_>) -> bool {
    let fits = |arg: &Argument| match arg {
        Argument::Scalar | Argument::Mem { .. } => true,
        Argument::Context => matches!(start, Start::Context(_)),
        Argument::Dynptr | Argument::Unknown => false,
    };
    function.start > 0
        && function
            .signature
            .as_ref()
            .is_some_and(|signature| signature.args.len() <= 5 && signature.args.iter().all(fits))
}

/// Proves a program with its global functions by themselves; `None` if it has none that can be.
pub(super) fn verify(
    program: &Arc<Program>,
    start: Start<'_>,
    limits: Limits,
) -> Option<Result<Verified, Box<Rejection>>> {
    let mut left: Vec<&Function> =
        program.functions.iter().filter(|function| is_judged(function, start)).collect();
    if left.is_empty() {
        return None;
    }
    let names: Vec<usize> = left.iter().map(|function| function.start).collect();
    let mut known: BTreeMap<usize, Rc<Summary>> = BTreeMap::new();
    let mut found = WalkTotals::default();
    // Those that are called before those that call them; functions that call each other in a circle never come first.
    while !left.is_empty() {
        let ready = |function: &&Function| {
            callees(program, function).all(|callee| known.contains_key(&callee) || !names.contains(&callee))
        };
        let Some(next) = left.iter().position(ready) else {
            left.clear();
            break;
        };
        let function = left.remove(next);
        let (walker, longest) = match walked((program, start, limits), Some(function), &known, &mut found) {
            Ok(done) => done,
            Err(rejection) => return Some(Err(rejection)),
        };
        let longest = longest.filter(|_| !walker.joined);
        let signature = function.signature.clone()?;
        let summary =
            Summary { name: function.name.clone(), signature, longest, height: walker.deepest.max(1) };
        known.insert(function.start, Rc::new(summary));
    }
    let whole = walked((program, start, limits), None, &known, &mut found);
    Some(whole.map(|(walker, longest)| verified(walker, longest, Some(found))))
}

/// Walks one function, or the entry.
fn walked<'p>(
    (program, start, limits): (&'p Arc<Program>, Start<'p>, Limits),
    function: Option<&'p Function>,
    known: &BTreeMap<usize, Rc<Summary>>,
    found: &mut WalkTotals,
) -> Result<(Walker<'p>, Option<u64>), Box<Rejection>> {
    let limits = Limits { insns: limits.insns.saturating_sub(found.processed), ..limits };
    let mut walker = Walker::new(program, start, limits);
    (walker.function, walker.globals) = (function, known.clone());
    let longest = walker.walk()?;
    found.add(&walker);
    Ok((walker, longest))
}

/// The functions a function calls, by their first slots; those that are walked into with it included.
fn callees(program: &Program, function: &Function) -> impl Iterator<Item = usize> {
    let mut seen = vec![function.start];
    let mut next = 0;
    while let Some(&start) = seen.get(next) {
        next += 1;
        let end = program.functions.iter().map(|other| other.start).find(|&other| other > start);
        for slot in start..end.unwrap_or(program.insns.len()) {
            let target = crate::validate::target(slot, program.insns[slot]);
            let called = target.and_then(|target| usize::try_from(target).ok()).filter(|target| {
                !program.insns[slot].is_jump() && program.functions.iter().any(|other| other.start == *target)
            });
            if let Some(called) = called.filter(|called| !seen.contains(called)) {
                seen.push(called);
            }
        }
    }
    seen.into_iter().skip(1)
}

/// What the registers of a function that is proved by itself hold when it starts.
pub(super) fn arguments(walker: &mut Walker<'_>, signature: &Signature) -> Vec<Value> {
    let argument = |arg: &Argument| match *arg {
        Argument::Context => Value::Pointer(Pointer::new(Kind::Context)),
        Argument::Mem { size, nullable } => {
            let size = u32::try_from(size).unwrap_or(u32::MAX);
            // Like a slice, it may not be aligned, whosever it is.
            let kind = Kind::Memory { size, access: Access::ReadWrite, dynptr: walker.fresh() };
            let null = if nullable { walker.fresh() } else { 0 };
            Value::Pointer(Pointer { null, object: null, ..Pointer::new(kind) })
        }
        _ => Value::Scalar(Scalar::ANY),
    };
    signature.args.iter().map(argument).collect()
}

impl Walker<'_> {
    /// A call of a function that was proved by itself.
    pub(super) fn call_global(&mut self, state: &mut State, summary: &Summary) -> Done<()> {
        if state.frames.len() + summary.height > MAX_FRAMES {
            return Err(Rule::TooDeep { limit: MAX_FRAMES }.into());
        }
        self.deepest = self.deepest.max(state.frames.len() + summary.height);
        if state.lock.is_some() {
            return Err(Rule::Locked { what: "a call of a global function" }.into());
        }
        for (index, arg) in summary.signature.args.iter().enumerate() {
            let register = index as u8 + 1;
            let value = state.reg(register);
            let refuse = |reason: &str| {
                let reason = format!("{reason} (argument of global function {})", summary.name);
                Box::new(Rule::Argument { callable: "a global function", register, reason })
            };
            match (*arg, value) {
                (_, Value::None) => return Err(Rule::Unset { register }.into()),
                (Argument::Scalar, Value::Scalar(_)) => {}
                (Argument::Scalar, _) => return Err(refuse("is an address, and not a number")),
                (Argument::Context, Value::Pointer(Pointer { kind: Kind::Context, off, .. }))
                    if off.value() == Some(0) => {}
                (Argument::Context, _) => return Err(refuse("is not the context")),
                (Argument::Mem { nullable: true, .. }, value) if self.is_zero(&value) => {}
                (Argument::Mem { size, nullable }, Value::Pointer(pointer)) => {
                    if pointer.null != 0 && !nullable {
                        return Err(refuse("may be null: check it first"));
                    }
                    state.set(register, Value::Pointer(Pointer { null: 0, ..pointer }));
                    // It may be read, and there may be something else afterwards.
                    for access in [Access::Read, Access::ReadWrite] {
                        _ = self.memory_of(state, register, (size, size), None, access, false)?;
                    }
                }
                (_, _) => return Err(refuse("is not an address of memory")),
            }
        }
        match summary.longest {
            Some(longest) => state.insns = state.insns.saturating_add(longest),
            None => self.joined = true,
        }
        state.frame().regs[..6].fill(Value::None);
        if !summary.signature.void {
            state.set(0, Value::Scalar(Scalar::ANY));
        }
        state.pc += 1;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::asm::assemble;
    use crate::contract::Effects;
    use crate::insn::{op, pseudo};

    const ENTRY: Start<'_> = Start::Memory { size: 64 };

    /// A program with one function that is called, and has these arguments.
    fn program(text: &str, args: &[Argument], void: bool) -> Arc<Program> {
        let insns = assemble(text).unwrap();
        let calls =
            |slot: &usize| insns[*slot].code == op::CALL_IMM && insns[*slot].src == pseudo::CALL_LOCAL;
        let call = (0..insns.len()).find(calls).unwrap();
        let start = crate::validate::target(call, insns[call]).unwrap() as usize;
        let signature = Some(Signature { args: args.to_vec(), void });
        let functions = vec![
            Function { start: 0, name: "entry".into(), signature: None },
            Function { start, name: "f".into(), signature },
        ];
        Arc::new(Program { insns, functions, ..Program::default() })
    }

    fn judge(text: &str, args: &[Argument]) -> Result<Verified, String> {
        let program = program(text, args, false);
        let verdict = verify(&program, ENTRY, Limits::default()).unwrap();
        verdict.map_err(|rejection| format!("{}: {}", rejection.slot, rejection.rule))
    }

    const MEM: Argument = Argument::Mem { size: 16, nullable: false };

    #[test]
    fn what_is_too_much_work_call_by_call_is_not_by_signatures() {
        let choices: String =
            (0..8).map(|n| format!("call 7\nif r0 == 0 goto c{n}\nr6 += {}\nc{n}:\n", 1 << n)).collect();
        let calls = "r1 = *(u64 *)(r7 +0)\nr1 += r8\ncall f\nr8 += r0\n".repeat(60);
        let text = format!(
            "r7 = r1\nr8 = 0\n{calls}r0 = r8\nexit\n\
             f: r6 = 0\n{choices}if r6 == 255 goto odd\nr0 = 1\nexit\nodd: r0 = 2\nexit\n"
        );
        let program = program(&text, &[Argument::Scalar], false);
        let limits = Limits { insns: 20_000, ..Limits::default() };
        let walked = Walker::new(&program, ENTRY, limits).walk().unwrap_err();
        assert!(matches!(walked.rule, Rule::TooComplex { .. }), "{walked}");
        let verified = super::super::verify(&program, ENTRY, limits).unwrap();
        let stats = verified.stats();
        assert!(stats.processed < 10_000, "{stats:?}");
        assert_eq!(stats.frames, 2);
        // The entry, and for each call the longest way through the function.
        assert_eq!(stats.longest, Some(2 + 60 * 4 + 2 + 60 * (1 + 8 * 3 + 3)));
        assert_eq!(verified.uses().effects, Effects::RANDOM);
        assert!(verified.facts().reached.iter().all(|reached| *reached));
    }

    #[test]
    fn arguments_are_those_of_the_signature() {
        let memory =
            "r1 = r10\nr1 += -16\ncall f\nr0 = *(u64 *)(r10 -8)\nr2 = r10\nr2 += r0\nr0 = 0\nexit\nf: ";
        let zeroed = format!("*(u64 *)(r10 -8) = 0\n*(u64 *)(r10 -16) = 0\n{memory}");
        for (text, args, expected) in [
            (
                format!("{zeroed}r0 = *(u64 *)(r1 +8)\nexit\n"),
                &[MEM][..],
                "math between fp pointer and register",
            ),
            (
                format!("{zeroed}r0 = *(u64 *)(r1 +9)\nexit\n"),
                &[MEM],
                "invalid access to mem, size=16 off=9 len=8",
            ),
            (format!("*(u64 *)(r10 -8) = r10\n{memory}r0 = 0\nexit\n"), &[MEM], "leaks addr"),
            ("r1 = r10\ncall f\nr0 = 0\nexit\nf: r0 = 0\nexit\n".into(), &[MEM], "invalid access to fp"),
            (
                "r1 = r10\nr1 += -24\ncall f\nr0 = 0\nexit\nf: r2 = 1\nlock *(u64 *)(r1 +0) += r2\nr0 = 0\nexit\n".into(),
                &[MEM],
                "may not be aligned",
            ),
            ("r1 = 5\ncall f\nr0 = 0\nexit\nf: r0 = 0\nexit\n".into(), &[MEM], "is not an address of memory"),
            (
                "call f\nr0 = 0\nexit\nf: r0 = 0\nexit\n".into(),
                &[Argument::Scalar],
                "is an address, and not a number",
            ),
            ("r1 = 0\ncall f\nr0 = 0\nexit\nf: r0 = r2\nexit\n".into(), &[Argument::Scalar], "R2 !read_ok"),
            (
                "r1 = 0\ncall f\nr0 = 0\nexit\nf: r0 = r10\nexit\n".into(),
                &[Argument::Scalar],
                "return stack pointer",
            ),
            (
                "r1 = 0\ncall f\nr0 = 0\nexit\nf: r0 = *(u8 *)(r1 +0)\nexit\n".into(),
                &[Argument::Mem { size: 16, nullable: true }],
                "mem_or_null",
            ),
        ] {
            let error = judge(&text, args).unwrap_err();
            assert!(error.contains(expected), "{error}\n{text}");
        }
        let nullable = &[Argument::Mem { size: 16, nullable: true }];
        judge(
            "r1 = 0\ncall f\nexit\nf: if r1 == 0 goto n\nr0 = *(u8 *)(r1 +15)\nexit\nn: r0 = 1\nexit\n",
            nullable,
        )
        .unwrap();
    }

    #[test]
    fn what_gives_nothing_back_gives_nothing() {
        let text = "r1 = 0\ncall f\nexit\nf: exit\n";
        let refused = verify(&program(text, &[Argument::Scalar], true), ENTRY, Limits::default()).unwrap();
        assert_eq!(refused.unwrap_err().rule, Rule::Unset { register: 0 });
        let text = "r1 = 0\ncall f\nr0 = 0\nexit\nf: exit\n";
        verify(&program(text, &[Argument::Scalar], true), ENTRY, Limits::default()).unwrap().unwrap();
    }

    #[test]
    fn functions_that_call_themselves_are_walked_into() {
        let text = "r1 = 0\ncall f\nr0 = 0\nexit\nf: r1 += 1\ncall f\nexit\n";
        let error = judge(text, &[Argument::Scalar]).unwrap_err();
        assert!(error.contains("too deep"), "{error}");
    }
}
