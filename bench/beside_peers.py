"""Boosting beside LightGBM, XGBoost and CatBoost on the same machine in one run: fit time and scoring speed.

    cargo build --release --workspace --bins && python3 bench/beside_peers.py [--repeats 3]

Ours and the peers take turns, so that what else the machine does falls on all of them; the least time of each counts.
Peers, sets and folds are those of ../shared/bench/peers.py (fold 0; LightGBM's default settings are our parity settings).
"""
import argparse
import importlib.util
import os
import re
import subprocess
import time

import numpy as np
import pandas as pd

HERE = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser()
parser.add_argument("--repeats", type=int, default=3)
parser.add_argument("--shared", default=os.path.join(HERE, "../../shared"))
parser.add_argument("--works", default="fit,score")
arguments = parser.parse_args()
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "../target"))
DATA = os.environ.get("STATERA_DATA", os.path.join(arguments.shared, "data"))
spec = importlib.util.spec_from_file_location("peers", os.path.join(arguments.shared, "bench/peers.py"))
peers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(peers)


def ours(*words):
    """The output of our bench program."""
    command = [os.path.join(TARGET, "release/gbdt"), *words, "--data", DATA, "--repeats", "1"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def fit():
    print("fit at parity settings, fold 0, seconds (least of the repeats)\nset\tstatera\tlightgbm\tratio")
    sets = {name: peers.load(name, DATA) for name in ["taiwan", "fraud_week"]}
    least = {}
    for _ in range(arguments.repeats):
        for name, seconds in re.findall(r"^(\w+)\t\d+\t\d+\t([\d.]+)$", ours("fit"), re.M):
            least[name, "statera"] = min(least.get((name, "statera"), np.inf), float(seconds))
        for name, (x, y) in sets.items():
            keep = np.arange(len(y)) % 5 != 0
            _, seconds, _ = peers.run("lgbm", x[keep].reset_index(drop=True), y[keep], x[:100])
            least[name, "lightgbm"] = min(least.get((name, "lightgbm"), np.inf), seconds)
    for name in sets:
        a, b = least[name, "statera"], least[name, "lightgbm"]
        print(f"{name}\t{a:.3f}\t{b:.3f}\t{a / b:.2f}", flush=True)


def score():
    import catboost, lightgbm, xgboost
    x, y = peers.load("taiwan", DATA)
    keep = np.arange(len(y)) % 5 != 0
    million = pd.concat([x] * (1_000_000 // len(x) + 1), ignore_index=True)[:1_000_000]
    threads = peers.THREADS
    lgb = lightgbm.LGBMClassifier(n_estimators=100, verbose=-1, n_jobs=threads).fit(x[keep], y[keep])
    xgb = xgboost.XGBClassifier(n_estimators=100, tree_method="hist", n_jobs=threads).fit(x[keep], y[keep])
    cat = catboost.CatBoostClassifier(n_estimators=100, verbose=0, thread_count=threads, allow_writing_files=False).fit(x[keep], y[keep])
    dense = million.to_numpy("f4")
    pool = catboost.Pool(million)
    # As peers.py does it (from a DataFrame), and from the form a peer scores fastest, made beforehand and not counted.
    works = {
        "lightgbm": lambda: lgb.predict_proba(million),
        "xgboost": lambda: xgb.predict_proba(million),
        "catboost": lambda: cat.predict_proba(million),
        "lightgbm, own form": lambda: lgb.booster_.predict(dense, num_threads=threads),
        "xgboost, own form": lambda: xgb.get_booster().inplace_predict(dense),
        "catboost, own form": lambda: cat.predict_proba(pool, thread_count=threads),
    }
    best = {}
    for _ in range(arguments.repeats):
        ours_now = float(re.search(r"rows: (\d+) rows", ours("score")).group(1))
        best["statera"] = max(best.get("statera", 0), ours_now)
        for name, work in works.items():
            start = time.perf_counter()
            work()
            best[name] = max(best.get(name, 0), 1e6 / (time.perf_counter() - start))
    print("scoring 1,000,000 rows (taiwan repeated), 100 trees, rows a second (best of the repeats)")
    for name, speed in best.items():
        print(f"{name}\t{speed:,.0f}")
    for what, own in [("as peers.py scores", False), ("in its own form", True)]:
        fastest = max(best[name] for name in works if name.endswith("own form") == own)
        print(f"ratio to the fastest peer {what}\t{best['statera'] / fastest:.2f}", flush=True)


for work in arguments.works.split(","):
    {"fit": fit, "score": score}[work]()
