//! Who is the primary, and who follows whom.

use std::fs;
use std::io::Write;

use super::node::Node;
use super::process;
use super::{Postgres, command, in_time, programs};

impl Postgres {
    /// Makes a replica a primary, and waits until it is. It does not ask whether another one runs.
    pub fn promote(&self, node: usize) {
        let node = &self.nodes[node];
        assert_eq!(node.must("SELECT pg_promote(true, 30)"), "t", "{} is no primary:\n{}", node.name, node.log());
    }

    /// Makes a replica that runs stream from another node. It must not have more than that one has.
    pub fn follow(&self, node: usize, primary: usize) {
        let (replica, source) = (&self.nodes[node], &self.nodes[primary]);
        make_slot(replica, source);
        self.set(node, "primary_conninfo", &source.conninfo(&replica.name));
        let port = source.port.to_string();
        assert!(
            in_time(|| replica.must(SENDER) == port),
            "{} does not follow {}:\n{}",
            replica.name,
            source.name,
            replica.log()
        );
    }

    /// Makes a node that was a primary a replica of its successor, and starts it as such. What it has and the other one has
    /// not is gone. It is shut down if it runs.
    pub fn rewind(&mut self, node: usize, source: usize) {
        self.stop(node);
        let (old, new) = (&self.nodes[node], &self.nodes[source]);
        // Before a checkpoint the files of the successor still speak of the time when it was a replica.
        new.must("CHECKPOINT");
        let mut rewind = command::command(&programs::postgres("pg_rewind"));
        rewind.arg("-D").arg(&old.data).arg("-R");
        rewind.arg("--source-server").arg(format!("{} dbname=postgres", new.conninfo(&old.name)));
        rewind.args((!self.fsync).then_some("--no-sync"));
        command::must(rewind);
        make_slot(old, new);
        // The last one of a name counts; this file is that of the other node now.
        let mut file = fs::File::options().append(true).open(old.data.join("postgresql.auto.conf")).unwrap();
        writeln!(file, "primary_slot_name = 'slot_{}'", old.name).unwrap();
        self.start_node(node);
        let (old, port) = (&self.nodes[node], self.port(source).to_string());
        assert!(in_time(|| old.must(SENDER) == port), "{} does not stream:\n{}", old.name, old.log());
    }

    /// Lets a replica fall behind: it gets what the primary writes, and does not show it. Or lets it go on.
    pub fn pause_replay(&self, node: usize, paused: bool) {
        let node = &self.nodes[node];
        let (call, state) = if paused { ("pause", "paused") } else { ("resume", "not paused") };
        node.must(&format!("SELECT pg_wal_replay_{call}()"));
        let is = || node.must("SELECT pg_get_wal_replay_pause_state()") == state;
        assert!(in_time(is), "{} does not {call}:\n{}", node.name, node.log());
    }

    /// Waits until all replicas that run show everything that the primary of each has now.
    pub fn wait_for_replicas(&self) {
        let runs = |node: &&Node| node.pid().is_some_and(|pid| !process::is_frozen(pid));
        let is_replica = |node: &&Node| node.must("SELECT pg_is_in_recovery()") == "t";
        let (replicas, primaries): (Vec<_>, Vec<_>) = self.nodes.iter().filter(runs).partition(is_replica);
        let there: Vec<(String, String)> = primaries
            .iter()
            .map(|node| (node.port.to_string(), node.must("SELECT pg_current_wal_insert_lsn()")))
            .collect();
        for node in replicas {
            let caught_up = in_time(|| {
                let sender = node.must(SENDER);
                let Some((_, lsn)) = there.iter().find(|(port, _)| *port == sender) else { return false };
                node.must(&format!("SELECT pg_last_wal_replay_lsn() >= '{lsn}'")) == "t"
            });
            assert!(caught_up, "{} does not catch up:\n{}", node.name, node.log());
        }
    }
}

/// The port from which a replica streams; nothing if it does not.
const SENDER: &str = "SELECT sender_port FROM pg_stat_wal_receiver WHERE status = 'streaming'";

/// A slot, by which the source keeps what the replica has not got yet. One of before stays.
fn make_slot(replica: &Node, source: &Node) {
    let slot = format!("slot_{}", replica.name);
    source.must(&format!(
        "SELECT pg_create_physical_replication_slot('{slot}')
         WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '{slot}')"
    ));
}
