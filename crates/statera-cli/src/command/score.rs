//! `statera score`.

use super::reading;
use crate::args::Score;
use crate::console::{Console, count, counted};
use statera::batch::{self, BatchOptions};
use statera::bundle::Bundle;
use statera_core::Run;
use statera_data::source;

pub fn run(args: &Score, console: &Console, run: &Run) -> anyhow::Result<()> {
    let encoding = reading::encoding(&args.encoding)?;
    let bundle = Bundle::read(&args.bundle)?;
    let mut read = reading::options(&args.reading)?;
    if read.tz.is_none() {
        read.tz = Some(bundle.scorer.schema().tz.clone());
    }
    let options = BatchOptions {
        encoding,
        start_over: args.start_over,
        replace: args.force,
        append: args.append,
        history: args.history.clone(),
        edges: args.edges.clone(),
        code: args.code,
    };
    let summary = batch::score(&bundle, &args.data, &read, &args.out, &options, run)?;
    if console.json {
        return console.print_json(&summary);
    }
    if !summary.ignored_columns.is_empty() {
        let what = match summary.ignored_columns.len() {
            1 => "1 column that the model does not read was ignored".into(),
            n => format!("{n} columns that the model does not read were ignored"),
        };
        console.note(format!("{what}: {}", summary.ignored_columns.join(", ")));
    }
    if summary.n_without_id > 0 {
        let id = bundle.scorer.schema().id.as_deref().unwrap_or_default();
        let verb = if summary.n_without_id == 1 { "has" } else { "have" };
        console.note(format!("{} {verb} no «{id}»", counted(summary.n_without_id as usize, "row", "rows")));
    }
    if summary.n_done_before == summary.n_rows {
        console.note(format!(
            "an earlier run of the same command has already written them to {}",
            source::label(&args.out)
        ));
    } else if summary.n_done_before > 0 {
        console.note(format!("continued after {} rows of an interrupted run", count(summary.n_done_before as f64)));
    }
    let of = if summary.n_done_before > 0 { " of the rows scored now" } else { "" };
    let mean = summary.mean.map_or(String::new(), |mean| format!(", mean{of} {mean:.4}"));
    console.line(format!(
        "{} rows scored{mean}; they are in {}",
        count(summary.n_rows as f64),
        source::label(&args.out)
    ));
    Ok(())
}
