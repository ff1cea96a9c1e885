"""Every field there is, with its unit or constraint; the values are the paper's where it has one.

Each departure is in docs/explanations/paper-and-choices.md, under the field's name.
"""

from typing import Any

from ml_collections import ConfigDict

PRESETS = ("cvprw2019", "sda")


def get_config(
    preset: str = "cvprw2019",
) -> Any:  # A ConfigDict, whose fields have no static types.
    """The paper's recipe, or the sizes of the checkpoints its authors released (sda)."""
    c = ConfigDict()
    c.task = "animate"  # What is trained (s2f_jax/tasks).
    c.schema = 3  # Of these fields; a run of an older one is migrated (s2f_jax/config/schema.py).
    c.name = "base"  # The default workdir is runs/<name>.
    c.seed = 0

    c.data = ConfigDict()
    c.data.corpus = "grid"  # A package under data_pipelines.
    c.data.dir = ""  # Where the shards are; empty: TFDS_DATA_DIR, else ~/tensorflow_datasets.
    c.data.height = 128  # Pixels.
    c.data.width = 96  # Pixels; 3/4 of the height.
    c.data.audio_rate = 16000  # Hz: 16000, 25000, 48000 or 50000.
    c.data.fps = 25  # Frames/s; divides audio_rate.
    c.data.speakers = ()  # Only these, e.g. ("s1", "s2"); empty: all there are. For prepare.
    c.data.max_seconds = 30.0  # Longer clips are quarantined; the folder corpus cuts them.
    c.data.max_bad_share = 0.05  # Of the clips; more quarantined ones stop `prepare`.
    c.data.max_corrupt = 10  # Records that training passes over before it stops.
    c.data.prepare_workers = 0  # Processes; 0: one per core.
    c.data.options = ConfigDict()  # What only this corpus's builder takes.

    c.model = ConfigDict()
    c.model.window = 0.16  # Seconds of sound that a frame sees (paper 2.1).
    c.model.id_features = 50  # z_id (paper 2.1.1).
    c.model.context_features = 256  # z_c, and the audio-frame code before the GRU (paper 2.1.2).
    c.model.noise_features = 10  # z_n (paper 2.1.3); 0: none.
    c.model.noise_std = 0.33
    c.model.width = 64  # Maps of the first image layer; they double with each halving.
    c.model.audio_width = 16  # Maps of the first audio layer; they double likewise.
    c.model.recurrent = True  # False: no GRU over sound, as in the static baseline (paper 3.3).
    c.model.skips = True  # From the identity encoder to the decoder (paper 2.1.1).
    c.model.copy_path = False  # Not in the paper: a learnt mask between drawn pixels and the still.
    # Where a portrait's iBUG points 33, 36, 39, 42, 45 go, (x, y) in pixels; empty: as in the shards.
    c.model.face = ()
    c.model.dtype = "float32"  # Of the compute: or "bfloat16" (parameters stay), or all "float64".

    # The discriminators (paper 2.2): one section each. Another one is added as docs/extend shows.
    c.discriminators = ConfigDict()
    d = c.discriminators.frame = ConfigDict()
    d.weight = 1.0  # Of its term in the generator's loss; 0: there is no such discriminator.
    d.rate = 1e-3  # Learning rate (paper 2.3, as the other rates).
    d.decays = True  # Whether its rate decays as optim.decay_after and optim.decay say.
    d.width = 64  # As model.width.
    d.still = True  # It sees the still beside the frame (paper 2.2.1).
    d.frames_per_clip = 1  # Drawn uniformly.

    d = c.discriminators.sequence = ConfigDict()
    d.weight = 1.0
    d.rate = 5e-5
    d.decays = False
    d.width = 64
    d.audio_width = 16  # As model.audio_width.
    d.features = 256  # Its codes and GRUs.
    d.audio = True  # It hears the sound (paper 2.2.2).
    d.fusion = "last"  # Or "step": one GRU over both codes of each time step.

    d = c.discriminators.sync = ConfigDict()  # Not in this paper, but in its successor.
    d.weight = 0.0
    d.rate = 5e-5  # Ours.
    d.decays = False
    d.width = 64
    d.audio_width = 16
    d.features = 256  # Its codes.
    d.windows_per_clip = 4  # Drawn uniformly: five frames, 0.2 s of sound.

    c.batch_size = 16  # Clips, over all devices; a multiple of the device count.
    c.clip_frames = 75  # Longer clips give a window, shorter ones are masked; 0: as the longest.
    c.mirror = True  # An epoch is every clip twice, once mirrored (paper 3.1).
    c.accumulate = 1  # Parts a batch goes through in, one after the other; each has its BatchNorm.
    c.keep_activations = "all"  # For the backward pass; or "convolutions" or "none": less memory.
    c.split_state = False  # Parameters and optimizer state split over the devices (FSDP).
    c.loader_workers = 0  # Processes that decode; 0: threads.

    c.augment = ConfigDict()  # Of the training clips' sound, at random; not in the paper.
    c.augment.gain_db = 0.0  # Louder or softer by at most so much.
    c.augment.snr_db = ()  # White noise, e.g. (10.0, 40.0): the clip's level over it; empty: none.
    c.augment.shift_ms = 0.0  # Against the picture by at most so much; at most half a frame.

    c.loss = ConfigDict()
    c.loss.reconstruction = 400.0  # Lambda of eq. 3.
    c.loss.reconstruction_top = 0.5  # Share of the height that L1 leaves free (eq. 2: the half).
    c.loss.adversarial_from = 0  # Step; before it the generator trains on L1 alone.

    c.optim = ConfigDict()
    c.optim.generator_rate = 2e-4  # (Paper 2.3.)
    c.optim.decay_after = 20  # Epochs.
    c.optim.decay = 0.9  # Per epoch after that: "a rate of 10%"; 0.1 is the other reading.
    c.optim.b1 = 0.5
    c.optim.b2 = 0.999

    c.readers = ConfigDict()  # What evaluation judges with, workdirs of runs; empty: not at all.
    c.readers.lips = ""  # Of a config like configs/lipreader_grid.py.
    c.readers.sync = ""  # Of a config like configs/syncnet_grid.py.

    c.embedder = ConfigDict()  # Of faces, for ACD.
    c.embedder.file = ""  # An ONNX file; empty: SFace, which knows the four below itself.
    c.embedder.size = 112  # Pixels, height and width of what it takes.
    c.embedder.channels = "RGB"  # Or "BGR".
    c.embedder.mean = (127.5, 127.5, 127.5)  # Taken from the levels 0 to 255 of each channel.
    c.embedder.scale = (1 / 127.5,) * 3  # And what is left times that.

    c.lipreader = ConfigDict()  # Of the task "lipread"; LipNet's own sizes (Assael et al. 2016).
    c.lipreader.height = 50  # Pixels of the crop that it sees of a face.
    c.lipreader.width = 100  # Pixels.
    c.lipreader.mouth = 40.0  # Pixels of the crop between the corners of the canonical mouth.
    c.lipreader.widths = (32, 64, 96)  # Maps of its convolutions.
    c.lipreader.features = 256  # Of each GRU, in either direction.
    c.lipreader.dropout = 0.5  # Share of the maps.
    c.lipreader.jitter = 0.05  # Share of the training frames that are left out or seen twice.
    c.lipreader.shift = 2.0  # Pixels of the crop, by which it is moved in training at most.
    c.lipreader.letters = 40  # Room for a training transcript.
    c.lipreader.rate = 1e-4  # Learning rate; it decays as optim.decay_after and optim.decay say.
    c.lipreader.clip_norm = 20.0  # Of the gradient of the mean loss, which is in nats a clip.
    c.lipreader.spell = False  # `evaluate`: each word read to the nearest known; hides errors.

    c.sync_network = ConfigDict()  # What the task "sync" trains.
    c.sync_network.features = 256  # Of its two codes.
    c.sync_network.width = 32  # As model.width.
    c.sync_network.audio_width = 16  # As model.audio_width.
    c.sync_network.rate = 1e-3  # It decays as optim says.

    c.max_epochs = 1000  # The paper has none: early stopping ends a run.
    c.patience = 10  # Epochs without a better validation PSNR or SSIM (paper 2.3).
    c.validation_clips = 0  # At most so many; 0: all.
    c.eval_batch_size = 8  # Clips.
    # The validation score of the best checkpoint, among those after loss.adversarial_from: "psnr",
    # "ssim" or "psnr_mouth"; of the task "lipread" "words_right" or "letters_right" (1 - WER, 1 - CER),
    # of "sync" "windows_right".
    c.best_by = "psnr"
    c.checkpoint_every = 500  # Steps, beside one after each epoch.
    c.keep_latest = 2  # Checkpoints, beside the best one.
    c.log_every = 10  # Steps.
    c.dry_run = False  # Build and compile everything, say what a step costs, write nothing.
    c.profile = ""  # FIRST:LAST, steps as they are logged, to <workdir>/profile; empty: none.
    c.sample_clips = 4  # Validation clips written to samples/ after each epoch; 0: none.

    if preset == "sda":
        c.model.window = 0.2
        c.model.id_features = 128
        c.loss.reconstruction = 600.0
        c.discriminators.sync.weight = 1.0
        c.discriminators.sync.rate = 1e-3
        c.data.audio_rate = 50000
    elif preset != "cvprw2019":
        raise ValueError(f"preset {preset!r} is not one of {', '.join(PRESETS)}")
    return c
