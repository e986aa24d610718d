//! Every answer as a line of a CSV file, for who wants to check them one by one.

use super::tally::Moments;
use serde::Deserialize;
use statera_core::{Error, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file.
pub struct Answers {
    path: PathBuf,
    /// What failed first stays, and nothing is written after it.
    file: Mutex<std::io::Result<BufWriter<File>>>,
}

/// What of an answer's body is kept.
#[derive(Deserialize)]
struct Body {
    id: Option<String>,
}

impl Answers {
    /// Makes the file; one that exists is replaced.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn create(path: &Path) -> Result<Answers> {
        let not = |e: std::io::Error| Error::io(format!("{}: {e}", path.display()));
        let mut file = BufWriter::new(File::create(path).map_err(not)?);
        writeln!(file, "number,request_id,status,due_ms,latency_ms,service_ms,id").map_err(not)?;
        Ok(Answers { path: path.into(), file: Mutex::new(Ok(file)) })
    }

    /// Adds a line; `status` is HTTP's code, or what went wrong.
    pub fn note(&self, number: u64, request_id: &str, at: Moments, status: &str, body: &[u8]) {
        let parsed = status.starts_with('2').then(|| serde_json::from_slice::<Body>(body).ok()).flatten();
        // A comma would move the columns; an id of the server's has none.
        let id = parsed.and_then(|b| b.id).filter(|id| !id.contains([',', '\n', '"'])).unwrap_or_default();
        let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        let due = ms(at.due);
        let (latency, service) = (ms(at.ended.saturating_sub(at.due)), ms(at.ended.saturating_sub(at.begun)));
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(open) = &mut *file {
            let line = format!("{number},{request_id},{status},{due:.3},{latency:.3},{service:.3},{id}\n");
            if let Err(e) = open.write_all(line.as_bytes()) {
                *file = Err(e);
            }
        }
    }

    /// Everything is in the file.
    ///
    /// # Errors
    /// What failed first.
    pub fn finish(self) -> Result<()> {
        let file = self.file.into_inner().unwrap_or_else(PoisonError::into_inner);
        let flushed = file.and_then(|mut file| file.flush());
        flushed.map_err(|e| Error::io(format!("{}: {e}", self.path.display())))
    }
}
