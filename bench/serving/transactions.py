"""Transactions as they happen: how many a second are on disk, how long they take at 1,000 a second, and a state of many cards.

    python3 bench/serving/transactions.py [--cards 100000] [--seconds 20] [--work DIR]

The server is on core 0, the client on core 1. First every card has one transaction (many a request), then the state is restored
from its snapshot, then single transactions of cards by chance are sent: as fast as they are answered, and 1,000 a second.
"""
import argparse
import datetime
import http.client
import json
import os
import random
import shutil
import subprocess
import time

from client import STATERA, fsync_ms, load, status, table
from server import Server

PROJECT = """
[sources]
payments = "payments.csv"
[main]
source = "payments"
key = "payment"
date = "at"
[roles]
target = "fraud"
[candidates]
models = ["boosting"]
[split]
folds = 2
[windows]
time = "at"
id = "payment"
label = "fraud"
label_delay = "7d"
[[windows.feature]]
key = "card"
of = "amount"
what = ["count", "mean"]
over = ["1d", "7d", "30d"]
[[windows.feature]]
key = "shop"
of = "fraud"
what = ["count", "mean"]
over = ["1d", "7d", "30d"]
shift = "label"
"""
START = datetime.datetime(2026, 5, 1)
MANY = 5_000

parser = argparse.ArgumentParser()
parser.add_argument("--cards", type=int, default=100_000)
parser.add_argument("--seconds", type=int, default=20)
parser.add_argument("--work", default="/tmp/statera-transactions")
arguments = parser.parse_args()
shutil.rmtree(arguments.work, ignore_errors=True)
os.makedirs(arguments.work)
chance = random.Random(1)


def bundle():
    """Trained on 20,000 payments of March: {model: path}."""
    with open(os.path.join(arguments.work, "payments.csv"), "w") as file:
        file.write("payment,at,card,shop,amount,fraud\n")
        for i in range(20_000):
            at = datetime.datetime(2026, 3, 1) + datetime.timedelta(seconds=i * 130)
            fraud = chance.random() < 0.05
            amount = chance.randint(500, 9000) * (4 if fraud else 1) / 100
            file.write(f"{i},{at.isoformat()}Z,C{chance.randrange(500)},S{chance.randrange(200)},{amount},{int(fraud)}\n")
    open(os.path.join(arguments.work, "project.toml"), "w").write(PROJECT)
    train = [STATERA, "train", "project.toml", "--quiet", "--out=fraud.zip"]
    subprocess.run(train, cwd=arguments.work, check=True)
    return {"cards": os.path.join(arguments.work, "fraud.zip")}


def row(i, at, card):
    """A payment as those that the model was trained on; one in a hundred is as large as a fraud."""
    times = 4 if chance.random() < 0.01 else 1
    return {"payment": i, "at": at.isoformat(timespec="microseconds") + "Z", "card": f"C{card}", "shop": f"S{chance.randrange(5000)}",
            "amount": chance.randint(500, 9000) * times / 100}


def fill(server, key):
    """One transaction of every card; how many a second."""
    connection = http.client.HTTPConnection(server.place, timeout=300)
    began = time.perf_counter()
    for first in range(0, arguments.cards, MANY):
        of = range(first, min(first + MANY, arguments.cards))
        rows = [{"subject": f"C{i}", "row": row(i, START + datetime.timedelta(milliseconds=i), i)} for i in of]
        body = json.dumps({"model": "cards", "rows": rows})
        while True:
            connection.request("POST", "/api/v1/transactions", body, {"authorization": f"Bearer {key}", "content-type": "application/json"})
            answer = json.loads(connection.getresponse().read())
            wrong = [t for t in answer.get("transactions", [answer]) if t.get("status") != 200]
            if not wrong:
                break
            if any(t.get("status", 503) != 503 for t in wrong):
                raise SystemExit(wrong[0])
            time.sleep(0.05)
    return arguments.cards / (time.perf_counter() - began)


def bodies(name, n, first):
    """Single transactions of cards by chance, a millisecond apart."""
    path = os.path.join(arguments.work, name)
    begin = START + datetime.timedelta(hours=6)
    with open(path, "w") as file:
        for i in range(first, first + n):
            card = chance.randrange(arguments.cards)
            one = {"model": "cards", "subject": f"C{card}", "row": row(10**9 + i, begin + datetime.timedelta(milliseconds=i), card)}
            file.write(json.dumps(one, separators=(",", ":")) + "\n")
    return path


settings = "[transactions]\nsnapshot_s = 3600\nin_flight = 6000\n[compute]\nthreads = 1\n"
server = Server(os.path.join(arguments.work, "server"), settings=settings).start().furnish(bundle())
key = open(server.key_file).read()
filled = fill(server, key)
resident = status(server.process.pid, "VmRSS")
stopped = server.stop()
state = os.path.join(server.folder, "store", "states", "cards.state")
size = os.path.getsize(state) / 2**20
server.start()
began = time.perf_counter()
url = server.url + "/api/v1/transactions"
one = json.dumps({"model": "cards", "row": row(10**8, START + datetime.timedelta(hours=5), 0)})
while True:
    connection = http.client.HTTPConnection(server.place, timeout=60)
    connection.request("POST", "/api/v1/transactions", one, {"authorization": f"Bearer {key}", "content-type": "application/json"})
    answer = connection.getresponse()
    if answer.status == 200:
        break
    time.sleep(0.01)
restored = server.ready_s + time.perf_counter() - began
table(["cards", "filled, a second", "memory, MiB", "snapshot, MiB", "stop, s", "start to first answer, s"],
      [[arguments.cards, f"{filled:.0f}", f"{resident:.0f}", f"{size:.0f}", f"{stopped:.1f}", f"{restored:.2f}"]])
flags = ["--key-file", server.key_file]
fast = bodies("fast.jsonl", 12_000 * arguments.seconds, 0)
# The load tool sends 10,000 different bodies; one that is sent again is answered from the store, and would be no transaction.
closed = load(url, "--closed", "--connections", 64, "--seconds", min(arguments.seconds, 1), "--body", fast, *flags)
calm = bodies("calm.jsonl", 1_000 * (arguments.seconds + 2), 20_000_000)
open_loop = load(url, "--rate", 1000, "--seconds", min(arguments.seconds, 7), "--warm-up", 2, "--stages", "--body", calm, *flags)
print(json.dumps({"closed": closed, "at 1,000/s": open_loop, "fsync_ms": fsync_ms(arguments.work)}, indent=1))
server.stop()
