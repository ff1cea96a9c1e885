"""Checkpoints: state, data position and early stopping, the latest ones and the best."""

import contextlib
import math
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax import lax
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers as policies

from data_pipelines.errors import TrainingFailed, UserError
from data_pipelines.media import is_remote
from s2f_jax.state import TrainState

JSON = dict[str, Any]


def _score(metrics: Mapping[str, float]) -> float:
    """What the best checkpoint is chosen by; a NaN is never the best."""
    score = metrics["score"]
    return score if math.isfinite(score) else -math.inf


def _everywhere(value: bool) -> bool:
    """Whether it is so on every process, each of which asks."""
    return bool(np.all(multihost_utils.process_allgather(np.array(value))))


def _reason(error: BaseException) -> str:
    """The first line of what is behind it."""
    while error.__cause__:
        error = error.__cause__
    return str(error).strip().splitlines()[0]


class DamagedCheckpoint(Exception):
    """What is wrong with it."""


def _mix(x: jax.Array) -> jax.Array:
    """uint32 to uint32, one to one, each bit of the result depending on all of x (MurmurHash3)."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> shift)) * jnp.uint32(factor)
    return x ^ (x >> 16)


def checksum(leaf: jax.Array) -> jax.Array:
    """uint32 of an array of 4- or 8-byte numbers: the sum over its words of a hash of word and place.

    Made where the array is, and the same however it is split over devices. Any one altered word
    alters it.
    """
    words = lax.bitcast_convert_type(leaf, jnp.uint32)
    place = jnp.zeros(words.shape, jnp.uint32)
    for axis, size in enumerate(words.shape):
        place = place * jnp.uint32(size) + lax.broadcasted_iota(jnp.uint32, words.shape, axis)
    return jnp.sum(_mix(words ^ _mix(place)), dtype=jnp.uint32)


@jax.jit
def _checksums(state: TrainState) -> TrainState:
    # One program: many with a collective each, all in flight, can deadlock on the CPU.
    return jax.tree.map(checksum, state)


def _sums(state: TrainState) -> dict[str, int]:
    sums = jax.tree_util.tree_leaves_with_path(jax.device_get(_checksums(state)))
    return {jax.tree_util.keystr(path): int(value) for path, value in sums}


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
            best_fn=_score,  # Without it Orbax writes no metrics.
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
        self._saving = 0  # The step whose checkpoint is being written, or was last.
        self._failed = False

    def save(self, state: TrainState, data: JSON, progress: JSON, score: float | None) -> None:
        """score: of this step's validation, higher is better; None between validations.

        Replaces what was saved at the same step.
        """
        step = int(state.step)
        with self._saying_what_failed():
            self._manager.wait_until_finished()
        self._empty_trash()
        self._check_room(state)
        if step in self._manager.all_steps():
            self._manager.delete(step)
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            data=ocp.args.JsonSave(data),
            progress=ocp.args.JsonSave(progress),
            sums=ocp.args.JsonSave(_sums(state)),
        )
        metrics = None if score is None else {"score": score}
        with self._saying_what_failed():
            self._saving = step
            self._manager.save(step, args=items, metrics=metrics, force=True)

    def _check_room(self, state: TrainState) -> None:
        """Raises TrainingFailed where the state cannot fit on the disk, before a part is written."""
        if is_remote(self.folder):
            return
        free = shutil.disk_usage(self.folder).free
        need = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) // jax.process_count()
        if free < need:
            raise TrainingFailed(self._not_saved(int(state.step), f"{need} bytes, {free} are free"))

    def _not_saved(self, step: int, why: str) -> str:
        return (
            f"the checkpoint of step {step} could not be saved in {self.folder} ({why}): make room"
            f" and rerun, the run goes on from step {self.latest() or 0}"
        )

    @contextlib.contextmanager
    def _saying_what_failed(self) -> Iterator[None]:
        """Around what raises the errors of a save, which is written in the background."""
        try:
            yield
        except Exception as error:  # A full disk: OSError, or ValueError of TensorStore.
            self._failed = True
            raise TrainingFailed(self._not_saved(self._saving, _reason(error))) from error

    def latest(self) -> int | None:
        """The newest step, None where there is none."""
        return self._manager.latest_step()

    def best(self) -> int | None:
        """The step with the best score, else the newest, None where there is none."""
        with self._saying_what_failed():
            self._manager.wait_until_finished()
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
            restored, damage = None, "is damaged as another process sees it"
            try:
                restored = self.restore(step, like)
            except DamagedCheckpoint as error:
                damage = str(error)
            if _everywhere(restored is not None) and restored:
                return step, *restored
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
        if not self._failed:
            with self._saying_what_failed():
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
