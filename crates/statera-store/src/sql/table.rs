//! The tables, and inserting many rows by one statement.

use super::failure::Attempt;
use super::value::{self, Value};
use sqlx::Arguments;
use sqlx::postgres::PgArguments;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
    Blob,
}

/// A table: its name and columns, the key first.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// Columns that order it, and that no two rows share.
    pub(crate) n_key: usize,
}

use Kind::{Blob, Int, Text};

pub(crate) static AUDIT: Table = Table {
    name: "audit",
    columns: &[("place", Int), ("at_us", Int), ("actor", Text), ("body", Text), ("hash", Blob)],
    n_key: 1,
};
pub(crate) static RECORD: Table = Table {
    name: "record",
    columns: &[("id", Blob), ("follows", Blob), ("place", Int), ("first_part", Int), ("n_parts", Int)],
    n_key: 1,
};
pub(crate) static PART: Table =
    Table { name: "part", columns: &[("id", Int), ("place", Int), ("key_id", Blob), ("sealed", Blob)], n_key: 1 };
pub(crate) static SUBJECT_KEY: Table = Table {
    name: "subject_key",
    columns: &[("id", Blob), ("subject", Blob), ("period", Int), ("wrapped", Blob), ("erased_us", Int)],
    n_key: 1,
};
pub(crate) static REQUEST: Table = Table {
    name: "request",
    columns: &[("scope", Text), ("name", Text), ("record", Blob), ("body_digest", Blob)],
    n_key: 2,
};

/// Every table, for backups.
pub(crate) static TABLES: &[&Table] = &[
    &Table { name: "meta", columns: &[("name", Text), ("value", Text)], n_key: 1 },
    &Table { name: "chain", columns: &[("id", Int), ("name", Text)], n_key: 1 },
    &AUDIT,
    &RECORD,
    &PART,
    &SUBJECT_KEY,
    &REQUEST,
    &Table {
        name: "alert",
        columns: &[
            ("id", Blob),
            ("model", Text),
            ("card", Blob),
            ("opened_us", Int),
            ("last_us", Int),
            ("risk", Int),
            ("n_waiting", Int),
            ("assigned", Text),
            ("verdict", Text),
            ("closed_us", Int),
            ("steps", Int),
        ],
        n_key: 1,
    },
    &Table {
        name: "suspect",
        columns: &[("record", Blob), ("of_alert", Blob), ("risk", Int), ("answered", Int)],
        n_key: 1,
    },
    &Table { name: "alert_key", columns: &[("value", Blob), ("of_alert", Blob), ("name", Text)], n_key: 2 },
    &Table { name: "tier", columns: &[("tier", Int), ("approvals", Int)], n_key: 1 },
    &Table { name: "model", columns: &[("name", Text), ("tier", Int), ("route", Text)], n_key: 1 },
    &Table {
        name: "version",
        columns: &[
            ("model", Text),
            ("number", Int),
            ("digest", Text),
            ("note", Text),
            ("made_by", Text),
            ("at_us", Int),
        ],
        n_key: 2,
    },
    &Table {
        name: "proposal",
        columns: &[
            ("id", Blob),
            ("model", Text),
            ("change", Text),
            ("note", Text),
            ("made_by", Text),
            ("at_us", Int),
            ("state", Text),
            ("approved_by", Text),
            ("rejected", Text),
        ],
        n_key: 1,
    },
    &Table {
        name: "person",
        columns: &[
            ("name", Text),
            ("roles", Text),
            ("password", Text),
            ("disabled", Int),
            ("failures", Int),
            ("locked_until_us", Int),
        ],
        n_key: 1,
    },
    &Table {
        name: "api_key",
        columns: &[
            ("prefix", Text),
            ("secret_mac", Blob),
            ("label", Text),
            ("roles", Text),
            ("rate", Int),
            ("urgent", Int),
            ("expires_us", Int),
            ("revoked", Int),
            ("made_by", Text),
            ("at_us", Int),
        ],
        n_key: 1,
    },
    &Table {
        name: "session",
        columns: &[("secret_digest", Blob), ("person", Text), ("at_us", Int), ("expires_us", Int)],
        n_key: 1,
    },
];

impl Table {
    /// `a, b, c`.
    pub(crate) fn column_list(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// The statement for `n` rows in SQLite. Parameters are nameless: named ones are searched for one by one. Rows before one
    /// that cannot be inserted stay, for the transaction is undone as a whole: to undo a statement alone, SQLite would keep
    /// every page as it was before it, in a file.
    pub(crate) fn insert_sqlite(&self, n: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns.len()].join(","));
        format!("INSERT OR FAIL INTO {} ({}) VALUES {}", self.name, self.column_list(), vec![row; n].join(","))
    }

    /// The statement for any number of rows in PostgreSQL: an array a column.
    pub(crate) fn insert_postgres(&self) -> String {
        let arrays: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, (_, kind))| {
                let name = match kind {
                    Int => "bigint",
                    Text => "text",
                    Blob => "bytea",
                };
                format!("${}::{name}[]", i + 1)
            })
            .collect();
        format!("INSERT INTO {} ({}) SELECT * FROM unnest({})", self.name, self.column_list(), arrays.join(", "))
    }

    /// The rows' values as arrays, a column each.
    pub(crate) fn arrays(&self, rows: Vec<Value>) -> Attempt<PgArguments> {
        let width = self.columns.len();
        let n = rows.len() / width;
        let mut columns: Vec<Vec<Value>> = (0..width).map(|_| Vec::with_capacity(n)).collect();
        for (i, value) in rows.into_iter().enumerate() {
            columns[i % width].push(value);
        }
        let mut arguments = PgArguments::default();
        for ((_, kind), column) in self.columns.iter().zip(columns) {
            // A value of another kind cannot be in a column: rows are built beside the table's definition.
            match kind {
                Int => arguments.add(
                    column
                        .into_iter()
                        .map(|v| if let Value::Int(v) = v { v } else { None })
                        .collect::<Vec<Option<i64>>>(),
                ),
                Text => arguments.add(
                    column
                        .into_iter()
                        .map(|v| if let Value::Text(v) = v { v } else { None })
                        .collect::<Vec<Option<String>>>(),
                ),
                Blob => arguments.add(
                    column
                        .into_iter()
                        .map(|v| if let Value::Blob(v) = v { v } else { None })
                        .collect::<Vec<Option<Vec<u8>>>>(),
                ),
            }
            .map_err(value::unfit)?;
        }
        Ok(arguments)
    }
}
