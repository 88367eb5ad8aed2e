//! Tests: power is lost between any two calls to the file system, and again while the store recovers.
//!
//! A model of a disk follows the calls of a store. What was synced is there; of what was not, any part may be: each
//! change of a name or not, each write with any of its sectors, and the size as it was at any time since.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use craftx_core::{
    Backend, Compact, Context, ErrorKind, Message, MessageQuery, Prepare, Record, Role, SessionId, Stamp, Tenant,
    WriteOptions,
};
use futures_executor::block_on;

use crate::file::Disk;
use crate::file::tests::Event;
use crate::{Durability, Json, JsonConfig};

const SECTOR: usize = 512;

/// A generator that gives the same numbers everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// The disk under a folder.
#[derive(Clone, Default)]
struct Model {
    names: BTreeMap<PathBuf, usize>,
    dirs: BTreeSet<PathBuf>,
    /// Changes of names that no sync of their folder has made durable.
    pending: Vec<NameChange>,
    files: Vec<FileModel>,
    numbers: HashMap<u64, usize>,
    live: HashMap<PathBuf, usize>,
}

#[derive(Clone)]
enum NameChange {
    Set(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Remove(PathBuf),
    Dir(PathBuf),
}

impl NameChange {
    fn parent(&self) -> &Path {
        let (Self::Set(path, _) | Self::Rename(_, path, _) | Self::Remove(path) | Self::Dir(path)) = self;
        path.parent().unwrap()
    }
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

impl FileModel {
    fn settle(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            change.apply(&mut self.durable, |_| true);
        }
    }

    /// What a loss of power leaves.
    fn image(&self, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for change in &self.pending[..dice.below(self.pending.len() + 1)] {
            let (all, none) = (dice.below(4) == 0, dice.below(4) == 0);
            // The new end of a file may reach the disk later than what is written there afterwards.
            if matches!(change, Change::SetLen(_)) && none {
                continue;
            }
            change.apply(&mut bytes, |_| all || (!none && dice.flip()));
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

impl Model {
    /// A folder whose content is durable.
    fn of(root: &Path) -> Self {
        let mut model = Self::default();
        model.dirs.insert(root.to_owned());
        let mut dirs = vec![root.to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(&dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    model.dirs.insert(path.clone());
                    dirs.push(path);
                } else {
                    use std::os::unix::fs::MetadataExt;
                    let number = std::fs::metadata(&path).unwrap().ino();
                    model.numbers.insert(number, model.files.len());
                    model.names.insert(path.clone(), model.files.len());
                    model.live.insert(path.clone(), model.files.len());
                    model.files.push(FileModel { durable: std::fs::read(&path).unwrap(), pending: Vec::new() });
                }
            }
        }
        model
    }

    fn follow(&mut self, event: Event) {
        match event {
            Event::Create { path, file } => {
                self.numbers.insert(file, self.files.len());
                self.live.insert(path.clone(), self.files.len());
                self.pending.push(NameChange::Set(path, self.files.len()));
                self.files.push(FileModel::default());
            }
            Event::Write { file, offset, bytes } => {
                self.file(file).pending.push(Change::Write(offset as usize, bytes));
            }
            Event::SetLen { file, len } => self.file(file).pending.push(Change::SetLen(len as usize)),
            Event::Sync { file } => self.file(file).settle(),
            Event::Rename { from, to } => {
                let file = self.live.remove(&from).unwrap();
                self.live.insert(to.clone(), file);
                self.pending.push(NameChange::Rename(from, to, file));
            }
            Event::Remove { path } => {
                if self.live.remove(&path).is_some() {
                    self.pending.push(NameChange::Remove(path));
                }
            }
            Event::CreateDir { path } => self.pending.push(NameChange::Dir(path)),
            Event::SyncDir { path } => {
                let (durable, pending) =
                    std::mem::take(&mut self.pending).into_iter().partition(|c| c.parent() == path);
                self.pending = pending;
                let durable: Vec<NameChange> = durable;
                for change in durable {
                    apply(&change, &mut self.names, &mut self.dirs);
                }
            }
        }
    }

    fn file(&mut self, number: u64) -> &mut FileModel {
        &mut self.files[self.numbers[&number]]
    }

    /// Writes what a loss of power leaves into another folder.
    fn lose_power(&self, dice: &mut Dice, root: &Path, to: &Path) {
        let (mut names, mut dirs) = (self.names.clone(), self.dirs.clone());
        for change in &self.pending {
            if dice.flip() {
                apply(change, &mut names, &mut dirs);
            }
        }
        for dir in &dirs {
            if dir.ancestors().take_while(|dir| *dir != root).all(|dir| dirs.contains(dir)) {
                std::fs::create_dir_all(to.join(dir.strip_prefix(root).unwrap())).unwrap();
            }
        }
        for (name, file) in names {
            let path = to.join(name.strip_prefix(root).unwrap());
            if path.parent().unwrap().is_dir() {
                std::fs::write(path, self.files[file].image(dice)).unwrap();
            }
        }
    }
}

fn apply(change: &NameChange, names: &mut BTreeMap<PathBuf, usize>, dirs: &mut BTreeSet<PathBuf>) {
    match change {
        NameChange::Set(path, file) => {
            names.insert(path.clone(), *file);
        }
        NameChange::Rename(from, to, file) => {
            names.remove(from);
            names.insert(to.clone(), *file);
        }
        NameChange::Remove(path) => {
            names.remove(path);
        }
        NameChange::Dir(path) => {
            dirs.insert(path.clone());
        }
    }
}

/// What a session may hold after a loss of power: the last of these that was acknowledged, or any later one.
#[derive(Clone, Default)]
struct Allowed {
    states: Vec<BTreeSet<String>>,
    acknowledged: usize,
}

type Key = (&'static str, &'static str);
const SESSIONS: [Key; 3] = [("default", "s"), ("default", "t"), ("acme", "s")];

struct Run {
    dice: Dice,
    dir: tempfile::TempDir,
    disk: Disk,
    model: Model,
    allowed: BTreeMap<Key, Allowed>,
    next: u64,
    images: usize,
    /// What the disk says that it does, and does not.
    ignored: fn(&Event) -> bool,
}

fn cx(tenant: &str) -> Context {
    Context::system(Tenant::new(tenant).unwrap())
}

fn stamp(ms: u64) -> Stamp {
    Stamp::mint(ms, None, 0).unwrap()
}

fn texts(store: &Json, key: Key) -> BTreeSet<String> {
    let query = MessageQuery::oldest_first().limit(1_000);
    match block_on(store.load(&cx(key.0), &SessionId::new(key.1).unwrap(), &query)) {
        Ok(found) => found.items.iter().map(|m| m.text().unwrap().trim_end_matches('x').to_owned()).collect(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
            BTreeSet::new()
        }
    }
}

fn open(dir: &Path, disk: Disk, durability: Durability) -> Json {
    let store = Json::on(&JsonConfig::new(dir).durability(durability), disk).unwrap();
    block_on(store.prepare(&cx("default"), Prepare::Migrate)).unwrap();
    store
}

impl Run {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), Disk::default(), Durability::PowerLoss));
        let disk = Disk::default();
        disk.faults.start_recording();
        let model = Model::of(dir.path());
        let allowed = SESSIONS.map(|key| (key, Allowed { states: vec![BTreeSet::new()], acknowledged: 0 })).into();
        Self { dice: Dice(seed), dir, disk, model, allowed, next: 1, images: 0, ignored: |_| false }
    }

    /// Some writes, deletions and compactions; after each call to the file system, power is lost in another world.
    fn work(&mut self, steps: usize) {
        let store = open(self.dir.path(), self.disk.clone(), Durability::PowerLoss);
        let hasty = open(self.dir.path(), self.disk.clone(), Durability::ProcessCrash);
        self.watch();
        for _ in 0..steps {
            let key = SESSIONS[self.dice.below(SESSIONS.len())];
            let (cx, session) = (cx(key.0), SessionId::new(key.1).unwrap());
            if self.dice.below(6) == 0 {
                block_on(store.compact(&cx, &Compact::new())).unwrap();
                self.watch();
                continue;
            }
            let (records, state) = self.batch(key);
            let allowed = self.allowed.get_mut(&key).unwrap();
            let unsynced = allowed.acknowledged + 1 < allowed.states.len();
            allowed.states.push(state);
            // A process that dies between writing and syncing, at most once before the next that syncs.
            let dies = !unsynced && self.dice.below(5) == 0;
            let writer = if dies { &hasty } else { &store };
            block_on(writer.write(&cx, &session, &records, &WriteOptions::fresh())).unwrap();
            self.watch();
            if !dies {
                let allowed = self.allowed.get_mut(&key).unwrap();
                allowed.acknowledged = allowed.states.len() - 1;
            }
            self.check_images(2);
        }
    }

    fn batch(&mut self, key: Key) -> (Vec<Record>, BTreeSet<String>) {
        let mut state = self.allowed[&key].states.last().unwrap().clone();
        let mut records = Vec::new();
        let first = state.first().cloned().filter(|_| self.dice.below(4) == 0);
        if let Some(text) = first {
            let id: u64 = text.parse().unwrap();
            state.remove(&text);
            records.push(Record::Deleted { id: stamp(id), stamp: stamp(self.next) });
            self.next += 1;
        }
        for _ in 0..=self.dice.below(4) {
            let text = format!("{}{}", self.next, "x".repeat(self.dice.below(3) * self.dice.below(700)));
            records.push(Record::Message(Message::new(stamp(self.next), Role::User, text)));
            state.insert(self.next.to_string());
            self.next += 1;
        }
        (records, state)
    }

    fn follow(&mut self, event: Event) {
        if !(self.ignored)(&event) {
            self.model.follow(event);
        }
    }

    fn watch(&mut self) {
        for event in self.disk.faults.recorded() {
            self.follow(event);
            self.check_images(2);
        }
    }

    fn check_images(&mut self, count: usize) {
        for _ in 0..count {
            let image = tempfile::tempdir().unwrap();
            self.model.lose_power(&mut self.dice, self.dir.path(), image.path());
            self.images += 1;
            self.check(image.path());
        }
    }

    /// Which of the allowed states each session of an image is in; it can be read and written.
    fn check(&mut self, image: &Path) -> BTreeMap<Key, usize> {
        let store = open(image, Disk::default(), Durability::ProcessCrash);
        let mut found = BTreeMap::new();
        for key in SESSIONS {
            let allowed = &self.allowed[&key];
            let texts = texts(&store, key);
            let state = (allowed.acknowledged..allowed.states.len()).rev().find(|at| allowed.states[*at] == texts);
            let Some(state) = state else {
                panic!("{key:?} holds {texts:?}, not one of {:?}", &allowed.states[allowed.acknowledged..]);
            };
            found.insert(key, state);
        }
        found
    }

    /// Loses power for good and goes on with what is left.
    fn continue_after_power_loss(self) -> Self {
        let mut run = self;
        let dir = tempfile::tempdir().unwrap();
        run.model.lose_power(&mut run.dice, run.dir.path(), dir.path());
        let found = run.check(dir.path());
        for (key, state) in found {
            let state = run.allowed[&key].states[state].clone();
            run.allowed.insert(key, Allowed { states: vec![state], acknowledged: 0 });
        }
        run.model = Model::of(dir.path());
        run.disk = Disk::default();
        run.disk.faults.start_recording();
        run.dir = dir;
        run
    }
}

impl Run {
    /// Works, and in the middle of a write that nobody was promised loses power for good, some times.
    fn live_and_die(seed: u64, ignored: fn(&Event) -> bool) -> usize {
        let mut images = 0;
        let mut run = Run { ignored, ..Run::new(seed) };
        for _ in 0..4 {
            run.work(6);
            let key = SESSIONS[run.dice.below(SESSIONS.len())];
            let (records, state) = run.batch(key);
            run.allowed.get_mut(&key).unwrap().states.push(state);
            let store = open(run.dir.path(), run.disk.clone(), Durability::PowerLoss);
            block_on(store.write(&cx(key.0), &SessionId::new(key.1).unwrap(), &records, &WriteOptions::fresh()))
                .unwrap();
            let events = run.disk.faults.recorded();
            let seen = run.dice.below(events.len() + 1);
            for event in events.into_iter().take(seen) {
                run.follow(event);
            }
            images += run.images;
            run.images = 0;
            run = run.continue_after_power_loss();
        }
        images
    }
}

#[test]
fn power_lost_at_any_time_loses_nothing_that_was_acknowledged() {
    let enough = if std::env::var("CRAFTX_FAULTS").as_deref() == Ok("long") { 20_000 } else { 2_000 };
    let (mut images, mut seeds) = (0, 0);
    while images < enough {
        images += Run::live_and_die(seeds, |_| false);
        seeds += 1;
    }
    println!("power loss, json, between calls of its file layer: {images} images; seeds 0 to {}", seeds - 1);
}

/// Lets a disk ignore some calls; the first image that must not be is the end of it.
fn is_found_out(ignored: fn(&Event) -> bool) -> bool {
    (0..4).any(|seed| {
        let found = std::panic::catch_unwind(|| Run::live_and_die(seed, ignored)).err();
        found.is_some_and(|panic| panic.downcast::<String>().is_ok_and(|message| message.contains("not one of")))
    })
}

#[test]
fn a_disk_that_does_not_sync_files_is_found_out() {
    assert!(is_found_out(|event| matches!(event, Event::Sync { .. })));
}

#[test]
fn a_store_that_does_not_sync_its_folders_is_found_out() {
    assert!(is_found_out(|event| matches!(event, Event::SyncDir { .. })));
}
