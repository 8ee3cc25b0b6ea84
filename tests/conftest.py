"""One thread for the tests: two of torch's on a busy machine with two cores are many times slower
than one.
"""

import os

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # before anything imports torch; the processes that tests start inherit it
