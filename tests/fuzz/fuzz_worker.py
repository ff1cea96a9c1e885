"""Runs command lines one after the other in one process, so that each costs no start.

Reads a JSON object a line: arguments, folder, and where standard input, output and error are to be;
answers each by a line: exit code, and the traceback of what came out of `main.run` instead.
"""

import faulthandler
import gc
import json
import os
import signal
import sys
import tempfile
import traceback
import warnings

# As conftest.py has it; most of a case's time would be compiling.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
os.environ["OPENCV_LOG_LEVEL"] = "SILENT"  # As s2f_jax.main does.

from absl import flags, logging

from data_pipelines.common import download
from data_pipelines.faces import landmarks
from s2f_jax import main
from s2f_jax.diagnostics import inputs
from s2f_jax.export import export
from s2f_jax.inference import animator
from s2f_jax.render import generate, stream
from s2f_jax.sda import convert
from tests import stand_in_faces

warnings.filterwarnings("ignore", module="PIL")  # As s2f_jax.main does.
# Imported here, once, and not in the first case's time.
COMMANDS = animator, convert, inputs, export, generate, stream


def run(job, standard):
    """-> the answer; file descriptors 0 to 2 are the job's meanwhile, C libraries' too."""
    modes = (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT)
    for number, (path, mode) in enumerate(zip(job["standard"], modes, strict=True)):
        descriptor = os.open(path, mode, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(job["folder"])
    tempfile.tempdir = os.environ["TMPDIR"] = job["temporary"]
    answer = {"code": None, "traceback": ""}
    try:
        answer["code"] = main.dispatch(job["arguments"])
    except SystemExit as end:  # Of --help.
        answer["code"] = end.code or 0
    except BaseException:
        answer["traceback"] = traceback.format_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
    gc.collect()
    return answer


def loop():
    answers, jobs = os.fdopen(os.dup(1), "w"), os.fdopen(os.dup(0))
    standard = [os.dup(number) for number in range(3)]
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # Where it hangs.
    sys.stdout.reconfigure(errors="backslashreplace")  # As main.main has it.
    flags.FLAGS.mark_as_parsed()
    logging.set_verbosity(logging.ERROR)
    if download.local_model(landmarks.MODEL) is None:
        landmarks.FaceFinder = stand_in_faces.Finder
    print("ready", file=answers, flush=True)
    for line in jobs:
        print(json.dumps(run(json.loads(line), standard)), file=answers, flush=True)


if __name__ == "__main__":
    loop()
