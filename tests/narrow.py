"""Training networks of one to four channels, as tests do to save time."""

import torch


def without_onednn():
    """A context in which convolutions are torch's own.

    oneDNN's backward pass of a convolution with stride 2 writes outside its memory where there are
    fewer than 8 channels, last in memory, on a CPU without AVX-512 (torch 2.14): the process dies.
    """
    return torch.backends.mkldnn.flags(enabled=False)
