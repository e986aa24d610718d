use super::super::{SampleBank, SampleFiles};
use super::*;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

fn write(dir: &Path, rows: usize, seed: u64) -> SampleFiles {
    let bank = SampleBank { rows, seed, performance_rows: 0, ..SampleBank::default() };
    bank.write(dir, &statera_core::Run::new(1, 2)).unwrap()
}

/// The rows of a file by column name.
fn rows(dir: &Path, name: &str) -> Vec<HashMap<String, String>> {
    let text = fs::read_to_string(dir.join(name)).unwrap();
    let mut lines = text.lines().map(|line| line.split(','));
    let names: Vec<&str> = lines.next().unwrap().collect();
    let row = |cells: std::str::Split<'_, char>| {
        let row: HashMap<String, String> = names.iter().map(|n| n.to_string()).zip(cells.map(String::from)).collect();
        assert_eq!(row.len(), names.len());
        row
    };
    lines.map(row).collect()
}

fn set<'a>(rows: &'a [HashMap<String, String>], column: &str) -> HashSet<&'a str> {
    rows.iter().map(|r| r[column].as_str()).collect()
}

fn micros(text: &str) -> i64 {
    crate::project::instant(text, &jiff::tz::TimeZone::UTC).unwrap_or_else(|| panic!("{text}"))
}

const DAY: i64 = 86_400_000_000;

/// The handbook's own rates of 1,754,155 transactions: .055 %, .517 % and .264 % (973, 9,077 and 4,631).
#[test]
fn the_three_patterns_have_the_handbooks_rates() {
    for seed in [1, 2, 7] {
        let world = World::new(seed, 40_000, 1_000);
        let mut counts = [0usize; 4];
        for day in 0..N_DAYS {
            for p in purchase::day(&world, day) {
                counts[usize::from(p.scenario)] += 1;
            }
        }
        let n: usize = counts.iter().sum();
        let rate = |k: usize| 100.0 * counts[k] as f64 / n as f64;
        // 1.92 a card and day, because what would fall on another day does not happen.
        let a_day = n as f64 / 183.0 / world.people.len() as f64;
        assert!((1.82..2.02).contains(&a_day), "seed {seed}: {a_day} a card and day");
        assert!((0.03..0.12).contains(&rate(1)), "seed {seed}: large amounts {:.3} %", rate(1));
        assert!((0.38..0.66).contains(&rate(2)), "seed {seed}: compromised terminals {:.3} %", rate(2));
        assert!((0.18..0.36).contains(&rate(3)), "seed {seed}: compromised cards {:.3} %", rate(3));
    }
}

#[test]
fn labels_are_what_the_patterns_say() {
    let world = World::new(3, 20_000, 500);
    for day in 0..N_DAYS {
        let purchases = purchase::day(&world, day);
        assert!(purchases.is_sorted_by_key(|p| p.second) && purchases.iter().all(|p| p.second < 86_400));
        for p in purchases {
            let at_bad_terminal = is_within(&world.terminal_starts[p.terminal as usize], day, 28);
            let is_stolen = is_within(&world.card_starts[p.card as usize], day, 14);
            match p.scenario {
                0 => assert!(p.cents <= 22_000 && !at_bad_terminal, "{p:?}"),
                LARGE_AMOUNT => assert!(p.cents > 22_000 && !at_bad_terminal),
                COMPROMISED_TERMINAL => assert!(at_bad_terminal),
                COMPROMISED_CARD => assert!(is_stolen && p.cents % 5 == 0),
                other => panic!("{other} is no pattern of cards"),
            }
        }
    }
}

#[test]
fn references_between_tables_hold_and_reports_come_a_week_later() {
    let dir = tempfile::tempdir().unwrap();
    let files = write(dir.path(), 8_000, 5);
    let read = |name: &str| rows(dir.path(), name);
    let (cards, terminals, accounts, devices) =
        (read("cards.csv"), read("terminals.csv"), read("accounts.csv"), read("devices.csv"));
    let (transactions, transfers) = (read("transactions.csv"), read("transfers.csv"));
    let applications = read("applications.csv");
    let customers = set(&applications, "customer_id");
    assert!(set(&cards, "customer_id").is_subset(&customers));
    assert_eq!(set(&cards, "card_id").len(), cards.len());
    assert_eq!(terminals.len(), 2 * cards.len());
    let owner: HashMap<&str, &str> = cards.iter().map(|c| (c["card_id"].as_str(), c["customer_id"].as_str())).collect();
    let stands = set(&terminals, "terminal_id");
    assert!(transactions.iter().all(|t| owner[t["card_id"].as_str()] == t["customer_id"]));
    assert!(transactions.iter().all(|t| stands.contains(t["terminal_id"].as_str())));
    assert!(transactions.is_sorted_by_key(|t| micros(&t["tx_datetime"])));
    assert!(transfers.is_sorted_by_key(|t| micros(&t["transfer_datetime"])));
    assert_eq!(set(&transactions, "transaction_id").len(), files.n_transactions[0]);
    assert_eq!(transfers.len(), files.n_transfers[0]);

    let here = set(&accounts, "account_id");
    let known = set(&devices, "device_id");
    for t in &transfers {
        let (from, to) = (t["from_account"].as_str(), t["to_account"].as_str());
        assert!([from, to].iter().all(|a| a.starts_with('X') || here.contains(a)), "{t:?}");
        assert!(from != to && (here.contains(from) || here.contains(to)), "{t:?}");
        assert_eq!(t["device_id"].is_empty(), from.starts_with('X'), "{t:?}");
        assert!(t["device_id"].is_empty() || known.contains(t["device_id"].as_str()), "{t:?}");
    }
    let network = read("network.csv");
    assert!(
        network
            .iter()
            .all(|e| customers.contains(e["from_customer"].as_str()) && e["from_customer"] != e["to_customer"])
    );
    let relations: Vec<&str> = set(&network, "relation").into_iter().collect();
    assert_eq!(relations.len(), 3, "{relations:?}");
    let consents: HashMap<&str, &str> =
        accounts.iter().map(|a| (a["customer_id"].as_str(), a["consent_credit"].as_str())).collect();
    assert!(network.iter().all(|e| {
        let both = ["from_customer", "to_customer"].iter().all(|c| consents[e[*c].as_str()] == "yes");
        both == (e["consent_credit"] == "yes")
    }));

    let when: HashMap<&str, (i64, bool)> = (transactions.iter())
        .map(|t| (t["transaction_id"].as_str(), (micros(&t["tx_datetime"]), t["tx_fraud"] == "1")))
        .chain(
            transfers
                .iter()
                .map(|t| (t["transfer_id"].as_str(), (micros(&t["transfer_datetime"]), t["transfer_fraud"] == "1"))),
        )
        .collect();
    let (reports, answers) = (read("fraud_reports.csv"), read("fraud_answers.csv"));
    let n_frauds = files.n_transactions[1] + files.n_transfers[1];
    assert_eq!((set(&reports, "event_id").len(), reports.len(), answers.len()), (n_frauds, n_frauds, n_frauds));
    assert!(set(&reports, "event_id") == set(&answers, "event_id"));
    let mut delays = Vec::new();
    for report in &reports {
        let (at, is_fraud) = when[report["event_id"].as_str()];
        delays.push((micros(&report["reported_at"]) - at) as f64 / DAY as f64);
        assert!(is_fraud);
    }
    assert_eq!(when.values().filter(|(_, is_fraud)| *is_fraud).count(), n_frauds);
    let mean = delays.iter().sum::<f64>() / delays.len() as f64;
    assert!((6.0..8.0).contains(&mean) && delays.iter().all(|d| (0.99..14.01).contains(d)), "{mean} days");
    let found = set(&answers, "scenario");
    assert!(SCENARIOS.iter().all(|s| found.contains(s)), "{found:?}");
}

#[test]
fn victims_mules_and_rings_do_what_the_explanation_says() {
    let world = World::new(11, 40_000, 1_000);
    let found = transfer::transfers(&world);
    let own = |account| if let transfer::Account::Here(place) = account { Some(place) } else { None };
    let mules = world.of_role(Role::Mule);
    assert_eq!(mules.len(), 5);
    // Phishing: the device is the fraudster's, began that day, and the victim never paid the payee before.
    let (mut paid, mut victims) = (HashSet::new(), HashSet::new());
    for t in &found.all {
        if t.scenario == PHISHING {
            let victim = own(t.from).unwrap();
            let stolen = found.stolen.iter().find(|(device, ..)| Some(*device) == t.device).unwrap();
            assert_eq!(stolen.1, victim);
            assert!((t.second as i64 / 86_400) - stolen.2 <= 1);
            assert!(world.people[victim].devices.iter().all(|(device, _)| Some(*device) != t.device));
            assert!(!paid.contains(&(t.from, t.to)), "{t:?}");
            victims.insert(victim);
        }
        paid.insert((t.from, t.to));
    }
    assert!((10..60).contains(&victims.len()), "{}", victims.len());
    // Mules: at least four receipts within a day, and most of it gone within a day.
    for &mule in &mules {
        let here = transfer::Account::Here(mule);
        let of = |is: &dyn Fn(&&transfer::Transfer) -> bool| -> Vec<transfer::Transfer> {
            found
                .all
                .iter()
                .filter(|t| t.scenario == MULE || t.scenario == PHISHING)
                .filter(|t| is(t))
                .copied()
                .collect()
        };
        let (received, spent) = (of(&|t| t.to == here), of(&|t| t.from == here));
        let sum = |those: &[transfer::Transfer]| those.iter().map(|t| t.cents).sum::<u64>() as f64;
        assert!(received.len() >= 8, "{} receipts in two bursts", received.len());
        let share = sum(&spent) / sum(&received);
        assert!((0.9..=0.95).contains(&share), "{share}");
        for t in &spent {
            let before = received.iter().filter(|r| r.second < t.second && r.second + 2 * 86_400 > t.second).count();
            assert!(before >= 4, "{before}");
        }
        assert!(world.people[mule].opened >= -60);
    }
    // Rings: circles that close, among members who share an address and two devices.
    for ring in 0..2 {
        let members = world.of_role(Role::Ring(ring));
        let shared: HashSet<usize> = members.iter().map(|&m| world.people[m].address).collect();
        let devices: HashSet<usize> =
            members.iter().flat_map(|&m| &world.people[m].devices).map(|(device, _)| *device).collect();
        assert_eq!((members.len(), shared.len(), devices.len()), (6, 1, 2));
        let mut balance: HashMap<usize, i64> = HashMap::new();
        let own_ring =
            |t: &&transfer::Transfer| t.scenario == RING && own(t.from).is_some_and(|p| members.contains(&p));
        let circle: Vec<_> = found.all.iter().filter(own_ring).collect();
        for t in &circle {
            *balance.entry(own(t.from).unwrap()).or_default() -= 1;
            *balance.entry(own(t.to).unwrap()).or_default() += 1;
        }
        assert!(circle.len() > 30 && balance.values().all(|n| *n == 0), "{} {balance:?}", circle.len());
    }
}

#[test]
fn the_rules_that_ship_fit_the_tables_that_ship() {
    let dir = tempfile::tempdir().unwrap();
    let files = write(dir.path(), 20_000, 1);
    let (_, set) = crate::rules::RuleSet::read(&files.fraud_rules).unwrap();
    assert!(!set.lists["watched_terminals"].is_empty());
    let options = statera_data::source::ReadOptions::default();
    let address = files.transactions.to_string_lossy().into_owned();
    let table = statera_data::source::read_table(&address, &options, &statera_core::Run::new(1, 2)).unwrap();
    let how = crate::rules::Labelled { target: Some("tx_fraud"), amount: Some("tx_amount"), ..Default::default() };
    let found = crate::rules::backtest_table(&set, &table, None, how).unwrap().backtest;
    assert_eq!(
        (found.n_rows, found.n_events, found.n_days),
        (files.n_transactions[0], files.n_transactions[1], Some(183))
    );
    let rule = |code: &str| found.rules.iter().find(|r| r.code == code).unwrap();
    // Every amount above 220 is fraud, and most at a terminal that had frauds are not.
    assert_eq!(rule("A2").precision.unwrap().value, 1.0);
    assert!(rule("A2").recall.unwrap().value > 0.1 && rule("T1").alerts > 100);
    assert!(rule("N1").alerts > 0 && rule("N1").decided == 0, "a rule in shadow decides nothing");
}

#[test]
fn banks_of_few_cards_are_written_too() {
    for rows in [1, 2, 50, 900] {
        let dir = tempfile::tempdir().unwrap();
        let files = write(dir.path(), rows, 1);
        assert_eq!(rows_of(dir.path()), files.n_transactions[0], "{rows} applications");
    }
}

fn rows_of(dir: &Path) -> usize {
    fs::read_to_string(dir.join("transactions.csv")).unwrap().lines().count() - 1
}
