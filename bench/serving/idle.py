"""Memory of a server that does nothing, and how long it takes from its start to ready, with 20 models.

    python3 bench/serving/idle.py [--models 20] [--starts 10] [--work DIR]
"""
import argparse
import os
import shutil
import time

from client import status, table
from server import Server, bundles

parser = argparse.ArgumentParser()
parser.add_argument("--models", type=int, default=20)
parser.add_argument("--starts", type=int, default=10)
parser.add_argument("--work", default="/tmp/statera-serving")
arguments = parser.parse_args()
os.makedirs(arguments.work, exist_ok=True)
lines = []
for n in sorted({1, arguments.models}):
    folder = os.path.join(arguments.work, f"idle-{n}")
    shutil.rmtree(folder, ignore_errors=True)
    server = Server(folder)
    server.start().furnish(bundles(arguments.work, n))
    server.stop()
    starts = []
    for _ in range(arguments.starts):
        server.start()
        starts.append(1e3 * server.ready_s)
        time.sleep(2)
        resident, peak = status(server.process.pid, "VmRSS"), status(server.process.pid, "VmHWM")
        stopped = server.stop()
    starts.sort()
    lines.append([n, f"{starts[len(starts) // 2]:.0f}", f"{starts[-1]:.0f}", f"{resident:.1f}", f"{peak:.1f}", f"{1e3 * stopped:.0f}"])
table(["models", "start to ready, ms (50 %)", "most", "memory after 2 s, MiB", "at most until then", "stop, ms"], lines)
