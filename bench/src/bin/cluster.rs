//! k-means beside its peer: `bench/cluster_peer.py` runs this between its own fits, on the same matrix.
//!
//! `target/release/cluster FILE ROWS COLUMNS K STARTS`, where FILE holds row-major 32-bit floats, little-endian. Prints the
//! seconds of a fit, the least of 3, and the inertia.

use statera_core::Run;
use statera_learn::cluster::{KMeansParams, Points};
use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, sizes @ ..] = args.as_slice() else { return Err("FILE ROWS COLUMNS K STARTS are needed".into()) };
    let sizes: Vec<usize> = sizes.iter().map(|s| s.parse()).collect::<Result<_, _>>()?;
    let [n_rows, n_cols, k, starts] = sizes[..] else { return Err("ROWS COLUMNS K STARTS are needed".into()) };
    let bytes = std::fs::read(file)?;
    let data: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    if data.len() != n_rows * n_cols {
        return Err(format!("{file} holds {} numbers, not {n_rows} × {n_cols}", data.len()).into());
    }
    let points = Points { data: &data, n_cols, weight: None };
    let threads = std::thread::available_parallelism()?.get();
    let params = KMeansParams { k, starts, ..KMeansParams::default() };
    let (mut seconds, mut inertia) = (f64::INFINITY, f64::NAN);
    for _ in 0..3 {
        let started = Instant::now();
        inertia = params.fit(&points, &Run::new(1, threads))?.inertia;
        seconds = seconds.min(started.elapsed().as_secs_f64());
    }
    println!("{seconds} {inertia}");
    Ok(())
}
