//! Bodies of JSON, and what is told of those that are none: in the words of whoever sends them, not in those of this program.

use serde::Deserialize;
use statera_core::{Error, Result};

/// A body as what it must be: one JSON object.
///
/// # Errors
/// What it is instead, or the place where reading ended and what was expected there.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T> {
    if let Some(what) = other(body) {
        return Err(Error::request(format!("the body {what}; allowed: one JSON object")));
    }
    serde_json::from_slice(body).map_err(|e| Error::request(format!("the body: {}", in_words(&e.to_string()))))
}

/// What a body is that is no object, by how it begins.
fn other(body: &[u8]) -> Option<&'static str> {
    match body.trim_ascii_start() {
        [b'{', ..] => None,
        [] => Some("is empty"),
        [0x1f, 0x8b, ..] => Some("is compressed by gzip"),
        [0xef, 0xbb, 0xbf, ..] => Some("begins with a byte order mark"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("is text of UTF-16"),
        [b'[', ..] => Some("is a list"),
        _ => Some("is no object"),
    }
}

/// What the parser calls a type, and what it is called in JSON.
const TYPES: [(&str, &str); 9] = [
    ("expected usize", "expected a whole number of 0 or more"),
    ("expected u64", "expected a whole number of 0 or more"),
    ("expected u32", "expected a whole number of 0 to 4294967295"),
    ("expected u16", "expected a whole number of 0 to 65535"),
    ("expected u8", "expected a whole number of 0 to 255"),
    ("expected i64", "expected a whole number"),
    ("expected f64", "expected a number"),
    ("expected a boolean", "expected true or false"),
    ("expected a sequence", "expected a list"),
];

/// A message of the parser without the names that this program's types have.
pub(crate) fn in_words(message: &str) -> String {
    let mut message = message.to_string();
    if let Some(at) = message.find("expected struct ") {
        // The struct's name, and how many elements a list of its fields would have.
        let end = message[at..].find(" at line ").map_or(message.len(), |length| at + length);
        message.replace_range(at..end, "expected an object");
    }
    for (theirs, ours) in TYPES {
        message = message.replace(theirs, ours);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Wanted {
        n: u8,
        #[serde(default)]
        shape: Vec<usize>,
        #[serde(default)]
        inner: Option<Box<Wanted>>,
        #[serde(default)]
        is_on: bool,
    }

    #[test]
    fn what_is_no_object_is_told_by_what_it_is() {
        let check = |body: &[u8], expected: &str| {
            let told = read::<Wanted>(body).expect_err("refused").to_string();
            assert_eq!(told, expected, "{}", String::from_utf8_lossy(body));
        };
        check(b"", "the body is empty; allowed: one JSON object");
        check(b" \r\n", "the body is empty; allowed: one JSON object");
        check(b"[1]", "the body is a list; allowed: one JSON object");
        check(b"null", "the body is no object; allowed: one JSON object");
        check(b"n=1", "the body is no object; allowed: one JSON object");
        check(b"\xef\xbb\xbf{\"n\":1}", "the body begins with a byte order mark; allowed: one JSON object");
        check(b"\x1f\x8b\x08", "the body is compressed by gzip; allowed: one JSON object");
        check(b"\xff\xfe{\0", "the body is text of UTF-16; allowed: one JSON object");
        check(b"{", "the body: EOF while parsing an object at line 1 column 1");
        check(
            b"{\"n\":-1}",
            "the body: invalid value: integer `-1`, expected a whole number of 0 to 255 at line 1 column 7",
        );
        check(
            b"{\"n\":1,\"shape\":[-1]}",
            "the body: invalid value: integer `-1`, expected a whole number of 0 or more at line 1 column 18",
        );
        check(b"{\"n\":1,\"shape\":7}", "the body: invalid type: integer `7`, expected a list at line 1 column 16");
        check(b"{\"n\":1,\"inner\":[]}", "the body: invalid length 0, expected an object at line 1 column 17");
        check(b"{\"n\":1,\"inner\":7}", "the body: invalid type: integer `7`, expected an object at line 1 column 16");
        check(
            b"{\"n\":1,\"is_on\":7}",
            "the body: invalid type: integer `7`, expected true or false at line 1 column 16",
        );
        assert!(read::<Wanted>(b"\n {\"n\":1}").is_ok());
    }
}
