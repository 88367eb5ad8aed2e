//! File names for ids: injective on every file system.
//!
//! Only `a-z`, `0-9`, `_` and `-` stand for themselves; every other byte is `%` and two lower-case hex digits. So no
//! file system that folds case or normalises Unicode can take two ids for one, and no id can leave its folder.

use craftx_core::{Result, SessionId};

/// Longer names are shortened to a readable beginning and a digest, so that they fit every file system with room for
/// the endings that are added to them.
const LONGEST: usize = 200;
/// How much of a long name stays readable.
const READABLE: usize = 120;

/// The file name of an id, without ending.
pub(crate) fn encode(id: &str) -> String {
    let mut name = String::with_capacity(id.len());
    let mut cut = 0;
    for (index, byte) in id.bytes().enumerate() {
        if name.len() <= READABLE {
            cut = name.len();
        }
        let plain = matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-') && !(index == 0 && is_device(id));
        if plain {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    if name.len() > LONGEST {
        name.truncate(cut);
        name.push('~');
        let digest = hmac_sha256::Hash::hash(id.as_bytes());
        name.extend(digest.iter().take(16).map(|byte| format!("{byte:02x}")));
    }
    name
}

/// What a file name without its ending stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// An id.
    Id(SessionId),
    /// An id too long for a file name: the header of the file has it.
    Long,
    /// No id has this name.
    Foreign,
}

/// The reverse of [`encode`]; tenants follow the rules of session ids.
pub(crate) fn decode(name: &str) -> Decoded {
    if let Some((_, digest)) = name.split_once('~') {
        return if digest.len() == 32 { Decoded::Long } else { Decoded::Foreign };
    }
    match unescape(name).and_then(|id| SessionId::new(id).ok()) {
        // One spelling only: what does not come back the same was not written by craftx.
        Some(id) if encode(id.as_str()) == name => Decoded::Id(id),
        _ => Decoded::Foreign,
    }
}

fn unescape(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let (high, low) = (rest.next()?, rest.next()?);
            let digit = |byte| char::from(byte).to_digit(16);
            bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Names that Windows takes for devices, whatever the ending.
fn is_device(id: &str) -> bool {
    match id {
        "con" | "prn" | "aux" | "nul" => true,
        _ => match id.strip_prefix("com").or_else(|| id.strip_prefix("lpt")) {
            Some(rest) => rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_digit()),
            None => false,
        },
    }
}

/// Whether an id can be the name of a file of another program, verbatim, in one folder.
pub(crate) fn is_plain_file_name(id: &str) -> bool {
    let forbidden: &[char] = if cfg!(windows) { &['<', '>', ':', '"', '/', '\\', '|', '?', '*'] } else { &['/'] };
    // With its ending: at most what common file systems allow for one name.
    !id.contains(forbidden) && id.len() + ".json".len() <= 255
}

/// Checks a name that a folder holds verbatim.
pub(crate) fn verbatim(stem: &str) -> Result<SessionId> {
    SessionId::new(stem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn names_are_readable_where_they_can_be() {
        for (id, name) in [
            ("session_1", "session_1"),
            ("Case", "%43ase"),
            ("a b", "a%20b"),
            ("../../x", "%2e%2e%2f%2e%2e%2fx"),
            ("con", "%63on"),
            ("com1", "%63om1"),
            ("com10", "com10"),
            ("é", "%c3%a9"),
            ("%", "%25"),
            ("~", "%7e"),
        ] {
            assert_eq!(encode(id), name);
            assert_eq!(decode(name), Decoded::Id(SessionId::new(id).unwrap()));
        }
    }

    #[test]
    fn long_names_are_cut_at_a_whole_escape() {
        for id in ["é".repeat(127), "x".repeat(255), format!("{}é", "x".repeat(253))] {
            let name = encode(&id);
            assert!(name.len() <= 200, "{name}");
            assert_eq!(decode(&name), Decoded::Long);
            let (readable, _) = name.split_once('~').unwrap();
            assert!(unescape(readable).is_some() || id.contains('é'));
            assert_eq!(readable.len() % 3, if id.starts_with('é') { 0 } else { readable.len() % 3 });
        }
    }

    #[test]
    fn what_craftx_would_not_write_is_foreign() {
        for name in ["Case", "a b", "%41", "%4", "%zz", "con", "a.b", "~abc", "%C3%A9", ""] {
            let expected = matches!(name, "%41");
            assert_eq!(matches!(decode(name), Decoded::Id(_)), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_two_ids_share_a_name_even_where_case_is_folded(ids in proptest::collection::hash_set("\\PC{1,80}", 1..40)) {
            let mut seen: HashMap<String, &String> = HashMap::new();
            for id in &ids {
                let Ok(valid) = SessionId::new(id) else { continue };
                let name = encode(id);
                prop_assert!(name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'%' | b'~')));
                prop_assert!(!name.is_empty() && name.len() <= LONGEST);
                prop_assert_eq!(seen.insert(name.to_uppercase(), id), None);
                if !name.contains('~') {
                    prop_assert_eq!(decode(&name), Decoded::Id(valid));
                }
            }
        }
    }
}
