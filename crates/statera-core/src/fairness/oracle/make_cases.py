"""Writes the numbers of fairlearn that the tests of fairness compare with, to fairlearn.json.

Run with: python3 make_cases.py   (numpy, scikit-learn and fairlearn)
"""

import json
import fairlearn
import numpy as np
from fairlearn.metrics import (MetricFrame, count, demographic_parity_ratio, equalized_odds_difference,
                               false_negative_rate, false_positive_rate, selection_rate)
from sklearn.metrics import roc_auc_score

rng = np.random.default_rng(7)
n = 400
group = rng.choice(["a", "b", "c"], size=n, p=[0.5, 0.3, 0.2])
risk = rng.normal(size=n) + np.where(group == "b", 0.4, 0.0)
target = (risk + rng.normal(size=n) > 0.8).astype(int)
margin = np.round(risk, 3)
declined = (margin > 0.6).astype(int)
weight = rng.integers(1, 4, size=n).astype(float)
cases = {"fairlearn": fairlearn.__version__, "group": group.tolist(), "target": target.tolist(),
         "margin": margin.tolist(), "weight": weight.tolist(), "cases": []}
for weighted in (False, True):
    w = weight if weighted else np.ones(n)
    metrics = {"declined": selection_rate, "fpr": false_positive_rate, "fnr": false_negative_rate}
    frame = MetricFrame(metrics=metrics, y_true=target, y_pred=declined, sensitive_features=group,
                        sample_params={m: {"sample_weight": w} for m in metrics})
    approved = MetricFrame(metrics={"approved": selection_rate}, y_true=target, y_pred=1 - declined,
                           sensitive_features=group, sample_params={"approved": {"sample_weight": w}})
    cases["cases"].append({
        "weighted": weighted,
        "by_group": {g: {m: float(frame.by_group[m][g]) for m in metrics} for g in "abc"},
        "auc": {g: float(roc_auc_score(target[group == g], margin[group == g], sample_weight=w[group == g])) for g in "abc"},
        "parity_ratio": float(demographic_parity_ratio(target, 1 - declined, sensitive_features=group, sample_weight=w)),
        "odds_difference": float(equalized_odds_difference(target, declined, sensitive_features=group, sample_weight=w)),
        "approved": {g: float(approved.by_group["approved"][g]) for g in "abc"},
    })
json.dump(cases, open("fairlearn.json", "w"))
print(json.dumps(cases["cases"], indent=1))
