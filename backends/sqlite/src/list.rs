//! Listing sessions and tenants.

use craftx_core::{
    Binding, Cursor, Error, Include, Page, Scope, Session, SessionId, SessionOrder, SessionQuery, Tenant, json,
    page_size,
};
use rusqlite::types::Value as Sqlite;
use rusqlite::{Connection, params, params_from_iter};

use crate::error::{Sql, corrupted};
use crate::row::{self, SessionRow};

/// More than any name that begins with a prefix can continue with: the last code point, more often than names are long.
const LAST: &str = "\u{10ffff}";

/// A page of the sessions of a tenant.
pub(crate) fn sessions(conn: &Connection, tenant: &Tenant, query: &SessionQuery) -> Sql<Page<Session>> {
    let binding = Binding::sessions(tenant, query);
    let after = query.cursor.as_ref().map(|cursor| cursor.position(&binding)).transpose()?;
    let (sql, values) = statement(tenant, query, after)?;
    let mut select = conn.prepare_cached(&sql)?;
    let mut rows = select.query(params_from_iter(values))?;
    let size = page_size(query.limit);
    let mut page = Page::default();
    let mut last = None;
    while let Some(row) = rows.next()? {
        let id: String = row.get(11)?;
        let id = SessionId::new(id).map_err(|_| corrupted("a stored name of a session is not one"))?;
        let row = SessionRow::read(row)?;
        let session = row.describe(conn, id)?;
        // What SQL has not decided already: objects are equal whatever the order of their keys, and so on.
        if !query.admits(&session) {
            continue;
        }
        if page.items.len() == size {
            page.next = last.map(|(seq, id): (i64, SessionId)| match query.order {
                SessionOrder::RecentFirst => Cursor::new(&binding, seq),
                _ => Cursor::new(&binding, id),
            });
            break;
        }
        last = Some((row.seq, session.id.clone()));
        page.items.push(session);
    }
    Ok(page)
}

/// The query as SQL: one row for each session that may be on the page, in order.
fn statement(tenant: &Tenant, query: &SessionQuery, after: Option<&str>) -> Sql<(String, Vec<Sqlite>)> {
    let mut sql = String::from(concat!(
        "SELECT ",
        row::columns!(),
        ", s.id FROM sessions s WHERE s.tid = (SELECT tid FROM tenants WHERE name = ?)"
    ));
    let mut values = vec![Sqlite::from(tenant.as_str().to_owned())];
    if query.include == Include::Live {
        sql.push_str(" AND s.live = 1");
    }
    if let Some(prefix) = query.prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
        sql.push_str(" AND s.id >= ? AND s.id < ?");
        values.push(Sqlite::from(prefix.to_owned()));
        values.push(Sqlite::from(format!("{prefix}{}", LAST.repeat(craftx_core::MAX_NAME_BYTES))));
    }
    scope(&query.scope, &mut sql, &mut values)?;
    for (key, value) in &query.metadata {
        sql.push_str(" AND EXISTS (SELECT 1 FROM session_keys k WHERE k.sid = s.sid AND k.key = ? AND k.value");
        values.push(Sqlite::from(key.clone()));
        if json::has_one_text(value) {
            sql.push_str(" = ?)");
            values.push(Sqlite::from(value.to_string()));
        } else {
            sql.push_str(" IS NOT NULL)");
        }
    }
    match (query.order, after) {
        (SessionOrder::ById, None) => {}
        (SessionOrder::ById, Some(after)) => {
            sql.push_str(" AND s.id > ?");
            values.push(Sqlite::from(after.to_owned()));
        }
        (SessionOrder::RecentFirst, None) => {}
        (SessionOrder::RecentFirst, Some(after)) => {
            sql.push_str(" AND s.seq < ?");
            let seq = after.parse::<i64>().map_err(|_| Error::invalid("cursor", "is no cursor of this store"))?;
            values.push(Sqlite::from(seq));
        }
        _ => return Err(Error::unsupported("this order of sessions", "the sqlite backend").into()),
    }
    sql.push_str(match query.order {
        SessionOrder::RecentFirst => " ORDER BY s.seq DESC",
        _ => " ORDER BY s.id",
    });
    Ok((sql, values))
}

/// Limits the sessions `s` of a statement to a scope. Owners count among the principals only, grants among the principals and the roles.
pub(crate) fn scope(scope: &Scope, sql: &mut String, values: &mut Vec<Sqlite>) -> Sql<()> {
    let (principals, roles) = match scope {
        Scope::All => return Ok(()),
        Scope::Visible { principals, roles } => (principals, roles),
        _ => return Err(Error::unsupported("this scope", "the sqlite backend").into()),
    };
    sql.push_str(" AND s.sid IN (SELECT sid FROM visible_to WHERE name IN (");
    push_names(sql, values, principals.iter());
    sql.push_str(") OR (owner = 0 AND name IN (");
    push_names(sql, values, roles.iter());
    sql.push_str(")))");
    Ok(())
}

fn push_names<'a>(sql: &mut String, values: &mut Vec<Sqlite>, names: impl Iterator<Item = &'a String>) {
    for (index, name) in names.enumerate() {
        sql.push_str(if index == 0 { "?" } else { ", ?" });
        values.push(Sqlite::from(name.clone()));
    }
}

/// A page of the tenants that have records.
pub(crate) fn tenants(conn: &Connection, from: Option<&Cursor>) -> Sql<Page<Tenant>> {
    let binding = Binding::new("tenants", &Tenant::default(), []);
    let after = from.map(|cursor| cursor.position(&binding)).transpose()?.unwrap_or_default();
    let size = page_size(None);
    let mut select = conn.prepare_cached("SELECT name FROM tenants WHERE name > ?1 ORDER BY name LIMIT ?2")?;
    let mut rows = select.query(params![after, size as i64 + 1])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        items.push(Tenant::new(name).map_err(|_| corrupted("a stored name of a tenant is not one"))?);
    }
    let more = items.len() > size;
    items.truncate(size);
    let next = items.last().filter(|_| more).map(|tenant| Cursor::new(&binding, tenant));
    Ok(Page { items, next })
}
