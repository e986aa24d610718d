//! A judgement on the terminal: what a policy does, how groups fare, what stands in for them, and what others would do.

use crate::console::{Console, count};
use statera::decision::Deciding;
use statera::judge::{DecidedBy, Frontier, FrontierLine, Judgement, MeasuredOn};
use statera::policy::Alternative;
use statera::proxy::{Proxy, ProxySearch};
use statera_core::fairness::{Disparity, GroupFigures, Judged, Verdict};
use statera_core::metric::Interval;

/// Columns that are shown of a search for proxies beside those that the rules name.
const SHOWN_PROXIES: usize = 3;
/// Groups that are shown beside the present score.
const SHOWN_GROUPS: usize = 12;
/// Groups too small to be judged that are named.
const SHOWN_SMALL: usize = 8;
/// Columns that are shown of a search for proxies at most.
const MAX_PROXIES: usize = 8;

/// What decides, and what it came to.
pub fn print(deciding: &Deciding, console: &Console) {
    if let Some((own, fitted)) = &deciding.policy {
        let cutoffs = fitted.cutoffs;
        let review = if cutoffs.review_from < cutoffs.decline_from {
            format!("reviewed from {:.4}, ", cutoffs.review_from)
        } else {
            String::new()
        };
        console.paragraph(format!(
            "Policy {}: approved below a probability of {:.4}, {review}declined from {:.4}",
            own.read.version, cutoffs.review_from, cutoffs.decline_from
        ));
    }
    if let Some(judgement) = &deciding.judgement {
        judged(judgement, console);
    }
}

fn judged(judgement: &Judgement, console: &Console) {
    if judgement.is_training_table {
        console.note("these are the rows that the model was trained on; the figures flatter it");
    } else if judgement.measured_on == MeasuredOn::Table {
        console.note("rows of the table that the model was trained on would flatter the figures");
    }
    let stand_in = match &judgement.decided_by {
        DecidedBy::Policy { .. } => None,
        DecidedBy::Cutoff { .. } => Some("the cut-off that the training was told".to_string()),
        DecidedBy::ApprovalRate { rate } => {
            Some(format!("the approval of {} of rows like those of the training", percent(*rate)))
        }
    };
    if let Some(stand_in) = stand_in {
        console.paragraph(format!(
            "There is no policy: what follows is judged by {stand_in}, declined from a probability of {:.4}",
            judgement.cutoffs.decline_from
        ));
    }
    let rows = match judgement.measured_on {
        MeasuredOn::Test => "rows of the test",
        MeasuredOn::CrossFitted => "cross-fitted rows, as there is no test",
        MeasuredOn::Table => "rows",
    };
    let [approved, reviewed, declined] = judgement.shares.map(percent);
    console.paragraph(format!(
        "{} {rows}: {approved} approved, {reviewed} reviewed, {declined} declined",
        count(judgement.n_rows as f64)
    ));
    if !judgement.grades.is_empty() {
        let rows = judgement.grades.iter().map(|g| {
            let share = |v: Option<f64>| v.map_or("–".into(), percent);
            vec![g.grade.clone(), count(g.n_rows as f64), share(g.predicted), share(g.observed)]
        });
        console.table(&["Grade", "Rows", "Predicted", "Observed"], rows.collect());
    }
    what_if(judgement, console);
    against_present(judgement, console);
    if let Some(stability) = judgement.stability {
        console.paragraph(format!(
            "Reasons under {} other fits of the model, of {} rows not approved: the first stays in {}, {} of all stay",
            stability.n_fits,
            count(stability.n_rows as f64),
            percent(stability.first_stays),
            percent(stability.overlap),
        ));
    }
    if !judgement.fairness.is_empty() {
        groups(judgement, console);
    }
    for search in &judgement.proxies {
        proxies(search, judgement, console);
    }
    if let Some(found) = &judgement.frontier {
        frontier(found, console);
    }
}

fn groups(judgement: &Judgement, console: &Console) {
    console.paragraph(format!(
        "Groups, judged by the rules {} (* fails, ? the rows cannot tell) with intervals that hold for all groups at once",
        judgement.rules.version
    ));
    let (small, large): (Vec<&GroupFigures>, Vec<&GroupFigures>) =
        judgement.fairness.iter().partition(|figures| figures.is_small);
    if !large.is_empty() {
        console.table(
            &["Group", "Rows", "Approved", "Of reference", "AUC", "Calibration", "Good declined", "Bad approved"],
            large.into_iter().map(group).collect(),
        );
    }
    if !small.is_empty() {
        let names = small.iter().take(SHOWN_SMALL).map(|g| format!("{} ({} rows)", g.group, count(g.n_rows as f64)));
        let more = if small.len() > SHOWN_SMALL { "; …" } else { "" };
        console.paragraph(format!(
            "Too small to be judged, {} of {} groups, shown by --json: {}{more}",
            small.len(),
            judgement.fairness.len(),
            names.collect::<Vec<_>>().join("; ")
        ));
    }
}

fn what_if(judgement: &Judgement, console: &Console) {
    let with_value = judgement.what_if.iter().any(|w| w.model.value.is_some());
    let with_baseline = judgement.what_if.iter().any(|w| w.baseline.is_some());
    let mut header = vec!["Cut-off", "Approved", "Bad rate"];
    header.extend(with_value.then_some("Value a row"));
    header.extend(with_baseline.then_some("Bad rate, present score"));
    let rows = judgement.what_if.iter().enumerate().map(|(i, w)| {
        let mark = if i == 0 { " (the policy's)" } else { "" };
        let cutoff = w.cutoff.map_or("none".into(), |cutoff| format!("{cutoff:.4}"));
        let bad_rate = |a: &Alternative| a.bad_rate.map_or("nobody approved".into(), percent);
        let mut row = vec![format!("{cutoff}{mark}"), percent(w.model.approval_rate), bad_rate(&w.model)];
        if with_value {
            row.push(w.model.value.map_or("–".into(), |v| format!("{v:.4}")));
        }
        if with_baseline {
            row.push(w.baseline.as_ref().map_or("–".into(), bad_rate));
        }
        row
    });
    console.table(&header, rows.collect());
}

/// What the cut-off does to each group, beside the present score at as many approvals.
fn against_present(judgement: &Judgement, console: &Console) {
    let Some(own) = judgement.what_if.first().filter(|w| !w.baseline_groups.is_empty()) else { return };
    let line = |g: usize| -> Option<Vec<String>> {
        let (model, present) = ((*own.groups.get(g)?)?, (*own.baseline_groups.get(g)?)?);
        let points = format!("{:+.1}", 100.0 * (model - present));
        Some(vec![judgement.groups[g].clone(), percent(model), percent(present), points])
    };
    let rows: Vec<Vec<String>> = judgement.large_groups().filter_map(line).take(SHOWN_GROUPS).collect();
    if !rows.is_empty() {
        console.paragraph(format!(
            "Approved of each group at the cut-off {:.4}, beside the present score with as many approvals",
            own.cutoff.unwrap_or(1.0)
        ));
        console.table(&["Group", "Approved", "Present score", "Points"], rows);
    }
}

/// What stands behind a figure that was judged.
fn mark(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Fails) => " *",
        Some(Verdict::Unclear) => " ?",
        Some(Verdict::Holds | Verdict::NotJudged) | None => "",
    }
}

fn group(figures: &GroupFigures) -> Vec<String> {
    let judged = |judged: Option<Judged>, shown: &dyn Fn(f64) -> String| {
        judged.map_or("–".into(), |j| format!("{}{}", shown(j.figure.value), mark(Some(j.verdict))))
    };
    let with_mark = |value: Option<Interval>, gap: Option<Judged>, shown: &dyn Fn(f64) -> String| {
        value.map_or("–".into(), |i| format!("{}{}", shown(i.value), mark(gap.map(|g| g.verdict))))
    };
    let plain = |v: f64| format!("{v:.3}");
    let reference = if figures.is_reference { " (reference)" } else { "" };
    let name = format!("{}{reference}", figures.group);
    vec![
        name,
        count(figures.n_rows as f64),
        figures.approval_rate.map_or("–".into(), |i| percent(i.value)),
        judged(figures.approval_ratio, &plain),
        with_mark(figures.auc, figures.auc_gap, &plain),
        judged(figures.calibration_gap, &|v| format!("{v:+.3}")),
        with_mark(figures.false_positive_rate, figures.false_positive_gap, &percent),
        with_mark(figures.false_negative_rate, figures.false_negative_gap, &percent),
    ]
}

/// The columns that the rules name, or that come next, then groups of columns that they name, then all together.
fn proxies(search: &ProxySearch, judgement: &Judgement, console: &Console) {
    let is_named = |p: &Proxy| matches!(p.auc.verdict, Verdict::Fails | Verdict::Unclear);
    let is_shown = |(i, p): &(usize, &Proxy)| *i < SHOWN_PROXIES || is_named(p);
    let alone = search.columns.iter().enumerate().filter(is_shown).map(|(_, p)| p).take(MAX_PROXIES);
    let line = |proxy: &Proxy, name: String| {
        let share = |v: Option<f64>| v.map_or("–".into(), percent);
        let figure = proxy.auc.figure;
        let mark = if proxy.auc.verdict == Verdict::NotJudged { " –" } else { mark(Some(proxy.auc.verdict)) };
        vec![
            name,
            proxy.group.clone(),
            format!("{}{mark}", with_half(figure)),
            share(proxy.information),
            share(proxy.importance_share),
        ]
    };
    let mut rows: Vec<Vec<String>> = alone.map(|p| line(p, p.columns.join(", "))).collect();
    let together = search.together.iter().filter(|p| is_named(p)).take(SHOWN_PROXIES);
    rows.extend(together.map(|p| line(p, p.columns.join(" × "))));
    rows.extend(search.all.iter().map(|p| line(p, format!("all {} columns", p.columns.len()))));
    console.paragraph(format!(
        "What tells {} of {} rows (* a proxy: area above {} by the rules {}, ? the rows cannot tell, – too few to be judged)",
        search.protected,
        count(search.n_rows as f64),
        judgement.rules.proxy_auc,
        judgement.rules.version
    ));
    console.table(&["Column", "Group told", "AUC", "Information", "Of the score"], rows);
}

fn frontier(found: &Frontier, console: &Console) {
    console.paragraph(format!(
        "Accuracy against disparity in the training's folds, {} rows, each candidate approving {} (* none is as good in both and better in one)",
        count(found.n_rows as f64),
        percent(found.approval_rate)
    ));
    let range = |i: Interval| format!("{:.3} ({:.2}–{:.2})", i.value, i.low, i.high);
    let line = |line: &FrontierLine| {
        let used = if line.is_chosen { " (used)" } else { "" };
        let optimal = if line.is_optimal { " *" } else { "" };
        let of = |f: &dyn Fn(&Disparity) -> String| line.disparity.as_ref().map_or("–".into(), f);
        vec![
            format!("{}{used}{optimal}", line.title),
            with_half(line.auc),
            of(&|d| range(d.approval_ratio)),
            of(&|d| percent(d.approval_gap.value)),
            of(&|d| d.least.clone()),
        ]
    };
    let header = ["Candidate", "AUC", "Approval ratio", "Gap", "Approved least"];
    console.table(&header, found.candidates.iter().map(line).collect());
}

/// A value with half its interval.
fn with_half(interval: Interval) -> String {
    format!("{:.3} ± {:.3}", interval.value, (interval.high - interval.low) / 2.0)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
