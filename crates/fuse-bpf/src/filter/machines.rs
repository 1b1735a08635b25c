//! The machines programs run in: as many as may run at once, whoever runs them.
//!
//! A machine has a slot of its own in per-CPU maps, so no more programs run at once than the maps have slots. A thread that
//! waits for somebody else gives its slot back, and others run programs meanwhile.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use fuse_bpf_vm::interp::Worker as Machine;

/// The slots nobody uses.
#[derive(Debug)]
pub struct Slots {
    free: Mutex<Vec<usize>>,
    given_back: Condvar,
}

impl Slots {
    /// So many of them; at least one.
    pub fn new(count: usize) -> Slots {
        // The last one is taken first.
        let free = (0..count.max(1)).rev().collect();
        Slots { free: Mutex::new(free), given_back: Condvar::new() }
    }

    fn free(&self) -> MutexGuard<'_, Vec<usize>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for one. Whoever has one only runs programs, which end, or gives it back before waiting.
    fn take(&self) -> usize {
        let mut free = self.free();
        loop {
            match free.pop() {
                Some(slot) => return slot,
                None => free = self.given_back.wait(free).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn put(&self, slot: usize) {
        self.free().push(slot);
        self.given_back.notify_one();
    }
}

/// The machines of one thread. A slot is taken when a program is to run, and kept for the next until it is given back.
#[derive(Debug)]
pub struct Lease {
    slots: Arc<Slots>,
    taken: Option<usize>,
    /// By slot, those that were needed.
    machines: Vec<Option<Machine>>,
}

impl Lease {
    /// A lease that has taken none yet.
    pub fn new(slots: Arc<Slots>) -> Lease {
        Lease { slots, taken: None, machines: Vec::new() }
    }

    /// A machine, after waiting for a slot if need be.
    pub fn machine(&mut self) -> &mut Machine {
        let slot = *self.taken.get_or_insert_with(|| self.slots.take());
        if self.machines.len() <= slot {
            self.machines.resize_with(slot + 1, || None);
        }
        self.machines[slot].get_or_insert_with(|| Machine::new(slot))
    }

    /// Lets others have the slot until a machine is needed again.
    pub fn give_back(&mut self) {
        if let Some(slot) = self.taken.take() {
            self.slots.put(slot);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_there_were() {
        let slots = Arc::new(Slots::new(2));
        let (mut one, mut two) = (Lease::new(Arc::clone(&slots)), Lease::new(Arc::clone(&slots)));
        one.machine();
        two.machine();
        assert_eq!(slots.free().len(), 0);
        one.give_back();
        assert_eq!(*slots.free(), [0]);
        one.machine();
        drop((one, two));
        assert_eq!(slots.free().len(), 2);
    }

    #[test]
    fn whoever_waits_gets_one_that_is_given_back() {
        let slots = Arc::new(Slots::new(1));
        let mut first = Lease::new(Arc::clone(&slots));
        first.machine();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                Lease::new(Arc::clone(&slots)).machine();
            });
            first.give_back();
            second.join().unwrap();
        });
    }
}
