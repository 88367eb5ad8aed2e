//! A check: one promise, and how it is tried.

use std::time::Duration;

use craftx_core::{Capabilities, Support};

use crate::bench::Bench;
use crate::report::{Entry, Finding};
use crate::subject::BoxFuture;

/// One promise of SEMANTICS and how it is tried.
#[derive(Clone, Copy)]
pub(crate) struct Check {
    /// Stable; unique within the kit.
    pub(crate) name: &'static str,
    pub(crate) area: &'static str,
    pub(crate) promise: &'static str,
    pub(crate) needs: &'static [Need],
    pub(crate) run: fn(Bench) -> BoxFuture<Verdict>,
}

/// What a check needs to make sense.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need {
    /// The store claims this capability.
    Can(&'static str),
    /// The store does not claim this capability.
    Cannot(&'static str),
    /// The store can be opened again.
    Reopen,
    /// The bytes of the medium can be read.
    Bytes,
}

impl Check {
    /// The capabilities that the check tests, claimed or not.
    pub(crate) fn extends(&self) -> Vec<&'static str> {
        let capability = |need: &Need| match need {
            Need::Can(name) | Need::Cannot(name) => Some(*name),
            Need::Reopen | Need::Bytes => None,
        };
        self.needs.iter().filter_map(capability).collect()
    }

    /// What is reported of it.
    pub(crate) fn entry(&self, finding: Finding, took: Duration) -> Entry {
        let Self { name, area, promise, .. } = *self;
        Entry { name, area, promise, extends: self.extends(), finding, took }
    }
}

impl Need {
    /// Why a check with this need is skipped; `None` if it is not.
    pub(crate) fn lacking(self, capabilities: &Capabilities, reopens: bool, shows_bytes: bool) -> Option<String> {
        let claims = |wanted: &str| capabilities.named().contains(&(wanted, Support::Yes));
        match self {
            Self::Can(name) if !claims(name) => Some(format!("the store does not claim `{name}`")),
            Self::Cannot(name) if claims(name) => Some(format!("the store claims `{name}`")),
            Self::Reopen if !reopens => Some("the factory does not say how to reopen the store".to_owned()),
            Self::Bytes if !shows_bytes => Some("the factory does not show the bytes of the medium".to_owned()),
            _ => None,
        }
    }
}

/// `Ok` if the promise was kept.
pub(crate) type Verdict<T = ()> = Result<T, Stop>;

/// Why a check ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The promise was broken.
    Fail(String),
    /// The promise cannot be tried here.
    Skip(String),
}

impl From<craftx_core::Error> for Stop {
    #[track_caller]
    fn from(error: craftx_core::Error) -> Self {
        let place = std::panic::Location::caller();
        Self::Fail(format!("unexpected error ({}:{}): {error:?}", place.file(), place.line()))
    }
}

/// Shortens what a failure shows: a report is for reading.
pub(crate) fn short(text: impl std::fmt::Display) -> String {
    const LONGEST: usize = 700;
    let text = text.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}… ({} bytes)", text.get(..end).unwrap_or_default(), text.len()),
        None => text,
    }
}

/// Fails the check unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err($crate::check::Stop::Fail($crate::check::short(format_args!($($why)+))));
        }
    };
}

/// Fails the check unless both sides are equal, and shows them.
macro_rules! ensure_eq {
    ($found:expr, $wanted:expr, $($why:tt)+) => {
        // A `match` keeps temporaries alive until the comparison is done.
        match (&$found, &$wanted) {
            (found, wanted) if found == wanted => {}
            (found, wanted) => {
                return Err($crate::check::Stop::Fail(format!(
                    "{}: found {}, wanted {}",
                    format_args!($($why)+),
                    $crate::check::short(format_args!("{found:?}")),
                    $crate::check::short(format_args!("{wanted:?}")),
                )));
            }
        }
    };
}

/// Lists the checks of an area: `name [needs] => "the promise";`.
macro_rules! checks {
    ($area:literal: $($name:ident [$($need:expr),*] => $promise:literal;)+) => {
        pub(crate) const CHECKS: &[$crate::check::Check] = &[$(
            $crate::check::Check {
                name: stringify!($name),
                area: $area,
                promise: $promise,
                needs: {
                    #[allow(unused_imports, reason = "an area may have no needs")]
                    use $crate::check::Need::*;
                    &[$($need),*]
                },
                run: |bench| Box::pin($name(bench)),
            },
        )+];
    };
}

pub(crate) use {checks, ensure, ensure_eq};
