//! Sessions and tenants: one, or lists of them.

use craftx_core::{
    Binding, Cursor, Error, Include, Page, Scope, Session, SessionId, SessionOrder, SessionQuery, Tenant, async_trait,
    json, page_size,
};

use crate::conn::{Conn, For};
use crate::error::{Sql, corrupted};
use crate::reading::Reading;
use crate::row::{self, SessionRow, describe};
use crate::store::Store;
use crate::value::Value;

/// More than any name that begins with a prefix can continue with: the last code point, more often than names are long.
const LAST: &str = "\u{10ffff}";

const ONE: &str = concat!(
    "SELECT ",
    row::described!(),
    " FROM @.tenants t JOIN @.sessions s USING (tid) WHERE t.name = $1 AND s.id = $2 AND s.live"
);

/// One session.
#[derive(Debug)]
pub(crate) struct One {
    pub(crate) tenant: Tenant,
    pub(crate) session: SessionId,
}

#[async_trait]
impl Reading for One {
    type Answer = Option<Session>;

    async fn read(&self, store: &Store, conn: &Conn) -> Sql<(Self::Answer, Option<u64>)> {
        let sql = store.sql.with_schema(ONE);
        let values = [Value::Text(self.tenant.as_str()), Value::Text(self.session.as_str())];
        let rows = conn.single(For::Tenant(&self.tenant), &sql, &values).await?;
        Ok((rows.first().map(|row| describe(row).map(|(_, session)| session)).transpose()?, None))
    }
}

/// A page of the sessions of a tenant.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) tenant: Tenant,
    pub(crate) query: SessionQuery,
}

#[async_trait]
impl Reading for List {
    type Answer = Page<Session>;

    async fn read(&self, store: &Store, conn: &Conn) -> Sql<(Self::Answer, Option<u64>)> {
        let binding = Binding::sessions(&self.tenant, &self.query);
        let size = page_size(self.query.limit);
        let mut after = match &self.query.cursor {
            Some(cursor) => Some(cursor.position(&binding)?.to_owned()),
            None => None,
        };
        let mut page = Page::default();
        let mut last: Option<String> = None;
        loop {
            let statement = Statement::new(&self.query, after.as_deref(), size)?;
            let sql = store.sql.with_schema(&statement.sql);
            let rows = conn.single(For::Tenant(&self.tenant), &sql, &statement.values(&self.tenant)).await?;
            for row in &rows {
                let (found, session) = describe(row)?;
                let place = self.place(&found, &session.id);
                after = Some(place.clone());
                // What SQL has not decided already: objects are equal whatever the order of their keys, and so on.
                if !self.query.admits(&session) {
                    continue;
                }
                if page.items.len() == size {
                    page.next = last.map(|last| Cursor::new(&binding, last));
                    return Ok((page, None));
                }
                last = Some(place);
                page.items.push(session);
            }
            if rows.len() <= size {
                return Ok((page, None));
            }
        }
    }
}

impl List {
    /// Where a session stands in the list.
    fn place(&self, row: &SessionRow, id: &SessionId) -> String {
        match self.query.order {
            SessionOrder::RecentFirst => row.recency.to_string(),
            _ => id.as_str().to_owned(),
        }
    }
}

/// A list as SQL: one row for each session that may be on the page, in order.
struct Statement {
    sql: String,
    texts: Vec<String>,
    lists: Vec<Vec<String>>,
    bytes: Vec<Vec<Vec<u8>>>,
    number: i64,
    /// Of which kind the parameters are, after the tenant.
    kinds: Vec<Kind>,
}

#[derive(Clone, Copy)]
enum Kind {
    Text(usize),
    List(usize),
    Bytes(usize),
    Number,
}

impl Statement {
    fn new(query: &SessionQuery, after: Option<&str>, size: usize) -> Sql<Self> {
        // With the number of the tenant at hand, and not joined, the index is in the order that is asked for; and what
        // describes a session is looked up only for those on the page.
        let sql = concat!(
            "SELECT ",
            row::described!(),
            " FROM (SELECT s.* FROM @.sessions s WHERE s.tid = (SELECT tid FROM @.tenants WHERE name = $1)"
        );
        let mut statement = Self {
            sql: sql.to_owned(),
            texts: Vec::new(),
            lists: Vec::new(),
            bytes: Vec::new(),
            number: 0,
            kinds: Vec::new(),
        };
        if query.include == Include::Live {
            statement.sql.push_str(" AND s.live");
        }
        if let Some(prefix) = query.prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            // No name has a NUL, and the server knows none.
            if prefix.contains('\0') {
                statement.sql.push_str(" AND false");
            } else {
                statement.text(" AND s.id >= ", prefix.to_owned());
                statement.text(" AND s.id < ", format!("{prefix}{}", LAST.repeat(craftx_core::MAX_NAME_BYTES)));
            }
        }
        statement.scope(&query.scope)?;
        for (key, value) in &query.metadata {
            let mut values = vec![key.clone().into_bytes()];
            let exact = json::has_one_text(value);
            if exact {
                values.push(value.to_string().into_bytes());
            }
            let at = statement.push(Kind::Bytes(statement.bytes.len()));
            statement.bytes.push(values);
            let condition = if exact { format!("= (${at}::bytea[])[2]") } else { "IS NOT NULL".to_owned() };
            statement.sql.push_str(&format!(
                " AND EXISTS (SELECT 1 FROM @.session_keys k WHERE k.tid = s.tid AND k.sid = s.sid
                  AND k.key = (${at}::bytea[])[1] AND k.value {condition})"
            ));
        }
        let order = statement.order(query, after)?;
        // One more than fits on the page, to see whether there is more.
        statement.sql.push_str(&format!(" ORDER BY {order} LIMIT {}) s ORDER BY {order}", size + 1));
        Ok(statement)
    }

    /// Continues after a place; returns in which order.
    fn order(&mut self, query: &SessionQuery, after: Option<&str>) -> Sql<&'static str> {
        Ok(match query.order {
            SessionOrder::ById => {
                if let Some(after) = after {
                    self.text(" AND s.id > ", after.to_owned());
                }
                "s.id"
            }
            SessionOrder::RecentFirst => {
                if let Some(after) = after {
                    self.number = after.parse().map_err(|_| Error::invalid("cursor", "is no cursor of this store"))?;
                    let at = self.push(Kind::Number);
                    self.sql.push_str(&format!(" AND s.era <= (${at}::bigint >> 14) AND s.recency < ${at}::bigint"));
                }
                "s.era DESC, s.recency DESC"
            }
            _ => return Err(Error::unsupported("this order of sessions", "the postgres backend").into()),
        })
    }

    /// Limits the sessions to a scope. Owners count among the principals only, grants among the principals and the roles.
    fn scope(&mut self, scope: &Scope) -> Sql<()> {
        if let Some((principals, roles)) = names(scope)? {
            let at = self.push(Kind::List(self.lists.len()));
            self.lists.push(principals);
            let roles_at = self.push(Kind::List(self.lists.len()));
            self.lists.push(roles);
            self.sql.push_str(&visible(at, roles_at));
        }
        Ok(())
    }

    fn text(&mut self, condition: &str, value: String) {
        let at = self.push(Kind::Text(self.texts.len()));
        self.texts.push(value);
        self.sql.push_str(&format!("{condition}${at}"));
    }

    /// The number of the parameter that is added; the tenant is the first one.
    fn push(&mut self, kind: Kind) -> usize {
        self.kinds.push(kind);
        self.kinds.len() + 1
    }

    fn values<'a>(&'a self, tenant: &'a Tenant) -> Vec<Value<'a>> {
        let none = |_| Value::Int8(0);
        let further = self.kinds.iter().map(|kind| match *kind {
            Kind::Text(at) => self.texts.get(at).map(|text| Value::Text(text)).unwrap_or_else(|| none(at)),
            Kind::List(at) => self.lists.get(at).map(|list| Value::Texts(list)).unwrap_or_else(|| none(at)),
            Kind::Bytes(at) => self.bytes.get(at).map(|list| Value::Bytes(list)).unwrap_or_else(|| none(at)),
            Kind::Number => Value::Int8(self.number),
        });
        std::iter::once(Value::Text(tenant.as_str())).chain(further).collect()
    }
}

/// The names of principals and roles of a scope that has a limit. A name with a NUL is nobody's, and the server knows none.
pub(crate) fn names(scope: &Scope) -> Sql<Option<(Vec<String>, Vec<String>)>> {
    let known = |names: &[String]| names.iter().filter(|name| !name.contains('\0')).cloned().collect();
    match scope {
        Scope::All => Ok(None),
        Scope::Visible { principals, roles } => Ok(Some((known(principals), known(roles)))),
        _ => Err(Error::unsupported("this scope", "the postgres backend").into()),
    }
}

/// The condition that a session `s` is visible to the principals and roles in these parameters.
pub(crate) fn visible(principals: usize, roles: usize) -> String {
    format!(
        " AND EXISTS (SELECT 1 FROM @.visible_to v WHERE v.tid = s.tid AND v.sid = s.sid
          AND (v.name = ANY (${principals}::text[]) OR (NOT v.owner AND v.name = ANY (${roles}::text[]))))"
    )
}

/// A page of the tenants that have records.
#[derive(Debug)]
pub(crate) struct Tenants {
    pub(crate) from: Option<Cursor>,
}

#[async_trait]
impl Reading for Tenants {
    type Answer = Page<Tenant>;

    async fn read(&self, store: &Store, conn: &Conn) -> Sql<(Self::Answer, Option<u64>)> {
        const TENANTS: &str = "SELECT name FROM @.tenants t WHERE name > $1
             AND EXISTS (SELECT 1 FROM @.sessions s WHERE s.tid = t.tid) ORDER BY name LIMIT $2";
        let binding = Binding::new("tenants", &Tenant::default(), []);
        let after = self.from.as_ref().map(|cursor| cursor.position(&binding)).transpose()?.unwrap_or_default();
        let size = page_size(None);
        let sql = store.sql.with_schema(TENANTS);
        let values = [Value::Text(after), Value::Int8(size as i64 + 1)];
        let rows = conn.single(For::System, &sql, &values).await?;
        let tenant = |name: &str| Tenant::new(name).map_err(|_| corrupted("a stored name of a tenant is not one"));
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            items.push(tenant(row.try_get(0)?)?);
        }
        let more = items.len() > size;
        items.truncate(size);
        let next = items.last().filter(|_| more).map(|tenant| Cursor::new(&binding, tenant));
        Ok((Page { items, next }, None))
    }
}
