"""Boosting beside LightGBM, XGBoost and CatBoost on the same machine in one run: fit time and scoring speed. Attributions
beside LightGBM and shap on the same trees, binning beside optbinning.

    cargo build --release --workspace --bins && python3 bench/beside_peers.py [--repeats 3] [--works fit,score,explain,bin]

Ours and the peers take turns, so that what else the machine does falls on all of them; the least time of each counts.
Peers, sets and folds are those of ../shared/bench/peers.py (fold 0; LightGBM's default settings are our parity settings).
"""
import argparse
import importlib.util
import os
import re
import subprocess
import tempfile
import time

import numpy as np
import pandas as pd

HERE = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser()
parser.add_argument("--repeats", type=int, default=3)
parser.add_argument("--shared", default=os.path.join(HERE, "../../shared"))
parser.add_argument("--works", default="fit,score,explain,bin")
parser.add_argument("--shap-rows", type=int, default=30_000, help="rows that shap explains (its time is linear in them)")
arguments = parser.parse_args()
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "../target"))
DATA = os.environ.get("STATERA_DATA", os.path.join(arguments.shared, "data"))
spec = importlib.util.spec_from_file_location("peers", os.path.join(arguments.shared, "bench/peers.py"))
peers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(peers)


def ours(*words):
    """The output of our bench program."""
    return program("gbdt", *words)


def program(name, *words):
    """The output of a bench program of ours that does its work once."""
    command = [os.path.join(TARGET, "release", name), *words, "--data", DATA, "--repeats", "1"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def timed(work):
    """What work gives, and its seconds."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


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


def explain():
    """Shapley values of our trees, which LightGBM reads as text and shap reads from LightGBM."""
    import lightgbm, shap
    x = peers.load("taiwan", DATA)[0].to_numpy("f8")
    some = x[: arguments.shap_rows]
    least = {}
    keep = lambda name, seconds: least.__setitem__(name, min(least.get(name, np.inf), seconds))
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.repeats):
            for threads in ["2", "1"]:
                out = ours("explain", "--out", folder, "--threads", threads)
                for name, seconds, one in re.findall(r"^(\w+)\t\d+\t([\d.]+)\t(\d+)$", out, re.M):
                    keep((name, threads), float(seconds))
                    keep((name, "one row"), float(one) / 1e6)
            booster = lightgbm.Booster(model_file=os.path.join(folder, "model.txt"))
            path, seconds = timed(lambda: booster.predict(x, pred_contrib=True, num_threads=peers.THREADS))
            keep("lightgbm", seconds)
            keep("lightgbm, one row", min(timed(lambda: booster.predict(x[7:8], pred_contrib=True, num_threads=1))[1] for _ in range(20)))
            explainer = shap.TreeExplainer(booster, data=x[::300], feature_perturbation="interventional")
            values, seconds = timed(lambda: explainer.shap_values(some, check_additivity=False))
            keep("shap", seconds * len(x) / len(some))
            keep("shap, one row", min(timed(lambda: explainer.shap_values(x[7:8], check_additivity=False))[1] for _ in range(20)))
        read = lambda name: np.fromfile(os.path.join(folder, name + ".f64"), "<f8")
        print("attributions of 30,000 rows of taiwan, 100 trees of 31 leaves, seconds (least of the repeats)")
        print("kind\tstatera\ton one thread\tone row\tpeer\tits seconds\tits one row\ttimes its speed\tgreatest difference")
        theirs = {"path": ("lightgbm", path[:, :-1], path[0, -1]), "interventional": ("shap", values, explainer.expected_value)}
        for name, (peer, values, base) in theirs.items():
            mine = read(name)
            apart = max(np.abs(mine[:-1].reshape(x.shape)[: len(values)] - values).max(), np.abs(mine[-1] - base).max())
            two, one, row = least[name, "2"], least[name, "1"], least[name, "one row"]
            other, other_row = least[peer], least[peer + ", one row"]
            print(f"{name}\t{two:.3f}\t{one:.3f}\t{row:.6f}\t{peer}\t{other:.2f}\t{other_row:.6f}\t{other / two:.1f}\t{apart:.1e}", flush=True)


def binning():
    """Information values of taiwan's columns, as both measure them on the training rows, with the default limits of each."""
    import optbinning
    x, y = peers.load("taiwan", DATA)
    kinds = [("auto", "auto"), ("monotone", "auto_asc_desc")]
    best = {}
    for _ in range(arguments.repeats):
        for threads in ["2", "1"]:
            out = program("binning", "--threads", threads)
            for trend, value, seconds in re.findall(r"^(\w+)\t([\d.]+)\t([\d.]+)\t", out, re.M):
                best[trend, threads] = (float(value), min(float(seconds), best.get((trend, threads), (0, np.inf))[1]))
        for _, peer in kinds:
            columns = {c: x[c].to_numpy("f8") for c in x}
            fit = lambda: [optbinning.OptimalBinning(name=c, monotonic_trend=peer).fit(v, y) for c, v in columns.items()]
            found, seconds = timed(fit)
            for one in found:
                one.binning_table.build()
            best[peer] = (sum(one.binning_table.iv for one in found), min(seconds, best.get(peer, (0, np.inf))[1]))
    print("binning of taiwan's 23 columns (30,000 rows): total information value and seconds (least of the repeats)")
    print("trend\tstatera\ts\ts on one thread\toptbinning\tits\ts\tdifference\tratio of times\ton one thread")
    for trend, peer in kinds:
        (value, seconds), (_, alone), (other, theirs) = best[trend, "2"], best[trend, "1"], best[peer]
        print(f"{trend}\t{value:.4f}\t{seconds:.3f}\t{alone:.3f}\t{peer}\t{other:.4f}\t{theirs:.3f}\t{value - other:+.4f}\t{seconds / theirs:.2f}\t{alone / theirs:.2f}", flush=True)


for work in arguments.works.split(","):
    {"fit": fit, "score": score, "explain": explain, "bin": binning}[work]()
