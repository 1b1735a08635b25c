//! Arrays of programs.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::{MapError, MapSpec, layout};
use crate::program::Program;

/// Programs by index. Whoever finds one holds it.
pub(super) struct Programs {
    /// The entries up to the last one that ever had a program.
    entries: RwLock<Vec<Option<Arc<Program>>>>,
    capacity: u32,
}

impl Programs {
    pub(super) fn new(spec: &MapSpec) -> Result<Programs, MapError> {
        spec.check_size("key", spec.key_size, 4)?;
        spec.check_size("value", spec.value_size, 4)?;
        spec.check_entries()?;
        layout(spec, size_of::<Arc<Program>>() as u64, spec.max_entries.into())?;
        Ok(Programs { entries: RwLock::default(), capacity: spec.max_entries })
    }

    pub(super) fn get(&self, index: u32) -> Option<Arc<Program>> {
        self.read().get(index as usize)?.clone()
    }

    pub(super) fn set(&self, index: u32, program: Arc<Program>) -> Result<(), MapError> {
        self.replace(index, Some(program)).map(|_| ())
    }

    pub(super) fn remove(&self, key: &[u8]) -> Result<(), MapError> {
        let index = key.try_into().map(u32::from_ne_bytes).map_err(|_| MapError::NotFound)?;
        self.replace(index, None)?.map(|_| ()).ok_or(MapError::NotFound)
    }

    pub(super) fn clear(&self) {
        // The programs are dropped after the lock is released.
        let all = std::mem::take(&mut *self.entries.write().unwrap_or_else(PoisonError::into_inner));
        drop(all);
    }

    /// The indices that have a program.
    pub(super) fn keys(&self) -> Vec<Vec<u8>> {
        let entries = self.read();
        let used = (0u32..).zip(entries.iter()).filter(|(_, program)| program.is_some());
        used.map(|(index, _)| index.to_ne_bytes().to_vec()).collect()
    }

    fn replace(&self, index: u32, program: Option<Arc<Program>>) -> Result<Option<Arc<Program>>, MapError> {
        if index >= self.capacity {
            return Err(MapError::Full);
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let index = index as usize;
        if index >= entries.len() {
            if program.is_none() {
                return Ok(None);
            }
            entries.resize(index + 1, None);
        }
        Ok(std::mem::replace(&mut entries[index], program))
    }

    /// Nothing panics while the lock is held: poison is of no concern.
    fn read(&self) -> RwLockReadGuard<'_, Vec<Option<Arc<Program>>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }
}
