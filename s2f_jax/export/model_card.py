"""A bundle's README.md: a model card in the Hugging Face hub's format, filled from the run."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from etils import epath

import data_pipelines
from s2f_jax.export import stablehlo
from s2f_jax.export.formats import FORMATS
from s2f_jax.reports import formats, labels

UNKNOWN_LICENCE = "other"  # The hub's identifier for a licence that it does not list.
_CORPUS_LICENCES = {
    "grid": "CC BY 4.0 (Cooke, Barker, Cunningham, Shao, 2006)",
    "tcd_timit": "given on request at sigmedia.tcd.ie/TCDTIMIT",
    "crema_d": "Open Database License 1.0",
    "demo": "none is needed; drawn by code of s2f_jax (Apache-2.0), spoken by eSpeak NG",
    "folder": "not known to s2f_jax; ask who trained the model",
}
_TAGS = ("speech-driven-facial-animation", "talking-head", "audio-driven", "gan", "jax", "flax")


def render_card(
    config: Mapping[str, Any],
    parity: Mapping[str, Any],
    parameters: int,
    workdir: epath.Path,
    licence: str,
) -> str:
    """Renders the model card.

    Args:
      config: The bundle's config.json.
      parity: The bundle's parity.json.
      parameters: Number of weights.
      workdir: The run that the checkpoint is from.
      licence: Licence of the weights, the hub's identifier, or `UNKNOWN_LICENCE`.

    Returns:
      Markdown with the hub's front matter.
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
    environment.filters |= {"json": _to_json, "number": _number, "short": "{:.1e}".format}
    cases = next(iter(parity["formats"].values()))["cases"]
    return environment.get_template("card.md").render(
        front=_front_matter(config, licence, reports),
        name=config["source"]["run"],
        c=config,
        parameters=parameters,
        formats=[FORMATS[name] for name in config["programs"]],
        platforms=stablehlo.PLATFORMS,
        points=_stable_points(config),
        corpus=_corpus(config["data"]["corpus"], config["data"].get("options", {})),
        citations=_corpus_file(config["data"]["corpus"], "CITATIONS.bib"),
        reports=reports,
        inputs=list(dict.fromkeys(case["input"] for case in cases)),
        parity=parity,
        licence=licence if licence != UNKNOWN_LICENCE else "none was given; ask who published them",
        provenance=_provenance(run),
        run=run,
        converted=(run or {}).get("converted"),
    )


def _to_json(value: Any, indent: int | None = None) -> str:
    # JSON, which is YAML too.
    return json.dumps(value, indent=indent, ensure_ascii=False)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _front_matter(
    config: Mapping[str, Any], licence: str, reports: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    # The hub's metadata fields.
    front: dict[str, Any] = {"license": licence}
    if licence == UNKNOWN_LICENCE:
        front["license_name"] = "not-given"
    front |= {
        "library_name": "s2f_jax",
        "pipeline_tag": "image-to-video",
        "tags": [*_TAGS, *config["programs"], "safetensors"],
    }
    results = [_result(report) for report in reports if not report["note"]]
    if results and config["weights"] == "float32":  # Lossy weights were not evaluated.
        front["model-index"] = [{"name": config["source"]["run"], "results": results}]
    return front


def _result(report: Mapping[str, Any]) -> dict[str, Any]:
    # The scores of one split, an entry of the hub's model-index.
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
    # The evaluation reports of the run: corpus, split, the model's scores, tables, and a note
    # where they are of another checkpoint.
    reports = []
    for path in sorted(workdir.glob("evaluation/*/report.json")):
        report = json.loads(path.read_text())
        if "model" not in report["rows"]:
            continue
        scored = report["conventions"].get("checkpoint")
        note = f", of the checkpoint of step {scored}, not of this one"
        _, _, tables = formats.markdown(report).partition("\n")
        reports.append(
            {
                "corpus": report["corpus"],
                "split": report["split"],
                "model": report["rows"]["model"],
                "note": "" if scored == str(step) else note,
                "text": tables.replace("\n## ", "\n#### ").strip(),
            }
        )
    return reports


def _stable_points(config: Mapping[str, Any]) -> Any:
    # The five stable points of a crop, (x, y) in pixels.
    if face := config["model"].get("face"):
        return face
    from data_pipelines.faces import alignment  # Imports MediaPipe: 1 s.

    return alignment.canonical_points(config["height"], config["width"])


def _corpus(name: str, options: Mapping[str, Any]) -> dict[str, str]:
    # The corpus's name, the first paragraph of its README if there is one, the list of its clips that
    # the run took, and its licence.
    about, _, _ = _corpus_file(name, "README.md").partition("\n\n")
    licence = _CORPUS_LICENCES.get(name, "not known")
    clips = options.get("clip_list", "")
    return {"name": name, "about": about, "clips": clips, "licence": licence}


def _corpus_file(corpus: str, name: str) -> str:
    path = pathlib.Path(data_pipelines.__file__).parent / corpus / name
    return path.read_text() if path.exists() else ""


def _provenance(run: Mapping[str, Any] | None) -> str:
    if run is None:
        return "The run has no `run.json`: the code that made it is not known."
    git = run["git"]
    commit = f"commit {git['commit']}" if git["commit"] else "an unknown commit"
    dirty = ", with uncommitted changes" if git["dirty"] else ""
    return f"Made by {commit} of s2f_jax{dirty}; the run's `run.json`:"
