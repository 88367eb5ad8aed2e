//! The kit over SQLite and JSON, and over SQLite twice; and over each, and memory twice, with one of the stores away.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use craftx_conformance::{Entry, Failure, Finding, Kit, Plug, Subject, conformance};
use craftx_core::{DynBackend, Memory, Prepare, Result, Surrounded};
use craftx_failover::{Failover, FailoverConfig, Mirror, Processes};
use craftx_integration_tests::faults::system;
use craftx_json::{Json, JsonConfig};
use craftx_sqlite::{Sqlite, SqliteConfig};

/// The stores within a folder, the primary first.
type Legs = fn(&Path) -> Result<[DynBackend; 2]>;

fn memory_twice(_: &Path) -> Result<[DynBackend; 2]> {
    Ok([Arc::new(Memory::new()), Arc::new(Memory::new())])
}

fn sqlite_and_json(folder: &Path) -> Result<[DynBackend; 2]> {
    Ok([sqlite(folder, "primary.db")?, Arc::new(Json::new(&JsonConfig::new(folder.join("secondary")))?)])
}

fn sqlite_twice(folder: &Path) -> Result<[DynBackend; 2]> {
    Ok([sqlite(folder, "primary.db")?, sqlite(folder, "secondary.db")?])
}

fn sqlite(folder: &Path, name: &str) -> Result<DynBackend> {
    Ok(Arc::new(Sqlite::new(SqliteConfig::new(folder.join(name)))?))
}

fn over([primary, secondary]: [DynBackend; 2], config: FailoverConfig) -> Result<DynBackend> {
    let builder = Failover::builder("primary", primary).secondary("secondary", secondary);
    Ok(Arc::new(builder.config(config).build()?))
}

fn subject(legs: Legs, mirror: Mirror) -> Result<Subject, Failure> {
    let folder = tempfile::tempdir()?;
    let path: PathBuf = folder.path().to_owned();
    let open = move || over(legs(&path)?, FailoverConfig::default().mirror(mirror));
    let subject = Subject::from(open()?);
    Ok(subject
        .reopening(move || {
            let opened = open();
            async move { Ok(opened?) }
        })
        .holding(folder))
}

conformance!(sqlite_mirrored_to_json, || async { subject(sqlite_and_json, Mirror::Async) }, |kit| kit
    .cases(40)
    .sequences(20)
    .rounds(5));
conformance!(sqlite_mirrored_to_sqlite, || async { subject(sqlite_twice, Mirror::Sync) }, |kit| kit
    .cases(40)
    .sequences(20)
    .rounds(5));

/// Both stores meet; then one is away for the rest of the time.
async fn without(legs: Legs, away: usize) -> Result<Subject, Failure> {
    let (folder, plug) = (tempfile::tempdir()?, Arc::new(Plug::default()));
    let mut legs = legs(folder.path())?;
    legs[away] = Arc::new(Surrounded::new(Arc::clone(&plug), Arc::clone(&legs[away])));
    let config = FailoverConfig::default().processes(Processes::Single).heal_interval_ms(20);
    let store = over(legs, config)?;
    store.prepare(&system("default"), Prepare::Migrate).await?;
    plug.pull(true);
    Ok(Subject::from(store).holding(folder))
}

/// What cannot be done while a leg is away: forgetting deletions, as the leg would bring the dead back; and, without the
/// primary, comparing. The model does both.
fn is_refused(entry: &Entry, away: usize) -> bool {
    let Finding::Failed(why) = &entry.finding else { return false };
    let compares = away == 0 && entry.extends.contains(&"compare_and_append");
    let purges = ["compaction", "purge", "model"].iter().any(|word| entry.name.contains(word));
    (compares || purges || entry.name.contains("expectations")) && why.to_lowercase().contains("unavailable")
}

/// Everything works with one leg but what is refused for a reason.
fn passes_without(legs: Legs, cases: u64, away: usize, refused: usize) {
    let kit = Kit::new(format!("leg {away} is away"), move || without(legs, away));
    let report = kit.cases(cases).sequences(cases / 2).rounds(5).run();
    let odd: Vec<_> = report.failed().filter(|entry| !is_refused(entry, away)).map(|entry| entry.name).collect();
    assert!(odd.is_empty(), "{odd:?}\n{report}");
    let (passed, failed, _) = report.counts();
    assert!(failed <= refused && passed >= 120, "{report}");
}

macro_rules! passes_without_a_leg {
    ($($legs:ident: $cases:literal, $no_secondary:ident, $no_primary:ident,)*) => {$(
        #[test]
        fn $no_secondary() {
            passes_without($legs, $cases, 1, 6);
        }

        #[test]
        fn $no_primary() {
            passes_without($legs, $cases, 0, 16);
        }
    )*};
}

passes_without_a_leg! {
    memory_twice: 400,
        memory_does_all_but_purging_while_the_secondary_is_away,
        memory_does_all_but_purging_and_comparing_while_the_primary_is_away,
    sqlite_and_json: 40,
        sqlite_and_json_do_all_but_purging_while_the_secondary_is_away,
        sqlite_and_json_do_all_but_purging_and_comparing_while_the_primary_is_away,
    sqlite_twice: 40,
        sqlite_twice_does_all_but_purging_while_the_secondary_is_away,
        sqlite_twice_does_all_but_purging_and_comparing_while_the_primary_is_away,
}
