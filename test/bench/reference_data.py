"""Train and test files as sparse matrices, and the figures of what a model ranks (LightGCN protocol)."""
import resource
import time

import numpy as np
import pyarrow.parquet as pq
import scipy.sparse as sp


def pairs(path):
    table = pq.read_table(path, columns=["user", "item"])
    return table["user"].to_numpy(), table["item"].to_numpy()


class Split:
    def __init__(self, train_path, test_path):
        train_user, train_item = pairs(train_path)
        test_user, test_item = pairs(test_path)
        self.users, self.items = np.unique(train_user), np.unique(train_item)
        self.X = self.matrix(train_user, train_item)
        self.T = self.matrix(test_user, test_item)
        self.held_out = dict(zip(*np.unique(test_user, return_counts=True)))

    def matrix(self, user, item):
        known = np.isin(user, self.users) & np.isin(item, self.items)
        u, i = np.searchsorted(self.users, user[known]), np.searchsorted(self.items, item[known])
        return sp.csr_matrix((np.ones(len(u), np.float32), (u, i)), shape=(len(self.users), len(self.items)))

    def figures(self, score):
        """`score` makes a dense array of scores of rows of X; 0 is no score. Rows are masked here."""
        X, T = self.X, self.T
        recall, ndcg = [], []
        discount = 1 / np.log2(np.arange(2, 22))
        start = time.perf_counter()
        for lo in range(0, X.shape[0], 512):
            rows = X[lo:lo + 512]
            scores = score(rows)
            scores[scores == 0] = -np.inf
            scores[rows.nonzero()] = -np.inf
            top = np.argpartition(-scores, 20, axis=1)[:, :20]
            top = np.take_along_axis(top, np.argsort(-np.take_along_axis(scores, top, 1), axis=1), 1)
            for r in range(rows.shape[0]):
                n = self.held_out.get(self.users[lo + r], 0)
                if n == 0:
                    continue
                found = np.isfinite(scores[r, top[r]]) & np.isin(top[r], T.indices[T.indptr[lo + r]:T.indptr[lo + r + 1]])
                recall.append(found.sum() / n)
                ndcg.append((found * discount).sum() / discount[:min(20, n)].sum())
        # A test user without a train row has no list, and counts as 0.
        mean = lambda values: float(np.sum(values) / len(self.held_out))
        return {
            "scoreSeconds": time.perf_counter() - start,
            "recall@20": mean(recall),
            "ndcg@20": mean(ndcg),
            "users": len(self.held_out),
        }


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
