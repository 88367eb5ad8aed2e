//! Where a ciphertext belongs: what is bound to it, so that it opens nowhere else.

use craftx_core::{Grant, Message, SessionId, Stamp, Tenant, json};

/// Where something sealed belongs.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) session: &'a SessionId,
    pub(crate) field: Field<'a>,
}

/// What of a session is sealed.
#[derive(Clone, Copy)]
pub(crate) enum Field<'a> {
    /// Content and metadata of a message. What stays in clear is bound to them: id, role, parent, time.
    Message(&'a Message),
    /// The value of a key of the session's metadata, set at this stamp.
    Value { stamp: Stamp, key: &'a str },
    /// Owner and grants, which are not sealed but vouched for.
    Acl { stamp: Stamp, owner: Option<&'a str>, grants: &'a [Grant] },
}

impl Place<'_> {
    /// Bytes that no other place has: every part is preceded by its length, and an absent part differs from an empty one.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(192);
        let begin = |bytes: &mut Vec<u8>, kind: &str| {
            part(bytes, Some(kind.as_bytes()));
            part(bytes, Some(self.tenant.as_str().as_bytes()));
            part(bytes, Some(self.session.as_str().as_bytes()));
        };
        match self.field {
            Field::Message(message) => {
                begin(&mut bytes, "craftx/v1/message");
                part(&mut bytes, Some(message.id.as_bytes()));
                part(&mut bytes, Some(message.role.as_str().as_bytes()));
                part(&mut bytes, message.parent.as_ref().map(|parent| parent.as_bytes().as_slice()));
                let created_at = message.created_at.as_ref().map(ToString::to_string);
                part(&mut bytes, created_at.as_ref().map(String::as_bytes));
            }
            Field::Value { stamp, key } => {
                begin(&mut bytes, "craftx/v1/session");
                part(&mut bytes, Some(stamp.as_bytes()));
                part(&mut bytes, Some(key.as_bytes()));
            }
            Field::Acl { stamp, owner, grants } => {
                begin(&mut bytes, "craftx/v1/acl");
                part(&mut bytes, Some(stamp.as_bytes()));
                part(&mut bytes, owner.map(str::as_bytes));
                part(&mut bytes, Some(json::encode(&grants).as_bytes()));
            }
        }
        bytes
    }
}

/// Several parts, as they are bound to something that is in no place itself.
pub(crate) fn parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    parts.into_iter().for_each(|one| part(&mut bytes, Some(one)));
    bytes
}

/// The length in four bytes, then the part; the greatest length stands for a part that is not there.
fn part(bytes: &mut Vec<u8>, part: Option<&[u8]>) {
    let length = part.map_or(u32::MAX, |part| part.len() as u32);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(part.unwrap_or_default());
}
