//! What the fault tests share with the program that they kill, starve and lie to.
//!
//! The work is a pure function of a seed: [`batch`](Work::batch) number n of a seed is the same in every process, so a
//! test knows what a store must hold when it knows which batches were acknowledged ([`Told`]).

mod dice;
mod event;
mod hybrid;
mod medium;
mod told;
mod work;
mod wrong;

pub use dice::Dice;
pub use event::{Call, Event};
pub use hybrid::Hybrid;
pub use medium::{Medium, open, opened, system};
pub use told::Told;
pub use work::{Batch, Key, Work, keys};
pub use wrong::{Bug, opened_with};
