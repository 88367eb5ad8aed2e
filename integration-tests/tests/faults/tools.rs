//! What a machine must have for some faults to be made.

use std::process::{Command, Stdio};

/// Whether the command of these words runs here. If not, the test says so and passes, unless `CRAFTX_TEST_REQUIRE=all`.
pub(crate) fn has(what_for: &str, words: &[&str]) -> bool {
    let ran = Command::new(words[0]).args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if ran.is_ok_and(|status| status.success()) {
        return true;
    }
    assert!(
        std::env::var("CRAFTX_TEST_REQUIRE").as_deref() != Ok("all"),
        "{what_for} needs `{}`, which does not run here",
        words.join(" ")
    );
    eprintln!("skipped: {what_for} needs `{}`", words.join(" "));
    false
}

/// Whether calls to the operating system can be watched and made to fail.
pub(crate) fn has_strace(what_for: &str) -> bool {
    has(what_for, &["strace", "-f", "-qq", "-o", "/dev/null", "true"])
}
