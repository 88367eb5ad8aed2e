//! A row of the table: what was measured, against what, and what was to be reached.

use std::fmt::{self, Write as _};
use std::time::Duration;

/// A figure and what it counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    /// How many times as much, or as fast.
    Times(f64),
    /// Microseconds.
    Micros(f64),
    /// Mebibytes.
    MiB(f64),
    /// How many in a second.
    PerSecond(f64),
}

impl Value {
    fn number(self) -> f64 {
        match self {
            Self::Times(number) | Self::Micros(number) | Self::MiB(number) | Self::PerSecond(number) => number,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(number) => write!(f, "{number:.2} x"),
            Self::Micros(number) => write!(f, "{number:.2} µs"),
            Self::MiB(number) => write!(f, "{number:.0} MiB"),
            Self::PerSecond(number) => write!(f, "{number:.0} /s"),
        }
    }
}

/// What is to be reached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    AtLeast(Value),
    AtMost(Value),
    /// Nothing was promised; it is good to know.
    None,
}

impl Goal {
    fn is_met_by(self, value: Value) -> bool {
        match self {
            Self::AtLeast(goal) => value.number() >= goal.number(),
            Self::AtMost(goal) => value.number() <= goal.number(),
            Self::None => true,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(value) => write!(f, "≥ {value}"),
            Self::AtMost(value) => write!(f, "≤ {value}"),
            Self::None => write!(f, "–"),
        }
    }
}

/// One row.
#[derive(Debug)]
pub(crate) enum Row {
    Measured {
        what: String,
        craftx: String,
        /// What it is compared with, and its figure.
        baseline: String,
        value: Value,
        goal: Goal,
    },
    Skipped {
        what: String,
        reason: String,
    },
}

impl Row {
    pub(crate) fn skipped(&self) -> Option<&str> {
        match self {
            Self::Skipped { reason, .. } => Some(reason),
            Self::Measured { .. } => None,
        }
    }
}

/// The table as Markdown.
pub(crate) fn table(rows: &[(&str, Row)]) -> String {
    let mut table =
        String::from("| name | what | craftx | baseline | measured | goal | |\n|---|---|---|---|---|---|---|\n");
    for (name, row) in rows {
        let line = match row {
            Row::Measured { what, craftx, baseline, value, goal } => {
                let met = match goal {
                    Goal::None => "",
                    _ if goal.is_met_by(*value) => "met",
                    _ => "**missed**",
                };
                format!("| `{name}` | {what} | {craftx} | {baseline} | {value} | {goal} | {met} |")
            }
            Row::Skipped { what, reason } => format!("| `{name}` | {what} | | | | | skipped: {reason} |"),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(table, "{line}");
    }
    table
}

/// A time with the unit that suits it.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        1.0.. => format!("{seconds:.1} s"),
        1e-3.. => format!("{:.2} ms", seconds * 1e3),
        _ => format!("{:.2} µs", seconds * 1e6),
    }
}
