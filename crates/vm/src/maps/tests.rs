//! Maps as Rust code uses them.

use super::*;

pub(crate) fn spec(kind: MapKind, key_size: u32, value_size: u32, max_entries: u32) -> MapSpec {
    MapSpec::new("m", kind, key_size, value_size, max_entries)
}

#[test]
fn declarations_that_cannot_be_honoured_say_why() {
    for (spec, words) in [
        (spec(MapKind::Array, 8, 8, 1), "key"),
        (spec(MapKind::Array, 4, 0, 1), "value"),
        (spec(MapKind::Array, 4, 8, 0), "max_entries"),
        (spec(MapKind::Array, 4, 4096, 1 << 20), "more than"),
        (spec(MapKind::Hash, 0, 8, 1), "key"),
        (spec(MapKind::Hash, 513, 8, 1), "key"),
        (spec(MapKind::Hash, 4, 0, 1), "value"),
        (spec(MapKind::Hash, 4, 8, u32::MAX), "more than"),
        (spec(MapKind::RingBuf, 0, 0, 5000), "power of two"),
        (spec(MapKind::RingBuf, 0, 0, 2048), "4096"),
        (spec(MapKind::RingBuf, 4, 0, 4096), "key"),
        (MapSpec { flags: 1 << 20, ..spec(MapKind::Array, 4, 8, 1) }, "0x100000"),
        (spec(MapKind::PerCpuHash, 4, 1 << 20, 1 << 9), "more than"),
        (spec(MapKind::LpmTrie, 4, 8, 1), "prefix length"),
        (spec(MapKind::LpmTrie, 261, 8, 1), "prefix length"),
        (spec(MapKind::Queue, 4, 8, 1), "key"),
        (spec(MapKind::Stack, 0, 8, 0), "max_entries"),
        (spec(MapKind::Bloom, 4, 8, 1), "key"),
        (spec(MapKind::ProgArray, 4, 8, 1), "value"),
        (spec(MapKind::InodeStorage, 8, 8, 0), "key"),
        (spec(MapKind::ArrayOfMaps, 4, 4, 1), "__array(values"),
        (
            MapSpec { inner: Some(Box::new(spec(MapKind::Array, 4, 4, 1))), ..spec(MapKind::Hash, 4, 4, 1) },
            "maps in it",
        ),
        (
            MapSpec {
                inner: Some(Box::new(spec(MapKind::ProgArray, 4, 4, 1))),
                ..spec(MapKind::HashOfMaps, 4, 4, 1)
            },
            "cannot be in",
        ),
        (MapSpec { lock: Some(0), ..spec(MapKind::PerCpuArray, 4, 8, 1) }, "bpf_spin_lock"),
        (MapSpec { lock: Some(6), ..spec(MapKind::Array, 4, 16, 1) }, "bpf_spin_lock"),
        (MapSpec { lock: Some(8), ..spec(MapKind::Array, 4, 8, 1) }, "bpf_spin_lock"),
        (MapSpec { extra: 1, ..spec(MapKind::Array, 4, 8, 1) }, "map_extra"),
    ] {
        let error = Map::new(spec, 4).unwrap_err().to_string();
        assert!(error.starts_with("map `m`: ") && error.contains(words), "{error}");
    }
}

#[test]
fn only_values_are_found_not_what_lies_between() {
    let map = Map::new(spec(MapKind::Array, 4, 5, 3), 1).unwrap();
    let values = map.values(0).unwrap();
    let base = values.window.addr();
    assert!(values.find(base + 8, 5).is_some());
    assert!(values.find(base + 8 + 4, 1).is_some());
    assert!(values.find(base + 8 + 4, 2).is_none());
    assert!(values.find(base + 8 + 5, 1).is_none());
    assert!(values.find(base + 24, 1).is_none());
    assert!(values.find(base.wrapping_sub(1), 1).is_none());
}

#[test]
fn arrays_follow_the_kernel() {
    let map = Map::new(spec(MapKind::Array, 4, 4, 2), 4).unwrap();
    let one = 1u32.to_ne_bytes();
    let two = 2u32.to_ne_bytes();
    assert_eq!(map.lookup(&one).unwrap(), [0; 4]);
    assert_eq!(map.lookup(&two), None);
    assert_eq!(map.update(&two, &[1; 4], UpdateMode::Any), Err(MapError::Full));
    assert_eq!(map.update(&one, &[1; 4], UpdateMode::NoExist), Err(MapError::Exists));
    assert_eq!(map.update(&one, &[1; 5], UpdateMode::Any), Err(MapError::ValueSize { got: 5, expected: 4 }));
    assert_eq!(map.update(&[1], &[1; 4], UpdateMode::Any), Err(MapError::KeySize { got: 1, expected: 4 }));
    assert_eq!(map.update(&one, &[9; 4], UpdateMode::Exist), Ok(()));
    assert_eq!(map.lookup(&one).unwrap(), [9; 4]);
    assert_eq!(map.delete(&one), Err(MapError::Unsupported));
    assert_eq!(map.keys().len(), 2);
    assert!(map.single_value().is_none());
    assert_eq!(map.consume(|_| ()), 0);
}

#[test]
fn every_slot_reaches_the_values_of_a_plain_array() {
    let map = Map::new(spec(MapKind::Array, 4, 8, 2), 1).unwrap();
    let key = 1u32.to_ne_bytes();
    let window = Window::from_bytes(&[7; 8]);
    assert_eq!(map.update_slot(&key, window, UpdateMode::Any, 3), Ok(()));
    assert_eq!(map.value(&key, 5).unwrap().to_vec(), [7; 8]);
    assert!(map.values(5).is_some());
}

#[test]
fn a_value_per_slot() {
    let map = Map::new(spec(MapKind::PerCpuArray, 4, 2, 2), 3).unwrap();
    let key = 1u32.to_ne_bytes();
    assert_eq!(map.update(&key, &[1, 1, 2, 2, 3, 3], UpdateMode::Any), Ok(()));
    assert_eq!(map.lookup_slot(&key, 1).unwrap(), [2, 2]);
    assert_eq!(map.lookup_slot(&key, 3), None);
    let window = Window::from_bytes(&[7, 7]);
    assert_eq!(map.update_slot(&key, window, UpdateMode::Any, 2), Ok(()));
    assert_eq!(map.lookup(&key).unwrap(), [1, 1, 2, 2, 7, 7]);
    // A program in one slot does not reach the values of another.
    let mine = map.values(1).unwrap();
    let theirs = map.value(&key, 0).unwrap();
    assert!(mine.find(theirs.addr(), 1).is_none());
    // A thread past the last slot shares, so that every thread has a value.
    assert_eq!(map.value(&key, 5).unwrap().addr(), map.value(&key, 2).unwrap().addr());
}

#[test]
fn data_sections() {
    let read_only = || MapSpec { read_only: true, ..spec(MapKind::Array, 4, 6, 1) };
    let map = Map::with_data(read_only(), 1, &[1, 2, 3]).unwrap();
    let value = map.single_value().unwrap();
    assert_eq!(value.to_vec(), [1, 2, 3, 0, 0, 0]);
    assert!(!value.write(0, &[1]));
    assert_eq!(Map::with_data(read_only(), 1, &[5; 100]).unwrap().lookup(&[0; 4]).unwrap(), [5; 6]);
    let hash = Map::with_data(spec(MapKind::Hash, 4, 6, 1), 1, &[1]);
    assert!(matches!(hash, Err(MapError::Unsupported)));
}

#[test]
fn a_frozen_map_does_not_change() {
    for read_only in [true, false] {
        let map = Map::new(MapSpec { read_only, ..spec(MapKind::Array, 4, 2, 1) }, 1).unwrap();
        map.update(&[0; 4], &[1, 2], UpdateMode::Any).unwrap();
        map.freeze();
        let expected = if read_only { Err(MapError::Frozen) } else { Ok(()) };
        assert_eq!(map.update(&[0; 4], &[3, 4], UpdateMode::Any), expected);
        assert_eq!(map.update_slot(&[0; 4], Window::from_bytes(&[3, 4]), UpdateMode::Any, 0), expected);
        let typed = map.typed::<u32, u16>().unwrap();
        assert_eq!(typed.set(&0, &0x0403, UpdateMode::Any).is_err(), read_only);
        assert_eq!(map.lookup(&[0; 4]).unwrap(), if read_only { [1, 2] } else { [3, 4] });
    }
}

#[test]
fn kinds_have_their_numbers_and_names() {
    assert!(MapKind::ALL.is_sorted_by_key(|kind| *kind as u32));
    for kind in MapKind::ALL {
        assert_eq!(MapKind::from_number(kind as u32), Some(kind));
        assert!(kind.c_name().starts_with("BPF_MAP_TYPE_"));
    }
    assert_eq!(MapKind::from_number(0), None);
    assert_eq!(MapKind::from_number(33), None);
}

#[test]
fn maps_as_rust_types() {
    let map = Map::new(spec(MapKind::PerCpuHash, 8, 4, 4), 2).unwrap();
    assert_eq!(map.typed::<u32, u32>().err(), Some(MapError::KeySize { got: 4, expected: 8 }));
    assert_eq!(map.typed::<u64, u64>().err(), Some(MapError::ValueSize { got: 8, expected: 4 }));
    let typed = map.typed::<u64, u32>().unwrap();
    typed.set(&1, &10, UpdateMode::Any).unwrap();
    assert_eq!(
        map.update_slot(&1u64.to_ne_bytes(), Window::from_bytes(&[9, 0, 0, 0]), UpdateMode::Any, 1),
        Ok(())
    );
    assert_eq!((typed.get(&1), typed.get_slots(&1)), (Some(10), Some(vec![10, 9])));
    assert_eq!((typed.get(&2), typed.entries(), map.count()), (None, vec![(1, 10)], 1));
    assert_eq!(typed.remove(&1), Ok(()));
    assert_eq!(typed.remove(&1), Err(MapError::NotFound));
    assert_eq!(map.count(), 0);
}

#[test]
fn slots_do_not_share_cache_lines() {
    for kind in [MapKind::PerCpuArray, MapKind::PerCpuHash] {
        let map = Map::new(spec(kind, 4, 8, 1), 3).unwrap();
        let key = [0; 4];
        map.update(&key, &[1; 24], UpdateMode::Any).unwrap();
        let addresses: Vec<u64> = (0..3).map(|slot| map.address(&key, slot)).collect();
        assert!(addresses.windows(2).all(|pair| pair[1] - pair[0] >= 64), "{addresses:x?}");
    }
}
