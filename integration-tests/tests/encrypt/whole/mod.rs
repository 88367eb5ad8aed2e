//! The whole stack: access, validate, encrypt, failover, retry, SQLite and JSON.

mod canary;
mod conformance;
mod threats;

use craftx_access::{Access, AccessConfig, AuditConfig, FileSink, Rule, Rules};
use craftx_core::{Caller, Stack};
use craftx_encrypt::KeyProvider;
use craftx_retry::{RetryConfig, RetryLayer};

use super::*;

/// The stack in a folder, with its audit log, which fails closed and tells everything.
fn stack(folder: &Path, provider: Arc<dyn KeyProvider>, access: Access) -> Stack {
    let retried = |store| {
        let layer = RetryLayer::new(RetryConfig::default()).unwrap();
        Stack::builder("store", store).layer(layer).build().unwrap().backend().clone()
    };
    let primary = retried(sqlite(folder, "primary.db"));
    let failover = Failover::builder("primary", primary).secondary("secondary", retried(json(folder, "log")));
    let config = AuditConfig::default().reads(true).fail_closed(true);
    let access = access.audit(FileSink::new(folder.join("audit.jsonl")), &config);
    let encrypt = EncryptConfig::default().pad(true).cache_ms(0);
    let encrypt = Encrypt::new(provider, sqlite(folder, "keys.db"), encrypt).unwrap();
    let hybrid = Arc::new(failover.build().unwrap());
    Stack::builder("hybrid", hybrid).layer(access).layer(encrypt).build().unwrap()
}

/// Sessions belong to whoever starts them, and the role `support` may read everything.
fn owned() -> Access {
    use craftx_access::Action::{List, Read, Search};
    let reading = Rule::new().roles(["support"]).actions([Read, List, Search]);
    let rules = Rules::new().allow(Rule::new().create(true)).allow(reading);
    Access::new(rules).unwrap().config(AccessConfig::default().ttl_ms(0)).unwrap()
}

/// A stack in which sessions have owners, ready for use.
fn opened(folder: &Path, provider: Arc<dyn KeyProvider>) -> Stack {
    let stack = stack(folder, provider, owned());
    block_on(stack.backend().prepare(&cx(), Prepare::Migrate)).unwrap();
    stack
}

/// On behalf of somebody.
fn by(who: &str) -> Context {
    Context::new(Tenant::default()).with_caller(Caller::principal(who, [""; 0]))
}
