//! Texts that name no reason.

use super::Language;
use statera_core::{Error, Result};

/// Phrases that say only that there was a score, a rule or a refusal, in lower case. English ones are words: `*` ends the
/// beginning of one, `…` stands for up to three. Korean and Chinese ones are parts of the text, with or without their spaces.
const VAGUE: [(Language, &[&str]); 3] = [
    (
        Language::En,
        &[
            "score*",
            "scoring",
            "creditworth*",
            "internal standard*",
            "internal polic*",
            "internal criteri*",
            "internal rule*",
            "our criteri*",
            "our polic*",
            "our standard*",
            "our requirement*",
            "our rule*",
            "our model*",
            "lending criteri*",
            "lending polic*",
            "lending requirement*",
            "credit criteri*",
            "credit polic*",
            "company polic*",
            "bank polic*",
            "bank s polic*",
            "polic* of … bank",
            "not qualify",
            "fail* to qualify",
            "unqualified",
            "not eligible",
            "ineligible",
            "not … meet … requirement*",
            "not … meet … criteri*",
            "not … meet … standard*",
            "not … meet … condition*",
            "not … meet … threshold*",
            "requirement* … not met",
            "criteri* … not met",
            "standard* … not met",
            "condition* … not met",
            "other reason*",
            "various reason*",
            "overall assessment*",
            "overall evaluation*",
            "overall rating*",
            "overall result*",
            "internal rating*",
            "insufficient … rating*",
            "rating* … too low",
            "low … rating",
            "decision … model*",
            "model* … decision*",
            "result* … model*",
            "model* … result*",
            "decision of … bank",
            "probability of default",
            "default probability",
            "risk of default",
            "risk … too high",
            "too risky",
            "not be approved",
            "not approved",
            "cannot be approved",
            "cannot approve",
            "unable to approve",
            "not be granted",
            "cannot be granted",
            "algorithm*",
        ],
    ),
    (
        Language::Ko,
        &[
            "점수",
            "평점",
            "등급 미달",
            "등급 부족",
            "등급이 부족",
            "등급이 낮",
            "내부 기준",
            "내부 정책",
            "내부 방침",
            "내부 규정",
            "당행 기준",
            "당행 방침",
            "은행 기준",
            "은행 방침",
            "은행 정책",
            "심사 기준",
            "심사 결과",
            "자격 미달",
            "기준 미달",
            "부적격",
            "종합적",
            "종합 평가",
            "종합 심사",
            "기타 사유",
            "승인 불가",
            "승인이 불가",
            "승인할 수 없",
            "승인되지",
            "대출 불가",
            "대출이 불가",
            "부도 확률",
            "부도율",
            "위험이 너무 높",
            "알고리즘",
            "모형 결과",
        ],
    ),
    (
        Language::Zh,
        &[
            "评分",
            "分数",
            "内部标准",
            "内部政策",
            "内部规定",
            "本行标准",
            "本行政策",
            "我行标准",
            "我行政策",
            "审批标准",
            "不符合标准",
            "不符合条件",
            "不符合要求",
            "不符合贷款",
            "不符合审批",
            "不符合准入",
            "不符合本行",
            "不符合我行",
            "不满足条件",
            "不满足贷款",
            "贷款条件",
            "未达标",
            "未达到标准",
            "未达到要求",
            "未达到条件",
            "未达到本行",
            "未达到我行",
            "未达到贷款",
            "综合评估",
            "综合评价",
            "综合考虑",
            "综合评定",
            "信用等级",
            "信用评级",
            "等级不足",
            "风险过高",
            "风险太高",
            "违约概率",
            "无法批准",
            "不能批准",
            "不予批准",
            "未获批准",
            "未通过审批",
            "其他原因",
            "算法",
            "模型结果",
        ],
    ),
];

/// Fewest letters of a text, by language: fewer name nothing.
fn least(language: Language) -> usize {
    match language {
        Language::En => 12,
        Language::Ko | Language::Zh => 4,
    }
}

/// Fewest different letters of a text: `aaaa` is none.
fn least_different(language: Language) -> usize {
    match language {
        Language::En => 6,
        Language::Ko | Language::Zh => 3,
    }
}

/// Refuses a text that is empty, too short, in another script than its language's, the name of a column, or vague.
pub(super) fn check(text: &str, language: Language, columns: &[String]) -> Result<()> {
    let text = text.trim();
    let n_letters = text.chars().filter(|c| c.is_alphanumeric()).count();
    if n_letters < least(language) {
        let least = least(language);
        return Err(Error::request(format!("«{text}» has {n_letters} letters; a reason needs at least {least}")));
    }
    let mut different: Vec<char> = text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    different.sort_unstable();
    different.dedup();
    if different.len() < least_different(language) {
        let (n, least) = (different.len(), least_different(language));
        return Err(Error::request(format!("«{text}» has {n} different letters; a reason needs at least {least}")));
    }
    if columns.iter().any(|c| letters(c) == letters(text)) {
        return Err(Error::request(format!("«{text}» is the name of a column; say what it means to a customer")));
    }
    let script = match language {
        Language::En => None,
        Language::Ko => Some(('가'..='힣', "Korean")),
        Language::Zh => Some(('\u{4e00}'..='\u{9fff}', "Chinese")),
    };
    if let Some((range, name)) = script
        && !text.chars().any(|c| range.contains(&c))
    {
        return Err(Error::request(format!("«{text}» has no letter of {name}")));
    }
    let lower = text.to_lowercase();
    let phrases = VAGUE.iter().filter(|(l, _)| *l == language).flat_map(|(_, phrases)| phrases.iter());
    match phrases.into_iter().find(|p| says(&lower, p, language)) {
        None => Ok(()),
        Some(phrase) => Err(Error::request(format!(
            "«{text}» is vague («{}…»): it says that there was a score or a rule, not what counted against the customer; \
             name the fact, such as «payments were late in the last six months»",
            phrase.trim_end_matches('*').replace('*', "")
        ))),
    }
}

/// What a name and a text have in common however they are written: letters and digits in lower case.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// True if a text in lower case says a phrase of its language (see [`VAGUE`]).
fn says(text: &str, phrase: &str, language: Language) -> bool {
    if language != Language::En {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        return text.contains(phrase) || text.contains(&phrase.replace(' ', ""));
    }
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let phrase: Vec<&str> = phrase.split(' ').collect();
    (0..words.len()).any(|at| begins(&words[at..], &phrase))
}

/// Most words that `…` stands for.
const MAX_BETWEEN: usize = 3;

/// True if words begin with a phrase.
fn begins(words: &[&str], phrase: &[&str]) -> bool {
    match phrase {
        [] => true,
        ["…", rest @ ..] => (0..=MAX_BETWEEN.min(words.len())).any(|n| begins(&words[n..], rest)),
        [first, rest @ ..] => words.split_first().is_some_and(|(word, others)| {
            let is_it = first.strip_suffix('*').map_or(*word == *first, |beginning| word.starts_with(beginning));
            is_it && begins(others, rest)
        }),
    }
}
