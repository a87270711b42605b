"""The reference implementation on one data set: time, peak memory and accuracy as one JSON object.

    reference.py TRAIN.parquet TEST.parquet L2 DENSITY [icf|cholmod]
"""
import json
import logging
import sys
import time

import numpy as np
import scipy.sparse as sp
from sansa import (
    SANSA,
    CHOLMODGramianFactorizerConfig,
    ICFGramianFactorizerConfig,
    SANSAConfig,
    UMRUnitLowerTriangleInverterConfig,
)

from reference_data import Split, peak

logging.disable(logging.CRITICAL)
train_path, test_path, l2, density = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
exact = sys.argv[5:] == ["cholmod"]


def model(weight_density):
    return SANSA(SANSAConfig(
        l2=l2,
        weight_matrix_density=weight_density,
        gramian_factorizer_config=CHOLMODGramianFactorizerConfig() if exact else ICFGramianFactorizerConfig(),
        lower_triangle_inverter_config=UMRUnitLowerTriangleInverterConfig(),
    ))


split = Split(train_path, test_path)
# The first call compiles: not the reference's work.
model(0.5).fit(sp.random(60, 40, 0.2, "csr", np.float32, random_state=1))
start = time.perf_counter()
fitted = model(density).fit(split.X)
fit_seconds = time.perf_counter() - start
print(json.dumps({
    "fitSeconds": fit_seconds,
    "peakRssBytes": peak(),
    **split.figures(lambda rows: fitted.forward(rows).toarray()),
    "parameters": int(fitted.weights[0].nnz + fitted.weights[1].nnz),
}))
