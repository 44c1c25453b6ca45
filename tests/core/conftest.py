"""Networks whose every weight does something, the same on every run."""

import pytest
import torch


@pytest.fixture
def stirred(seeded):
    """Weights drawn from a seed instead of those that a module starts with, so that none is zero."""

    def make(module):
        generator = seeded(7)
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                if parameter.ndim > 1:
                    parameter.copy_(noise / parameter[0].numel() ** 0.5)
                else:
                    parameter.copy_(0.1 * noise + name.endswith("weight"))
        return module

    return make
