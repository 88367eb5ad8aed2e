//! `migrate`: copies a store to another, and tells again and again how many records it has copied.

use craftx::migrate::StorageMigrator;
use craftx::{Caller, Prepare, Stack, Storage};
use craftx_core::{DynBackend, Result};
use craftx_integration_tests::faults::{Told, opened_with, system};
use futures_executor::block_on;

use crate::tell;

pub(crate) fn migrate(arguments: &[String]) -> Result<(), String> {
    let [from, to, journal, options @ ..] = arguments else { return Err(crate::USAGE.to_owned()) };
    let bug = match options {
        [] => None,
        [option] => match option.split_once('=') {
            Some(("bug", name)) => Some(name.parse()?),
            _ => return Err(format!("there is no option `{option}`")),
        },
        _ => return Err(crate::USAGE.to_owned()),
    };
    let to = match bug {
        None => block_on(Storage::open(to)),
        Some(bug) => opened_with(to, Some(bug)).and_then(over),
    };
    let to = to.map_err(|error| error.to_string())?.for_caller(Caller::System);
    let run = async {
        let from = Storage::open_with(&craftx::builtin(), from, Prepare::Open).await?.for_caller(Caller::System);
        // Whoever listens may be gone: then this process is about to be killed.
        let _ = tell(&Told::Open);
        let watch = |progress: &craftx::migrate::Progress| {
            let _ = tell(&Told::Count("records".to_owned(), progress.records));
        };
        let ran = StorageMigrator::new(&from, &to).journal(journal).watch(watch).run().await?;
        let _ = tell(&Told::Count("applied".to_owned(), ran.applied));
        let _ = tell(&Told::Count("failures".to_owned(), ran.failures + u64::from(!ran.caught_up)));
        to.close().await?;
        from.close().await
    };
    block_on(run).map_err(|error| error.to_string())?;
    tell(&Told::End)
}

fn over(store: DynBackend) -> Result<Storage> {
    block_on(store.prepare(&system("default"), Prepare::Migrate))?;
    Ok(Storage::new(Stack::builder("faulty", store).build()?))
}
