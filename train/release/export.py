"""Writes the networks of a bundle as ONNX files that ONNX Runtime runs without PyTorch.

Every file is run by ONNX Runtime and compared with PyTorch before the folder is moved into place.
Names of inputs and outputs are those of the notation tables in ``core``:

| family  | file           | takes       | gives                                                    |
|---------|----------------|-------------|----------------------------------------------------------|
| vae     | encoder.onnx   | ``x``       | ``mean``, ``logvar`` of q(z|x)                           |
|         | decoder.onnx   | ``z``       | ``x_hat``, the mean of p(x|z)                            |
| ddpm    | unet.onnx      | ``x_t``, ``t`` | ``eps_hat``; ``v_hat`` too where that is the network's output |
| judge   | judge.onnx     | ``x``       | ``logits``, divided by the temperature, and ``features`` |
| simsiam | encoder.onnx   | ``x``       | ``h``                                                    |
|         | projector.onnx | ``h``       | ``z``                                                    |

A diffusion model's schedule goes next to its network as a configuration of ``diffusers``'
``DDPMScheduler``; its ``prediction_type`` names what the network itself says.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from core.bundles import bundle as bundles
from core.bundles.files import replacing_folder, write_json
from core.bundles.weights import need_weights
from core.ddpm.model import DDPM, DDPMConfig
from core.errors import AtelierError
from core.families import family_of, open_bundle
from train.families import TRAINED
from train.graph import Graph, Tensors

if TYPE_CHECKING:
    import onnx

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""What this command alone needs."""

OPSET, NEWEST_OPSET = 18, 23
LIMIT = 1e-4
"""Largest deviation of an output, as a share of its largest value."""

BATCHES = (1, 3, 8)
TRACED_BATCH = 2
SCHEDULER_FILE = "scheduler_config.json"
FILES = (
    "encoder.onnx",
    "decoder.onnx",
    "unet.onnx",
    "judge.onnx",
    "projector.onnx",
    SCHEDULER_FILE,
    "README.md",
)


@dataclass(frozen=True)
class ExportedFile:
    """A file that was written and agrees: its ``deviation`` is a share of the output's scale."""

    file: str
    bytes: int
    deviation: float
    takes: dict[str, str]
    gives: dict[str, str]


class AnswerNetwork(nn.Module):
    """A network with one of its answers as ``forward``."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.network = graph.network
        self.answer = graph.answer

    def forward(self, *inputs: Tensor) -> Tensors:
        return self.answer(*inputs)


def scheduler_config(config: DDPMConfig) -> dict[str, object]:
    """The schedule as ``diffusers.DDPMScheduler.from_config`` takes it: the same p_sample.

    ``variance_type`` ``fixed_small`` is beta~_t, of DDPM, equation 7. The cosine schedule is given by
    its betas, so that no second formula can differ. ``trailing`` takes fewer steps from T - 1 down,
    as ``core.ddpm.samplers.time_grid`` does where the steps divide T.
    """
    schedule = config.schedule
    if schedule.kind == "linear":
        betas: dict[str, object] = {
            "beta_schedule": "linear",
            "beta_start": schedule.beta_start,
            "beta_end": schedule.beta_end,
        }
    elif schedule.kind == "cosine":
        betas = {"trained_betas": schedule.build().betas.tolist()}
    else:
        raise ValueError(f"kind must be 'linear' or 'cosine', got {schedule.kind!r}")
    return {
        "_class_name": "DDPMScheduler",
        "num_train_timesteps": schedule.T,
        **betas,
        "prediction_type": "v_prediction" if config.prediction == "v" else "epsilon",
        "variance_type": "fixed_small",
        "clip_sample": False,
        "thresholding": False,
        "timestep_spacing": "trailing",
        "steps_offset": 0,
        "rescale_betas_zero_snr": False,
    }


# ---------------------------------------------------------------- writing


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """The exporter prints, warns and logs; what matters is checked afterwards."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def write_graph(
    graph: Graph, path: Path, metadata: dict[str, str], *, opset: int, batch: int | None
) -> None:
    """Trace one graph and write it with its weights and ``metadata``; ``batch`` None leaves B free."""
    import onnx

    model = traced_graph(graph, opset=opset, batch=batch)
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def traced_graph(
    graph: Graph, *, opset: int, batch: int | None, optimize: bool = True
) -> onnx.ModelProto:
    """One graph with its weights; ``optimize`` False leaves every weight as PyTorch stores it.

    The optimizer works out what follows from weights alone, as the scale of a normalisation in another
    shape, and keeps that in their place.
    """
    count = TRACED_BATCH if batch is None else batch
    inputs = graph.draw(count, torch.Generator().manual_seed(0))
    axes = None
    if batch is None:
        free = torch.export.Dim("B")
        axes = (tuple({0: free} for _ in inputs),)
    with _silence(), torch.no_grad():
        # By itself the exporter would fall back to a fixed batch where a free one fails.
        traced = torch.export.export(AnswerNetwork(graph).eval(), inputs, dynamic_shapes=axes)
        program = torch.onnx.export(
            traced,
            dynamo=True,
            dynamic_shapes=axes,
            input_names=list(graph.takes),
            output_names=list(graph.gives),
            opset_version=opset,
            optimize=optimize,
            verbose=False,
        )
        model = program.model_proto
    if [one.version for one in model.opset_import if one.domain == ""] != [opset]:
        raise AtelierError(
            "export-opset",
            "{file} cannot be written with operator set {opset}.",
            file=graph.file,
            opset=opset,
        )
    for node in model.graph.node:
        del node.metadata_props[:]  # paths and lines of this machine's code
    return model


def metadata_of(bundle: bundles.Bundle) -> dict[str, str]:
    """What every file says of its origin."""
    config = bundle.config
    return {
        "family": bundle.family,
        "bundle": bundle.name,
        "digest": bundle.digest,
        "preprocessing": json.dumps(config["preprocessing"]),
        "architecture": json.dumps(config["architecture"]),
        "class_names": json.dumps(config["data"].get("class_names", [])),
    }


# ---------------------------------------------------------------- checking


def deviation(graph: Graph, path: Path, batch: int | None = None) -> float:
    """How far ONNX Runtime is from PyTorch, the largest share of an output's largest value.

    Over the golden inputs and drawn ones, at batches of 1, 3 and 8, or at the only ``batch`` that
    the file takes. Raises ``AtelierError`` ``export-deviates`` above 1e-4, and ``export-unreadable``
    where ONNX Runtime does not run the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    with torch.no_grad():
        trials = list(_trials(graph, batch))
        wanted = [graph.reference(*inputs) for inputs in trials]
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        found = [
            session.run(
                list(graph.gives),
                {name: rows.numpy() for name, rows in zip(graph.takes, inputs, strict=True)},
            )
            for inputs in trials
        ]
    except Exception as error:  # ONNX Runtime's own have no common class
        raise AtelierError(
            "export-unreadable",
            "ONNX Runtime does not run {file}: {reason}",
            file=graph.file,
            reason=" ".join(str(error).split()),
        ) from error
    shares = [
        _share(theirs, ours.numpy())
        for outputs, expected in zip(found, wanted, strict=True)
        for theirs, ours in zip(outputs, expected, strict=True)
    ]
    worst = float(np.max(shares))  # NaN where any is
    if not worst <= LIMIT:
        raise AtelierError(
            "export-deviates",
            "{file} does not give in ONNX Runtime what PyTorch gives: it is off by {deviation:.2g}.",
            file=graph.file,
            deviation=worst,
        )
    return worst


def _trials(graph: Graph, batch: int | None) -> Iterator[Tensors]:
    generator = torch.Generator().manual_seed(1)
    if batch is None:
        yield graph.golden
    else:  # the golden rows again and again
        yield tuple(rows[torch.arange(batch) % len(rows)] for rows in graph.golden)
    for count in BATCHES if batch is None else (batch,):
        yield graph.draw(count, generator)


def _share(found: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference over the largest value, infinite for another shape."""
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return float("inf")
    scale = float(np.abs(wanted).max())
    return float(np.abs(found - wanted).max()) / (scale or 1.0)


# ---------------------------------------------------------------- the command


def export(
    bundle: bundles.Bundle, folder: Path, *, opset: int = OPSET, batch: int | None = None
) -> list[ExportedFile]:
    """The networks of a bundle as checked ONNX files in ``folder``, in place of an earlier export.

    ``opset``: the operator set, 18 to 23; ``batch``: the only batch size they take, None for any.
    Raises ``ValueError`` for these two, and ``AtelierError``: ``bundle-record``, ``bundle-golden``,
    ``export-family``, ``export-missing``, ``export-occupied``, ``export-opset``,
    ``export-unreadable``, ``export-deviates``; then nothing is written.
    """
    if not OPSET <= opset <= NEWEST_OPSET:
        raise ValueError(f"opset must be {OPSET} to {NEWEST_OPSET}, got {opset}")
    if batch is not None and batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    if bundle.family not in TRAINED:
        raise AtelierError(
            "export-family", "The family {family} has no export.", family=bundle.family
        )
    need_weights(bundle)
    need_packages()
    _need_room(folder)
    family_of(bundle).golden(bundle)
    model = family_of(bundle).load(bundle)
    prefix = "input."
    golden = {
        name.removeprefix(prefix): torch.from_numpy(array)
        for name, array in bundle.arrays("golden.safetensors").items()
        if name.startswith(prefix)
    }
    metadata, written = metadata_of(bundle), []
    with replacing_folder(folder) as temporary:
        with torch.no_grad():
            graphs = TRAINED[bundle.family].graphs(model, golden)
        for graph in graphs:
            path = temporary / graph.file
            write_graph(graph, path, metadata, opset=opset, batch=batch)
            off = deviation(graph, path, batch)
            size = path.stat().st_size
            written.append(ExportedFile(graph.file, size, off, graph.takes, graph.gives))
        if isinstance(model, DDPM):
            write_json(temporary / SCHEDULER_FILE, scheduler_config(model.config))
        text = read_me(bundle, written, opset=opset, batch=batch)
        (temporary / "README.md").write_text(text, encoding="utf-8")
    return written


def need_packages() -> None:
    """Raises ``AtelierError`` ``export-missing`` where a package of ``PACKAGES`` is not installed."""
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise AtelierError(
                "export-missing",
                "Exporting needs {package}, which is not installed: pip install {packages}.",
                package=package,
                packages=" ".join(PACKAGES),
            ) from error


def _need_room(folder: Path) -> None:
    """Only an earlier export is replaced."""
    folder = Path(folder)
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    earlier = names <= set(FILES) and any(name.endswith(".onnx") for name in names)
    if (folder.exists() and not folder.is_dir()) or (names and not earlier):
        raise AtelierError(
            "export-occupied",
            "{folder} holds something else than an earlier export: name another folder.",
            folder=folder,
        )


def read_me(
    bundle: bundles.Bundle, written: list[ExportedFile], *, opset: int, batch: int | None
) -> str:
    """What stands next to the files: what each takes and gives, and how to load it."""
    size = "any batch size B" if batch is None else f"batches of B = {batch}"
    lines = [
        f"# {bundle.name} in ONNX",
        "",
        f"Family `{bundle.family}`, bundle `{bundle.name}`, digest `{bundle.digest}`; operator set "
        f"{opset}, float32, {size}. What it was trained on, how well it does and what it may be used "
        "for stands in the card of the bundle.",
        "",
        "| file | takes | gives | off by |",
        "|---|---|---|---|",
        *(
            f"| {one.file} | {_descriptions(one.takes)} | {_descriptions(one.gives)} "
            f"| {one.deviation:.1e} |"
            for one in written
        ),
        "",
        "Off by: the largest difference from PyTorch, as a share of the output's largest value. A "
        "picture of bytes becomes `x = bytes / 127.5 - 1`, channels first.",
        "",
        *_example(written[0], batch),
    ]
    if bundle.family == "ddpm":
        lines += ["", *_scheduler_example(written[0])]
    return "\n".join(lines) + "\n"


def _descriptions(named: dict[str, str]) -> str:
    return "; ".join(f"`{name}` {what}" for name, what in named.items())


def _example(one: ExportedFile, batch: int | None) -> list[str]:
    count = batch or 1
    feeds = {
        "x": f'"x": np.zeros(({count}, 3, 32, 32), np.float32)',
        "x_t": f'"x_t": np.zeros(({count}, 3, 32, 32), np.float32)',
        "t": f'"t": np.zeros({count}, np.int64)',
    }
    names = ", ".join(one.gives) + ("," if len(one.gives) == 1 else "")
    return [
        "```python",
        "import numpy as np, onnxruntime",
        f'session = onnxruntime.InferenceSession("{one.file}")',
        f"{names} = session.run(None, {{{', '.join(feeds[name] for name in one.takes)}}})",
        "```",
    ]


def _scheduler_example(unet: ExportedFile) -> list[str]:
    own = list(unet.gives)[-1]
    return [
        f"`{SCHEDULER_FILE}` is the schedule for `diffusers`; its `step` takes `{own}`:",
        "",
        "```python",
        "from diffusers import DDPMScheduler",
        'scheduler = DDPMScheduler.from_pretrained(".")',
        "```",
    ]


def batch_size(text: str) -> int | None:
    """``dynamic``, or a whole number."""
    return None if text == "dynamic" else int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", help="folder of the bundle, or user/name on the Hub")
    parser.add_argument("--to", type=Path, required=True, help="folder for the files")
    parser.add_argument("--opset", type=int, default=OPSET, help=f"operator set (default: {OPSET})")
    parser.add_argument(
        "--batch", type=batch_size, default="dynamic", help="dynamic, or the only batch size"
    )


def main(arguments: argparse.Namespace) -> None:
    bundle, folder = open_bundle(arguments.bundle), arguments.to
    try:
        written = export(bundle, folder, opset=arguments.opset, batch=arguments.batch)
    except OSError as error:
        raise AtelierError(
            "export-unwritable",
            "{folder} cannot be written: {reason}.",
            folder=folder,
            reason=error.strerror or error,
        ) from error
    for one in written:
        print(f"{folder / one.file}: {one.bytes / 2**20:.2f} MiB, off by {one.deviation:.1e}")
