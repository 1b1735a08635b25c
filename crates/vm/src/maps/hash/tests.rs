//! Hash maps against the one of the standard library, and by many threads.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::super::tests::spec;
use super::super::{Map, MapKind};
use super::*;

#[test]
fn behaves_like_a_hash_map() {
    for key_size in [1usize, 3, 4, 8, 9, 16, 512] {
        let map = Map::new(spec(MapKind::Hash, key_size as u32, 4, 100), 1).unwrap();
        let mut model: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        let mut random = 12345u64;
        for _ in 0..5000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut key = vec![7; key_size];
            key[key_size - 1] = (random >> 33) as u8;
            let value = ((random >> 20) as u32).to_ne_bytes();
            match (random >> 60) % 4 {
                0 => assert_eq!(map.delete(&key).is_ok(), model.remove(&key).is_some()),
                1 => assert_eq!(map.lookup(&key), model.get(&key).cloned()),
                2 => {
                    let expected = if model.contains_key(&key) { Ok(()) } else { Err(MapError::NotFound) };
                    assert_eq!(map.update(&key, &value, UpdateMode::Exist), expected);
                    model.entry(key).and_modify(|old| *old = value.to_vec());
                }
                _ => {
                    let expected = if model.contains_key(&key) {
                        Err(MapError::Exists)
                    } else if model.len() == 100 {
                        Err(MapError::Full)
                    } else {
                        model.insert(key.clone(), value.to_vec());
                        Ok(())
                    };
                    assert_eq!(map.update(&key, &value, UpdateMode::NoExist), expected);
                }
            }
            assert!(model.len() <= 100);
        }
        let mut keys = map.keys();
        keys.sort();
        let mut expected: Vec<_> = model.keys().cloned().collect();
        expected.sort();
        assert_eq!(keys, expected);
    }
}

#[test]
fn values_keep_their_address() {
    let map = Map::new(spec(MapKind::Hash, 4, 12, 1000), 1).unwrap();
    map.update(&[1; 4], &[1; 12], UpdateMode::Any).unwrap();
    let first = map.value(&[1; 4], 0).unwrap();
    assert_eq!(first.addr() % 8, 0);
    for i in 0..999u32 {
        map.update(&i.to_ne_bytes(), &[2; 12], UpdateMode::Any).unwrap();
    }
    assert_eq!(map.update(&[9; 4], &[1; 12], UpdateMode::Any), Err(MapError::Full));
    assert_eq!(map.value(&[1; 4], 0).unwrap().addr(), first.addr());
    map.update(&[1; 4], &[3; 12], UpdateMode::Any).unwrap();
    assert_eq!(first.to_vec(), [3; 12]);
}

#[test]
fn wrong_key_lengths_are_refused() {
    let map = Map::new(spec(MapKind::Hash, 4, 1, 4), 1).unwrap();
    assert_eq!(map.lookup(&[0; 3]), None);
    assert!(map.value(&[0; 5], 0).is_none());
    assert_eq!(map.delete(&[0; 5]), Err(MapError::KeySize { got: 5, expected: 4 }));
}

#[test]
fn keys_spread_over_buckets() {
    let mut load = vec![0; 1024];
    for i in 0..1024u32 {
        load[hash_of(1, &(i * 4096).to_ne_bytes()) as usize % 1024] += 1;
    }
    assert!(load.iter().all(|&n| n < 12), "a bucket of {:?}", load.iter().max());
}

/// What a step of a property test does.
#[derive(Debug, Clone, Copy)]
enum Step {
    Set(UpdateMode),
    Delete,
    Lookup,
    /// As a program does it.
    Use,
}

fn steps() -> impl Strategy<Value = Vec<(Step, u16, u32)>> {
    let step = prop_oneof![
        2 => Just(Step::Set(UpdateMode::Any)),
        1 => Just(Step::Set(UpdateMode::NoExist)),
        1 => Just(Step::Set(UpdateMode::Exist)),
        2 => Just(Step::Delete),
        1 => Just(Step::Lookup),
        1 => Just(Step::Use),
    ];
    prop::collection::vec((step, 0u16..48, any::<u32>()), 1..400)
}

proptest! {
    #[test]
    fn any_steps_do_what_they_do_to_a_hash_map(
        steps in steps(),
        key_size in prop::sample::select(vec![2u32, 4, 8, 11, 40]),
        capacity in 1u32..40,
        kind in prop::sample::select(vec![MapKind::Hash, MapKind::PerCpuHash]),
    ) {
        let map = Map::new(spec(kind, key_size, 4, capacity), 2).unwrap();
        let mut model: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for (step, number, value) in steps {
            let mut key = vec![3; key_size as usize];
            key[..2].copy_from_slice(&number.to_ne_bytes());
            let value = value.to_ne_bytes().repeat(map.slots());
            match step {
                Step::Set(mode) => {
                    let expected = match (model.contains_key(&key), mode) {
                        (true, UpdateMode::NoExist) => Err(MapError::Exists),
                        (false, UpdateMode::Exist) => Err(MapError::NotFound),
                        (false, _) if model.len() == capacity as usize => Err(MapError::Full),
                        _ => Ok(()),
                    };
                    prop_assert_eq!(map.update(&key, &value, mode), expected.clone());
                    if expected.is_ok() {
                        model.insert(key, value);
                    }
                }
                Step::Delete => prop_assert_eq!(map.delete(&key).is_ok(), model.remove(&key).is_some()),
                Step::Lookup => prop_assert_eq!(map.lookup(&key), model.get(&key).cloned()),
                Step::Use => {
                    let found = map.value(&key, 0).map(|value| value.to_vec());
                    prop_assert_eq!(found, model.get(&key).map(|value| value[..4].to_vec()));
                }
            }
        }
        let mut keys = map.keys();
        keys.sort();
        let mut expected: Vec<_> = model.into_keys().collect();
        expected.sort();
        prop_assert_eq!(keys, expected);
    }

    #[test]
    fn a_map_that_drops_entries_has_room_and_no_wrong_values(steps in steps(), capacity in 1u32..40) {
        let map = Map::new(spec(MapKind::LruHash, 8, 4, capacity), 1).unwrap();
        let mut model: HashMap<u64, Vec<u8>> = HashMap::new();
        for (step, number, value) in steps {
            let number = u64::from(number);
            let (key, value) = (number.to_ne_bytes(), value.to_ne_bytes().to_vec());
            match step {
                Step::Set(mode) => match map.update(&key, &value, mode) {
                    Ok(()) => drop(model.insert(number, value)),
                    Err(MapError::Exists) => prop_assert!(mode == UpdateMode::NoExist && model.contains_key(&number)),
                    Err(error) => prop_assert!(mode == UpdateMode::Exist && error == MapError::NotFound),
                },
                Step::Delete => {
                    let deleted = map.delete(&key).is_ok();
                    prop_assert!(model.remove(&number).is_some() || !deleted);
                }
                Step::Lookup | Step::Use => {
                    let found = if matches!(step, Step::Use) {
                        map.value(&key, 0).map(|value| value.to_vec())
                    } else {
                        map.lookup(&key)
                    };
                    prop_assert!(found.is_none() || found.as_ref() == model.get(&number));
                }
            }
            prop_assert!(map.keys().len() <= capacity as usize);
        }
    }
}

#[test]
fn what_was_used_is_not_dropped() {
    for capacity in [2u64, 64, 1000] {
        let map = Map::new(spec(MapKind::LruHash, 8, 8, capacity as u32), 1).unwrap();
        let set = |key: u64| map.update(&key.to_ne_bytes(), &key.to_ne_bytes(), UpdateMode::NoExist).unwrap();
        (0..capacity).for_each(set);
        // Looking from Rust is not use.
        (0..capacity).for_each(|key| assert!(map.lookup(&key.to_ne_bytes()).is_some()));
        for round in 1..20 {
            let used: Vec<u64> = map
                .typed::<u64, u64>()
                .unwrap()
                .entries()
                .into_iter()
                .map(|(key, _)| key)
                .filter(|key| key % 2 == round % 2)
                .collect();
            used.iter().for_each(|key| assert!(map.value(&key.to_ne_bytes(), 0).is_some()));
            let new = capacity - used.len() as u64;
            (0..new).for_each(|n| set(round * 10_000 + n));
            used.iter()
                .for_each(|key| assert!(map.lookup(&key.to_ne_bytes()).is_some(), "{key} of {capacity}"));
            assert_eq!(map.keys().len() as u64, capacity);
        }
    }
}

/// Words of a value of the test below.
const WORDS: usize = 6;

/// A value that belongs to a key: every word depends on the key and on all of the value's number.
fn value_for(key: u64, number: u64) -> Vec<u8> {
    (0..WORDS as u64).flat_map(|word| (key << 40 | number << 8 | word).to_ne_bytes()).collect()
}

#[test]
fn readers_see_whole_values_of_their_key() {
    const KEYS: u64 = 64;
    const ROUNDS: u64 = 30_000;
    for kind in [MapKind::Hash, MapKind::LruHash] {
        // Few entries, so that they are used for one key after the other, in chains.
        let map = Map::new(spec(kind, 8, 8 * WORDS as u32, 24), 1).unwrap();
        let (map, done) = (&*map, &AtomicBool::new(false));
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..2u64)
                .map(|writer| {
                    scope.spawn(move || {
                        let mut random = writer + 1;
                        for number in 0..ROUNDS {
                            random = mix(random, number);
                            let key = random % KEYS;
                            let result = if random >> 32 & 1 == 0 {
                                map.delete(&key.to_ne_bytes())
                            } else {
                                map.update(&key.to_ne_bytes(), &value_for(key, number), UpdateMode::Any)
                            };
                            assert!(matches!(result, Ok(()) | Err(MapError::Full | MapError::NotFound)));
                        }
                    })
                })
                .collect();
            for reader in 0..2u64 {
                scope.spawn(move || {
                    let (mut random, mut found) = (reader + 7, 0u64);
                    while !done.load(Ordering::Relaxed) || found == 0 {
                        random = mix(random, found);
                        let key = random % KEYS;
                        // The address is that of a value, whatever is in it by now.
                        if let Some(value) = map.value(&key.to_ne_bytes(), 0) {
                            assert_eq!(value.len(), 8 * WORDS);
                        }
                        if let Some(value) = map.lookup(&key.to_ne_bytes()) {
                            let first = u64::from_ne_bytes(value[..8].try_into().unwrap());
                            assert_eq!(first >> 40, key, "the value of another key");
                            assert_eq!(value, value_for(key, first >> 8 & 0xffff_ffff), "half a value");
                            found += 1;
                        }
                        for key in map.keys() {
                            assert!(u64::from_ne_bytes(key.try_into().unwrap()) < KEYS);
                        }
                    }
                });
            }
            let joined: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            // Something to find at the end, or readers might wait for it forever.
            for key in 0..24u64 {
                let _ = map.update(&key.to_ne_bytes(), &value_for(key, 0), UpdateMode::Any);
            }
            done.store(true, Ordering::Relaxed);
            joined.into_iter().for_each(|writer| writer.unwrap());
        });
        assert!(map.keys().len() <= 24);
    }
}

#[test]
fn no_entry_is_lost_or_used_twice() {
    const THREADS: u64 = 4;
    let map = Map::new(spec(MapKind::Hash, 8, 8, 256), 1).unwrap();
    let map = &*map;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for round in 0..2000u64 {
                    let keys = (0..8).map(|i| (thread * 1000 + (round * 8 + i) % 64).to_ne_bytes());
                    for key in keys.clone() {
                        map.update(&key, &key, UpdateMode::NoExist).unwrap();
                    }
                    for key in keys.clone() {
                        assert_eq!(map.lookup(&key).as_deref(), Some(&key[..]));
                        assert_eq!(map.value(&key, 0).unwrap().to_vec(), key);
                    }
                    for key in keys {
                        map.delete(&key).unwrap();
                    }
                }
            });
        }
    });
    assert!(map.keys().is_empty());
    for i in 0..256u64 {
        map.update(&i.to_ne_bytes(), &[1; 8], UpdateMode::NoExist).unwrap();
    }
    assert_eq!(map.update(&[9; 8], &[1; 8], UpdateMode::Any), Err(MapError::Full));
}
