//! Signals to processes and their children. Which those are is read from `/proc`.

use rustix::process::{Pid, Signal, kill_process};

use super::in_time;

/// Sends a signal. It does not matter if the process is gone.
pub(super) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _gone = kill_process(pid, signal);
    }
}

/// Stops a process and its children, or lets them go on. A stopped process makes no further children, so none is missed.
pub(super) fn freeze(pid: u32, frozen: bool) {
    signal(pid, if frozen { Signal::STOP } else { Signal::CONT });
    if frozen {
        in_time(|| is_frozen(pid) || is_gone(pid));
    }
    for child in children(pid) {
        signal(child, if frozen { Signal::STOP } else { Signal::CONT });
    }
}

/// Kills a process and its children, all at the same moment as far as they can tell.
pub(super) fn kill(pid: u32) -> Vec<u32> {
    freeze(pid, true);
    let children = children(pid);
    signal(pid, Signal::KILL);
    children.iter().for_each(|child| signal(*child, Signal::KILL));
    children
}

/// Whether a process is stopped.
pub(super) fn is_frozen(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state == "T")
}

/// Whether a process does nothing any more, be it only that nobody has asked yet how it ended.
pub(super) fn is_gone(pid: u32) -> bool {
    stat(pid).is_none_or(|(state, _)| state == "Z" || state == "X")
}

pub(super) fn children(pid: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|child| stat(*child).is_some_and(|(_, parent)| parent == pid)).collect()
}

/// The state of a process, and its parent. They stand after the name, which may hold anything.
fn stat(pid: u32) -> Option<(String, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}
