"""The shape of the code: imports go down one list of layers, names are one thing's, configs build."""

import ast
import collections
import graphlib
import importlib.util
import re

import jax
import pytest

from s2f_jax import optim, step
from s2f_jax.models import networks
from tests.programs import ROOT

# From the ground up. What a line names may import what the lines above it name, and itself; two rooms
# of one line know nothing of each other. A room is a folder, or a module beside the folders.
LAYERS = {
    "data_pipelines": """
        common
        contract splits
        media
        faces
        aligning loading
        crema_d demo folder grid tcd_timit
        prepare
        quality
    """,
    "s2f_jax": """
        losses optim state rngs sharding ops config
        models
        step metrics runs
        tasks reports sda bundle
        train inference
        provenance
        render evaluation export diagnostics planning
        apps
        cli
        main
    """,
}
AT_MOST = {"data_pipelines": 4, "s2f_jax": 12}  # Modules beside the folders.
CONFIGS = sorted(p for p in (ROOT / "configs").glob("*.py") if p.name != "__init__.py")


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(p): p for top in (*LAYERS, "configs") for p in (ROOT / top).rglob("*.py")}


def imports(path):
    """The modules that a file imports, anywhere in it: within functions and for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module


GRAPH = {name: set(imports(path)) - {name} for name, path in MODULES.items()}


def room(module):
    """a.b.c -> b; the package itself is its own."""
    return (module.split(".") + [""])[1]


@pytest.mark.parametrize("top", LAYERS)
def test_imports_go_down_the_list_of_layers(top):
    floors = [line.split() for line in LAYERS[top].strip().splitlines()]
    floor_of = {name: floor for floor, names in enumerate(floors) for name in names}
    own = {name for name in MODULES if name.startswith(f"{top}.")}
    assert {room(name) for name in own} == set(floor_of)
    wrong = [
        f"{name} imports {other}"
        for name in sorted(own)
        for other in sorted(GRAPH[name] & own)
        if room(name) != room(other) and floor_of[room(name)] <= floor_of[room(other)]
    ]
    assert wrong == []


def test_no_module_imports_itself_by_a_detour():
    own = {name: others & MODULES.keys() for name, others in GRAPH.items()}
    list(graphlib.TopologicalSorter(own).static_order())  # Raises CycleError.


def test_the_packages_know_only_what_is_below_them():
    forbidden = {
        "data_pipelines": ("jax", "flax", "s2f_jax", "configs", "tests", "launch"),
        "s2f_jax": ("configs", "tests", "launch"),
        "configs": ("s2f_jax", "data_pipelines", "tests", "launch"),
    }
    wrong = [
        f"{name} imports {other}"
        for name, others in GRAPH.items()
        for other in others
        if other.split(".")[0] in forbidden[name.split(".")[0]]
    ]
    assert wrong == []


def test_ops_know_no_networks_and_models_no_configs_files():
    for name, others in GRAPH.items():
        if name.startswith(("s2f_jax.ops.", "s2f_jax.models.")):
            assert not {other for other in others if other.startswith("ml_collections")}, name


@pytest.mark.parametrize("top", AT_MOST)
def test_few_modules_lie_beside_the_folders(top):
    assert len(list((ROOT / top).glob("*.py"))) <= AT_MOST[top]


def test_no_two_public_classes_have_one_name():
    """But for `Builder`, which TFDS asks every corpus's to be called."""
    places = collections.defaultdict(list)
    for name, path in MODULES.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name)
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert set(twice) == {"Builder"}, twice


# Words of this code's first years for what the field has terms for.
RETIRED = {
    *(
        "of_skip",
        "of_skips",
        "Form",
        "Arranged",
        "arranged",
        "_untake",
        "_ungive",
        "_take",
        "_give",
    ),
    *(
        "Painter",
        "Drawing",
        "Take",
        "Look",
        "Ears",
        "Judges",
        "Instrument",
        "Absent",
        "begun",
        "Picks",
    ),
    *("of_places", "appearing", "FREE", "deaf", "Adversarial", "Synchrony", "starting", "judges"),
}


def test_names_are_the_field_s():
    found = []
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                words = {node.name}
            elif isinstance(node, ast.Name):
                words = {node.id}
            elif isinstance(node, ast.arg | ast.keyword):
                words = {node.arg}
            elif isinstance(node, ast.Attribute):
                words = {node.attr}
            else:
                continue
            found += [f"{name}, line {node.lineno}: {word}" for word in words & RETIRED]
    assert found == []


def section(docstring, title):
    """The text of a section of a Google-style docstring; empty without it."""
    found = re.search(rf"^{title}:\n((?:[ \n].*\n?)*)", docstring, re.M)
    return found[1] if found else ""


def is_documented(name, text):
    return re.search(rf"^ .*\b{name}\b.*:", text, re.M) is not None


def undocumented(node, docstring):
    """What of a function's signature its docstring says nothing of."""
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    arguments += [extra for extra in (node.args.vararg, node.args.kwarg) if extra]
    names = [a.arg for a in arguments if a.arg not in ("self", "cls") and a.arg[0] != "_"]
    text = section(docstring, "Args")
    yield from (f"Args: {name}" for name in names if not is_documented(name, text))
    returned = ast.unparse(node.returns) if node.returns else "None"
    if returned not in ("None", "NoReturn"):
        if not section(docstring, "Returns") and not section(docstring, "Yields"):
            yield "Returns"


def public_functions(body, where):
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        decorators = " ".join(ast.unparse(each) for each in node.decorator_list)
        if "override" in decorators or "property" in decorators or node.name == "setup":
            continue
        if node.name == "__call__" or not node.name.startswith("_"):
            yield f"{where}.{node.name}", node


@pytest.mark.parametrize("top", LAYERS)
def test_every_public_name_is_documented(top):
    """Its arguments, what it returns, and the fields of its class: a site shows nothing else."""
    found = []
    for name, path in MODULES.items():
        if not name.startswith(top):
            continue
        module = ast.parse(path.read_text())
        functions = list(public_functions(module.body, name))
        for node in module.body:
            if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
                continue
            docstring = ast.get_docstring(node) or ""
            functions += public_functions(node.body, f"{name}.{node.name}")
            for child in node.body:
                if isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name):
                    field = child.target.id
                    attributes = section(docstring, "Attributes")
                    if field[0] != "_" and not is_documented(field, attributes):
                        found.append(f"{name}.{node.name}: Attributes: {field}")
                if isinstance(child, ast.FunctionDef) and child.name == "__init__":
                    missing = undocumented(child, docstring)
                    found += [f"{name}.{node.name}: {each}" for each in missing]
        for where, node in functions:
            missing = undocumented(node, ast.get_docstring(node) or "")
            found += [f"{where}: {each}" for each in missing]
    assert found == []


def test_tests_mirror_the_code():
    """Each folder of tests is one of the code's."""
    for top in LAYERS:
        for folder in (ROOT / "tests" / top).rglob("*"):
            if folder.is_dir() and any(folder.glob("*_test.py")):
                assert (ROOT / folder.relative_to(ROOT / "tests")).is_dir(), folder


def test_no_file_is_longer_than_400_lines():
    """Docstrings, which are the site's pages, not counted."""
    long = {}
    for name, path in MODULES.items():
        text = path.read_text()
        lines = text.count("\n")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                if ast.get_docstring(node) is not None:
                    lines -= node.body[0].end_lineno - node.body[0].lineno + 1
        if lines > 400:
            long[name] = lines
    assert long == {}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.relative_to(ROOT).as_posix())
@pytest.mark.parametrize("preset", ["cvprw2019", "sda"])
def test_every_config_builds_its_networks(path, preset):
    spec = importlib.util.spec_from_file_location("config", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config(preset)
    built = networks.build(config.data, config.model, config.discriminators, config.loss)
    names = built.by_name().keys()
    rates = {name: optim.epoch_decay(1e-4, 10, 20, 0.9) for name in names}
    tx = optim.multi_adam(rates, config.optim.b1, config.optim.b2)
    state = jax.eval_shape(lambda: step.init(built, tx, jax.random.key(0)))
    assert state.params.keys() == names
    assert isinstance(config.to_json(), str)
