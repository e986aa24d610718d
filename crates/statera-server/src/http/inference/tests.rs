use crate::testing::{Server, program, viewer};
use axum::http::StatusCode;
use serde_json::{Value, json};
use statera_store::registry::Challenger;

fn server() -> Server {
    Server::new(Default::default())
}

/// A tensor for each column of the kept bundles.
fn tensors() -> Vec<Value> {
    vec![
        json!({"name": "employment", "shape": [2], "datatype": "BYTES", "data": ["permanent", "temporary"]}),
        json!({"name": "monthly_income", "shape": [2, 1], "datatype": "INT64", "data": [2590, 900]}),
        json!({"name": "debt_ratio", "shape": [2, 1], "datatype": "FP64", "data": [[0.144], [0.9]]}),
        json!({"name": "months_since_delinquency", "shape": [2], "datatype": "INT32", "data": [999, 1]}),
    ]
}

fn infer(server: &Server, inputs: Vec<Value>) -> (StatusCode, Value) {
    let body = json!({"id": "7", "inputs": inputs}).to_string();
    server.json(&program(), "POST", "/v2/models/credit/infer", &body)
}

fn probabilities(answer: &Value) -> Vec<f64> {
    answer["outputs"][0]["data"].as_array().expect("data").iter().filter_map(Value::as_f64).collect()
}

#[test]
fn scores_are_those_of_decisions_and_nothing_is_recorded() {
    let server = server();
    let (status, answer) = infer(&server, tensors());
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(
        (&answer["model_name"], &answer["model_version"], &answer["id"]),
        (&json!("credit"), &json!("1"), &json!("7"))
    );
    let output = &answer["outputs"][0];
    assert_eq!(
        (&output["name"], &output["shape"], &output["datatype"]),
        (&json!("probability"), &json!([2]), &json!("FP64"))
    );
    assert_eq!(server.store.n_records(), 0);
    let decided = |row: &str| server.decide(row)["decisions"][0]["probability"].as_f64().expect("a number");
    let wanted = [decided(crate::testing::APPROVED), decided(crate::testing::DECLINED)];
    assert_eq!(probabilities(&answer), wanted);
    // In any order, with a null for what is missing.
    let mut others = tensors();
    others.reverse();
    others[0]["data"] = json!([999, null]);
    others[0]["datatype"] = json!("FP64");
    let (_, answer) = infer(&server, others);
    let row = crate::testing::DECLINED.replace("\"months_since_delinquency\":1", "\"months_since_delinquency\":null");
    assert_eq!(probabilities(&answer), [wanted[0], decided(&row)]);
}

#[test]
fn one_tensor_of_all_columns_is_in_their_order() {
    let server = server();
    let row = |cells: [&str; 4]| json!(cells);
    let data = json!([row(["permanent", "2590", "0.144", "999"]), row(["temporary", "900", "0.9", "1"])]);
    let (status, nested) =
        infer(&server, vec![json!({"name": "rows", "shape": [2, 4], "datatype": "BYTES", "data": data})]);
    assert_eq!(status, StatusCode::OK, "{nested}");
    let flat: Vec<Value> =
        data.as_array().expect("rows").iter().flat_map(|r| r.as_array().expect("cells").clone()).collect();
    let (_, flat) = infer(&server, vec![json!({"name": "rows", "shape": [2, 4], "datatype": "BYTES", "data": flat})]);
    assert_eq!((&flat, probabilities(&flat)), (&nested, probabilities(&infer(&server, tensors()).1)));
}

#[test]
fn single_precision_is_what_a_binary_client_would_send() {
    let server = server();
    let with = |datatype: &str, value: f64| {
        let mut inputs = tensors();
        inputs[2]["datatype"] = json!(datatype);
        inputs[2]["data"] = json!([value, 0.9]);
        probabilities(&infer(&server, inputs).1)[0]
    };
    let value = 0.144;
    assert_eq!(with("FP32", value), with("FP64", f64::from(value as f32)));
}

#[test]
fn tensors_that_cannot_be_are_refused_in_the_protocols_form() {
    let server = server();
    let one = |at: usize, key: &str, value: Value| {
        let mut inputs = tensors();
        inputs[at][key] = value;
        inputs
    };
    let cases: Vec<(Vec<Value>, &str)> = vec![
        (vec![], "0 rows; allowed: 1 to 10000"),
        (tensors()[1..].to_vec(), "a column is missing that the model was trained on: «employment»"),
        (one(0, "shape", json!([3])), "tensor «employment»: shape [3] does not fit 2 elements of data"),
        (one(0, "shape", json!([4_294_967_296u64, 4_294_967_296u64])), "does not fit 2 elements"),
        (one(0, "shape", json!([-2])), "the body: invalid value: integer `-2`, expected a whole number of 0 or more"),
        (one(0, "shape", json!([1, 1, 2])), "tensor «employment» has shape [1, 1, 2]"),
        (one(0, "datatype", json!("FP16")), "unknown variant `FP16`"),
        (one(0, "datatype", json!("FP64")), "tensor «employment» is FP64, but its data are text"),
        (one(0, "data", json!(["a", 1])), "numbers and other things are mixed"),
        (one(1, "data", json!([1.5, 2])), "tensor «monthly_income» is INT64, but its data are numbers with a fraction"),
        (one(1, "data", json!([[[1]], 2])), "arrays are nested more than 2 deep"),
        (one(3, "data", json!([3_000_000_000u64, 1])), "3000000000 is no INT32"),
        (one(1, "data", json!([u64::MAX, 1])), "is above 2^63 - 1"),
        (one(2, "data", json!([9_007_199_254_740_993u64, 1])), "has more digits than a double holds"),
        (one(1, "data", json!([{"a": 1}, 1])), "expected a number, text, true, false or null"),
        (one(3, "name", json!("debt_ratio")), "the column «debt_ratio» occurs twice"),
        (
            vec![json!({"name": "x", "shape": [1, 3], "datatype": "FP64", "data": [1, 2, 3]})],
            "tensor «x» has 3 columns; the model reads 4",
        ),
    ];
    for (inputs, message) in cases {
        let (status, told) = infer(&server, inputs);
        let text = told["error"].as_str().unwrap_or_else(|| panic!("{told}"));
        assert!(status == StatusCode::BAD_REQUEST && text.contains(message), "{status} {text}\nwanted {message}");
    }
    let none: Vec<Value> = tensors()
        .into_iter()
        .map(|mut t| {
            t["shape"] = json!([0]);
            t["data"] = json!([]);
            t
        })
        .collect();
    assert_eq!(infer(&server, none).1["error"], json!("0 rows; allowed: 1 to 10000"));
    let body = json!({"inputs": tensors(), "outputs": [{"name": "class"}]}).to_string();
    let (_, told) = server.json(&program(), "POST", "/v2/models/credit/infer", &body);
    assert_eq!(told["error"], json!("the model has no output «class»; it has probability"));
    for body in ["", "{", "[]", r#"{"inputs":[{"name":"x"}]}"#] {
        let (status, told) = server.json(&program(), "POST", "/v2/models/credit/infer", body);
        assert!(status == StatusCode::BAD_REQUEST && told["error"].is_string(), "{told}");
    }
    let (status, told) = server.json(&viewer(), "POST", "/v2/models/credit/infer", "{}");
    assert_eq!((status, told["error"].is_string()), (StatusCode::FORBIDDEN, true));
}

#[test]
fn the_server_describes_itself_and_its_models() {
    let server = server();
    let version = server.add("logistic");
    server.route(|route| route.challenger = Some(Challenger { version, shadow: true, per_mille: 1 }));
    let get = |path: &str| server.json(&viewer(), "GET", path, "");
    assert_eq!(
        get("/v2"),
        (StatusCode::OK, json!({"name": "statera", "version": env!("CARGO_PKG_VERSION"), "extensions": []}))
    );
    assert_eq!(get("/v2/health/live").1, json!({"live": true}));
    assert_eq!(get("/v2/health/ready").1, json!({"ready": true}));
    let (_, model) = get("/v2/models/credit");
    assert_eq!(
        (&model["name"], &model["versions"], &model["platform"]),
        (&json!("credit"), &json!(["1", "2"]), &json!("statera"))
    );
    assert_eq!(model["inputs"][1], json!({"name": "monthly_income", "datatype": "INT64", "shape": [-1]}));
    assert_eq!(model["outputs"], json!([{"name": "probability", "datatype": "FP64", "shape": [-1]}]));
    assert_eq!(get("/v2/models/credit/ready").1, json!({"name": "credit", "ready": true}));
    assert_eq!(get("/v2/models/credit/versions/2/ready").0, StatusCode::OK);
    assert_eq!(get("/v2/models/credit/versions/3").1["error"], json!("«credit» serves no version «3»; served: 1, 2"));
    assert_eq!(get("/v2/models/cards").0, StatusCode::NOT_FOUND);
    // A version that does not answer decisions can still be asked for scores.
    let body = json!({"inputs": tensors()}).to_string();
    let (_, answer) = server.json(&program(), "POST", "/v2/models/credit/versions/2/infer", &body);
    assert_eq!(answer["model_version"], json!("2"));
}

#[test]
fn many_rows_are_scored_in_slices_to_the_same_bits() {
    let server = server();
    let n = 3_000;
    let many = |at: usize, values: &dyn Fn(usize) -> Value| {
        let mut tensor = tensors()[at].clone();
        tensor["shape"] = json!([n]);
        tensor["data"] = json!((0..n).map(values).collect::<Vec<_>>());
        tensor
    };
    let inputs = vec![
        many(0, &|i| json!(if i % 3 == 0 { "permanent" } else { "temporary" })),
        many(1, &|i| json!(500 + i)),
        many(2, &|i| json!(i as f64 / n as f64)),
        many(3, &|i| json!(i % 40)),
    ];
    let (status, answer) = infer(&server, inputs);
    assert_eq!((status, probabilities(&answer).len()), (StatusCode::OK, n));
    let row = |i: usize| {
        let employment = if i.is_multiple_of(3) { "permanent" } else { "temporary" };
        let debt = i as f64 / n as f64;
        json!({"employment": employment, "monthly_income": 500 + i, "debt_ratio": debt, "months_since_delinquency": i % 40})
    };
    for i in [0, 1_023, 1_024, 2_999] {
        let alone = server.decide(&row(i).to_string())["decisions"][0]["probability"].as_f64();
        assert_eq!(Some(probabilities(&answer)[i]), alone, "row {i}");
    }
}
