"""What a run says about itself: warnings that come at the right moment, and memory."""

import numpy as np
import pytest

from s2f_jax.runs import log
from s2f_jax.runs.log import Watch


def event(real, fake, name="frame_discriminator"):
    return {f"{name}/{what}": x for what, x in zip(PARTS, (0.5, real, fake), strict=True)}


PARTS = ("loss", "accuracy_real", "accuracy_fake")
BETWEEN = (0.8, 0.8)


def told(*accuracies):
    """-> the numbers of the events, from 1, at which something is said."""
    watch = Watch()
    return [i for i, each in enumerate(accuracies, 1) if watch.event(event(*each))]


@pytest.mark.parametrize("stuck", [(0.5, 0.5), (1.0, 0.0), (0.1, 0.9), (0.2, 0.3), (1.0, 0.99)])
def test_a_spell_is_told_once_at_its_twentieth_event(stuck):
    assert told(*[stuck] * 19) == []
    assert told(*[stuck] * 60) == [20]
    assert told(*[stuck] * 19, BETWEEN, *[stuck] * 20) == [40]
    assert told(*[stuck] * 25, BETWEEN, *[stuck] * 25) == [20, 46]


@pytest.mark.parametrize("fine", [(0.75, 0.75), (1.0, 0.9), (0.3, 1.0), (0.62, 0.6)])
def test_what_teaches_is_left_alone(fine):
    assert told(*[fine] * 50) == []


def test_from_chance_to_certainty_is_another_spell():
    assert told(*[(0.5, 0.5)] * 10, *[(1.0, 1.0)] * 20) == [30]


def test_the_warning_names_the_fields_of_its_network():
    watch = Watch()
    both = event(0.5, 0.5) | event(1.0, 1.0, "sequence_discriminator")
    frame, sequence = [watch.event(both) for _ in range(20)][-1]
    assert "D_frame has been at chance for 20 log events" in frame
    assert (
        "a higher --config.discriminators.frame.rate or a lower"
        " --config.discriminators.frame.weight" in frame
    )
    assert "D_sequence has been at certainty" in sequence
    assert (
        "a lower --config.discriminators.sequence.rate or a higher"
        " --config.discriminators.sequence.weight" in sequence
    )


def test_steps_without_discriminators_say_nothing():
    watch = Watch()
    assert [watch.event({"generator/reconstruction": 0.1}) for _ in range(50)] == [[]] * 50


def test_memory_that_is_held_is_counted():
    before = log.memory_gb()
    held = np.ones(25_000_000)  # 0.2 GB.
    assert log.memory_gb() - before > 0.15
    del held


def test_devices_that_count_their_memory_are_asked(monkeypatch):
    class Device:
        def __init__(self, peak):
            self.peak = peak

        def memory_stats(self):
            return {"bytes_in_use": 1, "peak_bytes_in_use": self.peak}

    devices = [Device(2_000_000_000), Device(3_500_000_000)]
    monkeypatch.setattr(log.jax, "local_devices", lambda: devices)
    assert log.memory_gb() == 3.5
