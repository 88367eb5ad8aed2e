//! `fill`: a disk is filled up to the last byte and freed again, while one handle goes on working.

use std::io::Write;
use std::path::Path;

use craftx_core::{ErrorKind, MessageQuery};
use craftx_integration_tests::faults::{Batch, Dice, Told, Work, open, system};
use futures_executor::block_on;

use crate::tell;

/// How many batches are written while there is space.
const BETWEEN: u64 = 5;
/// More batches than fit into what is left of a disk that is full.
const TOO_MANY: u64 = 2_000;

/// Fills the disk of `folder`, on which the store of `url` is, so many times.
pub(crate) fn fill(arguments: &[String]) -> Result<(), String> {
    let [url, seed, folder, cycles] = arguments else { return Err(crate::USAGE.to_owned()) };
    let number = |text: &String| text.parse::<u64>().map_err(|_| format!("`{text}` is no number"));
    let (work, cycles) = (Work { seed: number(seed)? }, number(cycles)?);
    let filler = Path::new(folder).join("filler");
    let store = open(url).map_err(|error| error.to_string())?;
    tell(&Told::Open)?;
    let mut next = 0;
    let mut write = || {
        let batch = work.batch(next).map_err(|error| error.to_string())?;
        tell(&Told::Trying(next))?;
        let written = batch.write(&store);
        tell(&Told::answer(next, written.as_ref().err()))?;
        next += 1;
        Ok::<_, String>((batch, written.err()))
    };
    for cycle in 0..cycles {
        for _ in 0..BETWEEN {
            if let (batch, Some(error)) = write()? {
                return Err(format!("cycle {cycle}: batch {} is refused though there is space: {error}", batch.number));
            }
        }
        fill_up(&filler, Dice::of(work.seed, cycle).below(20_000))?;
        let mut refused = 0;
        for _ in 0..TOO_MANY {
            let (batch, error) = write()?;
            let Some(error) = error else { continue };
            if error.kind() != ErrorKind::StorageFull {
                return Err(format!("cycle {cycle}: a full disk is `{}`", error.kind().as_str()));
            }
            refused += 1;
            read(&batch, &store)?;
            if refused == 3 {
                break;
            }
        }
        tell(&Told::Count("refused".to_owned(), refused))?;
        std::fs::remove_file(&filler).map_err(|error| error.to_string())?;
    }
    block_on(store.close(&system("default"))).map_err(|error| error.to_string())?;
    tell(&Told::End)
}

/// Takes all space but about so many bytes.
fn fill_up(filler: &Path, but: u64) -> Result<(), String> {
    let mut file = std::fs::File::create(filler).map_err(|error| error.to_string())?;
    let mut taken: u64 = 0;
    while let Ok(written) = file.write(&[0; 4_096]) {
        taken += written as u64;
    }
    file.set_len(taken.saturating_sub(but)).map_err(|error| error.to_string())
}

/// Reads go on while the disk is full.
fn read(batch: &Batch, store: &craftx_core::DynBackend) -> Result<(), String> {
    let session = batch.session().map_err(|error| error.to_string())?;
    match block_on(store.load(&batch.context(), &session, &MessageQuery::newest_first().limit(5))) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(format!("a full disk cannot be read: {error}")),
        _ => Ok(()),
    }
}
