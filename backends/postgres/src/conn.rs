//! One connection: how it is made, what is known of the server at its other end, and how statements go over it.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use craftx_core::{Error, ErrorKind, Tenant};
use deadpool_postgres::ClientWrapper;
use futures_util::future::{join_all, try_join_all};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{NoTls, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::driver::Driver;
use crate::error::{Fault, Sql};
use crate::seen::{self, Seen};
use crate::value::Value;

/// One of several things that are sent at once.
#[derive(Clone, Debug)]
pub(crate) enum Step<'a> {
    /// Text that has no parameters, such as `COMMIT`.
    Command(&'static str),
    Query(Cow<'a, str>, Vec<Value<'a>>),
}

impl<'a> Step<'a> {
    pub(crate) fn query(sql: impl Into<Cow<'a, str>>, values: impl Into<Vec<Value<'a>>>) -> Self {
        Self::Query(sql.into(), values.into())
    }
}

/// How a server is reached.
#[derive(Clone)]
pub(crate) struct Reach {
    pub(crate) config: tokio_postgres::Config,
    pub(crate) tls: Option<MakeRustlsConnect>,
    pub(crate) pooler: Option<bool>,
    pub(crate) statement_timeout: Duration,
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Conn {
    client: ClientWrapper,
    driver: Driver,
    /// Whether statements may be kept on the server under a name. Behind a pooler they may be another client's.
    named: bool,
    /// The timeline on which the server took writes when it was last looked at over this connection; 0 if it did not. A
    /// server that takes writes does so as long as the connection lasts.
    timeline: AtomicU32,
    /// Whether calls say for which tenant they are.
    row_security: bool,
}

/// Whose rows statements may see, where the server keeps tenants apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum For<'a> {
    Tenant(&'a Tenant),
    /// All tenants: maintenance.
    System,
}

/// Statements that are kept are planned once. The server compares what a plan for all parameters seems to cost with what it
/// took to plan for some, and where a limit or an array is a parameter it guesses so badly that it plans each call anew, which
/// takes longer than most of them.
const PLANS: &str = "-c plan_cache_mode=force_generic_plan";

/// Something that can be sent without asking the server first.
enum Prepared<'a> {
    Command(&'a str),
    Named(&'a Statement, &'a [Value<'a>]),
    Unnamed(&'a str, &'a [Value<'a>]),
}

/// Says for the rest of a transaction, and no longer, whose rows it may see.
pub(crate) fn scope(whose: For<'_>) -> Step<'_> {
    const SCOPE: &str = "SELECT set_config('craftx.tenant', $1, true), set_config('craftx.system', $2, true)";
    let (tenant, system) = match whose {
        For::Tenant(tenant) => (tenant.as_str(), "off"),
        For::System => ("", "on"),
    };
    Step::query(SCOPE, [Value::Text(tenant), Value::Text(system)])
}

impl Conn {
    /// Connects. A server that takes the connection and then says nothing is given up too, for whoever waits for it holds a
    /// place that others need.
    pub(crate) async fn open(reach: &Reach) -> Sql<(Self, Seen)> {
        let limit = reach.config.get_connect_timeout().copied().unwrap_or(Duration::MAX);
        let silent = || Fault::Lost(Error::new(ErrorKind::Unavailable, "the server does not answer"));
        tokio::time::timeout(limit, Self::connect(reach)).await.unwrap_or_else(|_| Err(silent()))
    }

    /// Everything that a session has to be told is told in the first message, so that nothing has to be set later that a
    /// pooler could give to somebody else.
    async fn connect(reach: &Reach) -> Sql<(Self, Seen)> {
        let mark = fastrand::u64(..).to_string();
        let mut config = reach.config.clone();
        if reach.pooler != Some(true) {
            let timeout = reach.statement_timeout.as_millis();
            config.options(format!(
                "-c statement_timeout={timeout} -c idle_in_transaction_session_timeout=60000 {PLANS} -c craftx.mark={mark}"
            ));
        }
        let (client, driver) = match (connect(&config, reach).await, reach.pooler) {
            // A pooler does not take options of sessions.
            (Err(error), None) if error.code() == Some(&SqlState::PROTOCOL_VIOLATION) => {
                connect(&reach.config, reach).await
            }
            (connected, _) => connected,
        }
        .map_err(|error| unreachable(&error))?;
        let seen = driver.until(seen::ask(&client)).await?;
        // Only a server that got our first message itself knows the mark in it.
        let named = match reach.pooler {
            Some(pooler) => !pooler,
            None => seen.mark.as_deref() == Some(mark.as_str()),
        };
        let timeline = AtomicU32::new(seen.writes_on());
        Ok((Self { client, driver, named, timeline, row_security: false }, seen))
    }

    /// From now on calls say for which tenant they are.
    pub(crate) fn with_row_security(mut self, on: bool) -> Self {
        self.row_security = on;
        self
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.driver.has_ended() || self.client.is_closed()
    }

    /// Asks the server again what it is.
    pub(crate) async fn look(&self) -> Sql<Seen> {
        let seen = self.driver.until(seen::ask(&self.client)).await?;
        self.timeline.store(seen.writes_on(), Ordering::Relaxed);
        Ok(seen)
    }

    /// The timeline on which the server takes writes; 0 if it did not when it was last looked at.
    pub(crate) fn timeline(&self) -> u32 {
        self.timeline.load(Ordering::Relaxed)
    }

    /// Waits for several answers of this connection: what has to be sent for them is sent together.
    pub(crate) async fn together<T>(&self, answers: impl Future<Output = T>) -> T {
        self.driver.until(answers).await
    }

    /// As [`Driver::take_unconfirmed`].
    pub(crate) fn take_unconfirmed(&self) -> bool {
        self.driver.take_unconfirmed()
    }

    /// Runs one statement, in the transaction that was begun, if any.
    pub(crate) async fn query(&self, sql: &str, values: &[Value<'_>]) -> Sql<Vec<Row>> {
        let answer = async {
            match self.prepared(sql, values).await? {
                Some(statement) => self.run(&Prepared::Named(&statement, values)).await,
                None => self.run(&Prepared::Unnamed(sql, values)).await,
            }
        };
        self.driver.until(answer).await
    }

    /// Runs one statement as a transaction of its own, in one round trip.
    pub(crate) async fn single(&self, whose: For<'_>, sql: &str, values: &[Value<'_>]) -> Sql<Vec<Row>> {
        if !self.row_security {
            return self.query(sql, values).await;
        }
        let mut answers = self.all(&self.as_transaction(whose, Step::query(sql, values))).await?;
        answers.pop();
        Ok(answers.pop().unwrap_or_default())
    }

    /// What runs one statement as a transaction of its own: the statement comes last but for what ends the transaction.
    pub(crate) fn as_transaction<'a>(&self, whose: For<'a>, step: Step<'a>) -> Vec<Step<'a>> {
        if !self.row_security {
            return vec![step];
        }
        let mut steps = self.begin(whose, "BEGIN");
        steps.extend([step, Step::Command("COMMIT")]);
        steps
    }

    /// What begins a transaction, and says for as long as it takes, and no longer, whose rows it may see.
    pub(crate) fn begin<'a>(&self, whose: For<'a>, how: &'static str) -> Vec<Step<'a>> {
        let mut steps = vec![Step::Command(how)];
        if self.row_security {
            steps.push(scope(whose));
        }
        steps
    }

    /// Sends everything before the first answer is waited for, so that it takes one round trip. If something fails the rest
    /// is answered all the same, and the first failure is returned.
    pub(crate) async fn all(&self, steps: &[Step<'_>]) -> Sql<Vec<Vec<Row>>> {
        // What the server has to be asked first would else be overtaken by what it knows already.
        let statements = try_join_all(steps.iter().map(|step| async move {
            match step {
                Step::Command(_) => Ok(None),
                Step::Query(sql, values) => self.prepared(sql, values).await,
            }
        }));
        let statements = self.driver.until(statements).await?;
        let prepared = steps.iter().zip(&statements).map(|pair| match pair {
            (Step::Command(text), _) => Prepared::Command(text),
            (Step::Query(_, values), Some(statement)) => Prepared::Named(statement, values),
            (Step::Query(sql, values), None) => Prepared::Unnamed(sql, values),
        });
        let prepared: Vec<_> = prepared.collect();
        // All are sent in this order when they are polled for the first time.
        let answers = join_all(prepared.iter().map(|step| self.run(step)));
        self.driver.until(answers).await.into_iter().collect()
    }

    async fn prepared(&self, sql: &str, values: &[Value<'_>]) -> Sql<Option<Statement>> {
        if !self.named {
            return Ok(None);
        }
        let types: Vec<Type> = values.iter().map(Value::ty).collect();
        Ok(Some(self.client.prepare_typed_cached(sql, &types).await?))
    }

    async fn run(&self, prepared: &Prepared<'_>) -> Sql<Vec<Row>> {
        Ok(match prepared {
            // What need not be done.
            Prepared::Command("") => Vec::new(),
            Prepared::Command(text) => {
                self.client.batch_execute(text).await?;
                Vec::new()
            }
            Prepared::Named(statement, values) => {
                let values: Vec<_> = values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
                self.client.query(*statement, &values).await?
            }
            Prepared::Unnamed(sql, values) => {
                let values: Vec<_> = values.iter().map(|value| (value as &(dyn ToSql + Sync), value.ty())).collect();
                self.client.query_typed(sql, &values).await?
            }
        })
    }

    /// Runs text that has no parameters.
    pub(crate) async fn command(&self, sql: &str) -> Sql<()> {
        Ok(self.driver.until(self.client.batch_execute(sql)).await?)
    }

    /// Has the server keep a statement, so that its first call does not pay for it.
    pub(crate) async fn keep(&self, sql: &str, types: &[Type]) -> Sql<()> {
        if self.named {
            self.driver.until(self.client.prepare_typed_cached(sql, types)).await?;
        }
        Ok(())
    }
}

/// Connects.
async fn connect(
    config: &tokio_postgres::Config,
    reach: &Reach,
) -> Result<(ClientWrapper, Driver), tokio_postgres::Error> {
    let (client, driver) = match &reach.tls {
        Some(tls) => {
            let (client, connection) = config.connect(tls.clone()).await?;
            (client, Driver::new(connection))
        }
        None => {
            let (client, connection) = config.connect(NoTls).await?;
            (client, Driver::new(connection))
        }
    };
    // The wrapper wants a task that it can end; whoever waits for an answer drives the connection.
    Ok((ClientWrapper::new(client, tokio::spawn(async {})), driver))
}

/// The fault of a server that could not be connected to.
fn unreachable(error: &tokio_postgres::Error) -> Fault {
    if let Some(told) = error.as_db_error() {
        return Fault::from(told);
    }
    let source = std::error::Error::source(error);
    Fault::Lost(match source.and_then(|source| source.downcast_ref::<std::io::Error>()) {
        // Certificates that cannot be verified are told as an I/O error too.
        Some(io) if io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            let message = "the server cannot be verified: no one who is trusted vouches for this name";
            Error::new(ErrorKind::Unavailable, message).because(io.to_string())
        }
        Some(io) => Error::new(ErrorKind::Unavailable, "the server cannot be reached").with("cause", io.kind()),
        None if reach_needs_tls(error) => {
            Error::new(ErrorKind::Unavailable, "the server speaks no TLS; without it, only `sslmode=disable` connects")
        }
        None => Error::new(ErrorKind::Unavailable, "no connection to the server could be made"),
    })
}

/// The client has no other sign of it.
fn reach_needs_tls(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.to_string() == "server does not support TLS")
}
