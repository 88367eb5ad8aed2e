//! All checks, by area.

mod cancellation;
mod concurrency;
mod deadline;
mod durability;
mod expectations;
mod laws;
mod life_cycle;
mod model;
mod names;
mod reading;
mod replication;
mod sealed;
mod search;
mod sessions;
mod tenants;
mod text;
mod union;

use crate::check::Check;

/// Every check, in the order of the report.
pub(crate) fn all() -> impl Iterator<Item = &'static Check> {
    [
        union::CHECKS,
        text::CHECKS,
        names::CHECKS,
        reading::CHECKS,
        sessions::CHECKS,
        tenants::CHECKS,
        replication::CHECKS,
        expectations::CHECKS,
        sealed::CHECKS,
        search::CHECKS,
        life_cycle::CHECKS,
        deadline::CHECKS,
        durability::CHECKS,
        concurrency::CHECKS,
        cancellation::CHECKS,
        laws::CHECKS,
        model::CHECKS,
    ]
    .into_iter()
    .flatten()
}
