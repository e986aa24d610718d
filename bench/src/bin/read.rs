//! Reading tables beside pandas: seconds (least of ten), and peak memory as a multiple of the table's.
//!
//! `read FILE.csv[.gz] [--repeat N]` reads the file, or a plain temporary one that has its rows N times. pandas' `read_csv`
//! is timed on the same file where `python3` has it.

use anyhow::{Context, Result, bail};
use statera_core::Run;
use statera_data::Table;
use statera_data::source::{ReadOptions, open, read_table};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Readings of which the least counts.
const READINGS: usize = 10;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (file, repeat) = match arguments.as_slice() {
        [file] => (PathBuf::from(file), 1),
        [file, flag, n] if flag == "--repeat" => (PathBuf::from(file), n.parse().context("--repeat takes a number")?),
        _ => bail!("usage: read FILE.csv[.gz] [--repeat N]"),
    };
    let folder = std::env::temp_dir().join(format!("statera-read-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = measure(&file, repeat, &folder);
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn measure(file: &Path, repeat: usize, folder: &Path) -> Result<()> {
    let file = if repeat > 1 { repeated(file, repeat, folder)? } else { file.to_path_buf() };
    let address = file.to_str().context("the path is not UTF-8")?;
    let before = memory("VmRSS:")?;
    let (table, mut seconds) = timed(|| read_table(address, &ReadOptions::default(), &Run::new(1, 1)))?;
    let (size, peak) = (size_of(&table), memory("VmHWM:")? - before);
    println!("{} rows, {} columns", table.n_rows(), table.columns.len());
    println!("table {:.1} MB, peak while reading {:.1} MB: {:.2} times the table", size / 1e6, peak / 1e6, peak / size);
    drop(table);
    for _ in 1..READINGS {
        seconds = seconds.min(timed(|| read_table(address, &ReadOptions::default(), &Run::new(1, 1)))?.1);
    }
    let streamed = (0..3).map(|_| timed(|| stream(address)).map(|(_, s)| s)).collect::<Result<Vec<_>>>()?;
    println!("statera  {seconds:.4} s  (text batches alone {:.4} s)", streamed.into_iter().fold(f64::MAX, f64::min));
    match pandas(address) {
        Some(peer) => println!("pandas   {peer:.4} s\nratio    {:.2}", peer / seconds),
        None => println!("pandas   not installed"),
    }
    Ok(())
}

/// Reads without keeping anything: rows.
fn stream(address: &str) -> statera_core::Result<usize> {
    let mut reader = open(address, &ReadOptions::default())?;
    let mut n_rows = 0;
    while let Some(batch) = reader.next_batch()? {
        n_rows += batch.num_rows();
    }
    Ok(n_rows)
}

fn timed<T>(work: impl FnOnce() -> statera_core::Result<T>) -> Result<(T, f64)> {
    let start = Instant::now();
    let done = work()?;
    Ok((done, start.elapsed().as_secs_f64()))
}

/// Bytes of all columns.
fn size_of(table: &Table) -> f64 {
    table.batches.iter().map(|b| b.get_array_memory_size()).sum::<usize>() as f64
}

/// Bytes of a line of this process's status.
fn memory(line: &str) -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let value = status.lines().find_map(|l| l.strip_prefix(line)).context("no such line in /proc/self/status")?;
    let kib: f64 = value.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024.0)
}

/// A plain CSV with the rows of a file several times, decompressed by `gzip` where needed.
fn repeated(file: &Path, repeat: usize, folder: &Path) -> Result<PathBuf> {
    let text = if file.extension().is_some_and(|e| e == "gz") {
        Command::new("gzip").arg("-dc").arg(file).output().context("gzip")?.stdout
    } else {
        std::fs::read(file)?
    };
    let header = text.iter().position(|&b| b == b'\n').context("no line ends")? + 1;
    let path = folder.join("repeated.csv");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&path)?);
    out.write_all(&text[..header])?;
    for _ in 0..repeat {
        out.write_all(&text[header..])?;
    }
    out.flush()?;
    Ok(path)
}

/// Seconds of pandas on the same file, least of ten; `None` without pandas.
fn pandas(address: &str) -> Option<f64> {
    let script = "import pandas, sys, time\n\
        def read():\n    start = time.perf_counter(); pandas.read_csv(sys.argv[1]); return time.perf_counter() - start\n\
        print(min(read() for _ in range(int(sys.argv[2]))))";
    let output = Command::new("python3").args(["-c", script, address, &READINGS.to_string()]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
