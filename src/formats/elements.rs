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
                Some(0xef) if self.rest().len() < 3 && self.more(&mut Scan::default())? => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out a few bytes at a time.
    struct Slowly<'a>(&'a [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let given = self.1.min(self.0.len()).min(buffer.len());
            let (now, later) = self.0.split_at(given);
            buffer[..given].copy_from_slice(now);
            self.0 = later;
            Ok(given)
        }
    }

    fn read(text: &str, at_once: usize) -> Vec<(u64, Option<String>)> {
        let mut elements = Elements::new(Slowly(text.as_bytes(), at_once));
        let all = std::iter::from_fn(|| elements.next().map(|element| (element.line, element.text.ok())));
        all.take(100).collect()
    }

    #[test]
    fn each_shape_of_a_file_gives_its_values_however_it_is_read() {
        for (text, values) in [
            ("", vec![]),
            (" \n", vec![]),
            ("[]", vec![]),
            (
                "\u{feff}[1, \"a,]\" , {\"b\":[2,{}]}]\n",
                vec![(1, Some("1")), (1, Some("\"a,]\"")), (1, Some("{\"b\":[2,{}]}"))],
            ),
            ("[\n\"\\\"\\\\\",\n\n\"x\"]", vec![(2, Some("\"\\\"\\\\\"")), (4, Some("\"x\""))]),
            ("{\"a\":1}\n{\"b\":[\"\\\\\"]}\n", vec![(1, Some("{\"a\":1}")), (2, Some("{\"b\":[\"\\\\\"]}"))]),
            ("{\n  \"a\": {\n  \"b\": 1 }\n}\n", vec![(1, Some("{\n  \"a\": {\n  \"b\": 1 }\n}"))]),
            ("nonsense {\n{\"a\":1}", vec![(1, Some("nonsense {")), (2, Some("{\"a\":1}"))]),
            // What is torn is told, and what can be told apart from it is read.
            ("{\"a\":\"x\n{\"b\":1}\n", vec![(1, None), (2, Some("{\"b\":1}"))]),
            ("{\"a\":[1,\n{\"b\":1}\n", vec![(1, None), (2, Some("{\"b\":1}"))]),
            ("[1,\n{\"a\":", vec![(1, Some("1")), (2, None)]),
            ("[1", vec![(1, None)]),
            ("[1,", vec![(1, Some("1")), (1, None)]),
            ("[1,]", vec![(1, Some("1")), (1, Some(""))]),
            ("[1}", vec![(1, None)]),
            ("[1] [2]", vec![(1, Some("1")), (1, None)]),
            ("{\"a\":", vec![(1, None)]),
        ] {
            let expected: Vec<_> = values.into_iter().map(|(line, value)| (line, value.map(str::to_owned))).collect();
            for at_once in [1, 2, 3, 7, 1000] {
                assert_eq!(read(text, at_once), expected, "{text:?}, {at_once} bytes at once");
            }
        }
    }

    #[test]
    fn a_great_array_is_read_in_little_memory() {
        let element = format!("{{\"role\":\"user\",\"content\":\"{}\"}}", "x".repeat(10_000));
        let count = 20_000;
        let begin = std::io::Cursor::new(b"[".to_vec());
        let one = format!("{element},").into_bytes();
        let middle = std::iter::repeat_n(one, count).map(std::io::Cursor::new);
        let mut reader: Box<dyn Read> = Box::new(begin);
        // A reader of readers would nest; one that counts does not.
        struct Many<I: Iterator<Item = std::io::Cursor<Vec<u8>>>>(I, std::io::Cursor<Vec<u8>>);
        impl<I: Iterator<Item = std::io::Cursor<Vec<u8>>>> Read for Many<I> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                loop {
                    match self.1.read(buffer)? {
                        0 => match self.0.next() {
                            Some(next) => self.1 = next,
                            None => return Ok(0),
                        },
                        read => return Ok(read),
                    }
                }
            }
        }
        reader = Box::new(reader.chain(Many(middle, std::io::Cursor::default())).chain(&b"1]"[..]));
        let mut elements = Elements::new(reader);
        let (mut found, mut greatest) = (0, 0);
        while let Some(Element { text, .. }) = elements.next() {
            assert!(text.is_ok());
            found += 1;
            greatest = greatest.max(elements.buffer.capacity());
        }
        assert_eq!(found, count + 1);
        assert!(greatest < 1 << 20, "{greatest} bytes for elements of 10 kB");
    }
}
