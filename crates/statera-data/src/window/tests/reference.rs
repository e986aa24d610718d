//! Every figure against its definition, event by event over all others; and a table at once against events one by one.

use super::super::declaration::SINCE_LAST;
use super::*;
use statera_core::Rng;

/// Everything there is, over windows of very different lengths.
pub(super) const ALL: &str = "
[number.rate]
decimals = 3
[[feature]]
key = 'customer'
of = 'amount'
what = ['count', 'sum', 'mean', 'std', 'min', 'max', 'ratio_to_mean', 'since_last', 'distinct']
over = ['1h', '1d', '7d']
[[feature]]
key = 'customer'
of = 'amount'
what = ['mean', 'max', 'count', 'ratio_to_mean', 'min']
over = ['3h', '2d']
current = false
[[feature]]
key = ['customer', 'terminal']
of = 'rate'
what = ['sum', 'std', 'count', 'min']
over = ['12h', '2d']
[[feature]]
key = 'terminal'
of = 'fraud'
what = ['count', 'sum', 'mean']
over = ['1h', '1d', '7d']
shift = 'label'
[[feature]]
key = 'terminal'
of = 'amount'
what = ['max', 'min', 'mean', 'distinct', 'std']
over = ['5h', '3d']
shift = '6h'
[[feature]]
key = 'customer'
of = 'channel'
level = 'web'
what = ['share', 'distinct']
over = ['4h', '2d']
[[feature]]
key = 'customer'
of = 'fraud'
what = ['sum']
over = ['3d']
shift = 'label'
[[sequence]]
name = 'last'
key = 'customer'
of = ['amount', 'since_last', 'rate']
steps = 4
within = '2d'
";

/// What running sums and queues are enough for: no different values, no steps.
fn sums() -> String {
    let (features, _) = ALL.split_once("[[sequence]]").expect("features, then sequences");
    let before =
        "[[feature]]\nkey = 'customer'\nof = 'amount'\nwhat = ['std', 'sum']\nover = ['2d']\ncurrent = false\n";
    format!("{}{before}", features.replace(", 'distinct'", ""))
}

fn key<'a>(names: &[String], e: &'a Event) -> Option<Vec<Option<&'a str>>> {
    let own = |name: &String| match name.as_str() {
        "customer" => e.customer.map(|c| ["0", "1", "2", "3", "4", "5"][c as usize]),
        _ => e.terminal,
    };
    let key: Vec<Option<&str>> = names.iter().map(own).collect();
    key.iter().all(Option::is_some).then_some(key)
}

/// A number in units of its last decimal, and how many those are to one.
fn number(name: Option<&String>, e: &Event) -> (Option<i64>, f64) {
    match name.map(String::as_str) {
        Some("amount") => (e.amount, 100.0),
        Some("rate") => (e.rate.map(|r| (r * 1000.0).round() as i64), 1000.0),
        _ => (None, 1.0),
    }
}

fn cell(name: Option<&String>, e: &Event) -> Option<String> {
    match name.map(String::as_str) {
        Some("amount") => e.amount.map(|a| a.to_string()),
        Some("channel") => e.channel.map(str::to_string),
        _ => None,
    }
}

/// One figure of one event, from nothing but the events themselves.
fn figure(feature: &Feature, what: What, over: Span, events: &[Event], own: &Event) -> Option<f64> {
    let mine = key(&feature.key, own)?;
    let shift = match feature.shift {
        None => 0,
        Some(Shift::Label) => 48 * HOUR,
        Some(Shift::By(span)) => span.micros(),
    };
    // Rounded to tiles a window begins as if it ended with the tile, and ended long ago where its last whole tile did.
    let (begin, end) = match feature.resolution.map(Span::micros) {
        None => (own.time - shift - over.micros(), own.time - shift),
        Some(tile) if shift == 0 => (-(-own.time).div_euclid(tile) * tile - over.micros(), own.time),
        Some(tile) => {
            let end = (own.time - shift).div_euclid(tile) * tile;
            (end - over.micros(), end)
        }
    };
    let is_before = |e: &Event| (e.time, e.id) < (own.time, own.id);
    let is_in = |e: &&Event| {
        let is_here = e.time > begin && e.time <= end;
        let includes_own = feature.current && what != What::SinceLast && e.id == own.id;
        is_here && (is_before(e) || includes_own) && key(&feature.key, e).as_ref() == Some(&mine)
    };
    let window: Vec<&Event> = events.iter().filter(is_in).collect();
    let of = feature.of.as_ref();
    let n = window.len() as f64;
    let is_fraud = |e: &&&Event| e.fraud == Some(1) && e.known.unwrap_or(e.time + 48 * HOUR) <= own.time;
    if of.is_some_and(|of| of == "fraud") && what != What::Count {
        let frauds = window.iter().filter(is_fraud).count() as f64;
        return Some(if what == What::Sum || window.is_empty() { frauds } else { frauds / n });
    }
    let (value, scale) = number(of, own);
    let values: Vec<i64> = window.iter().filter_map(|e| number(of, e).0).collect();
    let sum: i64 = values.iter().sum();
    let mean = (!values.is_empty()).then(|| sum as f64 / scale / values.len() as f64);
    match what {
        What::Count => Some(n),
        What::Sum => Some(sum as f64 / scale),
        What::Mean => mean,
        What::Std => (values.len() > 1).then(|| {
            let n = values.len() as i128;
            let squares: i128 = values.iter().map(|v| i128::from(*v) * i128::from(*v)).sum();
            let sum = i128::from(sum);
            (((n * squares - sum * sum) as f64) / (n * (n - 1)) as f64).sqrt() / scale
        }),
        What::Min => values.iter().min().map(|v| *v as f64 / scale),
        What::Max => values.iter().max().map(|v| *v as f64 / scale),
        What::Distinct => {
            let cells: std::collections::BTreeSet<String> = window.iter().filter_map(|e| cell(of, e)).collect();
            Some(cells.len() as f64)
        }
        What::SinceLast => {
            let last = window.iter().map(|e| e.time).max()?;
            Some((own.time - last) as f64 / 1e6)
        }
        What::RatioToMean => match (value, mean) {
            (Some(value), Some(mean)) if sum != 0 => Some(value as f64 / scale / mean),
            _ => None,
        },
        What::Share => {
            let at = window.iter().filter(|e| e.channel == feature.level.as_deref()).count() as f64;
            (n > 0.0).then(|| at / n)
        }
    }
}

/// The cells of the steps of one event.
fn steps(sequence: &Steps, events: &[Event], own: &Event) -> Vec<Option<f64>> {
    let n_cells = sequence.steps * sequence.of.len();
    let Some(mine) = key(&sequence.key, own) else { return vec![None; n_cells] };
    let is_in = |e: &&Event| {
        (e.time, e.id) <= (own.time, own.id)
            && e.time > own.time - sequence.within.micros()
            && key(&sequence.key, e).as_ref() == Some(&mine)
    };
    let mut window: Vec<&Event> = events.iter().filter(is_in).collect();
    window.sort_by_key(|e| (e.time, e.id));
    let first = window.len().saturating_sub(sequence.steps);
    let mut cells = vec![None; n_cells - (window.len() - first) * sequence.of.len()];
    for (i, e) in window.iter().enumerate().skip(first) {
        cells.extend(sequence.of.iter().map(|name| match name.as_str() {
            SINCE_LAST => i.checked_sub(1).map(|before| (e.time - window[before].time) as f64 / 1e6),
            _ => {
                let (value, scale) = number(Some(name), e);
                value.map(|v| v as f64 / scale)
            }
        }));
    }
    cells
}

pub(super) fn expected(definition: &Definition, events: &[Event]) -> Vec<Vec<Option<u64>>> {
    let windows = definition.windows();
    let mut columns: Vec<Vec<Option<u64>>> = Vec::new();
    let bits = |v: Option<f64>| v.map(f64::to_bits);
    for feature in &windows.features {
        for what in &feature.what {
            for over in &feature.over {
                columns.push(events.iter().map(|own| bits(figure(feature, *what, *over, events, own))).collect());
            }
        }
    }
    for sequence in &windows.sequences {
        let rows: Vec<_> = events.iter().map(|own| steps(sequence, events, own)).collect();
        let n = sequence.steps * sequence.of.len();
        columns.extend((0..n).map(|i| rows.iter().map(|row| bits(row[i])).collect()));
    }
    columns
}

/// Events in no order, some at the same instant, with gaps longer than all windows, missing cells and amounts of any size.
pub(super) fn random(seed: u64, n: usize) -> Vec<Event> {
    let mut rng = Rng::new(seed);
    let mut time = 0;
    let mut events: Vec<Event> = (0..n as i64)
        .map(|id| {
            time += match rng.below(20) {
                0..4 => 0,
                4..18 => rng.below(40) as i64 * HOUR / 10,
                18 => 20 * HOUR,
                _ if rng.below(10) == 0 => 24 * 30 * HOUR,
                _ => 1,
            };
            let amount = match rng.below(12) {
                0 => None,
                1 => Some(MAX_UNITS - rng.below(3) as i64),
                2 => Some(-(rng.below(4) as i64) * 3_000_000_000),
                _ => Some(rng.below(6) as i64 * 100 - 200),
            };
            let is_seen = |rng: &mut Rng| rng.below(15) > 0;
            Event {
                id,
                time,
                customer: is_seen(&mut rng).then(|| rng.below(3) as i64),
                terminal: is_seen(&mut rng).then(|| ["a", "b", "7"][rng.below(3)]),
                amount,
                rate: is_seen(&mut rng).then(|| rng.below(4000) as f64 / 1000.0 - 2.0),
                channel: is_seen(&mut rng).then(|| ["web", "pos", "atm"][rng.below(3)]),
                fraud: [None, Some(0), Some(1), Some(1)][rng.below(4)],
                known: [None, Some(time), Some(time + 90 * HOUR), Some(time + 500 * HOUR)][rng.below(4)],
            }
        })
        .collect();
    rng.shuffle(&mut events);
    events
}

#[test]
fn a_sweep_is_what_the_definition_says() {
    sweeps_are_what_they_say(&definition(ALL));
}

pub(super) fn sweeps_are_what_they_say(definition: &Arc<Definition>) {
    for seed in 0..12 {
        let events = random(seed, 400);
        let made = bits(&sweep(definition, &Events::of(&batch(&events), definition).unwrap()).unwrap());
        let expected = expected(definition, &events);
        for (name, (made, expected)) in definition.column_names().zip(made.iter().zip(&expected)) {
            for (row, (made, expected)) in made.iter().zip(expected).enumerate() {
                let (made, expected) = (made.map(f64::from_bits), expected.map(f64::from_bits));
                assert_eq!(made, expected, "seed {seed}, {name}, {:?}", events[row]);
            }
        }
        assert_eq!(made, expected, "seed {seed}: the same to the bit");
    }
}

#[test]
fn events_one_by_one_give_the_bits_of_a_sweep_with_a_restart_in_between() {
    one_by_one_gives_the_bits_of_a_sweep(&definition(ALL));
}

pub(super) fn one_by_one_gives_the_bits_of_a_sweep(definition: &Arc<Definition>) {
    for seed in 100..106 {
        let mut events = random(seed, 1_500);
        events.sort_by_key(|e| (e.time, e.id));
        let swept = bits(&sweep(definition, &Events::of(&batch(&events), definition).unwrap()).unwrap());
        let mut state = State::new(definition.clone(), Limits::default());
        let mut made: Vec<Vec<Option<u64>>> = vec![Vec::new(); definition.n_columns()];
        for (i, part) in events.chunks(250).enumerate() {
            let (columns, refused) = state.advance_all(&Events::of(&batch(part), definition).unwrap(), None);
            assert_eq!(refused, []);
            made.iter_mut().zip(bits(&columns)).for_each(|(all, new)| all.extend(new));
            let mut bytes = Vec::new();
            state.snapshot(&mut bytes).unwrap();
            let mut again = Vec::new();
            let restored =
                State::restore(&mut bytes.as_slice(), bytes.len() as u64, definition.clone(), Limits::default())
                    .unwrap();
            restored.snapshot(&mut again).unwrap();
            assert!(bytes == again, "a state that was restored is the same");
            if i % 2 == 0 {
                state = restored;
            }
        }
        assert!(made == swept, "seed {seed}");
    }
}

#[test]
fn running_sums_give_what_the_definition_says_and_the_bits_of_rings() {
    running_sums_give_the_bits_of_a_state(&definition_without_label_time(&sums()));
}

pub(super) fn running_sums_give_the_bits_of_a_state(definition: &Arc<Definition>) {
    for seed in 200..210 {
        let mut events = random(seed, 500);
        events.iter_mut().for_each(|e| e.known = None);
        // Once in no order, once in that of time and id: values are put back in two ways.
        for is_sorted in [false, true] {
            if is_sorted {
                events.sort_by_key(|e| (e.time, e.id));
            }
            let all = batch(&events);
            let all = all.project(&[0, 1, 2, 3, 4, 5, 6, 7]).unwrap();
            let read = Events::of(&all, definition).unwrap();
            assert!(definition.groups.iter().all(|plan| whole::serves(plan, &read, events.len())), "no rings");
            let made = bits(&sweep(definition, &read).unwrap());
            let expected = expected(definition, &events);
            for (name, (made, expected)) in definition.column_names().zip(made.iter().zip(&expected)) {
                assert!(made == expected, "seed {seed}, {name}");
            }
            if is_sorted {
                let mut state = State::new(definition.clone(), Limits::default());
                let (columns, refused) = state.advance_all(&read, None);
                assert_eq!(refused, []);
                assert!(bits(&columns) == made, "seed {seed}: a state counts the same");
            }
        }
    }
}

#[test]
fn labels_that_come_by_themselves_are_those_of_a_column() {
    labels_by_themselves_are_those_of_a_column(&definition(ALL));
}

pub(super) fn labels_by_themselves_are_those_of_a_column(definition: &Arc<Definition>) {
    let mut events = random(7, 1_200);
    events.sort_by_key(|e| (e.time, e.id));
    // Of one key a label comes before events of its own time: told in that order.
    let swept = bits(&sweep(definition, &Events::of(&batch(&events), definition).unwrap()).unwrap());
    let mut state = State::new(definition.clone(), Limits::default());
    let silent: Vec<Event> = events.iter().map(|e| Event { fraud: None, known: None, ..e.clone() }).collect();
    let silent = Events::of(&batch(&silent), definition).unwrap();
    let mut labels: Vec<(i64, i64, bool)> =
        events.iter().filter_map(|e| Some((e.known.unwrap_or(e.time + 48 * HOUR), e.id, e.fraud? == 1))).collect();
    labels.sort_unstable();
    let (mut next, mut out) = (0, vec![0.0; definition.n_columns()]);
    for (row, e) in events.iter().enumerate() {
        // What is known at the very time of an event can be told after it only if the event itself is meant.
        while next < labels.len() && labels[next].0 < e.time {
            let (when, id, is_fraud) = labels[next];
            match state.label(&id.to_string(), is_fraud, when) {
                Ok(is_new) => assert!(is_new),
                Err(refusal) => assert_eq!(refusal, Refusal::Unknown { id: id.to_string() }, "too late to matter"),
            }
            next += 1;
        }
        state.advance(&silent, row, None, &mut out).unwrap();
        let has_tie = labels.iter().any(|(when, ..)| *when == e.time);
        for (column, value) in out.iter().enumerate().filter(|_| !has_tie) {
            let value = (!value.is_nan()).then(|| value.to_bits());
            assert_eq!(value, swept[column][row], "{:?}, event {e:?}", definition.column_names().nth(column));
        }
    }
    assert!(next > 500, "{next} labels were told");
}

#[test]
fn a_table_of_many_rows_comes_together_as_one_of_few() {
    // Rows are shared out by tens of thousands: more than one such part, with keys that are missing, in order and in none.
    let features = "[[feature]]\nkey = 'customer'\nof = 'amount'\nwhat = ['count', 'mean', 'max']\nover = ['1d']\n";
    let risk = "[[feature]]\nkey = 'terminal'\nof = 'fraud'\nwhat = ['sum', 'mean']\nover = ['7d']\nshift = 'label'\n";
    let definition = definition_without_label_time(&format!("{features}{risk}"));
    let mut events = random(3, 80_000);
    let read =
        |events: &[Event]| Events::of(&batch(events).project(&[0, 1, 2, 3, 4, 7]).unwrap(), &definition).unwrap();
    let mixed = bits(&sweep(&definition, &read(&events)).unwrap());
    let mut at: Vec<usize> = (0..events.len()).collect();
    at.sort_by_key(|row| (events[*row].time, events[*row].id));
    events.sort_by_key(|e| (e.time, e.id));
    let sorted = bits(&sweep(&definition, &read(&events)).unwrap());
    let (columns, refused) = State::new(definition.clone(), Limits::default()).advance_all(&read(&events), None);
    assert_eq!(refused, []);
    assert!(bits(&columns) == sorted, "a state counts the same");
    for (mixed, sorted) in mixed.iter().zip(&sorted) {
        assert!(sorted.iter().any(Option::is_none), "some keys are missing");
        assert!(at.iter().zip(sorted).all(|(row, cell)| mixed[*row] == *cell), "the order of rows does not matter");
    }
}
