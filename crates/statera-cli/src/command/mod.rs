//! One file per command.

pub mod bench;
mod chart;
mod completions;
mod demo;
mod dial;
mod evaluate;
mod explain;
mod init;
mod judgement;
mod mask;
mod policy;
mod profile;
mod reading;
mod report;
mod sample;
mod score;
mod segment;
mod train;

use crate::args::Command;
use crate::console::Console;
use statera_core::Run;

/// What an interruption at any moment leaves behind, and what to do about it.
pub fn after_interruption(command: &Command) -> &'static str {
    match command {
        Command::Score(args) => statera::batch::after_interruption(&args.data, &args.out),
        Command::Mask(args) if args.out.as_ref().is_some_and(|out| out.contains("://")) => {
            "delete the rows that are already in the table; then the same command starts over"
        }
        _ => "nothing was written",
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
        Command::Explain(args) => explain::run(args, console, run),
        Command::Report(args) => report::run(args, console, run),
        Command::Mask(args) => mask::run(args, console, run),
        Command::Dial(args) => dial::run(args, console, run),
        Command::Bench(args) => bench::run(args, console, run),
        Command::Completions(args) => completions::run(args),
    }
}
