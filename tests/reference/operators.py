#!/usr/bin/env python3
"""What PyTorch, in double, makes of single operators: the numbers that tests/test_pytorch.c compares with.

    python3 tests/reference/operators.py [--out tests/reference/operators.safetensors]

Needs torch (2.13 made the file). A case K is a sample as operators have it in compiler/ops, in the
metadata under its number, and tensors K.x, K.w ... (operands by name, F32), K.y, K.dy, and the
gradients K.dx, K.dw ... (F64). Pads that PyTorch does not have are zeros put around, turned kernels
are turned, as the definitions say.
"""
import argparse
import json
import pathlib
import struct

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def both(v):
    return tuple(v) if isinstance(v, (tuple, list)) else (v, v)


def sides(x, o, kernel):
    """Zeros before and behind each side, and the side's numbers, for images and for lines."""
    n = x.dim() - 2
    k, s, d = (both(v)[-n:] for v in (kernel, o.get("stride", 1), o.get("dilation", 1)))
    span = [(k[i] - 1) * d[i] + 1 for i in range(n)]
    pad = o.get("pad", 0)
    if pad == "full":
        return k, s, d, [(p - 1, p - 1) for p in span]
    if pad == "same":  # TensorFlow's
        total = [max((-(-x.shape[2 + i] // s[i]) - 1) * s[i] + span[i] - x.shape[2 + i], 0) for i in range(n)]
        return k, s, d, [(t // 2, t - t // 2) for t in total]
    return k, s, d, [both(p) for p in (both(pad) if n == 2 else (pad,))]


def around(x, pads, value=0.0):
    return F.pad(x, [p for side in reversed(pads) for p in side], value=value)


def conv(o, x, w, b=None):
    k, s, d, pads = sides(x, o, tuple(w.shape[2:]) if x.dim() == 4 else w.shape[2])
    if o.get("flip"):
        w = w.flip(tuple(range(2, w.dim())))
    f = F.conv2d if x.dim() == 4 else F.conv1d
    return f(around(x, pads), w, b, s, 0, d, o.get("groups", 1))


def conv_transpose(o, x, w, b=None):
    lines = x.dim() == 3
    if o.get("flip"):
        w = w.flip(tuple(range(2, w.dim())))
    f = F.conv_transpose1d if lines else F.conv_transpose2d
    if not isinstance(o.get("pad", 0), tuple):
        return f(x, w, b, o.get("stride", 1), o.get("pad", 0), o.get("output_pad", 0), o.get("groups", 1),
                 o.get("dilation", 1))
    y = f(x, w, None, o.get("stride", 1), 0, 0, o.get("groups", 1), o.get("dilation", 1))
    (top, bottom), (left, right) = o["pad"]
    y = y[:, :, top:y.shape[2] - bottom, left:y.shape[3] - right]
    return y + b.reshape(1, -1, 1, 1)


def max_pool(o, x):
    k, s, d, pads = sides(x, o, o["kernel"])
    f = F.max_pool2d if x.dim() == 4 else F.max_pool1d
    return f(around(x, pads, -torch.inf), k, o.get("stride", o["kernel"]), 0, 1, o.get("ceil", False))


def avg_pool(o, x):
    f = F.avg_pool2d if x.dim() == 4 else F.avg_pool1d
    return f(x, o["kernel"], o.get("stride", o["kernel"]), o.get("pad", 0), o.get("ceil", False),
             o.get("count_pad", True))


def lrn(o, x):
    return F.local_response_norm(x, o["size"], o["alpha"], o["beta"], o["k"])


def adaptive(o, x):
    return (F.adaptive_avg_pool2d if x.dim() == 4 else F.adaptive_avg_pool1d)(x, o["out"])


def batch_norm_train(o, x, w, b):
    return F.batch_norm(x, None, None, w, b, True, 0.1, o.get("eps", 1e-5))


FUNCTIONS = {"conv": conv, "conv_transpose": conv_transpose, "max_pool": max_pool, "avg_pool": avg_pool,
             "lrn": lrn, "adaptive_avg_pool": adaptive, "batch_norm_train": batch_norm_train,
             "softmax": lambda o, x: x.softmax(1), "log_softmax": lambda o, x: x.log_softmax(1)}

CASES = [
    ("conv", dict(x=(2, 3, 6, 5), w=(4, 3, 3, 3), b=(4,)), dict(out=4, kernel=3)),
    ("conv", dict(x=(1, 3, 6, 5), w=(4, 3, 3, 3)), dict(out=4, kernel=3, pad=1, bias=False)),
    ("conv", dict(x=(1, 3, 6, 7), w=(4, 3, 4, 2), b=(4,)), dict(out=4, kernel=(4, 2), pad="same")),
    ("conv", dict(x=(1, 3, 9, 7), w=(4, 3, 3, 2), b=(4,)),
     dict(out=4, kernel=(3, 2), pad="same", stride=(2, 3))),
    ("conv", dict(x=(1, 2, 4, 3), w=(3, 2, 3, 4), b=(3,)), dict(out=3, kernel=(3, 4), pad="full")),
    ("conv", dict(x=(2, 2, 7, 6), w=(3, 2, 3, 2), b=(3,)),
     dict(out=3, kernel=(3, 2), pad=((0, 2), (3, 1)), stride=2)),
    ("conv", dict(x=(1, 2, 9, 8), w=(3, 2, 3, 3), b=(3,)),
     dict(out=3, kernel=3, pad=(2, 1), dilation=(2, 1), stride=(1, 2))),
    ("conv", dict(x=(1, 4, 6, 5), w=(6, 2, 3, 3), b=(6,)), dict(out=6, kernel=3, groups=2, pad=1)),
    ("conv", dict(x=(1, 5, 7, 6), w=(5, 1, 3, 3), b=(5,)), dict(out=5, kernel=3, groups=5, stride=2)),
    ("conv", dict(x=(1, 2, 6, 5), w=(3, 2, 3, 2), b=(3,)), dict(out=3, kernel=(3, 2), flip=True, pad="full")),
    ("conv", dict(x=(1, 4, 9, 8), w=(4, 2, 2, 3), b=(4,)),
     dict(out=4, kernel=(2, 3), flip=True, stride=2, dilation=2, groups=2)),
    ("conv", dict(x=(2, 3, 12), w=(4, 3, 5), b=(4,)), dict(out=4, kernel=5, stride=2, pad=2)),
    ("conv", dict(x=(2, 3, 11), w=(4, 3, 3), b=(4,)), dict(out=4, kernel=3, dilation=3, pad="same")),
    ("conv", dict(x=(1, 2, 6), w=(3, 2, 4)), dict(out=3, kernel=4, pad="full", flip=True, bias=False)),
    ("conv_transpose", dict(x=(2, 3, 4, 3), w=(3, 4, 2, 2), b=(4,)), dict(out=4, kernel=2, stride=2)),
    ("conv_transpose", dict(x=(1, 3, 4, 3), w=(3, 2, 3, 3), b=(2,)),
     dict(out=2, kernel=3, stride=2, pad=1, output_pad=1)),
    ("conv_transpose", dict(x=(1, 3, 3, 4), w=(3, 2, 4, 4)),
     dict(out=2, kernel=4, stride=2, pad=1, bias=False)),
    ("conv_transpose", dict(x=(1, 3, 3, 2), w=(3, 2, 2, 3), b=(2,)),
     dict(out=2, kernel=(2, 3), stride=(4, 5), output_pad=(3, 1))),
    ("conv_transpose", dict(x=(1, 4, 3, 4), w=(4, 3, 3, 3), b=(6,)),
     dict(out=6, kernel=3, stride=2, pad=2, dilation=2, output_pad=1, groups=2)),
    ("conv_transpose", dict(x=(1, 2, 4, 3), w=(2, 3, 3, 2), b=(3,)),
     dict(out=3, kernel=(3, 2), stride=(1, 2), pad=((0, 1), (1, 0)))),
    ("conv_transpose", dict(x=(1, 2, 3, 3), w=(2, 3, 3, 3), b=(3,)),
     dict(out=3, kernel=3, stride=2, flip=True)),
    ("conv_transpose", dict(x=(2, 3, 5), w=(3, 4, 4), b=(4,)), dict(out=4, kernel=4, stride=2, pad=1)),
    ("conv_transpose", dict(x=(1, 3, 4), w=(3, 1, 3), b=(3,)),
     dict(out=3, kernel=3, stride=4, output_pad=2, groups=3)),
    ("max_pool", dict(x=(1, 2, 7, 6)), dict(kernel=3, stride=2, pad=1)),
    ("max_pool", dict(x=(1, 2, 8, 7)), dict(kernel=3, stride=2, ceil=True)),
    ("max_pool", dict(x=(1, 2, 7, 6)), dict(kernel=(4, 3), stride=2, pad=((2, 1), (0, 1)))),
    ("max_pool", dict(x=(2, 3, 9)), dict(kernel=2)),
    ("avg_pool", dict(x=(1, 2, 7, 6)), dict(kernel=3, stride=2, pad=1)),
    ("avg_pool", dict(x=(1, 2, 7, 6)), dict(kernel=3, stride=2, pad=1, count_pad=False)),
    ("avg_pool", dict(x=(1, 2, 8, 7)), dict(kernel=3, stride=2, pad=1, ceil=True)),
    ("avg_pool", dict(x=(1, 2, 8, 9)), dict(kernel=(3, 4), stride=(2, 3), pad=1, ceil=True, count_pad=False)),
    ("avg_pool", dict(x=(2, 3, 10)), dict(kernel=4, stride=3, pad=1, count_pad=False)),
    ("adaptive_avg_pool", dict(x=(1, 2, 7, 5)), dict(out=(3, 4))),
    ("adaptive_avg_pool", dict(x=(1, 2, 11)), dict(out=4)),
    ("lrn", dict(x=(1, 7, 3, 2)), dict(size=5, alpha=0.5, beta=0.75, k=2)),
    ("lrn", dict(x=(1, 6, 3, 2)), dict(size=4, alpha=0.5, beta=0.6, k=1)),
    ("batch_norm_train", dict(x=(3, 4, 2, 3), w=(4,), b=(4,)), dict()),
    ("batch_norm_train", dict(x=(3, 4, 5), w=(4,), b=(4,)), dict(eps=0.01)),
    ("softmax", dict(x=(2, 5, 2, 3)), dict()),
    ("log_softmax", dict(x=(2, 5, 3)), dict()),
]


def number(v):
    return {True: "true", False: "false"}[v] if isinstance(v, bool) else str(v)


def attribute(v):
    if not isinstance(v, tuple):
        return number(v)
    return "x".join("+".join(map(number, e)) if isinstance(e, tuple) else number(e) for e in v)


def sample(op, shapes, o):
    text = " ".join(f"{k}={'x'.join(map(str, s))}" for k, s in shapes.items())
    return f"{op}: {text}" + "".join(f"{' |' if i == 0 else ''} {k}={attribute(v)}" for i, (k, v) in enumerate(o.items()))


def run(number, op, shapes, o, tensors):
    at = {k: torch.randn(s).float().double().requires_grad_() for k, s in shapes.items()}
    y = FUNCTIONS[op](o, *at.values())
    dy = torch.randn(y.shape).float().double()
    y.backward(dy)
    for k, t in at.items():
        tensors[f"{number}.{k}"] = t.detach().float()
        tensors[f"{number}.d{k}"] = t.grad
    tensors[f"{number}.y"], tensors[f"{number}.dy"] = y.detach(), dy.float()


def write(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, t in tensors.items():
        raw = t.contiguous().numpy().tobytes()
        header[name] = {"dtype": {torch.float32: "F32", torch.float64: "F64"}[t.dtype],
                        "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "operators.safetensors")
    out = parser.parse_args().out
    torch.manual_seed(1)
    tensors, metadata = {}, {"torch": torch.__version__}
    for i, (op, shapes, o) in enumerate(CASES):
        metadata[str(i)] = sample(op, shapes, o)
        run(i, op, shapes, o, tensors)
    write(out, tensors, metadata)
    print(f"{out}: {len(CASES)} cases, torch {torch.__version__}")


main()
