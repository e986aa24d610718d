//! Flags of `statera bench`.

use clap::Args;
use std::path::PathBuf;

pub const EXAMPLES: &str = "Examples:
  statera bench http://127.0.0.1:8420/api/v1/decisions --rows loans.csv --model credit --key-file load.key --rate 1000 --seconds 30
  statera bench http://127.0.0.1:8420/api/v1/decisions --body requests.jsonl --target 2000 --p99-ms 5 --seconds 60
  statera bench http://127.0.0.1:8000/score --body row.json --closed --connections 32 --seconds 20
  statera bench http://127.0.0.1:8420/health/ready --requests 1";

#[derive(Args)]
pub struct Bench {
    /// Where requests go, such as http://127.0.0.1:8420/api/v1/decisions
    pub url: String,
    /// Requests a second. Each is due at its time, whatever became of those before (open loop), and its latency counts
    /// from then; 0 is --closed. The target's rate if not given
    #[arg(long, value_name = "N", conflicts_with = "closed")]
    pub rate: Option<f64>,
    /// Each connection sends its next request when it has its answer (closed loop): shows what a server can do, and hides
    /// how long requests would have waited for it
    #[arg(long)]
    pub closed: bool,
    /// Requests a second that must be answered well: prints PASS or FAIL and where the time went, and fails on FAIL
    #[arg(long, value_name = "N")]
    pub target: Option<f64>,
    /// Of --target: milliseconds that 99 % of the answers must keep
    #[arg(long, value_name = "MS", default_value_t = 100.0)]
    pub p99_ms: f64,
    /// Of --target: largest share of requests without a good answer
    #[arg(long, value_name = "SHARE", default_value_t = 0.001)]
    pub errors: f64,
    /// How long to measure
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    pub seconds: f64,
    /// The same load before that is not counted
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    pub warm_up: f64,
    /// End after this many requests, if the seconds do not end it before
    #[arg(long, value_name = "N", conflicts_with = "warm_up")]
    pub requests: Option<u64>,
    /// Connections, each with one request under way at most
    #[arg(long, short, value_name = "C", default_value_t = 64)]
    pub connections: usize,
    /// Milliseconds after which an answer counts as missing
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub timeout_ms: u64,
    /// What is sent; of a .jsonl file each line is a body, in turn. {{request_id}} becomes a name that no other request has
    #[arg(long, value_name = "FILE", conflicts_with = "rows")]
    pub body: Option<PathBuf>,
    /// Send decision requests (or, to …/infer, tensors) made of a table's rows, in turn
    #[arg(long, value_name = "DATA", requires = "model")]
    pub rows: Option<String>,
    /// Of --rows: the model that decides
    #[arg(long, value_name = "NAME", requires = "rows")]
    pub model: Option<String>,
    /// Of --rows: rows of a request. Of --body: rows that each body has, to show rows a second
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub rows_each: usize,
    /// Of --rows: columns that are not sent, such as the outcome
    #[arg(long, value_name = "A,B", value_delimiter = ',', requires = "rows")]
    pub drop: Vec<String>,
    /// File with the API key; sent as «Authorization: Bearer …»
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Another header, as «name: value»; repeatable
    #[arg(long, value_name = "K:V")]
    pub header: Vec<String>,
    /// POST with a body, else GET, if not given
    #[arg(long, value_name = "NAME")]
    pub method: Option<String>,
    /// Text that every good answer holds; another answer counts as an error
    #[arg(long, value_name = "TEXT")]
    pub expect: Option<String>,
    /// Of https: file with the certificates (PEM) that the server's must be signed by
    #[arg(long, value_name = "FILE.pem")]
    pub ca_file: Option<PathBuf>,
    /// Ask the server where its time goes, as --target does
    #[arg(long)]
    pub stages: bool,
    /// Write every answer into a CSV file: number, request id, status, milliseconds, the answer's id
    #[arg(long, value_name = "FILE.csv")]
    pub answers: Option<PathBuf>,
}
