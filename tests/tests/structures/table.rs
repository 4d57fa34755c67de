//! Stable places: the table against a list of everything ever inserted.

use engine::table::Table;
use proptest::prelude::*;

fn check(ops: &[Option<u8>]) {
    let mut table = Table::default();
    let mut held: Vec<(u32, u32, usize)> = Vec::new();
    for (value, op) in ops.iter().enumerate() {
        match op {
            None => {
                let index = table.insert(value);
                assert!(held.iter().all(|&(taken, _, _)| taken != index), "a place twice");
                held.push((index, table.generation(index), value));
            }
            Some(pick) if !held.is_empty() => {
                let (index, generation, value) = held.swap_remove(usize::from(*pick) % held.len());
                assert_eq!(table.remove(index), Some(value));
                assert_eq!(table.at(index), None);
                assert_eq!(table.remove(index), None);
                assert_ne!(table.generation(index), generation, "the next one is another");
            }
            Some(_) => assert_eq!(table.count(), 0),
        }
        assert_eq!(table.count(), held.len());
        for &(index, generation, value) in &held {
            assert_eq!((table.at(index), table.generation(index)), (Some(&value), generation));
        }
        let mut listed: Vec<_> = table.iter().map(|(index, &value)| (index, value)).collect();
        let mut expected: Vec<_> = held.iter().map(|&(index, _, value)| (index, value)).collect();
        listed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(listed, expected);
    }
}

#[test]
fn a_place_is_held_by_one_at_a_time_and_told_apart_by_generation() {
    let ops = prop::collection::vec(prop::option::of(any::<u8>()), 1..40);
    super::runner()
        .run(&ops, |ops| {
            check(&ops);
            Ok(())
        })
        .unwrap();
}
