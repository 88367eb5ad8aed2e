//! A conversation as Markdown. Nothing is left out but metadata.

use craftx::Message;
use craftx::formats::message_markdown;

use super::when;
use crate::exit::Failure;
use crate::output::{Out, printable};

pub(super) fn print(out: &mut Out, message: &Message) -> Result<(), Failure> {
    out.line(printable(&message_markdown(message, when(message).as_deref())))
}
