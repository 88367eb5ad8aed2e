//! What cleans up when the process of the tests is killed, and so can drop nothing.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Waits for the end of its input, which comes when the process of the tests ends, however it ends. A number in a file may
/// meanwhile be that of another process, so it has to be a server that works in this folder; frozen children of it do not
/// notice by themselves that it is gone. What `ipcrm` removes is shared memory, which outlives all of them.
const SCRIPT: &str = r#"
read nothing
for file in "$0"/*/postmaster.pid; do
    pid=$(head -n 1 "$file") || continue
    [ "$(readlink "/proc/$pid/cwd")" = "${file%/postmaster.pid}" ] || continue
    kill -STOP "$pid"
    kill -9 "$pid" $(awk -v parent="$pid" '$4 == parent { print $1 }' /proc/[0-9]*/stat)
    ipcrm -m "$(sed -n 7p "$file" | awk '{ print $2 }')"
done
rm -rf "$0"
"#;

/// A child that outlives the process of the tests only to kill the servers of a folder, and to remove that.
#[derive(Debug)]
pub(super) struct Watchdog(Child);

impl Watchdog {
    pub(super) fn over(folder: &Path) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(SCRIPT).arg(folder).current_dir("/").process_group(0);
        // Its input is a pipe of which the other end is closed with the process.
        Self(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}
