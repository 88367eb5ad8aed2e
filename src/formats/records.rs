//! craftx's own records: a header for each session, then its records, one a line.

use craftx_core::{Error, ErrorKind, Result};

use super::{Container, Entries, Entry, Format, Item, Outgoing, Sample, Source, Written, only_read};
use crate::Line;

/// Files of records, as `craftx export` writes them and the JSON store keeps them; `docs/formats.md`, section 4.
#[derive(Debug)]
pub(super) struct Records;

impl Format for Records {
    fn name(&self) -> &'static str {
        "records"
    }

    fn recognizes(&self, sample: &Sample) -> bool {
        sample.first().is_some_and(|first| first.contains_key("craftx") || first.contains_key("record"))
    }

    fn read(&self, source: Source) -> Result<Entries> {
        // Whether the last header was good: no record may land in the session before a broken one.
        let mut belongs = false;
        Ok(Box::new(source.texts()?.map(move |(line, text)| {
            let item = text.and_then(|text| item(&text, &mut belongs));
            Entry::new(line, item)
        })))
    }

    fn container(&self) -> Option<Container> {
        None
    }

    fn write(&self, _: &Outgoing<'_>) -> Result<Written> {
        // Records are more than messages: they are streamed from the store itself.
        Err(only_read(self.name()))
    }
}

fn item(text: &str, belongs: &mut bool) -> Result<Item> {
    match Line::parse(text) {
        Ok(Line::Header(header)) => {
            *belongs = true;
            Ok(Item::Session { id: header.session, metadata: Default::default() })
        }
        Ok(Line::Record(record)) if *belongs => Ok(Item::Record(Box::new(record))),
        Ok(Line::Record(_)) => Err(Error::new(
            ErrorKind::InvalidInput,
            "no valid header before this record says to which session it belongs",
        )),
        Ok(Line::Conversation(_)) => Err(Error::new(ErrorKind::InvalidInput, "a conversation among records")),
        Err(error) => {
            // It may have been a header: what follows must not land in the session before it.
            if !text.starts_with(r#"{"v":1,"record":"#) {
                *belongs = false;
            }
            Err(error)
        }
    }
}
