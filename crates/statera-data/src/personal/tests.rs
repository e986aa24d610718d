//! Numbers are invented or the publishers' own test numbers.

use super::*;
use arrow_array::{Float64Array, Int64Array, StringArray};
use statera_core::Rng;
use std::sync::Arc;

fn detector(name: &str) -> &'static Detector {
    DETECTORS.iter().find(|d| d.name.contains(name)).expect("a detector of that name")
}

fn check(name: &str, text: &str) -> Match {
    (detector(name).check)(&Cell { text: text.into(), integer: false })
}

fn find(name: &str, cells: &[String]) -> Option<Finding> {
    detect_array(name, &[Arc::new(StringArray::from_iter_values(cells)) as ArrayRef])
}

fn find_integers(name: &str, cells: Vec<i64>) -> Option<Finding> {
    detect_array(name, &[Arc::new(Int64Array::from(cells)) as ArrayRef])
}

pub(super) fn random_digits(rng: &mut Rng, n: usize) -> String {
    (0..n).map(|i| char::from(b'0' + if i == 0 { 1 + rng.below(9) } else { rng.below(10) } as u8)).collect()
}

/// Appends the digit that makes the whole pass Luhn's check.
pub(super) fn with_luhn(mut text: String) -> String {
    for digit in '0'..='9' {
        text.push(digit);
        let sum: u32 = text
            .bytes()
            .rev()
            .enumerate()
            .map(|(i, b)| {
                let d = u32::from(b - b'0') * if i % 2 == 1 { 2 } else { 1 };
                d / 10 + d % 10
            })
            .sum();
        if sum.is_multiple_of(10) {
            break;
        }
        text.pop();
    }
    text
}

pub(super) fn card(rng: &mut Rng) -> String {
    let (prefix, len) =
        [("4", 16), ("51", 16), ("2345", 16), ("37", 15), ("36", 14), ("3530", 16), ("6011", 16), ("62", 19)]
            [rng.below(8)];
    let body = random_digits(rng, len - 1 - prefix.len());
    with_luhn(format!("{prefix}{body}"))
}

pub(super) fn korean(rng: &mut Rng) -> String {
    let year = 1940 + rng.below(80);
    let code = [1, 2, 5, 6][rng.below(4)] + if year >= 2000 { 2 } else { 0 };
    let date = format!("{:02}{:02}{:02}", year % 100, 1 + rng.below(12), 1 + rng.below(28));
    let mut text = format!("{date}{code}{:05}", rng.below(100_000));
    let digits: Vec<u8> = text.bytes().map(|b| b - b'0').collect();
    text.push(char::from(b'0' + korea::check_digit(&digits)));
    text
}

pub(super) fn chinese(rng: &mut Rng) -> String {
    let region = ["110105", "310115", "440524", "510107", "650102"][rng.below(5)];
    let date = format!("{}{:02}{:02}", 1940 + rng.below(70), 1 + rng.below(12), 1 + rng.below(28));
    let text = format!("{region}{date}{:03}", rng.below(1000));
    let digits: [u8; 17] = std::array::from_fn(|i| text.as_bytes()[i] - b'0');
    format!("{text}{}", char::from(china::check_character(&digits)))
}

pub(super) fn iban(rng: &mut Rng) -> String {
    let body = random_digits(rng, 18);
    let rest = iban::remainder(format!("DE00{body}").as_bytes());
    format!("DE{:02}{body}", 98 - rest)
}

pub(super) fn uuid(rng: &mut Rng) -> String {
    let (a, b) = (rng.next_u64(), rng.next_u64());
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        a >> 32,
        a & 0xffff,
        a >> 16 & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    )
}

#[test]
fn published_numbers_match_and_their_neighbours_do_not() {
    use Match::{No, Strong, Weak};
    let cases = [
        ("card", "4111111111111111", Strong),
        ("card", "4111 1111 1111 1111", Strong),
        ("card", "5555-5555-5555-4444", Strong),
        ("card", "378282246310005", Strong),
        ("card", "6011111111111117", Strong),
        ("card", "30569309025904", Strong),
        ("card", "3530111333300000", Strong),
        ("card", "6200000000000005", Strong),
        ("card", "4111111111111112", No),
        ("card", "1111111111111117", No),
        ("card", "4111--1111-1111-1111", No),
        ("card", "411111111111", No),
        // Σ = 8·2+0+0+1·5+0+1·7+1·8+2·9+3·2+4·3+5·4+6·5 = 122, 122 mod 11 = 1, (11 − 1) mod 10 = 0.
        ("Korean", "800101-1234560", Strong),
        ("Korean", "8001011234560", Strong),
        ("Korean", "800101-1234561", No),
        ("Korean", "800230-1234560", No),
        ("Korean", "801301-1234560", No),
        // The same digits with the foreigners' code 5: Σ = 154, 154 mod 11 = 0, 13 mod 10 = 3.
        ("Korean", "800101-5234563", Strong),
        ("Korean", "800101-5234560", No),
        // Born after September 2020: no check digit.
        ("Korean", "210305-3000008", Weak),
        ("Korean", "800101-9234560", No),
        // The example of GB 11643.
        ("Chinese", "11010519491231002X", Strong),
        ("Chinese", "11010519491231002x", Strong),
        ("Chinese", "110105194912310021", No),
        ("Chinese", "11010519490231002X", No),
        ("Chinese", "99010519491231002X", No),
        // The examples of ISO 13616.
        ("IBAN", "GB82 WEST 1234 5698 7654 32", Strong),
        ("IBAN", "DE89370400440532013000", Strong),
        ("IBAN", "DE88370400440532013000", No),
        ("IBAN", "DE8937040044053201300", No),
        ("IBAN", "ZZ89370400440532013000", No),
        ("e-mail", "kim.minji+bank@mail.example.co.kr", Strong),
        ("e-mail", "홍길동@예시.한국", Strong),
        ("e-mail", "a@b", No),
        ("e-mail", "a..b@example.com", No),
        ("e-mail", "write to a@example.com", No),
        ("e-mail", "1@2.34", No),
        ("phone", "010-2345-6789", Strong),
        ("phone", "01023456789", Strong),
        ("phone", "02-345-6789", Strong),
        ("phone", "13800138000", Weak),
        ("phone", "138-0013-8000", Strong),
        ("phone", "+86 138 0013 8000", Strong),
        ("phone", "+82-10-2345-6789", Strong),
        ("phone", "+1 (415) 555-2671", Strong),
        ("phone", "+0 138 0013 8000", No),
        ("phone", "12800138000", No),
        ("phone", "010-0345-6789", No),
        ("phone", "2024-01-15", No),
        ("advertising", "38400000-8cf0-11bd-b23e-10b96e40000d", Weak),
        ("advertising", "AEBE52E7-03EE-455A-B3C4-E57283966239", Weak),
        ("advertising", "38400000-8cf0-11bd-b23e-10b96e40000", No),
    ];
    for (name, text, expected) in cases {
        let name = if name == "phone" { "telephone" } else { name };
        assert_eq!(check(name, text), expected, "{name}: {text}");
    }
}

#[test]
fn generated_numbers_are_never_missed() {
    let mut rng = Rng::new(11);
    type Make = fn(&mut Rng) -> String;
    let makers: [(&str, Make); 7] = [
        ("card", card),
        ("Korean", korean),
        ("Chinese", chinese),
        ("IBAN", iban),
        ("e-mail", |r| format!("customer{}@example.com", r.below(1_000_000))),
        ("telephone", |r| format!("010-{}-{:04}", 2000 + r.below(8000), r.below(10_000))),
        ("advertising", uuid),
    ];
    for (name, make) in makers {
        let cells: Vec<String> = (0..5000).map(|_| make(&mut rng)).collect();
        for text in &cells {
            assert_ne!(check(name, text), Match::No, "{name}: {text}");
        }
        let finding = find("x", &cells).unwrap_or_else(|| panic!("no finding for {name}"));
        assert!(finding.detector.contains(name), "{name}: {finding:?}");
        assert_eq!((finding.share, finding.n_checked), (1.0, 5000));
        let expected = if name == "advertising" { Confidence::Medium } else { Confidence::High };
        assert_eq!(finding.confidence, expected, "{name}");
    }
}

#[test]
fn a_changed_check_digit_is_refused() {
    let mut rng = Rng::new(12);
    type Make = fn(&mut Rng) -> String;
    let makers: [(&str, Make); 4] = [("card", card), ("Korean", korean), ("Chinese", chinese), ("IBAN", iban)];
    for (name, make) in makers {
        for _ in 0..2000 {
            let mut text = make(&mut rng).into_bytes();
            let last = text.len() - 1;
            text[last] =
                if text[last] == b'X' { b'5' } else { b'0' + (text[last] - b'0' + 1 + rng.below(9) as u8) % 10 };
            let text = String::from_utf8(text).expect("ASCII");
            assert_eq!(check(name, &text), Match::No, "{name}: {text}");
        }
    }
}

#[test]
fn random_digits_match_no_oftener_than_stated() {
    let mut rng = Rng::new(13);
    for (name, n_digits) in [("card", 16), ("Korean", 13), ("Chinese", 18), ("telephone", 11), ("telephone", 10)] {
        let n = 200_000;
        let n_match = (0..n)
            .filter(|_| {
                let text = random_digits(&mut rng, n_digits).into();
                (detector(name).check)(&Cell { text, integer: true }) != Match::No
            })
            .count();
        let (rate, bound) = (n_match as f64 / n as f64, detector(name).chance);
        println!("{name}, {n_digits} digits: {:.4} % of random numbers match", rate * 100.0);
        assert!(rate <= bound, "{name}: {rate} > {bound}");
    }
}

#[test]
fn ordinary_numbers_do_not_fire() {
    let mut rng = Rng::new(14);
    let mut columns: Vec<(String, Vec<i64>)> = Vec::new();
    for n_digits in 1..=18u32 {
        let low = 10i64.pow(n_digits - 1);
        let random = (0..3000).map(|_| low + (rng.uniform() * (low as f64) * 8.99) as i64).collect();
        columns.push((format!("random of {n_digits} digits"), random));
        columns.push((format!("serial of {n_digits} digits"), (0..3000).map(|i| low + i * 3).collect()));
    }
    let epoch = 1_700_000_000i64;
    columns.push(("seconds".into(), (0..3000).map(|i| epoch + i * 601).collect()));
    columns.push(("milliseconds".into(), (0..3000).map(|i| (epoch + i * 601) * 1000).collect()));
    columns.push(("date".into(), (0..3000).map(|i| 20_240_101 + i % 28).collect()));
    columns.push((
        "application number".into(),
        (0..3000).map(|i| (240_100 + 1 + i % 28) * 10_000_000 + 1_000_000 + i).collect(),
    ));
    columns.push(("Chinese-looking serial".into(), (0..3000).map(|i| 13_800_000_000 + i).collect()));
    columns.push(("amount".into(), (0..3000).map(|_| (rng.normal() * 2.0 + 17.0).exp() as i64).collect()));
    for (name, cells) in columns {
        assert_eq!(find_integers("x", cells), None, "{name}");
    }
}

#[test]
fn numeric_columns_are_read_as_digits() {
    let mut rng = Rng::new(15);
    let to_integers = |cells: &[String]| cells.iter().map(|c| c.parse().expect("digits")).collect::<Vec<i64>>();
    let cards: Vec<String> = (0..500).map(|_| card(&mut rng)).filter(|c| c.len() < 19).collect();
    assert!(find_integers("x", to_integers(&cards)).expect("cards").detector.contains("card"));
    let korean: Vec<String> = (0..500).map(|_| korean(&mut rng)).collect();
    let finding = find_integers("x", to_integers(&korean)).expect("resident numbers");
    assert!(finding.detector.contains("Korean") && finding.share == 1.0, "{finding:?}");
    let phones: Vec<i64> = (0..500).map(|_| 1_020_000_000 + rng.below(80_000_000) as i64).collect();
    let finding = find_integers("x", phones.clone()).expect("phones without their zero");
    assert_eq!((finding.detector.as_str(), finding.confidence), ("telephone number", Confidence::Medium));
    assert_eq!(find_integers("휴대폰", phones.clone()).expect("phones").confidence, Confidence::High);
    let floats: ArrayRef =
        Arc::new(Float64Array::from_iter(phones.iter().enumerate().map(|(i, &p)| (i % 3 > 0).then_some(p as f64))));
    assert_eq!(detect_array("x", &[floats]).expect("phones with missing cells").n_checked, 333);
}

#[test]
fn thresholds_hold() {
    let mut rng = Rng::new(16);
    let mut cells: Vec<String> = (0..1000).map(|_| card(&mut rng)).collect();
    for (i, cell) in cells.iter_mut().enumerate() {
        if i % 2 == 0 {
            *cell = "none".into();
        }
    }
    assert_eq!(find("x", &cells), None, "half the cells are too few");
    assert_eq!(find("card_no", &cells).expect("a telling name halves the threshold").share, 0.5);
    let few = find("x", &cells[1..2]);
    assert_eq!(few, None, "one number in 25 matches by chance");
    let both = vec![card(&mut rng), card(&mut rng)];
    assert_eq!(find("x", &both).expect("two numbers").confidence, Confidence::Medium);
    let sparse: Vec<String> =
        (0..1000).map(|i| if i % 10 == 0 { format!("c{i}@example.com") } else { "walked in".into() }).collect();
    assert_eq!(find("remark", &sparse).expect("a tenth are addresses").share, 0.1);
    assert_eq!(find("x", &[]), None);
}

#[test]
fn findings_carry_no_cell() {
    let cells: Vec<String> = (0..100).map(|i| format!("secret{i}@example.com")).collect();
    let finding = find("contact", &cells).expect("addresses");
    let told = format!("{finding:?} {}", serde_json::to_string(&finding).expect("json"));
    assert!(!told.contains("secret") && !told.contains("example.com"), "{told}");
}

#[test]
fn long_columns_are_sampled_evenly() {
    let cells: Vec<String> =
        (0..50_001).map(|i| if i < 25_000 { "none".into() } else { format!("c{i}@example.com") }).collect();
    let finding = find("x", &cells).expect("addresses in the second half");
    assert_eq!(finding.n_checked, 16_667);
    assert!((finding.share - 0.5).abs() < 1e-3, "{finding:?}");
}
