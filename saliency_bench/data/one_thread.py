"""One thread a worker process.  Imported before numpy, which reads these variables when it is loaded."""

import os

LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def one_thread() -> None:
    """Keep the numerical libraries of this process to one thread; workers are what runs at once."""
    for name in LIBRARIES:
        os.environ[name] = "1"
