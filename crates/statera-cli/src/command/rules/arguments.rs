//! What can be typed after `statera rules`.

use crate::args::{DATA_HELP, Language, Reading};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Examples of the command.
pub const EXAMPLES: &str = "Examples:
  statera rules check fraud-rules.toml transactions.csv
  statera rules show fraud-rules.toml --lang ko
  statera rules backtest fraud-rules.toml transactions.csv --target tx_fraud --amount tx_amount
  statera rules backtest fraud-rules.toml transactions.csv --bundle fraud.statera --amount tx_amount
  statera rules backtest fraud-rules.toml may.csv --bundle fraud.statera --edges devices.csv --history april.csv
  statera rules put fraud-rules.toml fraud.statera --out ruled.statera

A bundle with other rules is another bundle: statera registry add-version makes it a version of
its model, which answers once other persons have approved it. docs/rules.md has the file.";

#[derive(Args)]
pub struct Rules {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Check a file of rules: alone, against a table's columns, or against a bundle's
    Check {
        /// The file of rules (docs/rules.md)
        rules: PathBuf,
        /// A table whose columns the rules must fit
        data: Option<String>,
        /// A bundle whose columns, with those that the file declares, the rules must fit
        #[arg(long, value_name = "BUNDLE", conflicts_with = "data")]
        bundle: Option<PathBuf>,
        #[command(flatten)]
        reading: Reading,
    },
    /// Show rules in the order in which they decide
    Show {
        /// The file of rules, or a bundle that has some
        rules: PathBuf,
        /// Language of the names
        #[arg(long, value_enum, default_value = "en")]
        lang: Language,
    },
    /// What rules would have done on rows whose outcomes are known: alerts, precision, money, overlap with the model
    Backtest(Box<Backtest>),
    /// Put rules into a new bundle of the same model
    Put {
        /// The file of rules
        rules: PathBuf,
        /// The bundle
        bundle: PathBuf,
        /// Where the new bundle goes
        #[arg(long, value_name = "BUNDLE")]
        out: PathBuf,
        /// Replace a bundle of that name
        #[arg(long)]
        force: bool,
    },
}

#[derive(Args)]
pub struct Backtest {
    /// The file of rules, or a bundle that has some
    pub rules: PathBuf,
    #[arg(help = DATA_HELP)]
    pub data: String,
    /// The bundle whose scores the rules see and are compared with
    #[arg(long, value_name = "BUNDLE", conflicts_with = "score")]
    pub bundle: Option<PathBuf>,
    /// Column of scores from 0 to 1, in place of a bundle
    #[arg(long, value_name = "COL")]
    pub score: Option<String>,
    /// Probability from which the model alerts; the bundle's cut-off if not given
    #[arg(long, value_name = "P")]
    pub threshold: Option<f64>,
    /// Column of the outcome; the bundle's if not given
    #[arg(long, value_name = "COL")]
    pub target: Option<String>,
    /// The target's value that is the event
    #[arg(long, value_name = "VALUE")]
    pub positive: Option<String>,
    /// Column of money, to see what is caught and what is stopped
    #[arg(long, value_name = "COL")]
    pub amount: Option<String>,
    /// Column of the row's time, for figures by day; that of the rules if not given
    #[arg(long, value_name = "COL")]
    pub time: Option<String>,
    /// Rows of the same columns that came before, for windowed features and those of a network to reach back to; rules are not
    /// tried on them
    #[arg(long, value_name = "DATA", requires = "bundle")]
    pub history: Option<String>,
    /// Edges that figures of a network are made of (docs/network.md)
    #[arg(long, value_name = "DATA", requires = "bundle")]
    pub edges: Option<String>,
    #[command(flatten)]
    pub reading: Reading,
}
