//! The words of the small expressions that people write: definitions of bad, exclusion rules, conditions of decision rules.

use statera_core::{Error, Result};

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    Different,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = Comparison::ALL.iter().find(|(sign, comparison)| comparison == self && *sign != "==");
        f.write_str(sign.map_or("", |(sign, _)| sign))
    }
}

impl Comparison {
    const ALL: [(&str, Comparison); 7] = [
        ("<=", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("!=", Comparison::Different),
        ("==", Comparison::Equal),
        ("=", Comparison::Equal),
        ("<", Comparison::Less),
        (">", Comparison::More),
    ];

    /// Whether it holds between two values of one type; never if they cannot be ordered (NaN).
    pub fn holds<T: PartialOrd + ?Sized>(self, left: &T, right: &T) -> bool {
        let Some(order) = left.partial_cmp(right) else { return false };
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::Different => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::AtMost => order.is_le(),
            Comparison::More => order.is_gt(),
            Comparison::AtLeast => order.is_ge(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    /// A name, a number or a date, as written.
    Word(String),
    /// Text in quotes, without them.
    Quoted(String),
    /// A name in backticks, without them.
    Backticked(String),
    Compare(Comparison),
    Open,
    Close,
    Comma,
}

/// The tokens of an expression and the place that is read next.
pub(crate) struct Tokens<'a> {
    text: &'a str,
    /// Each with its position, counted in characters from 1.
    tokens: Vec<(usize, Token)>,
    next: usize,
}

impl<'a> Tokens<'a> {
    pub fn new(text: &'a str) -> Result<Tokens<'a>> {
        let chars: Vec<char> = text.chars().collect();
        let mut tokens = Vec::new();
        let mut at = 0;
        while at < chars.len() {
            let c = chars[at];
            let start = at;
            at += 1;
            let token = match c {
                c if c.is_whitespace() => continue,
                '(' => Token::Open,
                ')' => Token::Close,
                ',' => Token::Comma,
                '\'' | '"' | '`' => {
                    let Some(length) = chars[at..].iter().position(|&other| other == c) else {
                        return Err(Error::request(format!("«{text}», position {at}: the quote {c} is not closed")));
                    };
                    at += length + 1;
                    let text = chars[start + 1..at - 1].iter().collect();
                    if c == '`' { Token::Backticked(text) } else { Token::Quoted(text) }
                }
                '<' | '>' | '=' | '!' => {
                    let two: String = chars[start..(start + 2).min(chars.len())].iter().collect();
                    match Comparison::ALL.iter().find(|(sign, _)| two.starts_with(sign)) {
                        Some((sign, comparison)) => {
                            at = start + sign.len();
                            Token::Compare(*comparison)
                        }
                        None => return Err(unexpected(text, at, "!", "!=")),
                    }
                }
                c if is_word(c) => {
                    while at < chars.len() && is_word(chars[at]) {
                        at += 1;
                    }
                    Token::Word(chars[start..at].iter().collect())
                }
                c => return Err(unexpected(text, at, &c.to_string(), "names, numbers, comparisons and brackets")),
            };
            tokens.push((start + 1, token));
        }
        Ok(Tokens { text, tokens, next: 0 })
    }

    pub fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    pub fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.next += 1;
        token
    }

    /// Steps over the word if it comes next; case does not matter.
    pub fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word));
        self.next += usize::from(found);
        found
    }

    /// A name: a word or something in quotes or backticks.
    pub fn name(&mut self, what: &str) -> Result<String> {
        match self.next() {
            Some(Token::Word(name) | Token::Quoted(name) | Token::Backticked(name)) => Ok(name),
            _ => Err(self.error(what)),
        }
    }

    pub fn expect(&mut self, token: &Token, what: &str) -> Result<()> {
        if self.next().as_ref() == Some(token) { Ok(()) } else { Err(self.error(what)) }
    }

    pub fn comparison(&mut self) -> Result<Comparison> {
        match self.next() {
            Some(Token::Compare(comparison)) => Ok(comparison),
            _ => Err(self.error("one of = != < <= > >=")),
        }
    }

    /// Fails unless everything was read.
    pub fn end(&mut self, what: &str) -> Result<()> {
        if self.next().is_none() { Ok(()) } else { Err(self.error(what)) }
    }

    /// The error that the token read last is not what is allowed there.
    pub fn error(&self, allowed: &str) -> Error {
        match self.tokens.get(self.next - 1) {
            None => Error::request(format!("«{}», at the end: something is missing; allowed is {allowed}", self.text)),
            Some((position, token)) => {
                let found = match token {
                    Token::Word(word) | Token::Quoted(word) | Token::Backticked(word) => word.clone(),
                    Token::Open => "(".into(),
                    Token::Close => ")".into(),
                    Token::Comma => ",".into(),
                    Token::Compare(comparison) => comparison.to_string(),
                };
                unexpected(self.text, *position, &found, allowed)
            }
        }
    }
}

fn unexpected(text: &str, position: usize, found: &str, allowed: &str) -> Error {
    Error::request(format!("«{text}», position {position}: «{found}» is not allowed; allowed is {allowed}"))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '+' | '-' | '%' | '/' | '#')
}
