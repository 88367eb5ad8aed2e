//! Names: of sessions, of tenants, and of roles.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The greatest length of a name, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 255;

fn check_name(field: &'static str, text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(Error::invalid(field, "must not be empty"));
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(Error::invalid(field, "must not be longer than 255 bytes").with("bytes", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid(field, "must not contain control characters"));
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and wraps `text`. Nothing is trimmed, folded or normalised.
            ///
            /// # Errors
            /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if it is empty, longer than 255 bytes, or contains a
            /// control character.
            pub fn new(text: impl AsRef<str>) -> Result<Self> {
                let text = text.as_ref();
                check_name($field, text)?;
                Ok(Self(text.into()))
            }

            /// The text, as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Error;
            fn try_from(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`{}`", self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::text::parse_with(deserializer, "a name", |text| Self::new(text))
            }
        }
    };
}

name! {
    /// The name of a session: any UTF-8 text of 1 to 255 bytes without control characters.
    ///
    /// Every backend encodes it injectively for its medium; none trims it, folds its case, or refuses what another
    /// backend accepts.
    ///
    /// ```
    /// use craftx_core::SessionId;
    /// assert_eq!(SessionId::new(" Ünïcode/../名前 ")?.as_str(), " Ünïcode/../名前 ");
    /// assert!(SessionId::new("").is_err());
    /// # Ok::<(), craftx_core::Error>(())
    /// ```
    SessionId, "session"
}

name! {
    /// The namespace of a session, and part of every key in every medium; `default` unless said otherwise. The same
    /// rules as for a [`SessionId`].
    Tenant, "tenant"
}

impl Default for Tenant {
    fn default() -> Self {
        Self("default".into())
    }
}

/// Who speaks in a message.
///
/// ```
/// use craftx_core::Role;
/// assert_eq!(Role::new("user")?, Role::User);
/// assert_eq!(Role::new("developer")?.as_str(), "developer");
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// `system`: instructions.
    System,
    /// `user`: the person.
    User,
    /// `assistant`: the model.
    Assistant,
    /// `tool`: the result of a tool call.
    Tool,
    /// Any other role, spelled as it was given: 1 to 255 bytes without control characters.
    Other(OtherRole),
}

/// A role outside the four that every model knows. Only [`Role::new`] makes one, so that each role has one spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OtherRole(Arc<str>);

impl Role {
    /// The role with this spelling. Case matters: `User` is another role than `user`.
    ///
    /// # Errors
    /// As [`SessionId::new`].
    pub fn new(text: impl AsRef<str>) -> Result<Self> {
        Ok(match text.as_ref() {
            "system" => Self::System,
            "user" => Self::User,
            "assistant" => Self::Assistant,
            "tool" => Self::Tool,
            other => {
                check_name("role", other)?;
                Self::Other(OtherRole(other.into()))
            }
        })
    }

    /// The spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
            Self::Other(other) => &other.0,
        }
    }
}

impl FromStr for Role {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl TryFrom<&str> for Role {
    type Error = Error;
    fn try_from(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Role {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parse_with(deserializer, "a role", |text| Self::new(text))
    }
}
