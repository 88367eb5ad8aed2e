//! How a PostgreSQL store is reached.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use craftx_core::{Error, ErrorKind, Result, Secret};
use serde::{Deserialize, Serialize, Serializer};
use tokio_postgres::config::Host;

use crate::schema::is_schema_name;

/// Where a PostgreSQL store is and how it is reached. As a URL: `postgres://USER@HOST:PORT,HOST:PORT/DATABASE?schema=craftx`.
///
/// Which server is the primary is not said but found out, again and again; so the order of the hosts means nothing, and
/// `primary` and `replicas` are other spellings of the list of hosts.
///
/// Neither `Debug` nor `Serialize` shows a password.
///
/// ```
/// use craftx_postgres::PostgresConfig;
/// let config = PostgresConfig::new("craftx@127.0.0.1:5432,127.0.0.1:5433/chats").connections(8);
/// assert_eq!(config.schema, "craftx");
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PostgresConfig {
    /// What follows `postgres://` in a URL: `USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE`, percent-encoded. A password is
    /// better kept out of it; see [`password`](Self::password).
    #[serde(default, serialize_with = "without_secrets")]
    pub path: String,
    /// A server, `HOST:PORT` or a URL, instead of or besides those in `path`.
    #[serde(default, serialize_with = "all_without_secrets")]
    pub primary: Option<String>,
    /// Further servers, spelled like `primary`.
    #[serde(default, serialize_with = "all_without_secrets")]
    pub replicas: Vec<String>,
    /// The user, unless `path` has one.
    #[serde(default)]
    pub user: Option<String>,
    /// Where the password is, `env:NAME` or `file:PATH`, unless `path` has one.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The database, unless `path` has one. Default: that with the name of the user.
    #[serde(default)]
    pub database: Option<String>,
    /// The schema in the database that holds the store. Default: `craftx`; lower-case letters, digits and `_`.
    #[serde(default = "default_schema")]
    pub schema: String,
    /// How many connections are kept to each server at most. Default: 16; 1 to 1,000.
    #[serde(default = "default_connections")]
    pub connections: u32,
    /// Whether the connection is encrypted. Default: for hosts other than this machine `verify-full`, which also verifies
    /// that the server is the one which was asked for; for this machine `disable`.
    #[serde(default)]
    pub sslmode: Option<SslMode>,
    /// A file with the certificates, in PEM, of those who may vouch for a server. Default: those that this machine trusts.
    #[serde(default)]
    pub sslrootcert: Option<PathBuf>,
    /// Allows a connection without encryption to another machine. Default: `false`.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// A replica that is further behind than so many milliseconds is not read from; with 0, none is. Default:
    /// 10,000.
    #[serde(default = "default_max_lag_ms")]
    pub max_lag_ms: u64,
    /// How many milliseconds connecting to a server may take. Default: 3,000; at least 1.
    #[serde(default = "default_connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// After how many milliseconds the server itself gives up a statement of a call that has no shorter deadline. Default:
    /// 60,000; 0 means never.
    #[serde(default = "default_statement_timeout_ms")]
    pub statement_timeout_ms: u64,
    /// Every how many milliseconds each server is asked what it is. Default: 1,000; at least 10.
    #[serde(default = "default_probe_ms")]
    pub probe_ms: u64,
    /// Whether the server itself keeps tenants apart too, by row-level security: whoever reads the tables without saying
    /// for which tenant sees nothing, the owner of the tables included. It is a property of the store; opening with
    /// [`Prepare::Migrate`](craftx_core::Prepare) switches it on. A call then takes a transaction of several statements.
    /// Default: what the store says; a new store has it not.
    #[serde(default)]
    pub row_security: Option<bool>,
    /// Whether messages can be searched. It is a property of the store; opening with
    /// [`Prepare::Migrate`](craftx_core::Prepare) switches it on, which indexes all messages while nobody can write, or
    /// off. Default: what the store says; a new store is searchable.
    #[serde(default)]
    pub search: Option<bool>,
    /// Whether there is a pooler, such as PgBouncer, that may give each transaction another connection, so that nothing
    /// may be left behind on one. Default: found out when connecting.
    #[serde(default)]
    pub pooler: Option<bool>,
}

/// Whether a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SslMode {
    /// It is not.
    Disable,
    /// Understood and refused: whoever is between could switch the encryption off.
    Allow,
    /// As [`SslMode::Allow`].
    Prefer,
    /// It is, and the server is verified: the same as [`SslMode::VerifyFull`].
    Require,
    /// Understood and refused: it does not verify which server it is.
    VerifyCa,
    /// It is, and the server is verified.
    VerifyFull,
}

/// A URL as it may be shown.
fn without_secrets<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&craftx_core::shown_url(url))
}

/// URLs as they may be shown.
fn all_without_secrets<'a, S: Serializer>(
    urls: impl IntoIterator<Item = &'a String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(urls.into_iter().map(|url| craftx_core::shown_url(url)))
}

fn default_schema() -> String {
    "craftx".to_owned()
}

const fn default_connections() -> u32 {
    16
}

const fn default_max_lag_ms() -> u64 {
    10_000
}

const fn default_connect_timeout_ms() -> u64 {
    3_000
}

const fn default_statement_timeout_ms() -> u64 {
    60_000
}

const fn default_probe_ms() -> u64 {
    1_000
}

impl PostgresConfig {
    /// The defaults for what follows `postgres://` in a URL.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            primary: None,
            replicas: Vec::new(),
            user: None,
            password: None,
            database: None,
            schema: default_schema(),
            connections: default_connections(),
            sslmode: None,
            sslrootcert: None,
            allow_plaintext: false,
            max_lag_ms: default_max_lag_ms(),
            connect_timeout_ms: default_connect_timeout_ms(),
            statement_timeout_ms: default_statement_timeout_ms(),
            probe_ms: default_probe_ms(),
            row_security: None,
            search: None,
            pooler: None,
        }
    }

    /// Sets where the password is.
    #[must_use]
    pub fn password(mut self, password: Secret) -> Self {
        self.password = Some(password);
        self
    }

    /// Sets the schema that holds the store.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Sets how many connections are kept to each server.
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections;
        self
    }

    /// Sets whether the connection is encrypted.
    #[must_use]
    pub fn sslmode(mut self, mode: SslMode) -> Self {
        self.sslmode = Some(mode);
        self
    }

    /// Sets the file with the certificates of those who may vouch for a server.
    #[must_use]
    pub fn sslrootcert(mut self, file: impl Into<PathBuf>) -> Self {
        self.sslrootcert = Some(file.into());
        self
    }

    /// Sets how far a replica may be behind.
    #[must_use]
    pub fn max_lag(mut self, lag: Duration) -> Self {
        self.max_lag_ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Sets whether messages can be searched.
    #[must_use]
    pub fn search(mut self, search: bool) -> Self {
        self.search = Some(search);
        self
    }

    /// Sets whether the server itself keeps tenants apart.
    #[must_use]
    pub fn row_security(mut self, row_security: bool) -> Self {
        self.row_security = Some(row_security);
        self
    }

    /// Sets whether there is a pooler.
    #[must_use]
    pub fn pooler(mut self, pooler: bool) -> Self {
        self.pooler = Some(pooler);
        self
    }

    /// Checks every rule that needs no I/O, and returns the servers.
    pub(crate) fn check(&self) -> Result<Servers> {
        if !is_schema_name(&self.schema) {
            return Err(wrong("schema", "a schema is written with 1 to 63 lower-case letters, digits and `_`"));
        }
        if !(1..=1_000).contains(&self.connections) {
            return Err(wrong("connections", "there can be 1 to 1,000 connections"));
        }
        if self.connect_timeout_ms == 0 {
            return Err(wrong("connect_timeout_ms", "connecting takes time"));
        }
        if self.probe_ms < 10 {
            return Err(wrong("probe_ms", "servers can be asked every 10 milliseconds at most"));
        }
        let servers = self.servers()?;
        match self.sslmode {
            Some(SslMode::Allow | SslMode::Prefer) => Err(wrong(
                "sslmode",
                "this would go on without encryption where there is none; write `verify-full` or `disable`",
            )),
            Some(SslMode::VerifyCa) => {
                Err(wrong("sslmode", "this would not verify which server it is; write `verify-full`"))
            }
            Some(SslMode::Disable) if !self.allow_plaintext && servers.hosts.iter().any(|host| !host.is_near()) => Err(
                wrong("sslmode", "another machine is reached with encryption, unless `allow_plaintext` says otherwise"),
            ),
            _ => Ok(servers),
        }
    }

    /// Whether the connection to a host is encrypted.
    pub(crate) fn encrypts(&self, host: &Server) -> bool {
        match self.sslmode {
            Some(mode) => mode != SslMode::Disable,
            None => !host.is_near() && !self.allow_plaintext,
        }
    }

    fn servers(&self) -> Result<Servers> {
        let mut servers =
            Servers { hosts: Vec::new(), user: self.user.clone(), password: None, database: self.database.clone() };
        if !self.path.is_empty() {
            servers.add(&self.path, "path")?;
        }
        for (spelled, key) in
            self.primary.iter().map(|one| (one, "primary")).chain(self.replicas.iter().map(|one| (one, "replicas")))
        {
            servers.add(spelled, key)?;
        }
        if servers.hosts.is_empty() {
            return Err(wrong("path", "a PostgreSQL store needs a host, such as `postgres://craftx@localhost/craftx`"));
        }
        if servers.password.is_some() && self.password.is_some() {
            return Err(wrong("password", "there is a password in the URL too"));
        }
        Ok(servers)
    }
}

fn wrong(key: &'static str, rule: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, rule).with("key", format_args!("`{key}`"))
}

/// The servers of a cluster, and as whom they are reached.
#[derive(Clone)]
pub(crate) struct Servers {
    pub(crate) hosts: Vec<Server>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) database: Option<String>,
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servers").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Server {
    /// Whether nobody is between this process and the server.
    fn is_near(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.host == "localhost" || self.host.starts_with('/') || address.is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Servers {
    /// Adds the hosts of a URL; of user, password and database the first ones count.
    fn add(&mut self, spelled: &str, key: &'static str) -> Result<()> {
        let url = match spelled.split_once("://") {
            Some(("postgres" | "postgresql", rest)) => format!("postgres://{rest}"),
            Some(_) => {
                return Err(wrong(
                    key,
                    "a server is written as `HOST:PORT` or as a URL that begins with `postgres://`",
                ));
            }
            None => format!("postgres://{spelled}"),
        };
        // Options belong to the whole store; and the reader of URLs would quote what it does not know.
        if url.contains('?') {
            return Err(wrong(key, "options are keys of their own"));
        }
        let parsed: tokio_postgres::Config =
            url.parse().map_err(|_| wrong(key, "this is not of the form `USER:PASSWORD@HOST:PORT/DATABASE`"))?;
        let ports = parsed.get_ports();
        for (at, host) in parsed.get_hosts().iter().enumerate() {
            let host = match host {
                Host::Tcp(name) => name.clone(),
                #[cfg(unix)]
                Host::Unix(path) => path.to_string_lossy().into_owned(),
            };
            let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
            let server = Server { host, port };
            if server.host.is_empty() {
                return Err(wrong(key, "a host is missing"));
            }
            if self.hosts.contains(&server) {
                return Err(wrong(key, "a server is named twice"));
            }
            self.hosts.push(server);
        }
        self.user = self.user.take().or_else(|| parsed.get_user().map(str::to_owned));
        self.password = self.password.take().or_else(|| parsed.get_password().map(<[u8]>::to_vec));
        self.database = self.database.take().or_else(|| parsed.get_dbname().map(str::to_owned));
        Ok(())
    }
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("path", &craftx_core::shown_url(&self.path))
            .field("primary", &self.primary.as_deref().map(craftx_core::shown_url))
            .field("replicas", &self.replicas.iter().map(|one| craftx_core::shown_url(one)).collect::<Vec<_>>())
            .field("schema", &self.schema)
            .field("connections", &self.connections)
            .field("sslmode", &self.sslmode)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use craftx_core::Location;

    fn read(url: &str) -> Result<Servers> {
        Location::parse(url)?.config::<PostgresConfig>()?.check()
    }

    #[test]
    fn a_url_gives_servers_and_options() {
        let servers =
            read("postgres://u:p%40@h1:1,127.0.0.1:2,[::1]:3/d?allow_plaintext=true&sslmode=disable").unwrap();
        let shown: Vec<String> = servers.hosts.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["h1:1", "127.0.0.1:2", "[::1]:3"]);
        assert_eq!((servers.user.as_deref(), servers.password.as_deref()), (Some("u"), Some(b"p@".as_slice())));
        assert_eq!(servers.database.as_deref(), Some("d"));
        let table = serde_json::json!({"primary": "db1:5432", "replicas": ["db2:5432", "postgres://db3"], "user": "u"});
        let config: PostgresConfig = serde_json::from_value(table).unwrap();
        let shown: Vec<String> = config.check().unwrap().hosts.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["db1:5432", "db2:5432", "db3:5432"]);
        assert!(config.encrypts(&config.check().unwrap().hosts[0]));
    }

    #[test]
    fn what_cannot_be_reached_safely_is_refused_by_name() {
        for (url, named) in [
            ("postgres:", "needs a host"),
            ("postgres://canary@db1/x?sslmode=disable", "encryption"),
            ("postgres://canary@127.0.0.1/x?sslmode=prefer", "verify-full"),
            ("postgres://canary@127.0.0.1/x?sslmode=verify-ca", "verify-full"),
            ("postgres://canary@127.0.0.1/x?schema=A", "schema"),
            ("postgres://canary@127.0.0.1/x?connections=0", "connections"),
            ("postgres://canary@127.0.0.1,127.0.0.1/x", "twice"),
            ("postgres://u:canary@127.0.0.1:canary/x", "USER:PASSWORD"),
            ("postgres://u:canary@127.0.0.1/x?password=env:CANARY", "in the URL too"),
            ("postgres://u@127.0.0.1/x?shema=a", "schema"),
        ] {
            let error = read(url).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{url}");
            assert!(error.to_string().contains(named) && !format!("{error:?}").contains("canary"), "{error:?}");
        }
    }

    #[test]
    fn debug_shows_no_password() {
        let config = PostgresConfig::new("u:canary@h/d");
        let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("canary"), "{shown}");
    }
}
