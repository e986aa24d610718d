//! What is refused, how it is told, and that nothing changes by it; what is kept and what is forgotten.

use super::*;

const SMALL: &str = "
[number.amount]
least = 0
most = 100000
[[feature]]
key = 'customer'
of = 'amount'
what = ['count', 'mean']
over = ['1d']
[[feature]]
key = 'terminal'
of = 'fraud'
what = ['count', 'mean']
over = ['1d']
shift = 'label'
";

#[test]
fn windows_are_open_at_their_beginning_and_count_in_the_order_of_time_and_id() {
    let daily = "[[feature]]\nkey = 'customer'\nwhat = ['count', 'since_last']\nover = ['1d']\n";
    // 24 hours before is out, an hour less is in; of one instant the smaller id comes first.
    let events = [event(1, 0), event(2, 1), event(4, 24), event(3, 24), event(5, 48)];
    assert_eq!(swept(daily, &events, "customer_count_1d"), [1.0, 2.0, 3.0, 2.0, 1.0].map(Some));
    let since = swept(daily, &events, "customer_since_last_1d");
    assert_eq!(since, [None, Some(3600.0), Some(0.0), Some(82_800.0), None]);
    let without =
        "[[feature]]\nkey = 'customer'\nof = 'amount'\nwhat = ['count', 'mean']\nover = ['1d']\ncurrent = false\n";
    assert_eq!(swept(without, &events, "customer_count_1d_before"), [0.0, 1.0, 2.0, 1.0, 0.0].map(Some));
    assert_eq!(swept(without, &events, "customer_amount_mean_1d_before")[..2], [None, Some(10.0)]);
}

#[test]
fn sums_are_exact_however_large_the_amounts_that_left() {
    // In doubles 0.1 + 0.2 is not 0.3, and 1e10 swallows cents that it leaves behind.
    let hourly = "[[feature]]\nkey = 'customer'\nof = 'amount'\nwhat = ['sum', 'std']\nover = ['2h']\n";
    let amounts = [10, 20, MAX_UNITS, 1, 2];
    let events: Vec<Event> =
        (0i64..).zip(amounts).map(|(i, amount)| Event { amount: Some(amount), ..event(i, i) }).collect();
    let sums = [0.1, 0.3, 1e10 + 0.2, 1e10 + 0.01, 0.03];
    assert_eq!(swept(hourly, &events, "customer_amount_sum_2h"), sums.map(Some));
    let std = swept(hourly, &events, "customer_amount_std_2h");
    // Of 0.01 and 0.02: 0.01 / sqrt 2.
    assert!((std[4].unwrap() - 0.01 / 2f64.sqrt()).abs() < 1e-18, "{std:?}");
}

#[test]
fn a_label_counts_from_when_it_was_known_and_the_delay_is_over() {
    let risk = "[[feature]]\nkey = 'terminal'\nof = 'fraud'\nwhat = ['sum', 'mean', 'count']\nover = ['7d']\nshift = 'label'\n";
    let fraud = |known: Option<i64>| Event { fraud: Some(1), known: known.map(|h| h * HOUR), ..event(1, 0) };
    let rest = [event(2, 47), event(3, 48), event(4, 60), event(5, 72), event(6, 300)];
    let sums = |first: Event| {
        let events: Vec<Event> = [first].into_iter().chain(rest.clone()).collect();
        swept(risk, &events, "terminal_fraud_sum_7d_shifted")
    };
    assert_eq!(sums(fraud(None)), [0.0, 0.0, 1.0, 1.0, 1.0, 0.0].map(Some));
    assert_eq!(sums(fraud(Some(1))), [0.0, 0.0, 1.0, 1.0, 1.0, 0.0].map(Some), "never before the delay");
    assert_eq!(sums(fraud(Some(60))), [0.0, 0.0, 0.0, 1.0, 1.0, 0.0].map(Some));
    let events: Vec<Event> = [fraud(None)].into_iter().chain(rest.clone()).collect();
    assert_eq!(swept(risk, &events, "terminal_fraud_mean_7d_shifted"), [0.0, 0.0, 1.0, 1.0, 1.0, 0.0].map(Some));
    assert_eq!(swept(risk, &events, "terminal_count_7d_shifted"), [0.0, 0.0, 1.0, 1.0, 1.0, 0.0].map(Some));
}

/// A state with two events, its bytes, and what it says to one more.
struct Tried {
    state: State,
    before: Vec<u8>,
}

fn bytes(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.snapshot(&mut bytes).unwrap();
    bytes
}

impl Tried {
    fn new(limits: Limits) -> Tried {
        let definition = definition(SMALL);
        let mut state = State::new(definition.clone(), limits);
        let events = [event(10, 240), Event { customer: Some(2), ..event(11, 240) }];
        let (_, refused) = state.advance_all(&Events::of(&batch(&events), &definition).unwrap(), None);
        assert_eq!(refused, []);
        let before = bytes(&state);
        Tried { state, before }
    }

    fn refused(&mut self, event: &Event, now: Option<i64>) -> String {
        let events = Events::of(&batch(std::slice::from_ref(event)), self.state.definition()).unwrap();
        let mut out = vec![1.0; self.state.definition().n_columns()];
        let refusal = self.state.advance(&events, 0, now, &mut out).expect_err("refused");
        self.is_untouched();
        format!("{}: {refusal}", refusal.code())
    }

    fn label(&mut self, id: &str, is_fraud: bool, hour: i64) -> String {
        let refusal = self.state.label(id, is_fraud, hour * HOUR).expect_err("refused");
        self.is_untouched();
        format!("{}: {refusal}", refusal.code())
    }

    fn is_untouched(&self) {
        assert!(bytes(&self.state) == self.before, "the state is untouched");
    }
}

#[test]
fn bad_events_are_refused_and_leave_the_state_untouched() {
    let mut tried = Tried::new(Limits::default());
    let at = |hour: i64| Some(hour * HOUR);
    let check = |tried: &mut Tried, event: Event, now: Option<i64>, expected: &str| {
        let said = tried.refused(&event, now);
        assert!(said.starts_with(expected), "{said}\nexpected {expected}");
    };
    let other = |id, hour| Event { customer: Some(3), terminal: Some("b"), ..event(id, hour) };
    check(&mut tried, event(10, 240), None, "duplicate: event «10» was taken before; allowed is each id once");
    check(&mut tried, other(11, 250), None, "duplicate: event «11»");
    check(
        &mut tried,
        event(12, 239),
        None,
        "out_of_order: event «12» of 1970-01-10T23:00:00Z comes after one of 1970-01-11 of the same customer; allowed is the \
         order of time, then id",
    );
    check(&mut tried, event(9, 240), None, "out_of_order: event «9» of 1970-01-11 comes after");
    check(
        &mut tried,
        other(12, 240),
        at(238),
        "future: event «12» has the time 1970-01-11; allowed is until 1970-01-10T22:05:00Z",
    );
    check(
        &mut tried,
        other(12, 215),
        None,
        "far_past: event «12» has the time 1970-01-09T23:00:00Z; allowed is from 1970-01-10",
    );
    let amount = |units| Event { amount: Some(units), ..other(12, 240) };
    let expected = "number: column «amount»: -0.01 is not allowed; allowed is from 0.00 to 100000.00";
    check(&mut tried, amount(-1), None, expected);
    check(&mut tried, amount(i64::MAX), None, "number: column «amount»: 92233720368547758.07 is not allowed");
    // An event of another key may be late by less than a day.
    let events = Events::of(&batch(&[other(12, 217)]), tried.state.definition()).unwrap();
    let mut out = vec![0.0; 4];
    tried.state.advance(&events, 0, at(240), &mut out).unwrap();
    assert_eq!(out, [1.0, 10.0, 0.0, 0.0]);
}

#[test]
fn bad_labels_are_refused_and_leave_the_state_untouched() {
    let mut tried = Tried::new(Limits::default());
    assert_eq!(
        tried.label("99", true, 241),
        "unknown: no event «99» is known, or none that a label could still matter for"
    );
    let said = tried.label("10", true, 239);
    assert_eq!(
        said,
        "early_label: event «10» is of 1970-01-11; its label cannot have been known at 1970-01-10T23:00:00Z"
    );
    assert_eq!(tried.state.label("10", true, 241 * HOUR), Ok(true));
    assert_eq!(tried.state.label("10", true, 260 * HOUR), Ok(false), "said twice");
    tried.before = bytes(&tried.state);
    let said = tried.label("10", false, 241);
    assert_eq!(said, "disagreement: event «10» has the label fraud already; genuine disagrees with it");
    let unlabelled = "[[feature]]\nkey = 'customer'\nwhat = ['count']\nover = ['1d']\n";
    let mut state = State::new(definition(unlabelled), Limits::default());
    assert_eq!(state.label("1", true, 0), Err(Refusal::NoLabel));
}

#[test]
fn a_table_with_a_bad_event_is_refused_with_its_row() {
    let definition = definition(SMALL);
    let said = |events: &[Event]| {
        let events = Events::of(&batch(events), &definition).unwrap();
        sweep(&definition, &events).expect_err("refused").to_string()
    };
    let told = said(&[event(1, 0), event(2, 1), event(1, 5)]);
    assert_eq!(told, "windows: row 3: event «1» was taken before; allowed is each id once");
    let told = said(&[event(1, 0), Event { amount: Some(-5), ..event(2, 0) }]);
    assert!(told.starts_with("windows: row 2: column «amount»: -0.05 is not allowed"), "{told}");
    let none = Events::of(&batch(&[]), &definition).unwrap();
    assert_eq!(sweep(&definition, &none).unwrap()[0].len(), 0);
    let one = Event { customer: None, terminal: None, ..event(1, 0) };
    let made = bits(&sweep(&definition, &Events::of(&batch(&[one]), &definition).unwrap()).unwrap());
    assert_eq!(made, vec![vec![None]; 4], "who has no key has no figures");
}

#[test]
fn keys_are_limited_and_idle_ones_make_room() {
    let limits = Limits { max_keys: 2, ..Limits::default() };
    let mut tried = Tried::new(limits);
    let third = |hour| Event { customer: Some(3), ..event(12, hour) };
    let said = tried.refused(&third(240), None);
    assert_eq!(said, "too_many_keys: 2 different customer are kept and none is idle; allowed are no more");
    // A day of windows and a day of lateness later the other two are idle.
    let take = |state: &mut State, event: Event| {
        let events = Events::of(&batch(&[event]), state.definition()).unwrap();
        state.advance(&events, 0, None, &mut [0.0; 4])
    };
    let kept = Event { customer: None, ..event(13, 240 + 49) };
    assert_eq!(take(&mut tried.state, kept).unwrap().n_expired, 1);
    assert_eq!(take(&mut tried.state, Event { id: 14, ..third(240 + 50) }).unwrap().n_evicted, 0);
    let mut tried = Tried::new(Limits { when_full: WhenFull::Evict, ..limits });
    assert_eq!(take(&mut tried.state, third(240)).unwrap(), Taken { n_expired: 0, n_evicted: 1 });
    assert_eq!(tried.state.n_keys(), [("customer".to_string(), 2), ("terminal".to_string(), 1)]);
}

#[test]
fn memory_is_bounded_by_what_windows_hold() {
    let definition = definition(SMALL);
    let mut state = State::new(definition.clone(), Limits::default());
    let mut out = [0.0; 4];
    let mut bytes_after = Vec::new();
    for day in 0..40 {
        let first = day * 500;
        let events: Vec<Event> = (first..first + 500)
            .map(|id| Event { time: id * 24 * HOUR / 500, customer: Some(id % 7), ..event(id, 0) })
            .collect();
        let events = Events::of(&batch(&events), &definition).unwrap();
        (0..500).for_each(|row| assert!(state.advance(&events, row, None, &mut out).is_ok()));
        bytes_after.push(state.bytes());
    }
    assert_eq!(bytes_after[39], bytes_after[5], "what leaves makes room for what comes");
    // Labels are waited for over the delay and the window: three days.
    assert!((1_500..1_510).contains(&state.n_waiting()), "{}", state.n_waiting());
}

#[test]
fn a_snapshot_is_refused_if_it_is_not_this_state() {
    let tried = Tried::new(Limits::default());
    let restore = |bytes: &[u8], definition: Arc<Definition>| {
        State::restore(&mut &*bytes, bytes.len() as u64, definition, Limits::default()).map(|_| ())
    };
    let own = tried.state.definition().clone();
    let good = &tried.before;
    assert!(restore(good, own.clone()).is_ok());
    let other = restore(good, definition(&SMALL.replace("'1d'", "'2d'"))).expect_err("another definition");
    assert_eq!(other.kind(), statera_core::ErrorKind::Conflict);
    assert!(other.to_string().contains(own.digest()), "{other}");
    let newer = [&good[..8], &[9, 0, 0, 0], &good[12..]].concat();
    assert_eq!(restore(&newer, own.clone()).expect_err("newer").kind(), statera_core::ErrorKind::Newer);
    for cut in [0, 7, 40, 100, good.len() / 2, good.len() - 1] {
        let error = restore(&good[..cut], own.clone()).expect_err("cut off");
        assert_eq!(error.kind(), statera_core::ErrorKind::Damaged, "{error}");
    }
    for at in (76..good.len()).step_by(good.len() / 200) {
        let mut altered = good.clone();
        altered[at] ^= 0x55;
        let error = restore(&altered, own.clone()).expect_err("altered");
        assert_eq!(error.kind(), statera_core::ErrorKind::Damaged, "byte {at}: {error}");
    }
    // With a digest that is theirs, words of every kind are refused, or are another state: there is no panic and an end.
    let words: Vec<usize> = (76..good.len() - 32).step_by(4).filter(|at| good[*at..at + 4] != [0; 4]).collect();
    let mut n_refused = 0;
    for &at in words.iter().step_by(words.len().div_ceil(500)) {
        for value in [0, 1, 7, u32::MAX / 4, u32::MAX - 1, u32::MAX] {
            let mut altered = good[..good.len() - 32].to_vec();
            altered[at..at + 4].copy_from_slice(&value.to_le_bytes());
            altered.extend(blake3::hash(&altered).as_bytes());
            if let Err(error) = restore(&altered, own.clone()) {
                assert_eq!(error.kind(), statera_core::ErrorKind::Damaged, "byte {at}, {value}: {error}");
                n_refused += 1;
            }
        }
    }
    assert!(n_refused > 500, "{n_refused}");
}

#[test]
fn wrong_declarations_are_told_by_place_value_and_what_is_allowed() {
    let said = |text: &str| {
        let head = "time = 'time'\nid = 'id'\nlabel = 'fraud'\nlabel_delay = '2d'\n";
        let read: statera_core::Result<Windows> = crate::toml_text::read(&format!("{head}{text}"), "w.toml");
        read.and_then(|w| Definition::of_table(w, &batch(&[event(1, 0)]))).expect_err("refused").to_string()
    };
    let feature = |rest: &str| said(&format!("[[feature]]\nkey = 'customer'\n{rest}"));
    let cases = [
        (said(""), "windows: no feature and no sequence; declare at least one [[windows.feature]]"),
        (feature("of = 'amount'\nwhat = ['mean']\nover = []"), "windows: feature 1: what and over name at least one"),
        (feature("what = ['mean']\nover = ['1d']"), "windows: feature 1: of: missing; mean is of a column"),
        (
            feature("of = 'amount'\nwhat = ['median']\nover = ['1d']"),
            "unknown variant `median`, expected one of `count`",
        ),
        (
            feature("of = 'amount'\nwhat = ['mean']\nover = ['1w']"),
            "«1w» is no length of time; allowed are 1s to 1000d",
        ),
        (
            feature("of = 'fraud'\nwhat = ['mean']\nover = ['1d']"),
            "windows: feature 1: of: «fraud» is the label, which is known later only; add shift = \"label\"",
        ),
        (
            feature("of = 'fraud'\nwhat = ['max']\nover = ['1d']\nshift = 'label'"),
            "max of a label; allowed are count, sum, mean",
        ),
        (feature("of = 'channel'\nwhat = ['share']\nover = ['1d']"), "level: missing; share is of a level"),
        (feature("what = ['since_last']\nover = ['1d']\nshift = '1d'"), "shift: has no meaning for since_last"),
        (feature("what = ['count']\nover = ['1d', '24h']"), "column «customer_count_1d» would be made twice"),
        (feature("of = 'terminal'\nwhat = ['mean']\nover = ['1d']"), "column «terminal» is no number; sums, means"),
        (
            feature("of = 'amuont'\nwhat = ['mean']\nover = ['1d']"),
            "windows: no column «amuont»; there are id, time, customer",
        ),
        (said("[[feature]]\nkey = ['fraud']\nwhat = ['count']\nover = ['1d']"), "key: «fraud» is known later only"),
        (said("[[feature]]\nkey = []\nwhat = ['count']\nover = ['1d']"), "key: [] is not allowed; allowed are 1 to 3"),
        (
            feature("what = ['count']\nover = ['1d']\n[number.amount]\nleast = 0"),
            "number.amount: no feature counts that column as a number; those are none",
        ),
        (
            feature("of = 'amount'\nwhat = ['sum']\nover = ['1d']\n[number.amount]\ndecimals = 7"),
            "number.amount.decimals: 7 is not allowed; allowed are 0 to 6",
        ),
        (
            said("[[sequence]]\nname = 's'\nkey = 'customer'\nof = ['amount']\nsteps = 1\nwithin = '1d'"),
            "sequence 1 («s»): steps: 1 is not allowed; allowed are 2 to 100",
        ),
    ];
    for (said, expected) in cases {
        assert!(said.contains(expected), "{said}\nexpected {expected}");
    }
}

#[test]
fn a_definition_is_read_back_as_it_was_written() {
    let definition = definition(SMALL);
    let text = definition.to_toml().unwrap();
    let again = Definition::parse(&text, "windows.toml").unwrap();
    assert_eq!((again.digest(), &again), (definition.digest(), &*definition), "{text}");
    assert!(text.contains("decimals = 2"), "{text}");
    let names: Vec<&str> = definition.column_names().collect();
    let expected =
        ["customer_count_1d", "customer_amount_mean_1d", "terminal_count_1d_shifted", "terminal_fraud_mean_1d_shifted"];
    assert_eq!(names, expected);
}

#[test]
fn keys_and_ids_are_the_same_as_numbers_and_as_texts() {
    let definition = definition(SMALL);
    let mut state = State::new(definition.clone(), Limits::default());
    let whole = batch(&[event(5, 0), event(6, 1)]);
    let columns: Vec<(String, ArrayRef)> = whole
        .schema()
        .fields()
        .iter()
        .zip(whole.columns())
        .map(|(f, c)| {
            let is_text = matches!(f.name().as_str(), "id" | "customer");
            let text = || -> ArrayRef { Arc::new(StringArray::from(crate::texts_of(c))) };
            (f.name().clone(), if is_text { text() } else { c.clone() })
        })
        .collect();
    let texts = RecordBatch::try_from_iter(columns).unwrap();
    let mut out = [0.0; 4];
    state.advance(&Events::of(&whole, &definition).unwrap(), 0, None, &mut out).unwrap();
    state.advance(&Events::of(&texts, &definition).unwrap(), 1, None, &mut out).unwrap();
    assert_eq!(out[0], 2.0, "the text «1» is the customer 1");
    assert_eq!(state.label("5", true, 2 * HOUR), Ok(true));
}

#[test]
fn ids_of_one_instant_are_in_the_order_in_which_they_are_written() {
    let in_order = [
        "-5",
        "7",
        "10",
        "018f3c1e-7b00-7000-8000-000000000001",
        "018f3c1e-7b00-7000-8000-000000000002",
        "018f3c1e-7b01-7000-8000-000000000000",
        "0007",
        "A-17",
        "A-170",
        "A-18",
        "b",
    ];
    let codes: Vec<u128> = in_order.iter().map(|id| super::super::events::code_of_id(id)).collect();
    assert!(codes.is_sorted_by(|a, b| a < b), "{codes:x?}");
    // The version is part of a UUID; capitals, and texts that look like one, are other ids.
    let code = super::super::events::code_of_id;
    let same = |version: char| code(&format!("018f3c1e-7b00-{version}000-8000-000000000001"));
    let others = ["018F3C1E-7B00-7000-8000-000000000001", "018f3c1e-7b00-7000-0000-000000000001", "0007", "A-17\0"];
    let mut all: Vec<u128> = ['1', '4', '7', '8'].into_iter().map(same).chain(others.map(code)).chain(codes).collect();
    let n = all.len();
    all.sort_unstable();
    all.dedup();
    // «0007» and the UUID of version 7 stand twice.
    assert_eq!(all.len(), n - 2);
}
