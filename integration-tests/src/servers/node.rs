//! One server: its folder, its port, its process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{DATABASE, PASSWORD, PATIENCE, USER, command, in_time, port, process, programs};

/// How a log says that the port was not free after all.
const TAKEN: &str = "Address already in use";

/// One server.
#[derive(Debug)]
pub(super) struct Node {
    /// As its primary knows it.
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) data: PathBuf,
    log: PathBuf,
    process: Option<Child>,
}

impl Node {
    /// One that does not run yet, without data.
    pub(super) fn new(folder: &Path, number: usize) -> Self {
        let name = format!("n{number}");
        let (data, log) = (folder.join(&name), folder.join(format!("{name}.log")));
        Self { name, port: port::free(), data, log, process: None }
    }

    /// The number of its process, if it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// How to connect, with the name by which the server tells this node from others.
    pub(super) fn conninfo(&self, from: &str) -> String {
        format!("host=127.0.0.1 port={} user={USER} password={PASSWORD} application_name={from}", self.port)
    }

    /// Starts it for the first time, on another port if somebody took the one that was free.
    pub(super) fn start_anywhere(&mut self) {
        for _ in 0..5 {
            match self.try_start() {
                Ok(()) => return,
                Err(log) if log.contains(TAKEN) => self.port = port::free(),
                Err(log) => panic!("{} does not start:\n{log}", self.name),
            }
        }
        panic!("{} finds no port that is free", self.name);
    }

    /// Starts it where it was, and waits until it answers.
    pub(super) fn start(&mut self) {
        assert!(self.process.is_none(), "{} runs", self.name);
        let began = Instant::now();
        while let Err(log) = self.try_start() {
            assert!(log.contains(TAKEN) && began.elapsed() < PATIENCE, "{} does not start:\n{log}", self.name);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts it; what it wrote to its log if that fails.
    fn try_start(&mut self) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let before = log.metadata().unwrap().len();
        let mut server = command::command(&programs::postgres("postgres"));
        server.arg("-D").arg(&self.data);
        server.args(["-c", &format!("port={}", self.port), "-c", &format!("cluster_name={}", self.name)]);
        server.stdout(log.try_clone().unwrap()).stderr(log);
        let server = self.process.insert(server.spawn().unwrap());
        let mut ended = false;
        let ready = in_time(|| {
            ended = server.try_wait().unwrap().is_some();
            ended || is_ready(self.port)
        });
        // Somebody else on this port may have answered.
        if ready && !ended && server.try_wait().unwrap().is_none() {
            return Ok(());
        }
        self.kill9();
        let text = fs::read(&self.log).unwrap_or_default();
        let new = text.get(usize::try_from(before).unwrap()..).unwrap_or_default();
        Err(String::from_utf8_lossy(new).into_owned())
    }

    /// Kills it with all its backends, as when a machine loses its power. It must not be a zombie when it is started
    /// again: its lock file would still name a process that exists.
    pub(super) fn kill9(&mut self) {
        let Some(mut server) = self.process.take() else { return };
        let backends = process::kill(server.id());
        let _status = server.wait();
        let gone = in_time(|| backends.iter().all(|pid| process::is_gone(*pid)));
        assert!(gone || std::thread::panicking(), "backends of {} outlive `kill -9`", self.name);
    }

    /// Shuts it down: connections are ended, replicas get what there is, and nothing has to be recovered.
    pub(super) fn stop(&mut self) {
        let Some(server) = &mut self.process else { return };
        process::signal(server.id(), Signal::INT);
        if in_time(|| server.try_wait().unwrap().is_some()) {
            self.process = None;
        } else {
            panic!("{} does not stop:\n{}", self.name, self.log());
        }
    }

    /// Runs SQL in a session of its own: rows as lines, columns divided by `|`.
    pub(super) fn sql_in(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut psql = command::command(&programs::postgres("psql"));
        psql.args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-c", sql]);
        psql.arg("-d").arg(format!("{} dbname={database} connect_timeout=10", self.conninfo("psql")));
        command::finish(psql)
    }

    /// As [`sql_in`](Self::sql_in), in the database of the tests.
    pub(super) fn sql(&self, sql: &str) -> Result<String, String> {
        self.sql_in(DATABASE, sql)
    }

    /// As [`sql`](Self::sql), for what has to work.
    pub(super) fn must(&self, sql: &str) -> String {
        self.sql(sql).unwrap_or_else(|error| panic!("{}: `{sql}`: {error}\n{}", self.name, self.log()))
    }

    /// The end of its log.
    pub(super) fn log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// A few bytes of shared memory, by which a server knows that another one has its data, outlive `kill -9`. A restart
    /// would have taken them away.
    fn forget_memory(&self) {
        let lock = fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        if let Some(id) = lock.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
            let _gone = Command::new("ipcrm").args(["-m", id]).stderr(Stdio::null()).status();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(server) = &mut self.process {
            // It takes its shared memory along when it may end by itself.
            process::freeze(server.id(), false);
            process::signal(server.id(), Signal::QUIT);
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(3) && !matches!(server.try_wait(), Ok(Some(_))) {
                std::thread::sleep(Duration::from_millis(5));
            }
            match server.try_wait() {
                Ok(Some(_)) => self.process = None,
                _ => self.kill9(),
            }
        }
        self.forget_memory();
    }
}

fn is_ready(port: u16) -> bool {
    let mut ask = command::command(&programs::postgres("pg_isready"));
    ask.args(["-q", "-t", "1", "-h", "127.0.0.1", "-p", &port.to_string()]);
    ask.status().is_ok_and(|status| status.success())
}
