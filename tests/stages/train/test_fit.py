"""Seeds reach a library that the training function is the first to import."""

import subprocess
import sys

import pytest

_SCRIPT = """
import sys
from types import SimpleNamespace
from inseam.stages.train.fit import fit

def draw(data, params):
    import torch
    return torch.rand(4).tolist()

assert "torch" not in sys.modules
first = fit("model:m", draw, SimpleNamespace(seed=7), {})
again = fit("model:m", draw, SimpleNamespace(seed=7), {})
other = fit("model:m", draw, SimpleNamespace(seed=8), {})
assert first == again != other, (first, again, other)
assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("inseam")]
"""


def test_torch_is_seeded_though_the_function_imports_it_first():
    pytest.importorskip("torch")
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
