from pathlib import Path

import pytest

from core.bundles.manifest import CHECKPOINTS
from core.errors import AtelierError
from core.families import read_manifest
from core.vae.model import VAE
from train.__main__ import main
from train.release import tables

MANIFEST = read_manifest(CHECKPOINTS / "manifest.json")


@pytest.mark.parametrize("name", tables.TABLES)
def test_every_table_has_as_many_cells_in_every_row(name):
    lines = tables.TABLES[name](MANIFEST).splitlines()
    assert len(lines) > 2
    assert len({line.count(" | ") for line in lines}) == 1
    assert all(line.startswith("| ") and line.endswith(" |") for line in lines)


def test_tables_are_made_anew_and_the_rest_stays(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- table judge -->\nold | figures\n<!-- end of table -->\nafter\n"
        "<!-- table vae -->\n<!-- end of table -->\nend\n"
    )
    assert main(["tables", str(page)]) == 0
    text = page.read_text()
    test = MANIFEST.open("judge-svhn").metrics["test"]
    assert f"| right | {test['accuracy']:.1%} |" in text
    assert "old" not in text
    assert [line for line in text.splitlines() if line in ("before", "after", "end")] == [
        "before",
        "after",
        "end",
    ]
    stamp = page.stat().st_mtime_ns
    assert main(["tables", str(page)]) == 0
    assert page.stat().st_mtime_ns == stamp
    assert capsys.readouterr().out.splitlines()[-1].endswith("nothing new")


def test_a_table_that_does_not_exist_is_refused_and_the_page_kept(tmp_path):
    page = tmp_path / "page.md"
    text = "<!-- table gan -->\n<!-- end of table -->\n"
    page.write_text(text)
    assert main(["tables", str(page)]) == 1
    assert page.read_text() == text
    with pytest.raises(AtelierError) as caught:
        tables.rewritten(text, MANIFEST)
    assert caught.value.code == "table-unknown"


def test_runs_are_told_with_their_size_and_time():
    lines = [line.split(" | ") for line in tables.of_made(MANIFEST).splitlines()[2:]]
    rows = {cells[0].strip("| `"): cells[1:] for cells in lines}
    vae = MANIFEST.open("vae-svhn")
    million, pictures, epochs, minutes, device = rows["vae-svhn"]
    count = sum(p.numel() for p in VAE.from_pretrained(vae.folder).parameters())
    assert million == f"{count / 1e6:.2f}"
    assert pictures == f"{vae.config['data']['pictures']:,}"
    assert epochs == str(len(vae.history))
    assert minutes == f"{vae.history[-1]['seconds_total'] / 60:.0f}"
    assert device == f"{vae.config['training']['device']} |"
    assert rows["simsiam-cifar10-*"][1] == "10,000 to 50,000"


def test_of_values_that_differ_the_ends_are_told():
    assert tables.span([4.2, 9.9, 4.0], ".0f") == "4 to 10"
    assert tables.span([20, 20], "d") == "20"


def test_epochs_of_what_a_run_went_on_from_stand_before_its_own():
    def trained(own, *earlier):
        return {"epochs_done": own, "ancestors": [{"epochs": count} for count in earlier]}

    assert tables.epochs([trained(20)]) == "20"
    assert tables.epochs([{"epochs_done": 20}]) == "20"
    assert tables.epochs([trained(60, 50, 300)]) == "50 + 300 + 60"
    assert tables.epochs([trained(30, 50), trained(40, 50)]) == "50 + 30 to 40"
    assert tables.epochs([trained(30, 50), trained(40)]) == "40 to 80"


def test_t_star_beyond_the_highest_level_is_said_as_such():
    """Quartiles that no level reached are stored as T."""
    rows = tables.of_t_star(MANIFEST).splitlines()[2:]
    bundle = MANIFEST.open("ddpm-svhn-1000")
    highest = int(bundle.profiles["t_star_levels"].max()) + 1
    for row, measure in zip(rows, tables.T_STAR, strict=True):
        beyond = sum(t >= 1000 for t in bundle.metrics["judged"]["t_star"][measure]["quartiles"])
        assert row.count(f"> {highest}") == beyond


def test_a_goal_is_met_on_its_side_of_the_limit():
    assert tables.Goal("share", 0.8, ".1%", 0.81).row() == ["share", "≥ 80.0%", "81.0%", "yes"]
    assert tables.Goal("share", 0.8, ".1%", 0.79).row()[-1] == "no"
    assert tables.Goal("nats", 2877.0, ",.1f", 2876.9, False).row() == [
        "nats",
        "≤ 2,877.0",
        "2,876.9",
        "yes",
    ]
    assert tables.Goal("nats", 2877.0, ",.1f", 2877.2, False).row()[-1] == "no"


def test_goals_are_measured_by_the_bundles():
    reached = {goal.figure: goal.reached for goal in tables.goals(MANIFEST)}
    vae, ddpm = (MANIFEST.open(name).metrics for name in ("vae-svhn", "ddpm-svhn-1000"))
    assert reached["VAE: negative ELBO, nats"] == vae["test"]["negative_elbo"]
    of_vae, of_ddpm = (metrics["judged"]["samples"]["frechet"] for metrics in (vae, ddpm))
    ratio = reached["the same: Frechet distance in the judge's features over the VAE's"]
    assert ratio * of_vae == pytest.approx(of_ddpm)
    ranks = {
        entry.name.removeprefix("simsiam-cifar10-"): MANIFEST.open(entry.name).metrics["test"][
            "rank_z"
        ]
        for entry in MANIFEST.of_family("simsiam")
    }
    worst = reached["collapsed runs: largest effective rank of z over the baseline's"]
    for collapsed in ("no-stop-gradient", "no-predictor", "neither"):
        assert ranks[collapsed] <= worst * ranks["baseline"] * (1 + 1e-9)


def test_the_pace_is_that_of_a_file():
    assert Path(tables.PACE).is_file()
    assert "convolution" in tables.of_pace(MANIFEST)
