use super::*;
use crate::batch::{self, BatchOptions};
use crate::evaluate;
use crate::given::Given;
use crate::pipeline;
use crate::project::{Project, UseCase};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use statera_core::Rng;
use std::fmt::Write;
use std::fs;

pub(super) const PROJECT: &str = r#"
purpose = "credit"
[sources]
loans = "loans.csv"
friends = "friends.csv"
[main]
source = "loans"
key = "loan"
date = "at"
[roles]
target = "bad"
drop = ["note"]
[candidates]
models = ["logistic"]
[split]
folds = 2
[network]
time = "at"
nodes = ["customer"]
label = "bad"
label_delay = "20d"
edges = { source = "friends", from = "who", to = "whom", time = "since", kind = "how", purpose = ["credit"], consent = "agreed" }
[[network.feature]]
what = ["fan_in", "cycles_2"]
over = ["60d"]
[[network.feature]]
what = ["fan_out"]
kinds = ["address"]
over = ["60d"]
[[network.feature]]
what = ["neighbour_mean", "neighbour_max"]
of = "bad"
over = ["90d"]
[[network.feature]]
what = ["neighbour_mean"]
of = "debt"
over = ["90d"]
[[network.feature]]
what = ["pagerank"]
over = ["90d"]
"#;

/// Loans of a hundred days to 300 customers; those whose number is a multiple of seven know each other, and are bad.
fn loans() -> String {
    let mut rng = Rng::new(5);
    let mut text = String::from("loan,at,customer,debt,bad,note\n");
    for i in 0..3_000 {
        let (day, customer) = (i / 30, rng.below(300));
        let is_bad = rng.uniform() < if customer % 7 == 0 { 0.7 } else { 0.05 };
        let (month, day) = (1 + day / 28, 1 + day % 28);
        let _ = writeln!(
            text,
            "{i},2026-{month:02}-{day:02}T{:02}:00:00Z,C{customer},{},{},{}",
            rng.below(24),
            rng.below(900),
            i32::from(is_bad),
            rng.below(3)
        );
    }
    text
}

fn friends() -> String {
    let mut rng = Rng::new(6);
    let mut text = String::from("who,whom,since,how,agreed\n");
    for i in 0..2_000 {
        let (a, b) = match i % 2 {
            0 => (7 * rng.below(42), 7 * rng.below(42)),
            _ => (rng.below(300), rng.below(300)),
        };
        let how = ["address", "device"][rng.below(2)];
        let agreed = if rng.below(10) == 0 { "no" } else { "yes" };
        if a != b {
            let _ = writeln!(text, "C{a},C{b},2026-{:02}-{:02},{how},{agreed}", 1 + rng.below(4), 1 + rng.below(28));
        }
    }
    text
}

pub(super) struct Trained {
    dir: tempfile::TempDir,
    pub(super) bundle: Bundle,
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("loans.csv"), loans()).unwrap();
    fs::write(dir.path().join("friends.csv"), friends()).unwrap();
    dir
}

pub(super) fn trained(project: &str) -> Trained {
    let dir = folder();
    let run = Run::new(1, 2);
    let assembled = Project::parse(project, "project.toml").unwrap().assemble(dir.path(), &run).unwrap();
    let counts = assembled.edges.unwrap();
    assert!(counts.n_without_consent > 100 && counts.n_used > 1_000, "{counts:?}");
    let settings = Settings { quick: true, ..assembled.settings };
    let mut trained = pipeline::train(assembled.table, &settings, &assembled.formats, &Given::default(), &run).unwrap();
    let path = dir.path().join("credit.statera");
    trained.bundle.write(&path, false, &run).unwrap();
    Trained { bundle: Bundle::read(&path).unwrap(), dir }
}

impl Trained {
    pub(super) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    pub(super) fn score(&self, data: &str, history: Option<&str>, edges: Option<&str>) -> Result<Vec<f64>> {
        let out = self.path("scores.csv");
        let [history, edges] = [history, edges].map(|name| name.map(|name| self.path(name)));
        let options = BatchOptions { history, edges, replace: true, start_over: true, ..BatchOptions::default() };
        batch::score(&self.bundle, &self.path(data), &ReadOptions::default(), &out, &options, &Run::new(1, 2))?;
        let table = read_table(&out, &ReadOptions::default(), &Run::new(1, 1)).unwrap();
        let at = table.column("probability").unwrap();
        Ok(table.batches.iter().flat_map(|b| b.column(at).as_primitive::<Float64Type>().values().to_vec()).collect())
    }
}

#[test]
fn a_training_makes_the_columns_and_the_bundle_keeps_how_and_no_edge() {
    let trained = trained(PROJECT);
    let own = trained.bundle.network.as_ref().expect("the bundle has a network");
    let inputs: Vec<&str> = trained.bundle.scorer.schema().inputs.iter().map(|i| i.name.as_str()).collect();
    for name in [
        "customer_fan_in_60d",
        "customer_address_fan_out_60d",
        "customer_neighbour_mean_bad_90d",
        "customer_pagerank_90d",
    ] {
        assert!(own.definition.column_names().any(|n| n == name) && inputs.contains(&name), "{name}: {inputs:?}");
    }
    assert!(["loan", "customer", "bad", "note"].iter().all(|name| !inputs.contains(name)), "{inputs:?}");
    let text = fs::read_to_string(trained.dir.path().join("credit.statera").join(NETWORK_FILE)).unwrap();
    assert!(!text.contains("C7") && !trained.bundle.files().contains_key(NETWORK_FILE), "{text}");
    // Friends of bad customers are bad more often: that tells.
    let run = Run::new(1, 1);
    let table = read_table(&trained.path("loans.csv"), &ReadOptions::default(), &run).unwrap();
    let edges = trained.path("friends.csv");
    let table = complete(&trained.bundle, &table, Some(&edges), &run).unwrap();
    let found = evaluate::evaluate(&trained.bundle, &table, None).unwrap();
    let auc = found.metrics.iter().find(|m| m.name == "auc").unwrap().interval.value;
    assert!(auc > 0.75, "AUC {auc}");
    let message = complete(&trained.bundle, &table, Some(&edges), &run).unwrap_err().to_string();
    assert!(message.contains("the rows have the network's columns already; leave it out"), "{message}");
}

#[test]
fn raw_rows_with_their_history_and_edges_score_as_the_whole_table() {
    let trained = trained(PROJECT);
    let text = fs::read_to_string(trained.path("loans.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let put = |name: &str, rows: &[&str]| {
        fs::write(trained.path(name), [&lines[..1], rows].concat().join("\n")).unwrap();
    };
    put("before.csv", &lines[1..2_401]);
    put("new.csv", &lines[2_401..]);
    let whole = trained.score("loans.csv", None, Some("friends.csv")).unwrap();
    let new = trained.score("new.csv", Some("before.csv"), Some("friends.csv")).unwrap();
    assert_eq!(new, whole[2_400..]);
    assert_ne!(trained.score("new.csv", None, Some("friends.csv")).unwrap(), new, "without what was known before");
    let told = trained.score("new.csv", None, None).unwrap_err().to_string();
    assert!(told.contains("such as «customer_fan_in_60d», which the rows do not have; give the edges"), "{told}");
    fs::write(trained.path("odd.csv"), "who,whom,since,how,agreed\nC1,C1,2026-01-01,address,yes\n").unwrap();
    let told = trained.score("new.csv", None, Some("odd.csv")).unwrap_err().to_string();
    assert!(told.ends_with("odd.csv: row 1: an edge from «C1» to itself; allowed are two different nodes, or self_edges = \"leave_out\""), "{told}");
}

/// What is around a customer, of which few have all neighbours: some columns have no value in a fold, or anywhere.
const NEAR: &str = r#"
[[network.neighbourhood]]
name = "near"
of = ["debt", "bad"]
over = "90d"
fans = [4, 3]
"#;

#[test]
fn graphsage_reads_the_sampled_neighbourhood_and_scores_after_a_history_as_in_the_whole_table() {
    let trained = trained(&(PROJECT.replace("[\"logistic\"]", "[\"graphsage\"]") + NEAR));
    assert_eq!(trained.bundle.manifest.family, "graphsage");
    let own = trained.bundle.network.as_ref().expect("the bundle has a network");
    assert!(own.definition.column_names().any(|name| name == "near_bad_17"));
    let text = fs::read_to_string(trained.path("loans.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let put = |name: &str, rows: &[&str]| {
        fs::write(trained.path(name), [&lines[..1], rows].concat().join("\n")).unwrap();
    };
    put("before.csv", &lines[1..2_401]);
    put("new.csv", &lines[2_401..]);
    let whole = trained.score("loans.csv", None, Some("friends.csv")).unwrap();
    let new = trained.score("new.csv", Some("before.csv"), Some("friends.csv")).unwrap();
    assert_eq!(new, whole[2_400..]);
}

#[test]
fn a_neighbourhood_has_a_name_of_its_own() {
    let dir = folder();
    let project = PROJECT.replace("[split]", "[sequence.near]\nsteps = [[\"debt\"], [\"note\"]]\n[split]") + NEAR;
    let assembled = Project::parse(&project, "project.toml").and_then(|p| p.assemble(dir.path(), &Run::new(1, 1)));
    let message = assembled.expect_err("refused").to_string();
    assert!(message.contains("network.neighbourhood «near»: a sequence has that name"), "{message}");
}

#[test]
fn edges_without_consent_for_the_purpose_are_refused() {
    let said = |project: &str| {
        let dir = folder();
        let assembled = Project::parse(project, "project.toml").and_then(|p| p.assemble(dir.path(), &Run::new(1, 1)));
        assembled.expect_err("refused").to_string()
    };
    let other = PROJECT.replace("purpose = [\"credit\"]", "purpose = [\"fraud\"]");
    assert!(
        said(&other).contains("network.edges: column «who» may be used for fraud, not for credit"),
        "{}",
        said(&other)
    );
    let other = PROJECT.replace("purpose = [\"credit\"]", "purpose = [\"credit\"], purposes = { how = [\"fraud\"] }");
    assert!(said(&other).contains("column «how» may be used for fraud, not for credit"), "{}", said(&other));
    let other = PROJECT.replace("\"friends\", from", "\"enemies\", from");
    assert!(
        said(&other).contains("network.edges.source: no source «enemies»; [sources] has friends, loans"),
        "{}",
        said(&other)
    );
    let other = PROJECT.replace("[\"address\"]", "[\"adress\"]");
    assert!(said(&other).contains("no edge is of kind «adress»; there are address, device"), "{}", said(&other));
    let other = PROJECT.replace("label = \"bad\"", "label = \"bda\"").replace("of = \"bad\"", "of = \"bda\"");
    assert!(
        said(&other).contains("network: no column «bda»; there are loan, at, customer, debt, bad"),
        "{}",
        said(&other)
    );
    let other = PROJECT.replace("\"whom\"", "\"whose\"");
    assert!(said(&other).contains("«whose»"), "{}", said(&other));
}

#[test]
fn edges_alone_give_the_figures_of_the_use_case() {
    let dir = folder();
    let text = friends().replacen("who,whom,since", "from,to,time", 1);
    let edges = dir.path().join("edges.csv");
    fs::write(&edges, text).unwrap();
    let run = Run::new(1, 2);
    let table = read_table(&dir.path().join("loans.csv").to_string_lossy(), &ReadOptions::default(), &run).unwrap();
    let settings = Settings {
        use_case: UseCase::Credit,
        target: "bad".into(),
        id: Some("loan".into()),
        time: Some("at".into()),
        group: Some("customer".into()),
        label_delay: Some("20 days".into()),
        models: vec!["logistic".into()],
        folds: 2,
        quick: true,
        ..Settings::default()
    };
    let given = Given { edges: Some(edges.to_string_lossy().into_owned()), ..Given::default() };
    let trained = pipeline::train(table.clone(), &settings, &BTreeMap::new(), &given, &run).unwrap();
    let own = trained.bundle.network.unwrap();
    let names: Vec<&str> = own.definition.column_names().collect();
    for name in
        ["customer_fan_in_7d", "customer_cycles_3_30d", "customer_pagerank_in_90d", "customer_neighbour_max_bad_90d"]
    {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(!names.iter().any(|name| name.starts_with("near_")), "nobody reads nodes");
    let wanted = Settings { models: vec!["graphsage".into()], ..settings.clone() };
    let wanted = pipeline::train(table.clone(), &wanted, &BTreeMap::new(), &given, &run).unwrap();
    assert_eq!(wanted.bundle.manifest.family, "graphsage");
    let said = |settings: Settings| {
        pipeline::train(table.clone(), &settings, &BTreeMap::new(), &given, &run).err().expect("refused").to_string()
    };
    let message = said(Settings { group: None, ..settings.clone() });
    assert!(message.contains("edges: rows name no node (--card and --terminal COL, or --group COL)"), "{message}");
    let message = said(Settings { time: None, label_delay: None, ..settings });
    assert!(message.contains("edges: rows have no time (--time COL)"), "{message}");
}

#[test]
fn edges_that_are_not_those_of_the_rows_are_told() {
    let dir = folder();
    let run = Run::new(1, 2);
    let table = read_table(&dir.path().join("loans.csv").to_string_lossy(), &ReadOptions::default(), &run).unwrap();
    let settings = Settings {
        use_case: UseCase::Credit,
        target: "bad".into(),
        time: Some("at".into()),
        group: Some("customer".into()),
        models: vec!["logistic".into()],
        quick: true,
        ..Settings::default()
    };
    let said = |address: String| {
        let given = Given { edges: Some(address), ..Given::default() };
        let told = pipeline::train(table.clone(), &settings, &BTreeMap::new(), &given, &run).err().expect("refused");
        told.to_string().replace(&format!("{}/", dir.path().display()), "")
    };
    let of = |text: String| {
        let edges = dir.path().join("edges.csv");
        fs::write(&edges, text).unwrap();
        said(edges.to_string_lossy().into_owned())
    };
    assert_eq!(
        of(friends().replacen("who,whom,since", "who,to,time", 1)),
        "edges.csv: no column «from»; edges are read from the columns from, time, to; there are who, to, time, how, agreed"
    );
    let others = of(friends().replacen("who,whom,since", "from,to,time", 1).replace('C', "X"));
    assert!(others.starts_with("network: no end of the "), "{others}");
    assert!(
        others.ends_with(" edges is in customer of the rows; nodes are called in the edges as rows call them"),
        "{others}"
    );
    let twice = said("-".into());
    assert!(twice.starts_with("edges: standard input is read once, and its columns are looked at before"), "{twice}");
    let trained = trained(PROJECT);
    fs::write(trained.dir.path().join("other.csv"), friends().replacen("who,whom,since", "from,to,time", 1)).unwrap();
    let told = trained.score("loans.csv", None, Some("other.csv")).expect_err("refused").to_string();
    assert!(
        told.ends_with(
            "other.csv: no column «since»; edges are read from the columns agreed, how, since, who, whom; there are from, \
             to, time, how, agreed"
        ),
        "{told}"
    );
}

/// How rows of nodes and edges like these are taken, with more of a declaration.
fn live(nodes: &str, edges: &str, more: &str) -> Result<LiveNetwork> {
    let text = format!(
        "time = \"at\"\nnodes = [{nodes}]\nlabel = \"bad\"\nlabel_delay = \"1d\"\nedges = {{ purpose = [\"fraud\"], {edges} }}\n\
         [[feature]]\nwhat = [\"fan_in\"]\nover = [\"7d\"]\n{more}"
    );
    let network: Network = statera_data::toml_text::read(&text, "test").unwrap();
    let own = OwnNetwork { definition: Arc::new(Definition::new(network).unwrap()), inputs: Vec::new() };
    let seen = declared("money", Kind::Number);
    own.live(&[InputColumn { data_type: arrow_schema::DataType::Int64, ..seen }])
}

fn types(inputs: &[InputColumn]) -> Vec<(&str, String)> {
    inputs.iter().map(|input| (input.name.as_str(), input.data_type.to_string())).collect()
}

#[test]
fn rows_are_taken_one_by_one_where_they_are_edges_or_edges_come() {
    let both = "\"a\", \"b\"";
    let payments = "from = \"a\", to = \"b\", time = \"at\", amount = \"money\", kind = \"how\"";
    let taken = live(both, payments, "").unwrap();
    assert!(taken.edge_inputs.is_none());
    let own = types(&taken.inputs);
    assert!(own.contains(&("money", "Int64".into())), "as the model reads it: {own:?}");
    assert!(own.contains(&("how", "Utf8".into())), "as it is declared: {own:?}");
    let shared = "from = \"who\", to = \"whom\", time = \"since\", kind = \"how\", consent = \"agreed\"";
    let come = live(both, &format!("{shared}, live = true"), "").unwrap();
    let of_edges = come.edge_inputs.expect("edges come");
    let names: Vec<&str> = of_edges.iter().map(|input| input.name.as_str()).collect();
    assert_eq!((come.inputs.len(), names), (0, vec!["agreed", "how", "since", "who", "whom"]));
    let near = |of: &str| format!("[[neighbourhood]]\nname = \"near\"\nof = [{of}]\nover = \"7d\"\n");
    live(both, payments, &near("\"bad\"")).unwrap();
    let without_end =
        "the cell of «x» of a node's last row is looked for without end; needed is cells_within, such as \"90d\"";
    let no_edges = "rows are no edges, and edges.live does not say that the server is sent any";
    let mean = "[[feature]]\nwhat = [\"neighbour_mean\"]\nof = \"x\"\nover = [\"7d\"]\n";
    live(both, payments, mean).unwrap();
    let sent = format!("{shared}, live = true");
    for (nodes, edges, more, why) in [
        ("\"a\"", payments, String::new(), no_edges),
        (both, "from = \"who\", to = \"b\", time = \"at\"", String::new(), no_edges),
        (both, "from = \"a\", to = \"b\", time = \"since\"", String::new(), no_edges),
        (both, payments, near("\"x\""), without_end),
        (both, sent.as_str(), mean.into(), without_end),
        (
            "\"a\", \"b\"]\nuntil = \"at\"\ncases = [",
            payments,
            String::new(),
            "rows see edges of their own time, of which some come later; needed is until = \"before\"",
        ),
    ] {
        let told = live(nodes, edges, &more).unwrap_err().to_string();
        assert_eq!(told, format!("the network's figures cannot be made as rows come: {why}"));
    }
    let bounded = "\"a\", \"b\"]\nuntil = \"at\"\ncells_within = \"30d\"\ncases = [";
    live(bounded, &sent, &(near("\"x\"") + mean)).unwrap();
    let text = format!("time = \"at\"\nnodes = [{both}]\nedges = {{ purpose = [], {payments}, live = true }}\n");
    let network: Network =
        statera_data::toml_text::read(&format!("{text}[[feature]]\nwhat = [\"fan_in\"]\nover = [\"7d\"]\n"), "test")
            .unwrap();
    let told = Definition::new(network).unwrap_err().to_string();
    assert_eq!(told, "network: edges: live: has no meaning where rows are the edges; leave it out");
}
