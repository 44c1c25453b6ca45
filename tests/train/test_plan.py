import json
import tarfile

import pytest

from core.bundle import open_bundle
from core.errors import AtelierError
from train import plan
from train.__main__ import main
from train.plan import PlannedRun, Standing, command_of, read_plan

JUDGE = "judge --batch-size 16"


def written(path, *runs):
    lines = []
    for run in runs:
        lines.append("[[run]]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in run.items()]
    path.write_text("\n".join(lines))
    return path


def a_run(name="a", command=f"{JUDGE} --epochs 2", minutes=1, **more):
    return {"name": name, "command": command, "minutes": minutes, **more}


# ---------------------------------------------------------------- the file


def test_the_plan_of_the_project_can_be_read_and_typed():
    """Every command of it is one that the command line takes."""
    from train.__main__ import build_parser

    runs = read_plan(plan.PLAN)
    for run in runs:
        arguments = build_parser().parse_args([*run.words, "--run", "x", "--minutes", "1"])
        assert arguments.command == run.words[0]
    assert runs[0].name == "ddpm-1000"  # the best value first
    lengths = {run.name: run.as_long_as for run in runs}
    assert lengths["ddpm-500"] == lengths["ddpm-1500"] == "ddpm-1000"


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([a_run(command="publish runs/a")], "must begin with one of vae, ddpm, simsiam, judge"),
        ([a_run(command="")], "must begin with one of"),
        ([a_run(command=f"{JUDGE} --minutes 3")], "must leave out --minutes"),
        ([a_run(command=f"{JUDGE} --run x")], "must leave out --run"),
        ([a_run(minutes=0)], "minutes of a must be above 0, got 0"),
        ([a_run(), a_run()], "names of runs must differ, got 'a' twice"),
        ([a_run(minuets=3)], "not minuets"),
        ([{"name": "a", "minutes": 3}], "must have command"),
        ([a_run(command=JUDGE, as_long_as="b"), a_run("b")], "must name an earlier run, got 'b'"),
        ([a_run(), a_run("b", as_long_as="a")], "as_long_as or --epochs, not both"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused_in_words(tmp_path, runs, said):
    with pytest.raises(ValueError, match=said):
        read_plan(written(tmp_path / "plan.toml", *runs))


@pytest.mark.parametrize("text", [None, "run = [", "[other]\nx = 1"])
def test_a_file_that_is_no_plan_is_one_sentence(tmp_path, text):
    path = tmp_path / "plan.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(AtelierError) as caught:
        read_plan(path)
    assert caught.value.code == "plan-unreadable"


# ---------------------------------------------------------------- what is to be done


@pytest.mark.parametrize(
    ("standing", "wanted", "state"),
    [
        (Standing(), None, "waiting"),
        (Standing(), 10, "waiting"),
        (Standing(3, 10, 0), None, "begun"),
        (Standing(10, 10, 0), None, "begun"),  # trained, without its bundle
        (Standing(10, 10, 7), None, "begun"),  # the bundle is an earlier one
        (Standing(10, 10, 10), None, "done"),
        (Standing(10, 10, 10), 10, "done"),
        (Standing(10, 10, 10), 20, "begun"),  # the run that it follows went on
    ],
)
def test_how_far_a_run_is(standing, wanted, state):
    assert standing.state(wanted) == state


def test_a_run_is_begun_within_its_minutes_and_resumed_without(tmp_path):
    run, folder = PlannedRun("a", f"{JUDGE} --seed 3", 8), tmp_path / "a"
    begun = command_of(run, folder, Standing(), None)
    assert begun == [*f"{JUDGE} --seed 3 --run {folder} --minutes 8".split()]
    again = command_of(run, folder, Standing(3, 10), None)
    assert again == ["judge", "--run", str(folder), "--resume"]


def test_a_run_that_says_its_epochs_gets_no_minutes(tmp_path):
    run = PlannedRun("a", f"{JUDGE} --epochs 9", 8)
    assert "--minutes" not in command_of(run, tmp_path, Standing(), None)


def test_a_run_that_follows_another_waits_for_it_and_is_as_long(tmp_path):
    run = PlannedRun("b", JUDGE, 8, as_long_as="a")
    assert command_of(run, tmp_path, Standing(), None) is None
    assert command_of(run, tmp_path, Standing(), 12)[-2:] == ["--epochs", "12"]
    assert command_of(run, tmp_path, Standing(5, 12), 12)[-1] == "--resume"
    assert command_of(run, tmp_path, Standing(12, 12, 12), 30)[-3:] == [
        "--resume",
        "--epochs",
        "30",
    ]


# ---------------------------------------------------------------- the work itself


@pytest.fixture(scope="module")
def worked(svhn_folder, tmp_path_factory):
    """A plan of three runs: the second fails, the third follows the first."""
    folder = tmp_path_factory.mktemp("plan")
    path = written(
        folder / "plan.toml",
        a_run(),
        a_run("broken", command=f"{JUDGE} --epochs 1 --learning-rate -1"),
        a_run("b", command=f"{JUDGE} --seed 1", as_long_as="a"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
        patch.setenv("OMP_NUM_THREADS", "1")
        where = ["--file", str(path), "--runs", str(folder / "runs")]
        status = main(["plan", *where, "--minutes", "3", "--pack", str(folder / "packed")])
    return folder, path, status


def test_the_runs_of_a_plan_are_trained_in_order(worked):
    folder, _path, status = worked
    assert status == 1  # one failed, the others were trained all the same
    for name, seed in (("a", 0), ("b", 1)):
        config = open_bundle(folder / "runs" / name / "bundle").config
        assert config["training"]["epochs_done"] == 2
        assert config["seed"] == seed
    assert not (folder / "runs/broken/state.pt").exists()


def test_every_bundle_comes_as_one_archive(worked, tmp_path):
    folder, _path, _status = worked
    assert sorted(path.name for path in (folder / "packed").iterdir()) == ["a.tar", "b.tar"]
    with tarfile.open(folder / "packed/b.tar") as archive:
        archive.extractall(tmp_path, filter="data")
    assert open_bundle(tmp_path / "b").digest == open_bundle(folder / "runs/b/bundle").digest


def test_what_is_done_is_left_alone_and_shown(worked, capsys):
    folder, path, _status = worked
    stamps = {file: file.stat().st_mtime_ns for file in (folder / "runs").rglob("*.*")}
    only = ["--only", "b,a", "--minutes", "1", "--finish"]
    assert main(["plan", "--file", str(path), "--runs", str(folder / "runs"), *only]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split() for line in said] == [
        ["done", "2/2", "epochs", "1", "min", name] for name in ("a", "b")
    ]
    assert {file: file.stat().st_mtime_ns for file in (folder / "runs").rglob("*.*")} == stamps


def test_a_run_stopped_in_time_keeps_its_epochs_and_can_be_finished(
    svhn_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    runs = [PlannedRun("long", f"{JUDGE} --epochs 100000", 1)]
    for minutes in (0.2, 0.5, 1.5):  # on a busy machine the first epoch takes its time
        assert plan.work(runs, tmp_path, minutes) == []
        now = plan.standing(tmp_path / "long")
        if now.done:
            break
    assert 0 < now.done < now.planned == 100000
    assert now.state(None) == "begun"
    assert plan.finish(runs, tmp_path) == []
    after = plan.standing(tmp_path / "long")
    assert (after.done, after.bundled) == (now.done, now.done)


def test_names_that_the_plan_does_not_have_are_refused(tmp_path, capsys):
    path = written(tmp_path / "plan.toml", a_run())
    assert main(["plan", "--file", str(path), "--only", "a,c"]) == 1
    assert "only must be of a, got 'c'" in capsys.readouterr().err
    assert main(["plan", "--file", str(path), "--minutes", "0"]) == 1
    assert "minutes must be above 0" in capsys.readouterr().err
