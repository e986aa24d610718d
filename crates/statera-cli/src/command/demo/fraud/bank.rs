//! The bank's server, in this process and over a store in a folder: what `statera serve` runs, on a port of its own,
//! and the people who work with it.

use crate::args::Entrance;
use crate::command::door::Door;
use serde_json::{Value, json};
use statera_core::{Error, ErrorKind, Result, Run};
use statera_server::serve::{self, Started};
use statera_server::settings::Settings;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio_rustls::rustls::crypto::ring::default_provider;

/// Who founds the bank's server, who brings models and works on alerts, and who approves.
pub const ADMIN: &str = "ada";
pub const MAKER: &str = "ben";
pub const CHECKER: &str = "carol";
/// The model under its name, and the tier that lets one other person approve it.
pub const MODEL: &str = "cards";
const TIER: u8 = 4;
/// File of the key by which the bank's systems send transactions.
pub const KEY_FILE: &str = "payments.key";

/// Bytes of a password, which is written as twice as many digits.
const SECRET_BYTES: usize = 16;
/// A server that is busy for longer will not become ready.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// A running server; when it is dropped it is stopped, in order.
pub struct Serving {
    pub url: String,
    setup_token: Option<String>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Serving {
    /// Starts it.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub fn start(settings: Settings) -> Result<Serving> {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, started) = sync_channel::<Started>(1);
        let seen = stop.clone();
        let work = move || serve::serve(settings, |started| drop(sender.send(started.clone())), &seen);
        let thread = std::thread::Builder::new().name("server".into()).spawn(work)?;
        let mut serving = Serving { url: String::new(), setup_token: None, stop, thread: Some(thread) };
        match started.recv() {
            Ok(started) => {
                (serving.url, serving.setup_token) = (format!("http://{}", started.address), started.setup_token);
                Ok(serving)
            }
            // It ended before it began.
            Err(_) => Err(serving.end().err().unwrap_or_else(|| Error::io("the server ended at once"))),
        }
    }

    /// Stops it and waits for its end.
    ///
    /// # Errors
    /// What went wrong while it served.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map_or(Ok(Ok(())), JoinHandle::join);
        ended.unwrap_or_else(|_| Err(Error::io("the server's thread has failed")))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // An error that led here says more.
        let _ = self.end();
    }
}

/// Ways into a server: files of people's passwords and of a key, in one folder.
pub struct Staff<'a> {
    pub folder: &'a Path,
    pub run: &'a Run,
}

impl Staff<'_> {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes the people, the model and the key, on a server where nobody is yet.
    ///
    /// # Errors
    /// What the server refuses; a folder that cannot be written.
    pub async fn found(&self, serving: &Serving) -> Result<()> {
        let password = |name: &str| self.secret(&password_file(name));
        let token = serving.setup_token.as_deref().unwrap_or_default();
        let setup = json!({ "token": token, "name": ADMIN, "password": password(ADMIN)? });
        Door::of_nobody(&serving.url, None)?.post("/api/v1/setup", setup).await?;
        let admin = self.person(serving, ADMIN).await?;
        for (name, role) in [(MAKER, "maker"), (CHECKER, "checker")] {
            let person = json!({ "name": name, "roles": [role], "password": password(name)? });
            admin.post("/api/v1/people", person).await?;
        }
        admin.put(&format!("/api/v1/tiers/{TIER}"), json!({ "approvals": 1 })).await?;
        let key = admin.post("/api/v1/keys", json!({ "label": "payments", "roles": ["scorer"] })).await?;
        self.write(KEY_FILE, key["key"].as_str().unwrap_or_default())?;
        admin.close().await;
        let maker = self.person(serving, MAKER).await?;
        maker.post("/api/v1/models", json!({ "name": MODEL, "tier": TIER })).await?;
        maker.close().await;
        Ok(())
    }

    /// Has a bundle answer for the model: one brings and proposes it, another approves.
    ///
    /// # Errors
    /// What the server refuses.
    pub async fn promote(&self, serving: &Serving, bundle: Vec<u8>, note: &str) -> Result<()> {
        let maker = self.person(serving, MAKER).await?;
        let version = maker.upload(&format!("/api/v1/models/{MODEL}/versions"), note, bundle).await?;
        let change = json!({ "change": "champion", "version": version["version"] });
        let proposed =
            maker.post(&format!("/api/v1/models/{MODEL}/proposals"), json!({ "change": change, "note": note })).await?;
        maker.close().await;
        let checker = self.person(serving, CHECKER).await?;
        let proposal = proposed["proposal"].as_str().unwrap_or_default();
        checker.post(&format!("/api/v1/proposals/{proposal}/approve"), json!({ "note": note })).await?;
        checker.close().await;
        Ok(())
    }

    /// A person who has signed in.
    ///
    /// # Errors
    /// What the server refuses.
    pub async fn person(&self, serving: &Serving, name: &str) -> Result<Door> {
        self.run.check()?;
        let file = self.file(&password_file(name));
        let entrance = Entrance { person: Some(name.into()), password_file: Some(file), ..entrance(serving) };
        Door::open(&entrance).await.map_err(as_told)
    }

    /// The bank's system that sends transactions.
    ///
    /// # Errors
    /// A key file that cannot be read.
    pub async fn program(&self, serving: &Serving) -> Result<Door> {
        let entrance = Entrance { key_file: Some(self.file(KEY_FILE)), ..entrance(serving) };
        Door::open(&entrance).await.map_err(as_told)
    }

    /// Asks until the server is not busy any more, as one that builds its state is; asking again counts nothing twice.
    ///
    /// # Errors
    /// What the server refuses; one that is busy for a minute; an interruption.
    pub async fn patiently(&self, door: &Door, path: &str, body: &Value) -> Result<Value> {
        let began = Instant::now();
        loop {
            self.run.check()?;
            let error = match door.post(path, body.clone()).await.and_then(|answer| all_taken(&answer).map(|()| answer))
            {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if error.kind() != ErrorKind::Busy || began.elapsed() > PATIENCE {
                return Err(error.at(path));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A password of its own, in a file.
    fn secret(&self, file: &str) -> Result<String> {
        let mut bytes = [0; SECRET_BYTES];
        let filled = default_provider().secure_random.fill(&mut bytes);
        filled.map_err(|_| Error::io("the system gives no random numbers"))?;
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.write(file, &text)?;
        Ok(text)
    }

    /// Writes a secret that nobody else can read.
    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.file(file);
        let mut options = std::fs::File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&path).and_then(|mut file| file.write_all(format!("{text}\n").as_bytes()));
        written.map_err(|e| Error::io(format!("{}: {e}", path.display())))
    }
}

/// The file of a person's password.
pub fn password_file(name: &str) -> String {
    format!("{name}.txt")
}

fn entrance(serving: &Serving) -> Entrance {
    Entrance { server: serving.url.clone(), ca_file: None, key_file: None, person: None, password_file: None }
}

/// An error as its cause has told it.
fn as_told(e: anyhow::Error) -> Error {
    e.downcast::<Error>().unwrap_or_else(|e| Error::io(format!("{e:#}")))
}

/// Of many transactions each stands for itself: the first that was not taken, if any.
fn all_taken(answer: &Value) -> Result<()> {
    let items = answer["transactions"].as_array().map_or(&[][..], Vec::as_slice);
    let Some(refused) = items.iter().find(|item| item["status"] != 200) else { return Ok(()) };
    let told = refused["message"].as_str().unwrap_or("refused without a word").to_string();
    Err(if refused["status"] == 503 { Error::busy(told) } else { Error::data(told) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_the_first_that_was_not_taken_is_told() {
        let taken = json!({ "status": 200, "answer": {} });
        let refused = |status: u16| json!({ "status": status, "error": "x", "message": "told" });
        let check = |items: Value, expected: Option<ErrorKind>| {
            let told = all_taken(&json!({ "transactions": items }));
            assert_eq!(told.err().map(|e| e.kind()), expected);
        };
        check(json!([taken, taken]), None);
        check(json!([taken, refused(503), refused(400)]), Some(ErrorKind::Busy));
        check(json!([refused(400), refused(503)]), Some(ErrorKind::Data));
        // An answer to one transaction has no list.
        assert!(all_taken(&json!({ "decisions": [] })).is_ok());
    }
}
