//! The stored form of a message: its canonical encoding without what every message repeats.

use craftx_core::{Encoded, Error, ErrorKind, Message, Record, Stamp};

use crate::error::corrupted;

/// How the canonical encoding of a message begins, up to its id.
const HEAD: &str = r#"{"v":1,"record":"message","id":""#;
/// What follows: 36 characters of the id, then `",`.
const ID: usize = 38;

/// A message as a JSON object without `v`, `record` and `id`.
pub(crate) fn shorten(encoded: &Encoded) -> Result<String, Error> {
    encoded
        .as_str()
        .strip_prefix(HEAD)
        .and_then(|rest| rest.get(ID..))
        .map(|rest| format!("{{{rest}"))
        .ok_or_else(|| Error::new(ErrorKind::Unexpected, "a message is not encoded as this release encodes it"))
}

/// The message that was stored as `body` under `id`.
pub(crate) fn message(id: Stamp, body: &str) -> Result<Message, Error> {
    let damaged = |why: Option<Error>| {
        let error = corrupted("a stored message cannot be read").with("id", id);
        why.map_or(error, |why| corrupted("a stored message cannot be read").with("id", id).because(why))
    };
    let rest = body.strip_prefix('{').ok_or_else(|| damaged(None))?;
    match Record::decode(&format!("{HEAD}{id}\",{rest}")) {
        Ok(Record::Message(message)) if message.id == id => Ok(message),
        Ok(_) => Err(damaged(None)),
        Err(error) => Err(damaged(Some(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use craftx_core::{Content, Role};
    use serde_json::json;

    #[test]
    fn a_message_comes_back_as_it_went_in() {
        let id = Stamp::mint(5, None, 9).unwrap();
        for content in
            [Content::Absent, Content::Null, "".into(), "a\0\u{10ffff}\"}".into(), json!([{"n": 1.0}]).into()]
        {
            let message = Message::new(id, Role::User, content).with_metadata("k\0", json!({"b": 1, "a": u64::MAX}));
            let encoded = Record::Message(message.clone()).encode();
            let body = shorten(&encoded).unwrap();
            assert_eq!(super::message(id, &body).unwrap(), message);
            assert!(!body.contains('\0'));
        }
    }

    #[test]
    fn damaged_bodies_are_errors_without_their_text() {
        let id = Stamp::mint(5, None, 9).unwrap();
        for body in ["", "{", "{}", "null", r#"{"role":"user","secret":1}"#, r#"{"role":"user"} "secret""#] {
            let error = message(id, body).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupted);
            assert!(!error.to_string().contains("secret"));
        }
    }
}
