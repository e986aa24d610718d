//! Names of persons in text, where a word before or after shows that it is one: `고객명: 홍길동`, `김철수 님`, `姓名：张伟`,
//! `李女士`, `Mr Smith`, `Customer name: Jane Doe`. Deliberately absent: names without such a word, which no list finds
//! honestly.

use super::text::{Found, Scanner, Text};

pub(super) const SCANNER: Scanner = Scanner { name: "name", token: "[NAME]", scan };

/// Words after which a name stands.
const KOREAN_WORDS: &[&str] =
    &["고객명", "성명", "이름", "예금주", "수취인", "송금인", "신청인", "계약자", "보증인", "담당자", "차주", "수령인"];
const CHINESE_WORDS: &[&str] = &[
    "姓名",
    "户名",
    "戶名",
    "收款人",
    "付款人",
    "持卡人",
    "联系人",
    "聯絡人",
    "申请人",
    "申請人",
    "担保人",
    "借款人",
    "名字",
    "客户名称",
];
const ENGLISH_WORDS: &[&str] = &[
    "name",
    "customer",
    "client",
    "cardholder",
    "account holder",
    "beneficiary",
    "payee",
    "applicant",
    "borrower",
    "guarantor",
    "contact",
];
const TITLES: &[&str] = &["mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "sir", "madam"];
/// Particles and verbs between such a word and the name.
const KOREAN_LINKS: &str = "은는이가을를의";
const CHINESE_LINKS: &str = "为為是叫";

/// Surnames, by how many people bear them.
const KOREAN_SURNAMES: &str = "김이박최정강조윤장임한오서신권황안송류유전홍고문양손배백허남심노하곽성차주우구민진지엄채원천방공현함변염여추도소석선설마길연위표명기반라나왕금옥육인맹제모탁국어편용";
const CHINESE_SURNAMES: &str = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文欧司张劉陳楊趙黃吳孫馬羅鄭謝韓馮蕭鄧許呂蘇盧蔣賈葉閻鍾譚鄒陸顧龍萬錢湯賀賴龔歐";
/// What stands before 님 and is no name although it begins like one.
const KOREAN_NO_NAMES: &[&str] = &[
    "고객",
    "이용자",
    "선생",
    "원장",
    "이사",
    "하느",
    "부모",
    "손",
    "지점장",
    "차장",
    "주임",
    "유저",
    "조합원",
    "임차인",
    "신청인",
    "예금주",
];
/// Words that end a Chinese name which is followed without a blank.
const CHINESE_STOPS: &[&str] =
    &["电话", "手机", "身份", "账号", "帐号", "卡号", "邮箱", "住址", "地址", "性别", "先生", "女士", "小姐", "出生"];

fn scan(text: &Text, found: &mut Vec<Found>) {
    for (_, end) in text.words(KOREAN_WORDS) {
        if let Some(at) = after_link(text, end, KOREAN_LINKS, is_hangul) {
            push(found, at..korean_name(text, at));
        }
    }
    for (_, end) in text.words(CHINESE_WORDS) {
        if let Some(at) = after_link(text, end, CHINESE_LINKS, is_han) {
            push(found, at..chinese_name(text, at));
        }
    }
    for (_, end) in text.words(ENGLISH_WORDS) {
        let rest = &text.chars[end..];
        let is_verb = rest.starts_with(&[' ', 'i', 's', ' ']);
        let at = end + rest.iter().take_while(|c| **c == ' ').count();
        if is_verb || matches!(text.chars.get(at), Some(':' | '=')) {
            let at = at + if is_verb { 2 } else { 1 };
            let at = at + text.chars[at..].iter().take_while(|c| **c == ' ').count();
            push(found, at..any_name(text, at));
        }
    }
    for (_, end) in text.words(TITLES) {
        let at = end + usize::from(text.chars.get(end) == Some(&'.'));
        let at = at + text.chars[at..].iter().take_while(|c| **c == ' ').count();
        if at > end {
            push(found, at..capitalised(text, at, 3));
        }
    }
    before_titles(text, found);
}

fn push(found: &mut Vec<Found>, range: std::ops::Range<usize>) {
    if !range.is_empty() {
        found.push(Found { range, is_sure: false });
    }
}

fn is_hangul(c: char) -> bool {
    ('가'..='힣').contains(&c)
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '·')
}

/// Where a name begins after a word: behind a colon or equals sign anything may be one, otherwise only what begins with a
/// surname.
fn after_link(text: &Text, end: usize, links: &str, is_of_script: fn(char) -> bool) -> Option<usize> {
    let at = |i: usize| text.chars.get(i).copied().unwrap_or('\n');
    let blanks = |i: usize| i + text.chars[i.min(text.chars.len())..].iter().take_while(|c| **c == ' ').count();
    let is_surname = |i: usize| KOREAN_SURNAMES.contains(at(i)) || CHINESE_SURNAMES.contains(at(i));
    let next = blanks(end);
    if matches!(at(next), ':' | '=') {
        return Some(blanks(next + 1)).filter(|&i| at(i).is_alphabetic());
    }
    let linked = links.contains(at(end)) && (at(end + 1) == ' ' || !is_hangul(at(end)));
    let begins = if linked { blanks(end + 1) } else { next };
    // A word that goes on without a blank is seldom followed by a name: one of three syllables is taken for it.
    let is_attached = begins == end && is_hangul(at(end));
    let n_attached = text.chars[end..].iter().take_while(|c| is_hangul(**c)).count();
    (is_of_script(at(begins)) && is_surname(begins) && (!is_attached || n_attached == 3)).then_some(begins)
}

/// The end of a name in Korean text, or of one in another script there.
fn korean_name(text: &Text, at: usize) -> usize {
    let run = |from: usize| text.chars[from.min(text.chars.len())..].iter().take_while(|c| is_hangul(**c)).count();
    match run(at) {
        0 => any_name(text, at),
        // A surname written apart.
        1 if text.chars.get(at + 1) == Some(&' ') => at + 2 + run(at + 2).min(4),
        // A particle that follows without a blank is masked with the name.
        n => at + n,
    }
}

/// The end of a Chinese name: up to four characters, or up to a word that cannot belong to it.
fn chinese_name(text: &Text, at: usize) -> usize {
    let n = text.chars[at..].iter().take(4).take_while(|c| is_han(**c)).count();
    let stop = (1..n).find(|&i| {
        CHINESE_STOPS
            .iter()
            .any(|stop| stop.chars().eq(text.chars[at + i..].iter().copied().take(stop.chars().count())))
    });
    if n == 0 { any_name(text, at) } else { at + stop.unwrap_or(n) }
}

/// The end of a name in whatever script it begins.
fn any_name(text: &Text, at: usize) -> usize {
    match text.chars.get(at) {
        Some(&c) if is_hangul(c) => korean_name(text, at),
        Some(&c) if is_han(c) => chinese_name(text, at),
        Some(_) => capitalised(text, at, 4),
        None => at,
    }
}

/// The end of words with a capital first letter, divided by single blanks; a word before a colon is the next field's.
fn capitalised(text: &Text, at: usize, n_max: usize) -> usize {
    let (mut end, mut next) = (at, at);
    for _ in 0..n_max {
        let is_letter = |c: &&char| c.is_alphabetic() || "'-’".contains(**c);
        let n = text.chars[next.min(text.chars.len())..].iter().take_while(is_letter).count();
        let is_name = n > 0 && text.chars[next].is_uppercase();
        let n = n + usize::from(n == 1 && text.chars.get(next + 1) == Some(&'.'));
        if !is_name || text.chars.get(next + n) == Some(&':') {
            break;
        }
        end = next + n;
        if text.chars.get(end) != Some(&' ') {
            break;
        }
        next = end + 1;
    }
    end
}

/// Names that a title follows: `김철수님`, `김철수 씨`, `张伟先生`.
fn before_titles(text: &Text, found: &mut Vec<Found>) {
    for (start, end) in text.words(&["님", "씨", "고객님", "고객"]) {
        let is_open = text.chars.get(end).copied().is_some_and(is_hangul);
        // 님 and 씨 take particles (님은, 씨가); 고객 alone is a word of its own.
        if is_open && end - start == 2 {
            continue;
        }
        let end = start - usize::from(start > 0 && text.chars[start - 1] == ' ');
        let n = text.chars[..end].iter().rev().take_while(|c| is_hangul(**c)).count();
        let name = end - n..end;
        let written: String = text.chars[name.clone()].iter().collect();
        let is_name = (2..=4).contains(&n)
            && KOREAN_SURNAMES.contains(text.chars[name.start])
            && !KOREAN_NO_NAMES.iter().any(|no| written == *no || written.ends_with("고객"));
        if is_name {
            push(found, name);
        }
    }
    for (start, end) in text.words(&["先生", "女士", "小姐", "太太"]) {
        if text.chars.get(end) == Some(&'们') {
            continue;
        }
        // Chinese has no blanks: of the three characters before, the name begins at the first that is a surname.
        let from = start.saturating_sub(3);
        let name = (from..start)
            .find(|&i| CHINESE_SURNAMES.contains(text.chars[i]) && text.chars[i..start].iter().all(|c| is_han(*c)));
        push(found, name.unwrap_or(start)..start);
    }
}
