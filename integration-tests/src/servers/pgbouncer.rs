//! PgBouncer, which many put between their programs and their server.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Child;

use tempfile::TempDir;

use super::{DATABASE, PASSWORD, USER, command, in_time, port, programs};

/// A PgBouncer that gives a connection to the server to each transaction. It ends when this is dropped.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    process: Child,
    folder: TempDir,
}

impl PgBouncer {
    /// Starts one in front of a server, and waits until it takes connections.
    pub fn start(port_of_postgres: u16) -> Self {
        let folder = tempfile::Builder::new().prefix("craftx-pgbouncer-").tempdir().unwrap();
        command::give(folder.path());
        let (settings, users) = (folder.path().join("pgbouncer.ini"), folder.path().join("users"));
        fs::write(&users, format!("\"{USER}\" \"{PASSWORD}\"\n")).unwrap();
        let port = port::free();
        let text = format!(
            "[databases]
{DATABASE} = host=127.0.0.1 port={port_of_postgres} dbname={DATABASE}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {}
pool_mode = transaction
default_pool_size = 20
max_client_conn = 400
ignore_startup_parameters = extra_float_digits
",
            users.display()
        );
        fs::write(&settings, text).unwrap();
        let mut program = command::command(&programs::pgbouncer().expect("ask `pgbouncer_is_there` first"));
        let log = File::create(folder.path().join("log")).unwrap();
        program.arg(settings).stdout(log.try_clone().unwrap()).stderr(log);
        let mut started = Self { port, process: program.spawn().unwrap(), folder };
        let up = in_time(|| {
            started.process.try_wait().unwrap().is_some() || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        let runs = started.process.try_wait().unwrap().is_none();
        assert!(up && runs, "PgBouncer does not start:\n{}", started.log());
        started
    }

    /// The URL of the database behind it.
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{DATABASE}", self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it has written to its log.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join("log")).unwrap_or_default()).into_owned()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _status = self.process.wait();
    }
}
