//! All checks, by area.

mod names;
mod reading;
mod sessions;
mod tenants;
mod text;
mod union;

use crate::check::Check;

/// Every check, in the order of the report.
pub(crate) fn all() -> impl Iterator<Item = &'static Check> {
    [union::CHECKS, text::CHECKS, names::CHECKS, reading::CHECKS, sessions::CHECKS, tenants::CHECKS]
        .into_iter()
        .flatten()
}
