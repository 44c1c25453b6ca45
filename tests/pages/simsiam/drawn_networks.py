"""Two tiny networks, one of them without stop-gradient, trained on drawn objects."""

import json
import shutil
from argparse import Namespace
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.pictures.data import SOURCES
from core.pictures.shapes import Shape, draw
from tests.narrow import without_onednn
from train.release import embed
from train.simsiam import trainer as training
from train.simsiam.diagnosis import Protocol

SOURCE = SOURCES["cifar10"]
DRAWN = ("airplane", "automobile", "bird", "cat", "frog", "ship", "truck")
COLOURS = ("#b3261e", "#e8b923", "#2f6db3", "#5c8a3a")
SIZE = replace(training.EMBEDDING_PRESETS["narrow"], width=2, hidden=12, dim=16, predictor_hidden=6)
TRAIN, TEST = 64, 40
NAMES = {recipe: f"simsiam-cifar10-{recipe}" for recipe in ("baseline", "no-stop-gradient")}


def drawn_objects(count, seed):
    """Pictures and labels in the order of CIFAR-10's classes; deer, dog and horse are not drawn."""
    kinds = [DRAWN[i % len(DRAWN)] for i in range(count - 1)] + ["truck"]
    pictures = [
        draw(Shape(kind=kind, colour=COLOURS[i % len(COLOURS)], seed=1000 * seed + i))
        for i, kind in enumerate(kinds)
    ]
    return np.stack(pictures), [SOURCE.class_names.index(kind) for kind in kinds]


def write_split(write_shard, root, split, count, seed):
    file = root / SOURCE.repo / SOURCE.configuration / f"{split}-00000-of-00001.parquet"
    columns = SOURCE.image_column, SOURCE.label_column
    write_shard(file, *drawn_objects(count, seed), *columns)


@pytest.fixture(scope="session")
def objects_folder(write_shard, tmp_path_factory):
    """The data that the networks were trained and tested on."""
    root = tmp_path_factory.mktemp("objects")
    write_split(write_shard, root, "train", TRAIN, 0)
    write_split(write_shard, root, "test", TEST, 1)
    return root


@pytest.fixture(scope="session")
def networks_folder(objects_folder, tmp_path_factory):
    """A manifest with both networks, and a record of another run without weights."""
    root = tmp_path_factory.mktemp("networks")
    folder = root / "checkpoints"
    folder.mkdir()
    (folder / "manifest.json").write_text('{"format": 1, "bundles": []}')
    for recipe, name in NAMES.items():
        settings = training.SimSiamTraining(
            recipe=recipe,
            epochs=2,
            batch_size=16,
            learning_rate=0.5,
            protocol=Protocol(spread=30, queries=36, bank=40, k=5),
        )
        with without_onednn(), pytest.MonkeyPatch.context() as patch:
            patch.setenv("ATELIER_DATA_DIR", str(objects_folder))
            config = training.named_config(training.ABLATIONS[recipe], SIZE)
            bundle = training.start(root / recipe, config, settings, device=torch.device("cpu"))
        asked = Namespace(bundle=bundle, name=name, title=name, record=False, checkpoints=folder)
        embed.main(asked)
    source = root / "another"
    shutil.copytree(bundle, source)
    config = json.loads((source / "config.json").read_text())
    config["training"]["recipe"] = "no-predictor"
    (source / "config.json").write_text(json.dumps(config))
    record = Namespace(
        bundle=source, name="a-record", title="A record", record=True, checkpoints=folder
    )
    embed.main(record)
    return folder
