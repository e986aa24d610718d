//! `statera completions`.

use crate::args::{Cli, Completions};
use clap::CommandFactory;

pub fn run(args: &Completions) -> anyhow::Result<()> {
    clap_complete::generate(args.shell, &mut Cli::command(), "statera", &mut std::io::stdout());
    Ok(())
}
