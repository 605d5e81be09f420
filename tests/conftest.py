"""For all tests: one thread a process, since two processes that spin on two cores crawl."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
