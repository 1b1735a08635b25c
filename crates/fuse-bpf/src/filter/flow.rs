//! Which program runs when: the flow of the series (spec section 7), over a chain of program sets.
//!
//! Sets nest like stacked mounts: the first is outermost, so its prefilter runs first and its
//! postfilter last, and it sees in `error_in` what the inner ones made of the result. What decides
//! is [`decide`], a pure function.

use crate::abi::verdict;
use crate::errno::Errno;

use super::Stage;

/// What follows from the value a filter returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Go on; this set has no more to say.
    Continue,
    /// Go on, and ask this set's postfilter afterwards.
    Postfilter,
    /// Ask `default_filter`.
    Default,
    /// The operation fails.
    Fail(Errno),
}

/// Maps the value a filter returned to what follows.
///
/// There is no daemon behind a mount yet, so a verdict that needs one fails as the series' `no_daemon`
/// mount does: `ENOTCONN`. A value with bit 31 set is a negative errno; other unknown values mean
/// there is nothing more to do.
pub fn decide(stage: Stage, value: u32) -> Step {
    let signed = value as i32;
    if signed < 0 {
        return Step::Fail(Errno::new(signed.checked_neg().unwrap_or(0)));
    }
    match (value, stage) {
        (verdict::POSTFILTER, Stage::Pre) => Step::Postfilter,
        (verdict::USER | verdict::USER_PREFILTER, Stage::Pre) => Step::Fail(Errno::ENOTCONN),
        (verdict::USER_POSTFILTER, _) => Step::Fail(Errno::ENOTCONN),
        (verdict::CALL_DEFAULT, _) => Step::Default,
        _ => Step::Continue,
    }
}

/// What a chain needs of the call it filters.
pub trait Stages {
    /// The value set number `set` returns in this stage, or the error the operation fails with when its
    /// program faults. A missing program is `default_filter`'s business.
    fn ask(&mut self, set: usize, stage: Stage, default: bool) -> Result<Option<u32>, Errno>;
    /// The operation proper, between the stages.
    fn backing(&mut self) -> Result<(), Errno>;
    /// Tells later filters of the error so far.
    fn set_error(&mut self, error: Errno);
}

/// Runs a call through `sets` program sets.
///
/// A failing prefilter skips the inner sets and the backing operation; a postfilter may turn success
/// into an error or one error into another, never an error into success (facts F1, F2).
pub fn run(sets: usize, call: &mut impl Stages) -> Result<(), Errno> {
    let mut wants_post = [0u64; MAX_SETS / 64];
    let mut entered = 0;
    let mut result = Ok(());
    for set in 0..sets {
        match ask(call, set, Stage::Pre) {
            Step::Fail(error) => {
                result = Err(error);
                break;
            }
            Step::Postfilter => wants_post[set / 64] |= 1 << (set % 64),
            Step::Continue | Step::Default => {}
        }
        entered = set + 1;
    }
    if result.is_ok() {
        result = call.backing();
    }
    if let Err(error) = result {
        call.set_error(error);
    }
    for set in (0..entered).rev().filter(|set| wants_post[set / 64] & (1 << (set % 64)) != 0) {
        if let Step::Fail(error) = ask(call, set, Stage::Post) {
            result = Err(error);
            call.set_error(error);
        }
    }
    result
}

/// Most program sets in one chain.
pub const MAX_SETS: usize = 64;

/// Asks one set, then its `default_filter` if that is what it says.
fn ask(call: &mut impl Stages, set: usize, stage: Stage) -> Step {
    let mut default = false;
    loop {
        match call.ask(set, stage, default).map(|value| value.map(|value| decide(stage, value))) {
            Err(error) => return Step::Fail(error),
            Ok(None) if default => return Step::Continue,
            Ok(None | Some(Step::Default)) if !default => default = true,
            // `default_filter` cannot pass the question on.
            Ok(None | Some(Step::Default)) => return Step::Continue,
            Ok(Some(step)) => return step,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOENT: u32 = -(libc::ENOENT) as u32;

    #[derive(Default)]
    struct Script {
        pre: Vec<Option<u32>>,
        post: Vec<Option<u32>>,
        default: Option<u32>,
        backing: Option<Errno>,
        log: Vec<String>,
        error: Option<Errno>,
    }

    impl Stages for Script {
        fn ask(&mut self, set: usize, stage: Stage, default: bool) -> Result<Option<u32>, Errno> {
            if default {
                self.log.push(format!("default{set}{stage:?}"));
                return Ok(self.default);
            }
            let value = if stage == Stage::Pre { self.pre[set] } else { self.post[set] };
            if value.is_some() {
                self.log.push(format!("{stage:?}{set}"));
            }
            Ok(value)
        }
        fn backing(&mut self) -> Result<(), Errno> {
            self.log.push("backing".into());
            self.backing.map_or(Ok(()), Err)
        }
        fn set_error(&mut self, error: Errno) {
            self.error = Some(error);
        }
    }

    fn post() -> Option<u32> {
        Some(verdict::POSTFILTER)
    }

    #[test]
    fn sets_nest() {
        let mut s = Script { pre: vec![post(), post()], post: vec![Some(0), Some(0)], ..Default::default() };
        assert_eq!(run(2, &mut s), Ok(()));
        assert_eq!(s.log, ["Pre0", "Pre1", "backing", "Post1", "Post0"]);
    }

    #[test]
    fn a_denial_skips_backing_and_is_seen_by_outer_sets() {
        let mut s =
            Script { pre: vec![post(), Some(ENOENT), post()], post: vec![Some(0); 3], ..Default::default() };
        assert_eq!(run(3, &mut s), Err(Errno::ENOENT));
        assert_eq!(s.log, ["Pre0", "Pre1", "Post0"]);
        assert_eq!(s.error, Some(Errno::ENOENT));
    }

    #[test]
    fn a_postfilter_cannot_undo_an_error_but_can_change_it() {
        let mut s = Script {
            pre: vec![post()],
            post: vec![Some(0)],
            backing: Some(Errno::EACCES),
            ..Default::default()
        };
        assert_eq!(run(1, &mut s), Err(Errno::EACCES));
        s.post = vec![Some(ENOENT)];
        assert_eq!(run(1, &mut s), Err(Errno::ENOENT));
        s.backing = None;
        assert_eq!(run(1, &mut s), Err(Errno::ENOENT));
    }

    #[test]
    fn a_missing_program_is_the_default_filters_business() {
        let mut s = Script { pre: vec![None], post: vec![None], default: post(), ..Default::default() };
        assert_eq!(run(1, &mut s), Ok(()));
        assert_eq!(s.log, ["default0Pre", "backing", "default0Post"]);
    }

    #[test]
    fn a_default_filter_that_asks_for_itself_ends() {
        let mut s = Script {
            pre: vec![None],
            post: vec![None],
            default: Some(verdict::CALL_DEFAULT),
            ..Default::default()
        };
        assert_eq!(run(1, &mut s), Ok(()));
        assert_eq!(s.log, ["default0Pre", "backing"]);
    }

    #[test]
    fn verdicts() {
        use Stage::{Post, Pre};
        assert_eq!(decide(Pre, 0), Step::Continue);
        assert_eq!(decide(Pre, 3), Step::Postfilter);
        assert_eq!(decide(Post, 3), Step::Continue);
        assert_eq!(decide(Pre, 1), Step::Fail(Errno::ENOTCONN));
        assert_eq!(decide(Pre, 2), Step::Fail(Errno::ENOTCONN));
        assert_eq!(decide(Post, 1), Step::Continue);
        assert_eq!(decide(Post, 4), Step::Fail(Errno::ENOTCONN));
        assert_eq!(decide(Pre, 5), Step::Default);
        assert_eq!(decide(Pre, 77), Step::Continue);
        assert_eq!(decide(Pre, ENOENT), Step::Fail(Errno::ENOENT));
        assert_eq!(decide(Pre, 0x8000_0000), Step::Fail(Errno::EIO));
    }
}
