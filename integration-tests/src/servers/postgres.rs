//! A primary and its replicas.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::node::Node;
use super::watchdog::Watchdog;
use super::{DATABASE, PASSWORD, USER, certificates, command, in_time, process, programs};

/// What servers to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostgresOptions {
    /// How many replicas stream from the primary.
    pub replicas: usize,
    /// Whether what is committed outlives the machine. What is only killed loses nothing without it.
    pub fsync: bool,
    /// Which replicas a commit waits for, such as `ANY 1 (n1,n2)`; none if empty. All nodes have it, so that it holds after
    /// a promotion too.
    pub synchronous_standby_names: String,
    /// Whether connections may be encrypted.
    pub tls: bool,
    /// Further settings of all nodes.
    pub extra: Vec<(String, String)>,
}

/// Servers that run: node 0 is the primary at first. They end when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    pub(super) nodes: Vec<Node>,
    pub(super) fsync: bool,
    // In this order: who watches the folder must not see it go.
    _watchdog: Watchdog,
    folder: TempDir,
}

impl Postgres {
    /// Starts a primary and its replicas, and waits until they stream.
    pub fn start(options: &PostgresOptions) -> Self {
        let folder = tempfile::Builder::new().prefix("craftx-postgres-").tempdir().unwrap();
        command::give(folder.path());
        if options.tls {
            certificates::make(&folder.path().join("tls"));
        }
        let watchdog = Watchdog::over(folder.path());
        let nodes = (0..=options.replicas).map(|number| Node::new(folder.path(), number)).collect();
        let mut started = Self { nodes, fsync: options.fsync, _watchdog: watchdog, folder };
        started.start_primary(options);
        started.start_replicas();
        if !options.synchronous_standby_names.is_empty() {
            for node in 0..started.nodes() {
                started.set(node, "synchronous_standby_names", &options.synchronous_standby_names);
            }
        }
        started
    }

    fn start_primary(&mut self, options: &PostgresOptions) {
        let password = self.folder().join("password");
        fs::write(&password, PASSWORD).unwrap();
        let primary = &mut self.nodes[0];
        let mut initdb = command::command(&programs::postgres("initdb"));
        initdb.arg("-D").arg(&primary.data).arg("--pwfile").arg(password);
        initdb.args(["-U", USER, "--auth=scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8"]);
        initdb.args((!options.fsync).then_some("--no-sync"));
        command::must(initdb);
        let mut file = fs::File::options().append(true).open(primary.data.join("postgresql.conf")).unwrap();
        file.write_all(settings(options, self.folder.path()).as_bytes()).unwrap();
        primary.start_anywhere();
        primary.sql_in("postgres", &format!("CREATE DATABASE {DATABASE}")).unwrap();
    }

    fn start_replicas(&mut self) {
        let (primary, replicas) = self.nodes.split_at_mut(1);
        let (primary, fsync) = (&primary[0], self.fsync);
        std::thread::scope(|scope| {
            for node in &mut *replicas {
                scope.spawn(move || {
                    let mut copy = command::command(&programs::postgres("pg_basebackup"));
                    copy.arg("-d").arg(primary.conninfo(&node.name)).arg("-D").arg(&node.data);
                    copy.args(["-R", "-X", "stream", "-c", "fast", "-C", "-S", &format!("slot_{}", node.name)]);
                    copy.args((!fsync).then_some("--no-sync"));
                    command::must(copy);
                    node.start_anywhere();
                });
            }
        });
        let streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        let all = replicas.len().to_string();
        assert!(in_time(|| primary.must(streaming) == all), "replicas do not stream:\n{}", primary.log());
    }

    /// The URL of all nodes.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        url(&hosts.join(","))
    }

    /// The URL of one node.
    pub fn url_of(&self, node: usize) -> String {
        url(&format!("127.0.0.1:{}", self.port(node)))
    }

    /// The port of a node, which it keeps.
    pub fn port(&self, node: usize) -> u16 {
        self.nodes[node].port
    }

    /// How many there are, whether they run or not.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Runs SQL by `psql`: rows as lines, columns divided by `|`.
    ///
    /// # Errors
    /// What `psql` says, with the SQLSTATE. A call that does not end in half a minute is given up.
    pub fn sql(&self, node: usize, sql: &str) -> Result<String, String> {
        self.nodes[node].sql(sql)
    }

    /// Kills a server with all its backends, as when a machine loses its power.
    pub fn kill9(&mut self, node: usize) {
        self.nodes[node].kill9();
    }

    /// Shuts a server down fast: sessions end, replicas get everything.
    pub fn stop(&mut self, node: usize) {
        self.nodes[node].stop();
    }

    /// Starts a server that was killed or stopped, as what it was, and waits until it answers.
    pub fn start_node(&mut self, node: usize) {
        self.nodes[node].start();
    }

    /// Stops the processes of a server in the middle of what they do, or lets them go on. Its port still takes connections.
    pub fn freeze(&self, node: usize, frozen: bool) {
        process::freeze(self.nodes[node].pid().expect("it does not run"), frozen);
    }

    /// As [`freeze`](Self::freeze), one process alone, such as one of [`backends`](Self::backends).
    pub fn freeze_process(pid: u32, frozen: bool) {
        process::freeze(pid, frozen);
    }

    /// The processes that serve clients of a node, this question not counted.
    pub fn backends(&self, node: usize) -> Vec<u32> {
        let clients = "backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY backend_start";
        let pids = self.nodes[node].must(&format!("SELECT pid FROM pg_stat_activity WHERE {clients}"));
        pids.lines().map(|pid| pid.parse().unwrap()).collect()
    }

    /// Changes a setting of a node that needs no restart, and waits until new sessions have it.
    pub fn set(&self, node: usize, name: &str, value: &str) {
        let node = &self.nodes[node];
        let loaded = || node.must("SELECT pg_conf_load_time()");
        let before = loaded();
        node.must(&format!("ALTER SYSTEM SET {name} = '{}'", value.replace('\'', "''")));
        node.must("SELECT pg_reload_conf()");
        assert!(in_time(|| loaded() != before), "{} does not read its settings:\n{}", node.name, node.log());
    }

    /// The folder in which everything is: `nK` is the data of a node, `nK.log` its log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate that vouches for the servers, if there is TLS.
    pub fn ca(&self) -> PathBuf {
        self.folder().join("tls/ca.crt")
    }

    /// A certificate that vouches for nobody here, if there is TLS.
    pub fn other_ca(&self) -> PathBuf {
        self.folder().join("tls/other.crt")
    }
}

fn url(hosts: &str) -> String {
    format!("postgres://{USER}:{PASSWORD}@{hosts}/{DATABASE}")
}

/// What stands in `postgresql.conf`, which replicas copy. The port and the name of a node are given to its process.
fn settings(options: &PostgresOptions, folder: &Path) -> String {
    let mut settings: Vec<(&str, &str)> = vec![
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("max_connections", "120"),
        ("shared_buffers", "32MB"),
        // In the folder of the data, so that `kill -9` leaves nothing elsewhere.
        ("dynamic_shared_memory_type", "mmap"),
        ("fsync", if options.fsync { "on" } else { "off" }),
        ("wal_level", "replica"),
        ("max_wal_senders", "10"),
        ("max_replication_slots", "10"),
        ("wal_keep_size", "64MB"),
        // For `pg_rewind`.
        ("wal_log_hints", "on"),
        ("hot_standby", "on"),
        ("hot_standby_feedback", "on"),
        // A replica that has lost its primary would look for it every five seconds.
        ("wal_retrieve_retry_interval", "100ms"),
        ("wal_receiver_status_interval", "1s"),
        ("logging_collector", "off"),
    ];
    let [certificate, key] = ["server.crt", "server.key"].map(|name| folder.join("tls").join(name));
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().unwrap());
    if options.tls {
        settings.extend([("ssl", "on"), ("ssl_cert_file", certificate), ("ssl_key_file", key)]);
    }
    settings.extend(options.extra.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    settings.iter().map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''"))).collect()
}
