//! Eight processes on one store: whatever they do at the same time, one after the other would explain it.

use craftx_integration_tests::faults::{Event, Medium, Told};

use crate::history;
use crate::ledger::Sums;
use crate::size::{Trial, times};
use crate::worker::{PROGRAM, Worker};

const PROCESSES: u64 = 8;

/// Lets the processes work for so many seconds. Every call that fails ends its process, `locked` ones included.
fn together(medium: Medium, seed: u64, seconds: u64, bug: Option<&str>, sums: &mut Sums) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let history = |who: u64| folder.path().join(format!("history-{who}"));
    let start = |who: u64| {
        let mut words = vec![PROGRAM.to_owned(), "mixed".to_owned(), medium.url(folder.path(), "")];
        words.extend([seed.to_string(), who.to_string(), history(who).display().to_string(), seconds.to_string()]);
        words.extend(bug.map(|bug| format!("bug={bug}")));
        Worker::start(&words)
    };
    let workers: Vec<Worker> = (0..PROCESSES).map(start).collect();
    for (who, worker) in workers.into_iter().enumerate() {
        let (told, status) = worker.finish();
        if !status.success() || told.last() != Some(&Told::End) {
            return Err(format!("process {who} ended with {status} after {told:?}"));
        }
    }
    let mut events: Vec<Event> = Vec::new();
    for who in 0..PROCESSES {
        let lines = std::fs::read_to_string(history(who)).unwrap();
        events.extend(lines.lines().map(|line| line.parse::<Event>().unwrap()));
    }
    events.sort_by_key(|event| event.began);
    let mut latest = 0;
    for event in &events {
        sums.add("calls", 1);
        sums.add("that overlapped", u64::from(event.began < latest));
        latest = latest.max(event.ended);
    }
    history::check(&events)
}

fn are_linearizable(medium: Medium) {
    let trial = Trial::new(format!("{PROCESSES} processes, {medium}"));
    let mut sums = Sums::default();
    if let Err(wrong) = together(medium, trial.seed, times(30, 600), None, &mut sums) {
        trial.fail("the only run", wrong);
    }
    trial.told(&sums);
    assert!(sums.get("calls") > 500, "{sums}");
    assert!(sums.get("that overlapped") * 4 > sums.get("calls"), "they do not get in each other's way: {sums}");
}

#[test]
fn json_is_linearizable_with_eight_processes() {
    are_linearizable(Medium::Json);
}

#[test]
fn sqlite_is_linearizable_with_eight_processes() {
    are_linearizable(Medium::Sqlite);
}

#[test]
fn a_store_that_reads_the_old_is_found_out() {
    for medium in Medium::ALL {
        let trial = Trial::new(format!("{PROCESSES} processes, {medium}, ReadsTheOld"));
        let wrong = together(medium, trial.seed, 3, Some("ReadsTheOld"), &mut Sums::default()).unwrap_err();
        trial.told(&wrong);
        assert!(wrong.starts_with("session"), "{wrong}");
    }
}
