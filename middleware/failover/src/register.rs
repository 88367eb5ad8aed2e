//! The backend `hybrid` of configurations.

use std::sync::Arc;

use craftx_core::{Part, Registry, Result, StackConfig};
use serde::Deserialize;

use crate::{Failover, FailoverConfig};

/// The options that are stacks; all others are those of [`FailoverConfig`].
const STACKS: [&str; 2] = ["primary", "secondary"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stacks {
    primary: StackConfig,
    #[serde(default)]
    secondary: Vec<StackConfig>,
}

/// Lets configurations name the backend `hybrid`: the stack `primary`, a list of stacks `secondary`, and the options of
/// [`FailoverConfig`].
///
/// ```
/// use craftx_core::{Memory, Registry, StackConfig};
/// # let mut registry = Registry::new();
/// # registry.register("memory", |_| Ok(std::sync::Arc::new(Memory::new())));
/// craftx_failover::register(&mut registry);
/// let config = StackConfig::from_table(serde_json::json!({
///     "backend": "hybrid",
///     "hybrid": { "mirror": "sync", "primary": { "backend": "memory" }, "secondary": [{ "backend": "memory" }] },
/// }))?;
/// registry.build_stack(&config)?;
/// # Ok::<(), craftx_core::Error>(())
/// ```
pub fn register(registry: &mut Registry) {
    registry.register("hybrid", |part| Ok(Arc::new(build(part)?)));
}

fn build(part: &Part<'_>) -> Result<Failover> {
    let stacks: Stacks = part.config_of(&STACKS)?;
    let config: FailoverConfig = part.config_without(&STACKS)?;
    let primary = part.build("primary", &stacks.primary)?;
    let mut builder = Failover::builder("primary", primary.backend().clone()).config(config);
    for (index, secondary) in stacks.secondary.iter().enumerate() {
        let key = format!("secondary.{index}");
        let secondary = part.build(&key, secondary)?;
        builder = builder.secondary(key, secondary.backend().clone());
    }
    builder.build()
}
