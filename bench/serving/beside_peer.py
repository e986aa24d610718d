"""Ours and the peer in turn on core 0, the client on core 1: requests a second, latency, batches.

    cargo build --release --workspace --bins && python3 bench/serving/beside_peer.py [--seconds 20] [--repeats 3] [--work DIR]

The peer (PEER_PYTHON with fastapi uvicorn lightgbm pandas) only scores; ours decides, gives reasons for what is not approved and
has every decision on disk before it answers. Both get the same rows in turn from the same client (wrk beside it, if it is
installed). Where there are repeats they take turns, and every run is listed.
"""
import argparse
import os
import shutil
import subprocess

from client import BATCH, Peer, batch_bodies, decision_bodies, fsync_ms, load, table
from server import Server, bundles

parser = argparse.ArgumentParser()
parser.add_argument("--seconds", type=float, default=20)
parser.add_argument("--repeats", type=int, default=3)
parser.add_argument("--connections", type=int, default=32)
parser.add_argument("--work", default="/tmp/statera-serving", help="folder for stores and models; its disk is the one that is measured")
parser.add_argument("--store", help="postgres://… in place of a folder")
parser.add_argument("--only", choices=["ours", "peer"])
arguments = parser.parse_args()
os.makedirs(arguments.work, exist_ok=True)
closed = ["--closed", "--connections", arguments.connections, "--warm-up", 2, "--seconds", arguments.seconds]


def line(name, figures):
    q = figures["latency"] or {}
    ms = [f"{q.get(k, float('nan')):.2f}" for k in ("p50_ms", "p99_ms", "p99_9_ms", "max_ms")]
    problems = ", ".join(f"{p['n']} {p['kind']}" for p in figures["problems"]) or "none"
    return [name, f"{figures['good_per_second']:,.0f}", *ms, problems]


def wrk(url, lua):
    if not shutil.which("wrk") or not lua:
        return
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{arguments.connections}", f"-d{arguments.seconds:.0f}s", "--latency", "-s", lua, url]
    print(subprocess.run(command, capture_output=True, text=True).stdout)


def peer():
    server = Peer(arguments.work)
    try:
        found = line("peer, closed loop", load(server.url, *closed, "--body", server.bodies))
        wrk(server.url, os.path.join(server.folder, "peer_post.lua"))
        return found
    finally:
        server.stop()


def ours(number):
    folder = os.path.join(arguments.work, f"ours-{number}")
    shutil.rmtree(folder, ignore_errors=True)
    # What is measured is the server, not its limits.
    server = Server(folder, arguments.store, "[flow]\nin_flight = 1024\n")
    server.start().furnish(bundles(arguments.work))
    url, key = server.url + "/api/v1/decisions", ["--key-file", server.key_file]
    body = ["--body", decision_bodies(folder, "taiwan-1"), *key]
    batch = ["--body", batch_bodies(folder), "--rows-each", BATCH, *key]
    try:
        found = [line("ours, closed loop", load(url, *closed, *body))]
        p50, p99 = fsync_ms(folder)
        figures = load(url, "--rate", 1000, "--seconds", arguments.seconds, "--warm-up", 2, "--stages", *body)
        found.append(line(f"ours, 1,000/s (fsync {p50:.2f} / {p99:.2f} ms)", figures))
        for stage in figures["stages"]:
            print(f"    {stage['name']:<10} mean {stage['mean_ms']:.3f}  99 % {stage['p99_ms']:.3f} ms  {100 * stage['share']:.1f} %")
        infer = server.url + "/v2/models/taiwan-1/infer"
        figures = load(infer, "--closed", "--connections", 4, "--warm-up", 2, "--seconds", arguments.seconds, *batch)
        found.append(line(f"ours, batches of {BATCH:,}: {figures['rows_per_second']:,.0f} rows/s", figures))
        return found
    finally:
        server.stop()


lines = []
for repeat in range(arguments.repeats):
    if arguments.only != "ours":
        lines.append(peer())
    if arguments.only != "peer":
        lines += ours(repeat)
table(["what", "good answers/s", "50 % ms", "99 % ms", "99.9 % ms", "most ms", "errors"], lines)
