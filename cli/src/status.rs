//! `craftx status`.

use std::time::SystemTime;

use craftx::backup::Moment;
use craftx::{Node, Status, Storage};
use indicatif::{HumanBytes, HumanCount, HumanDuration};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::global::Global;
use crate::legs;
use crate::output::{self, Out};

pub(crate) async fn run(global: &Global) -> Result<Exit, Failure> {
    let storage = global.open_existing().await?;
    let whole = global.for_administration(&storage);
    let status = whole.status().await?;
    // Whoever may not look at the store as a whole is not told.
    let backup = craftx::backup::state(&whole).await.ok();
    storage.close().await?;
    let mut out = Out::new();
    if global.json {
        // A status is made of names, numbers and switches: it always serialises.
        let mut object = serde_json::to_value(&status).unwrap_or_default();
        if let Value::Object(members) = &mut object {
            members.insert("backup".to_owned(), json!(backup));
            members.insert("legs".to_owned(), legs::of(&storage).iter().map(legs::object).collect());
            members.insert("tenant".to_owned(), json!(global.tenant()));
            members.insert("stack".to_owned(), json!(storage.stack().describe().lines().collect::<Vec<_>>()));
        }
        out.object(object)?;
    } else {
        print(&mut out, global, &storage, &status)?;
        if let Some(backup) = &backup {
            out.line(format_args!("{:<13} {}", "backup", age(backup.last.as_ref())))?;
            out.line(format_args!("{:<13} {}", "verified", age(backup.verified.as_ref())))?;
        }
    }
    out.finish()?;
    Ok(Exit::Ok)
}

fn print(out: &mut Out, global: &Global, storage: &Storage, status: &Status) -> Result<(), Failure> {
    let mut line = |name: &str, value: String| out.line(output::one_line(&format!("{name:<13} {value}")));
    let unknown = || "not counted".to_owned();
    line("store", status.name.to_string())?;
    line("identity", status.store.to_string())?;
    line("scheme", status.scheme.to_owned())?;
    line("schema", status.schema.map_or_else(unknown, |schema| schema.to_string()))?;
    line("position", status.position.map_or_else(unknown, |position| position.to_string()))?;
    line("tenant", global.tenant().to_string())?;
    line("sessions", status.sessions.map_or_else(unknown, |sessions| HumanCount(sessions).to_string()))?;
    line("bytes", status.bytes.map_or_else(unknown, |bytes| HumanBytes(bytes).to_string()))?;
    let can: Vec<_> =
        status.capabilities.named().into_iter().filter(|(_, support)| support.is_yes()).map(|(name, _)| name).collect();
    line("can", can.join(", "))?;
    if let Some(acknowledgement) = status.capabilities.acknowledgement {
        line("acknowledged", format!("by {}", acknowledgement.as_str().replace('_', " ")))?;
    }
    for node in &status.nodes {
        line("server", server(node))?;
    }
    for (index, layer) in storage.stack().describe().lines().enumerate() {
        line(if index == 0 { "stack" } else { "" }, layer.to_owned())?;
    }
    for part in &status.parts {
        line("part", part.name.to_string())?;
        part.nodes.iter().try_for_each(|node| line("server", server(node)))?;
    }
    for leg in legs::of(storage) {
        line("leg", legs::line(&leg))?;
    }
    Ok(())
}

/// A server of a cluster: where it is, what it is, how far it is, and what is wrong with it.
fn server(node: &Node) -> String {
    let mut told = format!("{} {}", node.name, node.role);
    if let Some(position) = &node.position {
        told.push_str(&format!(", at {position}"));
    }
    if let Some(lag) = node.lag_ms {
        told.push_str(&format!(", {lag} ms behind"));
    }
    if let Some(problem) = &node.problem {
        told.push_str(&format!(": {problem}"));
    }
    told
}

/// How long ago something was done with a backup.
fn age(moment: Option<&Moment>) -> String {
    let Some(moment) = moment else { return "never".to_owned() };
    // By the clocks of two machines: what lies ahead of this one's is now.
    let age = SystemTime::now().duration_since(moment.time.at()).unwrap_or_default();
    format!("{} ago, {}", HumanDuration(age), output::local_time(moment.time.at()))
}
