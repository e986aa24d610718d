//! Structured logs: a line of JSON each, without personal data, to standard error.
//!
//! Lines are written by a thread of their own. If what reads them stands still, lines are dropped and counted: a log
//! never delays an answer.

use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use std::io::{self, Write};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// Lines that wait to be written.
const LINES: usize = 4_096;
/// How long the end waits for the last lines.
const FLUSH: Duration = Duration::from_secs(1);

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// From which level on.
    pub level: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        LogSettings { level: "info".into() }
    }
}

impl LogSettings {
    /// What each field is for, as `server.toml` says it.
    pub const ABOUT: &[(&str, &str)] =
        &[("level", "off, error, warn, info, debug (a line for each request) or trace; to standard error, as JSON")];

    /// Refuses a level that does not exist.
    ///
    /// # Errors
    /// The level and those that exist.
    pub fn check(&self) -> Result<()> {
        self.filter().map(|_| ())
    }

    fn filter(&self) -> Result<LevelFilter> {
        let known = ["off", "error", "warn", "info", "debug", "trace"];
        let level = known.contains(&self.level.as_str()).then(|| LevelFilter::from_str(&self.level).ok()).flatten();
        level.ok_or_else(|| Error::request(format!("log.level is «{}»; allowed: {}", self.level, known.join(", "))))
    }
}

/// Lines that were dropped since the start.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// The log of this process, until it is dropped: then the last lines are written.
pub struct Log {
    lines: SyncSender<Vec<u8>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Log {
    /// Begins to log to standard error. A second log of the process (in tests) goes where the first one goes.
    ///
    /// # Errors
    /// A level that does not exist; a thread that cannot be started.
    pub fn start(settings: &LogSettings) -> Result<Log> {
        let filter = settings.filter()?;
        let (lines, waiting) = sync_channel(LINES);
        let thread = std::thread::Builder::new().name("log".into()).spawn(move || write_out(&waiting))?;
        // What libraries say in passing may hold what they work on: of them only what is wrong is kept.
        let targets = Targets::new().with_target("statera", filter).with_default(filter.min(LevelFilter::WARN));
        let layer = tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(Lines(lines.clone()));
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(targets));
        let _ = tracing::subscriber::set_global_default(subscriber);
        Ok(Log { lines, thread: Some(thread) })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // An empty line is the last one.
        let until = Instant::now() + FLUSH;
        while self.lines.try_send(Vec::new()).is_err() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Some(thread) = self.thread.take() {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

fn write_out(waiting: &Receiver<Vec<u8>>) {
    for line in waiting.iter().take_while(|line| !line.is_empty()) {
        // A log that cannot be written has nobody to be told to.
        let _ = io::stderr().lock().write_all(&line);
    }
}

/// Hands lines to the thread.
struct Lines(SyncSender<Vec<u8>>);

/// A line that is being written; it is handed over when it is done.
struct Line<'a> {
    lines: &'a SyncSender<Vec<u8>>,
    bytes: Vec<u8>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;
    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: &self.0, bytes: Vec::with_capacity(256) }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if !bytes.is_empty() && self.lines.try_send(bytes).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_nobody_reads_drops_lines_and_does_not_wait() {
        let (sender, receiver) = sync_channel(2);
        let lines = Lines(sender);
        let before = dropped();
        for text in ["one", "two", "three"] {
            lines.make_writer().write_all(text.as_bytes()).expect("a line in memory");
        }
        assert_eq!(dropped() - before, 1);
        let kept: Vec<Vec<u8>> = receiver.try_iter().collect();
        assert_eq!(kept, [b"one".to_vec(), b"two".to_vec()]);
    }

    #[test]
    fn a_level_that_does_not_exist_is_told() {
        let told = LogSettings { level: "loud".into() }.check().expect_err("refused").to_string();
        assert_eq!(told, "log.level is «loud»; allowed: off, error, warn, info, debug, trace");
    }
}
