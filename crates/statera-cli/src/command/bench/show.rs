//! A load's figures in the terminal.

use super::report::{Bar, Quantiles, Report};
use super::tally::SERVICE;
use crate::command::chart;
use crate::console::{Console, count, counted};

/// Widest bar.
const BAR: usize = 40;
/// Widest line of seconds.
const LINE: usize = 60;
/// From this share of late requests on the client is named as the limit.
const SHARE_LATE: f64 = 0.01;

/// Prints everything.
pub fn print(report: &Report, console: &Console) {
    console.line(headline(report));
    times(report, console);
    picture(report, console);
    seconds(report, console);
    problems(report, console);
    stages(report, console);
    if report.rate.is_some() && report.share_late > SHARE_LATE {
        console.note(format!(
            "{:.1} % of the requests were sent more than 1 ms late, which their latency counts: all {} connections waited for \
             answers (then more --connections help), or this machine was busy",
            100.0 * report.share_late,
            report.connections
        ));
    }
    if report.rate.is_none() && report.n_requests > 1 {
        console
            .note("closed loop: while a connection waits it sends nothing, so that these latencies flatter the server");
    }
    if let Some(verdict) = &report.verdict {
        console.line("");
        for check in &verdict.checks {
            console.line(format!("  {}  {}", if check.pass { "ok  " } else { "MISS" }, check.words));
        }
        console.line(if verdict.pass { "PASS" } else { "FAIL" });
    }
}

fn headline(report: &Report) -> String {
    let asked = report.rate.map_or("as fast as they are answered".into(), |rate| format!("{rate} a second"));
    let rows = match report.rows_per_second / report.good_per_second {
        each if each > 1.5 => format!(" ({} rows a second)", count(report.rows_per_second)),
        _ => String::new(),
    };
    format!(
        "{} in {:.1} s, {asked}, over {}: {} answered well, {} a second{rows}",
        counted(report.n_requests as usize, "request", "requests"),
        report.seconds,
        counted(report.connections, "connection", "connections"),
        count(report.n_good as f64),
        if report.good_per_second < 100.0 {
            format!("{:.1}", report.good_per_second)
        } else {
            count(report.good_per_second)
        },
    )
}

fn times(report: &Report, console: &Console) {
    let row = |name: &str, q: &Option<Quantiles>| {
        q.map(|q| {
            let figures = [q.p50_ms, q.p90_ms, q.p99_ms, q.p99_9_ms, q.max_ms, q.mean_ms];
            [name.to_string()].into_iter().chain(figures.iter().map(|ms| self::ms(*ms))).collect::<Vec<_>>()
        })
    };
    let latency = if report.rate.is_some() { row("from when it was due", &report.latency) } else { None };
    let rows = [latency, row("from when it was sent", &report.service), row("429 and 503", &report.refusals)];
    let rows: Vec<Vec<String>> = rows.into_iter().flatten().collect();
    if !rows.is_empty() {
        console.line("");
        console.table(&["Latency, ms", "50 %", "90 %", "99 %", "99.9 %", "Most", "Mean"], rows);
    }
}

/// Three digits.
fn ms(value: f64) -> String {
    match value {
        v if v < 0.9995 => format!("{v:.3}"),
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => count(v),
    }
}

fn picture(report: &Report, console: &Console) {
    let most = report.picture.iter().map(|b| b.n).max().unwrap_or(0);
    if report.n_good < 10 {
        return;
    }
    console.line("");
    for Bar { from_ms, to_ms, n } in &report.picture {
        let to = to_ms.map_or("more".into(), |ms| format!("{ms}"));
        let bar = "█".repeat((*n as f64 / most as f64 * BAR as f64).round() as usize);
        let bar = if bar.is_empty() && *n > 0 { "▏".into() } else { bar };
        let share = 100.0 * *n as f64 / report.n_good as f64;
        console.line(format!("  {:>11} ms  {bar:<BAR$}  {share:.2} %", format!("{from_ms} – {to}")));
    }
}

fn seconds(report: &Report, console: &Console) {
    let shown = &report.timeline;
    if shown.len() < 3 {
        return;
    }
    console.line("");
    let line = |name: &str, figure: &dyn Fn(&super::tally::Second) -> f64, unit: &str| {
        let values: Vec<f64> = shown.iter().map(figure).collect();
        let (low, high) = values.iter().fold((f64::INFINITY, 0.0f64), |(l, h), v| (l.min(*v), h.max(*v)));
        if high > 0.0 {
            let range = format!("{} … {}{unit}", ms(low), ms(high));
            console.line(format!("  {name:<20}  {}  {range}", chart::blocks(&values, LINE)));
        }
    };
    line("good answers by second", &|s| s.good as f64, "");
    line("refused by second", &|s| s.refused as f64, "");
    line("failed by second", &|s| s.failed as f64, "");
    line("99 % by second", &|s| s.p99_ms, " ms");
}

fn problems(report: &Report, console: &Console) {
    if report.problems.is_empty() {
        return;
    }
    console.line("");
    for problem in &report.problems {
        let example = problem.example.split_whitespace().collect::<Vec<_>>().join(" ");
        let share = 100.0 * problem.n as f64 / report.n_requests.max(1) as f64;
        let said = if example.is_empty() { String::new() } else { format!(": {example}") };
        console.paragraph(format!("  {} {} ({share:.2} %){said}", count(problem.n as f64), problem.kind));
    }
}

fn stages(report: &Report, console: &Console) {
    if report.stages.len() < 2 {
        if report.verdict.is_some() && report.n_good > 0 {
            console.note("the server does not say where its time goes (no header server-timing)");
        }
        return;
    }
    let rows = report.stages.iter().map(|stage| {
        let name = if stage.name == SERVICE { "from sent to answered" } else { &stage.name };
        let q = &stage.times;
        let mut row = vec![name.to_string()];
        row.extend([q.mean_ms, q.p50_ms, q.p99_ms, q.max_ms].iter().map(|v| ms(*v)));
        row.push(format!("{:.1} %", 100.0 * stage.share));
        row
    });
    console.line("");
    console.table(&["Stage, ms", "Mean", "50 %", "99 %", "Most", "Share"], rows.collect());
}
