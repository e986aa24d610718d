//! What a client's certificate stands for: its subject names an API key, so that roles, rates, the end and the revocation of a
//! program are in one place, however it identifies itself.

use super::ber::{Reader, tag};
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use std::collections::BTreeMap;

/// A certificate's subject and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateSettings {
    /// As `openssl x509 -noout -subject -nameopt RFC2253` prints it: `CN=payments,O=Bank`.
    pub subject: String,
    /// The prefix of the API key that it stands for.
    pub key: String,
}

/// Keys by subject.
#[derive(Debug, Default)]
pub struct Certificates(BTreeMap<String, String>);

impl Certificates {
    /// Reads the settings.
    ///
    /// # Errors
    /// A subject that is named twice, or an empty one.
    pub fn new(settings: &[CertificateSettings]) -> Result<Certificates> {
        let mut keys = BTreeMap::new();
        for one in settings {
            if one.subject.is_empty() || keys.insert(one.subject.clone(), one.key.clone()).is_some() {
                return Err(Error::request(format!(
                    "certificates: the subject «{}» is empty or named twice; each stands for one key",
                    one.subject
                )));
            }
        }
        Ok(Certificates(keys))
    }

    /// The prefix of the key of a subject.
    pub fn key(&self, subject: &str) -> Option<&str> {
        self.0.get(subject).map(String::as_str)
    }
}

/// Attributes by the short names that OpenSSL and RFC 4514 give them; others are written by their numbers.
const NAMES: [(&[u8], &str); 11] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
];

/// The subject of a certificate (X.509, DER) as RFC 4514 writes it: the most specific part first. `None` for a certificate that
/// cannot be read, or a subject whose attributes have no text.
pub fn subject(der: &[u8]) -> Option<String> {
    let mut certificate = Reader::new(Reader::new(der).take(tag::SEQUENCE)?);
    let mut signed = Reader::new(certificate.take(tag::SEQUENCE)?);
    // The version stands in brackets and may be missing; then serial number, algorithm, issuer, validity.
    if signed.peek()? == tag::CONTEXT_CONSTRUCTED {
        signed.take(tag::CONTEXT_CONSTRUCTED)?;
    }
    signed.take(tag::INTEGER)?;
    for _ in 0..3 {
        signed.take(tag::SEQUENCE)?;
    }
    let mut subject = Reader::new(signed.take(tag::SEQUENCE)?);
    let mut parts = Vec::new();
    while !subject.is_empty() {
        let mut set = Reader::new(subject.take(tag::SET)?);
        let mut values = Vec::new();
        while !set.is_empty() {
            let mut pair = Reader::new(set.take(tag::SEQUENCE)?);
            let oid = pair.take(tag::OID)?;
            let (kind, bytes) = pair.next()?;
            values.push(format!("{}={}", attribute(oid)?, escaped(&text(kind, bytes)?)));
        }
        parts.push(values.join("+"));
    }
    parts.reverse();
    (!parts.is_empty()).then(|| parts.join(","))
}

fn attribute(oid: &[u8]) -> Option<String> {
    if let Some((_, name)) = NAMES.iter().find(|(known, _)| *known == oid) {
        return Some((*name).into());
    }
    let first = *oid.first()?;
    let mut text = format!("{}.{}", first.min(80) / 40, first - first.min(80) / 40 * 40);
    let mut number = 0_u32;
    for byte in &oid[1..] {
        number = number.checked_mul(128)?.checked_add(u32::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            text += &format!(".{number}");
            number = 0;
        }
    }
    Some(text)
}

/// UTF8String, PrintableString, IA5String; others are of another age.
fn text(kind: u8, bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8(bytes.to_vec()).ok()?;
    let fits = kind == 0x0c || ([0x13, 0x16].contains(&kind) && text.is_ascii());
    (fits && !text.contains('\0')).then_some(text)
}

/// The characters that have a meaning in a name stand behind a backslash (RFC 4514, section 2.4).
pub(super) fn escaped(value: &str) -> String {
    let mut out = String::new();
    let n = value.chars().count();
    for (i, c) in value.chars().enumerate() {
        let at_an_end = (c == ' ' && (i == 0 || i + 1 == n)) || (c == '#' && i == 0);
        if c == '\0' {
            out += "\\00";
            continue;
        }
        if at_an_end || ",+\"\\<>;".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
