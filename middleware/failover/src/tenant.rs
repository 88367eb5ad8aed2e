//! The tenant in the legs that is ours.
//!
//! A leg may be a failover itself, and the outer one keeps its marks in the inner one. So a tenant that begins with the
//! reserved name is let in under a longer name, and comes out under its own: each level has one that nobody else reaches.

use craftx_core::{Context, Error, ErrorKind, Result, Tenant};

/// Where marks and the identities of the legs are kept.
pub(crate) const RESERVED: &str = "craftx.failover";

/// The name under which the legs know a tenant.
///
/// # Errors
/// [`ErrorKind::PermissionDenied`] for a reserved one, unless the caller is the system.
pub(crate) fn inside(cx: &Context) -> Result<Tenant> {
    if !cx.tenant.as_str().starts_with(RESERVED) {
        return Ok(cx.tenant.clone());
    }
    cx.require_system()?;
    Tenant::new(format!("{}+", cx.tenant))
        .map_err(|_| Error::new(ErrorKind::PermissionDenied, "tenants that begin with `craftx.failover` are reserved"))
}

/// The name under which users know a tenant of the legs; `None` for the one that is ours.
pub(crate) fn outside(tenant: &Tenant) -> Option<Tenant> {
    if !tenant.as_str().starts_with(RESERVED) {
        return Some(tenant.clone());
    }
    tenant.as_str().strip_suffix('+').and_then(|name| Tenant::new(name).ok())
}
