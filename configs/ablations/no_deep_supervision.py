"""Nothing is read out of z_c, where the config does: the drawn pixels alone teach the context encoder."""

from configs import ablations

get_config = ablations.changing(
    "no_deep_supervision", {"loss.deep_supervision": 0.0, "loss.deep_lip_reading": 0.0}
)
