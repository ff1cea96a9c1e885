"""Checkpoints: state, data position and early stopping, the latest ones and the best."""

import math
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
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


class DamagedCheckpoint(Exception):
    """What is wrong with it."""


def _sums(state: TrainState) -> dict[str, int]:
    """A CRC-32 of each leaf that this process holds whole."""
    return {
        jax.tree_util.keystr(path): zlib.crc32(np.asarray(leaf.addressable_data(0)).tobytes())
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
        if leaf.is_fully_replicated
    }


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
        """score: of this step's validation, higher is better; None between validations.

        Replaces what was saved at the same step.
        """
        step = int(state.step)
        self._manager.wait_until_finished()
        self._empty_trash()
        if step in self._manager.all_steps():
            self._manager.delete(step)
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            data=ocp.args.JsonSave(data),
            progress=ocp.args.JsonSave(progress),
            sums=ocp.args.JsonSave(_sums(state)),
        )
        metrics = None if score is None else {"score": score}
        self._manager.save(step, args=items, metrics=metrics, force=True)

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
        """-> state with the shardings of `like` (arrays or ShapeDtypeStructs), data, progress.

        Raises DamagedCheckpoint where it cannot be read, or is not what was saved.
        """
        restore = ocp.args.Composite(
            state=ocp.args.StandardRestore(like),
            data=ocp.args.JsonRestore(),
            progress=ocp.args.JsonRestore(),
            sums=ocp.args.JsonRestore(),
        )
        try:
            items: Any = self._manager.restore(step, args=restore)
        except Exception as error:  # Orbax and TensorStore raise every kind.
            raise DamagedCheckpoint(f"cannot be read ({type(error).__name__})") from error
        # Orbax restores flipped bytes without a word.
        sums = _sums(items.state)
        wrong = [name for name, value in items.sums.items() if sums.get(name) != value]
        if wrong:
            raise DamagedCheckpoint(f"has other numbers than were saved in {', '.join(wrong[:3])}")
        return items.state, items.data, items.progress

    def restore_newest(self, like: TrainState) -> tuple[int, TrainState, JSON, JSON] | None:
        """The newest checkpoint that is whole, its step first; says which ones were passed over.

        Raises UserError where there are checkpoints and none is whole.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        for step in steps:
            try:
                return step, *self.restore(step, like)
            except DamagedCheckpoint as damage:
                print(f"checkpoint {self.folder / str(step)} {damage}: trying the one before")
        if steps:
            raise UserError(
                f"no checkpoint in {self.folder} is whole: delete the folder to begin again"
            )
        return None

    def _empty_trash(self) -> None:
        trash = self.folder / "_trash"
        if jax.process_index() == 0 and trash.exists():
            trash.rmtree()

    def close(self) -> None:
        """Waits until everything is written, and empties the trash."""
        self._manager.wait_until_finished()
        self._manager.close()
        self._empty_trash()


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
