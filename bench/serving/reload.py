"""A model that is promoted a thousand times in a running server: memory, the latency of requests meanwhile, and how many are lost.

    python3 bench/serving/reload.py [--reloads 1000] [--rate 500] [--settle 60] [--work DIR]

Three versions of one model take turns as its champion: the champion and the one before it are in memory, the third is not. Each turn is
proposed by one person and approved by another, and the next begins when the server says that the version answers: it was read, its
digests compared, its golden rows replayed, it was warmed and swapped in. Loads of the same rate run before, during and after it; each
request has a name of its own, so that none is answered from an earlier one. Every promotion is two rows of the ledger and a proposal
that is kept, and every request a record: what the database keeps of them in memory is bounded, and full after `--settle` seconds of
load.
"""
import argparse
import json
import os
import shutil
import signal
import time

from client import decision_bodies, load, start_load, status, table
from server import Person, Server, bundles

# Versions that take turns.
VERSIONS = 3
# Reloads after which memory is looked at.
MARKS = (0, 1, 10, 50, 100, 200, 500, 1_000, 2_000, 5_000)
# The longest that a load may run beside the reloads, seconds; it is ended when they are done.
LONGEST = 3_600

parser = argparse.ArgumentParser()
parser.add_argument("--reloads", type=int, default=1_000)
parser.add_argument("--rate", type=int, default=500)
parser.add_argument("--settle", type=float, default=60, help="seconds of load before the first reload, until caches are full")
parser.add_argument("--work", default="/tmp/statera-serving")
arguments = parser.parse_args()
folder = os.path.join(arguments.work, "reload")
shutil.rmtree(folder, ignore_errors=True)
paths = bundles(arguments.work, VERSIONS)
model = "taiwan-1"
server = Server(folder)
server.start().furnish({model: paths[model]})
maker, checker = Person(server.place).sign_in("maker"), Person(server.place).sign_in("checker")
for i in range(2, VERSIONS + 1):
    maker.call("POST", f"/api/v1/models/{model}/versions?note=benchmark", open(paths[f"taiwan-{i}"], "rb").read())
url = server.url + "/api/v1/decisions"
flags = ["--body", decision_bodies(folder, model), "--key-file", server.key_file, "--rate", arguments.rate]
os.sched_setaffinity(0, {1})


def answering():
    return [int(version) for version in maker.call("GET", f"/v2/models/{model}")["versions"]]


def promote(version):
    """The seconds from the approval until the version answers."""
    change = {"change": {"change": "champion", "version": version}, "note": "benchmark"}
    proposal = maker.call("POST", f"/api/v1/models/{model}/proposals", change)["proposal"]
    began = time.perf_counter()
    checker.call("POST", f"/api/v1/proposals/{proposal}/approve", {"note": "benchmark"})
    while answering() != [version]:
        time.sleep(0.005)
    return time.perf_counter() - began


def row(name, figures):
    q = figures["latency"]
    lost = ", ".join(f"{p['n']} {p['kind']}" for p in figures["problems"]) or "0"
    return [name, f"{figures['good_per_second']:,.0f}", *(f"{q[k]:.2f}" for k in ("p50_ms", "p99_ms", "max_ms")), lost]


before = load(url, *flags, "--warm-up", max(2, arguments.settle - 10), "--seconds", 10)
memory, seconds = [[0, f"{status(server.process.pid, 'VmRSS'):.1f}", f"{status(server.process.pid, 'VmHWM'):.1f}"]], []
during = start_load(url, *flags, "--seconds", LONGEST)
time.sleep(1)
for i in range(1, arguments.reloads + 1):
    seconds.append(promote(i % VERSIONS + 1))
    if i in MARKS or i == arguments.reloads:
        memory.append([i, f"{status(server.process.pid, 'VmRSS'):.1f}", f"{status(server.process.pid, 'VmHWM'):.1f}"])
# The load tool tells what it has measured when it is interrupted once.
during.send_signal(signal.SIGINT)
during = json.loads(during.communicate()[0])
after = load(url, *flags, "--seconds", 10)
server.stop()
seconds.sort()
n_loaded = open(os.path.join(folder, "server.log")).read().count("a bundle is loaded, checked and warm")
table(["reloads", "memory, MiB", "at most until then"], memory)
table(["load", "good/s", "50 % ms", "99 % ms", "most ms", "lost"], [row("before", before), row("during", during), row("after", after)])
print(f"a reload takes {1e3 * seconds[len(seconds) // 2]:.0f} ms (50 %), {1e3 * seconds[len(seconds) * 99 // 100]:.0f} ms (99 %); the log says of {n_loaded} that they were loaded")
