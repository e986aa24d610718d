//! `statera serve`.

pub mod arguments;

use crate::console::Console;
use arguments::Serve;
use serde_json::json;
use statera_core::{Result, Run};
use statera_server::serve::{self, Started};
use statera_server::settings::Settings;
use std::io::IsTerminal;
use std::time::Duration;

pub fn run(args: &Serve, console: &Console, run: &Run) -> anyhow::Result<()> {
    let settings = settings(args)?;
    if args.print_settings {
        if console.json {
            return console.print_json(&settings);
        }
        crate::console::print(&settings.commented()?);
        return Ok(());
    }
    let stop = run.cancel_flag();
    Ok(serve::serve(settings, |started| print(started, console), &stop)?)
}

/// What an interrupted server may take: its own time, and some for the store to close.
pub fn grace(args: &Serve) -> Duration {
    let stop_ms = settings(args).map_or(0, |settings| settings.serve.stop_ms);
    Duration::from_millis(stop_ms.into()) + Duration::from_secs(5)
}

/// The file's settings with the flags over them.
fn settings(args: &Serve) -> Result<Settings> {
    let mut settings = args.settings.as_deref().map_or_else(|| Ok(Settings::default()), Settings::read)?;
    if let Some(store) = &args.store {
        settings.serve.store.clone_from(store);
    }
    if let Some(listen) = &args.listen {
        settings.serve.listen.clone_from(listen);
    }
    settings.check()?;
    Ok(settings)
}

fn print(started: &Started, console: &Console) {
    let scheme = if started.is_tls { "https" } else { "http" };
    let url = format!("{scheme}://{}", started.address);
    let setup = started.setup_token.as_ref().map(|token| format!("{url}/setup?token={token}"));
    if console.json {
        let line = json!({ "url": url, "store": started.store, "setup": setup, "ready": started.is_ready });
        crate::console::print(&format!("{line}\n"));
        return;
    }
    console.line(format!("Statera listens on {url}, its store is {}", started.store));
    if let Some(setup) = setup {
        console.line("Nobody may sign in yet. This link makes the first person, once:");
        console.line(format!("  {setup}"));
    }
    if !started.is_ready {
        console.note("it is not ready yet; the log and /health/ready say what is missing");
    }
    // Elsewhere the log follows on standard error, a line of JSON for each event.
    if std::io::stderr().is_terminal() {
        console.note("Ctrl-C stops it");
    }
}
