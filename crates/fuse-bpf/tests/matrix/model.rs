//! What has to happen in each case, written from the specification: the flow of the series (section 7), with its faults
//! mended (section 12). It knows no operation, no mount and no program.

/// What a program, or the daemon as a prefilter, says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Continue,
    User,
    UserPrefilter,
    Postfilter,
    UserPostfilter,
    CallDefault,
    /// A positive number that means nothing.
    Unknown,
    /// A negative errno.
    Fails(i32),
}

/// Error numbers that tell who let the operation fail.
pub(crate) mod errors {
    pub(crate) const PRE: i32 = libc::EPROTO;
    pub(crate) const PRE_DEFAULT: i32 = libc::EMULTIHOP;
    pub(crate) const POST: i32 = libc::EBADMSG;
    pub(crate) const POST_DEFAULT: i32 = libc::EOVERFLOW;
    pub(crate) const DAEMON_PRE: i32 = libc::EREMCHG;
    pub(crate) const DAEMON_POST: i32 = libc::ELIBACC;
    pub(crate) const OUT: i32 = libc::ENOTUNIQ;
    pub(crate) const BACKING: i32 = libc::EDQUOT;
}

impl Verdict {
    /// As a program returns it.
    pub(crate) fn value(self) -> u32 {
        match self {
            Verdict::Continue => 0,
            Verdict::User => 1,
            Verdict::UserPrefilter => 2,
            Verdict::Postfilter => 3,
            Verdict::UserPostfilter => 4,
            Verdict::CallDefault => 5,
            Verdict::Unknown => 77,
            Verdict::Fails(errno) => (-errno).cast_unsigned(),
        }
    }
}

/// Who edits something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Editor {
    Nobody,
    Filter,
    Daemon,
}

/// One case: what everybody says and does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    /// Whether the set has a `default_filter`.
    pub(crate) with_default: bool,
    pub(crate) pre: Verdict,
    pub(crate) pre_default: Verdict,
    /// The daemon as a prefilter.
    pub(crate) daemon_pre: Verdict,
    pub(crate) edit_in: Editor,
    /// Whether the backing operation is made to fail.
    pub(crate) fails: bool,
    pub(crate) post: Verdict,
    pub(crate) post_default: Verdict,
    /// The daemon as a postfilter.
    pub(crate) daemon_post: Verdict,
    pub(crate) edit_out: Editor,
    /// The errno the last program that runs afterwards puts in the place of the result, or 0.
    pub(crate) error_out: i32,
}

/// A program that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Pre,
    Post,
    PreDefault,
    PostDefault,
}

/// What the daemon is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// For the operation itself.
    Operation,
    Prefilter,
    Postfilter,
}

/// Whose result the caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Backing,
    Daemon,
}

/// What has to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The programs that run, in order, with the `error_in` each one sees.
    pub(crate) ran: Vec<(Program, i32)>,
    /// What the daemon is asked, in order, with the error it is told.
    pub(crate) asked: Vec<(Asked, i32)>,
    /// Whether the operation is done below.
    pub(crate) below: bool,
    /// Whether what is done below is what was edited.
    pub(crate) edited_in: bool,
    /// Whether the caller sees edited results.
    pub(crate) edited_out: bool,
    pub(crate) result: Result<By, i32>,
}

/// The flow. `backing` is how the operation ends below, by whether its arguments were edited.
pub(crate) fn expect(case: &Case, backing: impl Fn(bool) -> Result<(), i32>) -> Expected {
    let mut expected = Expected {
        ran: Vec::new(),
        asked: Vec::new(),
        below: false,
        edited_in: case.edit_in == Editor::Filter,
        edited_out: false,
        result: Ok(By::Backing),
    };
    let fails = |mut expected: Expected, errno| {
        expected.result = Err(errno);
        expected
    };

    // Stage 1: the prefilter. CALL_DEFAULT without a default_filter is CONTINUE (F9).
    expected.ran.push((Program::Pre, 0));
    let mut next = case.pre;
    if next == Verdict::CallDefault {
        next = Verdict::Continue;
        if case.with_default {
            expected.ran.push((Program::PreDefault, 0));
            next = case.pre_default;
        }
    }
    // No backing operation, no later stage (F2).
    if let Verdict::Fails(errno) = next {
        return fails(expected, errno);
    }

    // Stage 2: the daemon as a prefilter. Its verdict counts (B6), but it cannot ask for itself again.
    if next == Verdict::UserPrefilter {
        expected.asked.push((Asked::Prefilter, 0));
        expected.edited_in |= case.edit_in == Editor::Daemon;
        next = case.daemon_pre;
        if let Verdict::Fails(errno) = next {
            return fails(expected, errno);
        }
    }
    if next == Verdict::User {
        // With the arguments as they were sent (F3).
        expected.asked.push((Asked::Operation, 0));
        expected.edited_in = false;
        expected.result = Ok(By::Daemon);
        return expected;
    }

    // Stage 3: the operation. Its error is what later stages see (B10).
    expected.below = true;
    expected.result = backing(expected.edited_in).map(|()| By::Backing);
    let error_in = expected.result.err().unwrap_or(0);

    // Stage 4: the postfilter. Only a negative value changes the result (F1), only USER_POSTFILTER is more (F4).
    if next == Verdict::Postfilter {
        expected.ran.push((Program::Post, error_in));
        expected.edited_out |= case.edit_out == Editor::Filter;
        next = case.post;
        if next == Verdict::CallDefault {
            next = Verdict::Continue;
            if case.with_default {
                expected.ran.push((Program::PostDefault, error_in));
                next = case.post_default;
            }
        }
        if let Verdict::Fails(errno) = next {
            return fails(expected, errno);
        }
    }

    // Stage 5: the daemon as a postfilter, also when the prefilter asked for it (F5).
    if next == Verdict::UserPostfilter {
        expected.asked.push((Asked::Postfilter, error_in));
        expected.edited_out |= case.edit_out == Editor::Daemon;
        if let Verdict::Fails(errno) = case.daemon_post {
            return fails(expected, errno);
        }
    }

    // A postfilter that lets the operation be may still say what it ends with (B28).
    if case.error_out != 0 && expected.ran.iter().any(|(program, _)| matches!(program, Program::Post)) {
        expected.result = Err(case.error_out);
    }
    expected
}

/// All cases of an operation. `edits`: whether there is something to edit before and after, `by_daemon`: whether the daemon can,
/// `can_fail`: whether the backing operation can be made to fail.
pub(crate) fn cases(edits: [bool; 2], by_daemon: [bool; 2], can_fail: bool) -> Vec<Case> {
    use Verdict::*;
    let plain = Case {
        with_default: true,
        pre: Continue,
        pre_default: Continue,
        daemon_pre: Continue,
        edit_in: Editor::Nobody,
        fails: false,
        post: Continue,
        post_default: Continue,
        daemon_post: Continue,
        edit_out: Editor::Nobody,
        error_out: 0,
    };
    let daemon_post =
        |case: Case| [Continue, Fails(errors::DAEMON_POST)].map(|daemon_post| Case { daemon_post, ..case });
    // What may come after the operation.
    let mut posts: Vec<Case> = [Continue, User, UserPrefilter, Postfilter, Unknown, Fails(errors::POST)]
        .map(|post| Case { post, ..plain })
        .into();
    posts.extend(daemon_post(Case { post: UserPostfilter, ..plain }));
    posts.extend([Continue, Postfilter, CallDefault, Fails(errors::POST_DEFAULT)].map(|post_default| Case {
        post: CallDefault,
        post_default,
        ..plain
    }));
    posts.extend(daemon_post(Case { post: CallDefault, post_default: UserPostfilter, ..plain }));
    posts.push(Case { post: CallDefault, with_default: false, ..plain });

    let error_out = errors::OUT;
    posts.extend([Continue, Postfilter, Fails(errors::POST)].map(|post| Case { post, error_out, ..plain }));
    posts.extend(daemon_post(Case { post: UserPostfilter, error_out, ..plain }));

    let mut flows: Vec<Case> =
        [Continue, User, Unknown, Fails(errors::PRE)].map(|pre| Case { pre, ..plain }).into();
    flows.extend(posts.iter().map(|post| Case { pre: Postfilter, ..*post }));
    flows.extend(
        [Continue, User, Postfilter, CallDefault, Fails(errors::PRE_DEFAULT)].map(|pre_default| Case {
            pre: CallDefault,
            pre_default,
            ..plain
        }),
    );
    flows.push(Case { pre: CallDefault, with_default: false, ..plain });
    flows.extend(
        [Continue, User, UserPrefilter, CallDefault, Fails(errors::DAEMON_PRE)].map(|daemon_pre| Case {
            pre: UserPrefilter,
            daemon_pre,
            ..plain
        }),
    );
    flows.extend([Continue, UserPostfilter, Fails(errors::POST)].map(|post| Case {
        pre: UserPrefilter,
        daemon_pre: Postfilter,
        post,
        ..plain
    }));
    flows.extend(daemon_post(Case { pre: UserPrefilter, daemon_pre: UserPostfilter, ..plain }));
    flows.extend(daemon_post(Case { pre: UserPostfilter, ..plain }));

    let mut all = Vec::new();
    for flow in flows {
        let asked = |who: Asked| expect(&flow, |_| Ok(())).asked.iter().any(|(asked, _)| *asked == who);
        let ran_post = expect(&flow, |_| Ok(())).ran.iter().any(|(program, _)| *program == Program::Post);
        let mut ins = vec![Editor::Nobody];
        let mut outs = vec![Editor::Nobody];
        if edits[0] {
            ins.push(Editor::Filter);
            ins.extend((by_daemon[0] && asked(Asked::Prefilter)).then_some(Editor::Daemon));
        }
        if edits[1] {
            outs.extend(ran_post.then_some(Editor::Filter));
            outs.extend((by_daemon[1] && asked(Asked::Postfilter)).then_some(Editor::Daemon));
        }
        for edit_in in ins {
            for edit_out in &outs {
                for fails in if can_fail { &[false, true][..] } else { &[false] } {
                    all.push(Case { edit_in, edit_out: *edit_out, fails: *fails, ..flow });
                }
            }
        }
    }
    all
}
