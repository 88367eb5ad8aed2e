//! Asking before something is destroyed for ever.

use std::fmt;
use std::io::{self, IsTerminal};

use craftx::Error;

use crate::exit::Failure;
use crate::global::Global;
use crate::output;
use crate::stdin;

/// Whether somebody agrees to `what`, who has said so with `--yes` or is asked.
///
/// # Errors
/// If nobody can be asked.
pub(crate) async fn agrees(global: &Global, yes: bool, what: impl fmt::Display) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if global.json || !io::stdin().is_terminal() {
        return Err(Error::invalid("--yes", "must be said where nobody can be asked").into());
    }
    output::say(format_args!("{what}\ngo on? [y/N]"));
    let answer = stdin::read(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    });
    let agrees = is_yes(&answer.await?);
    if !agrees {
        output::say("nothing was done");
    }
    Ok(agrees)
}

/// Everything else is no, the end of the input included.
fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_yes_is_yes() {
        assert!(["y\n", "Y", " yes \r\n", "YES\n"].into_iter().all(is_yes));
        assert!(["", "\n", "n\n", "no", "ye", "yes please\n", "j\n"].into_iter().all(|answer| !is_yes(answer)));
    }
}
