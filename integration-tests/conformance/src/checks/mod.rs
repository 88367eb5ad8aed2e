//! All checks, by area.

mod reading;
mod text;
mod union;

use crate::check::Check;

/// Every check, in the order of the report.
pub(crate) fn all() -> impl Iterator<Item = &'static Check> {
    [union::CHECKS, text::CHECKS, reading::CHECKS].into_iter().flatten()
}
