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
    c.schema = 3  # Version of these fields; older runs are migrated (s2f_jax/config/schema.py).
    c.name = "base"  # The default workdir is runs/<name>.
    c.seed = 0  # Of all random numbers of a run: weights, order of the clips, noise.

    c.data = ConfigDict()
    c.data.corpus = "grid"  # A package under data_pipelines.
    c.data.dir = ""  # Where the shards are; empty: TFDS_DATA_DIR, else ~/tensorflow_datasets.
    c.data.height = 128  # Height of the aligned face, pixels.
    c.data.width = 96  # Its width, pixels; 3/4 of the height.
    c.data.audio_rate = 16000  # Sample rate of the sound, Hz: 16000, 25000, 48000 or 50000.
    c.data.fps = 25  # Frames per second of video; divides audio_rate.
    c.data.speakers = ()  # Speakers that `prepare` takes, e.g. ("s1", "s2"); empty: all.
    c.data.max_seconds = 30.0  # Seconds; longer clips are quarantined, but `folder` cuts them.
    c.data.max_filled = 0.75  # Share of a clip's sound that may be missing, and silent; else unfit.
    c.data.max_bad_share = 0.05  # Share of quarantined clips above which `prepare` fails.
    c.data.train_minutes = 0.0  # Minutes of the split train that are used, any of them; 0: all.
    c.data.max_corrupt = 10  # Damaged records that training replaces; one more stops it.
    c.data.prepare_workers = 0  # Processes of `prepare`; 0: one per core.
    c.data.options = ConfigDict()  # Options that only this corpus's builder has.

    c.model = ConfigDict()
    c.model.window = 0.16  # Seconds of sound around a frame that it is generated from (paper 2.1).
    c.model.id_features = 50  # Size of the identity code z_id (paper 2.1.1).
    c.model.context_features = 256  # Size of z_c and of the audio code below it (paper 2.1.2).
    c.model.noise_features = 10  # Size of the noise code z_n (paper 2.1.3); 0: no noise.
    c.model.noise_std = 0.33  # Standard deviation of the noise.
    c.model.width = 64  # Feature maps of the first image layer; they double with each halving.
    c.model.audio_width = 16  # Feature maps of the first audio layer; they double likewise.
    c.model.recurrent = True  # False: no GRU over sound, as in the static baseline (paper 3.3).
    c.model.skips = True  # Skip connections, identity encoder to frame decoder (paper 2.1.1).
    c.model.copy_path = False  # A learned mask between generated pixels and the still's; ours.
    # Positions (x, y), pixels, to which a portrait's iBUG landmarks 33, 36, 39, 42 and 45 are aligned;
    # empty: those of the shards.
    c.model.face = ()
    c.model.dtype = "float32"  # Of activations: also "bfloat16"; "float64": of parameters too.

    # The discriminators (paper 2.2): one section each. Another one is added as docs/extend shows.
    c.discriminators = ConfigDict()
    d = c.discriminators.frame = ConfigDict()
    d.weight = 1.0  # Weight of its term in the generator's loss; 0: no such discriminator.
    d.rate = 1e-3  # Learning rate (paper 2.3).
    d.decays = True  # Whether its rate decays as optim.decay_after and optim.decay say.
    d.width = 64  # As model.width.
    d.still = True  # Whether it sees the still beside the frame (paper 2.2.1).
    d.frames_per_clip = 1  # Frames that it sees of each clip, drawn uniformly.
    d.norm = "batch"  # Of its layers; also "spectral" or "none".

    d = c.discriminators.sequence = ConfigDict()
    d.weight = 1.0
    d.rate = 5e-5
    d.decays = False
    d.width = 64
    d.audio_width = 16  # As model.audio_width.
    d.features = 256  # Size of its codes and GRUs.
    d.audio = True  # Whether it also takes the sound (paper 2.2.2).
    d.fusion = "last"  # Of the last GRU states; "step": one GRU over both codes of each time step.
    d.differences = False  # Whether a frame comes with its difference to the frame before.
    # Real clips made wrong, as a second kind of fakes: "held", "upper_held", "shuffled", "other_sound".
    d.negatives = ()
    d.norm = "batch"  # As discriminators.frame.norm.

    d = c.discriminators.sync = ConfigDict()  # Of the paper's successor.
    d.weight = 0.0
    d.rate = 5e-5  # Our choice.
    d.decays = False
    d.width = 64
    d.audio_width = 16
    d.features = 256  # Size of its codes.
    d.windows_per_clip = 4  # Windows of five frames, 0.2 s, that it sees of each clip.

    c.batch_size = 16  # Clips per step over all devices; a multiple of the number of devices.
    c.clip_frames = 75  # Frames of an example: a part of a longer clip; 0: the longest clip's.
    c.mirror = True  # Whether an epoch has every clip twice, once mirrored (paper 3.1).
    # From 0 (every clip once an epoch) to 1 (every speaker equally often): the share of a speaker with
    # n clips grows as n^(1 - balance_speakers).
    c.balance_speakers = 0.0
    # Fewest steps of an epoch: where there are fewer, it has every clip several times, equally often; 0: no
    # such number.
    c.epoch_steps = 0
    c.accumulate = 1  # Parts of a batch, one after the other, each with BatchNorm of its own.
    c.keep_activations = "all"  # For the backward pass; "convolutions" and "none" need less memory.
    c.split_state = False  # Whether parameters and optimizer state are split over devices (FSDP).
    c.loader_workers = 0  # Processes that decode the clips; 0: threads of this one.

    # Random changes of the training clips' sound, and of their looks: one change for the still and all
    # frames of an example. Not in the paper.
    c.augment = ConfigDict()
    c.augment.gain_db = 0.0  # Largest gain and attenuation, dB.
    c.augment.snr_db = ()  # Range of the ratio to added white noise, dB, e.g. (10.0, 40.0); (): none.
    c.augment.voice = 0.0  # Largest change of the voice's pitch and formants, semitones.
    c.augment.shift_ms = 0.0  # Largest shift of the sound, ms; at most half a frame.
    c.augment.color = 0.0  # Strength, 0 to 1, of changes of hue, saturation and white balance.
    c.augment.light = 0.0  # Strength, 0 to 1, of gain, gamma, contrast and light from one side.
    c.augment.background = 0.0  # Share of examples, 0 to 1, that get another background.
    c.augment.warp = 0.0  # Strength, 0 to 1, of other proportions of the face: aspect, jaw, ...

    c.loss = ConfigDict()
    c.loss.reconstruction = 400.0  # Weight of L1, lambda of eq. 3.
    c.loss.reconstruction_top = 0.5  # Share of the height, from the top, left out of L1 (eq. 2).
    # Frames of an example that are drawn, spread over it, while L1 is alone; 0: all. All is heard.
    c.loss.reconstruction_frames = 0
    # Consecutive frames of an example that are drawn after that; 0: all. All is heard.
    c.loss.adversarial_frames = 0
    # Largest norm of what an adversarial term of weight 1 asks of a clip's pixels, as a multiple of what
    # L1 asks; of another weight in proportion; 0: no limit.
    c.loss.adversarial_limit = 0.0
    # Weight of the difference of the frequencies' amplitudes in blocks of 16 pixels, which L1 leaves too weak.
    c.loss.spectrum = 0.0
    # Weight of L1 around the eyes, of the best of several draws of the noise: what makes them blink.
    c.loss.variety = 0.0
    c.loss.variety_draws = 2
    # Weight of the share of the pixels that are drawn and not copied from the still (model.copy_path),
    # around mouth and eyes.
    c.loss.drawn_share = 0.0
    # Weight of L1 of the mouth's low frequencies, each in units of its deviation, as a linear map reads
    # them out of z_c in every frame that is heard.
    c.loss.deep_supervision = 0.0
    # Weight of how differently a trained lip reader (loss.lip_expert) reads the real mouths and the still's
    # with these frequencies, in every frame that is heard, from the first step on.
    c.loss.deep_lip_reading = 0.0
    # Weight of how differently a trained lip reader reads generated and real mouths (Kullback-Leibler
    # divergence, nats a step), from loss.adversarial_from on; and that reader's workdir, which should be
    # another one than readers.lips, with which results are measured.
    c.loss.lip_reading = 0.0
    c.loss.lip_expert = ""
    # Share of right answers above which a discriminator rests, learning nothing from the generated clips
    # of a step; 1: never.
    c.loss.rest_above = 1.0
    c.loss.adversarial_from = 0  # First step with discriminators; before it, L1 alone.

    c.optim = ConfigDict()
    c.optim.generator_rate = 2e-4  # Learning rate of the generator (paper 2.3).
    c.optim.decay_after = 20  # Epochs after which learning rates decay (paper 2.3).
    c.optim.decay = 0.9  # Factor per epoch after that: "a rate of 10%"; 0.1 is the other reading.
    # Decay per step of an average of the generator's weights, for validation, evaluation and export; 0:
    # none, as in the paper.
    c.optim.generator_ema = 0.0
    c.optim.b1 = 0.5  # Adam's beta 1.
    c.optim.b2 = 0.999  # Adam's beta 2.

    # Runs of networks that some metrics need, or names of those that come with the package ("lipreader_s1",
    # "syncnet_s1"); empty: no such metric.
    c.readers = ConfigDict()
    c.readers.lips = ""  # Workdir of a lip reader, for WER and CER; see configs/lipreader_grid.py.
    c.readers.sync = ""  # Workdir of a sync network, for synchrony; see configs/syncnet_grid.py.

    c.embedder = ConfigDict()  # The network that embeds faces for the metric ACD.
    c.embedder.file = ""  # An ONNX file; empty: SFace, for which the next four are not used.
    c.embedder.size = 112  # Height and width of its input, pixels.
    c.embedder.channels = "RGB"  # Order of its input's channels; or "BGR".
    c.embedder.mean = (127.5, 127.5, 127.5)  # Subtracted from each channel's levels, 0 to 255.
    c.embedder.scale = (1 / 127.5,) * 3  # Factor of each channel after that.

    c.lipreader = ConfigDict()  # The network of the task "lipread": LipNet (Assael et al. 2016).
    c.lipreader.height = 50  # Height of the crop around the mouth, pixels.
    c.lipreader.width = 100  # Its width, pixels.
    c.lipreader.mouth = 40.0  # Width of the canonical mouth in the crop, pixels.
    c.lipreader.widths = (32, 64, 96)  # Feature maps of its convolutions.
    c.lipreader.features = 256  # Size of each GRU in each direction.
    c.lipreader.dropout = 0.5  # Share of feature maps that are dropped in training.
    c.lipreader.steps_per_frame = 1  # Letters that a frame may show: more for fast speakers.
    # What it sees of a frame: "convolutions", LipNet's, or "cosines", low frequencies, which a small corpus
    # need not teach; these take none of the widths but the last.
    c.lipreader.front_end = "convolutions"
    # Deviation of the noise added to each frequency of "cosines" in training, in units of its own.
    c.lipreader.noise = 0.0
    c.lipreader.centered = False  # Whether each clip's mean frame is taken out.
    # Weight of the cross-entropy with the letters where the corpus says they are said.
    c.lipreader.alignment = 0.0
    # Share of training examples that join the beginning of a sentence and the end of another of the same
    # speaker, at ends of words (where the shards know their times).
    c.lipreader.splice = 0.0
    c.lipreader.jitter = 0.05  # Share of training frames that are dropped or repeated.
    c.lipreader.shift = 2.0  # Largest random shift of the crop in training, pixels of the crop.
    c.lipreader.letters = 40  # Longest training transcript, characters.
    c.lipreader.rate = 1e-4  # Learning rate; it decays as optim.decay_after and optim.decay say.
    c.lipreader.clip_norm = 20.0  # Largest norm of the gradient of the mean loss (nats per clip).
    # Characters of an n-gram of the language model that the beam search uses, counted in the training
    # sentences; 0: none. The factor of its log probabilities, and what each character is given for it, nats.
    c.lipreader.language_order = 0
    c.lipreader.language_weight = 1.0
    c.lipreader.language_bonus = 1.0
    c.lipreader.spell = False  # `evaluate` corrects words to the nearest known one; hides errors.

    c.sync_network = ConfigDict()  # The network of the task "sync".
    c.sync_network.features = 256  # Size of its two codes.
    c.sync_network.width = 32  # As model.width.
    c.sync_network.audio_width = 16  # As model.audio_width.
    c.sync_network.rate = 1e-3  # Learning rate; it decays as optim.decay_after and optim.decay say.

    c.max_epochs = 1000  # Limit; the paper has none, early stopping ends a run.
    # Epochs without a better validation PSNR or SSIM (paper 2.3) or best_by, from loss.adversarial_from.
    c.patience = 10
    c.validation_clips = 0  # Validation clips that are scored after each epoch; 0: all.
    c.eval_batch_size = 8  # Clips per batch of validation and evaluation.
    # Validation score that chooses the best checkpoint, among those after loss.adversarial_from: "psnr",
    # "ssim", "psnr_mouth" or "balance" (metrics/liveliness.py); for the task "lipread" "words_right" or "letters_right" (1 - WER, 1 - CER),
    # for "sync" "windows_right".
    c.best_by = "psnr"
    c.checkpoint_every = 500  # Steps between checkpoints; each epoch also ends with one.
    c.keep_latest = 2  # Number of latest checkpoints to keep, beside the best one.
    c.log_every = 10  # Steps between log events.
    c.dry_run = False  # Read the shards, compile all, print what a step costs, write nothing.
    c.profile = ""  # Steps to profile into <workdir>/profile, as FIRST:LAST; empty: none.
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
