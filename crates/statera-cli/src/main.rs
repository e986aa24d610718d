//! The `statera` command: parse, check, run.
//!
//! Results go to standard output (`--json` for machines), progress and messages to standard error. Exit codes: 0 done,
//! 1 the work failed, 2 the request was wrong, 130 interrupted (Ctrl-C, or a request of the system to end).

#![forbid(unsafe_code)]

mod args;
mod command;
mod console;

use clap::Parser;
use statera_core::{ErrorKind, Progress, Run};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// The system's allocator keeps what a sign-in's hash or an upload took, thread by thread, and costs a server about a
/// seventh of a request; this one gives it back and is built from source with the C compiler that SQLite needs anyway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of an interrupted command, as shells have it.
const INTERRUPTED: u8 = 130;
/// How long an end waits until it is told.
const LAST_WORDS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !statera_data::source::ipc::is_guarded() {
            report(panic);
        }
    }));
    let cli = args::Cli::parse();
    let console = console::Console::new(&cli.common);
    match start(&cli, &console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            console.finish_progress();
            eprintln!("error: {e:#}");
            ExitCode::from(match e.downcast_ref::<statera_core::Error>().map(statera_core::Error::kind) {
                Some(ErrorKind::Request) => 2,
                Some(ErrorKind::Cancelled) => INTERRUPTED,
                _ => 1,
            })
        }
    }
}

fn start(cli: &args::Cli, console: &console::Console) -> anyhow::Result<()> {
    let threads = cli.common.threads.map_or_else(available_threads, usize::from);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let run = Run::new(1, threads).with_progress(console.progress());
    let flag = run.cancel_flag();
    let grace = command::grace(&cli.command);
    let leaving = Leaving { progress: console.progress(), message: command::after_interruption(&cli.command) };
    ctrlc::set_handler(move || {
        // The first one stops the work at its next step, or where there is none; a second one does not wait.
        if flag.swap(true, Ordering::Relaxed) {
            leaving.leave();
        }
        let leaving = leaving.clone();
        std::thread::spawn(move || {
            std::thread::sleep(grace);
            leaving.leave();
        });
        // Elsewhere nobody presses anything, and a server's log is there, a line of JSON for each event. A terminal may stand still:
        // what bounds the end has begun.
        if std::io::stderr().is_terminal() {
            eprintln!("\nstopping; press Ctrl-C again to stop at once");
        }
    })?;
    command::run(&cli.command, console, &run)
}

/// How the process ends while its threads are still at work.
#[derive(Clone)]
struct Leaving {
    progress: Arc<dyn Progress>,
    message: &'static str,
}

impl Leaving {
    fn leave(&self) -> ! {
        let left = statera::file::remove_unfinished();
        let left = match left.kept {
            _ if left.has_published => "what has its final name is complete".into(),
            Some(kept) => statera::checkpoint::after_interruption(&kept),
            None => self.message.to_string(),
        };
        let progress = self.progress.clone();
        let (told, telling) = mpsc::channel();
        // Whatever reads standard error may stand still, and whoever writes to it has its lock, or the bar's, for as long.
        let tell = move || {
            progress.finish();
            eprintln!("error: interrupted; {left}");
            let _ = told.send(());
        };
        if std::thread::Builder::new().spawn(tell).is_ok() {
            let _ = telling.recv_timeout(LAST_WORDS);
        }
        std::process::exit(i32::from(INTERRUPTED));
    }
}

fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
