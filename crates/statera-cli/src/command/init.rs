//! `statera init`.

use super::reading;
use crate::args::{Init, Reading};
use crate::console::Console;
use statera::project;
use statera_core::{Error, Run};
use statera_data::source;
use std::path::Path;

pub fn run(args: &Init, console: &Console, run: &Run) -> anyhow::Result<()> {
    if args.out != Path::new("-") {
        if args.out.exists() {
            return Err(Error::request(format!("{} exists; name another file with --out", args.out.display())).into());
        }
        statera::file::check_place(&args.out)?;
    }
    let reading = Reading { types: Vec::new(), tz: None };
    let columns = match &args.data {
        Some(address) => project::guess_columns(&reading::table(address, &reading::options(&reading)?, run)?.0),
        None => Vec::new(),
    };
    let address = args.data.as_deref().map(source::without_password);
    if address != args.data {
        console.note("the password was left out of the file; give it by PGPASSWORD or ~/.pgpass");
    }
    let text = project::template(address.as_deref(), &columns);
    if args.out == Path::new("-") {
        crate::console::print(&text);
        return Ok(());
    }
    statera::file::write_whole(&args.out, text.as_bytes())?;
    if console.json {
        return console.print_json(&serde_json::json!({ "project": args.out }));
    }
    console.line(format!("{} is written; look it over, then:", args.out.display()));
    console.line(format!("  statera train {} --out model.statera", args.out.display()));
    Ok(())
}
