//! Texts that name no reason.

use super::Language;
use statera_core::{Error, Result};

/// Phrases that say only that there was a score or a rule, in lower case.
const VAGUE: [(Language, &[&str]); 3] = [
    (
        Language::En,
        &[
            "score",
            "internal standard",
            "internal polic",
            "internal criteria",
            "our criteria",
            "our polic",
            "our standard",
            "lending criteria",
            "credit criteria",
            "credit polic",
            "company polic",
            "bank polic",
            "not qualify",
            "not eligible",
            "not meet",
            "other reason",
            "various reason",
            "overall assessment",
            "decision of the model",
            "algorithm",
        ],
    ),
    (
        Language::Ko,
        &[
            "점수",
            "평점 미달",
            "내부 기준",
            "내부기준",
            "내부 정책",
            "내부정책",
            "당행 기준",
            "심사 기준",
            "심사기준",
            "자격 미달",
            "기준 미달",
            "종합적",
            "기타 사유",
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
            "本行标准",
            "本行政策",
            "审批标准",
            "不符合标准",
            "不符合条件",
            "未达到",
            "综合评估",
            "综合考虑",
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

/// Refuses a text that is empty, too short, in another script than its language's, the name of a column, or vague.
pub(super) fn check(text: &str, language: Language, columns: &[String]) -> Result<()> {
    let text = text.trim();
    let n_letters = text.chars().filter(|c| c.is_alphanumeric()).count();
    if n_letters < least(language) {
        let least = least(language);
        return Err(Error::request(format!("«{text}» has {n_letters} letters; a reason needs at least {least}")));
    }
    if columns.iter().any(|c| c.eq_ignore_ascii_case(text)) {
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
    match phrases.into_iter().find(|p| lower.contains(*p)) {
        None => Ok(()),
        Some(phrase) => Err(Error::request(format!(
            "«{text}» is vague («{phrase}…»): it says that there was a score or a rule, not what counted against the customer; \
             name the fact, such as «payments were late in the last six months»"
        ))),
    }
}
