//! Addresses of servers.

use statera_core::{Error, Result};

/// An address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// As given.
    pub text: String,
    /// True for https.
    pub is_tls: bool,
    /// Name or number, without brackets.
    pub host: String,
    /// 80 or 443 if not given.
    pub port: u16,
    /// Host and port as the header `host` has them.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

impl Url {
    /// Takes an address apart.
    ///
    /// # Errors
    /// Another scheme, a user's name, a host or port that cannot be, characters that must be escaped.
    pub fn parse(text: &str) -> Result<Url> {
        let not = |why: &str| {
            Error::request(format!("the address «{text}» {why}; allowed is http://HOST[:PORT][/PATH], or https://"))
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| not("has no scheme"))?;
        let is_tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(not(&format!("has the scheme «{scheme}»"))),
        };
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(not("has characters that must be escaped"));
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(not("has a user's name; use --key-file or --header"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| not("has a wrong port"))?;
        if host.is_empty() {
            return Err(not("has no host"));
        }
        let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
        Ok(Url {
            text: text.to_string(),
            is_tls,
            host: host.trim_matches(['[', ']']).to_string(),
            port: port.unwrap_or(if is_tls { 443 } else { 80 }),
            authority: authority.to_string(),
            path,
        })
    }
}

/// Host and port; an address of version 6 stands in brackets. `None` if what follows the colon is no port.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let end_of_host = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[end_of_host..].find(':') {
        None => Some((authority, None)),
        Some(colon) => {
            let (host, port) = authority.split_at(end_of_host + colon);
            port[1..].parse().ok().filter(|p| *p > 0).map(|p| (host, Some(p)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_addresses_apart() {
        let cases = [
            ("http://127.0.0.1:8420/api/v1/decisions", (false, "127.0.0.1", 8420, "/api/v1/decisions")),
            ("http://bank.example", (false, "bank.example", 80, "/")),
            ("http://bank.example?a=1", (false, "bank.example", 80, "/?a=1")),
            ("https://[::1]:9/x?y=/z#part", (true, "::1", 9, "/x?y=/z")),
            ("https://[::1]", (true, "::1", 443, "/")),
        ];
        for (text, (is_tls, host, port, path)) in cases {
            let url = Url::parse(text).expect(text);
            assert_eq!((url.is_tls, url.host.as_str(), url.port, url.path.as_str()), (is_tls, host, port, path));
        }
    }

    #[test]
    fn refuses_what_is_no_address() {
        let cases = [
            ("127.0.0.1:80", "no scheme"),
            ("ftp://bank", "«ftp»"),
            ("http://", "no host"),
            ("http://a:99999/", "port"),
            ("http://a:0/", "port"),
            ("http://a:b/", "port"),
            ("http://me@bank/", "--key-file"),
            ("http://bank/a b", "escaped"),
            ("http://bank/\r\nx: y", "escaped"),
            ("http://은행/", "escaped"),
        ];
        for (text, word) in cases {
            let e = Url::parse(text).expect_err(text);
            assert!(e.is_request() && e.to_string().contains(word), "{text}: {e}");
        }
    }
}
