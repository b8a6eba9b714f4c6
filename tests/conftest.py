import os

import dreamvideo  # noqa: F401 (lets torchvision be imported)

# Tests share two cores with whatever else runs; tiny nets gain nothing from more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
