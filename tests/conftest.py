"""For all tests: one thread a process, since two processes that spin on two cores crawl."""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts the tests in its background has them ignore Ctrl-C, and so all they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
