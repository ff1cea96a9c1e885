"""Makes the trained network of a run part of the package: its best checkpoint, without optimizers.

    python launch/ship_network.py runs/lipreader_s1

s2f_jax/checkpoints/lipreader_s1 then stands for that run where an evaluation names its lip reader or sync
network: --config.readers.lips=lipreader_s1. Its paths are those of configs/lipreader_s1.py.
"""

import json
import pathlib
import shutil
import sys

from s2f_jax.bundle import shipped
from s2f_jax.config import read
from s2f_jax.runs.checkpoint import Checkpoints
from s2f_jax.runs.restore import find_checkpoint
from s2f_jax.runs.workdir import read_config, write_config
from s2f_jax.train import Trainer


def ship(run: pathlib.Path) -> pathlib.Path:
    """Copies what an evaluation needs of a run into the package.

    Args:
      run: The run's folder.

    Returns:
      The folder in the package.
    """
    workdir, step = find_checkpoint(run)
    config = read_config(workdir)
    output = shipped.FOLDER / config.name
    shutil.rmtree(output, ignore_errors=True)
    checkpoints = Checkpoints(workdir, read_only=True)
    state, _, progress = checkpoints.restore(step, Trainer(config, config.batch_size).like())
    checkpoints.close()
    score, kept = progress.pop("score"), Checkpoints(output)
    kept.save(state.replace(opt_state={}), {}, {}, score)
    kept.close()
    for marker in output.rglob("commit_success.txt"):
        marker.unlink()  # It has this machine's path in it: findings/orbax_commit_path.sh.
    own = read.load_config(f"configs/{config.name}.py", [])
    for section in ("data", "readers", "loss"):
        config[section] = own[section]
    write_config(config, output)
    events = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    scored = [e for e in events if e["step"] == step and any("validation/" in key for key in e)]
    (output / "metrics.jsonl").write_text("".join(json.dumps(e) + "\n" for e in scored))
    for name in ("language_model.json", "evaluation/test/report.json"):
        if (workdir / name).exists():
            (output / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(workdir / name, output / name)
    return output


if __name__ == "__main__":
    print(ship(pathlib.Path(sys.argv[1])))
