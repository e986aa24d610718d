//! Account numbers in text. A number alone does not show that it is one, so that only the words before it tell.

use super::text::{Found, Scanner, Text};

/// Eight to twenty digits after a word for an account, with at most a bank's name or so between them.
pub(super) const SCANNER: Scanner = Scanner { name: "account", token: "[ACCOUNT]", scan };

const WORDS: &[&str] = &[
    "계좌번호",
    "계좌",
    "통장",
    "예금번호",
    "입금",
    "账号",
    "帐号",
    "账户",
    "帳號",
    "卡号",
    "银行卡",
    "account",
    "account no",
    "account number",
    "acct",
    "a/c",
];
/// Characters that may stand between the word and the number, such as a bank's name.
const BETWEEN_MAX: usize = 12;

fn scan(text: &Text, found: &mut Vec<Found>) {
    text.numbers_after(WORDS, 8..=20, BETWEEN_MAX, found);
}
