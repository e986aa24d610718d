"""More than the server is allowed to take: what happens to those that are let in, to the others, to memory, and afterwards.

    python3 bench/serving/overload.py [--limit 1000] [--offered 5000] [--seconds 60] [--work DIR]

Three loads on one server, one after the other: half the limit (unloaded), the overload, half the limit again, whose first second is
the recovery. Memory is looked at ten times a second.
"""
import argparse
import json
import os
import shutil
import threading
import time

from client import decision_bodies, load, start_load, status, table
from server import Server, bundles

parser = argparse.ArgumentParser()
parser.add_argument("--limit", type=int, default=1000)
parser.add_argument("--offered", type=int, default=5000)
parser.add_argument("--seconds", type=float, default=60)
parser.add_argument("--work", default="/tmp/statera-serving")
arguments = parser.parse_args()
folder = os.path.join(arguments.work, "overload")
shutil.rmtree(folder, ignore_errors=True)
server = Server(folder, None, f"[flow]\nrate_per_second = {arguments.limit}\nurgent_percent = 0\n")
server.start().furnish(bundles(arguments.work))
url = server.url + "/api/v1/decisions"
flags = ["--body", decision_bodies(folder, "taiwan-1"), "--key-file", server.key_file, "--connections", 128]
calm = ["--rate", arguments.limit // 2, *flags]

before = load(url, *calm, "--warm-up", 2, "--seconds", 10)
memory = []
storm = start_load(url, "--rate", arguments.offered, "--seconds", arguments.seconds, *flags)
reader = threading.Thread(target=lambda: globals().update(told=storm.communicate()[0]))
reader.start()
while reader.is_alive():
    memory.append(status(server.process.pid, "VmRSS"))
    time.sleep(0.1)
during = json.loads(told)
after = load(url, *calm, "--seconds", 5)
server.stop()


def row(name, figures):
    q, r = figures["latency"], figures["refusals"] or {}
    others = ", ".join(f"{p['n']} {p['kind']}" for p in figures["problems"] if p["kind"] not in ("HTTP 429", "HTTP 503")) or "none"
    refused = [f"{r[k]:.2f}" if r else "–" for k in ("p50_ms", "p99_ms", "max_ms")]
    return [name, f"{figures['good_per_second']:,.0f}", f"{q['p50_ms']:.2f}", f"{q['p99_ms']:.2f}", f"{r.get('n', 0):,}", *refused, others]


table(["load", "good/s", "good 50 % ms", "good 99 % ms", "refused", "refused 50 % ms", "99 % ms", "most ms", "other errors"],
      [row("before", before), row("overload", during), row("after", after)])
tenth = [max(memory[i : i + max(1, len(memory) // 10)]) for i in range(0, len(memory), max(1, len(memory) // 10))]
print("memory, MiB, by tenths of the overload:", ", ".join(f"{m:.0f}" for m in tenth))
first = after["timeline"][0]
print(f"first second after it: {first['good']} good, {first['refused']} refused, {first['failed']} failed, 99 % {first['p99_ms']:.2f} ms")
