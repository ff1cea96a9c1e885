"""Runs the bundle that this file lies in, with numpy and either tensorflow or ai-edge-litert.

    python run_tensorflow.py --image=face.png --audio=speech.wav --output=talk.y4m [--runtime=litert]

Files are those of run_bundle.py, beside it, which does the rest. In Python:

    frames = bundle_runtime.Bundle(folder, "tensorflow", RUNTIMES)(still, sound, seed=0)
"""

import os
import sys
from typing import Any

import numpy as np

Arrays = dict[str, Any]  # By name: numpy's arrays, or tensors.


class Tensorflow:
    """As bundle_runtime's JaxRuntime, by the SavedModel, on whatever device TensorFlow finds."""

    runs = "savedmodel"

    def __init__(self, folder: Any, config: dict[str, Any]):
        import tensorflow  # pyright: ignore[reportMissingModuleSource]

        self._tensor = tensorflow.convert_to_tensor
        graph = folder / config["programs"][self.runs]["graph"]
        self._model = tensorflow.saved_model.load(str(graph.parent))

    def _run(self, name: str, given: Arrays) -> Arrays:
        tensors = {key: self._tensor(value) for key, value in given.items()}
        return self._model.signatures[name](**tensors)

    def identify(self, stills: np.ndarray) -> Arrays:
        return self._run("identify", {"still": stills})

    def animate(
        self, identity: Arrays, windows: np.ndarray, noise: np.ndarray, state: Arrays
    ) -> tuple[Arrays, np.ndarray]:
        one = windows.shape[1] == 1
        heard = {"windows": windows, "noise": noise}
        if one:
            heard = {name: value[:, 0] for name, value in heard.items()}
        out = self._run("step" if one else "animate", identity | heard | state)
        frames = out["frames"].numpy()
        return {name: out[f"next_{name}"] for name in state}, frames[:, None] if one else frames


class LiteRt:
    """The same by the .tflite files, on the CPU: each still and each frame by itself."""

    runs = "tflite"

    def __init__(self, folder: Any, config: dict[str, Any]):
        from ai_edge_litert import interpreter  # pyright: ignore[reportMissingImports]

        def runner(name: str) -> Any:
            file = str(folder / config["programs"][self.runs][name])
            made = interpreter.Interpreter(file, num_threads=os.cpu_count())
            return made.get_signature_runner(name)

        self._identify, self._step = map(runner, ("identify", "step"))

    def identify(self, stills: np.ndarray) -> Arrays:
        return _stacked([self._identify(still=still[None]) for still in stills])

    def animate(
        self, identity: Arrays, windows: np.ndarray, noise: np.ndarray, state: Arrays
    ) -> tuple[Arrays, np.ndarray]:
        drawn = []
        for t in range(windows.shape[1]):
            given = identity | {"windows": windows[:, t], "noise": noise[:, t]} | state
            out = _stacked(
                [
                    self._step(**{name: value[i : i + 1] for name, value in given.items()})
                    for i in range(len(windows))
                ]
            )
            drawn.append(out["frames"])
            state = {name: out[f"next_{name}"] for name in state}
        return state, np.stack(drawn, axis=1)


def _stacked(each: list[Arrays]) -> Arrays:
    return {name: np.concatenate([one[name] for one in each]) for name in each[0]}


RUNTIMES = {"tensorflow": Tensorflow, "litert": LiteRt}

if __name__ == "__main__":
    import run_bundle

    sys.exit(run_bundle.main(about=__doc__, runtimes=RUNTIMES))
