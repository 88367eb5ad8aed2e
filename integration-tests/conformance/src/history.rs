//! A checker for histories of compare-and-append: was there one order of all calls that explains every answer?

use craftx_core::Stamp;

/// What one call did or saw, and when it began and ended by a counter that all tasks share.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A write that expected one version and made another.
    Moved { from: Option<Stamp>, to: Stamp },
    /// A read, or a write that was refused and told the version.
    Saw(Option<Stamp>),
}

/// Checks that the history of one session is linearizable.
///
/// Versions are unique and each write names the one before it, so the order of the writes is known, and a history is
/// linearizable exactly if no call that began after another had ended saw or made an earlier version (Gibbons and
/// Korach, *Testing Shared Memories*, 1997).
pub(crate) fn check(history: &[Event]) -> Result<(), String> {
    let mut writes: Vec<(Option<Stamp>, Stamp)> = history
        .iter()
        .filter_map(|event| match event.what {
            What::Moved { from, to } => Some((from, to)),
            What::Saw(_) => None,
        })
        .collect();
    writes.sort_unstable_by_key(|(_, to)| *to);
    let mut last = None;
    for (from, to) in &writes {
        if *from != last {
            return Err(format!(
                "two writes went on from {from:?}, or one from a version that was not the last ({last:?})"
            ));
        }
        last = Some(*to);
    }
    let place = |event: &Event| -> Result<usize, String> {
        let version = match event.what {
            What::Moved { to, .. } => Some(to),
            What::Saw(version) => version,
        };
        match version {
            None => Ok(0),
            Some(version) => writes
                .binary_search_by_key(&version, |(_, to)| *to)
                .map(|index| index + 1)
                .map_err(|_| format!("somebody saw the version {version}, which nobody made")),
        }
    };
    let placed = history.iter().map(|event| Ok((event, place(event)?))).collect::<Result<Vec<_>, String>>()?;
    for (before, at) in &placed {
        for (after, then) in placed.iter().filter(|(after, _)| before.ended < after.began) {
            let writes = matches!(after.what, What::Moved { .. });
            if then < at || (writes && then == at) {
                return Err(format!("{after:?} began after {before:?} had ended, and is earlier"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::at;

    fn event(began: u64, ended: u64, what: What) -> Event {
        Event { began, ended, what }
    }

    fn moved(from: Option<u64>, to: u64) -> What {
        What::Moved { from: from.map(at), to: at(to) }
    }

    #[test]
    fn a_chain_with_overlapping_reads_is_fine() {
        let history = [
            event(0, 5, moved(None, 1)),
            event(1, 2, What::Saw(None)),
            event(3, 4, What::Saw(Some(at(1)))),
            event(6, 9, moved(Some(1), 2)),
            event(7, 8, What::Saw(Some(at(1)))),
            event(10, 11, What::Saw(Some(at(2)))),
        ];
        assert_eq!(check(&history), Ok(()));
    }

    #[test]
    fn two_winners_are_found() {
        assert!(check(&[event(0, 5, moved(None, 1)), event(1, 4, moved(None, 2))]).is_err());
    }

    #[test]
    fn a_stale_read_is_found() {
        assert!(check(&[event(0, 1, moved(None, 1)), event(2, 3, What::Saw(None))]).is_err());
    }

    #[test]
    fn a_read_of_the_future_is_found() {
        assert!(check(&[event(0, 1, What::Saw(Some(at(1)))), event(2, 3, moved(None, 1))]).is_err());
        assert!(check(&[event(0, 1, What::Saw(Some(at(1))))]).is_err());
    }

    #[test]
    fn reads_that_go_backwards_are_found() {
        let history = [event(0, 9, moved(None, 1)), event(1, 2, What::Saw(Some(at(1)))), event(3, 4, What::Saw(None))];
        assert!(check(&history).is_err());
    }
}
