"""k-means of scikit-learn beside ours, on the standardised columns of taiwan: the least of 3 fits each, taking turns.

Run with: python3 bench/cluster_peer.py [--data DIR] [--binary target/release/cluster]   (pandas and scikit-learn)
"""

import argparse
import os
import subprocess
import tempfile
import time

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans

here = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser()
parser.add_argument("--data", default=os.environ.get("STATERA_DATA", os.path.join(here, "../../shared/data")))
parser.add_argument("--binary", default=os.path.join(here, "../target/release/cluster"))
args = parser.parse_args()

frame = pd.read_csv(os.path.join(args.data, "taiwan_credit_default/default_of_credit_card_clients.csv.gz"))
x = frame.drop(columns=["ID", "class"]).to_numpy(float)
x = np.ascontiguousarray(((x - x.mean(0)) / x.std(0)).astype(np.float32))
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "x.f32")
    x.tofile(path)
    for k in (4, 8, 16):
        ours = subprocess.run([args.binary, path, *map(str, x.shape), str(k), "10"], capture_output=True, text=True, check=True)
        seconds, inertia = map(float, ours.stdout.split())
        peer = []
        for repeat in range(3):
            started = time.perf_counter()
            model = KMeans(k, n_init=10, random_state=repeat).fit(x)
            peer.append((time.perf_counter() - started, model.inertia_))
        least = min(p[0] for p in peer)
        print(f"k {k}: ours {seconds:.3f} s, inertia {inertia:.1f}; scikit-learn {least:.3f} s, inertia {min(p[1] for p in peer):.1f}; ratio {seconds / least:.2f}")
