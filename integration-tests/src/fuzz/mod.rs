//! What must hold of any bytes that somebody else wrote. Fuzzers call these functions with whatever they can think of,
//! and the tests with the corpus in `fuzz/corpus`.

mod search;

use craftx_core::{Record, json};

pub use search::search;

/// Reads a record: what is taken can be written and read again, and stays the same; what is not is an error.
pub fn record(bytes: &[u8]) {
    craftx_json::fuzzing::legacy(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = json::parse(text);
    let Ok(record) = Record::parse(text) else { return };
    let encoded = record.encode();
    for again in [Record::parse(encoded.as_str()), Record::decode(encoded.as_str())] {
        assert!(
            again.is_ok_and(|again| again == record && again.encode() == encoded),
            "a record changes when it is read"
        );
    }
}

/// Reads the end of a file of JSON Lines that a crash has left.
pub fn recovery(bytes: &[u8]) {
    craftx_json::fuzzing::recovery(bytes);
}

/// Makes file names of session ids, and session ids of file names.
pub fn name(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        craftx_json::fuzzing::name(text);
    }
}

/// A target by the name of the folder of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 4] = [("record", record), ("recovery", recovery), ("name", name), ("search", search)];
