"""No lip reader reads the generated mouths, where the config has one."""

from configs import ablations

get_config = ablations.changing("no_lip_reading", {"loss.lip_reading": 0.0})
