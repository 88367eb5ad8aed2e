//! Random records over a small range of stamps, so that they meet: delete, clear, supersede and repeat each other.

use craftx_core::{Capabilities, Grant, Message, Record, Role};
use serde_json::{Value, json};

use crate::random::Random;
use crate::records::{at, cleared, deleted, sealed};

/// Stamps are taken from `1..=SPAN`; those of tombstones lie above what they cover.
pub(crate) const SPAN: u64 = 40;

/// A random record. Everything but the variant of a message and the generation of its ciphertext follows from kind and
/// stamp, so that without a variant no two records are in conflict. Ciphertexts are only for those who claim `sealed`.
pub(crate) fn record(can: &Capabilities, random: &mut Random, variant: u64) -> Record {
    let n = 1 + random.below(SPAN);
    match random.below(100) {
        0..55 if can.sealed.is_yes() && n % 6 == 1 => {
            let generation = random.below(3) as u32;
            sealed(n, generation, &variant.to_string(), &format!("{variant} {generation} {}", random.below(2)))
        }
        0..55 => message(n, variant),
        55..70 => session(n),
        70..76 => acl(n),
        76..92 => deleted(n, n + 1 + random.below(SPAN)),
        _ => cleared(n, n + 1 + random.below(SPAN)),
    }
}

/// The message at `n`: content of all kinds.
pub(crate) fn message(n: u64, variant: u64) -> Record {
    let content: Value = match n % 7 {
        0 => json!(null),
        1 => json!([{"type": "text", "text": n.to_string()}]),
        2 => json!({"b": n, "a": {"z": 1.5, "y": [variant]}}),
        3 => json!(""),
        _ => json!(format!("message {n} \0 {variant}")),
    };
    let role = if n.is_multiple_of(2) { Role::User } else { Role::Assistant };
    let mut message = Message::new(at(n), role, content);
    if n.is_multiple_of(3) {
        message = message.with_metadata("variant", variant).with_metadata("calls", json!([n]));
    } else if variant > 0 {
        message = message.with_metadata("variant", variant);
    }
    if n.is_multiple_of(5) {
        message = message.with_parent(at(n / 2));
    }
    Record::Message(message)
}

/// The patch at `n`: one to three of four keys, sometimes removed.
fn session(n: u64) -> Record {
    let names = ["a", "b", "B", "é"];
    let set = names.iter().enumerate().filter(|(index, _)| (n >> index) & 1 == 1 || *index as u64 == n % 4);
    let set = set.map(|(index, name)| {
        let value = if (n + index as u64).is_multiple_of(3) { None } else { Some(json!({"at": n})) };
        ((*name).to_owned(), value)
    });
    Record::Session { stamp: at(n), set: set.collect() }
}

fn acl(n: u64) -> Record {
    let owner = (!n.is_multiple_of(4)).then(|| format!("owner {n}"));
    let grants = vec![Grant { to: format!("reader {n}"), actions: vec!["read".to_owned()] }];
    Record::Acl { stamp: at(n), owner, grants }
}
