import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import torch

from core.errors import AtelierError
from core.families import open_bundle
from train.__main__ import main
from train.release import pack, plan
from train.release.plan import PlannedRun, Standing, command_of, read_plan
from train.run import loop, options
from train.run.lock import PLAN_VARIABLE, run_lock

JUDGE = "judge --batch-size 16"
QUICK = """
import sys
from train.__main__ import main
from train.judge import bundle
bundle.CLOUDS = 20
sys.exit(main())
"""
"""Trains with fewer pictures behind the last figures, which took half of what so short a run takes."""


@pytest.fixture(autouse=True, scope="module")
def few_figures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "TRAIN", (sys.executable, "-c", QUICK))
        yield


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


PLANS = sorted(plan.PLAN.parent.glob("*.toml"))


@pytest.mark.parametrize("file", PLANS, ids=lambda file: file.stem)
def test_the_plans_of_the_project_can_be_read_and_typed(file):
    """Every command of them is one that the command line takes, and nothing in it is ignored."""
    from train.__main__ import build_parser, commands

    for run in read_plan(file):
        start = Path(run.start) if run.start else None
        words = command_of(run, Path("x"), Standing(), 3 if run.as_long_as else None, start)
        arguments = build_parser().parse_args(words)
        assert arguments.command == run.words[0]
        options.refuse_ignored(arguments)
        _config, recipe = commands()[arguments.command][0].configure(arguments, None)
        training = options.training_of(recipe, arguments, torch.device("cpu"))
        assert training.epochs >= 1
        if "/" in run.start:
            assert open_bundle(plan.PLAN.parents[2] / run.start).family == run.words[0]


def test_the_plan_for_an_accelerator_begins_with_what_is_worth_most():
    runs = read_plan(plan.PLAN)
    assert runs[0].name == "ddpm-1000"
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
        ([a_run("b", start="a"), a_run()], "start of b must name an earlier run or a folder"),
        ([a_run(command=f"{JUDGE} --from x")], "must leave out --from"),
        ([a_run(at_most=-1)], "at_most of a must be 0 or more, got -1"),
        ([a_run(keep="nothing")], "keep of a must be one of"),
        ([a_run(keep="record")], "keep of a must be 'all': judge keeps its weights"),
        ([a_run(command=f"{JUDGE} --from=x")], "must leave out --from"),
        ([a_run(command=f"{JUDGE} --epochs=3", as_long_as="b")], "as_long_as or --epochs"),
        ([a_run(name="../a b")], "name must be lower-case letters"),
        ([a_run(minutes="3")], "minutes of a run must be float, got '3'"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused_in_words(tmp_path, runs, said):
    with pytest.raises(ValueError, match=said):
        read_plan(written(tmp_path / "plan.toml", *runs))


@pytest.mark.parametrize("text", [None, "run = [", "[other]\nx = 1", "run = [3]", "run = 3"])
def test_a_file_that_is_no_plan_is_one_sentence(tmp_path, text):
    path = tmp_path / "plan.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(AtelierError) as caught:
        read_plan(path)
    assert caught.value.code == "plan-unreadable"


def test_the_hours_that_a_plan_states_are_those_of_its_runs(tmp_path):
    path = written(tmp_path / "plan.toml", a_run(minutes=60), a_run("b", minutes=30))
    runs = path.read_text()
    path.write_text(f"core_hours = 1.5\n{runs}")
    assert len(read_plan(path)) == 2
    path.write_text(f"core_hours = 2.5\n{runs}")
    with pytest.raises(ValueError, match=r"core_hours must be the sum 1\.5, got 2\.5"):
        read_plan(path)


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


@pytest.mark.parametrize(
    ("standing", "state"),
    [(Standing(4, 10, 4), "done"), (Standing(5, 10, 4), "begun"), (Standing(0, 10, 0), "begun")],
)
def test_a_run_with_a_limit_is_done_with_the_bundle_of_its_last_epoch(standing, state):
    assert standing.state(None, at_most=3) == state
    assert standing.state(None) == "begun"


def test_a_run_is_begun_within_its_minutes_and_resumed_without(tmp_path):
    run, folder = PlannedRun("a", f"{JUDGE} --seed 3", 8), tmp_path / "a"
    begun = command_of(run, folder, Standing(), None)
    assert begun == [*f"{JUDGE} --seed 3 --run {folder} --minutes 8".split()]
    again = command_of(run, folder, Standing(3, 10), None)
    assert again == ["judge", "--run", str(folder), "--resume"]


@pytest.mark.parametrize("said", ["--epochs 9", "--epochs=9"])
def test_a_run_that_says_its_epochs_gets_no_minutes(tmp_path, said):
    run = PlannedRun("a", f"{JUDGE} {said}", 8)
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


def test_a_run_that_begins_with_another_waits_for_its_bundle(tmp_path):
    run = PlannedRun("b", JUDGE, 8, start="a")
    assert command_of(run, tmp_path, Standing(), None) is None
    begun = command_of(run, tmp_path, Standing(), None, tmp_path / "a")
    assert begun[begun.index("--from") + 1] == str(tmp_path / "a")
    assert "--from" not in command_of(run, tmp_path, Standing(1, 5), None, tmp_path / "a")


# ---------------------------------------------------------------- the work itself


@pytest.fixture(scope="module")
def worked(few_figures, svhn_folder, tmp_path_factory):
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
    assert [line.split()[:7] for line in said] == [
        ["done", "2/2", "epochs", "1", "min", name, "test_accuracy"] for name in ("a", "b")
    ]
    for line, name in zip(said, ("a", "b"), strict=True):
        last = open_bundle(folder / "runs" / name / "bundle").history[-1]
        assert float(line.split()[-1]) == pytest.approx(last["test_accuracy"], rel=1e-4)
    assert {file: file.stat().st_mtime_ns for file in (folder / "runs").rglob("*.*")} == stamps


def test_a_run_stopped_in_time_keeps_its_epochs_and_can_be_finished(
    svhn_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    runs = [PlannedRun("long", f"{JUDGE} --epochs 9999", 1)]
    for minutes in (0.1, 0.3, 0.6, 1.5):  # on a busy machine the first epoch takes its time
        assert plan.work(runs, tmp_path, minutes) == []
        now = plan.standing(tmp_path / "long")
        if now.done:
            break
    assert 0 < now.done < now.planned == 9999
    assert now.state(None) == "begun"
    assert plan.finish(runs, tmp_path) == []
    after = plan.standing(tmp_path / "long")
    assert (after.done, after.bundled) == (now.done, now.done)


COPIES = """
import shutil, sys
from pathlib import Path
run = Path(sys.argv[sys.argv.index("--run") + 1])
run.mkdir(parents=True, exist_ok=True)
shutil.copytree({run!r}, run, dirs_exist_ok=True)
"""


@pytest.fixture
def quick(worked, monkeypatch):
    """Runs that end at once: each leaves what a run of two epochs left before."""
    folder, _path, _status = worked
    code = COPIES.format(run=str(folder / "runs/a"))
    monkeypatch.setattr(plan, "TRAIN", (sys.executable, "-c", code))


def test_names_that_the_plan_does_not_have_are_refused(tmp_path, capsys):
    path = written(tmp_path / "plan.toml", a_run())
    assert main(["plan", "--file", str(path), "--only", "a,c"]) == 1
    assert "only must be of a, got 'c'" in capsys.readouterr().err
    assert main(["plan", "--file", str(path), "--minutes", "0"]) == 1
    assert "minutes must be above 0" in capsys.readouterr().err


@pytest.fixture
def at_hand(svhn_folder, monkeypatch):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_two_train_at_once_and_one_begins_with_the_weights_of_another(at_hand, tmp_path):
    runs = [
        PlannedRun("a", f"{JUDGE} --epochs 2", 1),
        PlannedRun("from-a", f"{JUDGE} --epochs 1 --learning-rate 1e-12", 1, start="a"),
        PlannedRun("b", f"{JUDGE} --epochs 2 --seed 1", 1),
    ]
    ended = []
    assert plan.work(runs, tmp_path, 5, jobs=2, at_end=lambda run: ended.append(run.name)) == []
    assert sorted(ended) == ["a", "b", "from-a"]
    assert ended.index("a") < ended.index("from-a")
    bundles = {name: open_bundle(tmp_path / name / "bundle") for name in ended}
    (ancestor,) = bundles["from-a"].config["training"]["ancestors"]
    assert (ancestor["name"], ancestor["digest"]) == ("a", bundles["a"].digest)


def test_a_run_that_another_process_trains_is_left_to_it_and_counts_as_one_at_work(quick, tmp_path):
    runs = [PlannedRun("a", f"{JUDGE} --epochs 1", 1), PlannedRun("b", f"{JUDGE} --epochs 1", 1)]
    with run_lock(tmp_path / "a"):
        assert "at work" in plan.table(runs, tmp_path).splitlines()[0]
        assert plan.work(runs, tmp_path, 0.05, jobs=1) == []
        assert not (tmp_path / "b").exists()
        only = [run for run in runs if run.name == "b"]
        assert plan.work(only, tmp_path, 2, jobs=1, plan=runs) == []
    assert not (tmp_path / "a/state.pt").exists()
    assert (tmp_path / "b/bundle").is_dir()


def test_a_run_at_its_own_limit_is_bundled_as_it_is(at_hand, tmp_path):
    runs = [
        PlannedRun("long", f"{JUDGE} --epochs 100000", 1, at_most=0.02),
        PlannedRun("next", f"{JUDGE} --epochs 1", 1, start="long"),
    ]
    assert plan.work(runs, tmp_path, 6) == []
    long = plan.standing(tmp_path / "long")
    assert 0 < long.bundled == long.done < long.planned
    assert plan.standing(tmp_path / "next").bundled == 1


def test_what_a_run_begins_with_need_not_be_asked_for_again(worked):
    """``--only`` leaves out the run whose bundle another one begins with."""
    folder, _path, _status = worked
    known = [PlannedRun("a", JUDGE, 1), PlannedRun("c", JUDGE, 1, start="a")]
    found = plan.bundle_to_begin_with(known[1], folder / "runs", known)
    assert found == folder / "runs/a/bundle"
    assert plan.bundle_to_begin_with(known[1], folder / "elsewhere", known) is None


def test_what_goes_wrong_after_a_run_does_not_keep_the_next_from_training(quick, tmp_path):
    runs = [PlannedRun(name, f"{JUDGE} --epochs 1", 1) for name in ("a", "b")]

    def full(run):
        if run.name == "a":
            raise OSError("No space left on device")

    assert plan.work(runs, tmp_path, 4, at_end=full) == ["a"]
    assert plan.standing(tmp_path / "b").bundled == 2


def test_a_smoke_tries_every_trainer_and_goes_on_after_a_failure(at_hand, capfd):
    runs = [
        PlannedRun("broken", "vae --data svhn --split absent --epochs 9", 1),
        PlannedRun("a", f"{JUDGE} --epochs 9", 1),
        PlannedRun("b", f"{JUDGE} --epochs 9", 1),  # no other trainer than that of a
    ]
    assert plan.smoke(runs, 120) == ["broken"]
    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("smoke")]
    assert [line.split(",")[0] for line in lines] == [
        "smoke of broken: FAILED",
        "smoke of a: well",
    ]


def test_an_archive_is_cut_into_parts_that_are_it_again(worked, tmp_path):
    folder, _path, _status = worked
    whole = pack.pack(folder / "runs", tmp_path / "whole", {"a": "all"})
    parts = pack.pack(folder / "runs", tmp_path / "parts", {"a": "all"}, part_mib=0.02)
    assert len(parts) > 1
    assert all(part.stat().st_size <= 0.02 * 2**20 for part in parts)
    joined = tmp_path / "joined.tar"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    for path, name in ((whole[0], "one"), (joined, "two")):
        with tarfile.open(path) as archive:
            archive.extractall(tmp_path / name, filter="data")
    assert open_bundle(tmp_path / "one/a").digest == open_bundle(tmp_path / "two/a").digest
    assert pack.pack(folder / "runs", tmp_path / "parts", {"a": "all"}) == [
        tmp_path / "parts/a.tar"
    ]
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["a.tar"]


# ---------------------------------------------------------------- whatever happens


def children_of(process):
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def killed_after(seconds, where, run_too):
    """The plan is killed at any time, and the run that it trains with it, or not."""
    child = subprocess.Popen(
        [sys.executable, "-m", "train", "plan", *where, "--minutes", "5"],
        cwd=plan.PLAN.parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        child.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        trained = children_of(child)
        child.kill()
        for pid in trained if run_too else ():
            os.kill(pid, signal.SIGKILL)
        child.wait()


def weights_of(run):
    return loop.load_state(run / "state.pt", torch.device("cpu"))["model"]


def test_a_plan_that_is_killed_at_any_time_ends_as_one_that_never_was(at_hand, tmp_path):
    run = a_run(command="judge --batch-size 16 --epochs 8 --warmup-steps 2")
    path = written(tmp_path / "plan.toml", run)
    where = {
        name: ["--file", str(path), "--runs", str(tmp_path / name)] for name in ("whole", "killed")
    }
    begun = time.monotonic()
    assert main(["plan", *where["whole"], "--minutes", "10"]) == 0
    whole = time.monotonic() - begun
    for share, run_too in ((0.5, True), (0.8, False)):
        killed_after(share * whole, where["killed"], run_too)
    assert main(["plan", *where["killed"], "--minutes", "10"]) == 0
    ours, theirs = (weights_of(tmp_path / name / "a") for name in ("killed", "whole"))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert open_bundle(tmp_path / "killed/a/bundle").config["training"]["epochs_done"] == 8


def test_a_run_whose_plan_is_no_more_ends_with_its_epoch(
    at_hand, tmp_path, monkeypatch, tiny_judge
):
    from train.judge import trainer as judge

    training = judge.JudgeTraining(epochs=50, batch_size=16)
    monkeypatch.setenv(PLAN_VARIABLE, str(os.getppid()))
    epochs = judge.Trainer.run_epoch

    def counted(trainer, bar=None):
        if trainer.epoch == 1:
            monkeypatch.setenv(PLAN_VARIABLE, "1" if os.getppid() != 1 else "2")
        return epochs(trainer, bar)

    monkeypatch.setattr(judge.Trainer, "run_epoch", counted)
    with pytest.raises(KeyboardInterrupt):
        judge.start(tmp_path / "run", tiny_judge, training, device=torch.device("cpu"))
    assert plan.standing(tmp_path / "run").done == 2


def test_a_command_in_the_background_can_be_stopped(at_hand, tmp_path):
    """A shell starts such a command with SIGINT ignored."""
    command = [sys.executable, "-m", "train", *JUDGE.split(), "--epochs", "9999"]
    child = subprocess.Popen(
        [*command, "--run", str(tmp_path / "run")],
        cwd=plan.PLAN.parents[2],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    while not (tmp_path / "run/state.pt").exists():
        assert child.poll() is None
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    assert "The last whole epoch is kept" in child.communicate(timeout=120)[1]
    assert child.returncode == 1
