"""The paper's results: its Table 1, and its claims about which of two models is better in what."""

import dataclasses

NOTE = (
    "the rows of the paper are its Table 1; its conventions for pixels, crops and readers are not"
    " published and may differ, its WER is another lip reader's, and its ACD stands under the"
    " squared one, the only one that its size fits"
)
_MODEL, _BASELINE = "paper: model", "paper: static baseline"
_TABLE_1 = {
    "grid": {
        _MODEL: {
            "psnr": 27.98, "ssim": 0.844, "cpbd": 0.277, "fdbm": 0.114, "acd_mse": 1.02e-4,
            "wer": 0.254,
        },
        _BASELINE: {
            "psnr": 27.39, "ssim": 0.831, "cpbd": 0.280, "fdbm": 0.113, "acd_mse": 1.07e-4,
            "wer": 0.372,
        },
    },
    "tcd_timit": {
        _MODEL: {"psnr": 23.54, "ssim": 0.697, "cpbd": 0.253, "fdbm": 0.102, "acd_mse": 2.06e-4},
        _BASELINE: {"psnr": 23.01, "ssim": 0.654, "cpbd": 0.252, "fdbm": 0.097, "acd_mse": 2.29e-4},
    },
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class PaperClaim:
    """A claim that the model is better than the static baseline in one metric.

    Attributes:
      metric: Key.
      text: The claim in words.
      lower: Whether the paper's claim is that a multiple of the real people's value is lower. It holds
        where the multiple is nearer to 1: one without any motion is the lowest of all.
    """

    metric: str
    text: str
    lower: bool = False


CLAIMS = (
    PaperClaim("wer", "fewer of the model's words are misread (WER)"),
    PaperClaim("sync_confidence", "the model's lips are in clearer synchrony with the sound"),
    PaperClaim(
        "silence_motion",
        "the model's motion in silence (the paper: moves less) is nearer to the real mouth's",
        lower=True,
    ),
    PaperClaim(
        "jitter",
        "the model's jitter (the paper: jitters less) is nearer to the real face's",
        lower=True,
    ),
    PaperClaim("psnr", "the model's PSNR is higher"),
    PaperClaim("ssim", "the model's SSIM is higher"),
    PaperClaim("fdbm", "the model's frames are sharper (FDBM)"),
    PaperClaim("acd_l2", "the model keeps the identity better (ACD)"),
)
BLINK_CLAIMS = (
    "variants with the sequence discriminator blink more than those without",
    "those without it next to never blink: less than a tenth as often as the real people",
)


def published(corpus: str, split: str) -> dict[str, dict[str, float]]:
    """Looks up the paper's numbers.

    Args:
      corpus: Name.
      split: Name.

    Returns:
      Row -> metric -> number; empty where the paper measured something else.
    """
    return _TABLE_1.get(corpus, {}) if split == "test" else {}


# The paper's section 3.4, and the column "user" of Table 1.
USER_STUDY = {
    "what": "30 people, 30 pairs, the model against the static baseline",
    "grid": 0.7977,
    "tcd_timit": 0.7703,
}
TURING_TEST = {"what": "316 people, 10 videos each, labelled correctly", "correct": 0.63}
