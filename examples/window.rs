//! Takes the newest messages that fit a budget of tokens, never a tool's answer without the call.
//!
//! ```text
//! 60 tokens: system, user, assistant, tool, assistant
//! 25 tokens: assistant, tool, assistant
//! 15 tokens: assistant
//! ```

use craftx::{Budget, Message, NewMessage, Storage};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> craftx::Result<()> {
    let storage = Storage::open("memory:").await?;
    let call = json!([{ "id": "call_1", "type": "function", "function": { "name": "weather", "arguments": "{}" } }]);
    let messages = [
        NewMessage::system("You are terse. You know the weather. You never guess, you ask the tool."),
        NewMessage::user("Do I need an umbrella in Oslo today, or is a hat enough?"),
        NewMessage::assistant("I will look at it.").metadata("tool_calls", call),
        NewMessage::tool("rain, 4 degrees, wind from the west").metadata("tool_call_id", "call_1"),
        NewMessage::assistant("An umbrella, and a coat."),
    ];
    storage.append_all("weather", messages).await?;

    // Any function will do, such as the tokenizer of your model.
    let count = |message: &Message| message.text().unwrap_or_default().len() as u64 / 4;
    for tokens in [60, 25, 15] {
        let window = storage.window("weather", Budget::new().tokens(tokens, &count)).await?;
        let roles: Vec<&str> = window.iter().map(|message| message.role.as_str()).collect();
        println!("{tokens} tokens: {}", roles.join(", "));
    }
    Ok(())
}
