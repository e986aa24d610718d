//! `statera profile`.

use super::reading;
use crate::args::Profile as Args;
use crate::console::Console;
use statera_core::{Error, Run};
use statera_data::profile::{LoanColumns, Profile, ProfileOptions};

pub fn run(args: &Args, console: &Console, run: &Run) -> anyhow::Result<()> {
    if let Some(path) = &args.out {
        let is_page = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("html") || e.eq_ignore_ascii_case("htm"));
        if !is_page {
            return Err(
                Error::request(format!("--out {}: the page is HTML; end its name in .html", path.display())).into()
            );
        }
        statera::file::check_place(path)?;
    }
    let (table, _) = reading::table(&args.data, &reading::options(&args.reading)?, run)?;
    let loans = match (&args.loan, &args.period, &args.days_past_due) {
        (Some(loan), Some(period), Some(days)) => Some(LoanColumns {
            id: loan.clone(),
            period: period.clone(),
            days_past_due: days.clone(),
            origination: None,
            bad_days: 90,
        }),
        _ => None,
    };
    let options = ProfileOptions {
        target: args.target.clone(),
        positive: args.positive.clone(),
        time: args.time.clone(),
        id: args.id.clone(),
        loans,
        ..ProfileOptions::default()
    };
    let profile = Profile::of(&table, &options, run)?;
    if let Some(path) = &args.out {
        let label = statera_data::source::label(&args.data);
        let title = std::path::Path::new(&label).file_name().map_or_else(|| "Profile".into(), |n| n.to_string_lossy());
        let page = profile.to_html(&title)?;
        statera::file::write_whole(path, page.as_bytes())?;
        console.note(format!("the page is {}", path.display()));
    }
    if console.json {
        return console.print_json(&profile);
    }
    console.line(profile.to_text(console.width()));
    Ok(())
}
