"""One thread for small matrices."""

from contextlib import contextmanager


@contextmanager
def one_thread():
    """torch on one thread, as before afterwards: small matrices are slower on several, and much
    slower where the cores are busy.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
