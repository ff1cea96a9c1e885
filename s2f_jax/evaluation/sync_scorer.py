"""A trained sync network as a scorer of videos."""

import functools

import jax
from etils import epath

from data_pipelines.common.errors import UserError
from s2f_jax.config.schema import Config
from s2f_jax.metrics.sync import SyncScorer
from s2f_jax.models import networks
from s2f_jax.models.sync_network import SyncNetwork
from s2f_jax.reports import plots
from s2f_jax.runs.restore import all_fields_of, find_checkpoint, restore_network
from s2f_jax.runs.workdir import read_config


def load_sync_scorer(path: epath.PathLike) -> SyncScorer:
    """Restores a sync network, or the two towers of a sync discriminator.

    Args:
      path: A workdir (its best checkpoint) or a checkpoint step's folder, of a run of
        configs/syncnet_*.py or of one with a sync discriminator.

    Returns:
      The scorer, whose unit of confidence is what the run's own validation measured.

    Raises:
      UserError: There is no such checkpoint, or one of another schema, or it is damaged.
    """
    workdir, step = find_checkpoint(path)
    config = read_config(workdir)
    with all_fields_of(workdir):
        name, network = _network(config, workdir)
        init = functools.partial(networks.sync_params, network, config.data)
        expected = {"params": jax.eval_shape(init, jax.random.key(0))}
    variables = restore_network(workdir, step, name, expected, part="towers")
    unit, accuracy = _validation_results(workdir, step)
    return SyncScorer(
        network,
        {"params": variables["params"]},
        size=(config.data.height, config.data.width),
        fps=config.data.fps,
        unit=unit,
        name=f"{name} of {workdir.name}, step {step}; {accuracy}",
    )


def _network(config: Config, workdir: epath.Path) -> tuple[str, SyncNetwork]:
    # The name of its parameters in a run of this config, and the network.
    if config.task == "sync":
        sizes = config.sync_network
        return "sync_network", networks.sync_network(config.data, sizes, config.model.dtype)
    section = config.get("discriminators", {}).get("sync")
    if config.task != "animate" or not (section and section.weight):
        raise UserError(
            f"{workdir} holds neither a sync network nor a sync discriminator: give the workdir of"
            " a run of configs/syncnet_*.py, or of one with --config.discriminators.sync.weight above 0"
        )
    return "sync_discriminator", networks.sync_network(config.data, section, config.model.dtype)


def _validation_results(workdir: epath.Path, step: int) -> tuple[float, str]:
    """Returns the unit of confidence and the accuracy that the run's validation logged for a step.

    The unit is the confidence that 95 % of the validation clips stay below with another clip's
    sound, so that an offset with a confidence above 1 is unlikely to be due to chance.
    """
    keys = [f"validation/{name}" for name in ("chance_confidence", "clips_right", "windows_right")]
    for event in reversed(plots.read_log(workdir / "metrics.jsonl")):
        chance, clips, windows = (event.get(key) for key in keys)
        if event["step"] == step and chance:
            return chance, (
                f"on its validation clips it found {clips:.1%} of the clips' offsets to a frame,"
                f" {windows:.1%} from five frames alone, and with another clip's sound 95 % had a"
                " confidence below 1"
            )
    return 1.0, "what it does on real clips was not measured"
