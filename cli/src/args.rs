//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use craftx::{ErrorKind, Result, Stamp, Storage, Tenant};

/// Stores conversations of language models, in JSON files, SQLite, and more to come.
#[derive(Debug, Parser)]
#[command(name = "craftx", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Global {
    /// Where the conversations are, such as `json:chat_logs` or `sqlite:craftx.db`
    #[arg(long, global = true, value_name = "URL", default_value = "json:chat_logs")]
    store: String,
    /// The namespace of the sessions
    #[arg(long, global = true, value_name = "NAME", default_value = "default")]
    tenant: Tenant,
    /// Print JSON, one value a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Global {
    /// The store, which is made if it is not there.
    pub(crate) async fn open(&self) -> Result<Storage> {
        Ok(Storage::open(&self.store).await?.for_tenant(self.tenant.clone()))
    }

    /// The store, which must be there and is not changed by opening it.
    pub(crate) async fn open_existing(&self) -> Result<Storage> {
        Ok(Storage::open_existing(&self.store).await?.for_tenant(self.tenant.clone()))
    }

    /// The store, which must be there and is upgraded if it is old, to change something in it.
    pub(crate) async fn open_to_change(&self) -> Result<Storage> {
        match Storage::open_existing(&self.store).await {
            Err(error) if error.kind() != ErrorKind::SchemaTooOld => return Err(error),
            _ => {}
        }
        self.open().await
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Append a message and print its id
    Append(Append),
    /// Print a conversation
    Show(Show),
    /// List the sessions
    List(List),
    /// Find messages by what is said in them; any text is a legal query
    Search(Search),
    /// Delete a session or a message, and erase it from the store
    Rm(Rm),
    /// Read conversations or records from files; a second time changes nothing
    Import(Import),
    /// Write sessions as records or conversations, one JSON value a line
    Export(Export),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Append {
    /// The session; made if it does not exist
    pub(crate) session: String,
    /// The text, kept byte for byte; `-` or nothing: standard input
    pub(crate) text: Option<String>,
    /// Who speaks, such as `user`, `assistant`, `system` or `tool`
    #[arg(long, default_value = "user")]
    pub(crate) role: String,
    /// Metadata, a JSON object
    #[arg(long, value_name = "JSON")]
    pub(crate) meta: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Show {
    /// The session
    pub(crate) session: String,
    /// Only the last N messages
    #[arg(long, value_name = "N")]
    pub(crate) last: Option<usize>,
    /// Print the records of the messages as they are stored
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct List {
    /// Only sessions whose names begin so
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    /// At most N sessions
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Search {
    /// What to look for: one word or several
    #[arg(allow_hyphen_values = true)]
    pub(crate) query: String,
    /// Only in this session
    #[arg(long)]
    pub(crate) session: Option<String>,
    /// Only messages of this role
    #[arg(long)]
    pub(crate) role: Option<String>,
    /// At most N messages
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) limit: usize,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rm {
    /// The session
    pub(crate) session: String,
    /// Only this message
    #[arg(long, value_name = "ID")]
    pub(crate) message: Option<Stamp>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Import {
    /// Files of records or conversations, told apart by themselves; `-`: standard input
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Append the messages of conversations as new ones, even to sessions that were cleared; a second time doubles them
    #[arg(long)]
    pub(crate) restamp: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    /// The sessions; none: all
    pub(crate) sessions: Vec<String>,
    /// Write to this file instead of standard output; it appears when it is complete
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Records)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Everything there is to know of a session, deletions included
    Records,
    /// One object a session, with `session_id` and `messages`
    Conversations,
}
