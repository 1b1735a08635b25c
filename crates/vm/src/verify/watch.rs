//! Who is shown a verification while it goes on.
//!
//! The walk knows nothing of who looks on: the log, which tells people ([`super::log`]), or the trace, which keeps
//! states for tests ([`super::trace`]). Nobody does when programs are loaded, and then nothing is done for it.

use super::marks::Marks;
use super::reject::Rule;
use super::state::State;

/// Shown what is walked, in the order in which it is.
pub(super) trait Watch {
    /// Whether the nodes of numbers must mean the same to the end, so that none may be used again.
    fn keeps_nodes(&self) -> bool {
        false
    }

    /// A path is taken up: the first, the other way of the branch at `branch`, or an attempt.
    fn takes_up(&mut self, _state: &State, _branch: Option<usize>, _marks: &Marks) {}

    /// The state is walked: the instruction it is at is next.
    fn before(&mut self, state: &mut State, marks: &Marks);

    /// What the instruction last shown, and the one that was taken with it if there was one, led to. `ends`: the path.
    fn after(&mut self, _state: &State, _ends: bool, _marks: &Marks) {}

    /// A path ends in favour of a checkpoint.
    fn covered(&mut self, state: &State, point: u32);

    /// A state was remembered, with which there are so many at its instruction and at all.
    fn remembered(&mut self, _here: usize, _all: usize) {}

    /// One state for all rounds of a loop is tried, in place of the path's own. Attempts may lie within attempts.
    fn tries(&mut self);

    /// The last attempt is over. If it failed, what was shown since then was never proved, and the path goes on with
    /// its own state; if not, the path is over as well.
    fn tried(&mut self, state: &State, failed: Option<&Rule>, marks: &Marks);
}
