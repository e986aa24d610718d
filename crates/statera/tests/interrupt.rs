//! Interruption at any moment: training leaves nothing, scoring continues where it stopped.

mod common;

use common::{settings, table};
use statera::batch::{self, BatchOptions};
use statera::bundle::Bundle;
use statera::pipeline;
use statera_core::{Progress, Run};
use statera_data::source::ReadOptions;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Interrupts the run at the n-th report of progress, as a person does who presses Ctrl-C at that moment.
struct Interrupter {
    at: usize,
    seen: AtomicUsize,
    flag: OnceLock<Arc<AtomicBool>>,
}

impl Progress for Interrupter {
    fn start(&self, _: &str, _: u64) {
        self.update(0, "");
    }
    fn update(&self, _: u64, _: &str) {
        if self.seen.fetch_add(1, Ordering::Relaxed) == self.at {
            self.flag.get().expect("set before the run").store(true, Ordering::Relaxed);
        }
    }
    fn finish(&self) {}
}

fn run_interrupted_at(at: usize) -> (Run, Arc<Interrupter>) {
    let interrupter = Arc::new(Interrupter { at, seen: AtomicUsize::new(0), flag: OnceLock::new() });
    let run = Run::new(1, 2).with_progress(interrupter.clone());
    interrupter.flag.set(run.cancel_flag()).expect("set once");
    (run, interrupter)
}

fn names_in(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn training_that_is_interrupted_leaves_nothing() {
    let mut stopped = 0;
    for at in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.statera");
        let (run, interrupter) = run_interrupted_at(at);
        let trained = pipeline::train(table(600, 3), &settings("bad", "logistic"), &BTreeMap::new(), None, &run);
        let written = trained.and_then(|mut t| t.bundle.write(&path, false, &run));
        if interrupter.seen.load(Ordering::Relaxed) <= at {
            written.expect("a run that nobody interrupted ends");
            break;
        }
        let error = written.expect_err("interrupted before the end");
        assert!(error.is_cancelled(), "{error}");
        assert_eq!(error.to_string(), "interrupted; nothing was written");
        assert!(names_in(dir.path()).is_empty(), "at {at}: {:?}", names_in(dir.path()));
        stopped += 1;
    }
    assert!(stopped > 10, "only {stopped} moments were tried");
}

#[test]
fn scoring_that_is_interrupted_continues_to_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let run = Run::new(1, 2);
    let trained = pipeline::train(table(600, 3), &settings("bad", "logistic"), &BTreeMap::new(), None, &run).unwrap();
    let bundle: Bundle = trained.bundle;
    let mut csv = String::from("income,debt,months,region,constant,opened\n");
    for i in 0..400_000 {
        csv += &format!(
            "{},{:.3},{},{},7,2017-{:02}-11\n",
            900 + i % 3000,
            (i % 700) as f64 / 99.0,
            i % 60,
            ["north", "south"][i % 2],
            1 + i % 12
        );
    }
    let data = dir.path().join("new.csv");
    fs::write(&data, csv).unwrap();
    let data = data.to_string_lossy().into_owned();
    let score = |out: &str, run: &Run| {
        let out = dir.path().join(out).to_string_lossy().into_owned();
        batch::score(&bundle, &data, &ReadOptions::default(), &out, &BatchOptions::default(), run)
    };
    score("whole.csv", &run).unwrap();
    let whole = fs::read(dir.path().join("whole.csv")).unwrap();
    let mut continued = 0;
    for at in 0.. {
        let (interrupted, interrupter) = run_interrupted_at(at);
        let first = score("parts.csv", &interrupted);
        if interrupter.seen.load(Ordering::Relaxed) <= at {
            assert_eq!(first.expect("nobody interrupted").n_rows, 400_000);
            break;
        }
        if let Err(error) = first {
            assert!(error.is_cancelled(), "{error}");
            let (after, advice) =
                (error.to_string(), "the same command, without --start-over, continues after the rows");
            assert!(after.starts_with("interrupted after ") && after.contains(advice), "{after}");
            assert!(!dir.path().join("parts.csv").exists(), "at {at}: an unfinished file has the final name");
            let summary = score("parts.csv", &run).unwrap();
            continued += usize::from(summary.n_done_before > 0);
        }
        assert!(fs::read(dir.path().join("parts.csv")).unwrap() == whole, "at {at}");
        fs::remove_file(dir.path().join("parts.csv")).unwrap();
    }
    assert!(continued > 0, "no run had durable rows to continue after");
    let left = names_in(dir.path());
    assert_eq!(left.len(), 3, "only the table and the two files stay: {left:?}");
}
