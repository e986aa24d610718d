//! An issuer in the process, and what it may not get away with.

use super::provider::{Fetch, Fetched};
use super::token::{self, Expected, Jwk};
use super::*;
use crate::who::secret::text;
use crate::who::testing::{self, NOW_US};
use axum::body::Bytes;
use axum::http::StatusCode;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents as RsaComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const ISSUER: &str = "https://sso.bank.example/realms/staff";
const PUBLIC: &str = "https://statera.bank.example";
const NOW_S: i64 = NOW_US / SECOND_US;
/// A key of this test alone.
const RSA: &[u8] = include_bytes!("issuer_rsa.der");

/// An issuer's private keys.
struct Keys {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

impl Keys {
    fn new() -> Keys {
        let random = SystemRandom::new();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        Keys {
            rsa: RsaKeyPair::from_pkcs8(RSA).unwrap(),
            ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random).unwrap(),
            ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap(),
        }
    }

    fn public(&self) -> Value {
        let rsa = RsaComponents::<Vec<u8>>::from(self.rsa.public());
        let point = self.ec.public_key().as_ref();
        json!({ "keys": [
            { "kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": text(&rsa.n), "e": text(&rsa.e) },
            { "kty": "EC", "kid": "p", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]) },
            { "kty": "OKP", "kid": "d", "crv": "Ed25519", "x": text(self.ed.public_key().as_ref()) },
            { "kty": "oct", "kid": "s", "k": "c2VjcmV0" },
            { "kty": 7 },
        ]})
    }

    fn jwks(&self) -> Vec<Jwk> {
        let keys = self.public()["keys"].as_array().unwrap().clone();
        keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect()
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", text(header.to_string().as_bytes()), text(claims.to_string().as_bytes()));
        let random = SystemRandom::new();
        let signature = match header["alg"].as_str().unwrap() {
            "RS256" => {
                let mut signature = vec![0; self.rsa.public().modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
            "ES256" => self.ec.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
            "EdDSA" => self.ed.sign(signed.as_bytes()).as_ref().to_vec(),
            // What would be right if a public key were taken for a shared secret.
            "HS256" => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"secret");
                ring::hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
            }
            _ => Vec::new(),
        };
        format!("{signed}.{}", text(&signature))
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "statera", "sub": "17", "exp": NOW_S + 300, "iat": NOW_S - 5, "nonce": "n-1",
        "preferred_username": "kim.minji", "groups": ["risk-makers", "everyone"],
    })
}

fn expected() -> Expected<'static> {
    Expected { issuer: ISSUER, client_id: "statera", nonce: "n-1", now_s: NOW_S }
}

#[test]
fn every_algorithm_of_the_list_is_verified() {
    let keys = Keys::new();
    for (alg, kid) in [("RS256", "r"), ("ES256", "p"), ("EdDSA", "d")] {
        for header in [json!({ "alg": alg, "kid": kid }), json!({ "alg": alg })] {
            let token = keys.token(&header, &claims());
            assert_eq!(token::verify(&token, &keys.jwks(), &expected()).unwrap()["sub"], "17", "{alg}");
        }
    }
}

/// The signed example of RFC 7515, appendix A.2, made by others: RS256 with its own key.
#[test]
fn the_example_of_the_standard_is_verified() {
    let key = json!({ "kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ" });
    let keys: Vec<Jwk> = vec![serde_json::from_value(key).unwrap()];
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    // The signature is right: what is refused is what it says, «joe».
    let error = token::verify(token, &keys, &expected()).unwrap_err().to_string();
    assert_eq!(error, "token: another issuer");
    let altered = token.replacen("eyJpc3Mi", "eyJpc3Nj", 1);
    let error = token::verify(&altered, &keys, &expected()).unwrap_err().to_string();
    assert!(error.contains("no key of the issuer"), "{error}");
}

#[test]
fn claims_that_are_not_as_they_must_be_are_refused() {
    let keys = Keys::new();
    let cases: [(&str, Value, &str); 14] = [
        ("iss", json!("https://sso.bank.example"), "another issuer"),
        ("aud", json!("somebody-else"), "another audience"),
        ("aud", json!(["somebody-else"]), "another audience"),
        ("aud", json!(["statera", "somebody-else"]), "another authorized party"),
        ("aud", Value::Null, "another audience"),
        ("azp", json!("somebody-else"), "another authorized party"),
        ("exp", json!(NOW_S - 61), "expired"),
        ("exp", json!("never"), "expired"),
        ("exp", Value::Null, "expired"),
        ("iat", json!(NOW_S + 61), "issued in the future"),
        ("iat", json!(NOW_S - 4000), "issued in the future, long ago"),
        ("nbf", json!(NOW_S + 3600), "not valid yet"),
        ("nonce", json!("n-2"), "another sign-in"),
        ("nonce", Value::Null, "another sign-in"),
    ];
    for (name, value, said) in cases {
        let mut claims = claims();
        claims[name] = value.clone();
        let token = keys.token(&json!({ "alg": "RS256", "kid": "r" }), &claims);
        let error = token::verify(&token, &keys.jwks(), &expected()).unwrap_err().to_string();
        assert!(error.contains(said), "{name} = {value}: {error}");
    }
}

#[test]
fn signatures_that_are_not_the_issuers_are_refused() {
    let (keys, others) = (Keys::new(), Keys::new());
    let refused = |token: &str, said: &str| {
        let error = token::verify(token, &keys.jwks(), &expected()).unwrap_err().to_string();
        assert!(error.contains(said), "{token:.60}: {error}");
    };
    let no_key = "no key of the issuer";
    // Another key under the same name; an algorithm without a signature; one with a shared secret; a key of another kind.
    refused(&others.token(&json!({ "alg": "ES256", "kid": "p" }), &claims()), no_key);
    for alg in ["none", "None", "NONE", "HS256", ""] {
        refused(&keys.token(&json!({ "alg": alg }), &claims()), no_key);
        refused(&keys.token(&json!({ "alg": alg, "kid": "s" }), &claims()), no_key);
    }
    refused(&keys.token(&json!({ "alg": "ES256", "kid": "r" }), &claims()), no_key);
    refused(&keys.token(&json!({ "alg": "ES256", "kid": "unknown" }), &claims()), no_key);
    // A key that the token itself brings.
    let point = others.ec.public_key().as_ref();
    let own = json!({ "kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]) });
    refused(&others.token(&json!({ "alg": "ES256", "jwk": own }), &claims()), no_key);
    refused(&keys.token(&json!({ "alg": "ES256", "crit": ["b64"], "b64": false }), &claims()), "critical");
    let good = keys.token(&json!({ "alg": "ES256", "kid": "p" }), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let other_claims = text(claims().to_string().replace("kim", "lee").as_bytes());
    refused(&format!("{}.{other_claims}.{}", parts[0], parts[2]), no_key);
    refused(&format!("{}.{}.", parts[0], parts[1]), no_key);
    for broken in ["", "a.b", "a.b.c.d", "!.!.!", &"x".repeat(70_000)] {
        assert!(token::verify(broken, &keys.jwks(), &expected()).is_err());
    }
}

/// What the issuer answers next, and what it was asked.
#[derive(Default)]
struct Desk {
    id_token: Mutex<String>,
    asked: Mutex<Vec<(String, String)>>,
    discovery: Mutex<Option<Value>>,
}

struct FakeIssuer {
    keys: Arc<Keys>,
    desk: Arc<Desk>,
}

impl Fetch for FakeIssuer {
    fn fetch<'a>(&'a self, url: &'a str, form: Option<String>, authorization: Option<HeaderValue>) -> Fetched<'a> {
        let mut said = form.clone().unwrap_or_default();
        said += authorization.as_ref().map_or("", |v| v.to_str().unwrap());
        self.desk.asked.lock().unwrap().push((url.into(), said));
        let body = match url.strip_prefix(ISSUER).unwrap_or(url) {
            "/.well-known/openid-configuration" => self.desk.discovery.lock().unwrap().clone().unwrap_or(json!({
                "issuer": ISSUER,
                "authorization_endpoint": format!("{ISSUER}/auth"),
                "token_endpoint": format!("{ISSUER}/token"),
                "jwks_uri": format!("{ISSUER}/certs"),
            })),
            "/certs" => self.keys.public(),
            "/token" if form.is_some_and(|f| f.contains("code=good-code")) => {
                json!({ "id_token": *self.desk.id_token.lock().unwrap(), "access_token": "x", "token_type": "Bearer" })
            }
            "/token" => return Box::pin(async { Ok((StatusCode::BAD_REQUEST, Bytes::new())) }),
            other => panic!("asked for {other}"),
        };
        Box::pin(async move { Ok((StatusCode::OK, Bytes::from(body.to_string()))) })
    }
}

struct Scene {
    door: Doorkeeper,
    keys: Arc<Keys>,
    desk: Arc<Desk>,
    _dir: tempfile::TempDir,
    clock: testing::TestClock,
}

fn scene() -> Scene {
    let (keys, desk) = (Arc::new(Keys::new()), Arc::new(Desk::default()));
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("client.secret");
    testing::write_secret(&secret, "s3cret/of us");
    let settings: OidcSettings = toml::from_str(&format!(
        "issuer = '{ISSUER}'\nclient_id = 'statera'\nclient_secret_file = '{}'\n[roles]\nrisk-makers = ['maker', 'viewer']\n",
        secret.display()
    ))
    .unwrap();
    let issuer = FakeIssuer { keys: keys.clone(), desk: desk.clone() };
    let oidc = Oidc::with(&settings, PUBLIC, Box::new(issuer)).unwrap();
    let clock = testing::TestClock::default();
    let door = testing::door_with(dir.path(), &clock, |inner| {
        inner.oidc = Some(oidc);
        inner.settings.public_url = PUBLIC.into();
    });
    Scene { door, keys, desk, _dir: dir, clock }
}

impl Scene {
    /// Begins a sign-in; gives the cookie's header for the way back, and what the issuer was sent.
    async fn begin(&self) -> (HeaderMap, BTreeMap<String, String>) {
        let start = self.door.begin_oidc(true).await.unwrap();
        let cookie = start.cookie.to_str().unwrap();
        assert!(cookie.starts_with("__Host-statera-oidc=") && cookie.ends_with("Max-Age=600; Secure"), "{cookie}");
        assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
        let (url, query) = start.url.split_once('?').unwrap();
        assert_eq!(url, format!("{ISSUER}/auth"));
        let sent = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut headers = HeaderMap::new();
        headers.insert("cookie", cookie.split(';').next().unwrap().parse().unwrap());
        (headers, sent)
    }

    fn issue(&self, change: impl FnOnce(&mut Value), sent: &BTreeMap<String, String>) {
        let mut claims = claims();
        claims["nonce"] = json!(sent["nonce"]);
        change(&mut claims);
        *self.desk.id_token.lock().unwrap() = self.keys.token(&json!({ "alg": "RS256", "kid": "r" }), &claims);
    }
}

fn callback(sent: &BTreeMap<String, String>) -> Callback {
    Callback { code: Some("good-code".into()), state: Some(sent["state"].clone()), error: None, iss: None }
}

#[tokio::test]
async fn a_sign_in_brings_the_persons_roles_and_proves_the_code_is_its_own() {
    let scene = scene();
    testing::add_person(&scene.door, "first", &[Role::Admin]);
    let (headers, sent) = scene.begin().await;
    scene.issue(|_| {}, &sent);
    assert!(scene.door.finish_oidc(callback(&sent), &headers, true).await.is_ok());
    let person = scene.door.store.person("kim.minji").unwrap();
    assert_eq!(person.roles, BTreeSet::from([Role::Viewer, Role::Maker]));
    assert_eq!(person.password, None);
    let asked = scene.desk.asked.lock().unwrap().clone();
    let (_, exchange) = asked.iter().find(|(url, _)| url.ends_with("/token")).unwrap();
    let form: BTreeMap<String, String> = form_urlencoded::parse(exchange.as_bytes()).into_owned().collect();
    let verifier = form["code_verifier"].split("Basic").next().unwrap();
    let challenge = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
    assert_eq!(sent["code_challenge"], text(challenge.as_ref()));
    assert_eq!(
        (sent["code_challenge_method"].as_str(), sent["redirect_uri"].as_str()),
        ("S256", "https://statera.bank.example/sign-in/oidc/callback")
    );
    // The secret is form-encoded before it is base64: s3cret%2Fof+us.
    assert!(exchange.ends_with("Basic c3RhdGVyYTpzM2NyZXQlMkZvZit1cw=="), "{exchange}");
}

#[tokio::test]
async fn what_does_not_belong_to_the_sign_in_is_refused() {
    let scene = scene();
    testing::add_person(&scene.door, "first", &[Role::Admin]);
    let (headers, sent) = scene.begin().await;
    scene.issue(|_| {}, &sent);
    let refused = async |callback: Callback, headers: &HeaderMap| {
        let failure = scene.door.finish_oidc(callback, headers, true).await.err().expect("refused");
        assert_eq!(failure.status, StatusCode::UNAUTHORIZED, "{}", failure.message);
        failure.message
    };
    refused(callback(&sent), &HeaderMap::new()).await;
    refused(Callback { state: Some("forged".into()), ..callback(&sent) }, &headers).await;
    refused(Callback { state: None, ..callback(&sent) }, &headers).await;
    refused(Callback { iss: Some("https://evil.example".into()), ..callback(&sent) }, &headers).await;
    refused(Callback { error: Some("access_denied".into()), ..callback(&sent) }, &headers).await;
    // Another browser's cookie, and a cookie whose end was moved.
    let (other, _) = scene.begin().await;
    refused(callback(&sent), &other).await;
    let moved = headers["cookie"].to_str().unwrap().rsplit_once('.').unwrap().0.to_string() + ".9999999999";
    let mut later = HeaderMap::new();
    later.insert("cookie", moved.parse().unwrap());
    refused(callback(&sent), &later).await;
    // The token of another sign-in, and groups that may nothing.
    scene.issue(|claims| claims["nonce"] = json!("another"), &sent);
    refused(callback(&sent), &headers).await;
    scene.issue(|claims| claims["groups"] = json!(["everyone"]), &sent);
    assert!(refused(callback(&sent), &headers).await.contains("nobody who may come in"));
    scene.issue(|claims| claims["preferred_username"] = json!("../admin\u{0}"), &sent);
    assert!(refused(callback(&sent), &headers).await.contains("nobody who may come in"));
    // Who has a password here is nobody else's to name.
    scene.issue(|claims| claims["preferred_username"] = json!("first"), &sent);
    assert!(refused(callback(&sent), &headers).await.contains("somebody who has a password here"));
    scene.issue(|_| {}, &sent);
    scene.clock.advance_s(601);
    refused(callback(&sent), &headers).await;
    assert!(scene.door.store.person("kim.minji").is_err());
}

#[tokio::test]
async fn nobody_comes_in_by_the_issuer_before_the_first_admin() {
    let scene = scene();
    let (headers, sent) = scene.begin().await;
    scene.issue(|_| {}, &sent);
    let failure = scene.door.finish_oidc(callback(&sent), &headers, true).await.err().expect("refused");
    assert!(failure.message.contains("no admin yet"), "{}", failure.message);
}

#[tokio::test]
async fn a_document_that_leads_elsewhere_is_not_followed() {
    let cases = [
        ("issuer", "https://evil.example", "another issuer"),
        ("token_endpoint", "https://evil.example/token", "also_hosts"),
        ("jwks_uri", "http://sso.bank.example/certs", "https://"),
        ("authorization_endpoint", "https://sso.bank.example@evil.example/auth", "also_hosts"),
    ];
    for (name, value, said) in cases {
        let scene = scene();
        let mut discovery = json!({
            "issuer": ISSUER,
            "authorization_endpoint": format!("{ISSUER}/auth"),
            "token_endpoint": format!("{ISSUER}/token"),
            "jwks_uri": format!("{ISSUER}/certs"),
        });
        discovery[name] = json!(value);
        *scene.desk.discovery.lock().unwrap() = Some(discovery);
        let error = scene.door.begin_oidc(true).await.err().expect("refused").to_string();
        assert!(error.contains(said), "{name}: {error}");
        assert!(scene.desk.asked.lock().unwrap().iter().all(|(url, _)| !url.contains("evil")));
    }
}

#[test]
fn an_issuer_that_is_away_is_told_without_where_it_is() {
    let failure = away(Error::busy("https://sso.bank.example: 10.0.0.7:443: Connection refused (os error 111)"));
    assert_eq!(failure.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(failure.message, "the issuer does not answer; the server's log says why");
    let failure = away(Error::not_found("no OpenID Connect is configured"));
    assert_eq!((failure.status, failure.message.as_str()), (StatusCode::NOT_FOUND, "no OpenID Connect is configured"));
}

#[test]
fn an_issuer_is_asked_over_tls_only() {
    let settings = |issuer: &str| -> OidcSettings {
        toml::from_str(&format!("issuer = '{issuer}'\nclient_id = 'statera'\n[roles]\n")).unwrap()
    };
    for wrong in
        ["http://sso.bank.example", "ftp://x", "sso", "https://sso.bank.example?x=1", "http://localhost.evil.example"]
    {
        assert!(Oidc::new(&settings(wrong), PUBLIC).is_err(), "{wrong}");
    }
    assert!(Oidc::new(&settings("http://localhost:8080/realms/a"), PUBLIC).is_ok());
    assert!(Oidc::new(&settings(ISSUER), "").is_err());
}
