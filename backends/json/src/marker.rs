//! The file that makes a folder a store.

use craftx_core::{Context, Error, ErrorKind, Prepare, Result, random_id};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{corrupted, io_error, shown};
use crate::file::Disk;
use crate::header::{VERSION, too_new};
use crate::layout::{LEGACY, Layout};
use crate::lock::Locks;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    v: u32,
    craftx: Kind,
    store: Uuid,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Store,
}

#[derive(Deserialize)]
struct OnlyVersion {
    v: u32,
}

/// What a folder was opened as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// A store.
    Store(Uuid),
    /// A folder of CraftX.py that nobody has migrated yet: it can only be read.
    Legacy,
}

/// Opens the folder, or creates what is missing if `mode` says so.
pub(crate) fn prepare(cx: &Context, disk: &Disk, layout: &Layout, locks: &Locks, mode: Prepare) -> Result<Opened> {
    if let Some(store) = read(disk, layout)? {
        return Ok(Opened::Store(store));
    }
    if mode == Prepare::Migrate {
        return create(cx, disk, layout, locks).map(Opened::Store);
    }
    let names = disk.list(layout.root()).map_err(|error| io_error("cannot read the folder", layout.root(), error))?;
    let is_legacy = |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.ends_with(LEGACY));
    match names {
        Some(names) if names.iter().any(|(name, is_dir)| !is_dir && is_legacy(name)) => Ok(Opened::Legacy),
        _ => {
            Err(Error::new(ErrorKind::NotFound, "there is no store in this folder")
                .with("folder", shown(layout.root())))
        }
    }
}

fn read(disk: &Disk, layout: &Layout) -> Result<Option<Uuid>> {
    let path = layout.marker();
    let failed = |error| match layout.root().is_file() {
        true => Error::new(ErrorKind::ConfigInvalid, "a JSON store is a folder, and this is a file")
            .with("file", shown(layout.root()))
            .because(error),
        false => io_error("cannot read what the folder is", &path, error),
    };
    let Some(file) = disk.open(&path).map_err(failed)? else { return Ok(None) };
    let bytes = disk.read(&file, 0, 4_096).map_err(failed)?;
    match serde_json::from_slice::<OnlyVersion>(&bytes) {
        Ok(OnlyVersion { v }) if v > VERSION => Err(too_new(v).with("file", shown(&path))),
        _ => match serde_json::from_slice::<Marker>(&bytes) {
            Ok(marker) if marker.v == VERSION => Ok(Some(marker.store)),
            _ => Err(corrupted(&path, None, "the file does not say what the folder is")),
        },
    }
}

fn create(cx: &Context, disk: &Disk, layout: &Layout, locks: &Locks) -> Result<Uuid> {
    create_folders(disk, layout)?;
    let _held = locks.store(cx)?;
    // Another process may have been faster.
    if let Some(store) = read(disk, layout)? {
        return Ok(store);
    }
    let marker = Marker { v: VERSION, craftx: Kind::Store, store: random_id() };
    // Serialising these fields to a string cannot fail.
    let text = format!("{}\n", serde_json::to_string(&marker).unwrap_or_default());
    let path = layout.temporary_marker();
    let failed = |error| io_error("cannot create the store", &path, error);
    let file = disk.create(&path).map_err(failed)?;
    disk.write(&file, 0, text.as_bytes()).map_err(failed)?;
    // Synced whatever the durability: it happens once.
    disk.sync(&file).map_err(failed)?;
    disk.rename(&path, &layout.marker()).map_err(failed)?;
    disk.sync_dir(layout.root()).map_err(failed)?;
    Ok(marker.store)
}

/// Creates the folder and its parents, each durable in the one above.
fn create_folders(disk: &Disk, layout: &Layout) -> Result<()> {
    let missing = layout.root().ancestors().take_while(|path| !path.exists());
    for path in missing.collect::<Vec<_>>().into_iter().rev() {
        let failed = |error| io_error("cannot create the folder", path, error);
        disk.create_dir(path).map_err(failed)?;
        if let Some(parent) = path.parent() {
            disk.sync_dir(parent).map_err(failed)?;
        }
    }
    Ok(())
}
