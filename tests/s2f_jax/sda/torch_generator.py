"""The authors' generator in PyTorch, written from the format of their files and from the paper.

Plain functions of the state dicts, so that what `convert` makes of a file is compared with what the
file says; and files with random weights for it.
"""

import collections
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")  # requirements/torch.txt.
functional = torch.nn.functional

STABLE = (33, 36, 39, 42, 45)


def factors(n):
    return next(([p, *factors(n // p)] for p in range(2, n + 1) if n % p == 0), [])


def norms(name, channels):
    return {
        f"{name}.{kind}": [channels] for kind in ("weight", "bias", "running_mean", "running_var")
    }


def gru(name, layers, inputs, features):
    shapes = {}
    for layer in range(layers):
        shapes[f"{name}.weight_ih_l{layer}"] = [3 * features, features if layer else inputs]
        shapes[f"{name}.weight_hh_l{layer}"] = [3 * features, features]
        shapes[f"{name}.bias_ih_l{layer}"] = shapes[f"{name}.bias_hh_l{layer}"] = [3 * features]
    return shapes


def shapes(header, width, audio_width):
    """Of every tensor, from the table of the format, for other sizes too."""
    step = int(0.001 * header["audio_rate"])
    strides = factors(header["audio_feat_samples"] // step)
    kernels = [int(0.005 * header["audio_rate"]), *(2 * s for s in strides[:-1]), strides[-1]]
    maps = [1, *(audio_width * 2**i for i in range(len(strides))), header["aud_enc_dim"]]
    encoder = {}
    for i, kernel in enumerate(kernels):
        encoder[f"encoder.cl.{i}.weight"] = [maps[i + 1], maps[i], kernel]
        encoder[f"encoder.cl.{i}.bias"] = [maps[i + 1]]
        if i < len(strides):
            encoder |= norms(f"encoder.activations.{i}.0", maps[i + 1])
    encoder |= gru("rnn", 2, header["aud_enc_dim"], header["rnn_gen_dim"])

    height, image_width = header["img_size"]
    halvings = int(math.log2(max(height, image_width))) - 2
    top = [height >> halvings, image_width >> halvings]
    maps = [3, *(width * 2**i for i in range(halvings))]
    encoder_id = {}
    for i in range(halvings):
        encoder_id[f"cl.{i}.0.weight"] = [maps[i + 1], maps[i], 4, 4]
        encoder_id |= norms(f"cl.{i}.1", maps[i + 1])
    encoder_id[f"cl.{halvings}.0.weight"] = [header["id_enc_dim"], maps[-1], *top]

    latent = header["rnn_gen_dim"] + header["aux_latent"] + header["id_enc_dim"]
    generator = gru("rnn_noise", 1, header["aux_latent"], header["aux_latent"])
    generator |= {"dcl.0.0.weight": [latent, maps[-1], *top], **norms("dcl.0.1", maps[-1])}
    for i, c in enumerate(maps[:1:-1], 1):
        generator[f"dcl.{i}.dcl1.weight"] = [2 * c, c, 3, 3]
        generator |= norms(f"dcl.{i}.activation1.0", c)
        generator[f"dcl.{i}.dcl2.weight"] = [c, c // 2, 4, 4]
        generator |= norms(f"dcl.{i}.activation2.0", c // 2)
    generator[f"dcl.{halvings}.weight"] = [width, 3, 4, 4]
    return {"encoder": encoder, "encoder_id": encoder_id, "generator": generator}


def random_tensor(name, shape, rng):
    """Large enough for frames that are not grey, with BatchNorm statistics that are not initial."""
    if name.endswith(("running_var", "norm.weight")) or (
        len(shape) == 1 and name.endswith("weight")
    ):
        values = rng.uniform(0.5, 1.5, shape)
    elif len(shape) == 1:
        values = rng.normal(0, 0.3, shape)
    else:
        transposed = ".dcl" in name or name.startswith("dcl")
        fan_in = shape[0] if transposed else math.prod(shape[1:])
        if transposed:
            fan_in *= {4: 4, 3: 9}[shape[3]] if not name.startswith("dcl.0.") else 1
        values = rng.normal(0, 1.3 / math.sqrt(fan_in), shape)
    return torch.from_numpy(values.astype(np.float32))


def contents(
    rate=50000,
    fps=25,
    seconds=0.2,
    size=(16, 12),
    sizes=(12, 8, 3),
    width=4,
    audio_width=2,
    seed=0,
    mean_face=True,
    counts=False,
):
    """A file's dictionary with random weights; sizes: of identity, context and noise.

    counts: num_batches_tracked, as from PyTorch 0.4.1 on.
    """
    rng = np.random.default_rng(seed)
    identity, context, noise = sizes
    header = {
        "audio_rate": rate,
        "video_rate": fps,
        "audio_feat_len": seconds,
        "audio_feat_samples": round(rate * seconds),
        "img_size": size,
        "id_enc_dim": identity,
        "rnn_gen_dim": context,
        "aud_enc_dim": context,
        "aux_latent": noise,
        "sequential_noise": True,
    }
    if mean_face:
        header["mean_face"] = rng.uniform(0.2, 0.8, (68, 2)) * (size[1], size[0])
    states = {}
    for key, tensors in shapes(header, width, audio_width).items():
        states[key] = collections.OrderedDict(
            (name, random_tensor(name, shape, rng)) for name, shape in tensors.items()
        )
        if counts:
            for name in [name for name in tensors if name.endswith("running_var")]:
                count = torch.tensor(int(rng.integers(1 << 40)))
                states[key][name.replace("running_var", "num_batches_tracked")] = count
    return header | states


def save(contents, path, **options):
    """As PyTorch did before 1.6."""
    torch.save(contents, path, _use_new_zipfile_serialization=False, **options)
    return path


def relu_norm(x, state, name):
    of = (state[f"{name}.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias"))
    return functional.relu(functional.batch_norm(x, *of, eps=1e-5))


def run_gru(x, state, name, layers):
    """x [T, inputs] -> [T, features], from a state of zeros."""
    tensors = {
        key.removeprefix(f"{name}."): value
        for key, value in state.items()
        if key.startswith(f"{name}.")
    }
    module = torch.nn.GRU(x.shape[1], tensors["weight_hh_l0"].shape[1], layers)
    module.load_state_dict(tensors)
    return module(x)[0]


def windows(contents, sound):
    """float32 [S] -> [T, samples]: a window a frame, its frame in the middle, silence around."""
    stride = int(contents["audio_rate"] / contents["video_rate"])
    samples = contents["audio_feat_samples"]
    frames = math.ceil(len(sound) / stride)
    left = (samples - stride) // 2
    padded = np.pad(sound, (left, frames * stride + samples))
    return torch.from_numpy(np.stack([padded[t * stride :][:samples] for t in range(frames)]))


def encode_audio(contents, sound):
    state, rate = contents["encoder"], contents["audio_rate"]
    kernel, stride = int(0.005 * rate), int(0.001 * rate)
    x = windows(contents, sound)[:, None]
    strides = factors(x.shape[2] // stride)
    for i in range(len(strides)):
        if i:
            kernel, stride = 2 * strides[i - 1], strides[i - 1]
        padding = math.ceil((kernel - stride) / 2)
        weight, bias = state[f"encoder.cl.{i}.weight"], state[f"encoder.cl.{i}.bias"]
        x = functional.conv1d(x, weight, bias, stride, padding)
        x = relu_norm(x, state, f"encoder.activations.{i}.0")
    last = f"encoder.cl.{len(strides)}"
    x = torch.tanh(functional.conv1d(x, state[f"{last}.weight"], state[f"{last}.bias"]))
    return run_gru(x[..., 0], state, "rnn", 2)


def encode_identity(contents, still):
    state, maps = contents["encoder_id"], []
    x = torch.from_numpy(still).permute(2, 0, 1)[None].float() / 127.5 - 1
    count = sum(name.endswith(".0.weight") for name in state)
    for i in range(count - 1):
        x = functional.conv2d(x, state[f"cl.{i}.0.weight"], stride=2, padding=1)
        x = relu_norm(x, state, f"cl.{i}.1")
        maps.append(x)
    code = torch.tanh(functional.conv2d(x, state[f"cl.{count - 1}.0.weight"]))
    return code.reshape(1, -1), maps[::-1]


@torch.no_grad()
def animate(contents, still, sound, noise=None):
    """still uint8 [H, W, 3], sound float32 [S], noise [T, aux_latent] -> [T, H, W, 3] in [-1, 1]."""
    state, z_c = contents["generator"], encode_audio(contents, sound)
    frames = len(z_c)
    noise = torch.zeros(frames, contents["aux_latent"]) if noise is None else torch.tensor(noise)
    z_n = torch.tanh(run_gru(noise, state, "rnn_noise", 1))
    z_id, maps = encode_identity(contents, still)
    z = torch.cat([z_c, z_n, z_id.expand(frames, -1)], 1)[..., None, None]
    x = relu_norm(functional.conv_transpose2d(z, state["dcl.0.0.weight"]), state, "dcl.0.1")
    for i in range(1, len(maps)):
        x = torch.cat([x, maps[i - 1].expand(frames, -1, -1, -1)], 1)
        x = functional.conv_transpose2d(x, state[f"dcl.{i}.dcl1.weight"], padding=1)
        x = relu_norm(x, state, f"dcl.{i}.activation1.0")
        x = functional.conv_transpose2d(x, state[f"dcl.{i}.dcl2.weight"], stride=2, padding=1)
        x = relu_norm(x, state, f"dcl.{i}.activation2.0")
    last = state[f"dcl.{len(maps)}.weight"]
    x = torch.tanh(functional.conv_transpose2d(x, last, stride=2, padding=1))
    return x.permute(0, 2, 3, 1).numpy()
