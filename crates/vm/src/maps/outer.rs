//! Maps of maps.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{MAX_KEY_SIZE, Map, MapError, MapKind, MapSpec, UpdateMode};

/// Maps by key. Whoever finds one holds it.
#[derive(Debug)]
pub(super) struct Outer {
    template: MapSpec,
    capacity: usize,
    /// Whether keys are indices below the capacity.
    array: bool,
    maps: RwLock<HashMap<Box<[u8]>, Arc<Map>>>,
}

impl Outer {
    pub(super) fn new(spec: &MapSpec) -> Result<Outer, MapError> {
        let array = spec.kind == MapKind::ArrayOfMaps;
        if array {
            spec.check_size("key", spec.key_size, 4)?;
        } else if spec.key_size == 0 || spec.key_size > MAX_KEY_SIZE {
            return Err(spec.refuse(format!("a key is 1 to {MAX_KEY_SIZE} bytes, not {}", spec.key_size)));
        }
        spec.check_size("value", spec.value_size, 4)?;
        spec.check_entries()?;
        let template = spec.inner.as_deref().cloned();
        let template = template.ok_or_else(|| spec.refuse("what the maps in it look like is missing"))?;
        if template.kind.holds_maps() || template.kind == MapKind::ProgArray {
            return Err(spec.refuse("maps of maps, and of programs, cannot be in a map of maps"));
        }
        Ok(Outer { template, capacity: spec.max_entries as usize, array, maps: RwLock::default() })
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Arc<Map>> {
        self.read().get(key).cloned()
    }

    /// Puts a map at a key of the right length.
    pub(super) fn set(&self, key: &[u8], map: Arc<Map>, mode: UpdateMode) -> Result<(), MapError> {
        if !map.spec().fits(&self.template) {
            return Err(MapError::NotLikeInner { name: map.spec().name.clone() });
        }
        let mut maps = self.write();
        if self.array {
            // Every entry of an array exists.
            self.index(key).ok_or(MapError::Full)?;
            if mode == UpdateMode::NoExist {
                return Err(MapError::Exists);
            }
        } else {
            match (maps.contains_key(key), mode) {
                (true, UpdateMode::NoExist) => return Err(MapError::Exists),
                (false, UpdateMode::Exist) => return Err(MapError::NotFound),
                (false, _) if maps.len() == self.capacity => return Err(MapError::Full),
                _ => {}
            }
        }
        maps.insert(key.into(), map);
        Ok(())
    }

    pub(super) fn remove(&self, key: &[u8]) -> Result<(), MapError> {
        self.write().remove(key).map(|_| ()).ok_or(MapError::NotFound)
    }

    /// The keys that have a map, those of an array in order.
    pub(super) fn keys(&self) -> Vec<Vec<u8>> {
        let mut keys: Vec<Vec<u8>> = self.read().keys().map(|key| key.to_vec()).collect();
        if self.array {
            keys.sort_by_key(|key| self.index(key));
        }
        keys
    }

    fn index(&self, key: &[u8]) -> Option<usize> {
        let index = u32::from_ne_bytes(key.try_into().ok()?) as usize;
        (index < self.capacity).then_some(index)
    }

    // Nothing panics while the lock is held: poison is of no concern.
    fn read(&self) -> RwLockReadGuard<'_, HashMap<Box<[u8]>, Arc<Map>>> {
        self.maps.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Box<[u8]>, Arc<Map>>> {
        self.maps.write().unwrap_or_else(PoisonError::into_inner)
    }
}
