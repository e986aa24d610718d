//! What a search for recourse came to, for machines and in the customer's language.

use crate::reasons::Language;
use serde::{Deserialize, Serialize};
use statera_core::text::count;

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Version of the bank's `recourse.toml`.
    pub version: String,
    /// Whether there are answers, and why not.
    pub outcome: Outcome,
    /// Up to three, each of other columns; the fewest changes first, then the least cost.
    pub answers: Vec<Answer>,
    /// False if time ran out before the answers were as small as they get.
    pub is_shortest: bool,
    /// Columns that the bank lets change.
    pub changeable: Vec<String>,
    /// The other columns of the model, which stay as they are.
    pub history: Vec<String>,
    /// Plausible changes within the rules that were scored; the same for the same row unless time ran out.
    pub n_scored: usize,
    /// Longest search.
    pub time_limit_ms: u64,
}

/// Whether there are answers, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is", deny_unknown_fields)]
pub enum Outcome {
    /// There are.
    Found,
    /// Time ran out; there may be some.
    TimeRanOut,
    /// No column that may change has somewhere to go: its cell is missing, a sentinel, or at the end of what is allowed.
    NothingToChange,
    /// The policy approves no background row, so that no change can be called plausible.
    NoneApproved,
    /// The columns that cannot change are alone out of the reach of every approved background row.
    HistoryTooFar,
    /// Every change that was looked at is out of the reach of every approved background row.
    NonePlausible,
    /// The search has ended: none of the plausible changes that it tried within the rules turns the decision.
    NoneTurns {
        /// True if every set of columns was tried; false if those that lower the score least were left out.
        is_complete: bool,
    },
}

/// A change of a row that turns its decision into approve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What changes, in the order of the bank's file.
    pub changes: Vec<Change>,
    /// Probability of the event after the change, scored again.
    pub score: f64,
    /// Sum over the changes: of a number its change over the spread of the training rows, of a level 1.
    pub cost: f64,
    /// Distance to the approved background row that it comes nearest to, and that row's reach, which it is within.
    pub distance: f64,
    /// The reach.
    pub reach: f64,
}

/// A changed cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The column.
    pub column: String,
    /// The row's cell as text.
    pub from: String,
    /// What it would be.
    pub to: String,
}

impl Found {
    /// What a person reads, a paragraph each.
    pub fn paragraphs(&self, language: Language) -> Vec<String> {
        let mut out = match self.outcome {
            Outcome::Found => vec![heading(language, self.is_shortest).to_string()],
            outcome => vec![self.nothing(outcome, language)],
        };
        for (i, answer) in self.answers.iter().enumerate() {
            let changes: Vec<String> =
                answer.changes.iter().map(|c| format!("{}: {} → {}", c.column, c.from, c.to)).collect();
            let score = match language {
                Language::En => "score then",
                Language::Ko => "변경 후 점수",
                Language::Zh => "改动后评分",
            };
            out.push(format!("{}. {}  ({score} {:.4})", i + 1, changes.join("; "), answer.score));
        }
        let (changeable, history) = (self.changeable.join(", "), self.history.join(", "));
        out.push(match language {
            Language::En => {
                format!("May change: {changeable}. History, which stays as it is: {history}.")
            }
            Language::Ko => format!("변경할 수 있는 항목: {changeable}. 이력이므로 그대로 두는 항목: {history}."),
            Language::Zh => format!("可以改变的项目：{changeable}。属于历史、保持不变的项目：{history}。"),
        });
        out
    }

    fn nothing(&self, outcome: Outcome, language: Language) -> String {
        let n = count(self.n_scored as f64);
        let seconds = self.time_limit_ms as f64 / 1_000.0;
        let [en, ko, zh] = match outcome {
            Outcome::TimeRanOut | Outcome::Found => [
                format!("No change that leads to approval was found within {seconds} seconds; there may be one."),
                format!("{seconds}초 안에 승인으로 이어지는 변경을 찾지 못했습니다. 더 찾으면 있을 수 있습니다."),
                format!("在{seconds}秒内未找到可获批准的改动；继续寻找可能会找到。"),
            ],
            Outcome::NothingToChange => [
                "No change leads to approval: none of the columns that may change has somewhere to go.".into(),
                "승인으로 이어지는 변경이 없습니다. 변경할 수 있는 항목이 더 움직일 곳이 없습니다.".into(),
                "没有可获批准的改动：可以改变的项目都已无法再变。".into(),
            ],
            Outcome::NoneApproved => [
                "No change can be called plausible: the policy approves none of the rows that stand for the training rows."
                    .into(),
                "타당하다고 할 수 있는 변경이 없습니다. 학습 자료를 대표하는 행 중 정책이 승인하는 행이 없습니다.".into(),
                "没有可以称为合理的改动：在代表训练数据的样本行中，没有一行获得批准。".into(),
            ],
            Outcome::HistoryTooFar => [
                "No plausible change leads to approval: the history alone, which cannot change, is unlike that of approved \
                 customers."
                    .into(),
                "승인으로 이어지는 타당한 변경이 없습니다. 변경할 수 없는 이력만으로도 승인된 고객들과 거리가 멉니다.".into(),
                "没有可获批准的合理改动：仅无法改变的历史记录就与获批客户相差过大。".into(),
            ],
            Outcome::NonePlausible => [
                "No plausible change leads to approval: whatever may change, the row stays unlike those of approved customers."
                    .into(),
                "승인으로 이어지는 타당한 변경이 없습니다. 허용된 항목을 바꾸어도 승인된 고객들과 거리가 멉니다.".into(),
                "没有可获批准的合理改动：无论怎样改变允许的项目，仍与获批客户相差过大。".into(),
            ],
            Outcome::NoneTurns { is_complete: true } => [
                format!("None of the {n} allowed and plausible changes that were tried leads to approval."),
                format!("시도한 {n}건의 허용되고 타당한 변경 중 승인으로 이어지는 것이 없습니다."),
                format!("所尝试的{n}项既允许又合理的改动均不能获得批准。"),
            ],
            Outcome::NoneTurns { is_complete: false } => [
                format!(
                    "None of the {n} allowed and plausible changes that were tried leads to approval; of the sets of columns only \
                     those that move the score most were tried."
                ),
                format!(
                    "시도한 {n}건의 허용되고 타당한 변경 중 승인으로 이어지는 것이 없습니다. 항목의 조합은 점수에 가장 큰 영향을 주는 \
                     것만 시도했습니다."
                ),
                format!("所尝试的{n}项既允许又合理的改动均不能获得批准；只尝试了对评分影响最大的项目组合。"),
            ],
        };
        match language {
            Language::En => en,
            Language::Ko => ko,
            Language::Zh => zh,
        }
    }
}

fn heading(language: Language, is_shortest: bool) -> &'static str {
    match (language, is_shortest) {
        (Language::En, true) => "With one of these changes, each scored again, the decision would be approve:",
        (Language::En, false) => {
            "With one of these changes, each scored again, the decision would be approve; time ran out before smaller ones \
             were looked for:"
        }
        (Language::Ko, true) => "다음 중 하나로 바뀌면 결정이 승인이 됩니다(각각 다시 채점하여 확인했습니다).",
        (Language::Ko, false) => {
            "다음 중 하나로 바뀌면 결정이 승인이 됩니다(각각 다시 채점하여 확인했습니다). 시간이 다 되어 더 작은 변경은 찾지 \
             못했습니다."
        }
        (Language::Zh, true) => "若作出下列任一改动，决定将变为批准（每项均已重新评分确认）：",
        (Language::Zh, false) => {
            "若作出下列任一改动，决定将变为批准（每项均已重新评分确认）；因时间用尽，未再寻找更小的改动："
        }
    }
}
