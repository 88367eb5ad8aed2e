//! Opening a store: finds the servers out, looks whether the store is there, and makes or upgrades it if it may.

use std::sync::Arc;
use std::time::Duration;

use craftx_core::{Context, Deadline, Error, ErrorKind, Prepare, Result, Waited};
use futures_channel::oneshot;
use tokio_postgres::config::SslMode;

use crate::cluster::{Cluster, Role};
use crate::config::{PostgresConfig, Server, Servers};
use crate::conn::{Conn, Reach};
use crate::error::closed;
use crate::node::Node;
use crate::runtime::OwnRuntime;
use crate::schema::{self, About};
use crate::statements::Statements;
use crate::store::Store;
use crate::tls;

/// How many connections to the server that takes writes are made before anybody needs them.
const WARM: u32 = 4;
/// How many to each of the others.
const WARM_REPLICA: usize = 1;
/// A server that vanished is noticed after so long, where nobody waits with a deadline.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Opens the store that the configuration names.
pub(crate) async fn open(config: &PostgresConfig, servers: &Servers, cx: &Context, mode: Prepare) -> Result<Store> {
    let runtime = OwnRuntime::start()?;
    let handle = runtime.handle().ok_or_else(closed)?.clone();
    let deadline = Deadline::of(cx);
    let sql = Arc::new(Statements::new(&config.schema, servers.hosts.len() > 1));
    let cluster = Arc::new(Cluster::new(
        reach_all(config, servers)?,
        &sql,
        config.connections as usize,
        Duration::from_millis(config.probe_ms),
        Duration::from_millis(config.max_lag_ms),
    )?);
    let (reply, opened) = oneshot::channel();
    let job = prepare(Arc::clone(&cluster), Arc::clone(&sql), config.clone(), deadline.clone(), mode);
    cluster.watch(&handle);
    handle.spawn(async move {
        // The future may have been dropped; then the threads are ended, and the connections with them.
        let _ = reply.send(job.await);
    });
    match deadline.wait(opened).await {
        Waited::Answer(about) => Ok(Store::new(runtime, cluster, sql, about?)),
        Waited::Late => {
            let error = cluster.primary().err().unwrap_or_else(Deadline::error);
            Err(if mode == Prepare::Migrate { error.maybe_applied() } else { error })
        }
        Waited::Gone => Err(closed()),
    }
}

async fn prepare(
    cluster: Arc<Cluster>,
    sql: Arc<Statements>,
    config: PostgresConfig,
    deadline: Deadline,
    mode: Prepare,
) -> Result<About> {
    cluster.first_look(&deadline).await;
    let node = match any_server(&cluster) {
        Some(node) => node,
        // While one answers, it may be about to be promoted; where none does, the addresses are more likely to be wrong.
        None if cluster.nodes.iter().all(|node| node.known().there().is_none()) => cluster.primary()?,
        None => cluster.find_primary(&deadline).await?,
    };
    let (conn, _) = Conn::open(&node.reach).await?;
    let mut found = schema::about(&conn, &sql).await?;
    schema::check(found, mode, &config.schema)?;
    if mode == Prepare::Migrate && !schema::is_as_wanted(found, &config) {
        let node = cluster.find_primary(&deadline).await?;
        let (conn, _) = Conn::open(&node.reach).await?;
        found = Some(schema::migrate(&conn, &sql, &config).await?);
    }
    let about = found.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no store in this database"))?;
    cluster.keep_tenants_apart(about.row_security);
    if mode != Prepare::Check {
        warm(&cluster, config.connections).await;
    }
    Ok(about)
}

/// A server from which can be read what the store is; the one that takes writes if there is one.
fn any_server(cluster: &Cluster) -> Option<&Node> {
    let replica = || cluster.nodes.iter().find(|node| cluster.role(&node.known()) == Role::Replica);
    cluster.primary().ok().or_else(replica)
}

async fn warm(cluster: &Cluster, connections: u32) {
    let primary = cluster.primary().ok().map(|node| Arc::clone(&node.name));
    futures_util::future::join_all(cluster.nodes.iter().map(|node| {
        let is_primary = primary.as_ref() == Some(&node.name);
        node.warm(if is_primary { connections.min(WARM) as usize } else { WARM_REPLICA })
    }))
    .await;
}

fn reach_all(config: &PostgresConfig, servers: &Servers) -> Result<Vec<(String, Reach)>> {
    let password = match (&config.password, &servers.password) {
        (Some(secret), _) => Some(secret.resolve()?.expose().as_bytes().to_vec()),
        (None, in_url) => in_url.clone(),
    };
    let tls = match servers.hosts.iter().any(|host| config.encrypts(host)) {
        true => Some(tls::connector(config.sslrootcert.as_deref())?),
        false => None,
    };
    let reach = |host: &Server| {
        let mut server = tokio_postgres::Config::new();
        server.host(&host.host).port(host.port).application_name("craftx");
        server.connect_timeout(Duration::from_millis(config.connect_timeout_ms));
        server.keepalives_idle(KEEPALIVE).keepalives_interval(KEEPALIVE / 3).keepalives_retries(3);
        server.tcp_user_timeout(KEEPALIVE * 2);
        if let Some(user) = &servers.user {
            server.user(user);
        }
        if let Some(password) = &password {
            server.password(password);
        }
        if let Some(database) = &servers.database {
            server.dbname(database);
        }
        let encrypted = config.encrypts(host);
        server.ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
        let reach = Reach {
            config: server,
            tls: tls.clone().filter(|_| encrypted),
            pooler: config.pooler,
            statement_timeout: Duration::from_millis(config.statement_timeout_ms),
        };
        (host.to_string(), reach)
    };
    Ok(servers.hosts.iter().map(reach).collect())
}
