import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        *ROOT.glob("*.py"),
        *(p for d in ("core", "pages", "train") for p in (ROOT / d).rglob("*.py")),
    )
)
NETWORK = (
    "huggingface_hub",
    "requests",
    "httpx",
    "aiohttp",
    "urllib.request",
    "urllib3",
    "http",
    "socket",
    "ssl",
    "ftplib",
    "smtplib",
    "websockets",
)
UNSAFE = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
GLOBAL_SEEDS = (
    "torch.manual_seed",
    "torch.seed",
    "torch.cuda.manual_seed",
    "torch.cuda.manual_seed_all",
    "torch.random.manual_seed",
    "numpy.random.seed",
    "np.random.seed",
    "random.seed",
)


def imports(tree, file):
    package = file.removesuffix(".py").removesuffix("/__init__").split("/")
    if not file.endswith("__init__.py"):
        package = package[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def dotted(node):
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def within(name, *packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def forbidden_imports(file):
    if file.startswith("core/"):
        return ("streamlit", "plotly", "pages", "train", "app")
    if file.startswith("train/"):
        return ("streamlit", "plotly", "pages", "app")
    if file.startswith("pages/"):
        return ("train", "app")
    return ("train",)


SECTIONS = ("vae", "ddpm", "simsiam", "teach", "models")


def other_pages(file):
    """The parts of ``pages`` that a module there may not know: other sections, pages from shared."""
    part = file.split("/")[1]
    alone = ("home", "checkpoints", "frame")
    if part == "shared":
        return [f"pages.{name}" for name in (*SECTIONS, *alone)]
    if part in SECTIONS:
        return [f"pages.{name}" for name in (*SECTIONS, *alone) if name != part]
    return []


def imports_run_one_way(tree, file):
    strangers = [*forbidden_imports(file)]
    strangers += other_pages(file) if file.startswith("pages/") else []
    yield from (name for name in imports(tree, file) if within(name, *strangers))


def the_browsers_side_knows_shared_alone(tree, file):
    """Any page may show what runs in the browser: it knows none of them."""
    if file.startswith("pages/browser/"):
        for name in imports(tree, file):
            # "pages" alone is of ``from pages import browser``: what is taken of it comes next.
            if name.startswith("pages.") and not within(name, "pages.shared", "pages.browser"):
                yield name


ROOMS = {
    "core/bundles/": ("pictures", "vae", "ddpm", "simsiam", "judge", "families"),
    "core/pictures/": ("vae", "ddpm", "simsiam", "judge", "families"),
    "core/vae/": ("ddpm", "simsiam", "judge", "families"),
    "core/ddpm/": ("vae", "simsiam", "judge", "families"),
    "core/simsiam/": ("vae", "ddpm", "judge", "families"),
    "core/judge/": ("vae", "simsiam", "families"),
}
"""By folder of core: what its modules may not know."""


def rooms_of_core_know_those_below(tree, file):
    for room, strangers in ROOMS.items():
        if file.startswith(room):
            names = [f"core.{stranger}" for stranger in strangers]
            yield from (name for name in imports(tree, file) if within(name, *names))


def only_the_hub_module_talks_to_the_network(tree, file):
    if file != "core/bundles/hub.py":
        yield from (name for name in imports(tree, file) if within(name, *NETWORK))


def pages_have_no_torch(tree, file):
    if file.startswith("pages/") and not file.startswith("pages/shared/"):
        yield from (name for name in imports(tree, file) if within(name, "torch", "torchvision"))


LONGEST = 80


def functions_fit_on_a_screen(tree, file):
    for node in ast.walk(tree):
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if function and node.end_lineno - node.lineno >= LONGEST:
            yield node.name


def colours_stand_in_one_module(tree, file):
    """But for the paints of the house-number and object makers, which their visitors choose from."""
    own = ("pages/shared/colours.py", "pages/shared/picking.py")
    if file.startswith("pages/") and file not in own:
        values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        yield from (v for v in values if isinstance(v, str) and re.fullmatch("#[0-9a-fA-F]{6}", v))


WIDGETS = (
    "checkbox",
    "color_picker",
    "date_input",
    "multiselect",
    "number_input",
    "pills",
    "radio",
    "segmented_control",
    "select_slider",
    "selectbox",
    "slider",
    "text_area",
    "text_input",
    "toggle",
)


def what_a_visitor_sets_is_set_in_one_module(tree, file):
    """But for the field of the page Checkpoints that a link does not carry."""
    if file.startswith("pages/") and file != "pages/shared/controls.py":
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        own = {"text_input"} if file == "pages/checkpoints.py" else set()
        yield from sorted(names & set(WIDGETS) - own)
        words = [node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)]
        yield from (word for word in words if word == "bind")


def controls_are_folded_in_one_way(tree, file):
    """What a browser draws late has to be told its value again: ``controls.popover`` sees to that."""
    own = ("pages/shared/controls.py", "pages/shared/figures.py", "pages/teach/room_desk.py")
    if file.startswith("pages/") and file not in own:
        names = [dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        yield from (n for n in names if n.endswith("popover") and n != "controls.popover")


def only_the_links_read_and_write_the_address(tree, file):
    if file != "pages/shared/links.py":
        names = [dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        for name in (*names, *imports(tree, file)):
            if name.endswith("query_params"):
                yield name


def only_the_library_and_the_loaders_cache(tree, file):
    if file not in ("pages/shared/library.py", "pages/shared/loaders.py"):
        names = [dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        for name in (*names, *imports(tree, file)):
            if name.split(".")[0] in ("st", "streamlit") and ".cache" in name:
                yield name


def nothing_installs_gettext(tree, file):
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "install":
            yield dotted(node)
    yield from (name for name in imports(tree, file) if name == "gettext.install")


def puts_the_generator_back(node):
    """A ``with`` that restores torch's global generator at its end."""
    calls = [item.context_expr for item in getattr(node, "items", [])]
    return any(dotted(getattr(call, "func", call)).endswith("random.fork_rng") for call in calls)


def nothing_seeds_the_global_generator(tree, file):
    if not file.startswith("train/"):
        lent = {
            id(inner)
            for node in ast.walk(tree)
            if puts_the_generator_back(node)
            for inner in ast.walk(node)
        }
        names = [
            dotted(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and id(node) not in lent
        ]
        yield from (name for name in (*names, *imports(tree, file)) if name in GLOBAL_SEEDS)


def nothing_is_unpickled(tree, file):
    yield from (name for name in imports(tree, file) if within(name, *UNSAFE))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        options = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
        if dotted(node.func) == "torch.load" and options.get("weights_only") is not True:
            yield "torch.load"
        if options.get("allow_pickle"):
            yield "allow_pickle"


def what_core_offers_is_described(tree, file):
    if file.startswith("core/"):
        for node in tree.body:
            named = isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_"
            if named and not ast.get_docstring(node):
                yield node.name
        if not ast.get_docstring(tree):
            yield "the module"


RULES = {
    imports_run_one_way: [
        ("core/a.py", "import streamlit as st"),
        ("core/a.py", "from pages.shared import text"),
        ("core/a.py", "def f():\n    from train import loop"),
        ("train/a.py", "from pages import home"),
        ("train/a.py", "import app"),
        ("pages/a.py", "from train.loop import seconds_per_call"),
        ("pages/shared/a.py", "from .. import home"),
        ("pages/shared/a.py", "from pages.home import show"),
        ("pages/shared/a.py", "from pages.simsiam.parts import runs"),
        ("pages/vae/a.py", "from pages.ddpm.parts import restored"),
        ("pages/vae/parts/a.py", "from pages import checkpoints"),
        ("pages/vae/a.py", "from pages.teach import link"),
        ("pages/ddpm/parts/a.py", "from pages import models"),
        ("pages/teach/a.py", "def f():\n    from pages.vae import likelihood"),
        ("pages/models/a.py", "from pages import home"),
        ("pages/shared/a.py", "from pages.models import facts"),
        ("app.py", "import train"),
    ],
    the_browsers_side_knows_shared_alone: [
        ("pages/browser/a.py", "from pages.vae import likelihood"),
        ("pages/browser/a.py", "from pages import home"),
        ("pages/browser/a.py", "from pages.from_noise import shown"),
        ("pages/browser/a.py", "from ..teach import link"),
    ],
    rooms_of_core_know_those_below: [
        ("core/bundles/a.py", "from core.vae.model import VAE"),
        ("core/bundles/a.py", "def f():\n    from core import families"),
        ("core/pictures/a.py", "import core.judge.model"),
        ("core/vae/a.py", "from core.ddpm import schedule"),
    ],
    only_the_hub_module_talks_to_the_network: [
        ("core/pictures/data.py", "from huggingface_hub import hf_hub_download"),
        ("core/pictures/data.py", "from urllib import request"),
        ("pages/a.py", "import requests.adapters"),
        ("train/a.py", "import socket"),
    ],
    pages_have_no_torch: [
        ("pages/a.py", "from torch import Tensor"),
        ("pages/vae/parts/a.py", "import torch"),
        ("pages/a.py", "import torch.nn"),
    ],
    functions_fit_on_a_screen: [("train/a.py", "def f():\n" + "    g()\n" * LONGEST)],
    colours_stand_in_one_module: [
        ("pages/vae/a.py", 'LINE = "#0072B2"'),
        ("pages/shared/a.py", 'f(fill="#fff0aa")'),
    ],
    what_a_visitor_sets_is_set_in_one_module: [
        ("pages/vae/a.py", "left.selectbox('Class', 'abc')"),
        ("pages/shared/picking.py", "import streamlit as st\nst.toggle('On')"),
        ("pages/checkpoints.py", "st.radio('One', 'ab')"),
        ("pages/a.py", "f(key='x', bind='query-params')"),
    ],
    controls_are_folded_in_one_way: [
        ("pages/vae/a.py", "import streamlit as st\nwith st.popover('More'):\n    pass"),
        ("pages/ddpm/a.py", "opened = line.popover('More')"),
    ],
    only_the_links_read_and_write_the_address: [
        ("pages/vae/a.py", "import streamlit as st\nst.query_params['a'] = 'b'"),
        ("pages/shared/controls.py", "from streamlit import query_params"),
    ],
    only_the_library_and_the_loaders_cache: [
        ("pages/a.py", "import streamlit as st\n@st.cache_data\ndef f(): ..."),
        ("pages/shared/a.py", "from streamlit import cache_resource"),
        ("core/a.py", "st.cache_resource(f)"),
    ],
    nothing_installs_gettext: [
        ("pages/shared/text.py", "import gettext\ngettext.install('a')"),
        ("pages/shared/text.py", "gettext.translation('a').install()"),
        ("app.py", "from gettext import install"),
    ],
    nothing_seeds_the_global_generator: [
        ("core/a.py", "torch.manual_seed(0)"),
        ("pages/a.py", "np.random.seed(0)"),
        ("core/a.py", "from torch import manual_seed"),
        ("core/a.py", "with torch.random.fork_rng():\n    pass\ntorch.manual_seed(0)"),
    ],
    nothing_is_unpickled: [
        ("core/a.py", "import pickle"),
        ("train/a.py", "torch.load(path)"),
        ("train/a.py", "torch.load(path, weights_only=False)"),
        ("core/a.py", "np.load(path, allow_pickle=True)"),
    ],
    what_core_offers_is_described: [
        ("core/a.py", "def f(): ..."),
        ("core/a.py", '"""A module."""\nclass A: ...'),
    ],
}
BREACHES = [(rule, *breach) for rule, breaches in RULES.items() for breach in breaches]


def name(value):
    return getattr(value, "__name__", None)


@cache
def parsed(file):
    return ast.parse((ROOT / file).read_text(encoding="utf-8"), file)


@pytest.mark.parametrize("rule", RULES, ids=name)
def test_every_file_keeps_the_rule(rule):
    breaches = {file: found for file in SOURCES if (found := list(rule(parsed(file), file)))}
    assert breaches == {}


def circles(known):
    """Chains of modules in which each imports the next and the last the first; ``known``: by module."""
    seen, found = set(), []

    def visit(module, chain):
        if module in chain:
            found.append([*chain[chain.index(module) :], module])
        elif module not in seen:
            for other in known[module]:
                visit(other, [*chain, module])
            seen.add(module)

    for module in known:
        visit(module, [])
    return found


def test_no_modules_import_one_another():
    """Imports inside functions count too."""
    modules = {
        file.removesuffix(".py").removesuffix("/__init__").replace("/", "."): file
        for file in SOURCES
    }
    known = {
        module: {name for name in imports(parsed(file), file) if name in modules} - {module}
        for module, file in modules.items()
    }
    assert circles(known) == []


def test_a_circle_is_seen():
    assert circles({"a": ["b"], "b": ["c"], "c": ["b"]}) == [["b", "c", "b"]]


@pytest.mark.parametrize(("rule", "file", "source"), BREACHES, ids=name)
def test_a_breach_of_the_rule_is_seen(rule, file, source):
    assert list(rule(ast.parse(source), file)) != []


ALLOWED = [
    ("pages/frame.py", "from pages.teach import link\nfrom pages import models"),
    ("app.py", "from pages import frame\nfrom pages.teach import attending"),
    ("pages/home.py", "from pages.vae import likelihood\nfrom pages.browser import film"),
    ("pages/vae/a.py", "from pages.browser import film\nfrom pages import browser, from_noise"),
    ("pages/browser/a.py", "from pages import browser\nfrom pages.shared.text import _"),
]


@pytest.mark.parametrize("rule", [imports_run_one_way, the_browsers_side_knows_shared_alone])
@pytest.mark.parametrize(("file", "source"), ALLOWED, ids=[file for file, _source in ALLOWED])
def test_what_pages_may_know_is_no_breach(rule, file, source):
    assert list(rule(ast.parse(source), file)) == []


@pytest.mark.parametrize("file", ["core/vae/model.py", "core/bundles/hub.py", "train/run/loop.py"])
def test_the_files_are_found(file):
    assert file in SOURCES


def test_no_data_set_and_no_pickle_is_in_the_tree():
    """Weights are safetensors, and what tests need of pictures they draw."""
    found = [
        path.relative_to(ROOT).as_posix()
        for room in ("checkpoints", "core", "docs", "pages", "tests", "train")
        for path in (ROOT / room).rglob("*")
        if path.suffix in (".parquet", ".pt", ".pth", ".pkl", ".pickle", ".npy", ".npz")
    ]
    assert found == []
