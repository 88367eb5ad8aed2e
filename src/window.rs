//! The newest messages that fit a budget.

use std::collections::BTreeSet;
use std::fmt;

use craftx_core::{Content, Message, Record, Role};
use serde_json::Value;

/// How much a [window](crate::Storage::window) may hold. What is not limited is unlimited.
///
/// ```
/// use craftx::Budget;
/// let count = |message: &craftx::Message| message.text().map_or(0, |text| text.len() as u64 / 4);
/// let budget = Budget::new().messages(50).tokens(8_000, &count);
/// ```
#[derive(Clone, Copy, Default)]
pub struct Budget<'a> {
    messages: Option<u64>,
    bytes: Option<u64>,
    tokens: Option<(u64, Counter<'a>)>,
}

type Counter<'a> = &'a (dyn Fn(&Message) -> u64 + Send + Sync);

impl<'a> Budget<'a> {
    /// No limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// At most this many messages.
    #[must_use]
    pub fn messages(mut self, messages: u64) -> Self {
        self.messages = Some(messages);
        self
    }

    /// At most this many bytes of canonical encodings ([`Record::encode`]).
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// At most this many tokens, as `count` counts them.
    #[must_use]
    pub fn tokens(mut self, tokens: u64, count: &'a (dyn Fn(&Message) -> u64 + Send + Sync)) -> Self {
        self.tokens = Some((tokens, count));
        self
    }

    /// Takes a message out of the budget; false if it does not fit.
    fn spend(&mut self, message: &Message) -> bool {
        fn take(left: &mut Option<u64>, cost: impl FnOnce() -> u64) -> bool {
            match left {
                None => true,
                Some(left) => match left.checked_sub(cost()) {
                    Some(rest) => {
                        *left = rest;
                        true
                    }
                    None => false,
                },
            }
        }
        let tokens = match &mut self.tokens {
            None => true,
            Some((left, count)) => match left.checked_sub(count(message)) {
                Some(rest) => {
                    *left = rest;
                    true
                }
                None => false,
            },
        };
        tokens
            && take(&mut self.messages, || 1)
            && take(&mut self.bytes, || Record::Message(message.clone()).encode().as_str().len() as u64)
    }
}

impl fmt::Debug for Budget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("messages", &self.messages)
            .field("bytes", &self.bytes)
            .field("tokens", &self.tokens.map(|(tokens, _)| tokens))
            .finish()
    }
}

/// Collects messages, newest first, until the budget is spent.
#[derive(Debug)]
pub(crate) struct Window<'a> {
    budget: Budget<'a>,
    taken: Vec<Message>,
    /// Calls that results among the taken messages answer, and that have not been met yet.
    unanswered: BTreeSet<String>,
    /// How many of the taken messages can stand alone: no result among them lacks its call.
    whole: usize,
}

impl<'a> Window<'a> {
    pub(crate) fn new(budget: Budget<'a>) -> Self {
        Self { budget, taken: Vec::new(), unanswered: BTreeSet::new(), whole: 0 }
    }

    /// Takes the next older message; false if it does not fit any more.
    pub(crate) fn take(&mut self, message: Message) -> bool {
        if !self.budget.spend(&message) {
            return false;
        }
        self.unanswered.extend(results_in(&message));
        for call in calls_in(&message) {
            self.unanswered.remove(&call);
        }
        self.taken.push(message);
        if self.unanswered.is_empty() {
            self.whole = self.taken.len();
        }
        true
    }

    /// The messages, oldest first. At the beginning of the conversation a result whose call is nowhere may stay.
    pub(crate) fn finish(mut self, at_the_beginning: bool) -> Vec<Message> {
        if !at_the_beginning {
            self.taken.truncate(self.whole);
        }
        self.taken.reverse();
        self.taken
    }
}

/// The ids of the tool calls that a message makes, in the forms of OpenAI (chat and responses), Anthropic and
/// LangChain.
fn calls_in(message: &Message) -> Vec<String> {
    let listed = message.metadata.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let mut ids: Vec<String> = listed.filter_map(|call| text(call, "id")).collect();
    for part in parts(message) {
        match part.get("type").and_then(Value::as_str) {
            Some("tool_use" | "server_tool_use" | "tool_call") => ids.extend(text(part, "id")),
            Some("function_call" | "custom_tool_call") => ids.extend(text(part, "call_id")),
            _ => {}
        }
    }
    if message.role != Role::Tool && is_call(message.metadata.get("type")) {
        ids.extend(message.metadata.get("call_id").and_then(Value::as_str).map(str::to_owned));
    }
    ids
}

/// The ids of the tool calls that a message answers.
fn results_in(message: &Message) -> Vec<String> {
    let mut ids: Vec<String> =
        message.metadata.get("tool_call_id").and_then(Value::as_str).map(str::to_owned).into_iter().collect();
    for part in parts(message) {
        match part.get("type").and_then(Value::as_str) {
            Some("tool_result") => ids.extend(text(part, "tool_use_id")),
            Some("function_call_output" | "custom_tool_call_output") => ids.extend(text(part, "call_id")),
            _ => {}
        }
    }
    if is_output(message.metadata.get("type")) {
        ids.extend(message.metadata.get("call_id").and_then(Value::as_str).map(str::to_owned));
    }
    ids
}

fn is_call(kind: Option<&Value>) -> bool {
    matches!(kind.and_then(Value::as_str), Some("function_call" | "custom_tool_call"))
}

fn is_output(kind: Option<&Value>) -> bool {
    matches!(kind.and_then(Value::as_str), Some("function_call_output" | "custom_tool_call_output"))
}

fn parts(message: &Message) -> &[Value] {
    match &message.content {
        Content::Parts(parts) => parts,
        _ => &[],
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}
