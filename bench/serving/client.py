"""The load tool, the peer and what is measured around them; shared by the other scripts of this folder.

Servers run on core 0, clients on core 1, each alone. Everything comes from the release build (CARGO_TARGET_DIR), the public data
(STATERA_DATA, else ../../shared/data) and, for the peer, ../../shared/bench/fastapi_peer.py.
"""
import csv
import gzip
import http.client
import json
import os
import re
import subprocess
import sys
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "../..")
SHARED = os.environ.get("STATERA_SHARED", os.path.join(ROOT, "../shared"))
DATA = os.environ.get("STATERA_DATA", os.path.join(SHARED, "data"))
TAIWAN = os.path.join(DATA, "taiwan_credit_default/default_of_credit_card_clients.csv.gz")
RELEASE = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release")
STATERA = os.path.join(RELEASE, "statera")
# Rows that take turns in the requests.
N_ROWS = 2_000
# Rows of a batch.
BATCH = 1_000


def pinned(core, *command, **more):
    """A process on one core."""
    return subprocess.Popen(["taskset", "-c", str(core), *command], **more)


def load(url, *flags, core=1):
    """The load tool's figures; an error of the tool itself ends the script."""
    command = ["taskset", "-c", str(core), STATERA, "bench", url, "--json", *map(str, flags)]
    done = subprocess.run(command, capture_output=True, text=True)
    if not done.stdout.startswith("{"):
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def start_load(url, *flags, core=1):
    """The same, at the same time as other things; `json.loads(process.communicate()[0])` are the figures."""
    command = [STATERA, "bench", url, "--json", *map(str, flags)]
    return pinned(core, *command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def status(pid, field):
    """A figure of /proc/PID/status in MiB; 0 once the process has ended."""
    try:
        text = open(f"/proc/{pid}/status").read()
    except FileNotFoundError:
        return 0.0
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.M)
    return int(found[1]) / 1024 if found else 0.0


def fsync_ms(folder, n=1_000):
    """Milliseconds of n writes of 4 KiB that are on disk, in the file system of a folder: (50 %, 99 %)."""
    path = os.path.join(folder, "fsync.probe")
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    times = []
    for _ in range(n):
        os.write(file, b"x" * 4096)
        start = time.perf_counter()
        os.fdatasync(file)
        times.append(1e3 * (time.perf_counter() - start))
    os.close(file)
    os.unlink(path)
    times.sort()
    return times[n // 2], times[n * 99 // 100]


def rows():
    """The first rows of taiwan as cells: numbers without identifier and outcome."""
    with gzip.open(TAIWAN, "rt", newline="") as file:
        table = csv.DictReader(file)
        return [{k: int(float(v)) for k, v in row.items() if k not in ("ID", "class")} for row, _ in zip(table, range(N_ROWS))]


def write_lines(path, values):
    with open(path, "w") as file:
        file.writelines(json.dumps(value, separators=(",", ":")) + "\n" for value in values)
    return path


def decision_bodies(folder, model):
    """Decision requests of one row each, under names of their own."""
    of = lambda i, row: {"model": model, "request_id": "{{request_id}}", "subject": f"s{i}", "row": row}
    return write_lines(os.path.join(folder, f"decisions-{model}.jsonl"), [of(i, row) for i, row in enumerate(rows())])


def batch_bodies(folder):
    """Requests of the Open Inference Protocol with BATCH rows each, a tensor a column."""
    table = rows()
    parts = [table[i : i + BATCH] for i in range(0, len(table), BATCH)]
    tensor = lambda part, k: {"name": k, "shape": [len(part)], "datatype": "INT64", "data": [r[k] for r in part]}
    return write_lines(os.path.join(folder, "batches.jsonl"), [{"inputs": [tensor(p, k) for k in table[0]]} for p in parts])


class Peer:
    """FastAPI + uvicorn + LightGBM on core 0. PEER_PYTHON: a Python that has fastapi, uvicorn, lightgbm and pandas."""

    port = 8000
    url = f"http://127.0.0.1:{port}/score"

    def __init__(self, folder):
        python = os.environ.get("PEER_PYTHON", sys.executable)
        bench = os.path.abspath(os.path.join(SHARED, "bench"))
        self.folder = os.path.join(folder, "peer")
        os.makedirs(self.folder, exist_ok=True)
        if subprocess.run([python, "-c", "import fastapi, uvicorn, lightgbm, pandas"], capture_output=True).returncode:
            sys.exit(f"{python} lacks what the peer needs: pip install fastapi uvicorn lightgbm pandas, or set PEER_PYTHON")
        if not os.path.exists(os.path.join(self.folder, "peer_model.txt")):
            subprocess.run([python, os.path.join(bench, "fastapi_peer.py"), "train"], cwd=self.folder, check=True)
        self.bodies = write_lines(os.path.join(self.folder, "bodies.jsonl"), [{"row": row} for row in rows()])
        uvicorn = [python, "-m", "uvicorn", "fastapi_peer:app", "--workers", "1", "--port", str(self.port), "--log-level", "warning"]
        self.process = pinned(0, *uvicorn, cwd=self.folder, env={**os.environ, "PYTHONPATH": bench})
        wait_for(f"http://127.0.0.1:{self.port}/docs", self.process)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def wait_for(url, process, seconds=60.0):
    """Waits until a GET is answered with 200; the seconds it took."""
    place = urllib.parse.urlsplit(url)
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        if process.poll() is not None:
            sys.exit(f"the server of {url} ended with {process.returncode}")
        try:
            connection = http.client.HTTPConnection(place.hostname, place.port, timeout=1)
            connection.request("GET", place.path)
            if connection.getresponse().status == 200:
                return time.perf_counter() - start
        except OSError:
            pass
        # Our server lets those without a key in fifty times a second.
        time.sleep(0.02)
    sys.exit(f"{url} did not answer within {seconds} s")


def table(header, lines):
    """A table for bench/README.md."""
    print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for line in lines:
        print("| " + " | ".join(map(str, line)) + " |")
    sys.stdout.flush()
