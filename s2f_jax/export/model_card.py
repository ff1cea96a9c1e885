"""A bundle's README.md: a model card as the Hugging Face hub has them, filled from the run."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from etils import epath

import data_pipelines
from s2f_jax.export import stablehlo
from s2f_jax.reports import formats, labels

NO_LICENCE = "other"  # The hub's word for one that it does not know.
_CORPUS_LICENCES = {
    "grid": "CC BY 4.0 (Cooke, Barker, Cunningham, Shao, 2006)",
    "tcd_timit": "given on request at sigmedia.tcd.ie/TCDTIMIT",
    "crema_d": "Open Database License 1.0",
    "demo": "none is needed; drawn by code of s2f_jax (Apache-2.0), spoken by eSpeak NG",
    "folder": "not known to s2f_jax; ask who trained the model",
}
_RUNTIMES = {  # What runs a format, and with which lines.
    "stablehlo": ("jax", "run_bundle.py", "jax"),
    "onnx": ("onnxruntime", "run_bundle.py", "onnx"),
    "savedmodel": ("tensorflow", "run_tensorflow.py", "tensorflow"),
    "tflite": ("ai-edge-litert", "run_tensorflow.py", "litert"),
}
_TAGS = ("speech-driven-facial-animation", "talking-head", "audio-driven", "gan", "jax", "flax")


def text(
    config: Mapping[str, Any],
    parity: Mapping[str, Any],
    parameters: int,
    workdir: epath.Path,
    licence: str,
) -> str:
    """The card of the bundle with this config.json and parity.json, of the run in `workdir`.

    licence: of the weights, the hub's identifier, or NO_LICENCE.
    """
    reports = _reports(workdir, config["source"]["step"])
    run_file = workdir / "run.json"
    run = json.loads(run_file.read_text()) if run_file.exists() else None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("s2f_jax.export"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"json": _json, "number": _number, "short": "{:.1e}".format}
    cases = next(iter(parity["formats"].values()))["cases"]
    return environment.get_template("card.md").render(
        front=_front(config, licence, reports),
        name=config["source"]["run"],
        c=config,
        parameters=parameters,
        runners=[_runner(name) for name in config["programs"]],
        platforms=stablehlo.PLATFORMS,
        points=_points(config),
        corpus=_corpus(config["data"]["corpus"]),
        citations=_file(config["data"]["corpus"], "CITATIONS.bib"),
        reports=reports,
        inputs=list(dict.fromkeys(case["input"] for case in cases)),
        parity=parity,
        licence=licence if licence != NO_LICENCE else "none was given; ask who published them",
        provenance=_provenance(run),
        run=run,
        converted=(run or {}).get("converted"),
    )


def _runner(name: str) -> dict[str, str]:
    package, file, runtime = _RUNTIMES[name]
    return {"package": package, "file": file, "runtime": runtime}


def _json(value: Any, indent: int | None = None) -> str:
    """Also what YAML takes."""
    return json.dumps(value, indent=indent, ensure_ascii=False)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _front(
    config: Mapping[str, Any], licence: str, reports: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What the hub reads: its fields and their values."""
    front: dict[str, Any] = {"license": licence}
    if licence == NO_LICENCE:
        front["license_name"] = "not-given"
    front |= {
        "library_name": "s2f_jax",
        "pipeline_tag": "image-to-video",
        "tags": [*_TAGS, *config["programs"], "safetensors"],
    }
    results = [_result(report) for report in reports if not report["of"]]
    if results and config["weights"] == "float32":  # Others lose something, which is not scored.
        front["model-index"] = [{"name": config["source"]["run"], "results": results}]
    return front


def _result(report: Mapping[str, Any]) -> dict[str, Any]:
    """Of one split, as the hub's model-index has it."""
    metrics = [
        {"type": metric, "name": labels.metric_info(metric).title, "value": cell["mean"]}
        for metric, cell in report["model"].items()
        if cell["clips"] and cell["mean"] is not None
    ]
    return {
        "task": {"type": "image-to-video"},
        "dataset": {
            "type": report["corpus"],
            "name": f"{report['corpus']}, {report['split']}",
            "split": report["split"],
        },
        "metrics": metrics,
    }


def _reports(workdir: epath.Path, step: int) -> list[dict[str, Any]]:
    """Of each split that the run's model was scored on: names, its scores, tables, and whether they
    are of another checkpoint."""
    found = []
    for path in sorted(workdir.glob("evaluation/*/report.json")):
        report = json.loads(path.read_text())
        if "model" not in report["rows"]:
            continue
        scored = report["conventions"].get("checkpoint")
        other = (
            "" if scored == str(step) else f", of the checkpoint of step {scored}, not of this one"
        )
        _, _, tables = formats.markdown(report).partition("\n")
        found.append(
            {
                "corpus": report["corpus"],
                "split": report["split"],
                "model": report["rows"]["model"],
                "of": other,
                "text": tables.replace("\n## ", "\n#### ").strip(),
            }
        )
    return found


def _points(config: Mapping[str, Any]) -> Any:
    """The five stable points of a crop, (x, y) in pixels."""
    if face := config["model"].get("face"):  # Where it is not that of the shards.
        return face
    from data_pipelines.faces import alignment  # MediaPipe takes a second to import.

    return alignment.canonical(config["height"], config["width"])


def _corpus(name: str) -> dict[str, str]:
    """Its name, what its README begins with, its licence; the latter two empty if it is not here."""
    about, _, _ = _file(name, "README.md").partition("\n\n")
    return {"name": name, "about": about, "licence": _CORPUS_LICENCES.get(name, "not known")}


def _file(corpus: str, name: str) -> str:
    path = pathlib.Path(data_pipelines.__file__).parent / corpus / name
    return path.read_text() if path.exists() else ""


def _provenance(run: Mapping[str, Any] | None) -> str:
    if run is None:
        return "The run has no `run.json`: what made it is not known."
    git = run["git"]
    commit = (
        f"commit {git['commit']} of s2f_jax" if git["commit"] else "an unknown commit of s2f_jax"
    )
    dirty = ", with uncommitted changes" if git["dirty"] else ""
    return f"Made by {commit}{dirty}; the run's `run.json`:"
