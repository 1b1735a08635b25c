//! Arrays of programs.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::{MapError, MapSpec, layout};
use crate::program::Program;

/// Programs by index. Whoever finds one holds it.
#[derive(Debug)]
pub(super) struct Programs {
    entries: RwLock<Box<[Option<Arc<Program>>]>>,
}

impl Programs {
    pub(super) fn new(spec: &MapSpec) -> Result<Programs, MapError> {
        spec.check_size("key", spec.key_size, 4)?;
        spec.check_size("value", spec.value_size, 4)?;
        spec.check_entries()?;
        layout(spec, size_of::<Arc<Program>>() as u64, spec.max_entries.into())?;
        Ok(Programs { entries: RwLock::new((0..spec.max_entries).map(|_| None).collect()) })
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
        // The programs are dropped after the lock, which maps of theirs might ask for.
        let all: Vec<_> = (0..).map_while(|index| self.replace(index, None).ok()).collect();
        drop(all);
    }

    /// The indices that have a program.
    pub(super) fn keys(&self) -> Vec<Vec<u8>> {
        let entries = self.read();
        let used = (0u32..).zip(entries.iter()).filter(|(_, program)| program.is_some());
        used.map(|(index, _)| index.to_ne_bytes().to_vec()).collect()
    }

    fn replace(&self, index: u32, program: Option<Arc<Program>>) -> Result<Option<Arc<Program>>, MapError> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get_mut(index as usize).ok_or(MapError::Full)?;
        Ok(std::mem::replace(entry, program))
    }

    /// Nothing panics while the lock is held: poison is of no concern.
    fn read(&self) -> RwLockReadGuard<'_, Box<[Option<Arc<Program>>]>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }
}
