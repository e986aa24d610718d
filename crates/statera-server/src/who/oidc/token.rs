//! Tokens of identity: JSON Web Signatures (RFC 7515) with the checks of OpenID Connect Core 1.0, section 3.1.3.7.
//!
//! Written here rather than taken from a library because the cryptography (ring) is in the program already, and what is left is
//! a list of checks that should be read on one page. Only asymmetric algorithms exist here: «none» and those with a shared
//! secret are unknown words, and keys that a token itself brings are never looked at.

use crate::who::secret::{bytes, same};
use ring::signature as sig;
use serde::Deserialize;
use serde_json::Value;
use statera_core::{Error, Result};

/// Seconds by which clocks may differ.
const LEEWAY_S: i64 = 60;
/// A token issued longer ago is not of this sign-in.
const AGE_MAX_S: i64 = 3600;
/// Longer tokens are not read.
const BYTES_MAX: usize = 64 << 10;

/// A key of an issuer (RFC 7517).
#[derive(Debug, Clone, Deserialize)]
pub struct Jwk {
    kty: String,
    /// Its name.
    pub kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A token's header.
#[derive(Debug, Deserialize)]
pub struct Header {
    alg: String,
    /// The key's name.
    pub kid: Option<String>,
    crit: Option<Value>,
}

/// What a token must say.
pub struct Expected<'a> {
    /// Who issued it.
    pub issuer: &'a str,
    /// For whom.
    pub client_id: &'a str,
    /// For which sign-in.
    pub nonce: &'a str,
    /// The time, seconds since 1970 UTC.
    pub now_s: i64,
}

fn wrong(what: impl Into<String>) -> Error {
    Error::denied(format!("token: {}", what.into()))
}

fn parts(token: &str) -> Result<[&str; 3]> {
    if token.len() > BYTES_MAX {
        return Err(wrong("too long"));
    }
    let parts: Vec<&str> = token.split('.').collect();
    parts.try_into().map_err(|_| wrong("not three parts"))
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T> {
    let bytes = bytes(part).ok_or_else(|| wrong("not base64url"))?;
    serde_json::from_slice(&bytes).map_err(|_| wrong("not JSON"))
}

/// Reads the header, which says nothing yet that may be believed.
///
/// # Errors
/// What is no token.
pub fn header(token: &str) -> Result<Header> {
    json(parts(token)?[0])
}

/// Checks the signature and every claim, and gives the claims.
///
/// # Errors
/// `Denied`; the message says what was wrong, for the log.
pub fn verify(token: &str, keys: &[Jwk], expected: &Expected<'_>) -> Result<Value> {
    let [head, body, signature] = parts(token)?;
    let header: Header = json(head)?;
    if header.crit.is_some() {
        return Err(wrong("it has critical headers, which are not known here"));
    }
    let signature = bytes(signature).ok_or_else(|| wrong("the signature is not base64url"))?;
    let signed = &token[..head.len() + 1 + body.len()];
    let fits = |key: &&Jwk| {
        key.purpose.as_deref().is_none_or(|p| p == "sig")
            && key.alg.as_ref().is_none_or(|alg| *alg == header.alg)
            && header.kid.as_ref().is_none_or(|kid| key.kid.as_ref() == Some(kid))
            && is_kind(key, &header.alg)
    };
    // An issuer may have several keys and name none in its tokens.
    if !keys.iter().filter(fits).any(|key| is_signed(key, &header.alg, signed.as_bytes(), &signature)) {
        return Err(wrong(format!("no key of the issuer made its signature ({:.20})", header.alg)));
    }
    let claims: Value = json(body)?;
    check(&claims, expected)?;
    Ok(claims)
}

/// True if the key is of the algorithm's kind: a key is never used for another.
fn is_kind(key: &Jwk, alg: &str) -> bool {
    let crv = key.crv.as_deref().unwrap_or_default();
    matches!(
        (alg, key.kty.as_str(), crv),
        ("RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512", "RSA", _)
            | ("ES256", "EC", "P-256")
            | ("ES384", "EC", "P-384")
            | ("EdDSA", "OKP", "Ed25519")
    )
}

fn is_signed(key: &Jwk, alg: &str, signed: &[u8], signature: &[u8]) -> bool {
    let rsa = |how: &sig::RsaParameters| {
        let part = |text: &Option<String>| text.as_deref().and_then(bytes);
        let (Some(n), Some(e)) = (part(&key.n), part(&key.e)) else { return false };
        let public = sig::RsaPublicKeyComponents { n: without_zeros(&n), e: without_zeros(&e) };
        public.verify(how, signed, signature).is_ok()
    };
    let curve = |how: &'static dyn sig::VerificationAlgorithm, size: usize, is_pair: bool| {
        let part = |text: &Option<String>| text.as_deref().and_then(bytes).filter(|b| b.len() == size);
        let mut point = if is_pair { vec![4] } else { Vec::new() };
        let Some(x) = part(&key.x) else { return false };
        point.extend(x);
        if is_pair {
            let Some(y) = part(&key.y) else { return false };
            point.extend(y);
        }
        sig::UnparsedPublicKey::new(how, point).verify(signed, signature).is_ok()
    };
    match alg {
        "RS256" => rsa(&sig::RSA_PKCS1_2048_8192_SHA256),
        "RS384" => rsa(&sig::RSA_PKCS1_2048_8192_SHA384),
        "RS512" => rsa(&sig::RSA_PKCS1_2048_8192_SHA512),
        "PS256" => rsa(&sig::RSA_PSS_2048_8192_SHA256),
        "PS384" => rsa(&sig::RSA_PSS_2048_8192_SHA384),
        "PS512" => rsa(&sig::RSA_PSS_2048_8192_SHA512),
        "ES256" => curve(&sig::ECDSA_P256_SHA256_FIXED, 32, true),
        "ES384" => curve(&sig::ECDSA_P384_SHA384_FIXED, 48, true),
        "EdDSA" => curve(&sig::ED25519, 32, false),
        _ => false,
    }
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|b| **b == 0).count()..]
}

fn check(claims: &Value, expected: &Expected<'_>) -> Result<()> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    // Some issuers write times with a fraction.
    let time = |name: &str| claims.get(name).and_then(Value::as_f64).map(|s| s as i64);
    if text("iss") != Some(expected.issuer) {
        return Err(wrong("another issuer"));
    }
    let audience: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audience.contains(&expected.client_id) {
        return Err(wrong("another audience"));
    }
    let party = text("azp");
    if party.is_some_and(|p| p != expected.client_id) || (audience.len() > 1 && party.is_none()) {
        return Err(wrong("another authorized party"));
    }
    let now = expected.now_s;
    match time("exp") {
        Some(end) if now < end.saturating_add(LEEWAY_S) => {}
        _ => return Err(wrong("expired, or without an end")),
    }
    match time("iat") {
        Some(at) if at <= now + LEEWAY_S && now < at.saturating_add(AGE_MAX_S) => {}
        _ => return Err(wrong("issued in the future, long ago, or without a time")),
    }
    if time("nbf").is_some_and(|from| from > now + LEEWAY_S) {
        return Err(wrong("not valid yet"));
    }
    if !text("nonce").is_some_and(|nonce| same(nonce.as_bytes(), expected.nonce.as_bytes())) {
        return Err(wrong("of another sign-in (nonce)"));
    }
    Ok(())
}
