"""Runs the bundle that this file lies in, with numpy and either tensorflow or ai-edge-litert.

    python run_tensorflow.py --image=face.png --audio=speech.wav --output=talk.y4m [--runtime=litert]

It takes and writes the files that run_bundle.py, beside it, does. In Python:

    frames = bundle_runtime.Bundle(folder, "tensorflow", RUNTIMES)(still, audio, seed=0)
"""

import os
import sys
from typing import Any

import numpy as np

Arrays = dict[str, Any]  # By name: numpy's arrays, or tensors.
Folder = Any  # A pathlib.Path, or what has its methods.
Array = np.ndarray
Step = tuple[Arrays, Array]  # The state and the frames after a call.


class _TensorflowRuntime:
    """A bundle_runtime.Runtime: the SavedModel, on whatever device TensorFlow finds."""

    program_format = "savedmodel"

    def __init__(self, folder: Folder, config: dict[str, Any]):
        import tensorflow  # pyright: ignore[reportMissingModuleSource]

        self._to_tensor = tensorflow.convert_to_tensor
        graph = folder / config["programs"][self.program_format]["graph"]
        self._model = tensorflow.saved_model.load(str(graph.parent))

    def _run(self, signature: str, values: Arrays) -> Arrays:
        tensors = {name: self._to_tensor(value) for name, value in values.items()}
        return self._model.signatures[signature](**tensors)

    def encode_identity(self, stills: Array) -> Arrays:
        return self._run("identify", {"still": stills})

    def animate(self, identity: Arrays, windows: Array, noise: Array, state: Arrays) -> Step:
        single = windows.shape[1] == 1
        inputs = {"windows": windows, "noise": noise}
        if single:
            inputs = {name: value[:, 0] for name, value in inputs.items()}
        outputs = self._run("step" if single else "animate", identity | inputs | state)
        frames = outputs["frames"].numpy()
        state = {name: outputs[f"next_{name}"] for name in state}
        return state, frames[:, None] if single else frames


class _LiteRtRuntime:
    """A bundle_runtime.Runtime: the .tflite files, for one still and one frame at a time, on the CPU."""

    program_format = "tflite"

    def __init__(self, folder: Folder, config: dict[str, Any]):
        from ai_edge_litert import interpreter  # pyright: ignore[reportMissingImports]

        def load(name: str) -> Any:
            file = str(folder / config["programs"][self.program_format][name])
            loaded = interpreter.Interpreter(file, num_threads=os.cpu_count())
            return loaded.get_signature_runner(name)

        self._identify, self._step = map(load, ("identify", "step"))

    def encode_identity(self, stills: Array) -> Arrays:
        return _concatenate([self._identify(still=still[None]) for still in stills])

    def animate(self, identity: Arrays, windows: Array, noise: Array, state: Arrays) -> Step:
        frames = []
        for t in range(windows.shape[1]):
            inputs = identity | {"windows": windows[:, t], "noise": noise[:, t]} | state
            outputs = _concatenate(
                [
                    self._step(**{name: value[i : i + 1] for name, value in inputs.items()})
                    for i in range(len(windows))
                ]
            )
            frames.append(outputs["frames"])
            state = {name: outputs[f"next_{name}"] for name in state}
        return state, np.stack(frames, axis=1)


def _concatenate(clips: list[Arrays]) -> Arrays:
    return {name: np.concatenate([clip[name] for clip in clips]) for name in clips[0]}


RUNTIMES = {"tensorflow": _TensorflowRuntime, "litert": _LiteRtRuntime}

if __name__ == "__main__":
    import run_bundle

    sys.exit(run_bundle.main(description=__doc__, runtimes=RUNTIMES))
