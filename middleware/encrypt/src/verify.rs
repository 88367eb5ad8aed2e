//! Checking that everything opens.

use craftx_core::{Context, Cursor, Error, Include, Problem, Result, SessionId, Verified};

use crate::every::{Sessions, tenants};
use crate::layer::Encrypted;
use crate::open::Opener;

impl Encrypted {
    /// Opens everything that the store below holds, and tells what does not open.
    pub(crate) async fn verify_envelopes(&self, cx: &Context, verified: &mut Verified) -> Result<()> {
        let mut opened = 0;
        for tenant in tenants(&self.inner, cx).await? {
            let cx = cx.clone().with_tenant(tenant);
            let mut sessions = Sessions::new(&self.inner, &cx, Include::All);
            loop {
                let page = sessions.next().await?;
                if page.is_empty() {
                    break;
                }
                for session in page {
                    opened += self.verify_session(&cx, &session, verified).await?;
                }
            }
        }
        verified.checked(format!("that {opened} records open with the keys that are there"));
        Ok(())
    }

    async fn verify_session(&self, cx: &Context, session: &SessionId, verified: &mut Verified) -> Result<u64> {
        let (mut opened, mut from): (u64, Option<Cursor>) = (0, None);
        loop {
            let part = self.inner.records(cx, session, from.as_ref(), None).await?;
            let mut opener = Opener::new(self, cx, session);
            for record in part.items {
                match opener.record(record).await {
                    Ok(_) => opened += 1,
                    Err(error) => verified.problem(problem(cx, session, &error)),
                }
            }
            if part.done {
                return Ok(opened);
            }
            from = Some(part.next);
        }
    }
}

fn problem(cx: &Context, session: &SessionId, error: &Error) -> Problem {
    let place = format!("the session {:?} of the tenant {:?}", session.as_str(), cx.tenant.as_str());
    Problem::new(place, error.to_string())
}
