"""No lip reader reads what is generated, where the config has one."""

from configs import ablations

get_config = ablations.changing(
    "no_lip_reading", {"loss.deep_lip_reading": 0.0, "loss.lip_reading": 0.0}
)
