//! Binning for scorecards: information value of every column of taiwan, and the time.
//!
//! `cargo run --release -p statera-bench --bin binning -- [--data DIR] [--repeats N] [--threads N]`

use anyhow::{Context, Result, bail};
use statera_bench::sets::{folder, load};
use statera_learn::scorecard::{Binning, ScorecardParams, Trend};
use std::time::Instant;

fn main() -> Result<()> {
    let mut data = folder();
    let (mut repeats, mut threads) = (3, 2);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--data" => data = value.into(),
            "--repeats" => repeats = value.parse()?,
            "--threads" => threads = value.parse()?,
            other => bail!("«{other}» is not one of --data, --repeats, --threads"),
        }
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let taiwan = load("taiwan", &data)?;
    println!("trend\tinformation value\ts (least of {repeats})\tby column, with bins");
    for trend in [Trend::Auto, Trend::Monotone] {
        let params = ScorecardParams { trend, ..ScorecardParams::default() };
        let mut least = f64::INFINITY;
        let mut found: Vec<Binning> = Vec::new();
        for _ in 0..repeats {
            let started = Instant::now();
            found = params.bin(&taiwan)?;
            least = least.min(started.elapsed().as_secs_f64());
        }
        let total: f64 = found.iter().map(Binning::iv).sum();
        let columns = taiwan.spec.features.iter().zip(&found);
        let columns: Vec<String> =
            columns.map(|(f, b)| format!("{} {:.4} {}", f.name, b.iv(), b.cuts.len() + 1)).collect();
        println!("{}\t{total:.4}\t{least:.4}\t{}", trend.name(), columns.join(", "));
    }
    Ok(())
}
