"""The reference implementation on one data set: time, peak memory and accuracy as one JSON object.

    reference.py TRAIN.parquet TEST.parquet L2 DENSITY
"""
import json
import logging
import resource
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import scipy.sparse as sp
from sansa import SANSA, ICFGramianFactorizerConfig, SANSAConfig, UMRUnitLowerTriangleInverterConfig

logging.disable(logging.CRITICAL)
train_path, test_path, l2, density = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])


def model(weight_density):
    return SANSA(SANSAConfig(
        l2=l2,
        weight_matrix_density=weight_density,
        gramian_factorizer_config=ICFGramianFactorizerConfig(),
        lower_triangle_inverter_config=UMRUnitLowerTriangleInverterConfig(),
    ))


def pairs(path):
    table = pq.read_table(path, columns=["user", "item"])
    return table["user"].to_numpy(), table["item"].to_numpy()


train_user, train_item = pairs(train_path)
test_user, test_item = pairs(test_path)
users, items = np.unique(train_user), np.unique(train_item)


def matrix(user, item):
    known = np.isin(user, users) & np.isin(item, items)
    u, i = np.searchsorted(users, user[known]), np.searchsorted(items, item[known])
    return sp.csr_matrix((np.ones(len(u), np.float32), (u, i)), shape=(len(users), len(items)))


X = matrix(train_user, train_item)
# The first call compiles: not the reference's work.
model(0.5).fit(sp.random(60, 40, 0.2, "csr", np.float32, random_state=1))
start = time.perf_counter()
fitted = model(density).fit(X)
fit_seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

# LightGCN protocol; rows are masked here because the reference gives masked items the score 0.
T = matrix(test_user, test_item)
held_out = dict(zip(*np.unique(test_user, return_counts=True)))
recall, ndcg = [], []
discount = 1 / np.log2(np.arange(2, 22))
start = time.perf_counter()
for lo in range(0, X.shape[0], 512):
    rows = X[lo:lo + 512]
    scores = fitted.forward(rows).toarray()
    scores[scores == 0] = -np.inf
    scores[rows.nonzero()] = -np.inf
    top = np.argpartition(-scores, 20, axis=1)[:, :20]
    top = np.take_along_axis(top, np.argsort(-np.take_along_axis(scores, top, 1), axis=1), 1)
    for r in range(rows.shape[0]):
        n = held_out.get(users[lo + r], 0)
        if n == 0:
            continue
        found = np.isfinite(scores[r, top[r]]) & np.isin(top[r], T.indices[T.indptr[lo + r]:T.indptr[lo + r + 1]])
        recall.append(found.sum() / n)
        ndcg.append((found * discount).sum() / discount[:min(20, n)].sum())
print(json.dumps({
    "fitSeconds": fit_seconds,
    "scoreSeconds": time.perf_counter() - start,
    "peakRssBytes": peak,
    "recall@20": float(np.mean(recall)),
    "ndcg@20": float(np.mean(ndcg)),
    "users": len(recall),
    "parameters": int(fitted.weights[0].nnz + fitted.weights[1].nnz),
}))
