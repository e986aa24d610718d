//! Reports as a real browser shows and prints them: nothing is wider than the screen, nothing is asked of another host,
//! and no glyph is missing on paper. Skipped where Debian's Chromium is not installed.

mod common;

use common::{done, output};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const LANGUAGES: [&str; 3] = ["en", "ko", "zh"];
/// CSS pixels: a small phone, a phone, a tablet, a desktop.
const WIDTHS: [u32; 4] = [360, 414, 820, 1440];

fn chromium() -> Option<PathBuf> {
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
}

/// Runs Chromium without a window, a profile of its own and any background traffic.
fn browse(program: &Path, dir: &Path, args: &[String]) -> Output {
    let quiet = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--allow-file-access-from-files",
    ];
    let profile = format!("--user-data-dir={}", dir.join("profile").display());
    let output = output(Command::new(program).args(quiet).arg(profile).args(args));
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A bundle of the sample bank with protected groups and a policy, and its report in each language.
fn reports(dir: &Path) {
    done(dir, &["sample", "bank", "--rows=3000"]);
    done(dir, &["train", "bank/project.toml", "--models=scorecard,boosting", "--out=m.statera"]);
    for language in LANGUAGES {
        done(dir, &["report", "m.statera", &format!("--lang={language}"), &format!("--out={language}.html")]);
    }
}

/// A page that shows the report in frames of every width and writes how much wider than its frame each is, how many of its
/// parts ask for something outside, and in how many pictures a text lies outside its picture.
fn measuring_page(report: &str) -> String {
    let frames: String = WIDTHS
        .iter()
        .map(|w| format!("<iframe width={w} height=900 style='border:0' src={report}></iframe>"))
        .collect();
    format!(
        "<!doctype html><title>…</title>{frames}<pre id=found></pre><script>
onload = () => {{
  const found = [...document.querySelectorAll('iframe')].map(frame => {{
    const page = frame.contentDocument, root = page.documentElement;
    page.querySelectorAll('details').forEach(d => d.open = true);
    const outside = [...page.querySelectorAll('[src],link[href]')]
      .filter(e => !/^(data:|#)/.test(e.getAttribute('src') || e.getAttribute('href') || '#')).length;
    const scripts = page.querySelectorAll('script').length;
    return [frame.width, root.scrollWidth - frame.clientWidth, outside, scripts, page.body.innerText.length].join(' ');
  }});
  document.getElementById('found').textContent = 'FOUND ' + found.join(';') + ' END';
}};
</script>"
    )
}

#[test]
fn reports_fit_every_screen_and_print_without_a_missing_glyph() {
    let Some(program) = chromium() else {
        eprintln!("skipped: no Chromium at /usr/bin/chromium");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    reports(dir);
    for language in LANGUAGES {
        let report = format!("{language}.html");
        let page = dir.join(format!("measure-{language}.html"));
        fs::write(&page, measuring_page(&report)).unwrap();
        let dump = ["--dump-dom".into(), "--virtual-time-budget=20000".into(), format!("file://{}", page.display())];
        let dom = String::from_utf8(browse(&program, dir, &dump).stdout).unwrap();
        let found = dom.split("<pre id=\"found\">FOUND ").nth(1).expect("the page was measured");
        let found = found.split(" END").next().unwrap();
        assert_eq!(found.split(';').count(), WIDTHS.len(), "{found}");
        for frame in found.split(';') {
            let numbers: Vec<i64> = frame.split(' ').map(|n| n.parse().unwrap()).collect();
            let [width, too_wide, outside, scripts, letters] = numbers[..] else { panic!("{frame}") };
            assert!(too_wide <= 0, "{report} is {too_wide} pixels wider than a screen of {width}");
            assert_eq!((outside, scripts), (0, 0), "{report} asks for something outside itself");
            assert!(letters > 3_000, "{report} shows {letters} letters only");
        }
        prints(&program, dir, language);
        every_letter_has_a_glyph(&fs::read_to_string(dir.join(&report)).unwrap(), language);
    }
}

/// Some font of this machine has each letter of the page, as far as fontconfig can tell. Han and Hangul are asked for as
/// languages: a font for one has them all.
fn every_letter_has_a_glyph(page: &str, language: &str) {
    let has = |what: String| {
        let output = Command::new("fc-list").args([&what, "file"]).output();
        output.map_or(true, |o| !o.stdout.is_empty())
    };
    if !has(format!(":lang={language}")) {
        eprintln!("skipped: no font for «{language}» on this machine");
        return;
    }
    let is_of_a_language = |c: char| ('\u{2e80}'..='\u{9fff}').contains(&c) || ('\u{ac00}'..='\u{d7ff}').contains(&c);
    let letters: BTreeSet<char> = page.chars().filter(|&c| !c.is_ascii() && !is_of_a_language(c)).collect();
    for letter in letters {
        assert!(has(format!(":charset={:x}", u32::from(letter))), "{language}: no font has «{letter}»");
    }
}

/// The report on paper: every letter is there, in a font that is embedded and has it.
fn prints(program: &Path, dir: &Path, language: &str) {
    let pdf = dir.join(format!("{language}.pdf"));
    let page = format!("file://{}", dir.join(format!("{language}.html")).display());
    browse(program, dir, &[format!("--print-to-pdf={}", pdf.display()), "--no-pdf-header-footer".into(), page]);
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).arg(&pdf).arg("-").output();
        output.ok().filter(|o| o.status.success()).map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
    };
    let Some(text) = run("pdftotext", &["-layout"]) else {
        eprintln!("skipped: no pdftotext (poppler-utils) to read the printed report with");
        return;
    };
    let title = match language {
        "ko" => "모형",
        "zh" => "模型",
        _ => "model",
    };
    assert!(text.contains(title), "{language}: «{title}» is not in the printed report");
    assert!(!text.contains('\u{fffd}'), "{language}: a letter of the printed report cannot be read");
    let fonts = Command::new("pdffonts").arg(&pdf).output().expect("pdffonts comes with pdftotext").stdout;
    let fonts = String::from_utf8_lossy(&fonts).into_owned();
    let lines: Vec<&str> = fonts.lines().skip(2).collect();
    assert!(!lines.is_empty(), "{language}: no fonts in the printed report");
    for line in &lines {
        // Columns: name, type, encoding, embedded, subset, unicode, object.
        let cells: Vec<&str> = line.split_whitespace().rev().collect();
        assert_eq!(cells[4], "yes", "{language}: a font is not embedded: {line}");
    }
}
