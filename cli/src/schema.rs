//! `craftx schema status`.

use craftx::{Error, ErrorKind};
use serde_json::json;

use crate::args::{Schema, SchemaStatus};
use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::output::Out;

/// What is known of the schema of a store.
struct Found {
    state: &'static str,
    schema: Option<u64>,
    /// What this release reads and writes.
    wanted: Option<u64>,
    what: &'static str,
}

pub(crate) async fn run(global: &Global, schema: Schema) -> Result<Exit, Failure> {
    let Schema::Status(SchemaStatus { check }) = schema;
    let found = look(global).await?;
    let mut out = Out::new();
    if global.json {
        out.object(json!({"state": found.state, "schema": found.schema, "wanted": found.wanted}))?;
    } else {
        let schema = found.schema.map_or_else(String::new, |schema| format!("schema {schema}: "));
        out.line(format_args!("{schema}{}", found.what))?;
    }
    out.finish()?;
    Ok(if check && found.state != "current" { Exit::Schema } else { Exit::Ok })
}

async fn look(global: &Global) -> Result<Found, Failure> {
    let fact = |error: &Error, names: [&str; 2]| names.iter().find_map(|name| error.get(name)?.parse().ok());
    match global.check().await {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::SchemaTooOld => {
            let (schema, wanted) = (fact(&error, ["schema", "version"]), fact(&error, ["needed", "known"]));
            let what = "a migration is pending; the next command that writes does it, and takes a while";
            return Ok(Found { state: "pending", schema, wanted, what });
        }
        Err(error) if error.kind() == ErrorKind::SchemaTooNew => {
            let (schema, wanted) = (fact(&error, ["schema", "version"]), fact(&error, ["known", "needed"]));
            let what = "a newer release of craftx wrote this store; this one cannot read it";
            return Ok(Found { state: "newer", schema, wanted, what });
        }
        Err(error) => return Err(error.into()),
    }
    let storage = global.open_existing().await?;
    let schema = storage.status().await?.schema.map(u64::from);
    storage.close().await?;
    Ok(match schema {
        Some(0) => Found {
            state: "pending",
            schema,
            wanted: None,
            what: "a folder of CraftX.py, which can only be read; the next command that writes makes it a store",
        },
        _ => Found { state: "current", schema, wanted: schema, what: "nothing has to be migrated" },
    })
}
