//! A PostgreSQL server for tests, started from the installed binaries.

#![allow(dead_code)]

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A server with a folder of its own, stopped when dropped, also by a panic.
pub struct Server {
    binaries: PathBuf,
    folder: TempDir,
    pub port: u16,
}

/// Ports that are tried: another program may take one between the look and the start.
const TRIES: usize = 8;
/// How long another program may keep the port of a server that is to start again where it was.
const PORT_LIMIT: Duration = Duration::from_secs(60);
/// How long a program of the server may take: longer than `pg_ctl` waits by itself, which says more of why.
const RUN_LIMIT: Duration = Duration::from_secs(330);

impl Server {
    /// Starts a server; `None`, with the reason on standard error, where the machine has no server program.
    pub fn start() -> Option<Server> {
        match Server::try_start() {
            Ok(server) => Some(server),
            Err(why) if find_binaries().is_none() || why.starts_with("running as root") => {
                eprintln!("skipped: {why}");
                None
            }
            Err(why) => panic!("the server does not start: {why}"),
        }
    }

    fn try_start() -> Result<Server, String> {
        let binaries = find_binaries().ok_or("no PostgreSQL server binaries found")?;
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        std::fs::write(folder.path().join("password"), "se%cret").map_err(|e| e.to_string())?;
        if is_root() {
            let done = Command::new("chown").args(["-R", "postgres"]).arg(folder.path()).output();
            done.ok()
                .filter(|d| d.status.success())
                .ok_or("running as root, and there is no user postgres to run the server")?;
        }
        let mut server = Server { binaries, folder, port: 0 };
        let path = |name: &str| server.folder.path().join(name).display().to_string();
        server.run(
            "initdb",
            &[
                "-D",
                &path("data"),
                "-U",
                "bank",
                "-A",
                "scram-sha-256",
                "--pwfile",
                &path("password"),
                "-E",
                "UTF8",
                "--no-locale",
                "--no-sync",
            ],
        )?;
        let mut why = String::new();
        for _ in 0..TRIES {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map_err(|e| e.to_string())?;
            server.port = free.port();
            match server.start_on_port() {
                Ok(()) => return Ok(server),
                Err(told) => why = told,
            }
        }
        Err(why)
    }

    /// Starts the server on its port.
    fn start_on_port(&self) -> Result<(), String> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let (data, log, sockets) = (path("data"), path("log"), self.folder.path().display().to_string());
        let settings = format!("-p {} -h 127.0.0.1 -k {sockets} -c fsync=off", self.port);
        let started = self.run("pg_ctl", &["-D", &data, "-w", "-t", "300", "-l", &log, "-o", &settings, "start"]);
        started.map(drop).map_err(|told| told + &std::fs::read_to_string(&log).unwrap_or_default())
    }

    /// Stops the server in the middle of its work, as when its machine fails.
    pub fn crash(&self) {
        let data = self.folder.path().join("data").display().to_string();
        self.run("pg_ctl", &["-D", &data, "-m", "immediate", "-w", "stop"]).expect("stops");
    }

    /// Starts it again after [`Server::crash`], where it was.
    pub fn start_again(&self) {
        // Meanwhile another test may have been given the port.
        let end = Instant::now() + PORT_LIMIT;
        while let Err(why) = self.start_on_port() {
            assert!(Instant::now() < end, "the server does not start again: {why}");
            sleep(Duration::from_millis(200));
        }
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let program = self.binaries.join(program);
        let mut command = if is_root() {
            // The server refuses to run as root.
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let log = self.folder.path().join("output");
        let file = std::fs::File::create(&log).map_err(|e| e.to_string())?;
        // Into a file: a pipe would stay open as long as the server lives.
        let error = file.try_clone().map_err(|e| e.to_string())?;
        command.args(arguments).current_dir("/").env("PGCONNECT_TIMEOUT", "30");
        let started = command.stdin(Stdio::null()).stdout(file).stderr(error).spawn();
        let status = started.map_err(|e| e.to_string()).and_then(ended);
        let told = std::fs::read_to_string(&log).unwrap_or_default();
        match status {
            Ok(status) if status.success() => Ok(told),
            Ok(_) => Err(told),
            Err(e) => Err(format!("{e} {told}")),
        }
    }

    /// An address of its database.
    pub fn base(&self) -> String {
        self.base_of("postgres")
    }

    /// An address of another database.
    pub fn base_of(&self, database: &str) -> String {
        format!("postgres://bank:se%25cret@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// The address of a query's rows.
    pub fn source(&self, sql: &str) -> String {
        format!("{}&query={}", self.base(), sql.replace('%', "%25").replace('&', "%26"))
    }

    /// The address of a table.
    pub fn table(&self, name: &str) -> String {
        format!("{}&table={name}", self.base())
    }

    /// Runs statements with the server's own client; what they print, without titles.
    pub fn sql(&self, sql: &str) -> String {
        self.sql_in("postgres", sql)
    }

    /// The same in another database.
    pub fn sql_in(&self, database: &str, sql: &str) -> String {
        let address = format!("postgres://bank:se%25cret@127.0.0.1:{}/{database}", self.port);
        self.run("psql", &["-v", "ON_ERROR_STOP=1", "-X", "-A", "-t", "-d", &address, "-c", sql]).expect("psql")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.folder.path().join("data").display().to_string();
        let _ = self.run("pg_ctl", &["-D", &data, "-m", "immediate", "stop"]);
    }
}

/// Waits for the end of a program; one that does not end is killed.
fn ended(mut program: Child) -> Result<ExitStatus, String> {
    let (end, mut pause) = (Instant::now() + RUN_LIMIT, Duration::from_millis(1));
    loop {
        match program.try_wait().map_err(|e| e.to_string())? {
            Some(status) => return Ok(status),
            None if Instant::now() < end => sleep(pause),
            None => {
                let _ = program.kill().and_then(|()| program.wait());
                return Err(format!("no end within {} s;", RUN_LIMIT.as_secs()));
            }
        }
        pause = (pause * 2).min(Duration::from_millis(16));
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

fn find_binaries() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").map(|p| std::env::split_paths(&p).collect::<Vec<_>>()).unwrap_or_default();
    let installed =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|e| e.path().join("bin"));
    let mut installed: Vec<PathBuf> = installed.collect();
    installed.sort();
    let has_server = |folder: &Path| ["initdb", "pg_ctl", "psql"].iter().all(|name| folder.join(name).exists());
    on_path.into_iter().chain(installed.into_iter().rev()).find(|folder| has_server(folder))
}
