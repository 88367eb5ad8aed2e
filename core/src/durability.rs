//! What an acknowledged write survives.

use serde::{Deserialize, Serialize};

use crate::Support;

/// What an acknowledged write to a file survives. Written `power-loss` and `process-crash` in configurations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// The crash of the machine and loss of power: everything is synced before it is acknowledged.
    #[default]
    PowerLoss,
    /// The crash of the process only. After loss of power the newest acknowledged writes may be gone, and each backend
    /// says what else may be. Only by this name, never by default.
    ProcessCrash,
}

impl Durability {
    /// Whether this is what the capability [`durable`](crate::Capabilities::durable) promises.
    pub fn is_durable(self) -> Support {
        match self {
            Self::PowerLoss => Support::Yes,
            Self::ProcessCrash => Support::No,
        }
    }
}
