//! What can be typed. Lists of models, sources and sinks come from the crates that hold them.

use crate::command::fraud::arguments as fraud;
use crate::command::registry::arguments as registry;
use crate::command::rules::arguments as rules;
use crate::command::serve::arguments as serve;
use crate::command::store::arguments as store;
use clap::{Args, Parser, Subcommand, ValueEnum};
use statera::models::{CLUSTERINGS, MODELS};
use statera::report::PACKS;
use statera_data::mask::METHODS;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Models that decide about people's money: trained, measured and run inside your own network.
#[derive(Parser)]
#[command(name = "statera", version, max_term_width = 100, propagate_version = true, after_help = START)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub common: Common,
}

const START: &str = "Start here:\n  statera demo                                   the main job on an invented bank, told as a story\n  statera train loans.csv --target default --out model.statera\n\nExit codes: 0 done, 1 the work failed, 2 the request was wrong, 130 interrupted (nothing half-written stays)";

#[derive(Args, Clone)]
pub struct Common {
    /// Print machine-readable JSON on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Worker threads; all cores if not given. Results do not depend on it
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// No progress bars and no remarks
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

#[derive(Subcommand)]
pub enum Command {
    /// See the main job on a built-in sample bank, told as a story
    #[command(after_help = "Examples:\n  statera demo --out my-demo\n  statera demo --use-case fraud")]
    Demo(Demo),
    /// Write the tables of the sample bank: invented loan applications, payments and frauds with known truth
    #[command(after_help = "Example:\n  statera sample bank --rows 100000 --seed 7")]
    Sample(Sample),
    /// Write a commented project file, filled in from a table
    #[command(after_help = "Example:\n  statera init loans.csv --out project.toml")]
    Init(Init),
    /// Look at a table: kinds, missing cells, distributions, identifiers, leaks, drift
    #[command(
        after_help = "Example:\n  statera profile loans.csv --target default --time applied_on --out profile.html"
    )]
    Profile(Profile),
    /// Train, compare and choose models, and save the chosen one as a bundle
    #[command(after_help = TRAIN_EXAMPLES)]
    Train(Box<Train>),
    /// Measure a bundle on a table whose outcomes are known
    #[command(after_help = "Example:\n  statera evaluate model.statera loans-2026.csv")]
    Evaluate(Evaluate),
    /// Score a table of any length, every row exactly once
    #[command(after_help = SCORE_EXAMPLES)]
    Score(Score),
    /// Give a bundle a policy, reasons and a recourse, and judge them on rows whose outcomes are known
    #[command(after_help = POLICY_EXAMPLES)]
    Policy(Policy),
    /// Decision rules beside a model: check them, try them on known outcomes, put them into a bundle
    #[command(after_help = rules::EXAMPLES)]
    Rules(rules::Rules),
    /// Explain one decision: what each column adds, the reasons, what is left unexplained, what would turn it
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Explain),
    /// Write the report of a bundle: one page that fetches nothing, or a document of a supervisor's form
    #[command(after_help = report_help())]
    Report(Report),
    /// Mask a table by a policy, undo it with the key, and measure the risk of re-identification
    #[command(after_help = mask_help())]
    Mask(Mask),
    /// See what a TabM loses with fewer members, and write a smaller, faster bundle
    #[command(after_help = DIAL_EXAMPLES)]
    Dial(Dial),
    /// Serve decisions over HTTP, with registry, ledger and flow control, until it is stopped
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::Serve),
    /// Models of a server: versions, who approves what answers, people and keys
    #[command(after_help = registry::EXAMPLES)]
    Registry(registry::Registry),
    /// Suspicious transactions of a server: the queue of cases, and what is done about them
    #[command(after_help = fraud::EXAMPLES)]
    Fraud(fraud::Fraud),
    /// Check a copy of a store as an auditor does
    #[command(after_help = store::AUDIT_EXAMPLES)]
    Audit(store::Audit),
    /// Erase a subject, or what is old, so that the ledger still verifies
    #[command(after_help = store::LEDGER_EXAMPLES)]
    Ledger(store::Ledger),
    /// Copy a store to a new folder while it runs
    #[command(after_help = store::BACKUP_EXAMPLES)]
    Backup(store::Backup),
    /// Make a store of a backup, in an empty place
    #[command(after_help = store::RESTORE_EXAMPLES)]
    Restore(store::Restore),
    /// Put a load on a server: latency from when each request was due, errors by kind, a target reached or missed
    #[command(after_help = crate::command::bench::arguments::EXAMPLES)]
    Bench(Box<crate::command::bench::arguments::Bench>),
    /// Print the completions of a shell
    #[command(after_help = "Example:\n  statera completions bash > /etc/bash_completion.d/statera")]
    Completions(Completions),
}

const POLICY_EXAMPLES: &str = "Examples:
  statera policy model.statera --policy policy.toml --reasons reasons.toml --out decided.statera
  statera policy decided.statera --recourse recourse.toml --out advising.statera
  statera policy decided.statera --data loans-2026.csv --protected sex,age
  statera policy decided.statera --data loans-2026.csv --protected sex,age --out judged.statera";

const EXPLAIN_EXAMPLES: &str = "Examples:
  statera explain decided.statera applications.csv --row 4711
  statera explain decided.statera applications.csv --row 4711 --lang ko --json
  statera explain decided.statera applications.csv --row 4711 --background";

const TRAIN_EXAMPLES: &str = "Examples:
  statera train loans.csv --target default --id loan_id --out model.statera
  statera train german.csv --target class --positive bad --models scorecard,boosting --out german.statera
  statera train german.csv --target class --positive bad --models boosting --trials 50 --out tuned.statera
  statera train loans.csv --target default --protected sex,age --policy policy.toml --reasons reasons.toml --out a.statera
  statera train loans.csv --target default --protected sex --mitigate reweighing --out fair.statera
  statera train loans.csv --target default --models scorecard --rejects declined.csv --reject-inference fuzzy --out a.statera
  statera train customers.csv --use-case segment --clusters 2..8 --id customer_id --out segments.statera
  statera train customers.csv --use-case segment --models all --out segments.statera
  statera train applications.csv --target default --time applied_on --baseline bank_score --amount loan_amount --out a.statera
  statera train project.toml --out model.statera";

const SCORE_EXAMPLES: &str = "Examples:
  statera score model.statera new.csv --out scores.csv
  statera score model.statera 'month-*.parquet' --out scores.parquet
  cat new.csv | statera score model.statera - --out 'postgres://scorer@db/bank?table=scores'";

const REPORT_EXAMPLES: &str = "Examples:
  statera report model.statera --out report.html
  statera report model.statera --out report-ko.html --lang ko
  statera report model.statera --json > report.json
  statera report model.statera --pack eu-annex-iv --out annex-iv.md
  statera report --write-templates templates          templates to edit
  statera report model.statera --pack model-card --templates templates --out card.md";

fn report_help() -> String {
    let list: Vec<String> = PACKS.iter().map(|p| format!("  {:<12} {}", p.name, p.about)).collect();
    format!("{REPORT_EXAMPLES}\n\nDocuments of --pack:\n{}", list.join("\n"))
}

const MASK_EXAMPLES: &str = "Examples:
  statera mask --new-key bank.key                                   a key file
  statera mask customers.csv --policy mask.toml --key-file bank.key --out masked.csv
  statera mask masked.csv --policy mask.toml --key-file bank.key --inverse --out customers-again.csv
  statera mask customers.csv --policy mask.toml                     the risk alone";

fn mask_help() -> String {
    let list: Vec<String> = METHODS.iter().map(|m| format!("  {:<11} {}", m.name, m.about)).collect();
    format!("{MASK_EXAMPLES}\n\nMethods of a policy:\n{}", list.join("\n"))
}

const DIAL_EXAMPLES: &str = "Examples:
  statera dial model.statera loans-2026.csv --members 16,8,4,1
  statera dial model.statera loans-2026.csv --members 8 --out fast.statera";

/// The addresses a table can come from.
pub const DATA_HELP: &str = "The table: a path (.csv, .csv.gz, .parquet, .jsonl, .xlsx, .arrow), a pattern of paths, a folder of images, - (standard input), or postgres://…?query=…";

#[derive(Args)]
pub struct Demo {
    /// The story: loans that go bad, or cards in wrong hands
    #[arg(long, value_enum, default_value = "credit")]
    pub use_case: Story,
    /// Folder for the bank's tables and the bundle
    #[arg(long, value_name = "DIR", default_value = "statera-demo")]
    pub out: PathBuf,
    /// Loan applications of the sample bank
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub rows: usize,
    /// Seed of everything that is drawn
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
}

/// What the demo is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Story {
    /// Loans that go bad
    Credit,
    /// Cards in wrong hands
    Fraud,
}

#[derive(Args)]
pub struct Sample {
    /// Folder to write to; made if it does not exist
    pub dir: PathBuf,
    /// Loan applications; a card with six months of payments for each 40 of them, at most 5,000
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub rows: usize,
    /// Seed: the same seed writes the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Replace the files of an earlier sample
    #[arg(long)]
    pub force: bool,
}

#[derive(Args)]
pub struct Init {
    /// A table whose columns the file is filled in from
    pub data: Option<String>,
    /// Where to write it; - prints it
    #[arg(long, value_name = "FILE", default_value = "project.toml")]
    pub out: PathBuf,
}

#[derive(Args)]
pub struct Profile {
    #[arg(help = DATA_HELP)]
    pub data: String,
    /// Column to be predicted
    #[arg(long, value_name = "COL")]
    pub target: Option<String>,
    /// The target's value that is the event
    #[arg(long, value_name = "VALUE", requires = "target")]
    pub positive: Option<String>,
    /// Column that names a row
    #[arg(long, value_name = "COL")]
    pub id: Option<String>,
    /// Column of times; shows drift and the target by period
    #[arg(long, value_name = "COL")]
    pub time: Option<String>,
    /// Column of a loan's key, for vintages and roll rates (with --period and --days-past-due)
    #[arg(long, value_name = "COL", requires_all = ["period", "days_past_due"])]
    pub loan: Option<String>,
    /// Column of a loan's reporting date
    #[arg(long, value_name = "COL", requires = "loan")]
    pub period: Option<String>,
    /// Column of days past due
    #[arg(long, value_name = "COL", requires = "loan")]
    pub days_past_due: Option<String>,
    /// Also write a page to look at
    #[arg(long, value_name = "FILE.html")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub reading: Reading,
}

/// How a table is read.
#[derive(Args, Clone)]
pub struct Reading {
    /// Kind of a column (number, category, time, text, identifier), when the guess is wrong; repeatable
    #[arg(long, value_name = "COL=KIND", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Zone of times that name none, such as Asia/Seoul; UTC if not given
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
}

#[derive(Args)]
pub struct Train {
    #[arg(
        help = "The table, or a project file (.toml). A table: a path (.csv, .csv.gz, .parquet, .jsonl, .xlsx, .arrow), a pattern of paths, - (standard input), or postgres://…?query=…"
    )]
    pub data: String,
    /// Column to be predicted (required unless a project file names it)
    #[arg(long, value_name = "COL")]
    pub target: Option<String>,
    /// The target's value that is the event
    #[arg(long, value_name = "VALUE")]
    pub positive: Option<String>,
    /// What is to be found: the outcome (table, credit, fraud), or groups of rows that are alike (segment)
    #[arg(long, value_enum)]
    pub use_case: Option<UseCase>,
    /// Number of segments, or a range among which it is chosen (2..8 if not given)
    #[arg(long, value_name = "K|A..B")]
    pub clusters: Option<String>,
    #[arg(long, value_name = "A,B", value_delimiter = ',', help = models_help())]
    pub models: Vec<String>,
    /// Search better settings of every candidate: this many trials in all, the candidates in turn. The default settings
    /// stay unless others are better by more than a standard error, on two sets of rows
    #[arg(long, value_name = "N", conflicts_with = "budget")]
    pub trials: Option<usize>,
    /// Search for about this long instead, such as 90s, 10m or 1.5h; the trials made are printed, and --trials with
    /// that number repeats the search exactly
    #[arg(long, value_name = "TIME")]
    pub budget: Option<String>,
    /// Use the best candidate, the simplest that is not clearly worse, or the ensemble
    #[arg(long, value_enum)]
    pub prefer: Option<Prefer>,
    /// Column that names a row; never a feature. Exact repeats of a row are dropped
    #[arg(long, value_name = "COL")]
    pub id: Option<String>,
    /// Column of the observation time; makes every split out-of-time
    #[arg(long, value_name = "COL")]
    pub time: Option<String>,
    /// How long after the observation the outcome is known, such as "12 months" or "7 days": rows train only for rows
    /// observed after that
    #[arg(long, value_name = "N months|days")]
    pub label_delay: Option<String>,
    /// Column whose equal values stay on one side of every split, such as a customer
    #[arg(long, value_name = "COL")]
    pub group: Option<String>,
    /// Column of row weights
    #[arg(long, value_name = "COL")]
    pub weight: Option<String>,
    /// Column of money at stake, for figures in money. It is a feature too, unless --drop names it as well
    #[arg(long, value_name = "COL")]
    pub amount: Option<String>,
    /// Column of the card or account that a transaction is of: what alerts are of; never a feature (fraud)
    #[arg(long, value_name = "COL")]
    pub card: Option<String>,
    /// Column of where a transaction is made: terminal, merchant, payee; never a feature (fraud)
    #[arg(long, value_name = "COL")]
    pub terminal: Option<String>,
    /// Cards that can be reviewed a day; sets the cut-off where nothing else does (fraud: 100 if not given)
    #[arg(long, value_name = "N")]
    pub capacity: Option<usize>,
    /// What a review costs, in the money of --amount
    #[arg(long, value_name = "MONEY")]
    pub review_cost: Option<f64>,
    /// Column of the bank's present score, to compare with
    #[arg(long, value_name = "COL")]
    pub baseline: Option<String>,
    /// Columns whose groups are compared, and that are never features
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub protected: Vec<String>,
    /// Limits that groups are judged by, as a TOML file (docs/policy.md); those that ship if not given
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Cut-offs and grades that the bundle decides by (docs/policy.md)
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// What customers are told, by column (docs/policy.md)
    #[arg(long, value_name = "FILE")]
    pub reasons: Option<PathBuf>,
    /// Mitigate unequal treatment of the protected groups: every candidate is fitted a second time, and one of the mitigated
    /// ones is used
    #[arg(long, value_enum)]
    pub mitigate: Option<Mitigation>,
    /// Declined applications without outcome, which train scorecard and logistic regression a second time
    #[arg(long, value_name = "DATA")]
    pub rejects: Option<String>,
    /// Who pays or shares something with whom, since when: columns from, to, time, and amount where there is one. Figures of
    /// the network become features of --card and --terminal, or of --group (docs/network.md)
    #[arg(long, value_name = "DATA")]
    pub edges: Option<String>,
    /// How the outcomes of declined applications are inferred
    #[arg(long, value_enum)]
    pub reject_inference: Option<RejectInference>,
    /// How many times as often as accepted rows of the same score declined ones are assumed bad; 1 if not given
    #[arg(long, value_name = "FACTOR")]
    pub reject_factor: Option<f64>,
    /// Columns that are not used
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub drop: Vec<String>,
    /// Values that stand for something else than an amount: COL=-1,999; repeatable
    #[arg(long, value_name = "COL=A,B")]
    pub missing: Vec<String>,
    /// Columns whose risk must rise (COL=+) or fall (COL=-); repeatable
    #[arg(long, value_name = "COL=+|-", value_delimiter = ',')]
    pub monotone: Vec<String>,
    /// Cut each number at this share from both ends, such as 0.01
    #[arg(long, value_name = "SHARE")]
    pub winsorize: Option<f64>,
    /// Share of the rows held back for the final test; 0 for none
    #[arg(long, value_name = "SHARE")]
    pub test: Option<f64>,
    /// Folds of the cross-fitting
    #[arg(long, value_name = "K")]
    pub folds: Option<usize>,
    /// Probability from which a row is declined
    #[arg(long, value_name = "P", conflicts_with = "approval_rate")]
    pub cutoff: Option<f64>,
    /// Share of the rows that is approved
    #[arg(long, value_name = "SHARE")]
    pub approval_rate: Option<f64>,
    /// A bins.toml edited by the bank, for the scorecard
    #[arg(long, value_name = "FILE")]
    pub bins: Option<PathBuf>,
    /// Seed of every random draw
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Where the bundle goes: a folder, or one file with the ending .zip
    #[arg(long, value_name = "BUNDLE")]
    pub out: PathBuf,
    /// Replace a bundle of that name
    #[arg(long)]
    pub force: bool,
    /// Continue a training of the same table and settings that was interrupted, from BUNDLE.checkpoint
    #[arg(long)]
    pub resume: bool,
    #[command(flatten)]
    pub reading: Reading,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum UseCase {
    /// The outcome in any table
    Table,
    /// Loans that go bad
    Credit,
    /// Transactions that are not their card holder's; needs --card and --time
    Fraud,
    /// Groups of rows that are alike; needs no --target
    Segment,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Mitigation {
    /// Rows are weighed so that protected groups and outcome are independent
    Reweighing,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum RejectInference {
    /// In each band of the score as many are drawn as bad as among the accepted
    Parcelling,
    /// Each enters twice, as bad with its probability as weight, as good with the rest
    Fuzzy,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Prefer {
    /// The best cross-fitted metric; the ensemble only where it is better by more than a standard error
    Best,
    /// The simplest within one standard error of the paired difference
    Simple,
    /// The weighted average of candidates, where one was built
    Ensemble,
}

fn models_help() -> String {
    let list: Vec<String> =
        MODELS.iter().map(|m| format!("{}{} ({})", m.name, if m.fast { "*" } else { "" }, m.about)).collect();
    format!(
        "Candidates, or all; those marked * if not given: {}. For segments, the first two if not given: {}",
        list.join("; "),
        CLUSTERINGS.iter().map(|c| format!("{} ({})", c.name, c.about)).collect::<Vec<_>>().join("; ")
    )
}

#[derive(Args)]
pub struct Evaluate {
    /// A bundle that `statera train` wrote
    pub bundle: PathBuf,
    #[arg(help = DATA_HELP)]
    pub data: String,
    /// Probability from which a row counts as the event; the bundle's if not given
    #[arg(long, value_name = "P")]
    pub cutoff: Option<f64>,
    /// Edges that figures of a network are made of (docs/network.md)
    #[arg(long, value_name = "DATA")]
    pub edges: Option<String>,
    #[command(flatten)]
    pub reading: Reading,
}

#[derive(Args)]
pub struct Dial {
    /// A bundle with tabm or tabm_mini that `statera train` wrote
    pub bundle: PathBuf,
    #[arg(help = DATA_HELP)]
    pub data: String,
    /// Members of each network to try; chosen on one half of the rows, judged on the other
    #[arg(long, value_name = "K,K", value_delimiter = ',', required = true)]
    pub members: Vec<usize>,
    /// Where a bundle with the one number of members of --members goes
    #[arg(long, value_name = "BUNDLE")]
    pub out: Option<PathBuf>,
    /// Replace a bundle of that name
    #[arg(long, requires = "out")]
    pub force: bool,
    #[command(flatten)]
    pub reading: Reading,
}

#[derive(Args)]
pub struct Score {
    /// A bundle that `statera train` wrote
    pub bundle: PathBuf,
    #[arg(help = DATA_HELP)]
    pub data: String,
    /// Where the scores go: FILE.csv, FILE.parquet, or postgres://…?table=NAME
    #[arg(long, value_name = "OUT")]
    pub out: String,
    /// Characters of a CSV file: utf-8-bom, utf-8 or cp949
    #[arg(long, value_name = "NAME", default_value = "utf-8-bom")]
    pub encoding: String,
    /// Start over instead of continuing an interrupted run
    #[arg(long)]
    pub start_over: bool,
    /// Replace a file of that name
    #[arg(long)]
    pub force: bool,
    /// Add to a database table that holds rows already
    #[arg(long)]
    pub append: bool,
    /// Rows of the same columns that came before, for windowed features to reach back to; they are not scored
    #[arg(long, value_name = "DATA")]
    pub history: Option<String>,
    /// Edges that figures of a network are made of (docs/network.md)
    #[arg(long, value_name = "DATA")]
    pub edges: Option<String>,
    /// Write what an autoencoder squeezes each row into beside its score: columns code_1, code_2, … for other models
    #[arg(long)]
    pub code: bool,
    #[command(flatten)]
    pub reading: Reading,
}

#[derive(Args)]
pub struct Policy {
    /// A bundle that `statera train` wrote
    pub bundle: PathBuf,
    /// Cut-offs and grades (docs/policy.md)
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// What customers are told, by column (docs/policy.md)
    #[arg(long, value_name = "FILE")]
    pub reasons: Option<PathBuf>,
    /// What a customer can change so that the decision turns (docs/policy.md)
    #[arg(long, value_name = "FILE")]
    pub recourse: Option<PathBuf>,
    /// Rows whose outcomes are known: shows what the policy does with them
    #[arg(long, value_name = "DATA")]
    pub data: Option<String>,
    /// Columns of DATA whose groups are compared
    #[arg(long, value_name = "A,B", value_delimiter = ',', requires = "data")]
    pub protected: Vec<String>,
    /// Limits that groups are judged by, as a TOML file; the bundle's, or those that ship, if not given
    #[arg(long, value_name = "FILE", requires = "protected")]
    pub rules: Option<PathBuf>,
    /// Where the bundle with the policy, and with what was found on DATA, goes
    #[arg(long, value_name = "BUNDLE")]
    pub out: Option<PathBuf>,
    /// Replace a bundle of that name
    #[arg(long, requires = "out")]
    pub force: bool,
    #[command(flatten)]
    pub reading: Reading,
}

#[derive(Args)]
pub struct Explain {
    /// A bundle that `statera train` wrote
    pub bundle: PathBuf,
    #[arg(help = DATA_HELP)]
    pub data: String,
    /// The row: its id, or its number from 1 where the bundle knows no id
    #[arg(long, value_name = "ID")]
    pub row: String,
    /// Language of the reasons and of what would turn the decision
    #[arg(long, value_enum, default_value = "en")]
    pub lang: Language,
    /// Measure what boosting's columns add from the bundle's background rows (interventional Shapley values) instead of from
    /// the training rows along the trees' paths; reasons stay those of the decision
    #[arg(long)]
    pub background: bool,
    #[command(flatten)]
    pub reading: Reading,
}

/// Languages that customers read.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Language {
    En,
    Ko,
    Zh,
}

impl From<Language> for statera::reasons::Language {
    fn from(language: Language) -> Self {
        match language {
            Language::En => Self::En,
            Language::Ko => Self::Ko,
            Language::Zh => Self::Zh,
        }
    }
}

#[derive(Args)]
pub struct Report {
    /// A bundle that `statera train` or `statera policy` wrote
    #[arg(required_unless_present = "write_templates")]
    pub bundle: Option<PathBuf>,
    /// Where the page or the document goes; an older file of that name is replaced
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Language of the report
    #[arg(long, value_enum, default_value = "en")]
    pub lang: Language,
    /// A document in place of the page
    #[arg(long, value_name = "NAME", requires = "out")]
    pub pack: Option<String>,
    /// Folder whose templates are used where it has them
    #[arg(long, value_name = "DIR", requires = "pack")]
    pub templates: Option<PathBuf>,
    /// Write the templates that ship into a folder, and nothing else
    #[arg(long, value_name = "DIR", conflicts_with_all = ["bundle", "out", "pack", "templates"])]
    pub write_templates: Option<PathBuf>,
    /// Replace templates of those names
    #[arg(long, requires = "write_templates")]
    pub force: bool,
}

#[derive(Args)]
pub struct Mask {
    #[arg(help = DATA_HELP, required_unless_present = "new_key")]
    pub data: Option<String>,
    /// What happens to each column (docs/mask.md)
    #[arg(long, value_name = "FILE.toml", required_unless_present = "new_key")]
    pub policy: Option<PathBuf>,
    /// Where the masked table goes: FILE.csv, FILE.parquet, or postgres://…?table=NAME. Without it the risk is measured and
    /// nothing written
    #[arg(long, value_name = "OUT")]
    pub out: Option<String>,
    /// The key of hash, token and encrypt
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Undo the mask with the key: tokens and encrypted cells come back, what cannot come back stays as it is
    #[arg(long, requires = "out")]
    pub inverse: bool,
    /// Make a key file, and nothing else
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "policy", "out", "key_file", "inverse"])]
    pub new_key: Option<PathBuf>,
    /// Characters of a CSV file: utf-8-bom or utf-8
    #[arg(long, value_name = "NAME", default_value = "utf-8-bom")]
    pub encoding: String,
    /// Replace a file of that name
    #[arg(long)]
    pub force: bool,
    /// Add to a database table that holds rows already
    #[arg(long)]
    pub append: bool,
    /// Zone of times that name none, such as Asia/Seoul; UTC if not given
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
}

#[derive(Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Which server, and who asks it.
#[derive(Args)]
pub struct Entrance {
    /// Address of the server
    #[arg(long, value_name = "URL", global = true, default_value = "http://127.0.0.1:8420")]
    pub server: String,
    /// Certificates to trust instead of the system's, in PEM
    #[arg(long, value_name = "FILE", global = true)]
    pub ca_file: Option<PathBuf>,
    /// File of an API key
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "person")]
    pub key_file: Option<PathBuf>,
    /// Who signs in, with --password-file
    #[arg(long, value_name = "NAME", global = true)]
    pub person: Option<String>,
    /// File of the password; - is standard input
    #[arg(long, value_name = "FILE", global = true)]
    pub password_file: Option<PathBuf>,
}
