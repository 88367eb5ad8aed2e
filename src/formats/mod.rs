//! Conversations of other programs: read, told apart by what is in them, and written.
//!
//! Each format is one [`Format`], in a file of its own; [`all`] lists those that are built in. A message keeps the shape
//! that its program gave it: `role` and `content` have a place in every [`Message`](crate::Message), and what else a
//! message had lies in its metadata, under the name of its format where that is not the shape of OpenAI's Chat
//! Completions. So it comes out again as it went in; another format translates it, and says what it has no place for.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use craftx::{Storage, formats};
//! let storage = Storage::open("memory:").await?;
//! let file = r#"[{"id": "a", "conversations": [{"from": "human", "value": "Who are you?"}]}]"#;
//! let mut source = formats::Source::reader(file.as_bytes());
//! let format = formats::detect(&source.sample())?;
//! assert_eq!(format.name(), "sharegpt");
//! let report = formats::import(&storage, format.read(source)?, &formats::ImportOptions::new(), &mut |_, _| {}).await?;
//! assert_eq!((report.messages, report.failed), (1, 0));
//! assert_eq!(storage.load_conversation("a").await?[0].text(), Some("Who are you?"));
//! # Ok::<(), craftx::Error>(())
//! # }).unwrap();
//! ```

mod anthropic;
mod chatgpt;
mod claude;
mod conversations;
#[cfg(feature = "json")]
mod craftx_py;
mod craftx_py_memory;
#[cfg(feature = "sqlite")]
mod craftx_py_sqlite;
#[cfg(feature = "sqlite")]
mod database;
mod elements;
mod foreign;
mod import;
mod langchain;
#[cfg(feature = "sqlite")]
mod langchain_sql;
mod markdown;
#[cfg(feature = "sqlite")]
mod openai_agents;
mod openai_chat;
mod openai_responses;
mod outgoing;
mod records;
mod sharegpt;
mod source;
mod turn;

use std::fmt;

use craftx_core::{Error, ErrorKind, Result, nearest};

pub use foreign::{Entry, Foreign, Item};
pub(crate) use import::below_a_clear;
pub use import::{ImportOptions, Imported, import};
pub use markdown::message_markdown;
pub use outgoing::{Container, Outgoing, Unplaced, Written};
pub use source::{Sample, Source};
pub use turn::{Part, Turn};

/// The items of a file, one after the other.
pub type Entries = Box<dyn Iterator<Item = Entry> + Send>;

/// A format of another program: how its files are recognized, read and written.
///
/// A new one is a file with this trait, and a line in the list of [`all`] (or of your own program).
pub trait Format: fmt::Debug + Send + Sync {
    /// What it is called, such as `sharegpt`. Also the key in the metadata of a message under which the members lie that
    /// only this format has.
    fn name(&self) -> &'static str;

    /// Whether a file that begins so is of this format.
    fn recognizes(&self, sample: &Sample) -> bool;

    /// Reads a file item by item. What is wrong with one item is said in its place, and the next may be good.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if the file cannot be read as this format at all.
    fn read(&self, source: Source) -> Result<Entries>;

    /// What a file of several sessions looks like; `None` if this format is only read.
    fn container(&self) -> Option<Container>;

    /// Writes one session.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) if this format is only read.
    fn write(&self, session: &Outgoing<'_>) -> Result<Written>;
}

/// The formats that are built in. The first one that recognizes a file reads it.
pub fn all() -> &'static [&'static dyn Format] {
    &[
        &records::Records,
        &conversations::Conversations,
        #[cfg(feature = "json")]
        &craftx_py::CraftxPy,
        &craftx_py_memory::CraftxPyMemory,
        #[cfg(feature = "sqlite")]
        &craftx_py_sqlite::CraftxPySqlite,
        #[cfg(feature = "sqlite")]
        &openai_agents::OpenAiAgents,
        #[cfg(feature = "sqlite")]
        &langchain_sql::LangChainSql,
        &chatgpt::ChatGpt,
        &claude::Claude,
        &sharegpt::ShareGpt,
        &langchain::LangChain,
        &openai_responses::OpenAiResponses,
        &anthropic::Anthropic,
        &openai_chat::OpenAiChat,
        &markdown::Markdown,
    ]
}

/// The format that is called so.
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput) naming the nearest one, and all that there are.
pub fn named(name: &str) -> Result<&'static dyn Format> {
    if let Some(format) = all().iter().find(|format| format.name() == name) {
        return Ok(*format);
    }
    let names: Vec<_> = all().iter().map(|format| format.name()).collect();
    let error = Error::invalid("format", "there is no such format").with("known", format!("`{}`", names.join("`, `")));
    Err(match nearest(name, names.iter().copied()) {
        Some(nearest) => error.with("nearest", format!("`{nearest}`")),
        None => error,
    })
}

/// The format of a file that begins so.
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput) if none recognizes it.
pub fn detect(sample: &Sample) -> Result<&'static dyn Format> {
    let found = all().iter().find(|format| format.recognizes(sample));
    found.copied().ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, "no format that is known looks like this").with("say", "`--format NAME`")
    })
}

/// The error of a format that is only read.
pub(crate) fn only_read(format: &'static str) -> Error {
    Error::unsupported("writing: it is only read", &format!("the format `{format}`"))
}
