//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use craftx::access::Action;

use crate::exit;
use crate::global::Global;
use crate::resolve::Named;

/// Stores conversations of language models, in JSON files, SQLite and PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "craftx", version, max_term_width = 100, after_long_help = exit::help())]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
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
    /// Delete a session, a message, or what is old, and erase it from the store
    Rm(Rm),
    /// Read conversations of other programs, or records, from files; a second time changes nothing
    Import(Import),
    /// Write sessions as records, or in a format of another program
    Export(Export),
    /// Count sessions, messages and bytes, and name the largest sessions
    Stats(Stats),
    /// Tell what is known of the store
    Status,
    /// Check the store itself: read everything, and say what could not be checked
    #[command(visible_alias = "verify")]
    Doctor,
    /// Copy to each store of a hybrid what it lacks
    Heal,
    /// Tell whether the store has to be migrated
    #[command(subcommand)]
    Schema(Schema),
    /// Ask who may do what, where the store limits it
    #[command(subcommand)]
    Access(Access),
    /// Make, rotate and destroy the keys of an encrypted store
    #[command(subcommand)]
    Keys(Keys),
    /// Show or check the configuration
    #[command(subcommand)]
    Config(Configuration),
    /// List the profiles that `--profile` takes
    Profiles,
    /// Print what makes a shell complete the words of this command
    Completions(Completions),
    /// Print the manual
    Man(Man),
}

/// Which session is meant.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// The session, or a beginning of its name that no other one has
    pub(crate) session: Option<String>,
    /// The session that was written last
    #[arg(long)]
    pub(crate) last: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Append {
    /// The session, made if it does not exist; with `--last` the text
    #[arg(required_unless_present = "last")]
    pub(crate) session: Option<String>,
    /// The text, kept byte for byte; `-` or nothing: standard input
    pub(crate) text: Option<String>,
    /// To the session that was written last
    #[arg(long, conflicts_with = "text")]
    pub(crate) last: bool,
    /// Who speaks, such as `user`, `assistant`, `system` or `tool`
    #[arg(long, default_value = "user")]
    pub(crate) role: String,
    /// Metadata, a JSON object
    #[arg(long, value_name = "JSON")]
    pub(crate) meta: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Only the last N messages
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "message")]
    pub(crate) tail: Option<usize>,
    /// Only this message: its id, or a beginning that no other one has
    #[arg(long, value_name = "ID")]
    pub(crate) message: Option<Named>,
    /// Clip and fold nothing, and show the metadata too
    #[arg(long)]
    pub(crate) full: bool,
    /// In which form
    #[arg(long, value_enum, default_value_t = Form::Text)]
    pub(crate) format: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people: long texts are clipped, tool calls folded
    Text,
    /// Markdown, with nothing left out
    Markdown,
    /// One JSON object a message, as with `--json`
    Json,
    /// The records of the messages as they are stored
    Raw,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct List {
    /// Only sessions whose names begin so
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    /// The session that was written last comes first
    #[arg(long)]
    pub(crate) recent: bool,
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
    #[arg(long, conflicts_with = "last")]
    pub(crate) session: Option<String>,
    /// Only in the session that was written last
    #[arg(long)]
    pub(crate) last: bool,
    /// Only messages of this role
    #[arg(long)]
    pub(crate) role: Option<String>,
    /// At most N messages
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) limit: usize,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rm {
    /// The session by its whole name: what is deleted is gone
    #[arg(required_unless_present = "older_than")]
    pub(crate) session: Option<String>,
    /// Only this message: its id, or a beginning that no other one has
    #[arg(long, value_name = "ID", requires = "session")]
    pub(crate) message: Option<Named>,
    /// All sessions that nobody wrote to for so long, such as `90d` or `6 months`
    #[arg(long, value_name = "AGE", conflicts_with_all = ["session", "message"])]
    pub(crate) older_than: Option<String>,
    /// Say what would be deleted, and delete nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Import {
    /// Files of records or of conversations of other programs, or folders of them, told apart by themselves; `-`: standard input
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The format, such as `chatgpt`, instead of finding it out
    #[arg(long, value_name = "NAME")]
    pub(crate) format: Option<String>,
    /// The session of what has no name of its own; else it is called like the file
    #[arg(long, value_name = "NAME")]
    pub(crate) session: Option<String>,
    /// In which zone times are that say none, such as `Europe/Berlin` or `+02:00`
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub(crate) assume_tz: Option<String>,
    /// Append the messages of conversations as new ones, even to sessions that were cleared; a second time doubles them
    #[arg(long)]
    pub(crate) restamp: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    /// The sessions; none: all
    #[arg(conflicts_with = "last")]
    pub(crate) sessions: Vec<String>,
    /// Only the session that was written last
    #[arg(long)]
    pub(crate) last: bool,
    /// Write to this file, which appears when it is complete, or into this folder, a file for each session; `-` or nothing: standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// What to write: `records`, which is everything there is to know, or a format of another program, such as `conversations`, `openai-chat` or `markdown`
    #[arg(long, value_name = "NAME", default_value = "records")]
    pub(crate) format: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Stats {
    /// Name the N largest sessions
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) largest: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Schema {
    /// Tell the schema of the store, and whether a migration is pending
    Status(SchemaStatus),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SchemaStatus {
    /// Exit with 10 if a migration is pending
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Access {
    /// Say whether the principal of `--as` may do something, and which rule says so; exit with 4 if it may not
    Check(AccessCheck),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AccessCheck {
    /// What: `read`, `append`, `delete`, `update`, `list`, `search`, `admin` or `export`
    pub(crate) action: Action,
    /// With which session, by its whole name; none: with the tenant as a whole
    pub(crate) session: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make a keyring, or add a key to it, which becomes the primary one
    New(KeysNew),
    /// List the keys of the keyring
    List,
    /// Wrap every data key under the primary key; one that was interrupted goes on
    Rotate,
    /// Tell what each key still protects, and whether it can go; exit with 8 if a key is missing that is needed
    Status,
    /// Retire a key that protects nothing any more
    Retire(KeysRetire),
    /// Destroy a retired key that protects nothing any more
    Destroy(KeysDestroy),
    /// Destroy the keys of a session, so that no copy of it can be read by anybody, and then what is stored of it
    Shred(KeysShred),
    /// Copy all that a store without encryption holds into this one; one that was interrupted goes on
    EncryptExisting(KeysEncryptExisting),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct KeysNew {
    /// The keyring, made if it is not there
    pub(crate) file: PathBuf,
    /// What the key is called, in clear wherever it is used; else it is the date
    #[arg(long)]
    pub(crate) id: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct KeysRetire {
    /// The key
    pub(crate) id: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct KeysDestroy {
    /// The key
    pub(crate) id: String,
    /// Ask nothing
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct KeysShred {
    /// The session by its whole name: what is shredded is gone
    pub(crate) session: String,
    /// Ask nothing
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct KeysEncryptExisting {
    /// The store that is not encrypted, such as `sqlite:chats.db`; it is only read
    #[arg(value_name = "URL")]
    pub(crate) from: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Configuration {
    /// Print every value that counts; secrets are masked
    Show(ConfigShow),
    /// Find out whether a store can be made of it, without touching the store
    Check,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ConfigShow {
    /// Tell of each value where it came from
    #[arg(long)]
    pub(crate) origin: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Man {
    /// The page of this command; none: the page of craftx itself
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
    /// Write all pages into this folder instead
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    pub(crate) dir: Option<PathBuf>,
}
