"""500 bad inputs to the commands that people give files to: a right result or one sentence."""

import shlex
import shutil

import pytest

from tests.fuzz import fuzz_cases
from tests.fuzz.fuzz_verdicts import faults, snapshot

_QUICK = 12  # Every so many-th case is in `make test`; all of them in `make fuzz`.
NUMBERS = [
    pytest.param(number, marks=() if number % _QUICK == 0 else pytest.mark.slow)
    for number in range(fuzz_cases.COUNT)
]


@pytest.mark.parametrize("number", NUMBERS)
def test_it_is_a_right_result_or_one_sentence(number, tmp_path, materials, worker):
    folder, logs = tmp_path / "in", tmp_path / "logs"
    folder.mkdir()
    logs.mkdir()
    case = fuzz_cases.case(number, folder, materials)
    (logs / "stdin").write_bytes(case.stdin or b"")
    before = snapshot(folder)
    outcome = worker.run(case.arguments, folder, logs, logs / "stdin")
    if wrong := faults(case, outcome, folder, before):
        made = ", ".join(f"{flag}: {each.what}" for flag, each in case.made.items())
        line = shlex.join(["s2f", *case.arguments]).encode(errors="backslashreplace").decode()
        pytest.fail(
            f"case {number} ({made}), kept in {tmp_path}\n{line[:2000]}\nexit code {outcome.code},"
            f" {outcome.seconds:.1f} s\n"
            + "\n".join(wrong)
            + f"\nsaid: {outcome.error[-2000:].decode(errors='replace')}",
            pytrace=False,
        )
    shutil.rmtree(tmp_path)
