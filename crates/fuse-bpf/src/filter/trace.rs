//! What filters print and how they fail, for whoever listens.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines kept for a listener that comes late or is slow.
const KEPT: usize = 4096;
/// Longest line; the rest is cut off.
const LINE: usize = 1024;

/// A bounded log of lines, each with a number that only grows.
#[derive(Debug, Default)]
pub struct Trace {
    state: Mutex<State>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<String>,
    /// Number of the first line kept.
    first: u64,
}

impl Trace {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a line; the oldest is dropped when the log is full.
    pub fn push(&self, line: &str) {
        let end = line.floor_char_boundary(LINE);
        let mut state = self.state();
        if state.lines.len() == KEPT {
            state.lines.pop_front();
            state.first += 1;
        }
        state.lines.push_back(line.get(..end).unwrap_or_default().to_owned());
        drop(state);
        self.grown.notify_all();
    }

    /// The number the next line will have.
    pub fn end(&self) -> u64 {
        let state = self.state();
        state.first + state.lines.len() as u64
    }

    /// The lines from number `from` on, after at most `timeout` if there are none yet. Returns how many
    /// were dropped before they could be read, too.
    pub fn read(&self, from: &mut u64, timeout: Duration) -> (u64, Vec<String>) {
        let state = self.state();
        let next = *from;
        let (state, _) = self
            .grown
            .wait_timeout_while(state, timeout, |s| s.first + s.lines.len() as u64 <= next)
            .unwrap_or_else(PoisonError::into_inner);
        let lost = state.first.saturating_sub(next);
        let skip = usize::try_from(next.saturating_sub(state.first)).unwrap_or(usize::MAX);
        let lines: Vec<String> = state.lines.iter().skip(skip).cloned().collect();
        *from = state.first + state.lines.len() as u64;
        (lost, lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_is_told_what_it_lost() {
        let trace = Trace::default();
        let mut from = trace.end();
        for i in 0..KEPT + 3 {
            trace.push(&i.to_string());
        }
        let (lost, lines) = trace.read(&mut from, Duration::ZERO);
        assert_eq!(lost, 3);
        assert_eq!(lines.len(), KEPT);
        assert_eq!(lines[0], "3");
        assert_eq!(trace.read(&mut from, Duration::ZERO), (0, vec![]));
    }
}
