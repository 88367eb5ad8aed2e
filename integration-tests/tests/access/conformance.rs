//! The kit over the layer over SQLite and JSON, as somebody who may do everything, with an audit log that fails closed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use craftx_access::{Access, AccessConfig, Action, AuditConfig, FileSink, Rule, Rules};
use craftx_conformance::{AsCaller, Failure, Subject, conformance};
use craftx_core::{Caller, DynBackend, Result, Stack};
use craftx_json::{Json, JsonConfig};
use craftx_sqlite::{Sqlite, SqliteConfig};

fn sqlite(folder: &Path) -> Result<DynBackend> {
    Ok(Arc::new(Sqlite::new(SqliteConfig::new(folder.join("chat.db")))?))
}

fn json(folder: &Path) -> Result<DynBackend> {
    Ok(Arc::new(Json::new(&JsonConfig::new(folder.join("chats")))?))
}

/// Without owners, so that there is nothing in a session but what the kit writes.
fn guarded(folder: &Path, medium: fn(&Path) -> Result<DynBackend>) -> Result<DynBackend> {
    let rules = Rules::new().allow(Rule::new().roles(["operator"]).actions(Action::ALL));
    let access = Access::new(rules)?.config(AccessConfig::default().owners(false))?;
    let access = access.audit(FileSink::new(folder.join("audit.jsonl")), &AuditConfig::default().fail_closed(true));
    let stack = Stack::builder("guarded", medium(folder)?).layer(access).build()?;
    let operator = Caller::principal("ann", ["operator"]);
    Ok(Arc::new(AsCaller::new(operator, stack.backend().clone())))
}

fn subject(medium: fn(&Path) -> Result<DynBackend>) -> Result<Subject, Failure> {
    let folder = tempfile::tempdir()?;
    let path: PathBuf = folder.path().to_owned();
    let subject = Subject::from(guarded(&path, medium)?);
    Ok(subject
        .reopening(move || {
            let path = path.clone();
            async move { Ok(guarded(&path, medium)?) }
        })
        .holding(folder))
}

conformance!(sqlite_with_access_control, || async { subject(sqlite) }, |kit| kit.cases(40).sequences(20).rounds(5));
conformance!(json_with_access_control, || async { subject(json) }, |kit| kit.cases(40).sequences(20).rounds(5));
