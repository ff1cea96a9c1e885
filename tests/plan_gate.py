"""Compiles steps for chips that are not here, and fails where one needs more than it did: `make plan`.

    python -m tests.plan_gate [--update] [CONFIG ...]

plan_gate.json holds what they needed; --update writes it anew.
"""

import json
import pathlib
import sys

from s2f_jax.planning import plan
from s2f_jax.planning.chips import parse_target

FILE = pathlib.Path(__file__).with_suffix(".json")
BF16 = "--config.model.dtype=bfloat16"
CASES = [
    *(
        (config, target, (BF16,))
        for config in ("grid", "grid:sda")
        for target in ("v5e-1", "v6e-1")
    ),
    *(("grid", target, (BF16,)) for target in ("v5p-2", "v4-2", "h100-1")),
    ("grid", "h100-1", ()),
    ("grid", "v5e-4", (BF16, "--config.batch_size=64")),
    ("grid", "v5e-4", (BF16, "--config.batch_size=64", "--config.split_state=True")),
]
GROWTH = 1.03  # Beyond which a figure is too large.


def figures(config: str, target: str, overrides: tuple[str, ...]) -> dict[str, int]:
    """What may not grow."""
    batch = next((int(o.split("=")[1]) for o in overrides if "batch_size" in o), 16)
    made = plan.plan_step(parse_target(target), batch, plan.CLIPS, config, overrides)
    found = {
        "memory": made.memory,
        "iterations": made.iterations or 0,
        "kernels_in_loops": made.kernels_in_loops or 0,
        "bytes_moved": made.bytes_moved or 0,
    }
    for kind, group, number, size in made.collectives:
        found |= {f"{kind} over {group}": number, f"{kind} over {group}, bytes": size}
    return found


def main(arguments: list[str]) -> int:
    update, only = "--update" in arguments, [a for a in arguments if not a.startswith("--")]
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    grown = 0
    for config, target, overrides in CASES:
        if only and config not in only:
            continue
        name = " ".join((config, target, *overrides))
        found, before = figures(config, target, overrides), known.get(name, {})
        print(name, json.dumps(found), flush=True)
        if update:
            known[name] = found
            FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
            continue
        for figure in sorted({*found, *before}):
            limit = GROWTH * before.get(figure, 0)
            if found.get(figure, 0) > limit:
                grown += 1
                print(f"  {figure}: {found[figure]}, was {before.get(figure, 0)}")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
