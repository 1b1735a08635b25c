//! Maps: as helpers reach them, and the ways without a call.

use std::collections::BTreeMap;

use super::*;
use crate::maps::{Map, MapKind, MapSpec, UpdateMode};

fn map(kind: MapKind, key_size: u32, value_size: u32, max_entries: u32, slots: usize) -> Arc<Map> {
    let spec = MapSpec::new("m", kind, key_size, value_size, max_entries);
    Map::new(spec, slots).unwrap()
}

/// A program with one map that is compiled with and without knowing which map a lookup is in.
fn both_ways(text: &str, map: &Arc<Map>) -> [Compiled; 2] {
    let program = whole(crate::build::program_with(asm(text), vec![Arc::clone(map)], Vec::new()));
    let lookups =
        program.insns.iter().enumerate().filter(|(_, insn)| insn.code == op::CALL_IMM && insn.imm == 1);
    let maps: BTreeMap<usize, u32> = lookups.map(|(slot, _)| (slot, 0)).collect();
    assert!(!maps.is_empty());
    let known = Facts { maps, ..Facts::default() };
    [compiled(&program), compiled_with(&program, known).unwrap()]
}

/// Looks up the key of four bytes that is its first argument, and adds one to the value.
const COUNT: &str = "
        r2 = *(u64 *)(r1 + 0)
        *(u32 *)(r10 - 4) = r2
        r1 = map[0] ll
        r2 = r10
        r2 += -4
        call 1
        if r0 == 0 goto no
        r1 = 1
        lock *(u64 *)(r0 + 0) += r1
        r0 = *(u64 *)(r0 + 0)
        exit
    no: r0 = -1
        exit";

#[test]
fn lookups_in_arrays() {
    for value_size in [8, 12, 24, 64, 100] {
        let map = map(MapKind::Array, 4, value_size, 10, 1);
        let mut count = 0;
        for compiled in &both_ways(COUNT, &map) {
            count += 1;
            for key in 0..10 {
                assert_eq!(run(compiled, &[Arg::Scalar(key)]), Ok(count));
                assert_eq!(map.lookup(&(key as u32).to_ne_bytes()).unwrap()[0], count as u8);
            }
            for key in [10, 11, 1 << 20, u32::MAX.into()] {
                assert_eq!(run(compiled, &[Arg::Scalar(key)]), Ok(u64::MAX));
            }
            // Only the low half is the key.
            assert_eq!(run(compiled, &[Arg::Scalar(1 << 32 | 50)]), Ok(u64::MAX));
        }
    }
}

#[test]
fn lookups_in_arrays_of_each_thread() {
    let map = map(MapKind::PerCpuArray, 4, 16, 5, 3);
    for compiled in &both_ways(COUNT, &map) {
        for slot in 0..5 {
            let mut worker = Worker::new(slot);
            for key in 0..6 {
                let outcome =
                    worker.run_compiled(compiled, &[Arg::Scalar(key)], &mut TestHost::default(), 1000);
                let before = map.lookup_slot(&(key as u32).to_ne_bytes(), slot % 3);
                match before {
                    Some(value) => assert_eq!(outcome.result, Ok(value[0].into())),
                    _ => assert_eq!(outcome.result, Ok(u64::MAX), "{slot} {key}"),
                }
            }
        }
    }
    // Threads 0 and 3 share a value, and so do 1 and 4: each counted once in either way.
    let counts = (0..3).map(|slot| map.lookup_slot(&[4, 0, 0, 0], slot).unwrap()[0]);
    assert_eq!(counts.collect::<Vec<_>>(), [4, 4, 2]);
}

#[test]
fn lookups_in_hash_maps() {
    for key_size in [4, 8, 12, 100] {
        let map = map(MapKind::Hash, key_size, 8, 10, 1);
        let key_at = key_size.next_multiple_of(8);
        let text = COUNT
            .replace("(u32 *)(r10 - 4)", &format!("(u32 *)(r10 - {key_at})"))
            .replace("r2 += -4", &format!("r2 += -{key_at}"));
        let key = |number: u32| {
            let mut key = vec![0; key_size as usize];
            key[..4].copy_from_slice(&number.to_ne_bytes());
            key
        };
        for number in 0..5 {
            map.update(&key(number), &[0; 8], UpdateMode::Any).unwrap();
        }
        let mut count = 0;
        for compiled in &both_ways(&text, &map) {
            count += 1;
            for number in 0..5 {
                assert_eq!(run(compiled, &[Arg::Scalar(number)]), Ok(count));
            }
            assert_eq!(run(compiled, &[Arg::Scalar(7)]), Ok(u64::MAX));
        }
    }
}

#[test]
fn addresses_of_values() {
    let map = map(MapKind::Array, 4, 16, 1, 1);
    let text = "r1 = map[0][8] ll\n*(u64 *)(r1 + 0) = 77\nr0 = *(u32 *)(r1 - 8)\nexit";
    let program = whole(crate::build::program_with(asm(text), vec![Arc::clone(&map)], Vec::new()));
    assert_eq!(run(&compiled(&program), &[]), Ok(0));
    assert_eq!(map.lookup(&[0; 4]).unwrap()[8], 77);
    let program = whole(crate::build::program_with(asm(text), vec![map_of_two()], Vec::new()));
    let refused = compiled_with(&program, Facts::default());
    assert!(matches!(refused, Err(CompileError::NoSingleValue { slot: 0, .. })));
}

fn map_of_two() -> Arc<Map> {
    map(MapKind::Array, 4, 16, 2, 1)
}

#[test]
fn updates_and_ring_buffers() {
    let hash = map(MapKind::Hash, 4, 8, 10, 1);
    let text = "
        *(u32 *)(r10 - 4) = 5
        *(u64 *)(r10 - 16) = 50
        r1 = map[0] ll
        r2 = r10
        r2 += -4
        r3 = r10
        r3 += -16
        r4 = 0
        call 2
        exit";
    let program = whole(crate::build::program_with(asm(text), vec![Arc::clone(&hash)], Vec::new()));
    assert_eq!(run(&compiled(&program), &[]), Ok(0));
    assert_eq!(hash.lookup(&[5, 0, 0, 0]).unwrap()[0], 50);

    let ring = map(MapKind::RingBuf, 0, 0, 4096, 1);
    let text = "
        r6 = *(u64 *)(r1 + 0)
        r1 = map[0] ll
        r2 = 16
        r3 = 0
        call 131
        if r0 == 0 goto no
        *(u64 *)(r0 + 0) = 7
        if r6 == 0 goto no
        r1 = r0
        r2 = 0
        call 132
    no: r0 = 0
        exit";
    let program = whole(crate::build::program_with(asm(text), vec![Arc::clone(&ring)], Vec::new()));
    let compiled = compiled(&program);
    // A record that is left is discarded; one is not seen before those reserved earlier are finished.
    assert_eq!(run(&compiled, &[Arg::Scalar(0)]), Ok(0));
    assert_eq!(run(&compiled, &[Arg::Scalar(1)]), Ok(0));
    let ring = ring.ring().unwrap();
    assert!(ring.available() >= 16);
}
