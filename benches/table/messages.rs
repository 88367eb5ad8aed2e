//! Messages to measure with: the same ones in every run, about as long as those of real conversations.

use craftx::{Message, NewMessage, Record, Role, SessionId, Stamp, Storage, WriteOptions};

use crate::Outcome;

const WORDS: [&str; 24] = [
    "the", "session", "you", "to", "a", "booking", "and", "is", "of", "flight", "that", "please", "it", "function",
    "for", "would", "return", "I", "have", "with", "confirm", "data", "on", "Größe",
];

/// The text of message `n`: 10 to 1,200 bytes, about 400 on average.
pub(crate) fn text(n: usize) -> String {
    let mut random = n as u64 + 1;
    let mut next = move || {
        // The steps of SplitMix64.
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) as usize >> 8
    };
    // What people write is short, what models answer is long.
    let words = if n.is_multiple_of(2) { 2 + next() % 30 } else { 40 + next() % 180 };
    let mut text = String::new();
    for _ in 0..words {
        text.push_str(WORDS[next() % WORDS.len()]);
        text.push(' ');
    }
    text
}

/// Who says message `n`, and its number in the column `role` of the SQLite backend.
pub(crate) fn role(n: usize) -> (Role, i64) {
    if n.is_multiple_of(2) { (Role::User, 0) } else { (Role::Assistant, 1) }
}

/// Message `n`, to be appended.
pub(crate) fn new_message(n: usize) -> NewMessage {
    NewMessage::new(role(n).0, text(n))
}

/// The stamp of message `n`, if it was written in the past.
pub(crate) fn stamp(n: usize) -> Stamp {
    Stamp::mint(1_732_000_000_000 + n as u64, None, (n as u128) << 40).expect("a time long before the year 10889")
}

/// Message `n`, written in the past.
pub(crate) fn record(n: usize) -> Record {
    Record::Message(Message::new(stamp(n), role(n).0, text(n)))
}

/// A name of a session.
pub(crate) fn session(n: usize) -> SessionId {
    SessionId::new(format!("session-{n:06}")).expect("a legal name")
}

/// Fills a session with `count` messages, which are written once and not measured.
pub(crate) async fn fill(storage: &Storage, session: &SessionId, count: usize) -> Outcome<()> {
    let backend = storage.stack().backend();
    for begin in (0..count).step_by(1_000) {
        let records: Vec<Record> = (begin..count.min(begin + 1_000)).map(record).collect();
        backend.write(&storage.context(), session, &records, &WriteOptions::replay()).await?;
    }
    Ok(())
}

/// The URL of a store in a folder, which is not searchable: the baselines write no index of words either.
pub(crate) fn url(scheme: &str, folder: &std::path::Path, name: &str) -> String {
    let path = folder.join(name);
    match scheme {
        "sqlite" => format!("sqlite:{}?search=false", path.display()),
        _ => format!("{scheme}:{}", path.display()),
    }
}
