//! A server's door: who asks, what comes back, and how it is read. Shared by the commands that are a server's clients.

use crate::args::Entrance;
use crate::console::Console;
use anyhow::Context;
use serde_json::{Value, json};
use statera_core::{Error, Result};
use statera_server::client::{Answer, Client, Header, Method};
use std::io::Read;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// An answer is waited for so long: a large bundle is checked before it comes.
const LIMIT: Duration = Duration::from_secs(300);
/// No secret is longer.
const SECRET_BYTES_MAX: u64 = 4096;

/// A way into a server.
pub struct Door {
    client: Client,
    server: String,
    headers: Vec<Header>,
    is_session: bool,
}

impl Door {
    /// Identifies by key, or signs a person in.
    pub async fn open(args: &Entrance) -> anyhow::Result<Door> {
        let mut door = Door::of_nobody(&args.server, args.ca_file.as_deref())?;
        if let Some(file) = &args.key_file {
            let key = password(file)?;
            door.headers.push(Header::secret("authorization", &format!("Bearer {}", *key))?);
            return Ok(door);
        }
        let (Some(name), Some(file)) = (&args.person, &args.password_file) else {
            return Err(Error::request(
                "nobody is named: --key-file FILE of an API key, or --person NAME and --password-file FILE",
            )
            .into());
        };
        let password = password(file)?;
        let answer = door
            .ask(Method::POST, "/api/v1/sessions", json!({ "name": name, "password": *password }))
            .await
            .context("signing in")?;
        let cookie = answer.headers.get("set-cookie").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let cookie = cookie.split(';').next().unwrap_or_default();
        let csrf = value(&answer)?["csrf"].as_str().unwrap_or_default().to_string();
        door.headers.push(Header::secret("cookie", cookie)?);
        door.headers.push(Header::secret("x-csrf-token", &csrf)?);
        // What a browser says of a request by the site's own page.
        door.headers.push(Header::secret("sec-fetch-site", "same-origin")?);
        door.is_session = true;
        Ok(door)
    }

    /// Without anybody.
    pub fn of_nobody(server: &str, ca_file: Option<&Path>) -> Result<Door> {
        let server = server.trim_end_matches('/').to_string();
        Ok(Door { client: Client::new(ca_file, LIMIT)?, server, headers: Vec::new(), is_session: false })
    }

    /// Ends the session.
    pub async fn close(&self) {
        if self.is_session {
            // It ends by itself if this fails.
            let _ = self.delete("/api/v1/sessions").await;
        }
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        value(&self.ask(Method::GET, path, Value::Null).await?)
    }

    pub async fn post(&self, path: &str, body: Value) -> Result<Value> {
        value(&self.ask(Method::POST, path, body).await?)
    }

    pub async fn put(&self, path: &str, body: Value) -> Result<Value> {
        value(&self.ask(Method::PUT, path, body).await?)
    }

    pub async fn delete(&self, path: &str) -> Result<Value> {
        value(&self.ask(Method::DELETE, path, Value::Null).await?)
    }

    /// Sends a bundle.
    pub async fn upload(&self, path: &str, note: &str, bytes: Vec<u8>) -> Result<Value> {
        let url = format!("{}{path}?note={}", self.server, part(note));
        let mut headers = self.headers.clone();
        headers.push(Header::secret("content-type", "application/zip")?);
        value(&fine(self.client.send(Method::POST, &url, &headers, bytes.into()).await?)?)
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Result<Answer> {
        let mut headers = self.headers.clone();
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        if !body.is_empty() {
            headers.push(Header::secret("content-type", "application/json")?);
        }
        fine(self.client.send(method, &format!("{}{path}", self.server), &headers, body.into()).await?)
    }
}

/// An answer that is no error; an error has the words that the server sent.
fn fine(answer: Answer) -> Result<Answer> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    let said = value(&answer).ok().and_then(|v| v["message"].as_str().map(str::to_string));
    let message = match said {
        Some(message) => message,
        None => format!("the server answers {}; is it a Statera server?", answer.status),
    };
    Err(match answer.status.as_u16() {
        400 | 413 | 422 => Error::request(message),
        401 | 403 => Error::denied(message),
        404 => Error::not_found(message),
        409 => Error::conflict(message),
        429 | 503 | 504 => Error::busy(message),
        _ => Error::io(message),
    })
}

fn value(answer: &Answer) -> Result<Value> {
    if answer.body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(&answer.body).map_err(|e| Error::io(format!("the server's answer is no JSON: {e}")))
}

/// A secret of a file or of standard input: one line.
pub fn password(file: &Path) -> Result<Zeroizing<String>> {
    let place = |e: std::io::Error| Error::request(format!("{}: {e}", file.display()));
    let mut text = Zeroizing::new(String::new());
    match file.to_str() {
        Some("-") => std::io::stdin().take(SECRET_BYTES_MAX).read_to_string(&mut text).map_err(place)?,
        _ => {
            std::fs::File::open(file).map_err(place)?.take(SECRET_BYTES_MAX).read_to_string(&mut text).map_err(place)?
        }
    };
    let line = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_string());
    if line.is_empty() || line.contains('\n') {
        return Err(Error::request(format!("{}: a secret is one line that is not empty", file.display())));
    }
    Ok(line)
}

/// What was done, for machines or for people.
pub fn told(console: &Console, answer: &Value, text: &str) -> anyhow::Result<()> {
    if console.json {
        return console.print_json(answer);
    }
    console.line(text);
    Ok(())
}

/// A name as a part of a path.
pub fn part(name: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    name.bytes().map(|b| if is_plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A value of an answer as people read it.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".into(),
        // What was sent by others must not move the cursor.
        Value::String(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        Value::Array(all) => all.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        other => other.to_string(),
    }
}

/// A time of an answer to the minute.
pub fn minute(value: &Value) -> String {
    value.as_str().map_or_else(|| "–".into(), |text| text.chars().take(16).collect::<String>().replace('T', " "))
}
