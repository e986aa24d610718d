//! Records that the store commits a second: submitted from one thread, each with one part, durable before it is answered.
//!
//! `store [--records N] [--bytes N] [--subjects N] [--group N] [--folder DIR] [--url postgres://…]`. `--subjects 0` (the
//! default) names nobody, so that every record has a key of its own. `--group 16` waits for each 16 records before it submits
//! the next, as sixteen clients do that wait for their answers; every record then has a request's name, too. Beside the whole, what encryption and hashing cost alone, measured by
//! the same primitives on the same bytes; the rest is SQL, the disk and the queue.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use anyhow::{Context, Result, bail};
use statera_core::{Error, ErrorKind};
use statera_store::act::Actor;
use statera_store::record::{Id, NewRecord, Part, RecordKind, RequestName};
use statera_store::{Store, StoreOptions, now_us, open};
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Rounds of which every one is shown.
const ROUNDS: usize = 5;
/// Bytes of a row of the ledger that are hashed, roughly.
const ROW_BYTES: usize = 700;

struct Arguments {
    n_records: u64,
    n_bytes: usize,
    n_subjects: u64,
    n_group: u64,
    folder: PathBuf,
    url: Option<String>,
}

fn arguments() -> Result<Arguments> {
    let mut found = Arguments {
        n_records: 200_000,
        n_bytes: 1024,
        n_subjects: 0,
        n_group: 0,
        folder: std::env::temp_dir().join(format!("statera-store-{}", std::process::id())),
        url: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{flag} takes a value"))?;
        match flag.as_str() {
            "--records" => found.n_records = value.parse()?,
            "--bytes" => found.n_bytes = value.parse()?,
            "--subjects" => found.n_subjects = value.parse()?,
            "--group" => found.n_group = value.parse()?,
            "--folder" => found.folder = value.into(),
            "--url" => found.url = Some(value),
            _ => bail!(
                "usage: store [--records N] [--bytes N] [--subjects N] [--group N] [--folder DIR] [--url postgres://…]"
            ),
        }
    }
    Ok(found)
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    let address = arguments.url.clone().unwrap_or_else(|| arguments.folder.display().to_string());
    let folder = arguments.url.is_some().then_some(arguments.folder.as_path());
    let store = open(&StoreOptions::at(&address, folder)?)?;
    for round in 1..=ROUNDS {
        let (wall, cpu) = (Instant::now(), cpu_seconds()?);
        submit(&*store, &arguments)?;
        let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
        let n = arguments.n_records as f64;
        println!("round {round}: {:.0} records/s, {:.1} µs of processor a record", n / wall, 1e6 * cpu / n);
    }
    drop(store);
    println!("encryption alone {:.2} µs a record", 1e6 * encryption(arguments.n_bytes));
    println!("hashing alone    {:.2} µs a record", 1e6 * hashing(arguments.n_bytes));
    std::fs::remove_dir_all(&arguments.folder)?;
    Ok(())
}

/// Submits as fast as the queue takes, and waits for the last.
fn submit(store: &dyn Store, arguments: &Arguments) -> Result<()> {
    let n_done = Arc::new(AtomicU64::new(0));
    let failure: Arc<OnceLock<Error>> = Arc::default();
    // Payloads of a decision: JSON of 1 KB.
    let plain: Vec<u8> = (0..arguments.n_bytes).map(|i| b"{\"income\": 1234.5, \"a\": "[i % 24]).collect();
    for i in 0..arguments.n_records {
        let subject = match arguments.n_subjects {
            0 => String::new(),
            n => format!("customer-{}", i * 7919 % n),
        };
        let mut record = Some(NewRecord {
            id: Id::new(now_us()),
            kind: RecordKind::Decision,
            of: None,
            request: (arguments.n_group > 0).then(|| request(i)),
            actor: Actor::Key("paymentpath".into()),
            facts: FACTS.into(),
            parts: vec![Part { subject, plain: plain.clone() }],
            alert: None,
        });
        while let Some(next) = record.take() {
            let (n_done, waiter, first) = (n_done.clone(), std::thread::current(), failure.clone());
            let is_waited_for = i.checked_div(arguments.n_group).map_or(0, |n| (n + 1) * arguments.n_group);
            let done = Box::new(move |done: statera_core::Result<_>| {
                // Noted before it is counted: who has counted all of them finds it. A panic here would be the writer's, and
                // nothing would be counted.
                if let Err(e) = done {
                    let _ = first.set(e);
                }
                if n_done.fetch_add(1, Ordering::Release) + 1 == is_waited_for {
                    waiter.unpark();
                }
            });
            // A record is kept for the case that the queue is full.
            let again = next.clone();
            match store.submit(next, done) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::Busy => {
                    record = Some(again);
                    std::thread::sleep(Duration::from_micros(500));
                }
                Err(e) => return Err(e).context("a record was not taken"),
            }
            if let Some(e) = failure.get() {
                bail!("a record was not written: {e}");
            }
        }
        if arguments.n_group > 0 && (i + 1) % arguments.n_group == 0 {
            while n_done.load(Ordering::Acquire) <= i {
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }
    }
    while n_done.load(Ordering::Acquire) < arguments.n_records {
        std::thread::sleep(Duration::from_micros(200));
    }
    match failure.get() {
        None => Ok(()),
        Some(e) => bail!("a record was not written: {e}"),
    }
}

/// A name that nobody had, in no order, as clients make them.
fn request(i: u64) -> RequestName {
    let digest = blake3::hash(&[&i.to_le_bytes()[..], &now_us().to_le_bytes()].concat());
    RequestName { scope: "paymentpath".into(), name: digest.to_hex()[..32].into(), body_digest: *digest.as_bytes() }
}

const FACTS: &str = "{\"model\":\"credit\",\"version\":3,\"bundle\":\
                     \"7d1c0c2d5b0f7a6e5d4c3b2a19080706050403020100f0e0d0c0b0a090807060\",\"policy\":\
                     \"1f0e0d0c0b0a090807060504030201007d1c0c2d5b0f7a6e5d4c3b2a19080706\",\"software\":\"0.1.0\",\
                     \"rows\":1,\"approved\":1,\"declined\":0}";

/// Seconds of processor time of this process, all threads.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    // Linux counts in hundredths for user space on every machine.
    Ok(ticks / 100.0)
}

/// Wrapping a new key and sealing a payload.
fn encryption(n_bytes: usize) -> f64 {
    let plain = vec![b'x'; n_bytes];
    timed(|| {
        let mut key = [7u8; 32];
        let wrapping = Aes256Gcm::new(&blake3::keyed_hash(&key, &[1; 32]).as_bytes().to_owned().into());
        let _ = black_box(wrapping.encrypt_inout_detached(&[0; 12].into(), &[0; 16], InOutBuf::from(&mut key[..])));
        let mut sealed = plain.clone();
        let cipher = Aes256Gcm::new(&key.into());
        let _ = black_box(cipher.encrypt_inout_detached(&[0; 12].into(), &[0; 20], InOutBuf::from(&mut sealed[..])));
    })
}

/// The payload's digest, the key's and the row's.
fn hashing(n_bytes: usize) -> f64 {
    let (sealed, row) = (vec![b'x'; n_bytes + 44], vec![b'x'; ROW_BYTES]);
    timed(|| {
        black_box(blake3::hash(black_box(&sealed)));
        black_box(blake3::hash(black_box(&sealed[..100])));
        black_box(blake3::hash(black_box(&row)));
    })
}

fn timed(mut work: impl FnMut()) -> f64 {
    const TIMES: u32 = 50_000;
    let start = Instant::now();
    for _ in 0..TIMES {
        work();
    }
    start.elapsed().as_secs_f64() / f64::from(TIMES)
}
