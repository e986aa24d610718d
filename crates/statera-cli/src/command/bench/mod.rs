//! `statera bench`: how a server answers under a load.
//!
//! Open loop: request i is due at the start plus i / rate, whatever became of those before, and its latency counts from
//! then. A client that waits for an answer before it sends the next request leaves out exactly the requests that would have
//! waited longest (coordinated omission, Gil Tene 2013). HTTP/1.1 without pipelining, plain or over TLS.
//! Deliberately absent: requests that are sent again, redirects, cookies, proxies.

mod answers;
pub mod arguments;
mod bodies;
mod load;
mod plan;
mod report;
mod show;
mod tally;
#[cfg(test)]
mod tests;
mod tls;
mod url;
mod wire;

use crate::console::Console;
use answers::Answers;
use arguments::Bench;
use plan::Plan;
use report::Report;
use statera_core::{Error, Result, Run};
use std::time::{SystemTime, UNIX_EPOCH};

pub fn run(args: &Bench, console: &Console, run: &Run) -> anyhow::Result<()> {
    let report = measure(args, run_number(), run)?;
    if console.json {
        console.print_json(&report)?;
    } else {
        show::print(&report, console);
    }
    Ok(judge(&report)?)
}

/// Runs the load.
///
/// # Errors
/// Flags that are wrong, a server that cannot be reached at all.
fn measure(args: &Bench, run_number: u32, run: &Run) -> Result<Report> {
    let plan = Plan::of(args, run_number, run)?;
    let answers = args.answers.as_deref().map(Answers::create).transpose()?;
    Ok(Report::of(&load::run(plan, answers, run)?))
}

/// A missed target, a server that answered nothing well and an interruption are failures of the command.
fn judge(report: &Report) -> Result<()> {
    if report.is_interrupted {
        return Err(Error::interrupted("interrupted; the figures are those until then"));
    }
    if report.verdict.as_ref().is_some_and(|v| !v.pass) {
        return Err(Error::busy("the target was missed"));
    }
    if report.n_good == 0 {
        return Err(Error::io(format!("{} gave no good answer", report.url)));
    }
    Ok(())
}

/// Names a run: no two within 70 minutes have the same, to the microsecond.
fn run_number() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // The low bits change fastest; what is cut off repeats after 2³² microseconds.
    (now.as_micros() & u128::from(u32::MAX)) as u32
}
