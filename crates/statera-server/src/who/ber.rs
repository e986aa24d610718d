//! The Basic Encoding Rules, as far as certificates' subjects and LDAP need them (ITU-T X.690): tags of one byte, definite
//! lengths up to 4 bytes. Nothing here can read past its bytes.

/// Tags.
pub mod tag {
    /// Yes or no.
    pub const BOOLEAN: u8 = 0x01;
    /// A number.
    pub const INTEGER: u8 = 0x02;
    /// Bytes.
    pub const OCTETS: u8 = 0x04;
    /// An object's number.
    pub const OID: u8 = 0x06;
    /// One of a list.
    pub const ENUMERATED: u8 = 0x0a;
    /// Values in an order.
    pub const SEQUENCE: u8 = 0x30;
    /// Values without one.
    pub const SET: u8 = 0x31;
    /// The first choice in brackets, of values.
    pub const CONTEXT_CONSTRUCTED: u8 = 0xa0;
}

/// Reads one value after the other.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads these bytes.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// True if everything was read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tag of the next value.
    pub fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next value: its tag and its content. `None` at the end, or if it is longer than what is there.
    pub fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (head, n) = header(self.0)?;
        let content = self.0.get(head..head.checked_add(n)?)?;
        let kind = self.0[0];
        self.0 = &self.0[head + n..];
        Some((kind, content))
    }

    /// The next value, which must have that tag.
    pub fn take(&mut self, kind: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == kind).map(|(_, content)| content)
    }

    /// The next value as a number from 0.
    pub fn number(&mut self, kind: u8) -> Option<u32> {
        let bytes = self.take(kind)?;
        if bytes.is_empty() || bytes.len() > 4 || bytes[0] & 0x80 != 0 {
            return None;
        }
        Some(bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
    }
}

/// Bytes of the header and of the content of the value that begins there; `None` if the header is not whole, or of a kind that
/// is not read.
pub fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let (kind, first) = (*bytes.first()?, *bytes.get(1)?);
    if kind & 0x1f == 0x1f {
        return None;
    }
    if first < 0x80 {
        return Some((2, usize::from(first)));
    }
    let n = usize::from(first & 0x7f);
    if !(1..=4).contains(&n) {
        return None;
    }
    let length = bytes.get(2..2 + n)?.iter().fold(0_usize, |sum, b| sum << 8 | usize::from(*b));
    Some((2 + n, length))
}

/// A value of a tag and its content.
pub fn value(kind: u8, content: &[u8]) -> Vec<u8> {
    let n = content.len();
    let mut out = vec![kind];
    if n < 0x80 {
        out.push(n as u8);
    } else {
        let bytes = (n as u32).to_be_bytes();
        let skip = bytes.iter().take_while(|b| **b == 0).count();
        out.push(0x80 | (4 - skip) as u8);
        out.extend(&bytes[skip..]);
    }
    out.extend(content);
    out
}

/// A value of values.
pub fn values(kind: u8, content: &[Vec<u8>]) -> Vec<u8> {
    value(kind, &content.concat())
}

/// A number from 0.
pub fn number(kind: u8, n: u32) -> Vec<u8> {
    let bytes = n.to_be_bytes();
    let skip = bytes.iter().take(3).take_while(|b| **b == 0).count();
    // A leading bit would make it negative.
    let zero = if bytes[skip] & 0x80 == 0 { &[][..] } else { &[0] };
    value(kind, &[zero, &bytes[skip..]].concat())
}
