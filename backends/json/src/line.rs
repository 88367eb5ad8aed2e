//! How a record lies on its line: readable JSON with a checksum at its end.
//!
//! A line is the canonical encoding of a record with two members more before its closing brace: `"batch":[K,N]` on
//! each of the N lines of a batch of several records, and always, last, `"crc"`: the CRC-32C of all bytes of the line
//! before `,"crc"`, in eight hex digits.

/// `,"crc":"xxxxxxxx"}`
const CRC: &[u8] = b",\"crc\":\"";
const BATCH: &[u8] = b",\"batch\":[";
/// How many bytes the checksum takes, with the closing brace.
pub(crate) const SEAL: usize = CRC.len() + 8 + 2;

/// Which line of how many in its batch, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) line: u32,
    pub(crate) of: u32,
}

impl Part {
    /// A batch of one.
    pub(crate) const WHOLE: Self = Self { line: 1, of: 1 };

    pub(crate) fn is_last(self) -> bool {
        self.line == self.of
    }
}

/// Writes the line of a canonical encoding, line break included, at the end of `out`.
pub(crate) fn push(out: &mut Vec<u8>, encoded: &str, part: Part) {
    let start = out.len();
    out.extend_from_slice(encoded.strip_suffix('}').unwrap_or(encoded).as_bytes());
    if part.of > 1 {
        out.extend_from_slice(BATCH);
        out.extend_from_slice(format!("{},{}]", part.line, part.of).as_bytes());
    }
    let crc = crc32c::crc32c(out.get(start..).unwrap_or_default());
    out.extend_from_slice(CRC);
    out.extend_from_slice(format!("{crc:08x}\"}}\n").as_bytes());
}

/// A line whose checksum holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Framed {
    /// The canonical encoding.
    pub(crate) encoded: String,
    pub(crate) part: Part,
}

/// Reads a line without its line break. `None`: these are not the bytes that were written.
pub(crate) fn read(line: &[u8]) -> Option<Framed> {
    let body = sealed(line)?;
    let (body, part) = without_batch(body);
    let mut encoded = String::from_utf8(body.to_vec()).ok()?;
    encoded.push('}');
    Some(Framed { encoded, part })
}

/// Which part of its batch a line is, if its checksum holds.
pub(crate) fn part(line: &[u8]) -> Option<Part> {
    sealed(line).map(|body| without_batch(body).1)
}

fn sealed(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_suffix(b"\"}")?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
    let body = rest.strip_suffix(CRC)?;
    (format!("{:08x}", crc32c::crc32c(body)).as_bytes() == digits).then_some(body)
}

/// No canonical encoding ends so: a member `batch` of content or metadata is followed by another closing bracket.
fn without_batch(body: &[u8]) -> (&[u8], Part) {
    let found = || {
        let inner = body.strip_suffix(b"]")?;
        let digits = inner.iter().rev().take_while(|byte| byte.is_ascii_digit() || **byte == b',').count();
        let (before, numbers) = inner.split_at_checked(inner.len() - digits)?;
        let body = before.strip_suffix(BATCH)?;
        let (line, of) = std::str::from_utf8(numbers).ok()?.split_once(',')?;
        let part = Part { line: line.parse().ok()?, of: of.parse().ok()? };
        (part.line >= 1 && part.line <= part.of && part.of > 1).then_some((body, part))
    };
    found().unwrap_or((body, Part::WHOLE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(encoded: &str, part: Part) -> Vec<u8> {
        let mut line = Vec::new();
        push(&mut line, encoded, part);
        assert_eq!(line.pop(), Some(b'\n'));
        line
    }

    #[test]
    fn a_line_is_json_and_comes_back() {
        for (encoded, part) in [
            (r#"{"v":1,"content":"é"}"#, Part::WHOLE),
            (r#"{"v":1,"content":[1,2]}"#, Part { line: 2, of: 300 }),
            (r#"{"v":1,"content":{"a":1,"batch":[1,2]}}"#, Part::WHOLE),
            (r#"{"v":1,"content":",\"batch\":[1,2]"}"#, Part { line: 1, of: 2 }),
        ] {
            let line = framed(encoded, part);
            assert_eq!(read(&line), Some(Framed { encoded: encoded.to_owned(), part }));
            let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(value["v"], 1);
        }
    }

    #[test]
    fn the_bytes_of_a_line_are_fixed() {
        let line = framed(r#"{"v":1,"content":"hi"}"#, Part { line: 1, of: 2 });
        assert_eq!(std::str::from_utf8(&line).unwrap(), r#"{"v":1,"content":"hi","batch":[1,2],"crc":"2026cea5"}"#);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let line = framed(r#"{"v":1,"content":"hello world"}"#, Part { line: 1, of: 2 });
        for at in 0..line.len() * 8 {
            let mut flipped = line.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert_eq!(read(&flipped), None, "bit {at}");
        }
    }
}
