//! What the model is for, and where its figures end.

use super::Section;
use crate::project::Prefer;
use crate::report::subject::Subject;
use crate::report::view::{Block, Cell, Table};
use crate::report::words::cut;
use statera_core::{Result, Task};

pub(in super::super) const PURPOSE: Section = Section { name: "purpose", view };

fn view(subject: &Subject<'_>) -> Result<Vec<Block>> {
    let (words, facts) = (&subject.words, &subject.facts);
    let task = match facts.task {
        Task::Binary => "binary",
        Task::Classes(_) => "classes",
        Task::Regression => "regression",
    };
    let prefer = match facts.settings.prefer {
        Prefer::Best => "best",
        Prefer::Simple => "simple",
        Prefer::Ensemble => "ensemble",
    };
    let mut table = Table::new(&["<".into(), "<".into()]);
    let mut line = |key: &str, value: String| {
        table.rows.push(vec![Cell::of(words.get(&format!("purpose.{key}"))), Cell::of(value)]);
    };
    line("use", subject.purpose());
    line("predicts", subject.event());
    line("answers", words.get(&format!("purpose.task_{task}")));
    line("model", subject.model());
    line("chosen", words.get(&format!("purpose.prefer_{prefer}")));
    line("calibration", calibration(subject));
    if subject.is_binary() {
        let cutoff = words.percent(facts.leaderboard.cutoff);
        let named = |decline: f64| {
            words.fill("purpose.cutoff_not_policy", &[("cutoff", &cutoff), ("decline", &words.percent(decline))])
        };
        line("cutoff", subject.other_cutoff().map_or_else(|| cutoff.clone(), named));
    }
    if let Some((policy, _)) = &subject.bundle.deciding.policy {
        line("policy", cut(&policy.read.version));
    }
    let mut limits = vec![words.fill("purpose.limit_rows", &[("rows", &words.count(facts.n_train))])];
    limits.push(match &facts.settings.time {
        Some(time) => words.fill("purpose.limit_time", &[("column", &cut(time))]),
        None => words.get("purpose.limit_no_time"),
    });
    limits.extend(["limit_accepted", "limit_cause", "limit_people"].map(|key| words.get(&format!("purpose.{key}"))));
    Ok(vec![Block::Table(table), Block::heading(words.get("purpose.limits")), Block::List { items: limits }])
}

/// How probabilities are made of margins, in words.
fn calibration(subject: &Subject<'_>) -> String {
    let name = subject.facts.calibration.to_lowercase();
    subject.words.known(&format!("calibration.{name}")).unwrap_or_else(|| cut(&subject.facts.calibration))
}
