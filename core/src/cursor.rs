//! Cursors: where a page ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result, Scope, SearchQuery, SessionQuery, Tenant};

/// Where a page ended. Opaque text, bound to the tenant and the query that it came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cursor(String);

impl Cursor {
    /// A cursor at `position` for the list that `binding` names.
    pub fn new(binding: &Binding, position: impl fmt::Display) -> Self {
        Self(format!("{}.{position}", binding.0))
    }

    /// Reads a cursor that was handed out as text.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, to hand out.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The position, if this is a cursor of the same list.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if it belongs to another tenant, scope or query, or is no cursor.
    pub fn position(&self, binding: &Binding) -> Result<&str> {
        self.0.strip_prefix(&binding.0).and_then(|rest| rest.strip_prefix('.')).ok_or_else(foreign)
    }
}

fn foreign() -> Error {
    Error::new(ErrorKind::InvalidInput, "this cursor belongs to another query or tenant").with("field", "cursor")
}

/// What a cursor is bound to: a digest of the list and all that decides its contents and order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding(String);

impl Binding {
    /// A binding to the list `kind` of `tenant` with these further parts.
    pub fn new<'a>(kind: &'a str, tenant: &'a Tenant, parts: impl IntoIterator<Item = &'a str>) -> Self {
        let digest = digest_of_parts([kind, tenant.as_str()].into_iter().chain(parts));
        Self(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }

    /// The binding of a list of sessions: everything in the query but the cursor and the limit.
    pub fn sessions(tenant: &Tenant, query: &SessionQuery) -> Self {
        let mut parts = vec![format!("{:?} {:?} {:?}", query.include, query.order, query.prefix)];
        parts.push(scope_text(&query.scope));
        parts.extend(query.metadata.iter().map(|(key, value)| format!("{key:?}={value}")));
        Self::new("sessions", tenant, parts.iter().map(String::as_str))
    }

    /// The binding of a search: everything in the query but the cursor and the limit.
    pub fn search(tenant: &Tenant, query: &SearchQuery) -> Self {
        let filters = format!("{:?} {:?} {:?} {:?}", query.session, query.roles, query.after, query.before);
        Self::new("search", tenant, [query.text.as_str(), &scope_text(&query.scope), &filters])
    }
}

/// SHA-256 over parts, each preceded by its length, so that no two lists of parts are the same bytes.
pub(crate) fn digest_of_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> [u8; 32] {
    let mut hash = hmac_sha256::Hash::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize()
}

fn scope_text(scope: &Scope) -> String {
    match scope {
        Scope::All => "all".to_owned(),
        Scope::Visible { principals, roles } => format!("{principals:?} {roles:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_another_tenant_or_query_is_refused() {
        let (a, b) = (Tenant::new("a").unwrap(), Tenant::new("b").unwrap());
        let query = SessionQuery::new().prefix("x");
        let cursor = Cursor::new(&Binding::sessions(&a, &query), "x.1");
        assert_eq!(cursor.position(&Binding::sessions(&a, &query)).unwrap(), "x.1");
        assert_eq!(cursor.position(&Binding::sessions(&a, &query.clone().limit(3))).unwrap(), "x.1");
        for other in [Binding::sessions(&b, &query), Binding::sessions(&a, &query.metadata("k", 1))] {
            assert_eq!(cursor.position(&other).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }
}
