"""Variants of a config, each a file of a few lines: configs/ablations/l1_only.py:demo is the demo's.

s2f ablate --config=demo --variants=static_baseline,l1_only
"""

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any

# The rows of the table, in this order.
VARIANTS = (
    "static_baseline",
    "l1_only",
    "no_discriminators",
    "frame_only",
    "sequence_only",
    "with_sync",
    "sequence_without_sound",
    "frame_without_still",
    "sequence_per_step",
    "no_noise",
    "no_skips",
    "no_deep_supervision",
    "no_lip_reading",
    "no_spectrum",
    "l1_whole_face",
    "lambda_quarter",
    "lambda_fourfold",
)


def variant(corpus: str, name: str) -> Any:
    """The config of that name under configs, 'demo' or with a preset 'grid:sda', to be changed."""
    module, _, preset = corpus.partition(":")
    get_config = importlib.import_module(f"configs.{module}").get_config
    c = get_config(preset) if preset else get_config()
    c.name = f"{c.name}_{name}"
    return c


def _draws(c: Any) -> int:
    return c.loss.variety_draws if c.model.noise_features and c.loss.variety else 1


def _changed(corpus: str = "grid", *, name: str, fields: Mapping[str, Any]) -> Any:
    c = variant(corpus, name)
    drawn = c.loss.reconstruction_frames * _draws(c)
    c.update_from_flattened_dict(fields)
    # Without other draws of the noise as many frames of a clip are drawn: other ones.
    c.loss.reconstruction_frames = drawn // _draws(c)
    return c


def changing(name: str, fields: Mapping[str, Any]) -> Callable[..., Any]:
    """The get_config of a variant that differs in these fields' values."""
    return functools.partial(_changed, name=name, fields=fields)
