//! Sign-in by LDAP (RFC 4511) or Active Directory: the person's own name and password bind, then the groups of their entry
//! become roles.
//!
//! Written here rather than taken from a library (`ldap3` brings 27 crates) because two requests are all that is needed. Names
//! cannot inject anything: in a filter they are a value of their own, not text, and in a distinguished name they are escaped.

use super::ber::{self, Reader, tag};
use super::certificate::escaped;
use crate::client;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_store::people::Role;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A directory that is slower is none.
const LIMIT: Duration = Duration::from_secs(10);
/// A message of the directory is not longer.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Messages of one search at most.
const MESSAGES_MAX: usize = 2000;
/// Groups of a person at most.
const GROUPS_MAX: u32 = 1000;

const BIND: u8 = 0x60;
const BIND_ANSWER: u8 = 0x61;
const UNBIND: u8 = 0x42;
const SEARCH: u8 = 0x63;
const ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const REFERENCE: u8 = 0x73;
const EXTENDED: u8 = 0x77;
const EXTENDED_ANSWER: u8 = 0x78;
/// In brackets: the password of a bind, the name of an extended request.
const FIRST: u8 = 0x80;
/// A filter: the attribute has the value.
const EQUAL: u8 = 0xa3;
/// From now on over TLS.
const START_TLS: &str = "1.3.6.1.4.1.1466.20037";

/// The directory, and what its groups may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LdapSettings {
    /// `ldaps://dc1.bank.local`, or `ldap://` which goes over to TLS (StartTLS) unless it is of this machine.
    pub url: String,
    /// What binds: `uid={name},ou=people,dc=bank`, or for Active Directory `{name}@bank.local`.
    pub bind: String,
    /// Where people are: `ou=people,dc=bank`.
    pub base: String,
    /// The attribute that has the name: `uid`, or for Active Directory `sAMAccountName`.
    #[serde(default = "name_attribute")]
    pub name_attribute: String,
    /// The attribute of a person that lists groups.
    #[serde(default = "groups_attribute")]
    pub groups_attribute: String,
    /// Where groups are, for directories whose people do not list them: then groups list their members.
    #[serde(default)]
    pub group_base: Option<String>,
    /// The attribute of a group that lists members.
    #[serde(default = "member_attribute")]
    pub member_attribute: String,
    /// What each group may, by its distinguished name; case and blanks after commas do not count.
    pub roles: BTreeMap<String, BTreeSet<Role>>,
    /// Roots of the directory's certificate; none: the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

fn name_attribute() -> String {
    "uid".into()
}

fn groups_attribute() -> String {
    "memberOf".into()
}

fn member_attribute() -> String {
    "member".into()
}

/// Sign-in by a directory.
pub struct Ldap {
    settings: LdapSettings,
    host: String,
    port: u16,
    way: Way,
    tls: Arc<rustls::ClientConfig>,
    roles: BTreeMap<String, BTreeSet<Role>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Tls,
    StartTls,
    Plain,
}

impl Ldap {
    /// Checks the settings; the directory is asked when somebody signs in.
    ///
    /// # Errors
    /// Another address than `ldaps://` or `ldap://`, a name to bind without `{name}`.
    pub fn new(settings: &LdapSettings) -> Result<Ldap> {
        let wrong = || {
            Error::request(format!(
                "ldap.url: «{}»; allowed: ldaps:// or ldap:// with a host, and no path",
                settings.url
            ))
        };
        let uri: axum::http::Uri = settings.url.parse().map_err(|_| wrong())?;
        let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_string();
        let is_here = ["localhost", "127.0.0.1", "::1"].contains(&host.as_str());
        let (way, port) = match uri.scheme_str() {
            Some("ldaps") => (Way::Tls, 636),
            Some("ldap") if is_here => (Way::Plain, 389),
            Some("ldap") => (Way::StartTls, 389),
            _ => return Err(wrong()),
        };
        if settings.bind.matches("{name}").count() != 1 {
            return Err(Error::request(format!("ldap.bind: «{}»; allowed: a text with {{name}} once", settings.bind)));
        }
        let roles = settings.roles.iter().map(|(group, roles)| (folded(group), roles.clone())).collect();
        Ok(Ldap {
            tls: client::tls_config(settings.ca_file.as_deref())?,
            port: uri.port_u16().unwrap_or(port),
            settings: settings.clone(),
            host,
            way,
            roles,
        })
    }

    /// Who a person is and what they may; `None` if the directory refuses the password or knows no group of theirs that may
    /// anything.
    ///
    /// # Errors
    /// `Busy` if it does not answer, or not as it must.
    pub async fn sign_in(&self, name: &str, password: &str) -> Result<Option<Found>> {
        // A bind without a password succeeds as nobody (RFC 4513, section 5.1.2).
        if password.is_empty() {
            return Ok(None);
        }
        let talking = async {
            let mut stream = client::connect(&self.host, self.port).await?;
            if self.way == Way::StartTls {
                start_tls(&mut stream).await?;
            }
            match self.way {
                Way::Plain => self.talk(stream, name, password).await,
                _ => self.talk(client::shake(self.tls.clone(), &self.host, stream).await?, name, password).await,
            }
        };
        let place = format!("ldap {}:{}", self.host, self.port);
        match tokio::time::timeout(LIMIT, talking).await {
            Ok(found) => found.map_err(|e| e.at(place)),
            Err(_) => Err(Error::busy(format!("{place}: no answer within {} s", LIMIT.as_secs()))),
        }
    }

    async fn talk<S>(&self, stream: S, name: &str, password: &str) -> Result<Option<Found>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut talk = Talk { stream, id: 1 };
        let who = self.settings.bind.replace("{name}", &escaped(name));
        if !talk.bind(&who, password).await? {
            return Ok(None);
        }
        let s = &self.settings;
        let wanted = [s.name_attribute.as_str(), &s.groups_attribute];
        let people = talk.search(&s.base, &s.name_attribute, name, &wanted).await?;
        // A name that two entries have names nobody.
        let [person] = people.as_slice() else {
            let (n, base) = (people.len(), &s.base);
            tracing::warn!(entries = n, base, "who bound to the directory is not one entry below who.ldap.base");
            return Ok(None);
        };
        // The directory takes a name in several spellings, of which one alone may be a person here.
        let Some(own) = person.values[0].iter().map(|name| name.to_lowercase()).min() else {
            let attribute = &s.name_attribute;
            tracing::warn!(attribute, "the directory does not show who bound the attribute who.ldap.name_attribute");
            return Ok(None);
        };
        let groups = match &s.group_base {
            None => person.values[1].clone(),
            // 1.1 asks for no attributes (RFC 4511, section 4.5.1.8).
            Some(base) => {
                let groups = talk.search(base, &s.member_attribute, &person.name, &["1.1"]).await?;
                groups.into_iter().map(|group| group.name).collect()
            }
        };
        talk.leave().await;
        let roles: BTreeSet<Role> =
            groups.iter().filter_map(|group| self.roles.get(&folded(group))).flatten().copied().collect();
        if roles.is_empty() {
            let n = groups.len();
            tracing::info!(groups = n, "who bound to the directory is in none of the groups of who.ldap.roles");
            return Ok(None);
        }
        Ok(Some(Found { name: own, roles }))
    }
}

/// A person whom the directory let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Their name in the directory, in small letters, however it was typed.
    pub name: String,
    /// What they may.
    pub roles: BTreeSet<Role>,
}

/// A distinguished name, so that two spellings are one.
fn folded(name: &str) -> String {
    name.split(',').map(|part| part.trim().to_lowercase()).collect::<Vec<_>>().join(",")
}

async fn start_tls<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<()> {
    let mut talk = Talk { stream, id: 1 };
    talk.send(ber::values(EXTENDED, &[ber::value(FIRST, START_TLS.as_bytes())])).await?;
    match code(&talk.receive().await?, EXTENDED_ANSWER)? {
        0 => Ok(()),
        code => Err(Error::busy(format!("it refuses TLS (code {code})"))),
    }
}

/// An entry that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    /// Of each attribute that was wanted.
    values: Vec<Vec<String>>,
}

/// A message: its operation.
struct Message {
    kind: u8,
    content: Vec<u8>,
}

struct Talk<S> {
    stream: S,
    id: u32,
}

fn broken() -> Error {
    Error::busy("it sent what is no LDAP")
}

/// The code of an answer, 0 if it was done.
fn code(message: &Message, kind: u8) -> Result<u32> {
    if message.kind != kind {
        return Err(broken());
    }
    Reader::new(&message.content).number(tag::ENUMERATED).ok_or_else(broken)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    async fn send(&mut self, operation: Vec<u8>) -> Result<()> {
        let message =
            zeroize::Zeroizing::new(ber::values(tag::SEQUENCE, &[ber::number(tag::INTEGER, self.id), operation]));
        let sent = self.stream.write_all(&message).await;
        sent.map_err(|e| Error::busy(e.to_string()))?;
        self.stream.flush().await.map_err(|e| Error::busy(e.to_string()))
    }

    async fn receive(&mut self) -> Result<Message> {
        let mut bytes = Vec::new();
        let (head, n) = loop {
            if let Some(found) = ber::header(&bytes) {
                break found;
            }
            if bytes.len() > 6 {
                return Err(broken());
            }
            bytes.push(self.stream.read_u8().await.map_err(|e| Error::busy(e.to_string()))?);
        };
        if bytes[0] != tag::SEQUENCE || n > MESSAGE_BYTES_MAX {
            return Err(broken());
        }
        let mut content = vec![0; n];
        self.stream.read_exact(&mut content).await.map_err(|e| Error::busy(e.to_string()))?;
        debug_assert!(head <= 6, "a header has at most 6 bytes");
        let mut reader = Reader::new(&content);
        if reader.number(tag::INTEGER).ok_or_else(broken)? != self.id {
            return Err(broken());
        }
        let (kind, content) = reader.next().ok_or_else(broken)?;
        Ok(Message { kind, content: content.to_vec() })
    }

    async fn bind(&mut self, who: &str, password: &str) -> Result<bool> {
        self.send(ber::values(
            BIND,
            &[
                ber::number(tag::INTEGER, 3),
                ber::value(tag::OCTETS, who.as_bytes()),
                ber::value(FIRST, password.as_bytes()),
            ],
        ))
        .await?;
        let code = code(&self.receive().await?, BIND_ANSWER)?;
        self.id += 1;
        match code {
            0 => Ok(true),
            // No such object, wrong name, not allowed so, wrong password, not allowed, unwilling.
            32 | 34 | 48 | 49 | 50 | 53 => Ok(false),
            other => Err(Error::busy(format!("it refuses to bind (code {other})"))),
        }
    }

    /// Entries below `base` whose attribute has the value; of each, the values of some attributes.
    async fn search(&mut self, base: &str, attribute: &str, value: &str, wanted: &[&str]) -> Result<Vec<Entry>> {
        let text = |text: &str| ber::value(tag::OCTETS, text.as_bytes());
        let attributes: Vec<Vec<u8>> = wanted.iter().map(|wanted| text(wanted)).collect();
        self.send(ber::values(
            SEARCH,
            &[
                text(base),
                ber::number(tag::ENUMERATED, 2),
                ber::number(tag::ENUMERATED, 0),
                ber::number(tag::INTEGER, GROUPS_MAX),
                ber::number(tag::INTEGER, LIMIT.as_secs() as u32),
                ber::value(tag::BOOLEAN, &[0]),
                ber::values(EQUAL, &[text(attribute), text(value)]),
                ber::values(tag::SEQUENCE, &attributes),
            ],
        ))
        .await?;
        let mut found = Vec::new();
        for _ in 0..MESSAGES_MAX {
            let message = self.receive().await?;
            match message.kind {
                ENTRY => found.push(entry(&message.content, wanted).ok_or_else(broken)?),
                // Other servers are not asked.
                REFERENCE => {}
                _ => {
                    self.id += 1;
                    return match code(&message, SEARCH_DONE)? {
                        0 => Ok(found),
                        32 => Ok(Vec::new()),
                        other => Err(Error::busy(format!("the search failed (code {other})"))),
                    };
                }
            }
        }
        Err(Error::busy(format!("more than {MESSAGES_MAX} entries")))
    }

    /// Says farewell; nothing depends on it.
    async fn leave(&mut self) {
        let _ = self.send(ber::value(UNBIND, &[])).await;
    }
}

fn entry(content: &[u8], wanted: &[&str]) -> Option<Entry> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let mut reader = Reader::new(content);
    let name = text(reader.take(tag::OCTETS)?)?;
    let mut values = vec![Vec::new(); wanted.len()];
    let mut attributes = Reader::new(reader.take(tag::SEQUENCE)?);
    while !attributes.is_empty() {
        let mut pair = Reader::new(attributes.take(tag::SEQUENCE)?);
        let attribute = text(pair.take(tag::OCTETS)?)?;
        let mut all = Reader::new(pair.take(tag::SET)?);
        while !all.is_empty() {
            let value = all.take(tag::OCTETS)?;
            // One attribute may be wanted for two things.
            for (values, wanted) in values.iter_mut().zip(wanted) {
                if attribute.eq_ignore_ascii_case(wanted) {
                    values.extend(text(value));
                }
            }
        }
    }
    Some(Entry { name, values })
}

#[cfg(test)]
#[path = "ldap_tests.rs"]
mod tests;
