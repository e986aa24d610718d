use super::*;

const REASONS: &str = r#"
version = "2026-1"
max_reasons = 2

[[reason]]
code = "late"
columns = ["PAY_0", "PAY_2"]
en = "Payments were late in recent months"
ko = "최근 몇 달간 납부가 늦었습니다"
zh = "最近几个月还款有延迟"

[[reason]]
code = "limit"
columns = ["LIMIT_BAL"]
actionable = true
direction = "either"
en = "The credit limit asked for is high"
ko = "신청한 한도가 높습니다"
zh = "申请的信用额度较高"

[[reason]]
code = "age"
columns = ["AGE"]
en = "The account has been open for a short time"
ko = "계좌 개설 기간이 짧습니다"
zh = "账户开立时间较短"
"#;

fn columns() -> Vec<String> {
    ["LIMIT_BAL", "AGE", "PAY_0", "PAY_2"].map(String::from).to_vec()
}

#[test]
fn the_strongest_groups_are_the_reasons() {
    let reasons = Reasons::parse(REASONS).expect("allowed");
    reasons.check_columns(&columns()).expect("every column has one");
    let codes = |given: Vec<Given<'_>>| given.iter().map(|g| g.reason.code.clone()).collect::<Vec<_>>();
    // The two late payments count together: 0.3 + 0.3 is more than 0.5.
    let against = reasons.against(&[0.5, 0.1, 0.3, 0.3], &columns());
    assert!((against[0].contribution - 0.6).abs() < 1e-12);
    assert_eq!(codes(against), ["late", "limit"]);
    // What lowers the risk is no reason against, however large; and one late payment may outweigh another.
    assert_eq!(codes(reasons.against(&[-2.0, 0.1, 0.3, -0.3], &columns())), ["age"]);
    assert_eq!(codes(reasons.in_favour(&[-2.0, -5.0, -0.3, 0.1], &columns())), ["limit"]);
    assert!(reasons.against(&[0.0; 4], &columns()).is_empty());
    assert_eq!(reasons.reason[1].text(Language::Ko), "신청한 한도가 높습니다");
}

#[test]
fn a_column_may_speak_for_approval_beside_a_reason_against_it() {
    let low = "[[reason]]\ncode = \"low\"\ncolumns = [\"LIMIT_BAL\"]\ndirection = \"DIRECTION\"\n\
        en = \"The credit limit asked for is low\"\nko = \"신청한 한도가 낮습니다\"\nzh = \"申请的信用额度较低\"\n";
    let file = |first: &str, second: &str| {
        REASONS.replace("direction = \"either\"", &format!("direction = \"{first}\""))
            + &low.replace("DIRECTION", second)
    };
    let reasons = Reasons::parse(&file("against", "for")).expect("allowed");
    reasons.check_columns(&columns()).expect("every column has one");
    let codes = |given: Vec<Given<'_>>| given.iter().map(|g| g.reason.code.clone()).collect::<Vec<_>>();
    assert_eq!(codes(reasons.against(&[0.5, 0.0, 0.0, 0.0], &columns())), ["limit"]);
    assert_eq!(codes(reasons.in_favour(&[-0.5, 0.0, 0.0, 0.0], &columns())), ["low"]);
    for (first, second) in [("either", "for"), ("for", "either"), ("against", "against"), ("for", "for")] {
        let refused = Reasons::parse(&file(first, second)).expect_err("two of one direction").to_string();
        assert!(
            refused.contains(&format!("column «LIMIT_BAL» is already in reason «limit», whose direction is {first}")),
            "{refused}"
        );
    }
    // A bundle of a former version may hold such a file; it can still be read.
    let alone = REASONS.replace("direction = \"either\"", "direction = \"for\"");
    assert!(Reasons::parse(&alone).is_err() && Reasons::stored(&alone).is_ok());
}

#[test]
fn refuses_files_that_give_no_reasons() {
    for (from, to, expected) in [
        (
            "Payments were late in recent months",
            "You did not reach the required score",
            "reason «late»: en: «You did not reach the required score» is vague («score…»)",
        ),
        (
            "Payments were late in recent months",
            "Internal policy of the bank",
            "reason «late»: en: «Internal policy of the bank» is vague",
        ),
        (
            "최근 몇 달간 납부가 늦었습니다",
            "평가 점수가 낮습니다",
            "reason «late»: ko: «평가 점수가 낮습니다» is vague («점수…»)",
        ),
        ("最近几个月还款有延迟", "您的评分不够高", "reason «late»: zh: «您的评分不够高» is vague («评分…»)"),
        (
            "最近几个月还款有延迟",
            "Payments were late",
            "reason «late»: zh: «Payments were late» has no letter of Chinese",
        ),
        (
            "The credit limit asked for is high",
            "Limit",
            "reason «limit»: en: «Limit» has 5 letters; a reason needs at least 12",
        ),
        (
            "The credit limit asked for is high",
            "Payments were late in recent months",
            "reason «limit»: en: «Payments were late in recent months» is the text of reason «late» too",
        ),
        (
            "columns = [\"AGE\"]",
            "columns = [\"PAY_0\"]",
            "reason «age»: column «PAY_0» is already in reason «late», whose direction is against; allowed: one reason against approval and one for it",
        ),
        ("columns = [\"AGE\"]", "columns = []", "reason «age»: columns is empty"),
        ("code = \"age\"", "code = \"late\"", "reason «late»: the code is empty or taken"),
        (
            "direction = \"either\"",
            "direction = \"for\"",
            "reason «limit»: direction is for, and no reason against approval has column «LIMIT_BAL»: a row declined for it \
             would have no reason; allowed: direction either, or another reason with it whose direction is against",
        ),
        ("max_reasons = 2", "max_reasons = 5", "max_reasons is 5; allowed: 1 to 4"),
        ("\"2026-1\"", "\"\"", "version is empty"),
    ] {
        let text = REASONS.replacen(from, to, 1);
        assert_ne!(text, REASONS, "{from}");
        let refused = Reasons::parse(&text).expect_err("refused");
        assert!(refused.is_request());
        let refused = refused.to_string();
        assert!(refused.starts_with(&format!("reasons.toml: {expected}")), "{refused}");
    }
    let reasons = Reasons::parse(REASONS).expect("allowed");
    let refused = reasons.check_columns(&columns()[..3]).expect_err("refused").to_string();
    assert_eq!(
        refused,
        "reasons.toml: reason «late»: the model has no column «PAY_2»; its columns are LIMIT_BAL, AGE, PAY_0"
    );
    let more = [&columns()[..], &["SEX".to_string()]].concat();
    let refused = reasons.check_columns(&more).expect_err("refused").to_string();
    assert_eq!(refused, "reasons.toml: no reason is given for SEX; each column that moves the score needs one");
}

/// A file whose first reason has another text in a language.
fn with_text(language: Language, text: &str) -> String {
    let own = match language {
        Language::En => "Payments were late in recent months",
        Language::Ko => "최근 몇 달간 납부가 늦었습니다",
        Language::Zh => "最近几个月还款有延迟",
    };
    REASONS.replacen(own, text, 1)
}

#[test]
fn texts_that_tell_of_a_score_a_rule_or_a_refusal_are_vague() {
    for (language, texts) in [
        (
            Language::En,
            &[
                "Failed to qualify under our scoring model",
                "Insufficient overall rating",
                "The decision of the bank's model",
                "Your probability of default is too high",
                "Application could not be approved",
                "You did not meet the bank's requirements",
                "aaaaaaaaaaaaaaaa",
            ][..],
        ),
        (
            Language::Ko,
            &[
                "신용평점 부족",
                "신용평점이 낮습니다",
                "종합 평가 결과",
                "종합평가 결과",
                "신용등급 미달",
                "심사 결과 부적격",
                "은행 내부 방침",
                "대출 승인 불가",
            ],
        ),
        (Language::Zh, &["综合评价不足", "不符合贷款条件", "信用等级不足", "风险过高无法批准"]),
    ] {
        for text in texts {
            let refused = Reasons::parse(&with_text(language, text)).expect_err(text).to_string();
            assert!(refused.contains("is vague") || refused.contains("different letters"), "{refused}");
            // A bundle of a former version may hold it.
            Reasons::stored(&with_text(language, text)).expect("of a bundle");
        }
    }
    // Words are what is compared, not their parts; what was not done is a reason if it is named.
    for (language, text) in [
        (Language::En, "You did not meet two payments last year"),
        (Language::En, "Unpaid invoices underscore late payment"),
        (Language::En, "The rating of your lease is missing"),
        (Language::Ko, "거래 상점 수가 적습니다"),
        (Language::Zh, "还款未达到最低还款额"),
    ] {
        Reasons::parse(&with_text(language, text)).expect(text);
    }
}

#[test]
fn the_name_of_a_column_is_no_reason_however_it_is_written() {
    for text in ["Checking status", "CHECKING-STATUS", "checking_status"] {
        let file = with_text(Language::En, text).replacen("\"PAY_0\"", "\"checking_status\"", 1);
        let refused = Reasons::parse(&file).expect_err(text).to_string();
        assert!(refused.contains("is the name of a column"), "{refused}");
    }
}

#[test]
fn stability_counts_what_stays() {
    let model = vec![vec!["a", "b"], vec!["c"], vec![]];
    let fits = vec![vec![vec!["a", "b"], vec!["d"], vec!["a"]], vec![vec!["b", "x"], vec!["c", "a"], vec![]]];
    let found = stability(&model, &fits).expect("rows with reasons");
    // First reasons: a, not c; not a, c. Overlaps: 1, 0, 1/2, 1.
    assert_eq!((found.n_rows, found.n_fits, found.first_stays, found.overlap), (2, 2, 0.5, 0.625));
    assert!(stability(&[vec![]], &fits).is_none() && stability(&model, &[]).is_none());
}
