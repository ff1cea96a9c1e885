"""Checkpoints: state, data position and early stopping, the latest ones and the best."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint import checkpoint_managers as policies

from data_pipelines.errors import UserError
from s2f_jax.state import TrainState

JSON = dict[str, Any]


def _score(metrics: Mapping[str, float]) -> float:
    """What the best checkpoint is chosen by; a NaN is never the best."""
    score = metrics["score"]
    return score if math.isfinite(score) else -math.inf


class Checkpoints:
    """The checkpoints of one run, in its `checkpoints` folder.

    Saving returns as soon as the state is copied; the writing goes on in the background and a
    checkpoint appears under its step when it is whole.
    """

    def __init__(self, workdir: epath.PathLike, keep_latest: int = 2, read_only: bool = False):
        self.folder = epath.Path(workdir).resolve() / "checkpoints"  # Orbax takes no relative ones.
        options = ocp.CheckpointManagerOptions(
            create=not read_only,
            read_only=read_only,
            cleanup_tmp_directories=not read_only,
            todelete_subdir=None if read_only else "_trash",
            preservation_policy=policies.AnyPreservationPolicy(
                [
                    policies.LatestN(keep_latest),
                    policies.BestN(
                        get_metric_fn=_score, n=1, keep_checkpoints_without_metrics=False
                    ),
                ]
            ),
        )
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def save(self, state: TrainState, data: JSON, progress: JSON, score: float | None) -> None:
        """score: of this step's validation, higher is better; None between validations."""
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            data=ocp.args.JsonSave(data),
            progress=ocp.args.JsonSave(progress),
        )
        metrics = None if score is None else {"score": score}
        self._manager.save(int(state.step), args=items, metrics=metrics, force=True)

    def latest(self) -> int | None:
        """The newest step, None where there is none."""
        return self._manager.latest_step()

    def best(self) -> int | None:
        """The step with the best score, else the newest, None where there is none."""
        scores = {
            step: _score(metrics)
            for step in self._manager.all_steps()
            if (metrics := self._manager.metrics(step)) is not None
        }
        return max(scores, key=lambda step: (scores[step], step)) if scores else self.latest()

    def restore(self, step: int, like: TrainState) -> tuple[TrainState, JSON, JSON]:
        """-> state with the shardings of `like` (arrays or ShapeDtypeStructs), data, progress."""
        items: Any = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(like),
                data=ocp.args.JsonRestore(),
                progress=ocp.args.JsonRestore(),
            ),
        )
        return items.state, items.data, items.progress

    def close(self) -> None:
        """Waits until everything is written, and empties the trash."""
        self._manager.wait_until_finished()
        self._manager.close()
        trash = self.folder / "_trash"
        if jax.process_index() == 0 and trash.exists():
            trash.rmtree()


def restore_variables(workdir: epath.PathLike, step: int, network: str) -> dict[str, Any]:
    """One network's variables from a checkpoint, on the default device, without the rest.

    Raises UserError where the checkpoint is damaged.
    """
    folder = epath.Path(workdir).resolve() / "checkpoints" / str(step) / "state"
    try:
        return _restore_variables(folder, network)
    except Exception as error:  # Orbax and TensorStore raise every kind.
        raise UserError(
            f"the checkpoint {folder.parent} cannot be read ({type(error).__name__}): it is"
            " damaged, or of another version; give another one"
        ) from error


def _restore_variables(folder: epath.Path, network: str) -> dict[str, Any]:
    with ocp.PyTreeCheckpointer() as checkpointer:
        tree = checkpointer.metadata(folder).item_metadata.tree
        device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        wanted = {
            collection: {
                network: jax.tree.map(
                    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device),
                    tree[collection][network],
                )
            }
            for collection in ("params", "batch_stats")
        }
        restored = checkpointer.restore(
            folder,
            args=ocp.args.PyTreeRestore(
                item=wanted,
                restore_args=ocp.checkpoint_utils.construct_restore_args(wanted),
                partial_restore=True,
            ),
        )
    return {collection: networks[network] for collection, networks in restored.items()}
