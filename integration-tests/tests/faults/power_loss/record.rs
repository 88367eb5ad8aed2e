//! What a worker did to its files, in order, read from the log of `strace`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use craftx_integration_tests::faults::Told;

/// One thing that it did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Create {
        path: PathBuf,
    },
    Write {
        path: PathBuf,
        offset: usize,
        bytes: Vec<u8>,
    },
    SetLen {
        path: PathBuf,
        len: usize,
    },
    /// Of a file or a folder.
    Sync {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    CreateDir {
        path: PathBuf,
    },
    Told(Told),
}

/// The calls that have to be watched.
pub(crate) const CALLS: &str = "trace=?open,openat,lseek,write,pwrite64,?pwritev,?pwritev2,writev,fsync,fdatasync,\
                                ?sync_file_range,ftruncate,fallocate,?rename,?renameat,?renameat2,?unlink,?unlinkat,\
                                ?mkdir,?mkdirat,?link,?linkat";

/// Reads a log that was written with `-f -y -xx`, as far as it is about files below `root`.
pub(crate) fn parse(log: &str, root: &Path) -> Vec<Event> {
    let mut unfinished: HashMap<&str, &str> = HashMap::new();
    let mut parser = Parser { root, offsets: HashMap::new(), events: Vec::new() };
    for line in log.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        if let Some(begun) = call.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread, begun);
        } else if let Some((_, end)) = call.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            if let Some(begun) = unfinished.remove(thread) {
                parser.call(&format!("{begun}{end}"));
            }
        } else if !call.starts_with(['+', '-']) {
            parser.call(call);
        }
    }
    parser.events
}

struct Parser<'a> {
    root: &'a Path,
    /// Where the next `write` goes, by number of the open file.
    offsets: HashMap<String, usize>,
    events: Vec<Event>,
}

impl Parser<'_> {
    fn call(&mut self, call: &str) {
        let (name, rest) = call.split_once('(').unwrap();
        let (arguments, result) = rest.rsplit_once(" = ").unwrap_or_else(|| panic!("what is `{call}`?"));
        if result.starts_with('-') || result.starts_with('?') {
            return;
        }
        let arguments: Vec<&str> = arguments.trim_end().strip_suffix(')').unwrap().split(", ").collect();
        let number = |at: usize| arguments[at].parse::<usize>().unwrap();
        match name {
            "openat" | "open" => {
                let (handle, path) = opened(result);
                self.offsets.insert(handle, 0);
                if arguments.iter().any(|flags| flags.contains("O_CREAT")) {
                    self.push(&path, |path| Event::Create { path });
                }
                if arguments.iter().any(|flags| flags.contains("O_TRUNC")) {
                    self.push(&path, |path| Event::SetLen { path, len: 0 });
                }
            }
            "lseek" => {
                self.offsets.insert(opened(arguments[0]).0, result.parse().unwrap());
            }
            "write" if arguments[0].starts_with("1<") => {
                let text = String::from_utf8(bytes(arguments[1])).unwrap();
                self.events.push(Event::Told(text.trim_end().parse().unwrap()));
            }
            "write" | "pwrite64" => {
                let (handle, path) = opened(arguments[0]);
                let mut bytes = bytes(arguments[1]);
                bytes.truncate(result.parse().unwrap());
                let offset = match name {
                    "write" => *self.offsets.entry(handle.clone()).or_default(),
                    _ => number(3),
                };
                if name == "write" {
                    self.offsets.insert(handle, offset + bytes.len());
                }
                self.push(&path, |path| Event::Write { path, offset, bytes });
            }
            "ftruncate" => self.push(&opened(arguments[0]).1, |path| Event::SetLen { path, len: number(1) }),
            "fsync" | "fdatasync" => self.push(&opened(arguments[0]).1, |path| Event::Sync { path }),
            "rename" | "renameat" | "renameat2" => {
                let paths: Vec<PathBuf> = arguments.iter().copied().filter_map(quoted).collect();
                self.push(&paths[0], |from| Event::Rename { from, to: paths[1].clone() });
            }
            "unlink" | "unlinkat" => {
                let path = arguments.iter().copied().find_map(quoted).unwrap();
                self.push(&path, |path| Event::Remove { path });
            }
            "mkdir" | "mkdirat" => {
                let path = arguments.iter().copied().find_map(quoted).unwrap();
                self.push(&path, |path| Event::CreateDir { path });
            }
            // Nothing that the model of the disk does not know may be used on the files of a store.
            _ => assert!(!call.contains(&hex(&self.root.display().to_string())), "the model does not know `{name}`"),
        }
    }

    fn push(&mut self, path: &Path, event: impl FnOnce(PathBuf) -> Event) {
        if path.starts_with(self.root) {
            self.events.push(event(path.to_owned()));
        }
    }
}

/// Number and path of an open file, from `5<\x2f…>`.
fn opened(argument: &str) -> (String, PathBuf) {
    let (number, path) = argument.split_once('<').unwrap_or((argument, ""));
    (number.to_owned(), String::from_utf8(bytes(path)).unwrap().into())
}

fn quoted(argument: &str) -> Option<PathBuf> {
    argument.starts_with('"').then(|| String::from_utf8(bytes(argument)).unwrap().into())
}

/// The bytes of `\x61\x62`; everything that is not hexadecimal is around it.
fn bytes(text: &str) -> Vec<u8> {
    assert!(!text.ends_with("..."), "the log leaves something out");
    text.split("\\x").skip(1).map(|digits| u8::from_str_radix(&digits[..2], 16).unwrap()).collect()
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("\\x{byte:02x}")).collect()
}

#[test]
fn a_log_is_read_with_calls_that_interrupt_each_other() {
    let path = |name: &str| hex(&format!("/r/{name}"));
    let log = format!(
        "7 openat(AT_FDCWD<{0}>, \"{1}\", O_RDWR|O_CREAT|O_CLOEXEC, 0666) = 5<{1}>\n\
         7 lseek(5<{1}>, 3, SEEK_SET)      = 3\n\
         7 write(5<{1}>, \"\\x61\\x62\", 2 <unfinished ...>\n\
         8 pwrite64(6<{2}>, \"\\x63\", 1, 9) = 1\n\
         7 <... write resumed>)           = 2\n\
         7 write(5<{1}>, \"\\x64\", 1)  = -1 EIO (Input/output error)\n\
         7 fsync(5<{3}>)            = 0\n\
         7 +++ exited with 0 +++\n",
        path(""),
        path("a"),
        path("b"),
        hex("/elsewhere"),
    );
    assert_eq!(
        parse(&log, Path::new("/r")),
        [
            Event::Create { path: "/r/a".into() },
            Event::Write { path: "/r/b".into(), offset: 9, bytes: b"c".to_vec() },
            Event::Write { path: "/r/a".into(), offset: 3, bytes: b"ab".to_vec() },
        ]
    );
}
