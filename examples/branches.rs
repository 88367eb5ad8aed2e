//! Goes back to an earlier message and tries another way, in a session of its own or as a branch.
//!
//! ```text
//! chat: Name a fruit. | Apple. | Pear.
//! another way: Name a fruit. | Banana.
//! two answers to one question: true
//! forked again: 1 message, 0 of them new
//! ```

use craftx::{Message, NewMessage, Storage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> craftx::Result<()> {
    let storage = Storage::open("memory:").await?;
    let question = storage.append("chat", NewMessage::user("Name a fruit.")).await?;
    storage.append("chat", NewMessage::assistant("Apple.").parent(question.id)).await?;

    // A fork is a session of its own, with copies of the messages up to one of them, under the same stamps.
    storage.fork("chat", question.id, "another way").await?;
    storage.append("another way", NewMessage::assistant("Banana.")).await?;

    // A branch is a message that names another one as its parent; the session keeps both answers.
    storage.append("chat", NewMessage::assistant("Pear.").parent(question.id)).await?;
    for session in ["chat", "another way"] {
        println!("{session}: {}", texts(&storage.load_conversation(session).await?));
    }
    let all = storage.load_conversation("chat").await?;
    let answers = all.iter().filter(|message| message.parent == Some(question.id));
    println!("two answers to one question: {}", answers.count() == 2);

    // Interrupted? Fork again: what was copied is known then.
    storage.fork("chat", question.id, "third way").await?;
    let again = storage.fork("chat", question.id, "third way").await?;
    println!("forked again: {} message, {} of them new", again.messages, again.applied);
    Ok(())
}

fn texts(messages: &[Message]) -> String {
    messages.iter().filter_map(Message::text).collect::<Vec<_>>().join(" | ")
}
