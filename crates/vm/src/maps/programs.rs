//! Arrays of programs.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::{MapError, MapSpec, layout};
#[cfg(feature = "jit")]
use crate::jit::Compiled;
use crate::program::Program;

/// A program that others may go on with.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) program: Arc<Program>,
    /// Its code, once for each list of arguments it was proved for. Without, it is interpreted.
    #[cfg(feature = "jit")]
    pub(crate) codes: Vec<Arc<Compiled>>,
}

/// Programs by index. Whoever finds one holds it.
pub(super) struct Programs {
    /// The entries up to the last one that ever had a program.
    entries: RwLock<Vec<Option<Arc<Target>>>>,
    capacity: u32,
}

impl Programs {
    pub(super) fn new(spec: &MapSpec) -> Result<Programs, MapError> {
        spec.check_size("key", spec.key_size, 4)?;
        spec.check_size("value", spec.value_size, 4)?;
        spec.check_entries()?;
        layout(spec, size_of::<Arc<Target>>() as u64, spec.max_entries.into())?;
        Ok(Programs { entries: RwLock::default(), capacity: spec.max_entries })
    }

    pub(super) fn get(&self, index: u32) -> Option<Arc<Target>> {
        self.read().get(index as usize)?.clone()
    }

    /// Puts a program that is interpreted.
    pub(super) fn set(&self, index: u32, program: Arc<Program>) -> Result<(), MapError> {
        let target = Target {
            program,
            #[cfg(feature = "jit")]
            codes: Vec::new(),
        };
        self.replace(index, |_| Some(target)).map(|_| ())
    }

    /// Puts a program with its code, beside the code that the entry has of the same program.
    #[cfg(feature = "jit")]
    pub(super) fn set_code(&self, index: u32, code: Arc<Compiled>) -> Result<(), MapError> {
        let changed = |old: Option<&Target>| {
            let same = old.filter(|old| Arc::ptr_eq(&old.program, code.program()));
            let mut codes = same.map_or_else(Vec::new, |old| old.codes.clone());
            if !codes.iter().any(|known| Arc::ptr_eq(known, &code)) {
                codes.push(Arc::clone(&code));
            }
            Some(Target { program: Arc::clone(code.program()), codes })
        };
        self.replace(index, changed).map(|_| ())
    }

    pub(super) fn remove(&self, key: &[u8]) -> Result<(), MapError> {
        let index = key.try_into().map(u32::from_ne_bytes).map_err(|_| MapError::NotFound)?;
        self.replace(index, |_| None)?.map(|_| ()).ok_or(MapError::NotFound)
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

    /// Puts in an entry what `changed` makes of it. What was there, which is dropped after the lock is released.
    fn replace(
        &self,
        index: u32,
        changed: impl FnOnce(Option<&Target>) -> Option<Target>,
    ) -> Result<Option<Arc<Target>>, MapError> {
        if index >= self.capacity {
            return Err(MapError::Full);
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let index = index as usize;
        let target = changed(entries.get(index).and_then(Option::as_deref)).map(Arc::new);
        if index >= entries.len() {
            if target.is_none() {
                return Ok(None);
            }
            entries.resize(index + 1, None);
        }
        Ok(std::mem::replace(&mut entries[index], target))
    }

    /// Nothing panics while the lock is held: poison is of no concern.
    fn read(&self) -> RwLockReadGuard<'_, Vec<Option<Arc<Target>>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }
}
