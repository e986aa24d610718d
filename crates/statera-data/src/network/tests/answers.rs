//! What is refused, and how that is said.

use super::*;

fn refused(text: &str, expected: &str) {
    let message = definition(text).unwrap_err().to_string();
    assert!(message.contains(expected), "«{message}» does not contain «{expected}»");
}

fn with(feature: &str) -> String {
    network("\"a\"", &format!("[[feature]]\n{feature}"))
}

#[test]
fn declarations_that_contradict_themselves_are_refused() {
    let good = with("what = [\"fan_in\"]\nover = [\"7d\"]\n");
    definition(&good).unwrap();
    let check = |from: &str, to: &str, expected: &str| refused(&good.replace(from, to), expected);
    check("[[feature]]\nwhat = [\"fan_in\"]\nover = [\"7d\"]\n", "", "network: feature: none is declared");
    check("[\"a\"]", "[\"a\", \"b\", \"c\"]", "nodes: «a, b, c» is not allowed; allowed are 1 or 2 columns");
    check("[\"a\"]", "[\"a\", \"a\"]", "nodes: «a, a» is not allowed");
    check("nodes =", "cases = [\"b\"]\nnodes =", "cases: «b» is none of nodes; allowed are a");
    check("nodes =", "max_neighbours = 0\nnodes =", "max_neighbours: 0 is not allowed; allowed are 1 to 1000");
    check("label_delay = \"7d\"\n", "", "label_delay: missing; a label is not known with its row");
    check("label = \"fraud\"\n", "", "label_delay: has no meaning without label");
    check("kind = \"kind\"", "kind = \"amount\"", "edges: column «amount» has two roles; a column has one");
    check(
        "amount = \"amount\"",
        "purposes = { z = [] }",
        "edges: purposes: column «z» is not read; allowed are from, to",
    );
    check("purpose = [\"fraud\"], ", "", "missing field `purpose`");
    check("[\"7d\"]", "[\"0d\"]", "«0d» is no length of time");
    check("\"fan_in\"", "\"fan\"", "unknown variant `fan`");
    check("over", "nodes = [\"b\"]\nover", "feature 1: nodes: «b» is none of the network's; allowed are a");
    check("\"fan_in\"", "\"closes_2\"", "feature 1: what: closes_2 is of rows with two nodes");
    check("over", "damping = 0.5\nover", "damping: has no meaning without pagerank");
    check("over", "direction = \"in\"\nover", "direction: in has no meaning without neighbours or pagerank");
    check("over", "of = \"x\"\nover", "of: «x» has no meaning without neighbour_mean or neighbour_max");
    check("\"fan_in\"", "\"neighbour_mean\"", "of: missing; neighbour_mean is of a number column, or of the label");
    let rank = with("what = [\"pagerank\"]\nover = [\"7d\"]\ndamping = 1.0\n");
    refused(&rank, "feature 1: damping: 1 is not allowed; allowed is above 0 and at most 0.99");
    let unlabelled = rank.replace("label = \"fraud\"\nlabel_delay = \"7d\"\nlabel_time = \"told\"\n", "");
    refused(&unlabelled, "what: pagerank starts at known cases; declare network.label and network.label_delay");
    let amount = with("what = [\"amount_in\"]\nover = [\"7d\"]\n").replace("amount = \"amount\", ", "");
    refused(&amount, "what: amount_in needs network.edges.amount");
    let kind = with("what = [\"fan_in\"]\nkinds = [\"pay\"]\nover = [\"7d\"]\n").replace(", kind = \"kind\"", "");
    refused(&kind, "kinds: the edges have no column of kinds; name it with network.edges.kind");
}

#[test]
fn neighbourhoods_that_contradict_themselves_are_refused() {
    let good = network("\"a\"", "[[neighbourhood]]\nname = \"near\"\nof = [\"x\"]\nover = \"7d\"\nfans = [2, 1]\n");
    let names: Vec<String> = definition(&good).unwrap().column_names().map(String::from).collect();
    let expected = ["near_edges_1", "near_x_1", "near_edges_2", "near_x_2"];
    assert_eq!(names[..4], expected);
    assert_eq!((names.len(), names.last().map(String::as_str)), (10, Some("near_x_5")));
    let parsed: Network = crate::toml_text::read(&good, "test").unwrap();
    assert_eq!(parsed.column_names(), names);
    assert_eq!(parsed.inputs(), ["at", "fraud", "told", "a", "x"]);
    let again = toml::to_string(&parsed).unwrap();
    assert_eq!(crate::toml_text::read::<Network>(&again, "test").unwrap(), parsed);
    let plain = good.replace("fans = [2, 1]\n", "");
    assert_eq!(definition(&plain).unwrap().column_names().count(), 2 * 61);
    let check = |from: &str, to: &str, expected: &str| refused(&good.replace(from, to), expected);
    check("\"near\"", "\"\"", "network: neighbourhood 1 («»): name: is empty; its columns begin with it");
    check("over", "node = \"b\"\nover", "neighbourhood 1 («near»): node: «b» is none of the network's; allowed are a");
    check("[2, 1]", "[2, 0]", "neighbourhood 1 («near»): fans: 0 is not allowed; allowed are 1 to 100");
    check("[2, 1]", "[101, 1]", "fans: 101 is not allowed; allowed are 1 to 100");
    check("[2, 1]", "[2]", "invalid length 1");
    check("[2, 1]", "[40, 20]", "network: 1682 columns; allowed are 1000");
    check("[\"x\"]", "[\"told\"]", "of: when a label became known is not known with a row");
    check("[\"x\"]", "[\"x\", \"x\"]", "network: column «near_x_1» would be made twice");
    let kinds = good.replace("over", "kinds = [\"pay\"]\nover");
    definition(&kinds).unwrap();
    refused(&kinds.replace(", kind = \"kind\"", ""), "kinds: the edges have no column of kinds");
}

#[test]
fn edges_without_sense_are_refused_with_their_row() {
    let text = with("what = [\"fan_in\"]\nkinds = [\"pay\"]\nover = [\"7d\"]\n");
    let definition = definition(&text).unwrap();
    let said = |edges: &[EdgeLine]| Edges::of(&edge_batch(edges), &definition).unwrap_err().to_string();
    let good = ("u", "v", 1, 1.0, "pay");
    assert_eq!(
        said(&[good, ("u", "u", 1, 1.0, "pay")]),
        "row 2: an edge from «u» to itself; allowed are two different nodes, or self_edges = \"leave_out\""
    );
    assert_eq!(
        said(&[good, ("u", "v", 1, -1.5, "pay")]),
        "column «amount», row 2: -1.5 is not allowed; allowed is from 0 to 1e12, and the direction of the money is that of the edge"
    );
    assert!(said(&[("u", "v", 1, 1e13, "pay")]).contains("column «amount», row 1: 10000000000000 is not allowed"));
    let replaced = |name: &str, cells: ArrayRef| {
        let batch = edge_batch(&[good, good]);
        let columns: Vec<(String, ArrayRef)> = batch
            .schema()
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(f, c)| (f.name().clone(), if f.name() == name { cells.clone() } else { c.clone() }))
            .collect();
        Edges::of(&RecordBatch::try_from_iter(columns).unwrap(), &definition).unwrap_err().to_string()
    };
    assert_eq!(replaced("time", times(vec![Some(1), None])), "column «time», row 2: missing; every edge needs a time");
    assert_eq!(
        replaced("to", Arc::new(StringArray::from(vec![None, Some("v")]))),
        "column «to», row 1: missing; every edge needs two nodes and a time"
    );
    let few = edge_batch(&[good]).project(&[0, 1, 2, 3]).unwrap();
    assert_eq!(
        Edges::of(&few, &definition).unwrap_err().to_string(),
        "no column «kind»; there are from, to, time, amount (network.edges names them)"
    );
    let edges = Edges::of(&edge_batch(&[("u", "v", 1, 1.0, "card")]), &definition).unwrap();
    assert_eq!(
        edges.check_kinds(&definition).unwrap_err().to_string(),
        "network: no edge is of kind «pay»; there are card"
    );
    // What is passed over is counted.
    let lenient = text.replace("kind = \"kind\"", "kind = \"kind\", self_edges = \"leave_out\"");
    let edges = Edges::of(&edge_batch(&[good, ("u", "u", 1, 1.0, "pay")]), &super::definition(&lenient).unwrap());
    assert_eq!(edges.unwrap().counts, EdgeCounts { n_used: 1, n_without_consent: 0, n_to_itself: 1 });
}

#[test]
fn rows_without_sense_are_refused_with_their_row() {
    let definition = definition(&with("what = [\"fan_in\"]\nover = [\"7d\"]\n")).unwrap();
    let early = RowLine { is_fraud: true, told: Some(DAY), ..row("u", 2 * DAY) };
    assert_eq!(
        Rows::of(&row_batch(&[row("u", 1), early]), &definition).unwrap_err().to_string(),
        "column «told», row 2: known at 1970-01-02, before the row itself, 1970-01-03"
    );
    let few = row_batch(&[row("u", 1)]).project(&[1, 2]).unwrap();
    assert_eq!(
        Rows::of(&few, &definition).unwrap_err().to_string(),
        "column «a» is missing; the network's figures read at, fraud, told, a"
    );
}

#[test]
fn edges_are_used_for_what_they_may_be_used_only() {
    let text = with("what = [\"fan_in\"]\nover = [\"7d\"]\n");
    let network = |text: &str| crate::toml_text::read::<Network>(text, "test").unwrap();
    network(&text).check_purpose("fraud").unwrap();
    assert_eq!(
        network(&text).check_purpose("credit").unwrap_err().to_string(),
        "network.edges: column «from» may be used for fraud, not for credit; without the consent of those it tells of it is \
         no input"
    );
    let narrower =
        text.replace("purpose = [\"fraud\"]", "purpose = [\"fraud\", \"credit\"], purposes = { amount = [\"fraud\"] }");
    let message = network(&narrower).check_purpose("credit").unwrap_err().to_string();
    assert!(message.contains("column «amount» may be used for fraud, not for credit"), "{message}");
    network(&narrower).check_purpose("fraud").unwrap();

    // Edges to whose use an end has not agreed are not there.
    let consenting = text.replace("kind = \"kind\"", "consent = \"kind\"");
    let definition = definition(&consenting).unwrap();
    let edges = [("p", "u", 1, 1.0, "yes"), ("q", "u", 1, 1.0, "no"), ("r", "u", 1, 1.0, "")];
    assert_eq!(made(&definition, &edges, &[row("u", 2)], 0), [vec![1.0]]);
    let counts = Edges::of(&edge_batch(&edges), &definition).unwrap().counts;
    assert_eq!(counts, EdgeCounts { n_used: 1, n_without_consent: 2, n_to_itself: 0 });
    let odd = Edges::of(&edge_batch(&[("p", "u", 1, 1.0, "perhaps")]), &definition).unwrap_err().to_string();
    assert_eq!(odd, "column «kind», row 1: «perhaps» is no consent; allowed are yes and no, true and false, 1 and 0");
}
