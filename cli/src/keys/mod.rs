//! `craftx keys`.

mod existing;
mod ring;
mod rotation;
mod shred;

use craftx::encrypt_layer::Encrypted;
use craftx::{Context, Error, Result, Storage};

use crate::args::Keys;
use crate::exit::{Exit, Failure};
use crate::global::Global;

pub(crate) async fn run(global: &Global, keys: Keys) -> std::result::Result<Exit, Failure> {
    match keys {
        Keys::New(new) => ring::new(global, &new),
        Keys::List => ring::list(global).await,
        Keys::Rotate => rotation::rotate(global).await,
        Keys::Status => rotation::status(global).await,
        Keys::Retire(retire) => ring::retire(global, &retire).await,
        Keys::Destroy(destroy) => ring::destroy(global, &destroy).await,
        Keys::Shred(shred) => shred::run(global, &shred).await,
        Keys::EncryptExisting(existing) => existing::run(global, &existing).await,
    }
}

/// A store, opened for its keys. The layer itself refuses whoever is not the system.
struct Opened {
    storage: Storage,
    cx: Context,
}

impl Opened {
    fn new(global: &Global, storage: Storage) -> Self {
        let cx = global.for_administration(&storage).context();
        Self { storage, cx }
    }

    fn layer(&self) -> Result<&Encrypted> {
        self.storage.stack().find::<Encrypted>().ok_or_else(|| {
            let error = Error::unsupported("keys: it has no layer `encrypt`", "the stack");
            error.with("configure", "`layers = [\"encrypt\"]`, `encrypt.keyring` and `encrypt.keys`")
        })
    }

    async fn close(&self) -> Result<()> {
        self.storage.close().await
    }
}
