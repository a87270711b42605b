"""ELSA as published, on a CPU: trained on one data set, or its loss at given vectors of items; one JSON object.

    reference_elsa.py train TRAIN.parquet TEST.parquet RANK EPOCHS RATE
    reference_elsa.py loss DIRECTORY USERS ITEMS RANK     with indptr.i32, indices.i32 of X and vectors.f32
"""
import json
import sys
import time

import numpy as np
import scipy.sparse as sp
import torch
from elsa import ELSA

from reference_data import Split, peak


def model(items, rank, rate=0.1):
    return ELSA(n_items=items, n_dims=rank, device=torch.device("cpu"), lr=rate)


def loss(directory, users, items, rank):
    """Its NMSE at the vectors: the loss is taken before the step that moves them."""
    read = lambda name, kind: np.fromfile(f"{directory}/{name}", kind)
    indptr, indices = read("indptr.i32", np.int32), read("indices.i32", np.int32)
    X = sp.csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape=(users, items))
    fitted = model(items, rank)
    with torch.no_grad():
        next(fitted.parameters()).copy_(torch.from_numpy(read("vectors.f32", np.float32).reshape(items, rank)))
    x = torch.from_numpy(X.toarray())
    return {"nmse": float(fitted.train_step(x, x)[0])}


def train(train_path, test_path, rank, epochs, rate):
    split = Split(train_path, test_path)
    torch.manual_seed(1)
    start = time.perf_counter()
    fitted = model(split.X.shape[1], rank, rate)
    fitted.fit(split.X, batch_size=128, epochs=epochs, shuffle=True, verbose=False)
    fit_seconds = time.perf_counter() - start

    def score(rows):
        with torch.no_grad():
            return fitted(torch.from_numpy(rows.toarray())).numpy()

    return {
        "fitSeconds": fit_seconds,
        "peakRssBytes": peak(),
        **split.figures(score),
        "parameters": 2 * split.X.shape[1] * rank,
    }


if sys.argv[1] == "loss":
    result = loss(sys.argv[2], *map(int, sys.argv[3:6]))
else:
    result = train(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6]))
print(json.dumps(result))
