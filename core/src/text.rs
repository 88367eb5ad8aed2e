//! Deserialising validated text without a copy in between.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Visitor};

use crate::{Error, Result};

struct Text<T, F> {
    expecting: &'static str,
    parse: F,
    to: PhantomData<T>,
}

impl<T, F: FnOnce(&str) -> Result<T>> Visitor<'_> for Text<T, F> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(|error: Error| E::custom(error.message()))
    }
}

/// Reads a string and hands it to `parse`; only the rule that was broken reaches the error, never the text.
pub(crate) fn parse_with<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expecting: &'static str,
    parse: impl FnOnce(&str) -> Result<T>,
) -> Result<T, D::Error> {
    deserializer.deserialize_str(Text { expecting, parse, to: PhantomData })
}
