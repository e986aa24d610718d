//! One file per command.

pub mod bench;
mod chart;
mod completions;
mod demo;
mod dial;
mod door;
mod evaluate;
mod explain;
pub mod fraud;
mod init;
mod judgement;
mod mask;
mod policy;
mod profile;
mod reading;
pub mod registry;
mod report;
pub mod rules;
mod sample;
mod score;
mod segment;
pub mod serve;
pub mod store;
mod train;

use crate::args::Command;
use crate::console::Console;
use statera_core::Run;
use std::time::Duration;

/// What an interruption at any moment leaves behind, and what to do about it.
pub fn after_interruption(command: &Command) -> &'static str {
    match command {
        Command::Score(args) => statera::batch::after_interruption(&args.data, &args.out),
        Command::Mask(args) if args.out.as_ref().is_some_and(|out| out.contains("://")) => {
            "delete the rows that are already in the table; then the same command starts over"
        }
        Command::Serve(_) => "what was acknowledged is kept",
        _ => "nothing was written",
    }
}

/// How long interrupted work has to end by itself. What computes does at once; what waits for standard input, a database or
/// a disk does not, and is ended. A server answers what it has begun, for as long as its settings say.
pub fn grace(command: &Command) -> Duration {
    match command {
        Command::Serve(args) => serve::grace(args),
        _ => Duration::from_secs(1),
    }
}

/// Runs a command.
pub fn run(command: &Command, console: &Console, run: &Run) -> anyhow::Result<()> {
    match command {
        Command::Demo(args) => demo::run(args, console, run),
        Command::Sample(args) => sample::run(args, console, run),
        Command::Init(args) => init::run(args, console, run),
        Command::Profile(args) => profile::run(args, console, run),
        Command::Train(args) => train::run(args, console, run),
        Command::Evaluate(args) => evaluate::run(args, console, run),
        Command::Score(args) => score::run(args, console, run),
        Command::Policy(args) => policy::run(args, console, run),
        Command::Rules(args) => rules::run(args, console, run),
        Command::Explain(args) => explain::run(args, console, run),
        Command::Report(args) => report::run(args, console, run),
        Command::Mask(args) => mask::run(args, console, run),
        Command::Dial(args) => dial::run(args, console, run),
        Command::Serve(args) => serve::run(args, console, run),
        Command::Registry(args) => registry::run(args, console),
        Command::Fraud(args) => fraud::run(args, console),
        Command::Audit(args) => store::audit::run(args, console),
        Command::Ledger(args) => store::ledger::run(args, console),
        Command::Backup(args) => store::backup::backup(args, console),
        Command::Restore(args) => store::backup::restore(args, console),
        Command::Bench(args) => bench::run(args, console, run),
        Command::Completions(args) => completions::run(args),
    }
}
