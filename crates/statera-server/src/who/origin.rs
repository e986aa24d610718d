//! Where a request comes from, behind a reverse proxy or not.

use axum::http::{HeaderMap, Method, header, request::Parts};
use statera_core::{Error, Result};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// The other end of the connection. The loop that accepts connections puts it into the extensions of every request; without
/// it, a request counts as one of the machine itself over plain HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// True: the connection is encrypted.
    pub is_tls: bool,
    /// The subject of its certificate, which was verified, as RFC 4514 writes it.
    pub subject: Option<Arc<str>>,
}

/// What a request's origin comes to, after what trusted proxies say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The client's address; none: the machine itself.
    pub address: Option<IpAddr>,
    /// True: the browser's connection is encrypted.
    pub is_secure: bool,
}

/// Proxies that are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<(IpAddr, u8)>);

impl Proxies {
    /// Reads addresses and networks.
    ///
    /// # Errors
    /// What is neither.
    pub fn parse(texts: &[String]) -> Result<Proxies> {
        let one = |text: &String| {
            let wrong = || {
                Error::request(format!("trusted_proxies: «{text}»; allowed: an address or a network, as 10.0.0.0/24"))
            };
            let (address, bits) = text.split_once('/').map_or((text.as_str(), None), |(a, b)| (a, Some(b)));
            let address: IpAddr = address.parse().map_err(|_| wrong())?;
            let all = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Ok(all), str::parse).map_err(|_| wrong())?;
            if bits > all { Err(wrong()) } else { Ok((address, bits)) }
        };
        texts.iter().map(one).collect::<Result<_>>().map(Proxies)
    }

    /// True for an address of one of them.
    pub fn has(&self, address: IpAddr) -> bool {
        let number = |a: IpAddr| match a {
            IpAddr::V4(a) => u128::from(u32::from(a)) << 96,
            IpAddr::V6(a) => u128::from(a),
        };
        self.0.iter().any(|&(network, bits)| {
            network.is_ipv4() == address.is_ipv4()
                && (bits == 0 || (number(network) ^ number(address)) >> (128 - u32::from(bits)) == 0)
        })
    }

    /// Where a request comes from: of `X-Forwarded-For`, the last address that is no trusted proxy, because everything before
    /// it was written by whoever sent the request.
    pub fn origin(&self, peer: Option<&Peer>, headers: &HeaderMap) -> Origin {
        let Some(peer) = peer else { return Origin { address: None, is_secure: false } };
        let direct = peer.address.ip().to_canonical();
        if !self.has(direct) {
            return Origin { address: Some(direct), is_secure: peer.is_tls };
        }
        let said: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .map(str::trim)
            .collect();
        let mut address = direct;
        for text in said.iter().rev() {
            let Ok(next) = text.parse::<IpAddr>() else { break };
            address = next.to_canonical();
            if !self.has(address) {
                break;
            }
        }
        let is_https = headers.get("x-forwarded-proto").is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"https"));
        Origin { address: Some(address), is_secure: peer.is_tls || is_https }
    }
}

/// What counts failures of an address: an IPv6 customer has a network of 64 bits.
pub fn counted(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from(u128::from(a) >> 64 << 64)),
    }
}

/// Scheme, host and port of a URL of the web, without a path.
pub fn of_url(url: &str) -> Option<String> {
    let uri: axum::http::Uri = url.parse().ok()?;
    let scheme = uri.scheme_str().filter(|s| ["http", "https"].contains(s))?;
    let authority = uri.authority().filter(|a| !a.as_str().contains('@') && !a.host().is_empty())?;
    Some(format!("{scheme}://{authority}"))
}

/// Refuses a request that changes something and was sent by another site's page.
///
/// Browsers say where a request comes from: `Sec-Fetch-Site` (all of today's) and `Origin` (also older ones, with every POST).
/// `public_url` is this server's own origin; if it is empty, the host that the request names is.
///
/// # Errors
/// `Denied` if the headers name another site, or are both missing.
pub fn refuse_other_sites(parts: &Parts, public_url: &str, is_secure: bool) -> Result<()> {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(&parts.method) {
        return Ok(());
    }
    let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok());
    let refused =
        || Err(Error::denied("this was sent by another site's page, or by a program without the header Origin"));
    match header("sec-fetch-site") {
        Some("same-origin") | None => {}
        Some(_) => return refused(),
    }
    let Some(origin) = header("origin") else {
        return if header("sec-fetch-site").is_some() { Ok(()) } else { refused() };
    };
    let own = match public_url {
        "" => {
            let host = header(header::HOST.as_str()).unwrap_or_default();
            format!("{}://{host}", if is_secure { "https" } else { "http" })
        }
        url => url.to_string(),
    };
    if origin.eq_ignore_ascii_case(&own) { Ok(()) } else { refused() }
}

#[cfg(test)]
#[path = "origin_tests.rs"]
mod tests;
