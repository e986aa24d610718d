//! `GET /api/v1/decisions/{id}/explanation`: a page for the customer, to be printed: what was decided, why, what would turn it,
//! from which data. Rendered here, without script; the reasons are those of the decision, found again from what is kept.

use super::answer::{Document, Facts, documents};
use super::objection::Pairs;
use super::overriding::last_override;
use super::{blocking, decision_record, row_of};
use crate::app::Shared;
use crate::compute::RowsBuilder;
use crate::http::failure::Failure;
use crate::who::Who;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};
use statera::explain::{Asked, Explanation, explain};
use statera::policy::Decision;
use statera::reasons::Language;
use statera::recourse::LimitBy;
use statera::scorer::RowSource;
use statera_core::{Error, Result};
use statera_store::act::Act;
use statera_store::people::Role;
use statera_store::record::{Id, StoredRecord};
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asking {
    /// Of a request of many, from 0.
    #[serde(default)]
    row: usize,
    /// Default: the request's.
    language: Option<Language>,
}

/// The page's words.
#[derive(Serialize)]
struct Words {
    title: &'static str,
    about: &'static str,
    decision: &'static str,
    person: &'static str,
    approve: &'static str,
    review: &'static str,
    decline: &'static str,
    scored: &'static str,
    corrected: &'static str,
    before: &'static str,
    now: &'static str,
    column: &'static str,
    was: &'static str,
    is: &'static str,
    value: &'static str,
    missing: &'static str,
    reasons_against: &'static str,
    reasons_for: &'static str,
    actionable: &'static str,
    recourse: &'static str,
    recourse_limits: &'static str,
    data: &'static str,
    rights: &'static str,
    rights_text: &'static str,
    id: &'static str,
    of: &'static str,
    at: &'static str,
    model: &'static str,
    version: &'static str,
    policy: &'static str,
}

const EN: Words = Words {
    title: "Explanation of a decision",
    about: "A computer program worked out how likely a payment default or similar event is from the data below. The bank's policy makes this decision from that.",
    decision: "Decision",
    person: "A person has decided otherwise since",
    approve: "approved",
    review: "to be reviewed by a person",
    decline: "declined",
    scored: "scored, without a decision",
    corrected: "Decided again after your objection",
    before: "Before",
    now: "Now",
    column: "Item",
    was: "It was",
    is: "It is",
    value: "Value",
    missing: "not known",
    reasons_against: "The main reasons, the strongest first",
    reasons_for: "What spoke for it most, the strongest first",
    actionable: "you can do something about this",
    recourse: "What would turn the decision",
    recourse_limits: "This holds for the model and the policy of this decision and is no promise of approval later.",
    data: "The data that were used",
    rights: "If you do not agree",
    rights_text: "You may say which of these data are wrong and ask that the decision is made again, and you may ask that a person looks at it.",
    id: "Number of the decision",
    of: "Number of the decision before",
    at: "Time (UTC)",
    model: "Model",
    version: "Version",
    policy: "Policy",
};

const KO: Words = Words {
    title: "결정에 대한 설명",
    about: "아래 자료를 바탕으로 컴퓨터 프로그램이 연체 등 사건의 가능성을 계산하였고, 은행의 정책에 따라 이 결정이 이루어졌습니다.",
    decision: "결정",
    person: "이후 담당자가 달리 결정하였습니다",
    approve: "승인",
    review: "담당자 심사",
    decline: "거절",
    scored: "평가만 하고 결정하지 않음",
    corrected: "이의 제기에 따른 재결정",
    before: "이전",
    now: "현재",
    column: "항목",
    was: "이전 값",
    is: "바뀐 값",
    value: "값",
    missing: "알 수 없음",
    reasons_against: "주요 사유(영향이 큰 순서)",
    reasons_for: "가장 유리하게 작용한 사유(영향이 큰 순서)",
    actionable: "고객님이 개선할 수 있는 항목입니다",
    recourse: "결정이 바뀔 수 있는 조건",
    recourse_limits: "이 내용은 이번 결정에 쓰인 모형과 정책에 따른 것이며, 이후의 승인을 약속하지 않습니다.",
    data: "결정에 사용된 자료",
    rights: "동의하지 않으시는 경우",
    rights_text: "잘못된 자료가 있으면 알려 주시고 다시 결정하도록 요구할 수 있으며, 담당자가 직접 검토하도록 요구할 수 있습니다.",
    id: "결정 번호",
    of: "이전 결정 번호",
    at: "시각(UTC)",
    model: "모형",
    version: "버전",
    policy: "정책",
};

const ZH: Words = Words {
    title: "决定说明",
    about: "计算机程序根据以下数据计算了违约等事件的可能性，银行的政策据此作出了本决定。",
    decision: "决定",
    person: "此后由人工作出了不同的决定",
    approve: "批准",
    review: "由人工审核",
    decline: "拒绝",
    scored: "仅评分，未作决定",
    corrected: "异议后的重新决定",
    before: "此前",
    now: "现在",
    column: "项目",
    was: "原值",
    is: "更正值",
    value: "值",
    missing: "未知",
    reasons_against: "主要原因（按影响由大到小）",
    reasons_for: "最有利的因素（按影响由大到小）",
    actionable: "您可以改善此项",
    recourse: "怎样可以改变决定",
    recourse_limits: "以上内容仅适用于本次决定所用的模型和政策，不构成今后批准的承诺。",
    data: "所使用的数据",
    rights: "如果您不同意",
    rights_text: "您可以指出其中有误的数据并要求重新决定，也可以要求由人工进行审核。",
    id: "决定编号",
    of: "此前决定编号",
    at: "时间（UTC）",
    model: "模型",
    version: "版本",
    policy: "政策",
};

impl Words {
    fn of(language: Language) -> &'static Words {
        match language {
            Language::En => &EN,
            Language::Ko => &KO,
            Language::Zh => &ZH,
        }
    }
    fn decision(&self, decision: Option<Decision>) -> &'static str {
        match decision {
            Some(Decision::Approve) => self.approve,
            Some(Decision::Review) => self.review,
            Some(Decision::Decline) => self.decline,
            None => self.scored,
        }
    }
}

/// What the template shows.
#[derive(Serialize)]
struct Page<'a> {
    language: &'static str,
    style: &'static str,
    words: &'static Words,
    decision: &'static str,
    /// What a person decided since, and when.
    overridden: Option<String>,
    before: &'static str,
    corrections: Option<Vec<Correction>>,
    reasons_title: &'static str,
    reasons: &'a [statera::explain::Reason],
    recourse: Vec<String>,
    cells: Vec<Cell>,
    origin: Vec<Line>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Correction {
    column: String,
    from: String,
    to: String,
}

#[derive(Serialize)]
struct Cell {
    column: String,
    value: Option<String>,
}

#[derive(Serialize)]
struct Line {
    name: &'static str,
    value: String,
}

/// Shows the page to checkers and to who asked for the decision.
pub(super) async fn get(
    State(app): State<Shared>,
    who: Who,
    Path(id): Path<String>,
    Query(asking): Query<Asking>,
) -> std::result::Result<Response, Failure> {
    who.needs(&[Role::Scorer, Role::Checker])?;
    let id: Id = id.parse()?;
    let turn = app.replays.turn().await?;
    let page = blocking(move || {
        let _turn = turn;
        page(&app, &who, id, &asking)
    });
    let page = page.await?;
    let mut response = Html(page).into_response();
    // Nothing is fetched and nothing runs, whatever a cell holds.
    let policy =
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn page(app: &Shared, who: &Who, id: Id, asking: &Asking) -> Result<String> {
    let record = decision_record(&*app.store, id)?;
    if record.actor != who.actor {
        who.needs(&[Role::Checker])?;
        app.store.act(&who.actor, Act::Note { what: format!("read the explanation of decision {id}") })?;
    }
    let facts = Facts::read(&record)?;
    let language = asking.language.unwrap_or(facts.language);
    let row = row_of(&record, asking.row)?;
    let model = app.models.archived(&facts.model, facts.version, &facts.digest)?;
    let mut rows = RowsBuilder::new(&model.columns, 1)?;
    rows.push(&row.whole(), asking.row + 1)?;
    let one = rows.finish()?;
    let source = RowSource { is_text: true, first_row: 0 };
    let asked = Asked { language, recourse: Some(LimitBy::Time), ..Asked::default() };
    let explained = explain(&model.bundle, &one, source, &asking.row.to_string(), asked)?;
    let (mut corrections, mut before) = (None, None);
    if let (Some(of), Some(of_row)) = (record.of, row_objected_to(&record)?) {
        let found = corrected(&decision_record(&*app.store, of)?, of_row, row.input.get())?;
        (corrections, before) = (Some(found.0), found.1);
    }
    let overridden = last_override(&*app.store, id, asking.row)?;
    let shown =
        Shown { record: &record, facts: &facts, language, explained: &explained, overridden, corrections, before };
    render(shown)
}

/// What a page is of.
struct Shown<'a> {
    record: &'a StoredRecord,
    facts: &'a Facts<'a>,
    language: Language,
    explained: &'a Explanation,
    overridden: Option<(Decision, i64)>,
    /// Of an objection: what it corrected, and what was decided before.
    corrections: Option<Vec<Correction>>,
    before: Option<Decision>,
}

fn render(shown: Shown<'_>) -> Result<String> {
    let words = Words::of(shown.language);
    let explained = shown.explained;
    let is_approved = explained.decision == Some(Decision::Approve);
    // In the order of the columns' names: the order of their weight would tell more than the reasons do.
    let cells: BTreeMap<&String, &Option<String>> =
        explained.contributions.iter().map(|c| (&c.column, &c.cell)).collect();
    let line = |name, value: String| Line { name, value };
    let mut origin = vec![line(words.id, shown.record.id.to_string()), line(words.at, minute(shown.record.at_us))];
    origin.extend(shown.record.of.map(|of| line(words.of, of.to_string())));
    origin.push(line(words.model, shown.facts.model.to_string()));
    origin.push(line(words.version, format!("{} ({})", shown.facts.version, &shown.facts.digest)));
    origin.extend(shown.facts.policy.as_ref().map(|policy| line(words.policy, policy.to_string())));
    let page = Page {
        language: match shown.language {
            Language::En => "en",
            Language::Ko => "ko",
            Language::Zh => "zh-Hans",
        },
        style: statera_data::page::STYLE,
        words,
        decision: words.decision(explained.decision),
        overridden: shown.overridden.map(|(to, at)| format!("{} ({})", words.decision(Some(to)), minute(at))),
        before: words.decision(shown.before),
        corrections: shown.corrections,
        reasons_title: if is_approved { words.reasons_for } else { words.reasons_against },
        reasons: &explained.reasons,
        recourse: explained.recourse.as_ref().map_or_else(Vec::new, |found| found.paragraphs(shown.language)),
        cells: cells.into_iter().map(|(column, cell)| Cell { column: column.clone(), value: cell.clone() }).collect(),
        origin,
    };
    let fault = |e: minijinja::Error| Error::damaged(format!("the page could not be made: {e:#}"));
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(fault)?);
    // The name's ending turns escaping on.
    env.add_template("explanation.html", include_str!("explanation.html")).map_err(fault)?;
    env.get_template("explanation.html").and_then(|template| template.render(Serde(page))).map_err(fault)
}

/// A time to the minute, UTC.
fn minute(at_us: i64) -> String {
    jiff::Timestamp::from_microsecond(at_us)
        .map_or_else(|_| at_us.to_string(), |at| at.strftime("%Y-%m-%d %H:%M").to_string())
}

/// The row of the decision before that an objection is about.
fn row_objected_to(record: &StoredRecord) -> Result<Option<usize>> {
    let of = documents(record)?.into_iter().find_map(|document| match document {
        Document::Plain(part) => part.of_row,
        Document::Erased(_) => None,
    });
    Ok(of)
}

/// What an objection corrected in a row, and what was decided of it before; nothing is told of a row that was erased.
fn corrected(before: &StoredRecord, row: usize, input: &str) -> Result<(Vec<Correction>, Option<Decision>)> {
    #[derive(Deserialize)]
    struct Answered {
        #[serde(default)]
        decision: Option<Decision>,
    }
    let row = row_of(before, row)?;
    let damaged = |e: serde_json::Error| Error::damaged(format!("record {}: {e}", before.id));
    let now: Pairs = serde_json::from_str(input).map_err(damaged)?;
    let was: Pairs = serde_json::from_str(row.input.get()).map_err(damaged)?;
    let answered: Answered = serde_json::from_str(row.answer.get()).map_err(damaged)?;
    let differs = |(column, to): &(String, String)| {
        let (_, from) = was.0.iter().find(|(name, _)| name == column)?;
        (from != to).then(|| Correction { column: column.clone(), from: from.clone(), to: to.clone() })
    };
    Ok((now.0.iter().filter_map(differs).collect(), answered.decision))
}
