//! `statera report`.

use crate::args::Report;
use crate::console::Console;
use statera::bundle::Bundle;
use statera::{file, report};
use statera_core::{Error, Run};

pub fn run(args: &Report, console: &Console, run: &Run) -> anyhow::Result<()> {
    if let Some(folder) = &args.write_templates {
        let written = report::write_templates(folder, args.force)?;
        if console.json {
            return console.print_json(&written);
        }
        console.line(format!("{} templates are in {}", written.len(), folder.display()));
        return Ok(());
    }
    let Some(path) = &args.bundle else { return Err(Error::request("no bundle is named").into()) };
    if args.out.is_none() && !console.json {
        return Err(Error::request("nothing to do: give --out FILE for a page or a document, or --json").into());
    }
    // What cannot be written is told before the work.
    if let Some(out) = &args.out {
        let is_page = out.extension().is_some_and(|e| e.eq_ignore_ascii_case("html") || e.eq_ignore_ascii_case("htm"));
        if args.pack.is_none() && !is_page {
            let place = out.display();
            return Err(Error::request(format!("--out {place}: the page is HTML; end its name in .html")).into());
        }
        file::check_place(out)?;
    }
    let pack = args.pack.as_deref().map(report::Pack::find).transpose()?;
    let bundle = Bundle::read(path)?;
    run.check()?;
    let subject = report::Subject::of(&bundle, report::judgement(&bundle), args.lang.into())?;
    if let Some(out) = &args.out {
        let text = match pack {
            Some(pack) => report::document(&subject, pack, args.templates.as_deref())?,
            None => report::html(&subject)?,
        };
        run.check()?;
        file::write_whole(out, text.as_bytes())?;
    }
    if console.json {
        return console.print_json(&report::json(&subject)?);
    }
    if let Some(out) = &args.out {
        console.line(format!("The report is {}", out.display()));
    }
    Ok(())
}
