//! The layer `access` of configurations.

use std::path::PathBuf;

use craftx_core::{Error, ErrorKind, Part, Registry, Result, SessionId, StackConfig, Tenant};
use serde::Deserialize;

use crate::{Access, AccessConfig, AuditConfig, FileSink, Rule, Rules, StoreSink};

/// The options of [`Rules`] and [`AccessConfig`], and the audit log.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    allow: Vec<Rule>,
    forbid: Vec<Rule>,
    owners: bool,
    ttl_ms: u64,
    audit: Option<Audit>,
}

impl Default for Options {
    fn default() -> Self {
        let AccessConfig { owners, ttl_ms } = AccessConfig::default();
        Self { allow: Vec::new(), forbid: Vec::new(), owners, ttl_ms, audit: None }
    }
}

/// The table `audit`: a file or a store, and the options of [`AuditConfig`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Audit {
    /// A file of JSON Lines.
    path: Option<PathBuf>,
    #[serde(default)]
    sync: bool,
    /// A stack that keeps the log as a session.
    store: Option<StackConfig>,
    #[serde(default)]
    tenant: Tenant,
    session: Option<SessionId>,
    #[serde(default)]
    reads: bool,
    #[serde(default)]
    fail_closed: bool,
}

/// Lets configurations name the layer `access`: the options of [`Rules`] and [`AccessConfig`], and a table `audit`.
///
/// ```
/// use craftx_core::{Memory, Registry, StackConfig};
/// # let mut registry = Registry::new();
/// # registry.register("memory", |_| Ok(std::sync::Arc::new(Memory::new())));
/// craftx_access::register(&mut registry);
/// let config = StackConfig::from_table(serde_json::json!({
///     "backend": "memory",
///     "layers": ["access"],
///     "access": {
///         "allow": [{ "create": true }, { "roles": ["support"], "tenants": ["acme"], "actions": ["list", "read"] }],
///         "forbid": [{ "roles": ["intern"], "actions": ["delete", "export"] }],
///         "audit": { "path": "audit.jsonl", "fail_closed": true },
///     },
/// }))?;
/// registry.build_stack(&config)?;
/// # Ok::<(), craftx_core::Error>(())
/// ```
pub fn register(registry: &mut Registry) {
    registry.register_layer("access", |part| Ok(Box::new(build(part)?)));
}

fn build(part: &Part<'_>) -> Result<Access> {
    let Options { allow, forbid, owners, ttl_ms, audit } = part.config()?;
    let access = Access::new(Rules { allow, forbid })?.config(AccessConfig { owners, ttl_ms })?;
    match audit {
        None => Ok(access),
        Some(audit) => with_audit(part, access, audit),
    }
}

fn with_audit(part: &Part<'_>, access: Access, audit: Audit) -> Result<Access> {
    let config = AuditConfig::default().reads(audit.reads).fail_closed(audit.fail_closed);
    match (audit.path, &audit.store) {
        (Some(path), None) if audit.session.is_none() => {
            Ok(access.audit(FileSink::new(path).sync(audit.sync), &config))
        }
        (None, Some(store)) if !audit.sync => {
            let store = part.build("audit.store", store)?;
            let session = audit.session.map_or_else(|| SessionId::new("audit"), Ok)?;
            Ok(access.audit(StoreSink::new(store.backend().clone(), audit.tenant, session), &config))
        }
        _ => {
            let rule =
                "the log has a `path`, which may have `sync`, or a `store`, which may have `tenant` and `session`";
            Err(Error::new(ErrorKind::ConfigInvalid, rule).with("key", "`audit`"))
        }
    }
}
