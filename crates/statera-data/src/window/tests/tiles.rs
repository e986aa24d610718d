//! Tiles against their definition, a table at once against events one by one, and what is bounded, refused and kept.

use super::reference::*;
use super::*;

/// What tiles can tell, in tiles of several lengths, beside what is kept event by event.
const TILED: &str = "
[number.rate]
decimals = 3
[[feature]]
key = 'customer'
of = 'amount'
what = ['count', 'sum', 'mean', 'std', 'min', 'max', 'ratio_to_mean', 'since_last']
over = ['1h', '1d', '7d']
resolution = '1h'
[[feature]]
key = 'customer'
of = 'amount'
what = ['mean', 'max', 'count', 'ratio_to_mean', 'min']
over = ['3h', '2d']
current = false
resolution = '1h'
[[feature]]
key = ['customer', 'terminal']
of = 'rate'
what = ['sum', 'std', 'count', 'min']
over = ['12h', '2d']
resolution = '20m'
[[feature]]
key = 'terminal'
of = 'fraud'
what = ['count', 'sum', 'mean']
over = ['2h', '1d', '7d']
shift = 'label'
resolution = '2h'
[[feature]]
key = 'terminal'
of = 'amount'
what = ['max', 'min', 'mean', 'std']
over = ['6h', '4d']
shift = '390m'
resolution = '2h'
[[feature]]
key = 'customer'
of = 'channel'
level = 'web'
what = ['share']
over = ['4h', '2d']
resolution = '1h'
[[feature]]
key = 'customer'
of = 'fraud'
what = ['sum']
over = ['259196s']
shift = 'label'
resolution = '7s'
[[feature]]
key = 'customer'
of = 'rate'
what = ['mean', 'max']
over = ['5h']
";

/// With what only single events can tell.
fn beside_single_events() -> String {
    let distinct = "[[feature]]\nkey = 'customer'\nof = 'channel'\nwhat = ['distinct']\nover = ['4h']\n";
    let risk = "[[feature]]\nkey = 'terminal'\nof = 'fraud'\nwhat = ['sum']\nover = ['30h']\nshift = 'label'\n";
    let steps =
        "[[sequence]]\nname = 'last'\nkey = 'customer'\nof = ['amount', 'since_last']\nsteps = 3\nwithin = '2d'\n";
    format!("{TILED}{distinct}{risk}{steps}")
}

#[test]
fn windows_are_rounded_to_tiles_and_nothing_counts_before_its_time() {
    const MINUTE: i64 = HOUR / 60;
    let count = |rest: &str| format!("[[feature]]\nkey = 'customer'\nwhat = ['count']\nover = ['2h']\n{rest}");
    let times = [30, 60, 61, 180, 181, 240, 241];
    let events: Vec<Event> = (0i64..).zip(times).map(|(i, at)| Event { time: at * MINUTE, ..event(i, 0) }).collect();
    // At 3:00 (1:00, 3:00], at 3:01 (2:00, 3:01], at 4:00 (2:00, 4:00], at 4:01 (3:00, 4:01].
    let now = swept(&count("resolution = '1h'"), &events, "customer_count_2h");
    assert_eq!(now, [1.0, 2.0, 3.0, 2.0, 2.0, 3.0, 3.0].map(Some));
    let exact = swept(&count(""), &events, "customer_count_2h");
    assert_eq!(exact, [1.0, 2.0, 3.0, 2.0, 2.0, 3.0, 4.0].map(Some));
    let whole = swept(&count("resolution = '2h'"), &events, "customer_count_2h");
    // At 3:00 (2:00, 3:00], at 4:00 (2:00, 4:00], at 4:01 (4:00, 4:01].
    assert_eq!(whole, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0].map(Some));
    // Ninety minutes ago, rounded down: at 3:00 and 3:01 (-1:00, 1:00], at 4:00 and 4:01 (0:00, 2:00].
    let moved = swept(&count("shift = '90m'\nresolution = '1h'"), &events, "customer_count_2h_shifted_90m");
    assert_eq!(moved, [0.0, 0.0, 0.0, 2.0, 2.0, 3.0, 3.0].map(Some));
}

#[test]
fn a_sweep_of_tiles_is_what_the_definition_says() {
    sweeps_are_what_they_say(&definition(&beside_single_events()));
}

#[test]
fn tiles_one_by_one_give_the_bits_of_a_sweep_with_a_restart_in_between() {
    one_by_one_gives_the_bits_of_a_sweep(&definition(&beside_single_events()));
}

#[test]
fn running_sums_over_tiles_give_the_bits_of_a_state() {
    running_sums_give_the_bits_of_a_state(&definition_without_label_time(TILED));
}

#[test]
fn labels_that_come_by_themselves_reach_their_tiles() {
    labels_by_themselves_are_those_of_a_column(&definition(&beside_single_events()));
}

/// Minutes of one key, and what the state takes after every day.
fn busy(definition: &Arc<Definition>, a_minute: i64) -> Vec<usize> {
    let mut state = State::new(definition.clone(), Limits::default());
    let mut out = vec![0.0; definition.n_columns()];
    let a_day = 24 * 60 * a_minute;
    let mut bytes_after = Vec::new();
    for day in 0..6 {
        let ids = day * a_day..(day + 1) * a_day;
        let events: Vec<Event> = ids.map(|id| Event { time: id * HOUR / 60 / a_minute, ..event(id, 0) }).collect();
        let events = Events::of(&batch(&events), definition).unwrap();
        (0..events.n_rows()).for_each(|row| assert!(state.advance(&events, row, None, &mut out).is_ok()));
        bytes_after.push(state.bytes());
    }
    bytes_after
}

#[test]
fn memory_of_a_busy_key_is_bounded_by_its_tiles() {
    let features = |resolution: &str| {
        let of = "[[feature]]\nkey = 'terminal'\nof = 'amount'\nwhat = ['mean', 'std', 'max']\nover = ['6h', '2d']\n";
        format!("{of}{resolution}\n{of}shift = '1d'\n{resolution}\n")
    };
    let tiles = definition(&features("resolution = '10m'"));
    let (few, many) = (busy(&tiles, 2), busy(&tiles, 20));
    assert_eq!(few, many, "ten times the events take no byte more");
    let single = busy(&definition(&features("")), 20);
    assert!(single[5] > 2 * many[5], "{} and {}", single[5], many[5]);
    // Three days in tiles of ten minutes, and what is half in and half out.
    let definition = tiles.clone();
    let mut state = State::new(definition.clone(), Limits::default());
    let events: Vec<Event> = (0..8_000).map(|id| Event { time: id * HOUR / 60, ..event(id, 0) }).collect();
    let (_, refused) = state.advance_all(&Events::of(&batch(&events), &definition).unwrap(), None);
    assert_eq!(refused, []);
    let kept = state.groups[0].slots.get(0)[super::super::plan::N];
    assert!((3 * 144..3 * 144 + 4).contains(&kept), "{kept} tiles");
}

#[test]
fn a_key_is_forgotten_with_its_tiles_and_their_labels() {
    let risk = "[[feature]]\nkey = 'terminal'\nof = 'fraud'\nwhat = ['mean']\nover = ['1d']\nshift = 'label'\nresolution = '6h'\n";
    let definition = definition_without_label_time(risk);
    let mut state = State::new(definition.clone(), Limits { max_keys: 2, ..Limits::default() });
    let mut out = [0.0];
    let mut take = |state: &mut State, e: Event| {
        let events = Events::of(&batch(&[e]), &definition).unwrap();
        state.advance(&events, 0, None, &mut out).map(|taken| (taken, out[0]))
    };
    for id in 0..40 {
        let terminal = Some(if id % 2 == 0 { "a" } else { "b" });
        assert!(take(&mut state, Event { terminal, ..event(id, id) }).is_ok());
    }
    assert_eq!(state.n_waiting(), 40);
    assert_eq!(state.label("0", true, 45 * HOUR), Ok(true));
    assert_eq!(state.label("0", true, 50 * HOUR), Ok(false));
    // Its tile does not know when it was.
    let early = state.label("38", true, 37 * HOUR).expect_err("early");
    assert!(early.to_string().contains("is of 1970-01-02T14:00:00Z"), "{early}");
    // Hour 0 lies in the tile that ends then: it enters with it, alone, two days later.
    let (_, mean) = take(&mut state, event(100, 48)).unwrap();
    assert_eq!(mean, 1.0);
    // Hours 2, 4 and 6 are in the tile after it.
    let (_, mean) = take(&mut state, event(101, 54)).unwrap();
    assert_eq!(mean, 0.25);
    // Idle: three days, a day of lateness, and what tiles are rounded by.
    let later = take(&mut state, Event { terminal: None, ..event(102, 54 + 5 * 24) }).unwrap();
    let last = take(&mut state, Event { terminal: None, ..event(103, 54 + 5 * 24) }).unwrap();
    assert_eq!(later.0.n_expired + last.0.n_expired, 2);
    assert_eq!(state.n_waiting(), 0, "no label is waited for");
    assert_eq!(state.n_keys(), [("terminal".to_string(), 0)]);
    let unknown = state.label("38", true, 400 * HOUR).expect_err("forgotten");
    assert_eq!(unknown.code(), "unknown");
}

#[test]
fn tiles_hold_more_events_than_rings_and_refuse_what_they_cannot_count() {
    let count =
        "[[feature]]\nkey = 'customer'\nof = 'amount'\nwhat = ['count', 'sum']\nover = ['2h']\nresolution = '1h'\n";
    let definition = definition(count);
    let mut state = State::new(definition.clone(), Limits::default());
    let mut out = [0.0; 2];
    let mut take = |state: &mut State, e: Event| {
        let events = Events::of(&batch(&[e]), &definition).unwrap();
        state.advance(&events, 0, None, &mut out).map(|_| out)
    };
    take(&mut state, event(1, 0)).unwrap();
    // As if there had been nearly as many as are counted, of the largest numbers.
    let tiles = definition.groups[0].tiles.clone().unwrap();
    let (track, slot) = (&definition.groups[0].tracks[0], state.groups[0].slots.get_mut(0));
    let window = track.windows[0].1;
    let (n, total) = (u32::MAX - 1, i128::from(MAX_UNITS) * i128::from(u32::MAX - 1));
    (slot[tiles.events], slot[window + 1]) = (n, n);
    track.set_total(&mut slot[window..], 0, total);
    let address = slot[super::super::plan::FIRST];
    let tile = &mut state.groups[0].record_mut(address, &definition.groups[0])[tile::TILE..];
    tile[1] = n;
    tiles.all.set_total(tile, 0, total);
    let [count, sum] = take(&mut state, Event { amount: Some(MAX_UNITS), ..event(2, 0) }).unwrap();
    assert_eq!(count, f64::from(u32::MAX));
    assert!((sum / 1e10 / f64::from(u32::MAX) - 1.0).abs() < 1e-15, "{sum}");
    let said = take(&mut state, event(3, 1)).expect_err("refused").to_string();
    assert_eq!(said, "one customer has 4294967295 events in its longest window; allowed are fewer");
    // Once they leave there is room.
    assert_eq!(take(&mut state, Event { time: 5 * HOUR / 2, ..event(3, 0) }), Ok([1.0, 10.0]));
}

#[test]
fn wrong_resolutions_are_told() {
    let said = |feature: &str| {
        let head = "time = 'time'\nid = 'id'\nlabel = 'fraud'\nlabel_delay = '2d'\n[[feature]]\nkey = 'customer'\n";
        let windows: statera_core::Result<Windows> = crate::toml_text::read(&format!("{head}{feature}"), "w.toml");
        windows.and_then(|w| Definition::of_table(w, &batch(&[event(1, 0)]))).expect_err("refused").to_string()
    };
    let cases = [
        (
            "what = ['count']\nover = ['1h', '1d']\nresolution = '7m'",
            "windows: feature 1: resolution: 7m does not divide 1h; allowed is what all lengths of over are multiples of",
        ),
        ("what = ['count']\nover = ['1h']\nresolution = '2h'", "resolution: 2h does not divide 1h"),
        (
            "of = 'channel'\nwhat = ['distinct']\nover = ['1d']\nresolution = '1h'",
            "resolution: 1h has no meaning for distinct: a tile has counts and sums, not which cells there were; declare distinct \
             in a feature of its own without resolution",
        ),
        (
            "what = ['count']\nover = ['2d']\nresolution = '1s'",
            "resolution: 1s makes 172800 tiles a key; allowed are 100000: give a longer one",
        ),
        (
            "what = ['count']\nover = ['90m']\nshift = '2d'\nresolution = '1s'",
            "resolution: 1s makes 178200 tiles a key; allowed are 100000",
        ),
        (
            "what = ['count']\nover = ['202d']\nresolution = '101d'",
            "resolution: 101d is not allowed; allowed are 1s to 100d",
        ),
        ("what = ['count']\nover = ['1d']\nresolution = '1w'", "«1w» is no length of time"),
        (
            "what = ['count']\nover = ['1d']\n[[feature]]\nkey = 'customer'\nwhat = ['count']\nover = ['1d']\nresolution = '1h'",
            "column «customer_count_1d» would be made twice",
        ),
    ];
    for (feature, expected) in cases {
        let said = said(feature);
        assert!(said.contains(expected), "{said}\nexpected {expected}");
    }
}

#[test]
fn refused_events_leave_tiles_untouched() {
    let definition = definition(TILED);
    let mut state = State::new(definition.clone(), Limits::default());
    let bytes = |state: &State| {
        let mut bytes = Vec::new();
        state.snapshot(&mut bytes).unwrap();
        bytes
    };
    let mut out = vec![0.0; definition.n_columns()];
    let mut take = |state: &mut State, e: Event| {
        let events = Events::of(&batch(&[e]), &definition).unwrap();
        state.advance(&events, 0, None, &mut out).map_err(|refusal| refusal.code())
    };
    assert!(take(&mut state, Event { time: 240 * HOUR + 5, ..event(5, 0) }).is_ok());
    let before = bytes(&state);
    // Within one tile too.
    assert_eq!(take(&mut state, Event { time: 240 * HOUR + 4, ..event(6, 0) }), Err("out_of_order"));
    assert_eq!(take(&mut state, Event { time: 240 * HOUR + 5, ..event(4, 0) }), Err("out_of_order"));
    assert_eq!(take(&mut state, Event { time: 240 * HOUR + 5, ..event(5, 0) }), Err("duplicate"));
    assert_eq!(take(&mut state, Event { customer: Some(2), terminal: Some("b"), ..event(7, 100) }), Err("far_past"));
    assert!(bytes(&state) == before, "the state is untouched");
}

/// Digest of the declaration and of the bytes of a state that was filled with events one by one.
fn digests(definition: &Arc<Definition>) -> [String; 2] {
    let mut state = State::new(definition.clone(), Limits::default());
    let mut events = random(42, 300);
    events.sort_by_key(|e| (e.time, e.id));
    let (_, refused) = state.advance_all(&Events::of(&batch(&events), definition).unwrap(), None);
    assert_eq!(refused, []);
    let mut bytes = Vec::new();
    state.snapshot(&mut bytes).unwrap();
    [definition.digest().to_string(), blake3::hash(&bytes).to_hex().to_string()]
}

#[test]
fn what_has_no_resolution_keeps_its_digest_and_its_bytes() {
    // As of the format 1, before there were tiles: states that were written then are read.
    let [declaration, bytes] = digests(&definition(ALL));
    assert_eq!(declaration, "53dc3385eaa398aa853178e5d28cef96021449345619637dd1db85b75e5a6197");
    assert_eq!(bytes, "64bf0d1a7e369fb8d05f90de752b6229161cf8edec4fd7fa414a5d76b52b8d49");
    let with = definition(
        &ALL.replacen("shift = '6h'", "shift = '6h'\nresolution = '1h'", 1).replace("mean', 'distinct'", "mean'"),
    );
    assert_ne!(with.digest(), declaration);
}

#[test]
fn a_state_of_tiles_has_the_format_2_and_is_refused_where_it_is_not_whole() {
    let definition = definition(TILED);
    let mut state = State::new(definition.clone(), Limits::default());
    let mut events = random(9, 300);
    events.sort_by_key(|e| (e.time, e.id));
    state.advance_all(&Events::of(&batch(&events), &definition).unwrap(), None);
    let mut good = Vec::new();
    state.snapshot(&mut good).unwrap();
    let restore = |bytes: &[u8]| {
        State::restore(&mut &*bytes, bytes.len() as u64, definition.clone(), Limits::default()).map(|_| ())
    };
    assert_eq!((&good[..8], &good[8..12]), (&b"STWINDOW"[..], &[2, 0, 0, 0][..]));
    assert!(restore(&good).is_ok());
    let older = [&good[..8], &[1, 0, 0, 0], &good[12..]].concat();
    let error = restore(&older).expect_err("another format");
    assert_eq!(error.kind(), statera_core::ErrorKind::Damaged, "{error}");
    assert!(error.to_string().contains("has a format that is not that of its windows"), "{error}");
    for cut in [100, good.len() / 2, good.len() - 1] {
        assert_eq!(restore(&good[..cut]).expect_err("cut off").kind(), statera_core::ErrorKind::Damaged);
    }
    // A count that does not fit, with a digest that does.
    let group = &state.groups[0];
    let tiles = definition.groups[0].tiles.clone().unwrap();
    let slot = (0..group.slots.n_used()).find(|s| group.slots.get(*s)[super::super::plan::N] > 1).unwrap();
    state.groups[0].slots.get_mut(slot)[tiles.events] += 1;
    let mut bytes = Vec::new();
    state.snapshot(&mut bytes).unwrap();
    let error = restore(&bytes).expect_err("a wrong count").to_string();
    assert!(error.contains("has addresses that lead nowhere"), "{error}");
}

#[test]
fn a_resolution_is_read_back_as_it_was_written() {
    let definition = definition(TILED);
    let text = definition.to_toml().unwrap();
    assert!(text.contains("resolution = \"20m\""), "{text}");
    let again = Definition::parse(&text, "windows.toml").unwrap();
    assert_eq!((again.digest(), &again), (definition.digest(), &*definition), "{text}");
    assert!(!super::definition(ALL).to_toml().unwrap().contains("resolution"));
}
