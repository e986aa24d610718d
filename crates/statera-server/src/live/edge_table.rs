//! Which table recorded edges are of, and what its columns were called: a champion that comes later may declare another table with
//! the same columns, and must not take the one for the other.

use serde::{Deserialize, Serialize};
use statera_data::network::EdgeColumns;

/// A table of edges, as the network that took them declared it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeTable {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    from: String,
    to: String,
    time: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consent: Option<String>,
}

impl EdgeTable {
    /// The table that a network declares.
    pub fn of(declared: &EdgeColumns) -> EdgeTable {
        let EdgeColumns { source, from, to, time, amount, kind, consent, .. } = declared.clone();
        EdgeTable { source, from, to, time, amount, kind, consent }
    }

    /// True if a network that declares this table may read what was recorded of the other: it is the same table, and no column has
    /// another name. What only one of the two asks for makes no other table of it.
    pub fn reads(&self, recorded: &EdgeTable) -> bool {
        let is_same = |own: &Option<String>, other: &Option<String>| own.is_none() || other.is_none() || own == other;
        self.source == recorded.source
            && [&self.from, &self.to, &self.time] == [&recorded.from, &recorded.to, &recorded.time]
            && is_same(&self.amount, &recorded.amount)
            && is_same(&self.kind, &recorded.kind)
            && is_same(&self.consent, &recorded.consent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> EdgeTable {
        let whole = format!("{{\"from\":\"a\",\"to\":\"b\",\"time\":\"at\"{text}}}");
        serde_json::from_str(&whole).expect("a table")
    }

    #[test]
    fn another_table_and_other_columns_are_not_read() {
        let own = table(",\"source\":\"devices\",\"consent\":\"agreed\"");
        for (recorded, is_read) in [
            (",\"source\":\"devices\",\"consent\":\"agreed\"", true),
            (",\"source\":\"devices\"", true),
            (",\"source\":\"devices\",\"amount\":\"sum\",\"kind\":\"how\"", true),
            (",\"source\":\"payments\",\"consent\":\"agreed\"", false),
            (",\"consent\":\"agreed\"", false),
            (",\"source\":\"devices\",\"consent\":\"agreed_to_ads\"", false),
        ] {
            assert_eq!(own.reads(&table(recorded)), is_read, "{recorded}");
        }
        let other = EdgeTable { time: "since".into(), ..own.clone() };
        assert!(!own.reads(&other), "another column of times");
    }
}
