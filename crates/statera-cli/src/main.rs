//! The `statera` command: parse, check, run.
//!
//! Results go to standard output (`--json` for machines), progress and messages to standard error. Exit codes: 0 done,
//! 1 the work failed, 2 the request was wrong.

#![forbid(unsafe_code)]

mod args;
mod command;
mod console;

use clap::Parser;
use statera_core::{ErrorKind, Run};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let console = console::Console::new(&cli.common);
    match start(&cli, &console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            console.finish_progress();
            eprintln!("error: {e:#}");
            let wrong = e.downcast_ref::<statera_core::Error>().is_some_and(|e| e.kind() == ErrorKind::Request);
            ExitCode::from(if wrong { 2 } else { 1 })
        }
    }
}

fn start(cli: &args::Cli, console: &console::Console) -> anyhow::Result<()> {
    let threads = cli.common.threads.map_or_else(available_threads, usize::from);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let run = Run::new(1, threads).with_progress(console.progress());
    let flag = run.cancel_flag();
    ctrlc::set_handler(move || {
        // The first one stops the work at its next step, so that nothing half-written stays; a second one insists.
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(1);
        }
        eprintln!("\nstopping; press Ctrl-C again to stop at once");
    })?;
    command::run(&cli.command, console, &run)
}

fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
