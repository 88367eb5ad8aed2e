//! What must hold of any bytes. Each function panics if it does not.

use craftx_core::SessionId;

use crate::line::{self, Part};
use crate::name::{self, Decoded};
use crate::recover::{Tail, judge};

/// The end of a session file: `bytes` as they are, and as the texts of a batch that is cut at any byte or changed.
pub fn recovery(bytes: &[u8]) {
    let Some(([low, high, cut, flip], bytes)) = bytes.split_first_chunk::<4>() else { return };
    let start = u64::from(u16::from_le_bytes([*low, *high]));
    let _ = judge(start, bytes);
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some(framed) = line::read(line) {
            let body = framed.encoded.strip_suffix('}').unwrap_or_default();
            assert!(line.starts_with(body.as_bytes()), "a line is read as something else");
        }
    }
    let texts: Vec<_> = bytes.splitn(32, |byte| *byte == 0xff).map(String::from_utf8_lossy).collect();
    let of = texts.len() as u32;
    let mut batch = Vec::new();
    for (line, text) in (1..).zip(&texts) {
        let encoded = serde_json::json!({ "v": 1, "content": text }).to_string();
        line::push(&mut batch, &encoded, Part { line, of });
    }
    let part = |of_255: u8| (batch.len() - 1) * usize::from(of_255) / 255;
    let torn = batch.get(..part(*cut)).unwrap_or_default();
    assert_eq!(judge(start, torn), Tail::Torn, "a batch that was cut is no damage");
    let mut changed = batch.clone();
    if let Some(byte) = changed.get_mut(part(*flip)) {
        *byte ^= 1 << (flip % 8);
    }
    assert!(matches!(judge(start, &changed), Tail::Damaged(_)), "a flipped bit is damage");
}

/// Ids and file names: each id has one name, and no other id has it.
pub fn name(text: &str) {
    if let Ok(id) = SessionId::new(text) {
        let name = name::encode(text);
        assert!(name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'%' | b'~')));
        assert!((1..=200).contains(&name.len()));
        let decoded = name::decode(&name);
        assert!(decoded == Decoded::Id(id) || (decoded == Decoded::Long && text.len() > 60), "a name is misread");
    }
    if let Decoded::Id(id) = name::decode(text) {
        assert_eq!(name::encode(id.as_str()), text, "two names for one id");
    }
}

/// A file of CraftX.py.
pub fn legacy(bytes: &[u8]) {
    if let Ok(session) = SessionId::new("fuzzed") {
        let _ = crate::legacy::parse(&session, bytes);
    }
}
