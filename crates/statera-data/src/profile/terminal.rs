//! The profile as lines of text.

use super::chart::sparkline;
use super::column::{ColumnProfile, Detail};
use super::figure::{auc, count, number, percent};
use super::loan::BUCKETS;
use super::target::{TargetKind, TargetProfile};
use super::{Profile, figure, share};
use statera_core::text::counted;

/// Narrower terminals get lines of this width.
const WIDTH_MIN: usize = 60;

/// The whole text; every line fits `width`.
pub(super) fn render(profile: &Profile, width: usize) -> String {
    let width = width.max(WIDTH_MIN);
    let mut lines = vec![fit(&profile.origin, width)];
    lines.push(format!(
        "{} × {}, {} of cells missing",
        counted(profile.n_rows, "row", "rows"),
        counted(profile.columns.len(), "column", "columns"),
        percent(profile.missing_share())
    ));
    lines.extend(profile.target.as_ref().map(target_line));
    lines.push(String::new());
    warnings(profile, width, &mut lines);
    columns(profile, width, &mut lines);
    drift(profile, width, &mut lines);
    loans(profile, &mut lines);
    let mut text = String::new();
    for line in lines {
        text.push_str(fit(&line, width).trim_end());
        text.push('\n');
    }
    text
}

/// What is predicted.
pub(super) fn target_line(target: &TargetProfile) -> String {
    match (target.kind, &target.positive, target.rate) {
        (TargetKind::Binary, Some(positive), Some(rate)) => format!(
            "target {} = {positive} in {} of {} rows ({})",
            target.column,
            count(target.n_positive),
            count(target.n_known),
            percent(rate)
        ),
        (TargetKind::Number, ..) => format!("target {}, a number in {} rows", target.column, count(target.n_known)),
        _ => format!(
            "target {}, {} in {} rows",
            target.column,
            counted(target.n_classes, "class", "classes"),
            count(target.n_known)
        ),
    }
}

fn warnings(profile: &Profile, width: usize, lines: &mut Vec<String>) {
    if profile.warnings.is_empty() {
        lines.extend(["Nothing to warn of".into(), String::new()]);
        return;
    }
    lines.push(counted(profile.warnings.len(), "thing to look at", "things to look at"));
    for warning in &profile.warnings {
        let place = warning.column.as_ref().map_or(String::new(), |c| format!("{}: ", fit(c, 32)));
        let advice = warning.advice.as_ref().map_or(String::new(), |a| format!("  {a}"));
        let mut first = true;
        for part in wrap(&format!("{place}{}{advice}", warning.text), width - 16) {
            let label = if first { warning.kind.name() } else { "" };
            lines.push(format!("  {label:<13} {part}"));
            first = false;
        }
    }
    lines.push(String::new());
}

fn columns(profile: &Profile, width: usize, lines: &mut Vec<String>) {
    let has_auc = profile.columns.iter().any(|c| c.auc.is_some());
    let longest = profile.columns.iter().map(|c| display_width(&c.name)).max().unwrap_or(0);
    let name_width = longest.clamp(6, if width >= 100 { 28 } else { 18 });
    let spark_width = if width >= 100 { 20 } else { 10 };
    let auc_width = if has_auc { 6 } else { 0 };
    let used = name_width + 1 + 10 + 1 + 8 + 1 + 10 + auc_width + 2 + spark_width + 2;
    let rest = width.saturating_sub(used);
    let row = |name: &str, kind: &str, missing: &str, distinct: &str, auc: &str, spark: &str, summary: &str| {
        let auc = if has_auc { format!(" {auc:>5}") } else { String::new() };
        let spark = pad(&fit(spark, spark_width), spark_width);
        let summary = if rest >= 8 { fit(summary, rest) } else { String::new() };
        let name = pad(&fit(name, name_width), name_width);
        format!("{name} {kind:<10} {missing:>8} {distinct:>10}{auc}  {spark}  {summary}")
    };
    lines.push(row("column", "kind", "missing", "distinct", "AUC", "", "min · median · max, or levels"));
    for column in &profile.columns {
        lines.push(row(
            &column.name,
            column.kind.name(),
            &percent(column.missing_share),
            &count(column.n_distinct),
            &column.auc.map_or(String::new(), auc),
            &spark(column, spark_width),
            &summary(column),
        ));
    }
}

fn spark(column: &ColumnProfile, width: usize) -> String {
    match &column.detail {
        Detail::Number(s) => sparkline(&s.histogram.counts, width),
        Detail::Time(s) => sparkline(&s.histogram.counts, width),
        Detail::Levels(s) => sparkline(&s.top.iter().map(|l| l.n).collect::<Vec<_>>(), width),
        Detail::Lengths(_) | Detail::Empty => String::new(),
    }
}

/// A few words on a column's distribution.
pub(super) fn summary(column: &ColumnProfile) -> String {
    match &column.detail {
        Detail::Number(s) => {
            let q = s.quantiles;
            format!("{} · {} · {}", number(q[0]), number(q[4]), number(q[8]))
        }
        Detail::Time(s) => format!("{} · {} · {}", s.first, s.median, s.last),
        Detail::Levels(s) => {
            let n: usize = s.top.iter().map(|l| l.n).sum::<usize>() + s.n_other;
            let level = |l: &super::LevelCount| format!("{} {}", figure::cut(&l.level, 24), percent(share(l.n, n)));
            s.top.iter().take(3).map(level).collect::<Vec<_>>().join(", ")
        }
        Detail::Lengths(l) if l.min == l.max => format!("{} characters each", l.min),
        Detail::Lengths(l) => format!("{} to {} characters", l.min, l.max),
        Detail::Empty => "empty".into(),
    }
}

fn drift(profile: &Profile, width: usize, lines: &mut Vec<String>) {
    let Some(drift) = &profile.drift else { return };
    let [Some(first), Some(last)] = [drift.periods.first(), drift.periods.last()] else { return };
    lines.push(String::new());
    lines.push(format!("By {} of {}, {} to {}", drift.unit.name(), drift.column, first.label, last.label));
    let room = (width - 24).min(48);
    let rows: Vec<usize> = drift.periods.iter().map(|p| p.n_rows).collect();
    lines.push(format!("  rows         {}", sparkline(&rows, room)));
    // Millionths of a share are counts enough.
    let rates: Vec<f64> = drift.periods.iter().filter_map(|p| p.rate).collect();
    if let (Some(low), Some(high)) = (rates.iter().copied().reduce(f64::min), rates.iter().copied().reduce(f64::max)) {
        let shades: Vec<usize> = rates.iter().map(|r| (r * 1e6) as usize).collect();
        lines.push(format!("  target rate  {}  {} to {}", sparkline(&shades, room), percent(low), percent(high)));
    }
    let worst: Vec<String> = drift
        .columns
        .iter()
        .filter_map(|c| c.worst.map(|(psi, _)| format!("{} {psi:.2}", fit(&c.column, 24))))
        .take(5)
        .collect();
    if !worst.is_empty() {
        lines.push(format!("  most moved   {}", worst.join(", ")));
    }
}

fn loans(profile: &Profile, lines: &mut Vec<String>) {
    let Some(loans) = &profile.loans else { return };
    lines.push(String::new());
    lines.push(format!(
        "Bad ({} days or more past due) by months on book, {} loans",
        loans.bad_days,
        count(loans.n_loans)
    ));
    lines.push(format!("  {:<9} {:>9} {:>8} {:>8} {:>8} {:>8}", "cohort", "loans", "3", "6", "12", "24"));
    for cohort in &loans.cohorts {
        let at = |m: usize| cohort.bad_rate.get(m).map_or("–".into(), |r| percent(*r));
        let n = count(cohort.n_loans);
        lines.push(format!("  {:<9} {n:>9} {:>8} {:>8} {:>8} {:>8}", cohort.label, at(3), at(6), at(12), at(24)));
    }
    lines.push(String::new());
    lines.push("Roll rates: days past due now, and a month later".into());
    lines.push(format!("  {:<6} {}", "", BUCKETS.map(|b| format!("{b:>8}")).join(" ")));
    for (from, name) in BUCKETS.iter().enumerate() {
        let cells: Vec<String> =
            (0..5).map(|to| format!("{:>8}", loans.roll_rates.rate(from, to).map_or("–".into(), percent))).collect();
        lines.push(format!("  {name:<6} {}", cells.join(" ")));
    }
}

/// Columns a character takes on a terminal: two for East Asian wide ones, none for combining marks.
fn char_width(c: char) -> usize {
    match c as u32 {
        0x0300..=0x036f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f | 0x2e80..=0x303e | 0x3041..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff => 2,
        0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1f64f | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Columns a text takes on a terminal.
pub(super) fn display_width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// The text without control characters, cut with an ellipsis to at most `max` columns.
fn fit(text: &str, max: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if display_width(&clean) <= max {
        return clean;
    }
    let (mut out, mut used) = (String::new(), 1);
    for c in clean.chars() {
        used += char_width(c);
        if used > max {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// The text filled with blanks to `width` columns.
fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(display_width(text))))
}

/// The text broken between words into parts of at most `max` columns.
fn wrap(text: &str, max: usize) -> Vec<String> {
    let mut out = vec![String::new()];
    for word in text.split(' ') {
        let last = out.len() - 1;
        let line = &mut out[last];
        if !line.is_empty() && display_width(line) + 1 + display_width(word) > max {
            out.push(fit(word, max));
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&fit(word, max));
        }
    }
    out
}
