//! The terminal: progress on standard error, tables that fit, numbers as people read them.

use crate::args::Common;
use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use statera_core::Progress;
use statera_core::metric::Interval;
pub use statera_core::text::{count, counted};
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Width of tables when standard output is not a terminal.
const PLAIN_WIDTH: u16 = 100;

/// A line under the header and one at the end; rows stand close together.
const STYLE: TableStyle = TableStyle::new()
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .bottom_border(LineStyle::none().fill('─').junction('─'));

/// What the commands print through.
pub struct Console {
    pub json: bool,
    quiet: bool,
    bar: Arc<Bar>,
}

impl Console {
    pub fn new(common: &Common) -> Console {
        let visible = std::io::stderr().is_terminal() && !common.json && !common.quiet;
        Console { json: common.json, quiet: common.quiet, bar: Arc::new(Bar { visible, current: Mutex::new(None) }) }
    }

    pub fn progress(&self) -> Arc<dyn Progress> {
        self.bar.clone()
    }

    pub fn finish_progress(&self) {
        self.bar.finish();
    }

    /// A line of the result.
    pub fn line(&self, text: impl std::fmt::Display) {
        if !self.json {
            print(&format!("{text}\n"));
        }
    }

    /// A remark that is no result.
    pub fn note(&self, text: impl std::fmt::Display) {
        self.noting()(&text.to_string());
    }

    /// The same for work that outlives a borrow of the console.
    pub fn noting(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let (is_silent, bar) = (self.quiet || self.json, self.bar.clone());
        move |text| {
            if !is_silent {
                bar.aside(|| eprintln!("note: {text}"));
            }
        }
    }

    /// The result for machines.
    pub fn print_json(&self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        print(&format!("{}\n", serde_json::to_string_pretty(value)?));
        Ok(())
    }

    /// A table that fits the terminal; the first column is text, the others are numbers.
    pub fn table(&self, header: &[&str], rows: Vec<Vec<String>>) {
        let mut table = Table::new();
        table.load_style(STYLE).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(header.iter().enumerate().map(|(i, h)| aligned(h, i)));
        for row in rows {
            table.add_row(row.iter().enumerate().map(|(i, c)| aligned(c, i)));
        }
        // Cells are broken only where the terminal is too narrow for them as they are.
        if table.lines().any(|line| line.chars().count() > self.width()) {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(self.width() as u16);
        }
        self.line(table);
    }

    /// A paragraph of the result, broken between words at the terminal's width.
    pub fn paragraph(&self, text: impl std::fmt::Display) {
        self.line(wrapped(&text.to_string(), self.width()));
    }

    pub fn width(&self) -> usize {
        let table = Table::new();
        usize::from(table.width().unwrap_or(PLAIN_WIDTH)).clamp(60, 160)
    }
}

fn aligned(text: &str, column: usize) -> Cell {
    let alignment = if column == 0 { CellAlignment::Left } else { CellAlignment::Right };
    Cell::new(text).set_alignment(alignment)
}

/// Parts of a unit that the bar can show.
const PARTS: u64 = 1000;

/// A progress bar on standard error, drawn on a terminal only.
struct Bar {
    visible: bool,
    current: Mutex<Option<Step>>,
}

/// The step that the bar shows.
struct Step {
    bar: ProgressBar,
    name: String,
    /// Units; 0 if unknown.
    total: u64,
}

impl Bar {
    fn with(&self, f: impl FnOnce(&mut Option<Step>)) {
        if let Ok(mut current) = self.current.lock() {
            f(&mut current);
        }
    }

    /// Prints something without the bar in between.
    fn aside(&self, print: impl FnOnce()) {
        self.with(|current| match current {
            Some(step) => step.bar.suspend(print),
            None => print(),
        });
    }
}

impl Progress for Bar {
    fn start(&self, step: &str, total: u64) {
        if !self.visible {
            return;
        }
        let length = (total > 0).then_some(total * PARTS);
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(10));
        // The remark has a line of its own, cut at the terminal's width: it is longer than what is left of the first.
        let template = if total > 0 {
            "{prefix:<22} {bar:30} {percent:>3} %  {eta:>4} left\n{wide_msg}"
        } else {
            "{prefix:<22} {spinner} {human_pos} {msg}, {per_sec}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━━─"));
        }
        bar.set_prefix(step.to_string());
        bar.enable_steady_tick(Duration::from_millis(200));
        self.with(|current| {
            if let Some(old) = current.replace(Step { bar, name: step.into(), total }) {
                old.bar.finish_and_clear();
            }
        });
    }

    fn update(&self, done: u64, remark: &str) {
        self.within(done, 0.0, remark);
    }

    fn within(&self, done: u64, share: f64, remark: &str) {
        self.with(|current| {
            if let Some(Step { bar, name, total }) = current {
                let position = if *total == 0 { done } else { done * PARTS + (share * PARTS as f64) as u64 };
                bar.set_position(position);
                if *total > 1 {
                    bar.set_prefix(format!("{name} {done}/{total}"));
                }
                bar.set_message(remark.to_string());
            }
        });
    }

    fn finish(&self) {
        self.with(|current| {
            if let Some(step) = current.take() {
                step.bar.finish_and_clear();
            }
        });
    }
}

/// Writes to standard output. A reader that closed the pipe has seen enough; any other failure ends the program, because
/// a result that is lost must not look like success.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(e) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        if e.kind() != std::io::ErrorKind::BrokenPipe {
            eprintln!("error: standard output: {e}");
        }
        std::process::exit(i32::from(e.kind() != std::io::ErrorKind::BrokenPipe));
    }
}

/// Text broken between words so that lines have at most `width` characters; longer words stay whole.
fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line += word;
        }
        lines.push(line);
    }
    lines.join("\n")
}

/// A figure with four decimals.
pub fn figure(value: f64) -> String {
    // Four places of an amount in won are noise.
    if value.abs() >= 1000.0 { count(value) } else { format!("{value:.4}") }
}

/// A figure with its interval.
pub fn interval(interval: &Interval) -> String {
    format!("{:.4}  [{:.4}, {:.4}]", interval.value, interval.low, interval.high)
}

/// Seconds as people read them.
pub fn seconds(value: f64) -> String {
    if value < 9.95 { format!("{value:.1} s") } else { format!("{value:.0} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_break_between_words() {
        assert_eq!(wrapped("one two three", 7), "one two\nthree");
        assert_eq!(wrapped("\nunbreakable is whole", 5), "\nunbreakable\nis\nwhole");
    }
}
