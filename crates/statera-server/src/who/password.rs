//! Passwords: argon2id (RFC 9106), a few at a time.
//!
//! 19 MiB and two passes are what OWASP's cheat sheet on password storage (2024) asks for at least. A check takes some
//! hundredths of a second of a core, so that at most [`Passwords`]' bound run at once and few wait: sign-ins cannot take the
//! processor from decisions.

use super::{secret, waiting};
use crate::flow::turns::{self, Turns};
use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier};
use statera_core::{Error, Result};
use zeroize::Zeroizing;

/// Characters of a new password.
const CHARS: std::ops::RangeInclusive<usize> = 12..=128;
/// Different characters of a new password at least.
const DIFFERENT_MIN: usize = 6;
/// Longer ones are no passwords of anybody.
pub const BYTES_MAX: usize = 512;
/// Sign-ins that wait for one that runs, for each that may run.
const WAITING_EACH: usize = 16;
/// A password that nobody has: checked for names that nobody has, so that they take as long.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c3RhdGVyYS1ub2JvZHkhIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The bound on how many are checked at once.
pub struct Passwords(Turns);

/// The right to check one.
pub struct Turn {
    _turn: turns::Turn,
}

impl Passwords {
    /// So many at once.
    ///
    /// # Errors
    /// None today.
    pub fn new(at_once: usize) -> Result<Passwords> {
        Ok(Passwords(Turns::new("sign-ins", at_once, at_once * WAITING_EACH)))
    }

    /// Waits for the turn.
    ///
    /// # Errors
    /// `Busy` if too many wait.
    pub async fn turn(&self) -> Result<Turn> {
        Ok(Turn { _turn: self.0.turn().await? })
    }
}

impl Turn {
    /// True if it is the password of the argon2 text. Without one, takes as long and says no.
    ///
    /// # Errors
    /// A worker that ended.
    pub async fn is_right(&self, password: Zeroizing<String>, phc: Option<String>) -> Result<bool> {
        waiting(move || {
            let phc = phc.as_deref().unwrap_or(NOBODY);
            Ok(Argon2::default().verify_password(password.as_bytes(), phc).is_ok())
        })
        .await
    }

    /// The argon2 text of a new password of a person.
    ///
    /// # Errors
    /// A password that is not allowed; a system without a random source.
    pub async fn hash(&self, name: &str, password: Zeroizing<String>) -> Result<String> {
        check_new(name, &password)?;
        waiting(move || {
            let salt = secret::random::<16>()?;
            let fault = |e: argon2::password_hash::Error| Error::io(format!("argon2: {e}"));
            Ok(argon2().hash_password_with_salt(password.as_bytes(), &salt).map_err(fault)?.to_string())
        })
        .await
    }
}

fn argon2() -> Argon2<'static> {
    Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, Params::DEFAULT)
}

/// Refuses what is guessed first: short ones, the name, few characters over and over. Rules about kinds of characters are
/// left out on purpose (NIST SP 800-63B, section 5.1.1.2).
///
/// # Errors
/// What is allowed.
pub fn check_new(name: &str, password: &str) -> Result<()> {
    let n_chars = password.chars().count();
    if !CHARS.contains(&n_chars) || password.len() > BYTES_MAX {
        return Err(Error::request(format!(
            "password: {n_chars} characters; allowed: {} to {}",
            CHARS.start(),
            CHARS.end()
        )));
    }
    let different: std::collections::BTreeSet<char> = password.chars().collect();
    if different.len() < DIFFERENT_MIN {
        return Err(Error::request(format!(
            "password: {} different characters; allowed: {DIFFERENT_MIN} or more",
            different.len()
        )));
    }
    let (lower, name) = (password.to_lowercase(), name.to_lowercase());
    if name.chars().count() >= 4 && lower.contains(&name) {
        return Err(Error::request("password: it has the person's name in it; allowed: any other"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_guessed_first_is_refused() {
        let cases = [
            ("anna", "short", "5 characters"),
            ("anna", "abababababababab", "2 different characters"),
            ("anna", "my-name-is-Anna-2026", "the person's name"),
        ];
        for (name, password, said) in cases {
            let error = check_new(name, password).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(check_new("anna", "가나다라마바사아자차카타").is_ok());
        assert!(check_new("anna", &"x".repeat(600)).is_err());
    }

    #[tokio::test]
    async fn a_hash_is_of_its_password_alone_and_names_its_parameters() {
        let turn = Passwords::new(1).unwrap().turn().await.unwrap();
        let own = |text: &str| Zeroizing::new(text.to_string());
        let phc = turn.hash("anna", own("correct horse battery")).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert_ne!(phc, turn.hash("anna", own("correct horse battery")).await.unwrap());
        assert!(turn.is_right(own("correct horse battery"), Some(phc.clone())).await.unwrap());
        assert!(!turn.is_right(own("correct horse batterz"), Some(phc)).await.unwrap());
        assert!(!turn.is_right(own("anything"), None).await.unwrap());
    }

    /// A case of the reference implementation's own tests (P-H-C/phc-winner-argon2, src/test.c).
    #[tokio::test]
    async fn reads_what_the_reference_implementation_writes() {
        let turn = Passwords::new(1).unwrap().turn().await.unwrap();
        let phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(turn.is_right(Zeroizing::new("password".into()), Some(phc.into())).await.unwrap());
    }

    #[tokio::test]
    async fn few_wait() {
        let passwords = Passwords::new(1).unwrap();
        let _turn = passwords.turn().await.unwrap();
        let mut waiting: Vec<_> = (0..WAITING_EACH).map(|_| Box::pin(passwords.turn())).collect();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let polled: Vec<_> = waiting.iter_mut().map(|f| f.as_mut().poll(&mut context).is_ready()).collect();
        assert!(polled.iter().all(|ready| !ready));
        assert!(passwords.turn().await.err().expect("refused").to_string().contains("too many sign-ins"));
    }

    use std::future::Future;
}
