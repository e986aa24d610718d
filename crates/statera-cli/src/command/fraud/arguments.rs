//! What can be typed after `statera fraud`.

use crate::args::{DATA_HELP, Entrance};
use clap::{Args, Subcommand, ValueEnum};

/// Examples of the command.
pub const EXAMPLES: &str = "Examples:
  statera fraud alerts --person ben --password-file ben.txt
  statera fraud alerts --person ben --password-file ben.txt list --model cards --limit 20
  statera fraud alerts --person ben --password-file ben.txt list --state closed --all --json
  statera fraud alerts --person ben --password-file ben.txt assign 019a…
  statera fraud alerts --person ben --password-file ben.txt show 019a…
  statera fraud alerts --person ben --password-file ben.txt confirm 019a… --note 'the customer knows nothing of it'
  statera fraud alerts --person ben --password-file ben.txt dismiss 019a… --reason customer_confirmed
  statera fraud alerts --key-file look.key --json
  statera fraud edges devices.csv --model cards --key-file payments.key

Makers and checkers work on alerts; a key can look. docs/fraud.md has what a case is, docs/network.md what edges are.";

#[derive(Args)]
pub struct Fraud {
    #[command(subcommand)]
    pub verb: FraudVerb,
}

#[derive(Subcommand)]
pub enum FraudVerb {
    /// Cases of suspicious transactions, those with the most at stake first
    Alerts(Alerts),
    /// Send the edges of a table to a model whose network counts them as they come; what was sent before counts once
    Edges(Edges),
}

#[derive(Args)]
pub struct Edges {
    #[command(flatten)]
    pub entrance: Entrance,
    #[arg(help = DATA_HELP)]
    pub data: String,
    /// The model
    #[arg(long)]
    pub model: String,
    /// Edges of one request, more only where they are alike; not above the server's compute.max_rows
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch: u32,
}

#[derive(Args)]
pub struct Alerts {
    #[command(flatten)]
    pub entrance: Entrance,
    #[command(subcommand)]
    pub verb: Option<AlertsVerb>,
}

#[derive(Subcommand)]
pub enum AlertsVerb {
    /// The queue: what the shift has room for, if nothing else is said
    List(List),
    /// A case: what its card did lately, what was done about it, and cases like it
    Show {
        /// The case
        id: String,
    },
    /// Take a case, or give it to somebody
    Assign {
        /// The case
        id: String,
        /// Who works on it; who signs in, if not given
        #[arg(long, value_name = "NAME")]
        to: Option<String>,
        /// Who has it, where it is taken over from somebody else
        #[arg(long, value_name = "NAME")]
        from: Option<String>,
        /// Remark
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Its transactions are frauds
    Confirm {
        /// The case
        id: String,
        /// The frauds among the card's transactions, by their own ids; all of the case that wait, if not given
        #[arg(long, value_delimiter = ',', value_name = "ID,…")]
        transactions: Option<Vec<String>>,
        /// Remark
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Its transactions are genuine
    Dismiss {
        /// The case
        id: String,
        /// Why: a code of the server's settings
        #[arg(long)]
        reason: String,
        /// Remark
        #[arg(long, default_value = "")]
        note: String,
    },
}

#[derive(Args, Default)]
pub struct List {
    /// Of one model
    #[arg(long)]
    pub model: Option<String>,
    /// In one state; open and assigned, if not given
    #[arg(long, value_enum)]
    pub state: Option<CaseState>,
    /// At most so many, also beyond what the shift has room for
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
    /// Those alone that come after this place: «next» of a list before
    #[arg(long, value_name = "PLACE")]
    pub after: Option<String>,
    /// All of them, page by page
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CaseState {
    /// Nobody works on it
    Open,
    /// Somebody does
    Assigned,
    /// Confirmed or dismissed
    Closed,
}

impl CaseState {
    /// As the server writes it.
    pub fn name(self) -> &'static str {
        match self {
            CaseState::Open => "open",
            CaseState::Assigned => "assigned",
            CaseState::Closed => "closed",
        }
    }
}
