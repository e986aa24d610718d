//! `statera evaluate`.

use super::reading;
use crate::args::Evaluate;
use crate::console::{Console, count, figure, interval};
use statera::bundle::Bundle;
use statera::evaluate;
use statera::network;
use statera_core::Run;
use statera_core::metric;

pub fn run(args: &Evaluate, console: &Console, run: &Run) -> anyhow::Result<()> {
    let bundle = Bundle::read(&args.bundle)?;
    let mut options = reading::options(&args.reading)?;
    if options.tz.is_none() {
        options.tz = Some(bundle.scorer.schema().tz.clone());
    }
    let (table, _) = reading::table(&args.data, &options, run)?;
    let table = network::complete(&bundle, &table, args.edges.as_deref(), run)?;
    let found = evaluate::evaluate(&bundle, &table, args.cutoff)?;
    if console.json {
        return console.print_json(&found);
    }
    console.line(format!("{} rows, model {}", count(found.n_rows as f64), bundle.manifest.family));
    if found.is_training_table {
        console.note("these are the rows that the model was trained on; the figures flatter it");
    } else {
        console.note("rows of the table that the model was trained on would flatter the figures");
    }
    if let Some(cutoff) = found.cutoff {
        console.line(format!("accuracy, precision, recall and F1 at a probability of {cutoff:.4} or more"));
    }
    let with_baseline = !found.baseline.is_empty();
    let rows = found.metrics.iter().map(|m| {
        let mut row = vec![metric::find(&m.name).map_or(m.name.clone(), |m| m.title.into()), interval(&m.interval)];
        if with_baseline {
            let present = found.baseline.iter().find(|b| b.name == m.name);
            row.push(present.map_or("–".into(), |b| figure(b.interval.value)));
        }
        row
    });
    let header = ["Metric", "Value  [95 % interval]", "Present score"];
    console.table(&header[..if with_baseline { 3 } else { 2 }], rows.collect());
    if !found.deciles.is_empty() {
        let rows = found.deciles.iter().map(|d| {
            vec![
                d.decile.to_string(),
                count(d.n_rows),
                count(d.n_positive),
                format!("{:.1} %", 100.0 * d.rate),
                format!("{:.2}", d.lift),
                format!("{:.1} %", 100.0 * d.gain),
            ]
        });
        console.table(&["Decile (1 = riskiest)", "Rows", "Events", "Rate", "Lift", "Gain"], rows.collect());
    }
    Ok(())
}
