//! The commented project file that `statera init` writes.

use statera_core::{Kind, Role};
use statera_data::Table;
use std::collections::HashSet;
use std::fmt::Write;

/// A column as the template shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateColumn {
    /// Its name.
    pub name: String,
    /// What its cells are.
    pub kind: Kind,
    /// What it is probably for.
    pub role: Role,
}

const TARGETS: &[&str] =
    &["target", "default", "defaulted", "bad", "is_bad", "fraud", "is_fraud", "churn", "label", "y", "class"];
const PROTECTED: &[&str] =
    &["sex", "gender", "age", "race", "ethnicity", "religion", "nationality", "disability", "marital_status"];
const BASELINES: &[&str] = &["bank_score", "score", "old_score", "rating_score", "bureau_score"];
const AMOUNTS: &[&str] = &["requested_amount", "loan_amount", "credit_amount", "amount", "exposure"];
const WEIGHTS: &[&str] = &["weight", "sample_weight"];

/// Guesses a role for each column, by kind and by name: at most one target, id, time, amount, baseline and weight.
/// Identifiers beyond the first are ignored, because they cannot be features. A guess to be corrected by a person.
pub fn guess_columns(table: &Table) -> Vec<TemplateColumn> {
    let mut given = HashSet::new();
    let guess = |name: &str, kind: Kind| {
        let name = name.to_lowercase();
        let is = |list: &[&str]| list.contains(&name.as_str());
        match kind {
            _ if is(TARGETS) => Role::Target,
            Kind::Identifier => Role::Id,
            Kind::Time => Role::Time,
            _ if is(PROTECTED) => Role::Protected,
            Kind::Number if is(BASELINES) => Role::Baseline,
            Kind::Number if is(AMOUNTS) => Role::Amount,
            Kind::Number if is(WEIGHTS) => Role::Weight,
            _ => Role::Feature,
        }
    };
    let column = |info: &statera_data::ColumnInfo| {
        let mut role = guess(&info.name, info.kind);
        let first = given.insert(role);
        if !first && !matches!(role, Role::Protected | Role::Feature) {
            role = if role == Role::Id { Role::Ignored } else { Role::Feature };
        }
        TemplateColumn { name: info.name.clone(), kind: info.kind, role }
    };
    table.columns.iter().map(column).collect()
}

/// A commented project file: for the table at the address `data` with those columns, or, without columns, one for tables
/// that are still to be named. [`super::Project::parse`] accepts what it returns once a target is named.
pub fn template(data: Option<&str>, columns: &[TemplateColumn]) -> String {
    let with_role = |role: Role| columns.iter().filter(move |c| c.role == role).map(|c| c.name.as_str());
    let one = |role: Role, key: &str, example: &str, remark: &str| match with_role(role).next() {
        Some(name) => format!("{:<34}# {remark}\n", format!("{key} = {}", quoted(name))),
        None => format!("{:<34}# {remark}\n", format!("# {key} = {}", quoted(example))),
    };
    let many = |role: Role, key: &str, remark: &str| {
        let names: Vec<String> = with_role(role).map(quoted).collect();
        format!("{:<34}# {remark}\n", format!("{key} = [{}]", names.join(", ")))
    };
    let target = with_role(Role::Target).next();
    let date = with_role(Role::Time).next();
    let mut text = String::from(HEAD);
    let _ = writeln!(text, "\n[sources]\nmain = {}\n{SOURCES}", quoted(data.unwrap_or("applications.csv")));
    let _ = writeln!(text, "[main]\nsource = \"main\"");
    text += &one(Role::Id, "key", "application_id", "names a row; a list for a key of several columns");
    text += &match date {
        Some(name) => format!("{:<34}# when the decision was made\n", format!("date = {}", quoted(name))),
        None if columns.is_empty() => "date = \"application_date\"          # when the decision was made\n".into(),
        None => "# date = \"application_date\"        # when the decision was made\n".into(),
    };
    text += JOINS;
    text += "\n[roles]\n";
    text += &match (target, columns.is_empty()) {
        (Some(name), _) => format!("{:<34}# what is predicted\n", format!("target = {}", quoted(name))),
        (None, true) => "target = \"default\"                # what is predicted\n".into(),
        (None, false) => {
            "# target = \"\"                      # what is predicted: to be named here, or computed by [outcome]\n"
                .into()
        }
    };
    text += "# positive = \"1\"                  # the value of the target that is the event\n";
    text += &one(Role::Amount, "amount", "requested_amount", "money at stake; a feature too, unless dropped");
    text += &one(Role::Baseline, "baseline", "bank_score", "the bank's present score, to compare with");
    text += &one(Role::Weight, "weight", "weight", "how much a row counts");
    text += "# group = \"customer_id\"           # rows of one group stay on one side of every split\n";
    text += "# card = \"card_id\"                # what alerts are of (use_case fraud); unlike a group its rows train and judge\n";
    text += "# terminal = \"terminal_id\"        # where a transaction is made\n";
    text += &many(Role::Protected, "protected", "known for fairness figures, never features");
    text += &many(Role::Ignored, "drop", "not used");
    text += COLUMNS;
    for column in columns {
        let key = if is_bare(&column.name) { column.name.clone() } else { quoted(&column.name) };
        let _ = writeln!(text, "[columns.{key}]\nkind = \"{}\"", column.kind.name());
    }
    text + TAIL
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_string()).to_string()
}

fn is_bare(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

const HEAD: &str = "\
# A Statera project: `statera train PROJECT.toml` makes one table of the sources and trains from it.
# Every key is explained in docs/project-file.md; a line that begins with # shows what could stand there.

# use_case = \"fraud\"               # or credit, segment; any table where nothing is said
purpose = \"credit\"                 # columns whose purposes do not name it are refused as features
# tz = \"Asia/Seoul\"                # zone of times that name none; else UTC
";

const SOURCES: &str = "\
# customers = \"customers.csv\"      # a path relative to this file, a pattern of paths, or postgres://…?query=…
# performance = \"performance.csv\"
# declined = \"declined.csv\"
";

const JOINS: &str = "
# [[join]]                          # adds columns of another table
# source = \"customers\"
# on = \"customer_id\"                # or a list, or { client = \"customer_id\" }: main table = other table
# date = \"snapshot_date\"            # the latest row at or before main.date is taken, never a later one
# lag_days = 1                      # days until a row is known
# columns = [\"average_balance\"]
# prefix = \"\"

# [outcome]                         # computes the target from what happened after main.date
# source = \"performance\"
# on = \"application_id\"
# date = \"month_end\"
# bad = \"max(days_past_due) >= 90 within 12 months\"
# indeterminate = \"max(days_past_due) >= 30 within 12 months\"
# indeterminate_weight = 0.5        # keeps them as good rows of that weight; else they are left out
# performance_months = 12           # rows whose window is not over when the data end are left out
# target = \"bad\"                    # name of the new column

# [[exclude]]                       # rows that are left out, counted rule by rule
# name = \"minors\"
# rule = \"age < 18\"
";

const COLUMNS: &str = "
# What is known about columns. Keys: kind (number, category, time, text, identifier), missing (values that stand for
# something else than an amount, such as 999), monotone (1: risk rises with it, -1: falls), unit, purpose (a list of
# allowed uses), sensitivity (public, internal, personal, special).
";

const TAIL: &str = "
# Number columns that tell the same at successive times, the earliest first, for models that read sequences.
# [sequence.months]
# steps = [[\"bill_6\", \"paid_6\"], [\"bill_5\", \"paid_5\"]]

# Number columns that are the points of an image, line after line, for the model cnn.
# [image.scan]
# height = 28
# width = 28
# channels = 1                      # 3: red, green, blue
# columns = [\"point_*\"]             # a * stands for all that match, in the table's order

[split]
test_share = 0.2                    # held back for the final test; the latest rows where there is a date
folds = 5
# label_delay = \"12 months\"         # a row trains only for rows that were observed after its outcome was known

[candidates]
models = []                         # empty: the fast ones; [\"all\"]: every one
prefer = \"best\"                     # or \"simple\" (the simplest within one standard error of the best), \"ensemble\"
seed = 1
# trials = 50                       # searches better settings of the candidates; or budget = \"10m\"
# winsorize = 0.01                  # cuts numbers at this share from both ends
# mitigate = \"reweighing\"           # rows are weighed so that protected groups and outcome are independent

[policy]
# approval_rate = 0.85              # share that is approved; or
# cutoff = 0.12                     # probability from which a row is declined; or
# capacity = 100                    # cards that can be reviewed a day (use_case fraud), and what a review costs:
# review_cost = 2.5
# file = \"policy.toml\"              # cut-offs and grades that the bundle decides by (docs/policy.md)
# reasons = \"reasons.toml\"          # what customers are told
# rules = \"fairness.toml\"           # limits that groups of people are judged by

# [windows]                         # figures of a table's own rows, by key and over time (docs/project-file.md)
# time = \"tx_datetime\"
# id = \"transaction_id\"
# label = \"tx_fraud\"               # for features with shift = \"label\"
# label_delay = \"7d\"
# [[windows.feature]]
# key = \"customer_id\"
# of = \"tx_amount\"
# what = [\"count\", \"mean\"]        # sum, std, min, max, distinct, since_last, ratio_to_mean, share
# over = [\"1d\", \"7d\", \"30d\"]
# resolution = \"1h\"               # keeps hours in place of rows: memory does not grow with a key's rows

# [rejects]                         # declined applications without outcome, for scorecard and logistic
# source = \"declined\"
# inference = \"parcelling\"          # or \"fuzzy\"
# factor = 1.0                      # how many times as often as accepted rows of their score they are assumed bad
";
