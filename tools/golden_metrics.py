#!/usr/bin/env python3
"""Goldens of the scores, from scikit-learn: tests/golden/metrics.json.

Probabilities are multiples of 1/64 (exact in float, with many ties). Label -1 and target null are rows without
a target: scikit-learn never sees them. Usage: golden_metrics.py OUT (needs scikit-learn)."""
import json
import sys
import warnings

import numpy as np
from sklearn import metrics as m

warnings.simplefilter("ignore")
random = np.random.default_rng(5)


def probabilities(rows, classes):
    cuts = np.sort(random.integers(0, 65, (rows, classes - 1)), axis=1)
    edges = np.concatenate([np.zeros((rows, 1), int), cuts, np.full((rows, 1), 64)], axis=1)
    return np.diff(edges, axis=1) / 64


def category(labels, p):
    classes, seen = p.shape[1], labels >= 0
    y, q = labels[seen], p[seen]
    guess, out = q.argmax(axis=1), {}
    out["accuracy"] = m.accuracy_score(y, guess)
    e = np.finfo(np.float32).eps  # its clip for float input; the sum itself in double, as ours
    out["loss"] = m.log_loss(y, np.clip(q, e, 1 - e), labels=list(range(classes)))
    for average in "macro", "micro", "weighted":
        out |= dict(zip([k + average for k in ("precision_", "recall_", "f1_")],
                        m.precision_recall_fscore_support(y, guess, average=average)[:3]))
    use = [1] if classes == 2 else [c for c in range(classes) if (y == c).any()]
    out["roc_auc"] = np.mean([m.roc_auc_score(y == c, q[:, c]) for c in use])
    out["average_precision"] = np.mean([m.average_precision_score(y == c, q[:, c]) for c in use])
    out["confusion"] = m.confusion_matrix(y, guess, labels=list(range(classes))).tolist()
    out |= {"rows": int(seen.sum()), "unlabelled": int((~seen).sum())}
    return {"labels": labels.tolist(), "probabilities": p.ravel().tolist(), "classes": classes, "expected": out}


def number(targets, predictions):
    seen = ~np.isnan(targets)
    y, x = targets[seen], predictions[seen]
    out = {"mae": m.mean_absolute_error(y, x), "rmse": m.root_mean_squared_error(y, x), "r2": m.r2_score(y, x),
           "median_ae": m.median_absolute_error(y, x), "loss": m.mean_squared_error(y, x),
           "rows": int(seen.sum()), "unlabelled": int((~seen).sum())}
    return {"targets": [None if np.isnan(t) else t for t in targets], "predictions": predictions.tolist(), "expected": out}


def some(rows, spoil):
    targets = random.integers(-400, 400, rows) / 16
    predictions = targets + random.integers(-40, 40, rows) / 16
    targets[random.random(rows) < spoil] = np.nan
    return targets, predictions


cases = {
    "category": [
        category(random.integers(0, 2, 60), probabilities(60, 2)),
        category(random.integers(-1, 4, 90), probabilities(90, 4)),
        # class 2 never a target, class 4 neither target nor (its probability is 0) predicted
        category(random.choice([0, 1, 3], 40), np.c_[probabilities(40, 4), np.zeros(40)]),
        category(np.array([0, 1, 1, 0, 1, 0]), np.full((6, 2), 0.5)),
    ],
    "number": [number(*some(31, 0)), number(*some(50, 0.2)),
               number(np.full(4, 2.5), np.array([2.5, 2.0, 2.5, 3.5])), number(np.full(3, 1.5), np.full(3, 1.5))],
}
with open(sys.argv[1], "w") as file:
    json.dump(cases, file)
    file.write("\n")
