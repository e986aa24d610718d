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
    /// False if the search reached its limit before the answers were as small as they get.
    pub is_shortest: bool,
    /// Columns that the bank lets change.
    pub changeable: Vec<String>,
    /// The other columns of the model, which stay as they are.
    pub history: Vec<String>,
    /// Most columns that an answer may change.
    pub max_changes: usize,
    /// Plausible changes within the rules that were scored; where none turned the decision and time did not run out, the same
    /// for the same row.
    pub n_scored: usize,
    /// Longest search; `None` of one that was limited by its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit_ms: Option<u64>,
}

/// Whether there are answers, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is", deny_unknown_fields)]
pub enum Outcome {
    /// There are.
    Found,
    /// Time ran out; there may be some.
    TimeRanOut,
    /// As many rows were scored as may be; there may be some.
    WorkRanOut {
        /// Those rows.
        n_rows: usize,
    },
    /// No column that may change has somewhere to go: its cell is missing, a sentinel, or at the end of what is allowed.
    NothingToChange,
    /// The policy approves no background row, so that no change can be called plausible.
    NoneApproved,
    /// The columns that cannot change are alone out of the reach of every approved background row.
    HistoryTooFar,
    /// Every change that directions, bounds, steps and levels allow, of however many columns, is out of the reach of every
    /// approved background row.
    NonePlausible,
    /// Only changes of more columns than may change at once come within the reach of an approved background row.
    MaxChanges {
        /// Columns that would have to change, at least.
        needed: usize,
    },
    /// Every plausible change that was looked at breaks a rule of the bank.
    NoneWithinRules,
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
        let mut out = vec![self.heading(language)];
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
        out.push(self.columns(language));
        out
    }

    /// That there are answers, or why there is none.
    pub fn heading(&self, language: Language) -> String {
        match self.outcome {
            Outcome::Found => heading(language, self.is_shortest).to_string(),
            outcome => self.nothing(outcome, language),
        }
    }

    /// Which columns may change and which may not.
    fn columns(&self, language: Language) -> String {
        let (changeable, history) = (self.changeable.join(", "), self.history.join(", "));
        match (language, self.history.is_empty()) {
            (Language::En, false) => {
                format!("May change: {changeable}. History, which stays as it is: {history}.")
            }
            (Language::En, true) => format!("Every column of the model may change: {changeable}."),
            (Language::Ko, false) => {
                format!("변경할 수 있는 항목: {changeable}. 이력이므로 그대로 두는 항목: {history}.")
            }
            (Language::Ko, true) => format!("모형의 모든 항목을 변경할 수 있습니다: {changeable}."),
            (Language::Zh, false) => format!("可以改变的项目：{changeable}。属于历史、保持不变的项目：{history}。"),
            (Language::Zh, true) => format!("模型的全部项目都可以改变：{changeable}。"),
        }
    }

    /// How many columns a change that was tried has at most, where more could change.
    fn at_most(&self, language: Language) -> String {
        let n = self.max_changes;
        match language {
            _ if n >= self.changeable.len() => String::new(),
            Language::En => format!(" (of at most {n} columns at once)"),
            Language::Ko => format!("(한 번에 최대 {n}개 항목)"),
            Language::Zh => format!("（每次最多{n}项）"),
        }
    }

    /// Why there is no answer.
    fn nothing(&self, outcome: Outcome, language: Language) -> String {
        let max = self.max_changes;
        let [en, ko, zh] = match outcome {
            Outcome::TimeRanOut | Outcome::WorkRanOut { .. } | Outcome::Found => self.ran_out(outcome),
            Outcome::NoneTurns { is_complete } => self.none_turns(is_complete, language),
            Outcome::MaxChanges { needed } => [
                format!(
                    "No plausible change leads to approval: to come near approved customers at least {needed} columns would have \
                     to change at once, and at most {max} may."
                ),
                format!(
                    "승인으로 이어지는 타당한 변경이 없습니다. 승인된 고객들과 가까워지려면 한 번에 적어도 {needed}개 항목이 바뀌어야 \
                     하지만 최대 {max}개까지만 허용됩니다."
                ),
                format!("没有可获批准的合理改动：要接近获批客户，至少须同时改变{needed}项，而最多只允许{max}项。"),
            ],
            Outcome::NothingToChange => NOTHING_TO_CHANGE.map(String::from),
            Outcome::NoneApproved => NONE_APPROVED.map(String::from),
            Outcome::HistoryTooFar => HISTORY_TOO_FAR.map(String::from),
            Outcome::NonePlausible => NONE_PLAUSIBLE.map(String::from),
            Outcome::NoneWithinRules => NONE_WITHIN_RULES.map(String::from),
        };
        match language {
            Language::En => en,
            Language::Ko => ko,
            Language::Zh => zh,
        }
    }

    fn ran_out(&self, outcome: Outcome) -> [String; 3] {
        if let Outcome::WorkRanOut { n_rows } = outcome {
            let rows = count(n_rows as f64);
            return [
                format!(
                    "No change that leads to approval was found among the first {rows} that were scored; there may be one."
                ),
                format!(
                    "먼저 채점한 변경 {rows}건 중에서 승인으로 이어지는 것을 찾지 못했습니다. 더 찾으면 있을 수 있습니다."
                ),
                format!("在最先评分的{rows}项改动中未找到可获批准的；继续寻找可能会找到。"),
            ];
        }
        let seconds = self.time_limit_ms.unwrap_or_default() as f64 / 1_000.0;
        [
            format!("No change that leads to approval was found within {seconds} seconds; there may be one."),
            format!("{seconds}초 안에 승인으로 이어지는 변경을 찾지 못했습니다. 더 찾으면 있을 수 있습니다."),
            format!("在{seconds}秒内未找到可获批准的改动；继续寻找可能会找到。"),
        ]
    }

    fn none_turns(&self, is_complete: bool, language: Language) -> [String; 3] {
        let (n, at_most) = (count(self.n_scored as f64), self.at_most(language));
        let none = [
            format!("None of the {n} allowed and plausible changes{at_most} that were tried leads to approval"),
            format!("시도한 {n}건의 허용되고 타당한 변경{at_most} 중 승인으로 이어지는 것이 없습니다."),
            format!("所尝试的{n}项既允许又合理的改动{at_most}均不能获得批准"),
        ];
        let ends = match is_complete {
            true => [".", "", "。"],
            false => [
                "; of the sets of columns only those that move the score most were tried.",
                " 항목의 조합은 점수에 가장 큰 영향을 주는 것만 시도했습니다.",
                "；只尝试了对评分影响最大的项目组合。",
            ],
        };
        let [en, ko, zh] = none;
        [en + ends[0], ko + ends[1], zh + ends[2]]
    }
}

/// Why there is no answer, in English, Korean and Chinese.
const NOTHING_TO_CHANGE: [&str; 3] = [
    "No change leads to approval: none of the columns that may change has somewhere to go.",
    "승인으로 이어지는 변경이 없습니다. 변경할 수 있는 항목이 더 움직일 곳이 없습니다.",
    "没有可获批准的改动：可以改变的项目都已无法再变。",
];
const NONE_APPROVED: [&str; 3] = [
    "No change can be called plausible: the policy approves none of the rows that stand for the training rows.",
    "타당하다고 할 수 있는 변경이 없습니다. 학습 자료를 대표하는 행 중 정책이 승인하는 행이 없습니다.",
    "没有可以称为合理的改动：在代表训练数据的样本行中，没有一行获得批准。",
];
const HISTORY_TOO_FAR: [&str; 3] = [
    "No plausible change leads to approval: the history alone, which cannot change, is unlike that of approved \
     customers.",
    "승인으로 이어지는 타당한 변경이 없습니다. 변경할 수 없는 이력만으로도 승인된 고객들과 거리가 멉니다.",
    "没有可获批准的合理改动：仅无法改变的历史记录就与获批客户相差过大。",
];
const NONE_PLAUSIBLE: [&str; 3] = [
    "No plausible change leads to approval: no change that the allowed directions, bounds, steps and levels leave \
     ends near approved customers.",
    "승인으로 이어지는 타당한 변경이 없습니다. 허용된 방향, 범위, 단위, 수준 안에서는 어떻게 바꾸어도 승인된 고객들과 \
     가까워지지 않습니다.",
    "没有可获批准的合理改动：在允许的方向、范围、步长与类别之内，任何改动都无法接近获批客户。",
];
const NONE_WITHIN_RULES: [&str; 3] = [
    "No allowed change leads to approval: every plausible change that was tried breaks a rule of the bank.",
    "승인으로 이어지는 허용된 변경이 없습니다. 시도한 타당한 변경은 모두 은행의 규칙에 어긋납니다.",
    "没有可获批准的允许改动：所尝试的每项合理改动都违反银行的规则。",
];

fn heading(language: Language, is_shortest: bool) -> &'static str {
    match (language, is_shortest) {
        (Language::En, true) => "With one of these changes, each scored again, the decision would be approve:",
        (Language::En, false) => {
            "With one of these changes, each scored again, the decision would be approve; the search ended before smaller \
             ones were looked for:"
        }
        (Language::Ko, true) => "다음 중 하나로 바뀌면 결정이 승인이 됩니다(각각 다시 채점하여 확인했습니다).",
        (Language::Ko, false) => {
            "다음 중 하나로 바뀌면 결정이 승인이 됩니다(각각 다시 채점하여 확인했습니다). 탐색이 먼저 끝나 더 작은 변경은 찾지 \
             못했습니다."
        }
        (Language::Zh, true) => "若作出下列任一改动，决定将变为批准（每项均已重新评分确认）：",
        (Language::Zh, false) => {
            "若作出下列任一改动，决定将变为批准（每项均已重新评分确认）；搜索先行结束，未再寻找更小的改动："
        }
    }
}
