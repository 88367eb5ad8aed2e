//! The values of a JSON file, one after the other, in constant memory: the elements of its array, or the values on its
//! lines, or its one value.
//!
//! Only strings, brackets and commas are looked at here. What an element holds is parsed later and strictly, so that one
//! that is no JSON does not take the others with it.

use std::io::{ErrorKind as IoKind, Read};

use craftx_core::{Error, ErrorKind, Result};
use memchr::{memchr_iter, memchr2, memchr3};

/// So much is read at once.
const CHUNK: usize = 1 << 16;
/// A greater element is refused before it fills the memory.
const MAX_BYTES: usize = 1 << 30;

/// The text of one value, and the line on which it begins, counted from 1.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) line: u64,
    pub(crate) text: Result<String>,
}

/// Reads the elements of a file.
pub(crate) struct Elements<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Where in the buffer that begins which was not given out yet.
    at: usize,
    line: u64,
    ended: bool,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Nothing has been seen yet.
    Unknown,
    /// Within the array that the file is.
    Array { may_end: bool },
    /// A value after the other.
    Values,
    /// There is nothing more.
    Done,
}

/// How far an element has been looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    at: usize,
    depth: usize,
    in_string: bool,
    /// A value on lines of its own that the next line does not go on with.
    line_began: bool,
}

/// Where an element ends.
enum End {
    At(usize),
    /// It ends there because what follows is something else.
    Broken(usize),
    /// Not in what has been read so far.
    Later,
}

impl<R: Read> Elements<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), at: 0, line: 1, ended: false, shape: Shape::Unknown }
    }

    /// The next element; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Element> {
        let next = self.find();
        if matches!(&next, Some(element) if element.text.is_err() && self.ended_badly(element)) {
            self.shape = Shape::Done;
        }
        next
    }

    /// Nothing can follow an error of the file itself.
    fn ended_badly(&self, element: &Element) -> bool {
        element.text.as_ref().err().is_some_and(|error| error.get("file").is_some())
    }

    fn find(&mut self) -> Option<Element> {
        loop {
            if let Err(error) = self.skip_blanks() {
                return Some(self.failed(error));
            }
            let byte = self.peek();
            match (self.shape, byte) {
                (Shape::Done, _) | (Shape::Unknown | Shape::Values, None) => return None,
                (Shape::Unknown, Some(b'[')) => {
                    self.at += 1;
                    self.shape = Shape::Array { may_end: true };
                }
                (Shape::Unknown, Some(_)) => self.shape = Shape::Values,
                (Shape::Array { .. }, None) => return Some(self.failed(too_early())),
                (Shape::Array { may_end: true }, Some(b']')) => {
                    self.at += 1;
                    self.shape = Shape::Done;
                    return self.nothing_follows();
                }
                (Shape::Array { .. }, Some(_)) => return Some(self.of_array()),
                (Shape::Values, Some(byte)) => return Some(self.on_lines(byte)),
            }
        }
    }

    /// The element of an array that begins here, and what separates it from the next.
    fn of_array(&mut self) -> Element {
        let line = self.line;
        let mut scan = Scan { at: self.at, ..Scan::default() };
        loop {
            match in_array(&self.buffer, &mut scan) {
                End::At(end) | End::Broken(end) => {
                    let text = self.take(end);
                    return Element { line, text: self.separated(text) };
                }
                End::Later => {}
            }
            match self.more(&mut scan) {
                Ok(true) => {}
                Ok(false) => {
                    self.shape = Shape::Done;
                    return Element { line, text: Err(too_early()) };
                }
                Err(error) => return Element { line, text: Err(error) },
            }
        }
    }

    /// Goes to what follows an element of the array.
    fn separated(&mut self, text: Result<String>) -> Result<String> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.shape = Shape::Array { may_end: false };
                text
            }
            Some(b']') => {
                self.shape = Shape::Array { may_end: true };
                text
            }
            _ => Err(broken_file("its brackets do not match")),
        }
    }

    /// A value that does not lie in an array: one line, or as many as its brackets need.
    fn on_lines(&mut self, first: u8) -> Element {
        let line = self.line;
        let mut scan = Scan { at: self.at, ..Scan::default() };
        loop {
            let end = match first {
                b'{' | b'[' => on_its_own(&self.buffer, &mut scan),
                _ => to_line_break(&self.buffer, &mut scan),
            };
            match end {
                End::At(end) => return Element { line, text: self.take(end) },
                End::Broken(end) => {
                    // What is broken is dropped with its line.
                    let _ = self.take(end);
                    let why = "the value on this line does not end; the next line begins another one";
                    return Element { line, text: Err(Error::new(ErrorKind::InvalidInput, why)) };
                }
                End::Later => {}
            }
            match self.more(&mut scan) {
                Ok(true) => {}
                Ok(false) if matches!(first, b'{' | b'[') => {
                    self.shape = Shape::Done;
                    return Element { line, text: Err(too_early()) };
                }
                Ok(false) => return Element { line, text: self.take(self.buffer.len()) },
                Err(error) => return Element { line, text: Err(error) },
            }
        }
    }

    /// Nothing but blanks may follow the array that a file is.
    fn nothing_follows(&mut self) -> Option<Element> {
        match self.skip_blanks() {
            Err(error) => Some(self.failed(error)),
            Ok(()) => self.peek().map(|_| self.failed(broken_file("something follows the array"))),
        }
    }

    fn failed(&mut self, error: Error) -> Element {
        self.shape = Shape::Done;
        Element { line: self.line, text: Err(error) }
    }

    /// The text up to `end`.
    fn take(&mut self, end: usize) -> Result<String> {
        let bytes = self.buffer.get(self.at..end).unwrap_or_default();
        self.line += memchr_iter(b'\n', bytes).count() as u64;
        self.at = end;
        let text = std::str::from_utf8(bytes).map_err(|error| {
            Error::new(ErrorKind::InvalidInput, "this is not UTF-8").with("byte", error.valid_up_to())
        })?;
        Ok(text.trim_end_matches([' ', '\t', '\r', '\n']).to_owned())
    }

    fn peek(&self) -> Option<u8> {
        self.buffer.get(self.at).copied()
    }

    fn skip_blanks(&mut self) -> Result<()> {
        loop {
            match self.peek() {
                Some(b'\n') => {
                    self.line += 1;
                    self.at += 1;
                }
                Some(b' ' | b'\t' | b'\r') => self.at += 1,
                // The mark that some programs put before UTF-8.
                Some(0xef) if self.rest().starts_with(b"\xef\xbb\xbf") => self.at += 3,
                Some(_) => return Ok(()),
                None if self.more(&mut Scan::default())? => {}
                None => return Ok(()),
            }
        }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// Reads on; `false` at the end. Forgets what was given out, and moves `scan` with it.
    fn more(&mut self, scan: &mut Scan) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.rest().len() > MAX_BYTES {
            return Err(broken_file("one value is longer than 1 GiB"));
        }
        // A long element is moved as seldom as it is doubled.
        if self.at > self.buffer.len() / 2 {
            self.buffer.drain(..self.at);
            scan.at = scan.at.saturating_sub(self.at);
            self.at = 0;
        }
        let before = self.buffer.len();
        self.buffer.resize(before + CHUNK.max(before / 2), 0);
        let room = self.buffer.get_mut(before..).unwrap_or_default();
        let read = loop {
            match self.reader.read(room) {
                Err(error) if error.kind() == IoKind::Interrupted => {}
                done => break done,
            }
        };
        let read = read.map_err(|error| broken_file("the file cannot be read").because(error));
        self.buffer.truncate(before + read.as_ref().map_or(0, |read| *read));
        self.ended = matches!(read, Ok(0) | Err(_));
        Ok(read? > 0)
    }
}

/// The error of the file as a whole, after which nothing is looked for.
fn broken_file(why: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, why).with("file", "cannot be read further")
}

fn too_early() -> Error {
    broken_file("the file ends too early: the program that wrote it was interrupted")
}

/// The end of an element of an array: the `,` or `]` after it.
fn in_array(bytes: &[u8], scan: &mut Scan) -> End {
    loop {
        if scan.in_string {
            let rest = bytes.get(scan.at..).unwrap_or_default();
            if !leave_string(rest, memchr2(b'"', b'\\', rest), scan) {
                return End::Later;
            }
            continue;
        }
        let Some(byte) = bytes.get(scan.at) else { return End::Later };
        match byte {
            b'"' => scan.in_string = true,
            b'[' | b'{' => scan.depth += 1,
            b',' | b']' | b'}' if scan.depth == 0 => return End::At(scan.at),
            b']' | b'}' => scan.depth -= 1,
            _ => {}
        }
        scan.at += 1;
    }
}

/// The end of a value that begins with a bracket and lies in no array.
fn on_its_own(bytes: &[u8], scan: &mut Scan) -> End {
    loop {
        if scan.in_string {
            let rest = bytes.get(scan.at..).unwrap_or_default();
            let found = memchr3(b'"', b'\\', b'\n', rest);
            // JSON escapes a line break in a string: this value was torn.
            if let Some(at) = found.filter(|at| rest.get(*at) == Some(&b'\n')) {
                return End::Broken(scan.at + at);
            }
            if !leave_string(rest, found, scan) {
                return End::Later;
            }
            continue;
        }
        let Some(byte) = bytes.get(scan.at) else { return End::Later };
        if scan.line_began && *byte == b'{' {
            // Files with one value on each line go on so; those with one value on many lines indent them.
            match bytes.get(scan.at + 1) {
                None => return End::Later,
                Some(b'"') => return End::Broken(scan.at),
                Some(_) => {}
            }
        }
        scan.line_began = *byte == b'\n';
        scan.at += 1;
        match byte {
            b'"' => scan.in_string = true,
            b'[' | b'{' => scan.depth += 1,
            b']' | b'}' => {
                scan.depth = scan.depth.saturating_sub(1);
                if scan.depth == 0 {
                    return End::At(scan.at);
                }
            }
            _ => {}
        }
    }
}

/// What begins with no bracket is no conversation, whatever it is: it is refused line by line.
fn to_line_break(bytes: &[u8], scan: &mut Scan) -> End {
    match memchr::memchr(b'\n', bytes.get(scan.at..).unwrap_or_default()) {
        Some(at) => End::At(scan.at + at),
        None => {
            scan.at = bytes.len();
            End::Later
        }
    }
}

/// Moves on behind the quote or the escaped character that was found in a string; `false` if it needs more bytes.
fn leave_string(rest: &[u8], found: Option<usize>, scan: &mut Scan) -> bool {
    match found {
        None => {
            scan.at += rest.len();
            false
        }
        Some(at) if rest.get(at) == Some(&b'"') => {
            scan.in_string = false;
            scan.at += at + 1;
            true
        }
        // The backslash and what it escapes.
        Some(at) if at + 1 < rest.len() => {
            scan.at += at + 2;
            true
        }
        Some(at) => {
            scan.at += at;
            false
        }
    }
}
