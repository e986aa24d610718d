//! `statera dial`.

use super::reading;
use crate::args::Dial;
use crate::console::{Console, count, figure, interval};
use serde_json::json;
use statera::bundle::Bundle;
use statera::dial;
use statera_core::{Error, Run, metric};

pub fn run(args: &Dial, console: &Console, run: &Run) -> anyhow::Result<()> {
    if let Some(out) = &args.out {
        if args.members.len() != 1 {
            let n = args.members.len();
            return Err(
                Error::request(format!("--out writes one bundle; --members has {n} numbers, allowed is 1")).into()
            );
        }
        Bundle::check_place(out, args.force)?;
    }
    let bundle = Bundle::read(&args.bundle)?;
    let mut options = reading::options(&args.reading)?;
    if options.tz.is_none() {
        options.tz = Some(bundle.scorer.schema().tz.clone());
    }
    let (table, _) = reading::table(&args.data, &options, run)?;
    let found = dial::dial(&bundle, &table, &args.members, run)?;
    let digest = match &args.out {
        Some(out) => {
            let mut smaller = dial::cut(bundle, &found, args.members[0])?;
            smaller.write(out, args.force, run)?;
            Some(smaller.digest()?)
        }
        None => None,
    };
    if console.json {
        let value = json!({ "dial": found.dial, "rows_per_second": found.rows_per_second, "digest": digest });
        return console.print_json(&value);
    }
    print(&found, console);
    if let Some(out) = &args.out {
        console.line(format!("\nThe bundle is {}; its calibrator is its parent's.", out.display()));
    }
    Ok(())
}

fn print(found: &dial::Dialled, console: &Console) {
    let dial = &found.dial;
    if dial.is_training_table {
        console.note("these are the rows that the model was trained on; the figures flatter it");
    }
    console.paragraph(format!(
        "Members chosen on {} rows, judged on {} others",
        count(dial.n_choosing as f64),
        count(dial.n_judging as f64)
    ));
    let title = dial.settings.first().and_then(|s| metric::find(&s.figure.name).ok()).map_or("", |m| m.title);
    let all = found.rows_per_second.first().copied().unwrap_or(f64::NAN);
    let rows = dial.settings.iter().zip(&found.rows_per_second).enumerate().map(|(i, (setting, speed))| {
        let gain = &setting.gain.gain;
        let gain = format!("{:+.4} [{:+.4}, {:+.4}]", gain.value, gain.low, gain.high);
        vec![
            if i == 0 { format!("{} (all)", setting.members) } else { setting.members.to_string() },
            interval(&setting.figure.interval),
            if i == 0 { "–".into() } else { gain },
            setting.log_loss.as_ref().map_or("–".into(), |l| figure(l.value)),
            count(*speed),
            format!("{:.1}", speed / all),
        ]
    });
    let header = ["Members", &format!("{title}  [95 %]"), "Gain  [95 %]", "Log loss", "Rows/s", "× speed"];
    console.table(&header, rows.collect());
}
