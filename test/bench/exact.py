"""The inverse of one symmetric matrix by numpy's LAPACK (potrf and potri) on the threads that OPENBLAS_NUM_THREADS says.

    exact.py N float64|float32
"""
import json
import sys
import time

import numpy as np
from scipy.linalg import lapack

n, kind = int(sys.argv[1]), sys.argv[2]
i = np.arange(n)
A = (1 / (1 + np.abs(i[:, None] - i)) + 5 * np.eye(n)).astype(kind)
potrf, potri = (lapack.dpotrf, lapack.dpotri) if kind == "float64" else (lapack.spotrf, lapack.spotri)
seconds = []
for _ in range(3):
    start = time.perf_counter()
    inverse, _ = potri(potrf(np.asfortranarray(A), lower=1, overwrite_a=1)[0], lower=1, overwrite_c=1)
    seconds.append(time.perf_counter() - start)
print(json.dumps({"seconds": sorted(seconds)[1], "trace": float(np.trace(inverse.astype(float)))}))
