//! How a page looks: its language, its frame, its headers.

use crate::http::failure::Failure;
use crate::who::session::{Session, cookie};
use crate::who::{Peer, Who, role_name};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Value, json};
use statera_core::{Error, Result};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::OnceLock;

/// Remembers the language; nothing else is in it.
const LANGUAGE_COOKIE: &str = "statera-language";
/// A year.
const LANGUAGE_S: u32 = 31_536_000;

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// English.
    En,
    /// Korean.
    Ko,
    /// Chinese, simplified.
    Zh,
}

impl Language {
    /// All of them, with what they call themselves.
    pub const ALL: [(Language, &'static str, &'static str); 3] =
        [(Language::En, "en", "English"), (Language::Ko, "ko", "한국어"), (Language::Zh, "zh", "中文")];

    fn code(self) -> &'static str {
        Language::ALL.iter().find(|(l, ..)| *l == self).map_or("en", |(_, code, _)| code)
    }

    /// Of a tag: `ko`, `ko-KR`, `zh-Hans`.
    fn of(tag: &str) -> Option<Language> {
        let first = tag.trim().split(['-', '_']).next()?.to_ascii_lowercase();
        Language::ALL.iter().find(|(_, code, _)| *code == first).map(|(l, ..)| *l)
    }

    /// The one that a browser prefers (RFC 9110, section 12.5.4).
    fn accepted(header: &str) -> Option<Language> {
        let one = |part: &str| {
            let (tag, rest) = part.split_once(';').unwrap_or((part, ""));
            let weight = rest.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse::<f64>().ok())?;
            Language::of(tag).filter(|_| weight > 0.0).map(|l| (l, weight))
        };
        let mut best: Option<(Language, f64)> = None;
        for (language, weight) in header.split(',').take(32).filter_map(one) {
            if best.is_none_or(|(_, w)| weight > w) {
                best = Some((language, weight));
            }
        }
        best.map(|(l, _)| l)
    }
}

/// What a page is rendered with. Handlers take it as an argument.
pub struct Look {
    language: Language,
    /// The language was chosen with this request.
    is_chosen: bool,
    path: String,
    who: Option<(Who, Session)>,
    is_secure: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Look {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Look, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        let chosen = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "lang");
        let chosen = chosen.and_then(|(_, tag)| Language::of(&tag));
        let kept = || cookie(&parts.headers, LANGUAGE_COOKIE).and_then(Language::of);
        let accepted = || {
            let header = parts.headers.get(header::ACCEPT_LANGUAGE)?;
            Language::accepted(header.to_str().ok()?)
        };
        let session = parts.extensions.get::<Session>().cloned();
        Ok(Look {
            language: chosen.or_else(kept).or_else(accepted).unwrap_or(Language::En),
            is_chosen: chosen.is_some(),
            path: parts.uri.path().to_string(),
            who: parts.extensions.get::<Who>().cloned().zip(session),
            is_secure: parts.extensions.get::<Peer>().is_some_and(|p| p.is_tls),
        })
    }
}

impl Look {
    /// Words of the language.
    pub fn words(&self) -> Result<&'static Value> {
        Ok(&shared()?.words[&self.language])
    }

    /// A word by its table and name.
    pub fn word(&self, table: &str, name: &str) -> String {
        let word = self.words().ok().and_then(|words| words[table][name].as_str());
        word.unwrap_or(name).to_string()
    }

    /// A page, or what went wrong as a page. `data` is what its template shows.
    pub fn page(&self, template: &str, data: Result<Value>) -> Response {
        match data.and_then(|data| self.render(template, data)) {
            Ok(html) => self.answer(StatusCode::OK, html),
            Err(e) => self.failed(e.into()),
        }
    }

    /// What went wrong, as a page.
    pub fn failed(&self, failure: Failure) -> Response {
        let status = failure.status;
        let retry_after_s = failure.retry_after_s;
        let data = json!({ "status": status.as_u16(), "message": failure.message, "wait_s": retry_after_s });
        let mut response = match self.render("error.html", data) {
            Ok(html) => self.answer(status, html),
            Err(_) => failure.into_response(),
        };
        if let Some(seconds) = retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// A page with a status of its own.
    pub fn page_with(&self, status: StatusCode, template: &str, data: Value) -> Response {
        match self.render(template, data) {
            Ok(html) => self.answer(status, html),
            Err(e) => self.failed(e.into()),
        }
    }

    fn render(&self, template: &str, data: Value) -> Result<String> {
        let shared = shared()?;
        let signed_in = self.who.as_ref().map(|(who, session)| {
            let roles: Vec<&str> = who.roles.iter().copied().map(role_name).collect();
            json!({ "name": session.person, "csrf": session.csrf, "roles": roles })
        });
        let languages: Vec<Value> = Language::ALL
            .iter()
            .map(|(l, code, name)| json!({ "code": code, "name": name, "is_now": *l == self.language }))
            .collect();
        let frame = json!({
            "w": shared.words[&self.language],
            "lang": self.language.code(),
            "languages": languages,
            "path": self.path,
            "me": signed_in,
            // What a link to this page keeps beside the language.
            "query": data.get("query").and_then(Value::as_str).unwrap_or_default(),
            "style": shared.style,
            "d": data,
        });
        let fault = |e: minijinja::Error| Error::io(format!("page {template}: {e:#}"));
        shared.env.get_template(template).map_err(fault)?.render(Serde(frame)).map_err(fault)
    }

    fn answer(&self, status: StatusCode, html: String) -> Response {
        let mut response = (status, Html(html)).into_response();
        let headers = response.headers_mut();
        if let Ok(shared) = shared() {
            strict(headers, &shared.policy);
        }
        if self.is_chosen {
            let secure = if self.is_secure { "; Secure" } else { "" };
            let code = self.language.code();
            let text = format!("{LANGUAGE_COOKIE}={code}; Path=/; SameSite=Lax; Max-Age={LANGUAGE_S}{secure}");
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.append(header::SET_COOKIE, value);
            }
        }
        response
    }
}

/// No script, no frame, nothing from elsewhere, nothing kept by browsers and proxies.
fn strict(headers: &mut HeaderMap, policy: &HeaderValue) {
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    let fixed: [(HeaderName, &'static str); 7] = [
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With `no-referrer` browsers would send forms with the origin `null`.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// What all pages share.
struct Shared {
    env: Environment<'static>,
    words: BTreeMap<Language, Value>,
    style: String,
    policy: HeaderValue,
}

/// Every template.
pub(super) const TEMPLATES: [(&str, &str); 9] = [
    ("frame.html", include_str!("html/frame.html")),
    ("error.html", include_str!("html/error.html")),
    ("setup.html", include_str!("html/setup.html")),
    ("sign_in.html", include_str!("html/sign_in.html")),
    ("onward.html", include_str!("html/onward.html")),
    ("registry.html", include_str!("html/registry.html")),
    ("people.html", include_str!("html/people.html")),
    ("keys.html", include_str!("html/keys.html")),
    ("account.html", include_str!("html/account.html")),
];

/// The words of each language.
pub(super) const TEXTS: [(Language, &str); 3] = [
    (Language::En, include_str!("text/en.toml")),
    (Language::Ko, include_str!("text/ko.toml")),
    (Language::Zh, include_str!("text/zh.toml")),
];

fn shared() -> Result<&'static Shared> {
    static SHARED: OnceLock<Result<Shared>> = OnceLock::new();
    SHARED.get_or_init(make).as_ref().map_err(Clone::clone)
}

fn make() -> Result<Shared> {
    let fault = |e: minijinja::Error| Error::io(format!("pages: {e:#}"));
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(fault)?);
    // The names' ending turns escaping on.
    for (name, text) in TEMPLATES {
        env.add_template(name, text).map_err(fault)?;
    }
    let mut words = BTreeMap::new();
    for (language, text) in TEXTS {
        let value: Value = toml::from_str(text).map_err(|e| Error::io(format!("words: {e}")))?;
        words.insert(language, value);
    }
    let style = format!("{}{}", statera_data::page::STYLE, include_str!("page.css"));
    let digest = ring::digest::digest(&ring::digest::SHA256, style.as_bytes());
    let digest = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, digest.as_ref());
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::from_str(&policy).map_err(|e| Error::io(format!("pages: {e}")))?;
    Ok(Shared { env, words, style, policy })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_language_that_exists_is_taken() {
        let cases = [
            ("ko-KR,ko;q=0.9,en;q=0.8", Some(Language::Ko)),
            ("fr, en;q=0.3, zh-Hans;q=0.7", Some(Language::Zh)),
            ("de, ko;q=0", None),
            ("EN-us", Some(Language::En)),
            (";;q=,,", None),
        ];
        for (header, language) in cases {
            assert_eq!(Language::accepted(header), language, "{header}");
        }
    }

    /// The tables and names of a file of words.
    fn names(text: &str) -> Vec<String> {
        let value: BTreeMap<String, BTreeMap<String, String>> = toml::from_str(text).unwrap();
        value.iter().flat_map(|(table, words)| words.keys().map(move |name| format!("{table}.{name}"))).collect()
    }

    #[test]
    fn every_language_has_the_same_words_and_every_one_is_used() {
        let english = names(TEXTS[0].1);
        for (language, text) in TEXTS {
            assert_eq!(names(text), english, "{language:?}");
        }
        let templates: String = TEMPLATES.iter().map(|(_, text)| *text).collect();
        let code = [
            include_str!("registry.rs"),
            include_str!("keys.rs"),
            include_str!("people.rs"),
            include_str!("session.rs"),
        ];
        for name in &english {
            let (table, word) = name.split_once('.').unwrap();
            let by_table = ["role", "state", "change"].contains(&table);
            let used = by_table
                || templates.contains(&format!("w.{name}"))
                || code.iter().any(|c| c.contains(&format!("\"{table}\", \"{word}\"")));
            assert!(used, "{name} is not used");
        }
    }
}
