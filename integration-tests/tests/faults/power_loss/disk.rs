//! A model of a disk, and what a loss of power may leave on it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use craftx_integration_tests::faults::Dice;

use super::record::Event;

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// The disk below one folder, which is durable itself.
#[derive(Clone)]
pub(crate) struct Disk {
    root: PathBuf,
    names: BTreeMap<PathBuf, usize>,
    folders: BTreeSet<PathBuf>,
    /// Changes of names that no sync of their folder has made durable.
    pending: Vec<NameChange>,
    files: Vec<FileModel>,
    /// The names as the worker sees them.
    live: BTreeMap<PathBuf, usize>,
}

#[derive(Clone)]
enum NameChange {
    Set(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Remove(PathBuf),
    Folder(PathBuf),
}

#[derive(Clone, Default)]
struct FileModel {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

/// How a world loses what was not synced.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Everything,
    Nothing,
    /// The changes from some time on; of the rest, any sectors.
    TheLast,
    /// Any changes.
    Any,
}

impl Disk {
    /// An empty folder.
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            names: BTreeMap::new(),
            folders: BTreeSet::from([root.to_owned()]),
            pending: Vec::new(),
            files: Vec::new(),
            live: BTreeMap::new(),
        }
    }

    pub(crate) fn follow(&mut self, event: &Event) {
        match event {
            Event::Create { path } if self.live.contains_key(path) => {}
            Event::Create { path } => {
                self.live.insert(path.clone(), self.files.len());
                self.pending.push(NameChange::Set(path.clone(), self.files.len()));
                self.files.push(FileModel::default());
            }
            Event::Write { path, offset, bytes } => self.change(path, Change::Write(*offset, bytes.clone())),
            Event::SetLen { path, len } => self.change(path, Change::SetLen(*len)),
            Event::Sync { path } => match self.live.get(path) {
                Some(file) => self.files[*file].settle(),
                None => self.sync_folder(path),
            },
            Event::Rename { from, to } => {
                let file = self.live.remove(from).unwrap();
                self.live.insert(to.clone(), file);
                self.pending.push(NameChange::Rename(from.clone(), to.clone(), file));
            }
            Event::Remove { path } => {
                if self.live.remove(path).is_some() {
                    self.pending.push(NameChange::Remove(path.clone()));
                }
            }
            Event::CreateDir { path } => self.pending.push(NameChange::Folder(path.clone())),
            Event::Told(_) => {}
        }
    }

    /// What is written to a file that has no name any more is gone with it.
    fn change(&mut self, path: &Path, change: Change) {
        if let Some(file) = self.live.get(path) {
            self.files[*file].pending.push(change);
        }
    }

    fn sync_folder(&mut self, folder: &Path) {
        let pending = std::mem::take(&mut self.pending);
        let (durable, pending): (Vec<_>, Vec<_>) = pending.into_iter().partition(|change| change.folder() == folder);
        self.pending = pending;
        durable.iter().for_each(|change| change.apply(&mut self.names, &mut self.folders));
    }

    /// Writes what a loss of power leaves in one world into another folder.
    pub(crate) fn lose_power(&self, dice: &mut Dice, to: &Path) {
        let loss = match dice.below(8) {
            0 => Loss::Everything,
            1 => Loss::Nothing,
            2..5 => Loss::TheLast,
            _ => Loss::Any,
        };
        let (mut names, mut folders) = (self.names.clone(), self.folders.clone());
        for change in &self.pending {
            let kept = match loss {
                Loss::Everything => false,
                Loss::Nothing => true,
                Loss::TheLast | Loss::Any => dice.once_in(2),
            };
            if kept {
                change.apply(&mut names, &mut folders);
            }
        }
        let place = |path: &Path| to.join(path.strip_prefix(&self.root).unwrap());
        let has_parents = |path: &Path| {
            path.ancestors().skip(1).take_while(|at| at.starts_with(&self.root)).all(|at| folders.contains(at))
        };
        for folder in folders.iter().filter(|folder| has_parents(folder)) {
            std::fs::create_dir_all(place(folder)).unwrap();
        }
        for (name, file) in names.iter().filter(|(name, _)| has_parents(name)) {
            std::fs::write(place(name), self.files[*file].image(loss, dice)).unwrap();
        }
    }
}

impl NameChange {
    fn folder(&self) -> &Path {
        let (Self::Set(path, _) | Self::Rename(_, path, _) | Self::Remove(path) | Self::Folder(path)) = self;
        path.parent().unwrap()
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>, folders: &mut BTreeSet<PathBuf>) {
        match self {
            Self::Set(path, file) => drop(names.insert(path.clone(), *file)),
            Self::Rename(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
            Self::Remove(path) => drop(names.remove(path)),
            Self::Folder(path) => drop(folders.insert(path.clone())),
        }
    }
}

impl FileModel {
    fn settle(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            change.apply(&mut self.durable, |_| true);
        }
    }

    fn image(&self, loss: Loss, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let reached = match loss {
            Loss::Everything => 0,
            Loss::Nothing | Loss::Any => self.pending.len(),
            Loss::TheLast => dice.below(self.pending.len() as u64 + 1) as usize,
        };
        for change in &self.pending[..reached] {
            match loss {
                Loss::Any if dice.once_in(2) => {}
                Loss::TheLast | Loss::Any => {
                    let (all, none) = (dice.once_in(3), dice.once_in(6));
                    change.apply(&mut bytes, |_| all || (!none && dice.once_in(2)));
                }
                Loss::Nothing | Loss::Everything => change.apply(&mut bytes, |_| true),
            }
        }
        bytes
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, mut sector_is_written: impl FnMut(usize) -> bool) {
        match self {
            Self::SetLen(len) => bytes.resize(*len, 0),
            Self::Write(offset, new) => {
                bytes.resize(bytes.len().max(offset + new.len()), 0);
                let mut at = 0;
                while at < new.len() {
                    let sector = (offset + at) / SECTOR;
                    let end = ((sector + 1) * SECTOR - offset).min(new.len());
                    if sector_is_written(sector) {
                        bytes[offset + at..offset + end].copy_from_slice(&new[at..end]);
                    }
                    at = end;
                }
            }
        }
    }
}
