//! `statera completions`.

use crate::args::{Cli, Completions};
use crate::console::print;
use clap::CommandFactory;

pub fn run(args: &Completions) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "statera", &mut script);
    print(&String::from_utf8(script)?);
    Ok(())
}
