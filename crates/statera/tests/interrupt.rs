//! Interruption at any moment: training leaves nothing, scoring continues where it stopped.

mod common;

use common::{settings, table};
use statera::batch::{self, BatchOptions};
use statera::bundle::Bundle;
use statera::checkpoint::{CheckpointFolder, Pace};
use statera::given::Given;
use statera::pipeline;
use statera::project::Settings;
use statera_core::{Progress, Run};
use statera_data::source::ReadOptions;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

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
        let trained =
            pipeline::train(table(600, 3), &settings("bad", "logistic"), &BTreeMap::new(), &Given::default(), &run);
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
    let trained =
        pipeline::train(table(600, 3), &settings("bad", "logistic"), &BTreeMap::new(), &Given::default(), &run)
            .unwrap();
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

/// A training with checkpoints at every chance.
fn kept_training(dir: &Path, run: Run, is_resumed: bool) -> (statera_core::Result<String>, Arc<CheckpointFolder>) {
    let path = dir.join("m.statera");
    let pace = Pace { after: Duration::ZERO, every: Duration::ZERO };
    let checkpoint = Arc::new(CheckpointFolder::beside(&path, is_resumed, |_| ()).with_pace(pace));
    let run = run.with_checkpoints(checkpoint.clone());
    let settings = Settings { folds: 3, models: vec!["boosting".into(), "mlp".into()], ..settings("bad", "mlp") };
    // With a time column networks are refitted, so that a final model is interrupted as well.
    let settings = Settings { time: Some("opened".into()), ..settings };
    let digest =
        pipeline::train(table(600, 3), &settings, &BTreeMap::new(), &Given::default(), &run).and_then(|mut trained| {
            trained.bundle.write(&path, false, &run)?;
            checkpoint.remove()?;
            trained.bundle.digest()
        });
    (digest.map_err(|e| checkpoint.explain(e)), checkpoint)
}

#[test]
fn training_that_is_resumed_gives_the_bytes_of_one_in_one_go() {
    let dir = tempfile::tempdir().unwrap();
    let (run, counter) = run_interrupted_at(usize::MAX);
    let whole = kept_training(dir.path(), run, false).0.unwrap();
    assert_eq!(names_in(dir.path()), ["m.statera"], "the checkpoint goes when the bundle is there");
    let n_moments = counter.seen.load(Ordering::Relaxed);
    let (mut n_kept, mut stopped_in) = (0, [0; 2]);
    // Spread over the training, and closer together in its last part, where the final network is fitted.
    for at in (0..n_moments).step_by(37).chain((n_moments - 18..n_moments - 4).step_by(3)) {
        let dir = tempfile::tempdir().unwrap();
        let (run, _) = run_interrupted_at(at);
        let (digest, _) = kept_training(dir.path(), run, false);
        let error = digest.expect_err("interrupted before the end");
        assert!(error.is_cancelled(), "{error}");
        let names = names_in(dir.path());
        let kept = dir.path().join("m.statera.checkpoint");
        if names.is_empty() {
            assert_eq!(error.to_string(), "interrupted; nothing was written");
        } else {
            assert_eq!(names, ["m.statera.checkpoint"], "at {at}");
            let expected = format!("what was trained so far is in {}; the same command with --resume", kept.display());
            assert!(error.to_string().contains(&expected), "{error}");
            n_kept += 1;
            let files = names_in(&kept);
            assert!(files.iter().all(|f| f == "manifest.json" || f.starts_with("mlp-")), "{files:?}");
            stopped_in[usize::from(files.iter().any(|f| f.starts_with("mlp-final")))] += 1;
        }
        let (resumed, _) = kept_training(dir.path(), Run::new(1, 2), true);
        assert_eq!(resumed.unwrap(), whole, "at {at}");
        assert_eq!(names_in(dir.path()), ["m.statera"], "at {at}");
    }
    assert!(n_kept > 3 && stopped_in.iter().all(|&n| n > 0), "{n_kept} kept, {stopped_in:?}");
}
