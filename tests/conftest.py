import os

# Tests share two cores with whatever else runs; tiny nets gain nothing from more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
