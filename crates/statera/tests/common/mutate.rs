//! Bytes changed at random, as somebody would who looks for a way to break a reader.

use statera_core::Rng;
use std::time::{Duration, Instant};

/// Texts that readers of JSON, TOML and binary files have stumbled over.
const TOKENS: &[&str] = &[
    "null",
    "true",
    "-0",
    "1e999",
    "-1e-999",
    "9223372036854775808",
    "18446744073709551616",
    "0.1e1",
    "NaN",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "[",
    "]",
    "{",
    "}",
    "[[[[[[[[[[[[[[[[",
    "\"\":",
    ",",
    ":",
    "\"",
    "\\",
    "\u{feff}",
    "한국",
    "-1",
    "4294967296",
    "{\"a\":{\"a\":{\"a\":1}}}",
];

/// How long a target is tried: `STATERA_FUZZ_SECONDS`, or 2.
pub fn budget() -> Duration {
    let seconds = std::env::var("STATERA_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

/// Calls `work` with a generator of its own for each case until the time is over; gives how many there were. The case is
/// printed where `work` panics: the same number gives the same bytes.
pub fn cases(target: &str, mut work: impl FnMut(&mut Rng)) -> u64 {
    struct Told<'a>(&'a str, u64);
    impl Drop for Told<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("{}: case {}", self.0, self.1);
            }
        }
    }
    let (end, mut told) = (Instant::now() + budget(), Told(target, 0));
    while Instant::now() < end || told.1 < 200 {
        work(&mut Rng::fork(0xf022, told.1));
        told.1 += 1;
    }
    eprintln!("{target}: {} cases", told.1);
    told.1
}

/// Changes bytes in one to four places.
pub fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(bytes.len() + 1);
        let len = (1 + rng.below(16)).min(bytes.len() - at);
        match rng.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            1 if at < bytes.len() => bytes[at] = rng.below(256) as u8,
            2 => drop(bytes.drain(at..at + len)),
            3 => {
                let copy = bytes[at..at + len].to_vec();
                let to = rng.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            4 => {
                let token = TOKENS[rng.below(TOKENS.len())];
                bytes.splice(at..at + len, token.bytes());
            }
            _ => number(bytes, at, rng),
        }
    }
}

/// Replaces the next number in a text by another token.
fn number(bytes: &mut Vec<u8>, at: usize, rng: &mut Rng) {
    let Some(start) = (at..bytes.len()).find(|&i| bytes[i].is_ascii_digit()) else { return };
    let end = (start..bytes.len()).find(|&i| !b"0123456789.eE+-".contains(&bytes[i])).unwrap_or(bytes.len());
    let token = TOKENS[rng.below(TOKENS.len())];
    bytes.splice(start..end, token.bytes());
}
