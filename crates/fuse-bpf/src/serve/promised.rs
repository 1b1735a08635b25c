//! Program sets that names were promised: a lookup filter attaches them to a name, whether there is an inode yet or not. What is made
//! under that name, or moved to it, gets them.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::filter::FilterSet;

/// Most names remembered. The kernel looks a name up just before it makes something there, so few are needed.
const MOST: usize = 4096;

/// A directory, by the kernel's number, and a name in it.
type Place = (u64, Box<[u8]>);

/// The names and their sets.
#[derive(Debug, Default)]
pub(super) struct Promised {
    names: Mutex<Names>,
    /// Whether any name was ever promised anything: where none was, lookups share nothing here.
    used: AtomicBool,
}

#[derive(Debug, Default)]
struct Names {
    sets: HashMap<Place, Vec<FilterSet>>,
    /// The same names, oldest first.
    order: VecDeque<Place>,
}

impl Promised {
    /// Notes what a lookup said of a name; `None` when it said nothing.
    pub(super) fn note(&self, dir: u64, name: &[u8], sets: Option<&Vec<FilterSet>>) {
        if sets.is_none() && !self.used.load(Ordering::Relaxed) {
            return;
        }
        self.used.store(true, Ordering::Relaxed);
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (dir, name.into());
        let Some(sets) = sets else {
            names.remove(&place);
            return;
        };
        if names.sets.insert(place.clone(), sets.clone()).is_none() {
            names.order.push_back(place);
        }
        while names.order.len() > MOST {
            if let Some(oldest) = names.order.pop_front() {
                names.sets.remove(&oldest);
            }
        }
    }

    /// What a name was promised.
    pub(super) fn take(&self, dir: u64, name: &[u8]) -> Option<Vec<FilterSet>> {
        if !self.used.load(Ordering::Relaxed) {
            return None;
        }
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.remove(&(dir, name.into()))
    }
}

impl Names {
    fn remove(&mut self, place: &Place) -> Option<Vec<FilterSet>> {
        let sets = self.sets.remove(place)?;
        self.order.retain(|other| other != place);
        Some(sets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_kept_once_and_the_oldest_go_first() {
        let promised = Promised::default();
        promised.note(1, b"a", Some(&Vec::new()));
        assert!(promised.take(2, b"a").is_none());
        assert!(promised.take(1, b"a").is_some());
        assert!(promised.take(1, b"a").is_none());
        promised.note(1, b"b", Some(&Vec::new()));
        promised.note(1, b"b", None);
        assert!(promised.take(1, b"b").is_none());
        // One that is promised and taken again and again does not push others out.
        promised.note(0, b"kept", Some(&Vec::new()));
        for _ in 0..2 * MOST {
            promised.note(1, b"a", Some(&Vec::new()));
            promised.take(1, b"a");
        }
        assert!(promised.take(0, b"kept").is_some());
        for i in 0..=MOST as u64 + 2 {
            promised.note(i, b"c", Some(&Vec::new()));
        }
        assert!(promised.take(0, b"c").is_none());
        assert!(promised.take(MOST as u64, b"c").is_some());
    }
}
