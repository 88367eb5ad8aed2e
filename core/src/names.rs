//! Names in configurations: which may be shown, and which was probably meant.

/// Whether text looks like the name of a part, a profile or a key. What does not may be a secret that was typed into the
/// wrong place, so errors quote only what does.
///
/// ```
/// use craftx_core::is_name;
/// assert!(is_name("max_wal_bytes") && is_name("process-crash"));
/// assert!(!is_name("postgres://user:hunter2@host"));
/// ```
pub fn is_name(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+-".contains(&b))
}

/// A key as errors show it, its parts separated by dots.
pub(crate) fn shown_key(path: &[String]) -> String {
    let parts: Vec<_> = path.iter().map(|part| if is_name(part) { part.as_str() } else { "…" }).collect();
    format!("`{}`", parts.join("."))
}

/// A URL without what may be secret in it: who the user is, with which password, and the values of options.
///
/// ```
/// use craftx_core::shown_url;
/// assert_eq!(shown_url("s3://user:hunter2@host/path?token=hunter2"), "s3://…@host/path?…");
/// assert_eq!(shown_url("chat_logs"), "chat_logs");
/// ```
pub fn shown_url(url: &str) -> String {
    // A password may hold a `?`, so the user is taken out first.
    let (user, rest) = match url.rsplit_once('@') {
        Some((before, rest)) => {
            (before.split_once("://").map_or_else(|| "…@".to_owned(), |(scheme, _)| format!("{scheme}://…@")), rest)
        }
        None => (String::new(), url),
    };
    match rest.split_once('?') {
        Some((path, _)) => format!("{user}{path}?…"),
        None => format!("{user}{rest}"),
    }
}

/// The one of `known` that `name` was probably meant to be, if any is so near: up to a third of its characters may be
/// wrong, missing, added or swapped with their neighbour, or it is the beginning of one alone. Case, `-` and `_` make no
/// difference.
///
/// ```
/// use craftx_core::nearest;
/// assert_eq!(nearest("durabilty", ["path", "durability"]), Some("durability"));
/// assert_eq!(nearest("dur", ["path", "durability"]), Some("durability"));
/// assert_eq!(nearest("colour", ["path", "durability"]), None);
/// ```
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (meant, known) = (letters(name), known.into_iter().collect::<Vec<_>>());
    let begun: Vec<_> = known.iter().filter(|candidate| letters(candidate).starts_with(&meant)).collect();
    if let [only] = begun.as_slice()
        && meant.len() > 2
    {
        return Some(only);
    }
    let enough = (meant.len().div_ceil(3)).max(1);
    let measured = known.into_iter().map(|candidate| (distance(&meant, &letters(candidate)), candidate));
    measured.filter(|(distance, _)| *distance <= enough).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// Longer names than any that is known are cut, so that hostile ones cost nothing.
fn letters(name: &str) -> Vec<char> {
    name.chars().take(64).map(|letter| if letter == '-' { '_' } else { letter.to_ascii_lowercase() }).collect()
}

/// How many letters have to be changed, added, removed or swapped with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
            let changed = at(&last, j) + usize::from(from != to);
            let mut least = changed.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(to) && b.get(j - 1) == Some(from);
            if swapped {
                least = least.min(at(&before_last, j - 1) + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_changes_and_swaps() {
        let of = |a: &str, b: &str| distance(&letters(a), &letters(b));
        for (a, b, expected) in
            [("", "", 0), ("", "ab", 2), ("ab", "ba", 1), ("sqlite", "sqltie", 1), ("abc", "xbcd", 2)]
        {
            assert_eq!(of(a, b), expected, "{a} {b}");
            assert_eq!(of(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn nothing_before_the_last_at_and_after_the_first_question_mark_is_shown() {
        for (url, shown) in [
            ("sqlite:a.db", "sqlite:a.db"),
            ("sqlite:a.db?key=x", "sqlite:a.db?…"),
            ("pg://u:p@ss?word@host/db?a=b", "pg://…@host/db?…"),
            ("pg:u:p@host", "…@host"),
            ("", ""),
        ] {
            assert_eq!(shown_url(url), shown);
        }
    }

    #[test]
    fn what_is_spelled_in_another_style_is_the_same() {
        assert_eq!(nearest("Production-SQLite", ["development", "production_sqlite"]), Some("production_sqlite"));
        assert_eq!(nearest("x", ["path"]), None);
        assert_eq!(nearest("", ["path"]), None);
    }
}
