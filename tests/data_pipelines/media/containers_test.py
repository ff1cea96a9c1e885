"""Media files are opened alike under every PyAV."""

from types import SimpleNamespace

import pytest

from data_pipelines.media import containers


@pytest.mark.parametrize("value", ["caf\udce9", "caf\ufffd"])
def test_tags_that_are_not_utf_8_can_be_written(value):
    """PyAV 19 keeps the byte as a lone surrogate, earlier ones replace it when told to."""
    tags = containers.read_tags(SimpleNamespace(metadata={f"k {value}": value, "\u00e9": "\u4e2d"}))
    assert tags == {"k caf\ufffd": "caf\ufffd", "\u00e9": "\u4e2d"}
    str(tags).encode()
