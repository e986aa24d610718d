use super::*;
use axum::http::{HeaderValue, Request};

fn peer(address: &str) -> Peer {
    Peer { address: SocketAddr::new(address.parse().unwrap(), 5000), is_tls: false, subject: None }
}

fn proxies(texts: &[&str]) -> Result<Proxies> {
    Proxies::parse(&texts.iter().map(|t| t.to_string()).collect::<Vec<_>>())
}

#[test]
fn networks_are_read_and_their_addresses_known() {
    let some = proxies(&["10.1.0.0/16", "192.0.2.5", "2001:db8::/32", "0.0.0.0/0"]).unwrap();
    assert!(some.has("10.1.255.255".parse().unwrap()));
    let few = proxies(&["10.1.0.0/16", "192.0.2.5", "2001:db8::/32"]).unwrap();
    for (address, is_in) in [
        ("10.1.2.3", true),
        ("10.2.0.0", false),
        ("192.0.2.5", true),
        ("192.0.2.4", false),
        ("2001:db8:ffff::1", true),
        ("2001:db9::1", false),
        ("::1", false),
    ] {
        assert_eq!(few.has(address.parse().unwrap()), is_in, "{address}");
    }
    for wrong in ["10.0.0.0/33", "10.0.0", "proxy.bank.example", "::/129", "10.0.0.0/x", ""] {
        assert!(proxies(&[wrong]).is_err(), "{wrong}");
    }
}

#[test]
fn what_a_client_writes_before_the_proxy_is_not_believed() {
    let trusted = proxies(&["10.0.0.0/8"]).unwrap();
    let of = |from: &str, said: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in said {
            headers.append("x-forwarded-for", HeaderValue::from_str(value).unwrap());
        }
        trusted.origin(Some(&peer(from)), &headers).address.unwrap().to_string()
    };
    assert_eq!(of("192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
    assert_eq!(of("10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
    assert_eq!(of("10.0.0.1", &["1.1.1.1, 203.0.113.9"]), "203.0.113.9");
    assert_eq!(of("10.0.0.1", &["1.1.1.1", "203.0.113.9, 10.0.0.7"]), "203.0.113.9");
    assert_eq!(of("10.0.0.1", &["1.1.1.1, junk, 10.0.0.7"]), "10.0.0.7");
    assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
    assert_eq!(of("::ffff:10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
}

#[test]
fn only_a_proxy_says_that_the_browsers_connection_is_encrypted() {
    let trusted = proxies(&["10.0.0.1"]).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    assert!(trusted.origin(Some(&peer("10.0.0.1")), &headers).is_secure);
    assert!(!trusted.origin(Some(&peer("10.0.0.2")), &headers).is_secure);
    assert!(!trusted.origin(None, &headers).is_secure);
    let tls = Peer { is_tls: true, ..peer("10.0.0.2") };
    assert!(trusted.origin(Some(&tls), &HeaderMap::new()).is_secure);
}

#[test]
fn another_sites_requests_are_told_by_their_headers() {
    let check = |public_url: &str, method: &str, headers: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).uri("/x").header("host", "statera.test:8420");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        refuse_other_sites(&parts, public_url, false).is_ok()
    };
    assert!(check("", "POST", &[("origin", "http://statera.test:8420")]));
    assert!(!check("", "POST", &[("origin", "http://statera.test")]));
    assert!(!check("", "DELETE", &[]));
    assert!(check("", "GET", &[("origin", "http://evil.test"), ("sec-fetch-site", "cross-site")]));
    let public = "https://statera.bank.example";
    assert!(check(public, "POST", &[("origin", public)]));
    assert!(!check(public, "POST", &[("origin", "http://statera.test:8420")]));
}

#[test]
fn an_origin_is_a_scheme_and_a_host() {
    let cases = [
        ("https://a.test", Some("https://a.test")),
        ("https://a.test:8443/path?x", Some("https://a.test:8443")),
        ("https://user@a.test", None),
        ("ftp://a.test", None),
        ("a.test", None),
        ("https://", None),
    ];
    for (url, origin) in cases {
        assert_eq!(of_url(url).as_deref(), origin, "{url}");
    }
}
