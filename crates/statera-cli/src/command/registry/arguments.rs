//! What can be typed.

use crate::args::Entrance;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

pub const EXAMPLES: &str = "Examples:
  statera registry setup 'http://127.0.0.1:8420/setup?token=…' --name anna --password-file anna.txt
  statera registry --person anna --password-file anna.txt add-person ben --roles maker --new-password-file ben.txt
  statera registry --person anna --password-file anna.txt tier 2 --approvals 1
  statera registry --person ben --password-file ben.txt add-model cards --tier 2
  statera registry --person ben --password-file ben.txt add-version cards model.statera --note 'November'
  statera registry --person ben --password-file ben.txt propose cards champion --version 1 --note 'better by 3 points'
  statera registry --person carl --password-file carl.txt approve 019a…
  statera registry --key-file pipeline.key list
  statera registry --person vera --password-file vera.txt overrides --days 90 --model cards

A key can look and add models and versions; what several persons must agree on needs a person.";

#[derive(Args)]
pub struct Registry {
    #[command(flatten)]
    pub entrance: Entrance,
    #[command(subcommand)]
    pub verb: RegistryVerb,
}

#[derive(Subcommand)]
pub enum RegistryVerb {
    /// Make the first admin by the link of the first start, with --password-file
    Setup {
        /// The link that `statera serve` printed
        link: String,
        /// Name of the admin
        #[arg(long)]
        name: String,
    },
    /// Models, their versions, and which of them answer
    List,
    /// Proposals, the newest last
    Proposals {
        /// Those that are open only
        #[arg(long)]
        open: bool,
    },
    /// How often people overrode decisions, in which direction, and what became of those and of the others
    Overrides {
        /// Decisions of the last so many days, 1 to 366
        #[arg(long, default_value_t = 30, value_name = "N")]
        days: u32,
        /// Of this model only
        #[arg(long, value_name = "NAME")]
        model: Option<String>,
    },
    /// Begin a model
    AddModel {
        /// a–z, 0–9, - and _, beginning with a letter
        name: String,
        /// 1 (most consequential) to 4
        #[arg(long)]
        tier: u8,
    },
    /// Send a bundle, which becomes the next version
    AddVersion {
        /// The model
        model: String,
        /// The bundle, a folder or .zip
        bundle: PathBuf,
        /// Why
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Propose a change of what answers
    Propose {
        /// The model
        model: String,
        /// What would change
        #[arg(value_enum)]
        change: ChangeKind,
        /// The version: of champion, challenger and backup
        #[arg(long)]
        version: Option<u32>,
        /// The challenger scores copies and never answers
        #[arg(long)]
        shadow: bool,
        /// Share of requests that a challenger gets, per thousand
        #[arg(long, default_value_t = 1000, value_name = "N")]
        per_mille: u16,
        /// Why
        #[arg(long)]
        note: String,
    },
    /// Approve a proposal that another person made
    Approve {
        /// The proposal
        id: String,
        /// Remark
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Reject a proposal, or withdraw your own
    Reject {
        /// The proposal
        id: String,
        /// Why
        #[arg(long)]
        note: String,
    },
    /// Back to the champion before this one, at once
    Rollback {
        /// The model
        model: String,
        /// Why
        #[arg(long)]
        note: String,
    },
    /// The backup answers from now on, at once
    Stop {
        /// The model
        model: String,
        /// Why
        #[arg(long)]
        note: String,
    },
    /// How many other persons must approve changes of a tier's models
    Tier {
        /// 1 to 4
        tier: u8,
        /// 1 to 5
        #[arg(long)]
        approvals: u8,
    },
    /// People and what they may
    People,
    /// Add a person
    AddPerson {
        /// Letters, digits and . - _ @
        name: String,
        /// viewer, scorer, maker, checker, admin
        #[arg(long, value_delimiter = ',', required = true)]
        roles: Vec<String>,
        /// File of their password; none for who signs in with the directory
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
    },
    /// API keys
    Keys,
    /// Make an API key; it is printed this once
    AddKey {
        /// What it is for
        label: String,
        /// viewer, scorer, maker
        #[arg(long, value_delimiter = ',', default_value = "scorer")]
        roles: Vec<String>,
        /// Requests a second; 0: the server's default
        #[arg(long, default_value_t = 0, value_name = "N")]
        rate: u32,
        /// Served before others: the payment path
        #[arg(long)]
        urgent: bool,
        /// Days until it ends
        #[arg(long)]
        days: Option<u32>,
    },
    /// End an API key, at once
    RevokeKey {
        /// Its part before the dot
        prefix: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChangeKind {
    /// Another champion
    Champion,
    /// Another challenger
    Challenger,
    /// No challenger any more
    NoChallenger,
    /// Another version for emergencies
    Backup,
    /// The champion answers again after a stop
    Resume,
}
