"""Every field there is, with its unit or constraint; the values are the paper's where it has one."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The recipe of the paper (preset cvprw2019); a corpus's config changes a few fields of it."""
    c = ConfigDict()
    c.schema = 1  # Of these fields; a checkpoint of an older one is migrated or refused.
    c.seed = 0

    c.data = ConfigDict()
    c.data.corpus = "grid"  # A package under data_pipelines.
    c.data.dir = ""  # Where the shards are; empty: TFDS_DATA_DIR, else ~/tensorflow_datasets.
    c.data.height = 128  # Pixels.
    c.data.width = 96  # Pixels; 3/4 of the height.
    c.data.audio_rate = 16000  # Hz: 16000, 25000, 48000 or 50000.
    c.data.fps = 25  # Frames/s; divides audio_rate.
    c.data.speakers = ()  # Only these, e.g. ("s1", "s2"); empty: all there are. For prepare.
    c.data.max_bad_share = 0.05  # Of the clips; more quarantined ones stop `prepare`.
    c.data.prepare_workers = 0  # Processes; 0: one per core.
    return c
