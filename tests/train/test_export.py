import json
import re
import shutil
import sys

import numpy as np
import pytest
import torch

from core.ddpm.model import DDPM, DDPMConfig, ScheduleConfig
from core.ddpm.samplers import time_grid
from core.ddpm.schedule import NoiseSchedule
from core.ddpm.unet import UNetConfig
from core.errors import AtelierError
from core.families import open_bundle
from core.judge.model import Judge
from core.simsiam import methods
from core.simsiam.joint_embedding import EmbeddingConfig
from core.simsiam.simsiam import SimSiamConfig
from core.vae.model import VAE
from core.vae.networks import VAEConfig
from tests.narrow import without_onednn
from train.__main__ import main
from train.ddpm import graphs as ddpm_graphs
from train.release import export
from train.simsiam import graphs as simsiam_graphs
from train.simsiam import trainer as simsiam
from train.simsiam.diagnosis import Protocol
from train.vae import graphs as vae_graphs

REASON = "export needs onnx, onnxscript and onnxruntime (tests/requirements.txt)"
onnx = pytest.importorskip("onnx", reason=REASON)
pytest.importorskip("onnxscript", reason=REASON)
onnxruntime = pytest.importorskip("onnxruntime", reason=REASON)

SIZE = SimSiamConfig(width=2, stem="strided", hidden=16, dim=12, predictor_hidden=6)
BATCHES = (1, 2, 5)


@pytest.fixture(scope="module")
def simsiam_bundle(tmp_path_factory, make_digits, write_shard):
    root = tmp_path_factory.mktemp("simsiam")
    for split, count, seed in (("train", 64, 0), ("test", 30, 1)):
        file = root / f"uoft-cs/cifar10/plain_text/{split}-00000-of-00001.parquet"
        write_shard(file, *make_digits(count, seed), image_column="img")
    training = simsiam.SimSiamTraining(
        epochs=1,
        batch_size=32,
        warmup_steps=1,
        protocol=Protocol(spread=30, queries=20, bank=50, k=5),
    )
    with without_onednn(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_DATA_DIR", str(root))
        config = ("simsiam", SIZE)
        return simsiam.start(root / "run", config, training, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory, tiny_bundle, tiny_ddpm_bundle, tiny_judge_bundle, simsiam_bundle):
    """Folder and list of what was exported, by family; each made once."""
    folders = {
        "vae": tiny_bundle,
        "ddpm": tiny_ddpm_bundle,
        "judge": tiny_judge_bundle,
        "simsiam": simsiam_bundle,
    }
    done = {}

    def of(family):
        if family not in done:
            target = tmp_path_factory.mktemp(family) / "onnx"
            done[family] = target, export.export(open_bundle(folders[family]), target)
        return done[family]

    of.bundles = folders
    return of


def run(folder, file, **feeds):
    session = onnxruntime.InferenceSession(folder / file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    feeds = {name: tensor.numpy() for name, tensor in feeds.items()}
    return {
        name: torch.from_numpy(array)
        for name, array in zip(names, session.run(None, feeds), strict=True)
    }


def pictures(count, seeded):
    return 2 * torch.rand(count, 3, 32, 32, generator=seeded(count)) - 1


def close(found, wanted):
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


# ---------------------------------------------------------------- what the files give


@pytest.mark.parametrize("count", BATCHES)
@torch.no_grad()
def test_the_vae_encodes_and_decodes_as_in_pytorch(exported, count, seeded):
    folder, _ = exported("vae")
    model = VAE.from_pretrained(exported.bundles["vae"])
    x = 3 * pictures(count, seeded)
    z = 2 * torch.randn(count, model.config.latent_dim, generator=seeded())
    found, posterior = run(folder, "encoder.onnx", x=x), model.encode(x)
    assert list(found) == ["mean", "logvar"]
    close(found["mean"], posterior.mean)
    close(found["logvar"], posterior.logvar)
    assert not torch.allclose(found["mean"], found["logvar"])
    found = run(folder, "decoder.onnx", z=z)
    assert list(found) == ["x_hat"]
    close(found["x_hat"], model.decode(z).mean)


@pytest.mark.parametrize("count", BATCHES)
@torch.no_grad()
def test_the_unet_gives_noise_and_v_at_a_level_of_each_picture(exported, count, seeded):
    folder, _ = exported("ddpm")
    model = DDPM.from_pretrained(exported.bundles["ddpm"])
    x_t = torch.randn(count, 3, 32, 32, generator=seeded())
    t = torch.tensor([17, 0, model.schedule.T - 1, 3, 40])[:count]
    found = run(folder, "unet.onnx", x_t=x_t, t=t)
    assert list(found) == ["eps_hat", "v_hat"]
    close(found["eps_hat"], model.eps(x_t, t))
    close(found["v_hat"], model.unet(x_t, t))


@torch.no_grad()
def test_levels_of_a_batch_are_each_picture_s_own(exported, seeded):
    folder, _ = exported("ddpm")
    x_t = torch.randn(1, 3, 32, 32, generator=seeded()).expand(3, -1, -1, -1)
    together = run(folder, "unet.onnx", x_t=x_t, t=torch.tensor([5, 30, 59]))["eps_hat"]
    for row, t in enumerate((5, 30, 59)):
        alone = run(folder, "unet.onnx", x_t=x_t[:1], t=torch.tensor([t]))["eps_hat"]
        close(together[row : row + 1], alone)
    assert (together[0] - together[1]).abs().max() > 1e-2
    assert (together[1] - together[2]).abs().max() > 1e-3


@pytest.mark.parametrize("count", BATCHES)
@torch.no_grad()
def test_the_judge_answers_calibrated(exported, count, seeded):
    folder, _ = exported("judge")
    model = Judge.from_pretrained(exported.bundles["judge"])
    assert float(model.temperature) != 1
    x = pictures(count, seeded)
    found = run(folder, "judge.onnx", x=x)
    assert list(found) == ["logits", "features"]
    close(found["logits"], model(x))
    close(found["features"], model.features(x))


@pytest.mark.parametrize("count", BATCHES)
@torch.no_grad()
def test_the_backbone_and_the_projector_follow_one_another(exported, count, seeded):
    folder, _ = exported("simsiam")
    model = methods.from_pretrained(exported.bundles["simsiam"])
    x = pictures(count, seeded)
    h = run(folder, "encoder.onnx", x=x)["h"]
    close(h, model.features(x))
    close(run(folder, "projector.onnx", h=h)["z"], model.project(x))


@pytest.mark.parametrize("method", ["byol", "barlow_twins", "vicreg", "dssl"])
def test_siblings_name_the_same_files(method):
    config = methods.method_class(method).config_class
    small = EmbeddingConfig(width=2, stem="strided", hidden=8, dim=6, predictor_hidden=4)
    model = methods.build(method, config(**small.plain())).eval()
    graphs = simsiam_graphs.graphs(model, {"x": torch.zeros(2, 3, 32, 32)})
    assert [graph.file for graph in graphs] == ["encoder.onnx", "projector.onnx"]
    h, (z,) = graphs[0].answer(torch.ones(2, 3, 32, 32))[0], graphs[1].answer(torch.ones(2, 16))
    assert h.shape == (2, 16)
    assert z.shape == (2, 6)


def fresh(kind):
    """Architectures that the small bundles do not have, untrained."""
    golden = {"x": torch.zeros(2, 3, 32, 32), "t": torch.tensor([0, 19]), "z": torch.zeros(2, 4)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "vae":
            config = VAEConfig("homework", latent_dim=4, channels=(4, 4, 4, 4))
            return vae_graphs.graphs(VAE(config).eval(), golden)
        if kind == "ddpm":
            network = UNetConfig("homework", (8, 8, 8, 8), time_width=8, attention=(True,) * 4)
            config = DDPMConfig(network, ScheduleConfig("cosine", T=20), prediction="eps")
            return ddpm_graphs.graphs(DDPM.build(config), golden)
        config = SimSiamConfig(2, kind, hidden=8, dim=6, predictor_hidden=4)
        return simsiam_graphs.graphs(methods.build("simsiam", config).eval(), golden)


@pytest.mark.parametrize("kind", ["vae", "ddpm", "imagenet"])
def test_other_architectures_agree_too(kind, tmp_path):
    graph = fresh(kind)[0]
    export.write_graph(graph, tmp_path / graph.file, {}, opset=export.OPSET, batch=None)
    assert export.deviation(graph, tmp_path / graph.file) <= export.LIMIT
    assert kind != "ddpm" or list(graph.gives) == ["eps_hat"]


# ---------------------------------------------------------------- what the files say


@pytest.mark.parametrize("family", ["vae", "ddpm", "judge", "simsiam"])
def test_a_file_names_its_bundle_and_nothing_of_this_machine(exported, family):
    folder, written = exported(family)
    bundle = open_bundle(exported.bundles[family])
    assert {path.name for path in folder.iterdir()} <= set(export.FILES)
    assert {one.file for one in written} == {path.name for path in folder.glob("*.onnx")}
    for one in written:
        assert one.bytes == (folder / one.file).stat().st_size
        assert 0 <= one.deviation <= 1e-4
        model = onnx.load(folder / one.file)
        said = {entry.key: entry.value for entry in model.metadata_props}
        assert said["family"] == family
        assert said["digest"] == bundle.digest
        assert json.loads(said["preprocessing"]) == bundle.config["preprocessing"]
        assert [entry.name for entry in model.graph.input] == list(one.takes)
        assert [entry.name for entry in model.graph.output] == list(one.gives)
        for entry in (*model.graph.input, *model.graph.output):
            assert entry.type.tensor_type.shape.dim[0].dim_param == "B"
        assert b".py" not in (folder / one.file).read_bytes()


@pytest.mark.parametrize("family", ["vae", "ddpm", "judge", "simsiam"])
def test_the_code_of_the_read_me_runs(exported, family, monkeypatch):
    if family == "ddpm":
        pytest.importorskip("diffusers")
    folder, written = exported(family)
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert open_bundle(exported.bundles[family]).digest in text
    for one in written:
        assert all(f"`{name}`" in text for name in (*one.takes, *one.gives))
    monkeypatch.chdir(folder)
    names = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(code, names)
    assert all(isinstance(names[name], np.ndarray) for name in written[0].gives)
    assert family != "ddpm" or names["scheduler"].config.num_train_timesteps == 60


# ---------------------------------------------------------------- the check


def nudge(path):
    """Changes one weight tensor of a file by a thousandth of its size."""
    model = onnx.load(path)
    weight = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    array = onnx.numpy_helper.to_array(weight) * np.float32(1.001)
    weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    onnx.save(model, path)


@pytest.fixture
def spoil(monkeypatch):
    """Does something to every file after it was written and before it is checked."""

    def by(change):
        write = export.write_graph

        def spoiled(graph, path, metadata, **options):
            write(graph, path, metadata, **options)
            change(path)

        monkeypatch.setattr(export, "write_graph", spoiled)

    return by


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (nudge, "export-deviates"),
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), "export-unreadable"),
    ],
    ids=["altered", "cut"],
)
def test_a_spoilt_file_is_refused_and_nothing_is_left(exported, spoil, change, code, tmp_path):
    spoil(change)
    with pytest.raises(AtelierError) as caught:
        export.export(open_bundle(exported.bundles["judge"]), tmp_path / "onnx")
    assert caught.value.code == code
    assert "judge.onnx" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_export_outlives_a_failed_one(exported, spoil, tmp_path):
    folder, _ = exported("judge")
    target = shutil.copytree(folder, tmp_path / "onnx")
    before = (target / "judge.onnx").read_bytes()
    spoil(nudge)
    with pytest.raises(AtelierError):
        export.export(open_bundle(exported.bundles["judge"]), target)
    assert (target / "judge.onnx").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["onnx"]


def test_a_deviation_is_a_share_of_the_output():
    wanted = np.array([[0.5, -8.0]], np.float32)
    assert export._share(wanted + np.float32(0.5), wanted) == pytest.approx(1 / 16)
    assert export._share(wanted[0], wanted) == float("inf")
    assert export._share(wanted.astype(np.float64), wanted) == float("inf")
    assert np.isnan(export._share(wanted * np.float32("nan"), wanted))
    assert export._share(np.float32([0.25]), np.float32([0])) == 0.25


def test_the_check_tries_several_batches_and_all_depths_of_noise():
    (graph,) = fresh("ddpm")
    trials = list(export._trials(graph, None))
    assert [len(x_t) for x_t, _ in trials] == [len(graph.golden[0]), 1, 3, 8]
    assert torch.equal(trials[0][0], graph.golden[0])
    for _, t in trials[2:]:
        assert len(set(t.tolist())) == len(t)
        assert (int(t.min()), int(t.max())) == (0, 19)
    assert [len(x_t) for x_t, _ in export._trials(graph, 5)] == [5, 5]


def test_outputs_that_are_no_numbers_are_refused(exported, tmp_path):
    folder, _ = exported("vae")
    model = VAE.from_pretrained(exported.bundles["vae"])
    golden = {"x": torch.full((2, 3, 32, 32), float("nan")), "z": torch.zeros(2, 4)}
    encoder, _ = vae_graphs.graphs(model, golden)
    with pytest.raises(AtelierError) as caught:
        export.deviation(encoder, folder / "encoder.onnx")
    assert caught.value.code == "export-deviates"


# ---------------------------------------------------------------- the command


def test_the_command_writes_and_says_how_far_off(exported, tmp_path, capsys):
    target = tmp_path / "deep" / "onnx"
    assert main(["export", str(exported.bundles["judge"]), "--to", str(target)]) == 0
    said = capsys.readouterr()
    assert re.fullmatch(r"\S+judge\.onnx: \d+\.\d+ MiB, off by \d\.\de-\d+\n", said.out)
    assert said.err == ""
    assert {path.name for path in target.iterdir()} == {"judge.onnx", "README.md"}
    options = ["--opset", "20", "--batch", "4"]
    assert main(["export", str(exported.bundles["judge"]), "--to", str(target), *options]) == 0
    model = onnx.load(target / "judge.onnx")
    assert [entry.version for entry in model.opset_import] == [20]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 4
    assert "batches of B = 4" in (target / "README.md").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--opset", "17"], "opset must be 18 to 23, got 17"),
        (["--opset", "99"], "opset must be 18 to 23, got 99"),
        (["--batch", "0"], "batch must be at least 1, got 0"),
    ],
)
def test_options_out_of_range_are_refused(exported, options, said, tmp_path, capsys):
    place = ["--to", str(tmp_path / "onnx")]
    assert main(["export", str(exported.bundles["judge"]), *place, *options]) == 1
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", export.PACKAGES)
def test_a_missing_package_is_named(exported, package, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["export", str(exported.bundles["vae"]), "--to", str(tmp_path / "onnx")]) == 1
    said = capsys.readouterr().err
    assert f"needs {package}, which is not installed: pip install onnx onnx" in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_record_is_refused_before_anything_else(exported, monkeypatch, tmp_path, capsys):
    place = ["--name", "record", "--title", "Record", "--checkpoints", str(tmp_path / "kept")]
    assert main(["embed", str(exported.bundles["simsiam"]), *place, "--record"]) == 0
    target = tmp_path / "onnx"
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["export", str(tmp_path / "kept" / "record"), "--to", str(target)]) == 1
    assert "and no weights" in capsys.readouterr().err
    assert not target.exists()


@pytest.mark.parametrize("names", [["notes.txt"], ["README.md"], ["encoder.onnx", "notes.txt"]])
def test_a_folder_of_something_else_is_left_alone(exported, names, tmp_path, capsys):
    for name in names:
        (tmp_path / name).write_text("mine")
    assert main(["export", str(exported.bundles["vae"]), "--to", str(tmp_path)]) == 1
    assert "name another folder" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        names, "mine"
    )


def test_a_place_that_cannot_be_a_folder_is_refused(exported, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    for target in (tmp_path / "file", tmp_path / "file" / "onnx"):
        assert main(["export", str(exported.bundles["vae"]), "--to", str(target)]) == 1
        said = capsys.readouterr().err
        assert str(target) in said
        assert said.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


def test_a_bundle_is_not_exported_onto_itself(exported, capsys):
    bundle = exported.bundles["vae"]
    before = open_bundle(bundle).digest
    assert main(["export", str(bundle), "--to", str(bundle)]) == 1
    assert open_bundle(bundle).digest == before


def test_altered_weights_are_refused(exported, tmp_path, capsys):
    from safetensors.numpy import load_file, save_file

    bundle = shutil.copytree(exported.bundles["judge"], tmp_path / "bundle")
    arrays = load_file(bundle / "model.safetensors")
    arrays["answer.bias"] += np.float16(0.1)
    save_file(arrays, bundle / "model.safetensors")
    assert main(["export", str(bundle), "--to", str(tmp_path / "onnx")]) == 1
    assert "golden" in capsys.readouterr().err
    assert not (tmp_path / "onnx").exists()


def test_an_unknown_family_is_refused(exported, tmp_path, capsys):
    bundle = shutil.copytree(exported.bundles["judge"], tmp_path / "bundle")
    config = json.loads((bundle / "config.json").read_text())
    (bundle / "config.json").write_text(json.dumps({**config, "family": "flow"}))
    assert main(["export", str(bundle), "--to", str(tmp_path / "onnx")]) == 1
    assert "flow" in capsys.readouterr().err


# ---------------------------------------------------------------- the scheduler of diffusers

SCHEDULES = [(kind, T) for kind in ("linear", "cosine") for T in (500, 1000, 1500)]


def scheduler_of(config):
    diffusers = pytest.importorskip("diffusers")
    plain = json.loads(json.dumps(export.scheduler_config(config)))
    return diffusers.DDPMScheduler.from_config(plain)


def config_of(kind, T, prediction):
    return DDPMConfig(schedule=ScheduleConfig(kind=kind, T=T), prediction=prediction)


@pytest.mark.parametrize(("kind", "T"), SCHEDULES)
def test_diffusers_has_our_betas(kind, T):
    scheduler = scheduler_of(config_of(kind, T, "eps"))
    schedule = ScheduleConfig(kind=kind, T=T).build()
    torch.testing.assert_close(scheduler.betas.double(), schedule.betas, rtol=1e-6, atol=1e-9)
    ours, theirs = schedule.alphas_cumprod, scheduler.alphas_cumprod.double()
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("beta_end", [0.01, 0.03])
def test_other_betas_are_carried_over(beta_end):
    schedule = ScheduleConfig(T=100, beta_start=0.001, beta_end=beta_end)
    betas = scheduler_of(DDPMConfig(schedule=schedule)).betas.double()
    torch.testing.assert_close(betas, schedule.build().betas, rtol=1e-6, atol=0)


@pytest.mark.parametrize("prediction", ["eps", "v"])
@pytest.mark.parametrize(("kind", "T"), SCHEDULES)
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_diffusers_takes_our_step(kind, T, prediction, dtype, limit, seeded):
    scheduler = scheduler_of(config_of(kind, T, prediction))
    schedule = ScheduleConfig(kind=kind, T=T).build()
    if dtype == torch.float64:  # it keeps betas in float32: the formulas alone are compared
        scheduler.alphas_cumprod = schedule.alphas_cumprod
        scheduler.one = torch.ones((), dtype=dtype)
    x0 = pictures(2, seeded).to(dtype)
    noise = torch.randn(2, 3, 32, 32, generator=seeded(1), dtype=dtype)
    for t in (T - 1, T // 2, 100, 1, 0):
        x_t = schedule.q_sample(x0, t, noise)
        output = 0.1 * x0 + (noise if prediction == "eps" else schedule.v_target(x0, t, noise))
        eps = output if prediction == "eps" else schedule.eps_from_v(x_t, t, output)
        ours = schedule.p_sample(lambda _x, _t, eps=eps: eps, x_t, t, seeded(7))
        theirs = scheduler.step(output, t, x_t, generator=seeded(7)).prev_sample
        assert float((theirs - ours).abs().max()) <= limit * float(ours.abs().max()), t


@pytest.mark.parametrize("steps", [10, 50, 1000])
def test_fewer_steps_of_diffusers_are_our_grid(steps):
    scheduler = scheduler_of(config_of("linear", 1000, "v"))
    scheduler.set_timesteps(steps)
    assert scheduler.timesteps.tolist() == time_grid(1000, steps)[:-1].tolist()


def test_the_folder_of_a_diffusion_model_is_a_scheduler(exported):
    diffusers = pytest.importorskip("diffusers")
    folder, _ = exported("ddpm")
    scheduler = diffusers.DDPMScheduler.from_pretrained(folder)
    assert scheduler.config.prediction_type == "v_prediction"
    assert not scheduler.config.clip_sample
    wanted = NoiseSchedule.linear(60).betas
    torch.testing.assert_close(scheduler.betas.double(), wanted, rtol=1e-6, atol=0)


def test_samples_by_diffusers_and_onnx_are_those_of_the_model(exported, seeded):
    """All 60 steps from the same noise, the network run by ONNX Runtime."""
    diffusers = pytest.importorskip("diffusers")
    folder, _ = exported("ddpm")
    scheduler = diffusers.DDPMScheduler.from_pretrained(folder)
    session = onnxruntime.InferenceSession(folder / "unet.onnx")
    source = seeded(3)
    x_t = torch.randn(2, 3, 32, 32, generator=source)
    for t in scheduler.timesteps:
        feeds = {"x_t": x_t.numpy(), "t": t.expand(2).numpy()}
        (v_hat,) = session.run(["v_hat"], feeds)
        x_t = scheduler.step(torch.from_numpy(v_hat), int(t), x_t, generator=source).prev_sample
    *_, last = DDPM.from_pretrained(exported.bundles["ddpm"]).sample(2, generator=seeded(3))
    assert float((x_t - last.x_t).abs().max()) < 1e-3 * float(last.x_t.abs().max())
