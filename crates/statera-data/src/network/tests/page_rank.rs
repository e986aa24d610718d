//! PageRank by hand and by networkx 3.6.1.

use super::super::page_rank::page_rank;
use super::*;

fn near(found: &[f64], expected: &[f64]) {
    let distance: f64 = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).sum();
    assert!(found.len() == expected.len() && distance <= 2.0 * TOLERANCE, "{distance:e}: {found:?}");
}

#[test]
fn ranks_of_a_path_are_those_solved_by_hand() {
    // p0 = (1 − α) + α p1, because node 1 leads nowhere, and p1 = α p0: p0 = 1 / (1 + α).
    for damping in [0.1, 0.5, 0.85, MAX_DAMPING] {
        near(&page_rank(2, vec![(0, 1)], &[0], damping), &[1.0 / (1.0 + damping), damping / (1.0 + damping)]);
    }
    // A cycle of three from one case: p_k ∝ α^k.
    let (a, sum) = (0.85_f64, 1.0 + 0.85 + 0.85 * 0.85);
    near(&page_rank(3, vec![(2, 0), (0, 1), (1, 2)], &[0], a), &[1.0 / sum, a / sum, a * a / sum]);
    // Nobody leads anywhere: the walk stays at the cases.
    near(&page_rank(3, Vec::new(), &[0, 2], 0.85), &[0.5, 0.0, 0.5]);
}

#[test]
fn ranks_are_those_of_networkx() {
    // nx.gnp_random_graph(9, .22, seed=4, directed=True); nx.pagerank(g, alpha=.85, personalization={0: 1, 3: 1}, tol=1e-14)
    let mut edges = vec![
        (0, 2),
        (0, 4),
        (0, 5),
        (1, 5),
        (1, 6),
        (1, 7),
        (2, 4),
        (3, 1),
        (3, 6),
        (3, 8),
        (5, 4),
        (5, 8),
        (6, 0),
        (6, 8),
        (7, 1),
        (8, 1),
        (8, 2),
    ];
    let expected = [
        0.177583279909,
        0.115052224818,
        0.096254922442,
        0.146132308966,
        0.167370138744,
        0.082913393006,
        0.074002284572,
        0.032598130365,
        0.108093317178,
    ];
    near(&page_rank(9, edges.clone(), &[0, 3], 0.85), &expected);
    // Three edges more, two of them the same: a weight of 2 there. alpha=.5, personalization={6: 1}
    edges.extend([(0, 1), (2, 5), (2, 5)]);
    let expected = [
        0.131873094727,
        0.056904143615,
        0.052162131647,
        0.0,
        0.036016709947,
        0.043355537993,
        0.527492378909,
        0.009484023936,
        0.142711979225,
    ];
    near(&page_rank(9, edges.clone(), &[6], 0.5), &expected);
    let forward = page_rank(9, edges.clone(), &[6], 0.5);
    edges.reverse();
    assert_eq!(page_rank(9, edges, &[6], 0.5), forward, "the order of edges does not matter");
}

#[test]
fn a_snapshot_sees_what_was_known_when_it_was_made() {
    let text = network("\"a\"", "[[feature]]\nwhat = [\"pagerank\"]\nover = [\"3d\"]\ndirection = \"out\"\n");
    let edges = [("c", "u", DAY / 2, 1.0, "pay"), ("c", "v", DAY + 5, 1.0, "pay")];
    let case = RowLine { is_fraud: true, told: Some(DAY / 4), ..row("c", 0) };
    let at = |t: i64| row("u", t);
    let rows = [case, at(DAY - 1), at(DAY), at(2 * DAY - 1), at(2 * DAY), at(4 * DAY), at(9 * DAY), row("c", 9 * DAY)];
    let (p_alone, p_of_two) = (0.85 / 1.85, 0.425 / 1.85);
    let found = one(&text, &edges, &rows);
    near(&found, &[0.0, 0.0, p_alone, p_alone, p_of_two, 0.0, 0.0, 1.0]);
    // Both ways u leads back to the case: between two nodes that is a cycle.
    let found = one(&text.replace("\"out\"", "\"any\""), &edges, &rows);
    near(&found[2..3], &[0.85 / 1.85]);
    let hourly = text.replace("direction", "every = \"6h\"\ndirection");
    near(&one(&hourly, &edges, &rows)[..3], &[0.0, p_alone, p_alone]);
}

#[test]
fn more_snapshots_than_could_be_computed_are_refused() {
    let text = network("\"a\"", "[[feature]]\nwhat = [\"pagerank\"]\nover = [\"1d\"]\nevery = \"1s\"\n");
    let definition = definition(&text).unwrap();
    let lines: Vec<RowLine> = (0..4_001).map(|i| row("u", i * SECOND)).collect();
    let edges = Edges::of(&edge_batch(&[]), &definition).unwrap();
    let rows = Rows::of(&row_batch(&lines), &definition).unwrap();
    let message = columns(&definition, &edges, &rows, 0, &Run::new(1, 1)).unwrap_err().to_string();
    assert!(message.contains("pagerank would be computed 4001 times; allowed are 4000"), "{message}");
    assert_eq!(columns(&definition, &edges, &rows, 1, &Run::new(1, 1)).unwrap()[0].len(), 4_000);
}
