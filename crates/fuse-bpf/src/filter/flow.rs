//! Which program runs when: the flow of the series (spec section 7), over a chain of program sets.
//!
//! Sets nest like stacked mounts: the first is outermost, so its prefilter runs first and its
//! postfilter last, and it sees in `error_in` what the inner ones made of the result. A set that hands
//! the operation to the daemon says who does it, not who is asked: every set has its say before it, and on
//! what the daemon answers. What decides is [`decide`], a pure function.

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
    /// The daemon does the operation.
    User,
    /// Ask the daemon as prefilter; its value counts.
    UserPrefilter,
    /// Go on, and ask the daemon as postfilter afterwards.
    UserPostfilter,
    /// The operation fails.
    Fail(Errno),
}

/// Maps the value a filter returned to what follows.
///
/// A value with bit 31 set is a negative errno. `ENOSYS` becomes `EOPNOTSUPP`: the kernel would take it for a
/// property of the file system and never ask again, not even filters. Other unknown values mean there is nothing
/// more to do.
pub fn decide(stage: Stage, value: u32) -> Step {
    let signed = value as i32;
    if signed < 0 {
        return Step::Fail(match Errno::new(signed.checked_neg().unwrap_or(0)) {
            Errno::ENOSYS => Errno::EOPNOTSUPP,
            error => error,
        });
    }
    match (value, stage) {
        (verdict::POSTFILTER, Stage::Pre) => Step::Postfilter,
        (verdict::USER, Stage::Pre) => Step::User,
        (verdict::USER_PREFILTER, Stage::Pre) => Step::UserPrefilter,
        (verdict::USER_POSTFILTER, _) => Step::UserPostfilter,
        (verdict::CALL_DEFAULT, _) => Step::Default,
        _ => Step::Continue,
    }
}

/// What a chain needs of the call it filters.
pub trait Stages {
    /// The value set number `set` returns in this stage, or the error the operation fails with when its
    /// program faults. A missing program is `default_filter`'s business.
    fn ask(&mut self, set: usize, stage: Stage, default: bool) -> Result<Option<u32>, Errno>;
    /// The value the daemon returns in this stage, asked on behalf of set number `set`.
    fn ask_daemon(&mut self, set: usize, stage: Stage) -> Result<u32, Errno>;
    /// The operation proper, between the stages.
    fn backing(&mut self) -> Result<(), Errno>;
    /// The operation done by the daemon in place of [`Stages::backing`], with the arguments as they were sent; `judged`
    /// when a set will have its say on what it answers.
    fn daemon(&mut self, judged: bool) -> Result<(), Errno>;
    /// Set number `set` has had its say after the operation, and did not let it fail: what it ended with, now that what
    /// was attached to the results is known.
    fn settle(&mut self, set: usize, result: Result<(), Errno>) -> Result<(), Errno>;
    /// Tells later filters of the result so far.
    fn set_result(&mut self, result: Result<(), Errno>);
}

/// Who is asked after the operation on behalf of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Nobody,
    Postfilter,
    Daemon,
}

/// Runs a call through `sets` program sets.
///
/// A failing prefilter skips the inner sets and the backing operation; a postfilter may turn success
/// into an error or one error into another, never an error into success (facts F1, F2).
pub fn run(sets: usize, call: &mut impl Stages) -> Result<(), Errno> {
    let mut after = [After::Nobody; MAX_SETS];
    let (mut refused, mut user) = (None, false);
    for (set, after) in after.iter_mut().enumerate().take(sets) {
        match before(call, set) {
            Step::Fail(error) => {
                refused = Some(error);
                break;
            }
            Step::User => user = true,
            Step::Postfilter => *after = After::Postfilter,
            Step::UserPostfilter => *after = After::Daemon,
            Step::Continue | Step::Default | Step::UserPrefilter => {}
        }
    }
    let judged = after.iter().any(|asked| *asked != After::Nobody);
    let mut result = match refused {
        Some(error) => Err(error),
        None if user => call.daemon(judged),
        None => call.backing(),
    };
    call.set_result(result);
    for (set, asked) in after.iter().enumerate().rev().filter(|(_, asked)| **asked != After::Nobody) {
        result = behind(call, set, *asked, result);
        call.set_result(result);
    }
    result
}

/// Most program sets in one chain.
pub const MAX_SETS: usize = 64;

/// Asks one set before the operation, and the daemon if that is what it says.
fn before(call: &mut impl Stages, set: usize) -> Step {
    match ask(call, set, Stage::Pre) {
        Step::UserPrefilter => match call.ask_daemon(set, Stage::Pre) {
            Ok(value) => decide(Stage::Pre, value),
            Err(error) => Step::Fail(error),
        },
        step => step,
    }
}

/// Asks who is to be asked after the operation on behalf of one set, and gives what it ends with.
fn behind(call: &mut impl Stages, set: usize, asked: After, result: Result<(), Errno>) -> Result<(), Errno> {
    let step = match asked {
        After::Postfilter => ask(call, set, Stage::Post),
        After::Daemon | After::Nobody => Step::UserPostfilter,
    };
    let step = match step {
        Step::UserPostfilter => decide(Stage::Post, call.ask_daemon(set, Stage::Post)?),
        step => step,
    };
    match step {
        Step::Fail(error) => Err(error),
        _ => call.settle(set, result),
    }
}

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
        /// What the daemon says as prefilter and as postfilter, and of the operation.
        daemon: [Option<u32>; 2],
        user: Option<Errno>,
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
        fn ask_daemon(&mut self, set: usize, stage: Stage) -> Result<u32, Errno> {
            self.log.push(format!("daemon{set}{stage:?}"));
            self.daemon[stage as usize].ok_or(Errno::ENOTCONN)
        }
        fn backing(&mut self) -> Result<(), Errno> {
            self.log.push("backing".into());
            self.backing.map_or(Ok(()), Err)
        }
        fn daemon(&mut self, judged: bool) -> Result<(), Errno> {
            self.log.push(if judged { "judged daemon" } else { "daemon" }.into());
            self.user.map_or(Ok(()), Err)
        }
        fn settle(&mut self, _: usize, result: Result<(), Errno>) -> Result<(), Errno> {
            result
        }
        fn set_result(&mut self, result: Result<(), Errno>) {
            self.error = result.err();
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
        assert_eq!(decide(Pre, 1), Step::User);
        assert_eq!(decide(Pre, 2), Step::UserPrefilter);
        assert_eq!(decide(Pre, 4), Step::UserPostfilter);
        assert_eq!(decide(Post, 1), Step::Continue);
        assert_eq!(decide(Post, 2), Step::Continue);
        assert_eq!(decide(Post, 4), Step::UserPostfilter);
        assert_eq!(decide(Pre, 5), Step::Default);
        assert_eq!(decide(Pre, 77), Step::Continue);
        assert_eq!(decide(Pre, ENOENT), Step::Fail(Errno::ENOENT));
        assert_eq!(decide(Pre, 0x8000_0000), Step::Fail(Errno::EIO));
    }

    #[test]
    fn the_kernel_is_never_told_that_an_operation_does_not_exist() {
        let enosys = -(libc::ENOSYS) as u32;
        assert_eq!(decide(Stage::Pre, enosys), Step::Fail(Errno::EOPNOTSUPP));
        assert_eq!(decide(Stage::Post, enosys), Step::Fail(Errno::EOPNOTSUPP));
    }

    #[test]
    fn the_daemon_does_the_operation_and_every_set_judges_it() {
        let mut s = Script {
            pre: vec![post(), Some(verdict::USER), post()],
            post: vec![Some(ENOENT), Some(0), Some(0)],
            ..Default::default()
        };
        assert_eq!(run(3, &mut s), Err(Errno::ENOENT));
        assert_eq!(s.log, ["Pre0", "Pre1", "Pre2", "judged daemon", "Post2", "Post0"]);
        // What one further in refuses the daemon does not hear of.
        s = Script {
            pre: vec![Some(verdict::USER), Some(ENOENT)],
            post: vec![None; 2],
            ..Default::default()
        };
        assert_eq!(run(2, &mut s), Err(Errno::ENOENT));
        assert_eq!(s.log, ["Pre0", "Pre1"]);
        s = Script { pre: vec![Some(verdict::USER)], user: Some(Errno::EIO), ..Default::default() };
        assert_eq!(run(1, &mut s), Err(Errno::EIO));
        assert_eq!(s.log, ["Pre0", "daemon"]);
    }

    #[test]
    fn a_daemons_prefilter_says_what_follows() {
        let ask = |value: Option<u32>| {
            let mut s = Script {
                pre: vec![Some(verdict::USER_PREFILTER)],
                post: vec![Some(0)],
                daemon: [value, Some(0)],
                ..Default::default()
            };
            (run(1, &mut s), s.log)
        };
        let (ok, log) = ask(Some(verdict::CONTINUE));
        assert_eq!((ok, &log[..]), (Ok(()), &["Pre0", "daemon0Pre", "backing"].map(String::from)[..]));
        assert_eq!(ask(Some(verdict::POSTFILTER)).1, ["Pre0", "daemon0Pre", "backing", "Post0"]);
        assert_eq!(ask(Some(verdict::USER_POSTFILTER)).1, ["Pre0", "daemon0Pre", "backing", "daemon0Post"]);
        assert_eq!(ask(Some(verdict::USER)).1, ["Pre0", "daemon0Pre", "daemon"]);
        // It cannot ask itself again.
        assert_eq!(ask(Some(verdict::USER_PREFILTER)).1, ["Pre0", "daemon0Pre", "backing"]);
        assert_eq!(
            ask(Some(ENOENT)),
            (Err(Errno::ENOENT), ["Pre0", "daemon0Pre"].map(String::from).to_vec())
        );
        assert_eq!(ask(None).0, Err(Errno::ENOTCONN));
    }

    #[test]
    fn a_daemon_may_filter_afterwards() {
        // Asked for before the operation, the set's own postfilter is not asked (F5).
        let mut s = Script {
            pre: vec![Some(verdict::USER_POSTFILTER)],
            post: vec![Some(0)],
            daemon: [None, Some(ENOENT)],
            ..Default::default()
        };
        assert_eq!(run(1, &mut s), Err(Errno::ENOENT));
        assert_eq!(s.log, ["Pre0", "backing", "daemon0Post"]);
        s = Script {
            pre: vec![post()],
            post: vec![Some(verdict::USER_POSTFILTER)],
            daemon: [None, Some(0)],
            backing: Some(Errno::EACCES),
            ..Default::default()
        };
        assert_eq!(run(1, &mut s), Err(Errno::EACCES));
        assert_eq!(s.log, ["Pre0", "backing", "Post0", "daemon0Post"]);
    }

    #[test]
    fn a_postfilter_that_fails_does_not_ask_the_daemon() {
        let mut s = Script {
            pre: vec![post()],
            post: vec![Some(ENOENT)],
            daemon: [None, Some(0)],
            ..Default::default()
        };
        assert_eq!(run(1, &mut s), Err(Errno::ENOENT));
        assert_eq!(s.log, ["Pre0", "backing", "Post0"]);
    }
}
