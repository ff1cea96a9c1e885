"""Checkpoints: state, data position and early stopping, the latest ones and the best."""

import contextlib
import hashlib
import json
import math
import pathlib
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax import lax
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers as policies

from data_pipelines.common.errors import TrainingFailed, UserError
from data_pipelines.common.files import is_remote
from s2f_jax.state import TrainState

JSON = dict[str, Any]
_BLOCK = 1 << 16  # Words that a processor's cache holds.
TRASH = "_trash"  # Steps are moved there before they are deleted, which takes time.


def _steps(folder: epath.Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir() if path.name.isdigit()]


def any_in(workdir: epath.PathLike) -> bool:
    """Tells whether a run has saved a checkpoint.

    Args:
      workdir: The run's folder.

    Returns:
      Whether there is one.
    """
    folder = epath.Path(workdir) / "checkpoints"
    return folder.exists() and bool(_steps(folder))


def _everywhere(value: bool) -> bool:
    """Returns whether the value is true on every process; all processes must call it."""
    return bool(np.all(multihost_utils.process_allgather(np.array(value))))


def _reason(error: BaseException) -> str:
    """Returns the first line of the message of an error's root cause."""
    while error.__cause__:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class DamagedCheckpoint(Exception):
    """A checkpoint that cannot be read, or is not what was saved; the message says how."""


def _mix(x: Any) -> Any:
    """uint32 to uint32, one to one, each bit of the result depending on all of x (MurmurHash3)."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> shift)) * np.uint32(factor)
    return x ^ (x >> 16)


def checksum(leaf: jax.Array) -> jax.Array:
    """A checksum of an array: the sum over its words of a hash of word and position.

    Computed where the array is, and the same however it is split over devices. Any one altered word
    alters it.

    Args:
      leaf: Array of 4- or 8-byte numbers.

    Returns:
      uint32.
    """
    words = lax.bitcast_convert_type(leaf, jnp.uint32)
    place = jnp.zeros(words.shape, jnp.uint32)
    for axis, size in enumerate(words.shape):
        place = place * jnp.uint32(size) + lax.broadcasted_iota(jnp.uint32, words.shape, axis)
    return jnp.sum(_mix(words ^ _mix(place)), dtype=jnp.uint32)


def host_checksum(leaf: np.ndarray) -> int:
    """As `checksum`, in NumPy: no program to compile for each shape.

    Args:
      leaf: Array of 4- or 8-byte numbers.

    Returns:
      In [0, 2^32 - 1].
    """
    words, total = np.ascontiguousarray(leaf).reshape(-1).view(np.uint32), 0
    for start in range(0, len(words), _BLOCK):
        part = words[start : start + _BLOCK]
        place = np.arange(start, start + len(part)).astype(np.uint32)
        total += int(_mix(part ^ _mix(place)).sum(dtype=np.uint64))
    return total % 2**32


@jax.jit
def _checksums(state: TrainState) -> TrainState:
    # One program: many with a collective each, all in flight, can deadlock on the CPU.
    return jax.tree.map(checksum, state)


def _sums(state: TrainState, **items: JSON) -> dict[str, int]:
    """Of each leaf of the state and of each JSON item, by name."""
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(_checksums(state)))
    sums = {jax.tree_util.keystr(path): int(value) for path, value in leaves}
    return sums | {
        name: zlib.crc32(json.dumps(item, sort_keys=True).encode()) for name, item in items.items()
    }


def check_files(workdir: epath.PathLike) -> None:
    """Refuses a folder that has something else for a file.

    A pipe would be waited for, and a device has no end.

    Args:
      workdir: The folder, with all below it.

    Raises:
      UserError: There is neither a file nor a folder.
    """
    for path in [] if is_remote(workdir) else pathlib.Path(workdir).rglob("*"):
        if not (path.is_file() or path.is_dir()):
            raise UserError(f"{path} is neither a file nor a folder: restore it, or remove it")


SCORE = "score"  # Among a step's scores, the one that chooses the best checkpoint.
Scores = dict[str, float]  # By name; higher is better.


class _Best(policies.PreservationPolicy):
    """Preserves the best step by each score; the scores are kept up to date by their owner."""

    def __init__(self, scores: Mapping[int, Scores]):
        self._scores = scores

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        steps = [info.step for info in checkpoints]
        names = {name for scores in self._scores.values() for name in scores}
        best = {_best(self._scores, steps, name) for name in names}
        return [step in best for step in steps]


def _best(scores: Mapping[int, Scores], steps: Iterable[int], name: str = SCORE) -> int | None:
    scored = [step for step in steps if name in scores.get(step, {})]
    return max(scored, key=lambda step: (scores[step][name], step), default=None)


class Checkpoints:
    """The checkpoints of one run, in its `checkpoints` folder.

    Saving returns as soon as the state is copied; the writing continues in the background and a
    checkpoint appears under its step when it is whole.

    Args:
      workdir: The run's folder.
      keep_latest: Number of newest checkpoints that are kept beside the best ones.
      first_phase: The step at which the first phase ends, whose checkpoint is kept, too; 0: none.
      read_only: Nothing is written or cleaned up.
    """

    def __init__(
        self,
        workdir: epath.PathLike,
        keep_latest: int = 2,
        first_phase: int = 0,
        read_only: bool = False,
    ):
        self.folder = epath.Path(workdir).resolve() / "checkpoints"  # Orbax takes no relative ones.
        if not read_only:
            self._bring_back()
        # By step. Orbax has a place for scores, but a damaged one there stops it from opening.
        self._scores: dict[int, Scores] = {}
        options = ocp.CheckpointManagerOptions(
            create=not read_only,
            read_only=read_only,
            cleanup_tmp_directories=not read_only,
            todelete_subdir=None if read_only else TRASH,
            preservation_policy=policies.AnyPreservationPolicy(
                [
                    policies.LatestN(keep_latest),
                    policies.CustomSteps([first_phase] if first_phase else []),
                    _Best(self._scores),
                ]
            ),
        )
        self._manager = ocp.CheckpointManager(self.folder, options=options)
        self._scores.update((step, self._read_scores(step)) for step in self._manager.all_steps())
        self._whole: set[int] = set()  # Steps that this object has saved, or restored from.
        self._saving = 0  # The step whose checkpoint is being written, or was last.
        self._failed = False

    def _bring_back(self) -> None:
        """A step that was to be replaced, where its successor never became whole."""
        trash = self.folder / TRASH
        if jax.process_index() == 0 and trash.exists():
            newest = max(_steps(self.folder), default=-1)
            for step in _steps(trash):
                if step > newest:
                    (trash / str(step)).rename(self.folder / str(step))
        _everywhere(True)  # Nobody looks before it is done.

    def _read_scores(self, step: int) -> Scores:
        try:
            text = (self.folder / str(step) / "progress" / "metadata").read_text()
            progress = json.loads(text)
            scores = {**progress.get("other_scores", {}), SCORE: progress[SCORE]}
            return {name: float(score) for name, score in scores.items() if score is not None}
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return {}  # Restoring it will say what is wrong with it.

    def save(
        self,
        state: TrainState,
        data: JSON,
        progress: JSON,
        score: float | None,
        other_scores: Mapping[str, float] | None = None,
    ) -> None:
        """Saves a state; one that was saved before is saved again only with a score.

        Args:
          state: State of the training.
          data: Position in the data.
          progress: What else a resume needs.
          score: Score of this step's validation, higher is better, a NaN never best; None between
            validations.
          other_scores: Further scores, likewise; the best step by each is kept, too.

        Raises:
          TrainingFailed: There is no room, or an earlier save failed.
        """
        step = int(state.step)
        self.wait()
        self._empty_trash()
        if score is None and step in self._whole:
            return
        self._check_room(state)
        if step in self._manager.all_steps():
            self._manager.delete(step)
        scores = {**(other_scores or {}), SCORE: score}
        scores = {
            name: value if math.isfinite(value) else -math.inf
            for name, value in scores.items()
            if value is not None
        }
        self._scores[step] = scores
        others = {name: value for name, value in scores.items() if name != SCORE}
        progress = {**progress, SCORE: scores.get(SCORE), "other_scores": others}
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            data=ocp.args.JsonSave(data),
            progress=ocp.args.JsonSave(progress),
            sums=ocp.args.JsonSave(_sums(state, data=data, progress=progress)),
        )
        with self._saying_what_failed():
            self._saving = step
            self._manager.save(step, args=items, force=True)
        self._whole.add(step)

    def wait(self) -> None:
        """Waits until what was saved is on the disk.

        Raises:
          TrainingFailed: The checkpoint could not be written.
        """
        with self._saying_what_failed():
            self._manager.wait_until_finished()

    def _check_room(self, state: TrainState) -> None:
        """Raises TrainingFailed where the state cannot fit on the disk, before a part is written."""
        if is_remote(self.folder):
            return
        free = shutil.disk_usage(self.folder).free
        need = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        if not _everywhere(free >= need):
            raise TrainingFailed(self._not_saved(int(state.step), f"{need} bytes, {free} are free"))

    def _not_saved(self, step: int, why: str) -> str:
        cure = "make room and rerun" if re.search("space|quota|free", why.lower()) else "rerun"
        return (
            f"the checkpoint of step {step} could not be saved in {self.folder} ({why}): {cure},"
            f" the run goes on from step {self.latest() or 0}"
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
        """Finds the newest checkpoint.

        Returns:
          The checkpoint's step; None where there is none.
        """
        return self._manager.latest_step()

    def best(self) -> int | None:
        """Finds the checkpoint with the best score, else the newest.

        Returns:
          The checkpoint's step; None where there is none.
        """
        self.wait()
        return _best(self._scores, self._manager.all_steps()) or self.latest()

    def restore(self, step: int, like: TrainState) -> tuple[TrainState, JSON, JSON]:
        """Restores a checkpoint.

        Args:
          step: Step of the checkpoint.
          like: Arrays or ShapeDtypeStructs, whose shardings the state gets.

        Returns:
          State, data position, progress.

        Raises:
          DamagedCheckpoint: It cannot be read, or is not what was saved.
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
            why = f"{type(error).__name__}: {_reason(error)}"
            raise DamagedCheckpoint(f"cannot be read ({why[:200]})") from error
        # Orbax restores flipped bytes without a word.
        sums = _sums(items.state, data=items.data, progress=items.progress)
        wrong = [name for name, value in sums.items() if items.sums.get(name) != value]
        if wrong:
            raise DamagedCheckpoint(f"has other numbers than were saved in {', '.join(wrong[:3])}")
        self._whole.add(step)
        return items.state, items.data, items.progress

    def restore_newest(self, like: TrainState) -> tuple[int, TrainState, JSON, JSON] | None:
        """Restores the newest checkpoint that is whole, and prints which ones were passed over.

        Args:
          like: Shapes, types and shardings to restore into, as in `restore`.

        Returns:
          Step, state, data position, progress; None where there is no checkpoint.

        Raises:
          UserError: There are checkpoints and none is whole.
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
                f"no checkpoint in {self.folder} can be used: move the folder away to begin again"
            )
        return None

    def _empty_trash(self) -> None:
        trash = self.folder / TRASH
        if jax.process_index() == 0 and trash.exists():
            trash.rmtree()

    def close(self) -> None:
        """Waits until everything is written, and empties the trash."""
        if not self._failed:
            self.wait()
        self._manager.close()
        self._empty_trash()


def restore_variables(workdir: epath.PathLike, step: int, network: str) -> dict[str, Any]:
    """Restores one network's variables on the default device, without the rest.

    Those in float64 become float32 unless JAX's 64-bit types are on.

    Args:
      workdir: The run's folder.
      step: Step of the checkpoint.
      network: The network's name.

    Returns:
      {"params": ..., "batch_stats": ...}.

    Raises:
      UserError: The checkpoint is damaged.
    """
    folder = epath.Path(workdir).resolve() / "checkpoints" / str(step)
    check_files(folder)
    try:
        variables = _restore_variables(folder / "state", network)
        sums = json.loads((folder / "sums" / "metadata").read_text())
        wrong = [
            name
            for collection, tree in variables.items()
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
            if sums[name := f".{collection}['{network}']{jax.tree_util.keystr(path)}"]
            != host_checksum(leaf)
        ]
    except Exception as error:  # Orbax and TensorStore raise every kind.
        raise UserError(
            f"the checkpoint {folder} cannot be read ({type(error).__name__}): it is"
            " damaged, or of another version; give another one"
        ) from error
    if wrong:  # Orbax restores flipped bytes without a word.
        raise UserError(
            f"the checkpoint {folder} is damaged: it has other numbers than were saved in {wrong[0]};"
            " give another one"
        )
    return jax.device_put(variables, jax.devices()[0])


def _restore_variables(folder: epath.Path, network: str) -> dict[str, Any]:
    with ocp.PyTreeCheckpointer() as checkpointer:
        tree = checkpointer.metadata(folder).item_metadata.tree
        wanted = {
            collection: {network: tree[collection].get(network, {})}  # Not all have statistics.
            for collection in ("params", "batch_stats")
        }
        # NumPy's arrays stay float64 where JAX's 64-bit types are off.
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
        restored = checkpointer.restore(
            folder,
            args=ocp.args.PyTreeRestore(item=wanted, restore_args=as_numpy, partial_restore=True),
        )
    return {collection: networks[network] for collection, networks in restored.items()}


def saved_networks(workdir: epath.PathLike, step: int) -> set[str]:
    """Lists the networks that a checkpoint has.

    Args:
      workdir: The run's folder.
      step: Step of the checkpoint.

    Returns:
      The networks' names.

    Raises:
      UserError: The checkpoint has no checksums.
    """
    return {
        name.split("'")[1] for name in _saved_sums(workdir, step) if name.startswith(".params[")
    }


def weights_sum(workdir: epath.PathLike, step: int, network: str) -> str:
    """Identifies one network's weights by its leaves' checksums.

    Args:
      workdir: The run's folder.
      step: Step of the checkpoint.
      network: The network's name.

    Returns:
      SHA-256, hexadecimal.

    Raises:
      UserError: The checkpoint has no checksums.
    """
    own = sorted(
        (name, value)
        for name, value in _saved_sums(workdir, step).items()
        if name.split("['")[0] in (".params", ".batch_stats") and f"['{network}']" in name
    )
    return hashlib.sha256(json.dumps(own).encode()).hexdigest()


def _saved_sums(workdir: epath.PathLike, step: int) -> dict[str, Any]:
    """The checksum of each leaf, by its name."""
    path = epath.Path(workdir).resolve() / "checkpoints" / str(step) / "sums" / "metadata"
    try:
        sums: dict[str, Any] = json.loads(path.read_text())
        sums.items()  # Or it is no object.
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"the checkpoint {path.parent.parent} has no checksums ({type(error).__name__}): it is"
            " damaged, or of another version; give another one"
        ) from error
    return sums
