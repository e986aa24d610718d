"""A week of the handbook's transactions as a bank's switch sends them, one after the other, with the server killed in the middle,
labels as they become known, and the queue of alerts worked at the end.

    python3 bench/serving/week.py [--work DIR] [--begin 2018-08-01] [--history 35] [--kills 3]

The server is on core 0, the client on core 1. The weeks before come first (many a request), so that the state knows them. A fraud is
reported at the end of the seventh day after it. Every probability is compared with that of `statera score --history`, to the bit.
"""
import argparse
import csv
import datetime
import gzip
import http.client
import json
import os
import random
import shutil
import subprocess
import time

from client import DATA, STATERA, table
from server import Person, Server

TRANSACTIONS = os.path.join(DATA, "fraud_handbook_simulated/transactions_raw.csv.gz")
DELAY = datetime.timedelta(days=7)
MANY = 2_000
REVIEWED = 100
COLUMNS = ["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT"]
PROJECT = """
purpose = "fraud"
[sources]
payments = "before.csv"
[main]
source = "payments"
key = "TRANSACTION_ID"
date = "TX_DATETIME"
[columns.CUSTOMER_ID]
kind = "identifier"
[columns.TERMINAL_ID]
kind = "identifier"
[roles]
target = "TX_FRAUD"
[candidates]
models = ["boosting_rare"]
[split]
folds = 2
[windows]
time = "TX_DATETIME"
id = "TRANSACTION_ID"
label = "TX_FRAUD"
label_delay = "7d"
label_time = "REPORTED"
[[windows.feature]]
key = "CUSTOMER_ID"
what = ["count"]
over = ["1d", "7d"]
current = false
[[windows.feature]]
key = "CUSTOMER_ID"
of = "TX_AMOUNT"
what = ["mean", "ratio_to_mean", "max"]
over = ["1d", "7d", "30d"]
current = false
[[windows.feature]]
key = "TERMINAL_ID"
of = "TX_FRAUD"
what = ["count", "sum", "mean"]
over = ["1d", "7d", "28d"]
shift = "label"
"""

parser = argparse.ArgumentParser()
parser.add_argument("--work", default="/tmp/statera-week")
parser.add_argument("--begin", type=datetime.date.fromisoformat, default=datetime.date(2018, 8, 1))
parser.add_argument("--history", type=int, default=35, help="days before the week")
parser.add_argument("--kills", type=int, default=3)
arguments = parser.parse_args()
shutil.rmtree(arguments.work, ignore_errors=True)
os.makedirs(arguments.work)
os.sched_setaffinity(0, {1})


def path(name):
    return os.path.join(arguments.work, name)


def known_on(day):
    """The day on which a fraud of a day is reported."""
    return day + DELAY


def split():
    """The weeks before and the week: lists of rows; written as tables, too."""
    first = arguments.begin - datetime.timedelta(days=arguments.history)
    until = arguments.begin + datetime.timedelta(days=7)
    parts = {"before": [], "week": []}
    with gzip.open(TRANSACTIONS, "rt") as file:
        for row in csv.DictReader(file):
            day = datetime.date.fromisoformat(row["TX_DATETIME"][:10])
            if first <= day < until:
                row["day"] = day
                parts["before" if day < arguments.begin else "week"].append(row)
    for name, rows in parts.items():
        rows.sort(key=lambda r: (r["TX_DATETIME"], int(r["TRANSACTION_ID"])))
        with open(path(f"{name}.csv"), "w") as file:
            out = csv.writer(file)
            out.writerow([*COLUMNS, "TX_FRAUD", "REPORTED"])
            for r in rows:
                reported = f"{known_on(r['day'])} 23:59:59.999999"
                out.writerow([*(r[c] for c in COLUMNS), r["TX_FRAUD"], reported])
    return parts["before"], parts["week"]


def sent(row):
    """A transaction as the switch sends it."""
    at = row["TX_DATETIME"].replace(" ", "T") + "Z"
    return {"TRANSACTION_ID": int(row["TRANSACTION_ID"]), "TX_DATETIME": at, "CUSTOMER_ID": int(row["CUSTOMER_ID"]),
            "TERMINAL_ID": int(row["TERMINAL_ID"]), "TX_AMOUNT": float(row["TX_AMOUNT"])}


class Switch:
    """A client that asks again until it is answered."""

    def __init__(self, server):
        self.server, self.connection, self.n_again = server, None, 0
        self.key = open(server.key_file).read()

    def post(self, where, body, allowed=(200,)):
        text = json.dumps(body, separators=(",", ":"))
        while True:
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection(self.server.place, timeout=120)
                self.connection.request("POST", where, text, {"authorization": f"Bearer {self.key}", "content-type": "application/json"})
                answer = self.connection.getresponse()
                told = json.loads(answer.read())
            except (OSError, http.client.HTTPException):
                self.connection = None
                self.n_again += 1
                time.sleep(0.05)
                continue
            if answer.status in allowed:
                return told
            if answer.status != 503:
                raise SystemExit(f"{where}: {answer.status} {told} for {text[:300]}")
            self.n_again += 1
            time.sleep(0.02)

    def many(self, rows):
        waiting = [{"subject": f"C{r['CUSTOMER_ID']}", "row": sent(r)} for r in rows]
        while waiting:
            told = self.post("/api/v1/transactions", {"model": "cards", "rows": waiting})
            again = []
            for one, item in zip(waiting, told["transactions"]):
                if item["status"] == 503:
                    again.append(one)
                elif item["status"] != 200:
                    raise SystemExit(f"{item} for {one}")
            waiting = again
            time.sleep(0.02 if again else 0)

    def reports(self, rows, day):
        """What is reported at the end of a day."""
        frauds = [r for r in rows if r["TX_FRAUD"] == "1" and known_on(r["day"]) == day]
        for r in frauds:
            body = {"model": "cards", "transaction": r["TRANSACTION_ID"], "outcome": "fraud", "on": day.isoformat()}
            self.post("/api/v1/outcomes", body)
        return len(frauds)


def of_day(rows, day):
    return [r for r in rows if r["day"] == day]


def main():
    before, week = split()
    open(path("project.toml"), "w").write(PROJECT)
    subprocess.run([STATERA, "train", "project.toml", "--quiet", "--out=cards.zip"], cwd=arguments.work, check=True)
    score = [STATERA, "score", "cards.zip", "week.csv", "--history", "before.csv", "--out", "week-scores.csv", "--force", "--quiet"]
    subprocess.run(score, cwd=arguments.work, check=True)
    with open(path("week-scores.csv"), encoding="utf-8-sig") as file:
        expected = {r["TRANSACTION_ID"]: float(r["probability"]) for r in csv.DictReader(file)}
    threshold = sorted(expected.values())[-len(expected) // 200]
    settings = f"[transactions]\nsnapshot_s = 20\nin_flight = 6000\n[alerts]\nthreshold = {threshold}\n"
    server = Server(path("server"), settings=settings, port=8421).start().furnish({"cards": path("cards.zip")})
    switch, n_reports = Switch(server), 0
    all_rows, days = before + week, sorted({r["day"] for r in before})
    began = time.perf_counter()
    for day in days:
        rows = of_day(before, day)
        for i in range(0, len(rows), MANY):
            switch.many(rows[i:i + MANY])
        n_reports += switch.reports(all_rows, day)
    filled = len(before) / (time.perf_counter() - began)
    kills = sorted(random.Random(1).sample(range(len(week)), arguments.kills))
    got, took, downs, n = {}, [], [], 0
    for day in sorted({r["day"] for r in week}):
        for r in of_day(week, day):
            if kills and n == kills[0]:
                kills.pop(0)
                server.kill()
                began = time.perf_counter()
                server.start()
                downs.append(time.perf_counter() - began)
            began = time.perf_counter()
            told = switch.post("/api/v1/transactions", {"model": "cards", "subject": f"C{r['CUSTOMER_ID']}", "row": sent(r)})
            took.append(time.perf_counter() - began)
            got[r["TRANSACTION_ID"]] = told["decisions"][0]["probability"]
            n += 1
        n_reports += switch.reports(all_rows, day)
    apart = sum(got[i] != expected[i] for i in expected)
    took.sort()
    # Asked again, all of them: the same answer, and nothing is counted twice.
    again = random.Random(2).sample(week, 500)
    twice = sum(switch.post("/api/v1/transactions", {"model": "cards", "subject": f"C{r['CUSTOMER_ID']}", "row": sent(r)})
                ["decisions"][0]["probability"] != got[r["TRANSACTION_ID"]] for r in again)
    table(["transactions before, a second", "reports", "the week's, one at a time", "killed", "start, s", "p50, ms", "p99, ms", "apart from the batch", "asked again: other"],
          [[f"{len(before)}, {filled:.0f}", n_reports, len(week), len(downs), ", ".join(f"{d:.2f}" for d in downs),
            f"{took[len(took) // 2] * 1e3:.2f}", f"{took[len(took) * 99 // 100] * 1e3:.2f}", apart, twice]])
    work_alerts(server, {r["TRANSACTION_ID"]: r["TX_FRAUD"] == "1" for r in before + week})
    server.stop()
    verified = subprocess.run([STATERA, "audit", "verify", os.path.join(server.folder, "store"), "--json"], capture_output=True, text=True)
    print("audit verify:", "ok" if verified.returncode == 0 else verified.stdout[-500:] + verified.stderr[-500:])


def work_alerts(server, truth):
    """The first cases of the queue are taken, looked at, and confirmed or dismissed."""
    ben = Person(server.place).sign_in("maker")
    queue = ben.call("GET", f"/api/v1/alerts?model=cards&limit={REVIEWED}")
    n_frauds, stake, began = 0, 0.0, time.perf_counter()
    for case in queue["alerts"]:
        ben.call("POST", f"/api/v1/alerts/{case['id']}/assign", {"to": "maker", "note": "a case of the replay"})
        seen = ben.call("GET", f"/api/v1/alerts/{case['id']}")
        suspects = [t for t in seen["timeline"] if t.get("suspicious")]
        is_fraud = any(truth[t["transaction"]] for t in suspects)
        n_frauds += is_fraud
        stake += case.get("expected_loss") or 0
        frauds = [t["transaction"] for t in suspects if truth[t["transaction"]]]
        body = {"transactions": frauds, "note": "by the file"} if is_fraud else {"reason": "other", "note": "by the file"}
        done = ben.call("POST", f"/api/v1/alerts/{case['id']}/{'confirm' if is_fraud else 'dismiss'}", body)
        if done["state"] != "closed":
            # The others of a card with frauds are its holder's.
            ben.call("POST", f"/api/v1/alerts/{case['id']}/dismiss", {"reason": "other", "note": "by the file"})
    left = ben.call("GET", "/api/v1/alerts?model=cards&limit=1")
    table(["cases listed, below", "fraud among them", "expected loss", "worked, s", "left"],
          [[f"{len(queue['alerts'])}, {queue['below']}", n_frauds, f"{stake:.0f}", f"{time.perf_counter() - began:.1f}", left["n_all"]]])


main()
