//! The calls of the *CraftX.py Storage System Guide*, with typed results.

use craftx_core::{Content, Message, Metadata, Result, Role, SessionId, SessionQuery};
use futures_util::TryStreamExt;

use super::Storage;
use crate::NewMessage;

impl Storage {
    /// Appends a message: the guide's name for [`Storage::append`].
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// # let storage = craftx::Storage::open("memory:").await?;
    /// storage.save_conversation("s1", "Hello!", "user", None).await?;
    /// assert_eq!(storage.load_conversation("s1").await?.len(), 1);
    /// assert_eq!(storage.list_sessions().await?[0].as_str(), "s1");
    /// assert!(storage.delete_session("s1").await?);
    /// # Ok::<(), craftx::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Storage::append`], and [`InvalidInput`](crate::ErrorKind::InvalidInput) for a role that is no name.
    pub async fn save_conversation(
        &self,
        session: impl AsRef<str>,
        message: impl Into<Content>,
        role: impl AsRef<str>,
        metadata: Option<Metadata>,
    ) -> Result<Message> {
        let mut new = NewMessage::new(Role::new(role)?, message);
        new.metadata = metadata.unwrap_or_default();
        self.append(session, new).await
    }

    /// The whole conversation in memory. [`Storage::history`] streams it.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the session does not exist, where the Python original returned an
    /// empty list for anything that went wrong.
    pub async fn load_conversation(&self, session: impl AsRef<str>) -> Result<Vec<Message>> {
        self.history(session).try_collect().await
    }

    /// The names of all sessions, in the order of their bytes. [`Storage::sessions`] lists by pages.
    ///
    /// # Errors
    /// Those of the medium.
    pub async fn list_sessions(&self) -> Result<Vec<SessionId>> {
        self.all_sessions(SessionQuery::new().limit(craftx_core::MAX_PAGE))
            .map_ok(|session| session.id)
            .try_collect()
            .await
    }
}
