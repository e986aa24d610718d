//! What one request may take: bytes and time.

use crate::flow::FlowSettings;
use axum::http::{HeaderMap, header};
use statera_core::{Error, Result};
use std::time::{Duration, Instant};

/// The header by which a request says how long its answer is worth waiting for, milliseconds.
pub const DEADLINE: &str = "x-deadline-ms";

/// An upload may take so long; it is bounded by its size and by how slowly its body may come.
const UPLOAD: Duration = Duration::from_secs(3_600);

/// The limits of one request, in its extensions: a handler that hands work on hands on `deadline` with it, so that work is
/// left undone whose answer nobody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// After this the client has its answer, or is told that there is none.
    pub deadline: Instant,
    /// After this the request no longer waits for a place.
    pub wait_until: Instant,
    /// Bytes of the body as the request says; 0 where it does not.
    pub body_bytes: u64,
    /// Bytes that the body may have.
    pub body_bytes_max: u64,
    /// True for a body that is written to a file as it comes.
    pub is_upload: bool,
}

impl Limits {
    /// Those of a request that says nothing.
    pub fn of(settings: &FlowSettings) -> Limits {
        let now = Instant::now();
        Limits {
            deadline: now + Duration::from_millis(settings.deadline_ms.into()),
            wait_until: now + Duration::from_millis(settings.wait_ms.into()),
            body_bytes: 0,
            body_bytes_max: settings.body_bytes_max,
            is_upload: false,
        }
    }

    /// Those of a request with these headers. `upload_bytes_max` is of the routes that take files.
    ///
    /// # Errors
    /// A deadline that is no number within the settings' range.
    pub fn read(headers: &HeaderMap, settings: &FlowSettings, upload_bytes_max: Option<u64>) -> Result<Limits> {
        let mut limits = Limits::of(settings);
        let length = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        limits.body_bytes = length.unwrap_or(0);
        if let Some(bytes) = upload_bytes_max {
            limits.deadline = Instant::now() + UPLOAD;
            limits.body_bytes_max = bytes;
            limits.is_upload = true;
        } else if length.is_none() {
            // What does not say its length is let in as something small, and must be that.
            limits.body_bytes_max = settings.batch_bytes.min(settings.body_bytes_max);
        }
        if let Some(said) = headers.get(DEADLINE) {
            let ms = said.to_str().ok().and_then(|text| text.parse::<u32>().ok());
            let ms = ms.filter(|ms| (1..=settings.deadline_ms_max).contains(ms)).ok_or_else(|| {
                let said = String::from_utf8_lossy(said.as_bytes());
                Error::request(format!("header {DEADLINE}: «{said}»; allowed: 1 to {}", settings.deadline_ms_max))
            })?;
            limits.deadline = Instant::now() + Duration::from_millis(ms.into());
            limits.wait_until = limits.deadline;
        }
        Ok(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_also_how_long_the_request_waits() {
        let settings = FlowSettings::default();
        let with = |ms: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(DEADLINE, ms.parse().expect("a header"));
            Limits::read(&headers, &settings, None)
        };
        let limits = with("300").expect("a deadline");
        assert_eq!(limits.deadline, limits.wait_until);
        assert!(limits.deadline <= Instant::now() + Duration::from_millis(300));
        for wrong in ["0", "60001", "-1", "1.5", "soon", "99999999999999999999"] {
            let told = with(wrong).expect_err(wrong).to_string();
            assert_eq!(told, format!("header x-deadline-ms: «{wrong}»; allowed: 1 to 60000"));
        }
    }

    #[test]
    fn a_body_of_unknown_length_must_be_small() {
        let settings = FlowSettings::default();
        let mut headers = HeaderMap::new();
        let limits = Limits::read(&headers, &settings, None).expect("limits");
        assert_eq!((limits.body_bytes, limits.body_bytes_max), (0, 64 << 10));
        headers.insert(header::CONTENT_LENGTH, 70_000.into());
        let limits = Limits::read(&headers, &settings, None).expect("limits");
        assert_eq!((limits.body_bytes, limits.body_bytes_max), (70_000, 16 << 20));
        let upload = Limits::read(&HeaderMap::new(), &settings, Some(1 << 30)).expect("limits");
        assert_eq!((upload.body_bytes_max, upload.is_upload), (1 << 30, true));
    }
}
