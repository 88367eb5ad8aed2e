//! Records: all that is ever written to any medium.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Content, Error, ErrorKind, Identity, Message, Metadata, Result, Role, Sealed, Stamp, Time, json};

/// The version of the record format that this release writes.
pub const FORMAT_VERSION: u32 = 1;

/// One fact about a session. A session is a set of records, and every write is a union.
///
/// See `docs/formats.md` for the JSON encoding. Unknown fields are refused, and so is another version. `Debug` never
/// shows the content of a message.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Record {
    /// A message. Identity: its id. The same id with other content is a conflict.
    Message(Message),
    /// Metadata of the session. Per key the greatest stamp wins; `None` removes the key.
    Session {
        /// Decides which value of a key wins.
        stamp: Stamp,
        /// The keys to set or to remove.
        set: BTreeMap<String, Option<Value>>,
    },
    /// Who owns the session (the smallest stamp) and who else may do what (the greatest stamp). Not covered by
    /// [`Record::Cleared`].
    Acl {
        /// Decides which record counts.
        stamp: Stamp,
        /// The owner, if it has one.
        owner: Option<String>,
        /// What others may do.
        grants: Vec<Grant>,
    },
    /// The message is dead for ever, whether it came before or comes later.
    Deleted {
        /// The message.
        id: Stamp,
        /// When it was deleted; greater than `id`.
        stamp: Stamp,
    },
    /// Messages and keys with stamps up to `through` are dead; later ones live.
    Cleared {
        /// The greatest stamp that is dead.
        through: Stamp,
        /// When it was cleared; greater than `through`.
        stamp: Stamp,
    },
}

/// What somebody may do with a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// A principal or a role.
    pub to: String,
    /// The names of the actions.
    pub actions: Vec<String>,
}

impl Record {
    /// The record's stamp; of a message, its id.
    pub fn stamp(&self) -> Stamp {
        match self {
            Self::Message(message) => message.id,
            Self::Session { stamp, .. }
            | Self::Acl { stamp, .. }
            | Self::Deleted { stamp, .. }
            | Self::Cleared { stamp, .. } => *stamp,
        }
    }

    /// Whether the record says that others are dead.
    pub fn is_tombstone(&self) -> bool {
        matches!(self, Self::Deleted { .. } | Self::Cleared { .. })
    }

    /// The canonical encoding: one line of JSON without a line break. Two records are equal if and only if their
    /// encodings are.
    ///
    /// The caller must have checked the depth of the values; the [`Validate`](crate::Validate) layer does.
    pub fn encode(&self) -> Encoded {
        Encoded(json::encode(self))
    }

    /// What tells the record from others.
    pub fn identity(&self) -> Identity {
        Identity::of(self, self.encode().digest())
    }

    /// Reads a canonical encoding that craftx wrote.
    ///
    /// # Errors
    /// [`ErrorKind::SchemaTooNew`] for another version, [`ErrorKind::InvalidInput`] for anything else that is no
    /// record. The text is not quoted.
    pub fn decode(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| match serde_json::from_str::<OnlyVersion>(text) {
            Ok(OnlyVersion { v }) if v != FORMAT_VERSION => wrong_version(v),
            _ => json::not_json(&error),
        })
    }

    /// Reads a record that somebody else may have written, and refuses what could not be kept exactly.
    ///
    /// # Errors
    /// As [`Record::decode`] and [`json::parse`].
    pub fn parse(text: &str) -> Result<Self> {
        json::check(text)?;
        Self::decode(text)
    }
}

fn wrong_version(v: u32) -> Error {
    Error::new(ErrorKind::SchemaTooNew, "the record has a version that this release does not know")
        .with("version", v)
        .with("known", FORMAT_VERSION)
}

#[derive(Deserialize)]
struct OnlyVersion {
    v: u32,
}

impl fmt::Debug for Record {
    /// Shows names and stamps, never the content of a message or a value of metadata.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(message) => message.fmt(f),
            Self::Session { stamp, set } => {
                f.debug_struct("Session").field("stamp", stamp).field("keys", &set.len()).finish()
            }
            Self::Acl { stamp, owner, grants } => {
                f.debug_struct("Acl").field("stamp", stamp).field("owner", owner).field("grants", grants).finish()
            }
            Self::Deleted { id, stamp } => f.debug_struct("Deleted").field("id", id).field("stamp", stamp).finish(),
            Self::Cleared { through, stamp } => {
                f.debug_struct("Cleared").field("through", through).field("stamp", stamp).finish()
            }
        }
    }
}

impl Serialize for Record {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The order of the members is part of the canonical encoding.
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry("v", &FORMAT_VERSION)?;
        match self {
            Self::Message(message) => {
                members.serialize_entry("record", "message")?;
                members.serialize_entry("id", &message.id)?;
                members.serialize_entry("role", &message.role)?;
                if !message.content.is_absent() {
                    members.serialize_entry("content", &message.content)?;
                }
                if let Some(parent) = &message.parent {
                    members.serialize_entry("parent", parent)?;
                }
                if let Some(time) = &message.created_at {
                    members.serialize_entry("created_at", time)?;
                }
                if !message.metadata.is_empty() {
                    members.serialize_entry("metadata", &message.metadata)?;
                }
                if let Some(sealed) = &message.sealed {
                    members.serialize_entry("sealed", sealed)?;
                }
            }
            Self::Session { stamp, set } => {
                members.serialize_entry("record", "session")?;
                members.serialize_entry("stamp", stamp)?;
                // A key that is removed is not a key with the value `null`.
                let values: BTreeMap<_, _> =
                    set.iter().filter_map(|(key, value)| Some((key, value.as_ref()?))).collect();
                let removed: Vec<_> = set.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key).collect();
                if !values.is_empty() {
                    members.serialize_entry("set", &values)?;
                }
                if !removed.is_empty() {
                    members.serialize_entry("remove", &removed)?;
                }
            }
            Self::Acl { stamp, owner, grants } => {
                members.serialize_entry("record", "acl")?;
                members.serialize_entry("stamp", stamp)?;
                members.serialize_entry("owner", owner)?;
                members.serialize_entry("grants", grants)?;
            }
            Self::Deleted { id, stamp } => {
                members.serialize_entry("record", "deleted")?;
                members.serialize_entry("id", id)?;
                members.serialize_entry("stamp", stamp)?;
            }
            Self::Cleared { through, stamp } => {
                members.serialize_entry("record", "cleared")?;
                members.serialize_entry("through", through)?;
                members.serialize_entry("stamp", stamp)?;
            }
        }
        members.end()
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        Self::try_from(wire).map_err(|error| serde::de::Error::custom(error.message()))
    }
}

/// Every member that a record can have. Read in one pass, then checked against its kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u32,
    record: Kind,
    id: Option<Stamp>,
    role: Option<Role>,
    #[serde(default)]
    content: Content,
    parent: Option<Stamp>,
    created_at: Option<Time>,
    metadata: Option<Metadata>,
    sealed: Option<Box<Sealed>>,
    stamp: Option<Stamp>,
    set: Option<BTreeMap<String, Value>>,
    remove: Option<BTreeSet<String>>,
    #[serde(default, deserialize_with = "present")]
    owner: Option<Option<String>>,
    grants: Option<Vec<Grant>>,
    through: Option<Stamp>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Message,
    Session,
    Acl,
    Deleted,
    Cleared,
}

/// Tells `"owner": null` from no `owner` at all.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

impl TryFrom<Wire> for Record {
    type Error = Error;
    fn try_from(wire: Wire) -> Result<Self> {
        let Wire {
            v,
            record,
            id,
            role,
            content,
            parent,
            created_at,
            metadata,
            sealed,
            stamp,
            set,
            remove,
            owner,
            grants,
            through,
        } = wire;
        if v != FORMAT_VERSION {
            return Err(wrong_version(v));
        }
        let set = keys(set, remove)?;
        let open = !content.is_absent() || metadata.is_some();
        let only_of_messages = role.is_some() || open || parent.is_some() || created_at.is_some() || sealed.is_some();
        match (record, id, stamp, set, owner, grants, through) {
            (Kind::Message, ..) if open && sealed.is_some() => Err(wrong_members()),
            (Kind::Message, Some(id), None, None, None, None, None) => {
                let role = role.ok_or_else(wrong_members)?;
                Ok(Self::Message(Message {
                    id,
                    role,
                    content,
                    parent,
                    created_at,
                    metadata: metadata.unwrap_or_default(),
                    sealed,
                }))
            }
            _ if only_of_messages => Err(wrong_members()),
            (Kind::Session, None, Some(stamp), Some(set), None, None, None) => Ok(Self::Session { stamp, set }),
            (Kind::Acl, None, Some(stamp), None, Some(owner), Some(grants), None) => {
                Ok(Self::Acl { stamp, owner, grants })
            }
            (Kind::Deleted, Some(id), Some(stamp), None, None, None, None) => Ok(Self::Deleted { id, stamp }),
            (Kind::Cleared, None, Some(stamp), None, None, None, Some(through)) => Ok(Self::Cleared { through, stamp }),
            _ => Err(wrong_members()),
        }
    }
}

fn wrong_members() -> Error {
    Error::new(ErrorKind::InvalidInput, "the record lacks a member of its kind or has one of another")
}

type Keys = BTreeMap<String, Option<Value>>;

/// The keys that a record sets and removes, if it speaks of any.
fn keys(set: Option<BTreeMap<String, Value>>, remove: Option<BTreeSet<String>>) -> Result<Option<Keys>> {
    if set.is_none() && remove.is_none() {
        return Ok(None);
    }
    let mut keys: Keys = set.into_iter().flatten().map(|(key, value)| (key, Some(value))).collect();
    for key in remove.into_iter().flatten() {
        if keys.insert(key, None).is_some() {
            return Err(Error::new(ErrorKind::InvalidInput, "the record sets and removes the same key"));
        }
    }
    if keys.is_empty() {
        return Err(Error::new(ErrorKind::InvalidInput, "the record sets and removes nothing"));
    }
    Ok(Some(keys))
}

/// The canonical encoding of a record.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Encoded(String);

impl Encoded {
    /// The line, without a line break.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The line, without a line break.
    pub fn into_string(self) -> String {
        self.0
    }

    /// SHA-256 of the line.
    pub fn digest(&self) -> Digest {
        Digest(hmac_sha256::Hash::hash(self.0.as_bytes()))
    }
}

impl fmt::Debug for Encoded {
    /// Shows the length, never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoded({} bytes)", self.0.len())
    }
}

/// SHA-256 of a canonical encoding: two records are the same if their digests are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(n: u128) -> Stamp {
        Stamp::mint(1_732_000_000_000, None, n).unwrap()
    }

    /// These lines must be read, and written in the same way, for ever.
    #[test]
    fn the_canonical_encoding_never_changes() {
        let message = Message::new(at(1), Role::User, "hé \0\u{7f}\n\"/\\\u{2028}")
            .with_parent(at(0))
            .with_created_at("2025-06-28T00:33:47.214584".parse().unwrap())
            .with_metadata("b", json!([1e16, 0.1, -0.0, u64::MAX, i64::MIN, null]))
            .with_metadata("a", json!({"z": true}));
        let set = [("t", Some(json!("x"))), ("a", None), ("n", Some(json!(null)))];
        let set = set.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let grants = vec![Grant { to: "bob".into(), actions: vec!["read".into()] }];
        let golden = [
            (
                Record::Message(message),
                concat!(
                    r#"{"v":1,"record":"message","id":"0193433e-a800-7000-8000-000000000001","role":"user","content":"hé \u0000"#,
                    "\u{7f}",
                    r#"\n\"/\\"#,
                    "\u{2028}",
                    r#"","parent":"0193433e-a800-7000-8000-000000000000","created_at":"2025-06-28T00:33:47.214584","#,
                    r#""metadata":{"b":[1e16,0.1,-0.0,18446744073709551615,-9223372036854775808,null],"a":{"z":true}}}"#,
                ),
            ),
            (
                Record::Message(Message::new(at(2), Role::new("developer").unwrap(), Content::Null)),
                r#"{"v":1,"record":"message","id":"0193433e-a800-7000-8000-000000000002","role":"developer","content":null}"#,
            ),
            (
                Record::Message(Message::new(at(2), Role::Tool, Content::Absent)),
                r#"{"v":1,"record":"message","id":"0193433e-a800-7000-8000-000000000002","role":"tool"}"#,
            ),
            (
                Record::Message(Message::new(at(2), Role::User, Content::Absent).with_sealed(Sealed::new(1, "d", "e"))),
                r#"{"v":1,"record":"message","id":"0193433e-a800-7000-8000-000000000002","role":"user","sealed":{"generation":1,"digest":"d","envelope":"e"}}"#,
            ),
            (
                Record::Message(
                    Message::new(at(2), Role::User, Content::Absent)
                        .with_sealed(Sealed::new(1, "d", "e").with_words(["0b".to_owned(), "0a".to_owned()])),
                ),
                r#"{"v":1,"record":"message","id":"0193433e-a800-7000-8000-000000000002","role":"user","sealed":{"generation":1,"digest":"d","envelope":"e","words":["0a","0b"]}}"#,
            ),
            (
                Record::Session { stamp: at(3), set },
                r#"{"v":1,"record":"session","stamp":"0193433e-a800-7000-8000-000000000003","set":{"n":null,"t":"x"},"remove":["a"]}"#,
            ),
            (
                Record::Session { stamp: at(3), set: BTreeMap::from([("a".to_owned(), None)]) },
                r#"{"v":1,"record":"session","stamp":"0193433e-a800-7000-8000-000000000003","remove":["a"]}"#,
            ),
            (
                Record::Acl { stamp: at(4), owner: None, grants },
                r#"{"v":1,"record":"acl","stamp":"0193433e-a800-7000-8000-000000000004","owner":null,"grants":[{"to":"bob","actions":["read"]}]}"#,
            ),
            (
                Record::Deleted { id: at(1), stamp: at(5) },
                r#"{"v":1,"record":"deleted","id":"0193433e-a800-7000-8000-000000000001","stamp":"0193433e-a800-7000-8000-000000000005"}"#,
            ),
            (
                Record::Cleared { through: at(5), stamp: at(6) },
                r#"{"v":1,"record":"cleared","through":"0193433e-a800-7000-8000-000000000005","stamp":"0193433e-a800-7000-8000-000000000006"}"#,
            ),
        ];
        for (record, line) in golden {
            assert_eq!(record.encode().as_str(), line);
            assert!(Record::parse(line).unwrap() == record, "{line}");
        }
    }

    #[test]
    fn what_is_no_record_of_this_version_is_refused_without_being_quoted() {
        let id = at(1);
        for line in [
            format!(r#"{{"v":1,"record":"message","id":"{id}","role":"user","content":"canary","x":1}}"#),
            format!(r#"{{"v":1,"record":"message","id":"{id}","content":"canary"}}"#),
            format!(r#"{{"v":1,"record":"message","id":"{id}","role":7,"content":"canary"}}"#),
            format!(
                r#"{{"v":1,"record":"message","id":"{id}","role":"user","content":"canary","sealed":{{"generation":0,"digest":"","envelope":""}}}}"#
            ),
            format!(
                r#"{{"v":1,"record":"deleted","id":"{id}","stamp":"{id}","sealed":{{"generation":0,"digest":"canary","envelope":"canary"}}}}"#
            ),
            format!(r#"{{"v":1,"record":"deleted","id":"{id}","stamp":"{id}","content":"canary"}}"#),
            format!(r#"{{"v":1,"record":"cleared","id":"{id}","stamp":"{id}"}}"#),
            format!(r#"{{"v":1,"record":"acl","stamp":"{id}","grants":[]}}"#),
            format!(r#"{{"v":1,"record":"session","stamp":"{id}"}}"#),
            format!(r#"{{"v":1,"record":"session","stamp":"{id}","set":{{}}}}"#),
            format!(r#"{{"v":1,"record":"session","stamp":"{id}","set":{{"a":"canary"}},"remove":["a"]}}"#),
            format!(r#"{{"record":"deleted","id":"{id}","stamp":"{id}"}}"#),
            r#"{"v":1,"record":"message","id":"canary","role":"user"}"#.to_owned(),
            r#"{"v":1,"record":"message","id":{"canary":"canary"},"role":"user"}"#.to_owned(),
        ] {
            let error = Record::parse(&line).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{line}");
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
        let newer = format!(r#"{{"v":2,"record":"message","id":"{id}","role":"user","thoughts":"new"}}"#);
        assert_eq!(Record::parse(&newer).unwrap_err().kind(), ErrorKind::SchemaTooNew);
    }

    #[test]
    fn debug_never_shows_what_was_said() {
        let message = Message::new(at(1), Role::User, "canary").with_metadata("canary", "canary");
        let set = BTreeMap::from([("canary".to_owned(), Some(json!("canary")))]);
        let encoded = Record::Message(message.clone()).encode();
        let shown = format!("{message:?} {:?} {encoded:?}", Record::Session { stamp: at(2), set });
        assert!(!shown.contains("canary"), "{shown}");
    }
}
