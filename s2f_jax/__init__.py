"""Speech-driven facial animation with temporal GANs; see README.md."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Lazily, so that `s2f --help` does not wait for JAX.
    if name == "Animator":
        from s2f_jax.inference.animator import Animator

        return Animator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
