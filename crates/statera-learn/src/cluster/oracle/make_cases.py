"""Writes the numbers of scikit-learn that the tests of clustering compare with, to sklearn.json.

Run with: python3 make_cases.py   (numpy and scikit-learn)
"""

import json
import numpy as np
import sklearn
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.mixture import GaussianMixture

rng = np.random.default_rng(5)
# Three groups of different spread and tilt, so that full and diagonal covariances differ.
tilt = np.array([[1.0, 0.0], [0.8, 0.5]])
x = np.vstack([
    rng.normal(size=(40, 2)) @ tilt + [0, 0],
    rng.normal(size=(30, 2)) * [0.5, 1.5] + [6, 1],
    rng.normal(size=(30, 2)) @ tilt.T + [1, 8],
]).round(2).astype(np.float32)
kmeans = KMeans(3, n_init=20, tol=1e-8, random_state=1).fit(x)
other = rng.integers(0, 3, size=100)
cases = {
    "sklearn": sklearn.__version__,
    "x": x.astype(float).round(2).ravel().tolist(),
    "inertia": float(kmeans.inertia_),
    "labels": kmeans.labels_.tolist(),
    "silhouette": float(silhouette_score(x, kmeans.labels_)),
    "other": other.tolist(),
    "ari": float(adjusted_rand_score(kmeans.labels_, other)),
}
for name, kind in [("full", "full"), ("diagonal", "diag")]:
    model = GaussianMixture(3, covariance_type=kind, tol=1e-9, max_iter=1000, reg_covar=0.01, n_init=5, random_state=1)
    model.fit(x.astype(float))
    cases[name] = {"mean_log_likelihood": float(model.score(x)), "bic": float(model.bic(x.astype(float)))}
json.dump(cases, open("sklearn.json", "w"), indent=0)
print({k: v for k, v in cases.items() if k not in ("x", "labels", "other")})
