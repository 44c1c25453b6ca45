"""Fetches whole data sets into the standard cache: before an image is built, before a lecture."""

from __future__ import annotations

import argparse

from core.pictures import data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", choices=data.SOURCES, help="which ones")


def main(arguments: argparse.Namespace) -> None:
    """Every split of every data set that is not at hand yet."""
    for name in arguments.names:
        for split in data.SOURCES[name].hub_splits:
            found = data.find_split(name, split) or data.download_split(name, split)
            size = sum(file.stat().st_size for file in found)
            print(f"{name} {split}: {size / 2**20:.1f} MiB, {found[0].parent}", flush=True)
