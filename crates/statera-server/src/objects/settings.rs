//! `[bundles]` of `server.toml`.

use crate::who::origin;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use std::path::{Path, PathBuf};

/// Characters of a bucket's name.
const BUCKET: std::ops::RangeInclusive<usize> = 3..=255;
/// Characters of a prefix at most.
const PREFIX_MAX: usize = 512;

/// Where bundles lie, if not in the store's folder alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BundlesSettings {
    /// `https://HOST[:PORT]/BUCKET[/PREFIX]` of an object store that speaks S3; empty: the store's folder.
    pub object_store: String,
    /// The region that requests are signed for.
    pub region: String,
    /// True: the bucket stands in the path; false: before the host. None: before the host at AWS, in the path elsewhere.
    pub path_style: Option<bool>,
    /// A file with the access key, mode 0600.
    pub access_key_file: Option<PathBuf>,
    /// A file with the secret key, mode 0600.
    pub secret_key_file: Option<PathBuf>,
    /// Roots that the object store's certificate is checked against, in PEM; none: the system's.
    pub ca_file: Option<PathBuf>,
    /// Seconds that one exchange may take; a further try is not begun later.
    pub timeout_s: u64,
    /// Bytes of an object at most; it is held in memory.
    pub bytes_max: u64,
}

impl Default for BundlesSettings {
    fn default() -> BundlesSettings {
        BundlesSettings {
            object_store: String::new(),
            region: "us-east-1".into(),
            path_style: None,
            access_key_file: None,
            secret_key_file: None,
            ca_file: None,
            timeout_s: 60,
            bytes_max: 1 << 30,
        }
    }
}

/// An address of an object store in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// Scheme, host and port.
    pub endpoint: String,
    /// The bucket.
    pub bucket: &'a str,
    /// What stands before the name of every object: empty, or with a slash at its end.
    pub prefix: String,
    /// True at AWS itself.
    pub is_aws: bool,
}

impl BundlesSettings {
    /// What each field is for, as `server.toml` says it.
    pub const ABOUT: &[(&str, &str)] = &[
        (
            "object_store",
            "https://HOST:PORT/BUCKET/PREFIX of an object store that speaks S3; empty: the store's folder",
        ),
        ("region", "The region that requests are signed for; many private object stores take any"),
        ("path_style", "false: the bucket stands before the host, as at AWS; else in the path, as elsewhere"),
        ("access_key_file", "File of the access key, mode 0600; it is read again for every request"),
        ("secret_key_file", "File of the secret key, likewise"),
        ("ca_file", "Roots that sign the object store's certificate, if not the system's"),
        ("timeout_s", "Seconds that sending or getting a bundle may take"),
        ("bytes_max", "Largest bundle, as .zip"),
    ];

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// The first field that is out of its range, with the range.
    pub fn check(&self) -> Result<()> {
        let fields = [
            ("timeout_s", self.timeout_s, 1..=3_600),
            // What S3 takes in one request.
            ("bytes_max", self.bytes_max, 1 << 20..=5 << 30),
        ];
        for (name, value, allowed) in fields {
            if !allowed.contains(&value) {
                let (least, most) = allowed.into_inner();
                return Err(Error::request(format!("bundles.{name} is {value}; allowed is {least} to {most}")));
            }
        }
        let is_region = !self.region.is_empty() && self.region.len() <= 64 && self.region.chars().all(is_plain);
        if !is_region {
            let region = &self.region;
            return Err(Error::request(format!(
                "bundles.region is «{region}»; allowed: letters, digits, «-», «_», «.»"
            )));
        }
        if !self.object_store.is_empty() {
            self.place()?;
            self.key_files()?;
        }
        Ok(())
    }

    /// The parts of the address.
    pub(super) fn place(&self) -> Result<Place<'_>> {
        let url = self.object_store.as_str();
        let wrong = |why: &str| {
            // An address may hold a secret that does not belong there: it is not repeated.
            Error::request(format!(
                "bundles.object_store: {why}; allowed: https://HOST:PORT/BUCKET/PREFIX, without user, password and query"
            ))
        };
        let endpoint = origin::of_url(url).ok_or_else(|| wrong("not such an address"))?;
        let path = url.strip_prefix(&endpoint).ok_or_else(|| wrong("not such an address"))?;
        let mut segments = path.trim_matches('/').split('/');
        let bucket = segments.next().unwrap_or_default();
        if !(BUCKET.contains(&bucket.len()) && is_segment(bucket)) {
            return Err(wrong("no bucket, or not the name of one"));
        }
        let mut prefix = String::new();
        for segment in segments {
            if !is_segment(segment) {
                return Err(wrong("the prefix has other characters than letters, digits, «-», «_», «.»"));
            }
            prefix += segment;
            prefix.push('/');
        }
        if prefix.len() > PREFIX_MAX {
            return Err(wrong("the prefix is too long"));
        }
        let host = endpoint.split("://").nth(1).unwrap_or_default();
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let is_aws = [".amazonaws.com", ".amazonaws.com.cn"].iter().any(|end| host.ends_with(end));
        Ok(Place { endpoint, bucket, prefix, is_aws })
    }

    /// The files of the access key and of the secret key.
    pub(super) fn key_files(&self) -> Result<(&Path, &Path)> {
        match (&self.access_key_file, &self.secret_key_file) {
            (Some(access), Some(secret)) => Ok((access, secret)),
            (None, _) => Err(Error::request("bundles.access_key_file is missing; an object store is asked with a key")),
            (_, None) => Err(Error::request("bundles.secret_key_file is missing; an object store is asked with a key")),
        }
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

/// A part of a path that no server, proxy or signature reads in two ways.
fn is_segment(text: &str) -> bool {
    !text.is_empty() && text != "." && text != ".." && text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> BundlesSettings {
        let key = Some(PathBuf::from("key"));
        let (access_key_file, secret_key_file) = (key.clone(), key);
        BundlesSettings { object_store: url.into(), access_key_file, secret_key_file, ..BundlesSettings::default() }
    }

    #[test]
    fn an_address_is_taken_apart() {
        let check = |url: &str, endpoint: &str, bucket: &str, prefix: &str, is_aws: bool| {
            let settings = at(url);
            settings.check().expect("allowed");
            let place = Place { endpoint: endpoint.into(), bucket, prefix: prefix.into(), is_aws };
            assert_eq!(settings.place(), Ok(place), "{url}");
        };
        check("https://s3.bank:9000/models/risk/eu", "https://s3.bank:9000", "models", "risk/eu/", false);
        check("http://127.0.0.1:9000/models/", "http://127.0.0.1:9000", "models", "", false);
        check("https://[::1]:9000/models", "https://[::1]:9000", "models", "", false);
        let aws = "https://s3.eu-central-1.amazonaws.com";
        check(&format!("{aws}/bank.models/a"), aws, "bank.models", "a/", true);
        check(
            "https://s3.amazonaws.com.evil.example/models",
            "https://s3.amazonaws.com.evil.example",
            "models",
            "",
            false,
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_no_secret_repeated() {
        let address = "allowed: https://HOST:PORT/BUCKET/PREFIX, without user, password and query";
        for url in [
            "s3://models/risk",
            "https://s3.bank:9000",
            "https://s3.bank:9000/ab",
            "https://kim:hunter2@s3.bank/models",
            "https://s3.bank/models?key=hunter2",
            "https://s3.bank/models/../other",
            "https://s3.bank/models//a",
            "https://s3.bank/models/%2e%2e/a",
            "https://s3.bank/모델들",
        ] {
            let told = at(url).check().expect_err("refused").to_string();
            assert!(told.ends_with(address) && !told.contains("hunter2"), "{url}: {told}");
        }
        let without = BundlesSettings { secret_key_file: None, ..at("https://s3.bank/models") };
        let told = without.check().expect_err("refused").to_string();
        assert_eq!(told, "bundles.secret_key_file is missing; an object store is asked with a key");
        let told = BundlesSettings { timeout_s: 0, ..at("") }.check().expect_err("refused").to_string();
        assert_eq!(told, "bundles.timeout_s is 0; allowed is 1 to 3600");
        let told = BundlesSettings { region: "eu/1".into(), ..at("") }.check().expect_err("refused").to_string();
        assert_eq!(told, "bundles.region is «eu/1»; allowed: letters, digits, «-», «_», «.»");
    }
}
