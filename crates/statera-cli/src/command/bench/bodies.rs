//! What is sent: the bytes of every request, made before the load begins.

use super::arguments::Bench;
use super::url::Url;
use arrow_schema::DataType;
use serde_json::{Map, Value, json};
use statera_core::{Error, Result, Run};
use statera_data::source::{self, ReadOptions};
use statera_data::{Table, texts_of};
use std::path::Path;

/// What becomes a name that no other request has.
const PLACE: &str = "{{request_id}}";
/// Bytes of such a name: eight digits of the run, a dash, ten digits of the request.
const ID_LEN: usize = 19;
/// Most requests that differ by more than their names.
const BODIES_MAX: usize = 10_000;
/// Most bytes of all of them.
const BYTES_MAX: usize = 256 << 20;
/// Asks the server where its time goes.
const ASK_TIMINGS: &[u8] = b"x-timings: 1\r\n";

/// The requests that are sent, in turn.
#[derive(Debug)]
pub struct Requests {
    /// At least one.
    templates: Vec<Template>,
    /// Names the run, so that a repeated load is not taken for repeated requests.
    run: u32,
    /// True for HEAD: answers have no body.
    pub is_head: bool,
}

/// A request without its name.
#[derive(Debug)]
struct Template {
    /// To the end of the last header.
    head: Vec<u8>,
    /// The empty line and the body, with room for the name.
    rest: Vec<u8>,
    /// Where in `rest` the name goes.
    places: Vec<usize>,
}

impl Requests {
    /// Reads and makes everything that is sent; `run` is in every request's name.
    ///
    /// # Errors
    /// Files that cannot be read, headers that are none, too many bytes.
    pub fn prepare(args: &Bench, url: &Url, run_number: u32, run: &Run) -> Result<Requests> {
        let bodies = match (&args.body, &args.rows) {
            (Some(file), _) => from_file(file)?,
            (None, Some(data)) => from_rows(args, data, url, run)?,
            (None, None) => vec![String::new()],
        };
        let bytes: usize = bodies.iter().map(String::len).sum();
        if bytes > BYTES_MAX {
            return Err(Error::request(format!("the bodies have {bytes} bytes; allowed are {BYTES_MAX}")));
        }
        let has_body = args.body.is_some() || args.rows.is_some();
        let method = args.method.clone().unwrap_or_else(|| if has_body { "POST" } else { "GET" }.into());
        if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(Error::request(format!("--method {method}: allowed are capital letters, such as POST")));
        }
        let headers = headers(args, has_body)?;
        let first = format!("{method} {} HTTP/1.1\r\nhost: {}\r\n{headers}", url.path, url.authority);
        let templates = bodies.iter().map(|body| Template::of(&first, body, has_body)).collect();
        Ok(Requests { templates, run: run_number, is_head: method == "HEAD" })
    }

    /// Requests that differ by more than their names.
    pub fn n_different(&self) -> usize {
        self.templates.len()
    }

    /// The name of a request.
    pub fn id(&self, index: u64) -> String {
        format!("{:08x}-{:010}", self.run, index % 10_000_000_000)
    }

    /// The bytes of a request in place of what `bytes` holds.
    pub fn write(&self, index: u64, with_timings: bool, bytes: &mut Vec<u8>) {
        let template = &self.templates[(index % self.templates.len() as u64) as usize];
        bytes.clear();
        bytes.extend_from_slice(&template.head);
        if with_timings {
            bytes.extend_from_slice(ASK_TIMINGS);
        }
        let start = bytes.len();
        bytes.extend_from_slice(&template.rest);
        if !template.places.is_empty() {
            let id = self.id(index);
            for place in &template.places {
                bytes[start + place..start + place + ID_LEN].copy_from_slice(id.as_bytes());
            }
        }
    }
}

impl Template {
    fn of(first: &str, body: &str, has_body: bool) -> Template {
        let mut rest = String::from("\r\n");
        let mut places = Vec::new();
        for (i, piece) in body.split(PLACE).enumerate() {
            if i > 0 {
                places.push(rest.len());
                rest += &"0".repeat(ID_LEN);
            }
            rest += piece;
        }
        let length = if has_body { format!("content-length: {}\r\n", rest.len() - 2) } else { String::new() };
        Template { head: format!("{first}{length}").into_bytes(), rest: rest.into_bytes(), places }
    }
}

/// The lines of the headers that are the same in every request.
fn headers(args: &Bench, has_body: bool) -> Result<String> {
    let mut lines = String::from("user-agent: statera-bench\r\naccept: */*\r\n");
    let mut has_type = false;
    for header in &args.header {
        let (name, value) = header.split_once(':').map(|(n, v)| (n.trim(), v.trim())).unwrap_or((header, ""));
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if !is_name || value.is_empty() || !value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err(Error::request(format!("--header «{header}»: allowed is «name: value» in ASCII")));
        }
        if ["host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"]
            .contains(&name.to_ascii_lowercase().as_str())
        {
            return Err(Error::request(format!("--header «{name}» cannot be set; the program sets it")));
        }
        has_type |= name.eq_ignore_ascii_case("content-type");
        lines += &format!("{name}: {value}\r\n");
    }
    if has_body && !has_type {
        lines += "content-type: application/json\r\n";
    }
    if let Some(file) = &args.key_file {
        let key = read(file)?;
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
            let file = file.display();
            return Err(Error::request(format!("{file} holds no key; allowed is one line of visible ASCII")));
        }
        lines += &format!("authorization: Bearer {key}\r\n");
    }
    Ok(lines)
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).map_err(|e| Error::request(format!("{}: {e}", file.display())))
}

/// One body, or one on each line that is not empty.
fn from_file(file: &Path) -> Result<Vec<String>> {
    let text = read(file)?;
    if file.extension().is_none_or(|e| e != "jsonl") {
        return Ok(vec![text]);
    }
    let bodies: Vec<String> =
        text.lines().filter(|l| !l.trim().is_empty()).take(BODIES_MAX).map(String::from).collect();
    if bodies.is_empty() {
        return Err(Error::request(format!("{} has no line; each is a body", file.display())));
    }
    Ok(bodies)
}

/// Requests made of a table's first rows.
fn from_rows(args: &Bench, data: &str, url: &Url, run: &Run) -> Result<Vec<String>> {
    if args.rows_each == 0 {
        return Err(Error::request("--rows-each 0: allowed is 1 and more"));
    }
    let table = source::read_table(data, &ReadOptions::default(), run)?;
    for name in &args.drop {
        table.column(name)?;
    }
    if table.n_rows() == 0 {
        return Err(Error::request(format!("{} has no rows", table.origin)));
    }
    let columns = columns(&table, &args.drop, BODIES_MAX.saturating_mul(args.rows_each).min(1_000_000));
    let n_rows = columns.first().map_or(0, |c| c.cells.len());
    let model = args.model.as_deref().unwrap_or_default();
    let is_tensors = url.path.split('?').next().is_some_and(|path| path.ends_with("/infer"));
    // A table that is shorter than a request begins again.
    let n_bodies = n_rows.div_ceil(args.rows_each).min(BODIES_MAX);
    Ok((0..n_bodies)
        .map(|i| {
            let rows: Vec<usize> = (0..args.rows_each).map(|k| (i * args.rows_each + k) % n_rows).collect();
            if is_tensors { tensors(&columns, &rows) } else { decision(&columns, &rows, model) }.to_string()
        })
        .collect())
}

/// A column as JSON.
struct Column {
    name: String,
    /// As the Open Inference Protocol names it.
    datatype: &'static str,
    cells: Vec<Value>,
}

fn columns(table: &Table, dropped: &[String], n_rows: usize) -> Vec<Column> {
    let kept = table.columns.iter().enumerate().filter(|(_, c)| !dropped.contains(&c.name));
    kept.map(|(i, info)| {
        let datatype = match table.batches[0].column(i).data_type() {
            DataType::Int64 => "INT64",
            DataType::Float64 | DataType::Decimal128(..) => "FP64",
            _ => "BYTES",
        };
        let texts = table.batches.iter().flat_map(|batch| texts_of(batch.column(i))).take(n_rows);
        let cells = texts.map(|text| text.map_or(Value::Null, |text| cell(text, datatype))).collect();
        Column { name: info.name.clone(), datatype, cells }
    })
    .collect()
}

/// A number as a number, anything else as text.
fn cell(text: String, datatype: &str) -> Value {
    let number = match datatype {
        "INT64" => text.parse::<i64>().ok().map(Value::from),
        "FP64" => text.parse::<f64>().ok().filter(|v| v.is_finite()).map(Value::from),
        _ => None,
    };
    number.unwrap_or(Value::String(text))
}

/// A request to `/api/v1/decisions`.
fn decision(columns: &[Column], rows: &[usize], model: &str) -> Value {
    let row = |at: usize| -> Value {
        let cells = columns.iter().map(|c| (c.name.clone(), c.cells[at].clone()));
        Value::Object(cells.collect::<Map<_, _>>())
    };
    let subject = |at: usize| format!("bench-{at}");
    match rows {
        [at] => json!({ "model": model, "request_id": PLACE, "subject": subject(*at), "row": row(*at) }),
        _ => {
            let rows: Vec<Value> = rows.iter().map(|at| json!({ "subject": subject(*at), "row": row(*at) })).collect();
            json!({ "model": model, "request_id": PLACE, "rows": rows })
        }
    }
}

/// A request of the Open Inference Protocol: a tensor a column.
fn tensors(columns: &[Column], rows: &[usize]) -> Value {
    let input = |c: &Column| {
        let data: Vec<&Value> = rows.iter().map(|at| &c.cells[*at]).collect();
        json!({ "name": c.name, "shape": [rows.len()], "datatype": c.datatype, "data": data })
    };
    json!({ "id": PLACE, "inputs": columns.iter().map(input).collect::<Vec<_>>() })
}
