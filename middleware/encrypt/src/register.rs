//! The layer `encrypt` of configurations.

use std::sync::Arc;

use craftx_core::{Error, ErrorKind, Part, Registry, Result, StackConfig};
use serde::Deserialize;

use crate::{Encrypt, EncryptConfig, KeyringSource};

/// The options that are not those of [`EncryptConfig`].
const OTHERS: [&str; 2] = ["keyring", "keys"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Others {
    /// One that is missing would be told as one that is wrong.
    keyring: Option<KeyringSource>,
    keys: StackConfig,
}

/// Lets configurations name the layer `encrypt`: where the `keyring` is, the stack `keys` that holds the wrapped data keys,
/// and the options of [`EncryptConfig`].
///
/// ```
/// use craftx_core::{Memory, Registry, StackConfig};
/// # let mut registry = Registry::new();
/// # registry.register("memory", |_| Ok(std::sync::Arc::new(Memory::new())));
/// craftx_encrypt::register(&mut registry);
/// let config = StackConfig::from_table(serde_json::json!({
///     "backend": "memory",
///     "layers": ["encrypt"],
///     "encrypt": { "keyring": "file:keyring.json", "pad": true, "keys": { "backend": "memory" } },
/// }))?;
/// registry.build_stack(&config)?;
/// # Ok::<(), craftx_core::Error>(())
/// ```
pub fn register(registry: &mut Registry) {
    registry.register_layer("encrypt", |part| Ok(Box::new(build(part)?)));
}

fn build(part: &Part<'_>) -> Result<Encrypt> {
    let others: Others = part.config_of(&OTHERS)?;
    let config: EncryptConfig = part.config_without(&OTHERS)?;
    let keyring = others
        .keyring
        .ok_or_else(|| Error::new(ErrorKind::ConfigInvalid, "a key is missing").with("key", "`keyring`"))?;
    let keys = part.build("keys", &others.keys)?;
    let layer = Encrypt::new(Arc::new(keyring), keys.backend().clone(), config);
    layer.map_err(|error| if error.get("key").is_some() { error } else { error.with("key", "`keys`") })
}
