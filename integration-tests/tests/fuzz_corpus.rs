//! The fuzz targets with what was found for them, and with small changes of it. `cargo fuzz` does more; see
//! `docs/reliability.md`. `CRAFTX_FAULTS=long` makes 10,000,000 changes for each target.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;

use craftx_integration_tests::faults::Dice;
use craftx_integration_tests::fuzz::TARGETS;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// One to four changes: a flipped bit, another byte, a piece taken out, doubled, or replaced by one of another input.
fn changed(dice: &mut Dice, inputs: &[Vec<u8>]) -> Vec<u8> {
    let any = |dice: &mut Dice| &inputs[dice.below(inputs.len() as u64) as usize];
    let mut bytes = any(dice).clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() as u64 + 1) as usize;
        let end = at + dice.below((bytes.len() - at).min(40) as u64 + 1) as usize;
        match dice.below(5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = dice.next() as u8,
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            _ => {
                let other = any(dice);
                let from = dice.below(other.len() as u64 + 1) as usize;
                let to = from + dice.below((other.len() - from).min(40) as u64 + 1) as usize;
                drop(bytes.splice(at..end, other[from..to].to_vec()));
            }
        }
    }
    bytes
}

#[test]
fn nothing_in_the_corpus_or_near_it_breaks_a_promise() {
    let times = if std::env::var("CRAFTX_FAULTS").as_deref() == Ok("long") { 10_000_000 } else { 20_000 };
    for (name, target) in TARGETS {
        let inputs = corpus(name);
        assert!(inputs.len() >= 4);
        inputs.iter().for_each(|input| target(input));
        let mut dice = Dice::new(times);
        for number in 0..times {
            let input = changed(&mut dice, &inputs);
            let done = std::panic::catch_unwind(|| target(&input));
            assert!(done.is_ok(), "{name}, change {number}: {}", input.escape_ascii());
        }
        println!("fuzz target {name}: {} inputs, {times} changes of them", inputs.len());
    }
}
