#!/usr/bin/env python3
"""What PyTorch, in double, makes of the two LeNets: the numbers that tests/test_lenet.c compares with.

    python3 tests/reference/lenet.py [--cnnc build/cnnc] [--out tests/reference]

Needs torch (2.13 made the files), a built cnnc and a C compiler; all three only to make the files
again. First weights are cnnc's own, from the emitted lenet_init(); images and labels are made of
integers by mix(), which the test repeats. Per variant, lenet_VARIANT.safetensors holds

    scores          outputs on batch 0 with the first weights
    grad NAME       gradients there; of tensors over LARGE numbers: `project` and `norm` instead
    losses          of STEPS steps of SGD with momentum over BATCHES batches in turn
    project start, project end, norm end     all weights before the first and after the last step

A projection is PROJECTIONS sums of all numbers with signs drawn by mix(): the mean square of the
differences between two tensors' projections estimates their squared distance (Johnson and
Lindenstrauss), so a few numbers tell about 48,000.
"""
import argparse
import ctypes
import json
import pathlib
import re
import struct
import subprocess
import tempfile

import torch
import torch.nn.functional as F

SEED, BATCH, BATCHES, STEPS = 7, 8, 4, 20
LARGE, PROJECTIONS = 2500, 32
MOMENTUM = 0.9
RATE = {"modern": 0.05, "paper": 0.002}
ROOT = pathlib.Path(__file__).resolve().parents[2]


def mix(i):
    """32 bits that look random, from 32 bits; a tensor of them from a tensor."""
    m = 0xFFFFFFFF
    h = i * 0x9E3779B1 & m
    h ^= h >> 15
    h = h * 0x85EBCA77 & m
    h ^= h >> 13
    h = h * 0xC2B2AE3D & m
    return h ^ h >> 16


def batch(b):
    pixels = BATCH * 32 * 32
    x = (mix(torch.arange(b * pixels, (b + 1) * pixels)) >> 16).double() / 32768 - 1
    label = mix(torch.arange(b * BATCH, (b + 1) * BATCH) + 0x10000000) % 10
    return x.reshape(BATCH, 1, 32, 32), label


def project(t):
    t = t.detach().reshape(-1)
    h = mix(torch.arange(t.numel()) + 0x20000000)
    return torch.stack([torch.where((h >> k & 1) == 1, t, -t).sum() for k in range(PROJECTIONS)])


# --- first weights: from cnnc ---------------------------------------------------------------------


class Tensor(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("offset", ctypes.c_size_t), ("count", ctypes.c_size_t),
                ("dim", ctypes.c_uint32 * 4), ("rank", ctypes.c_uint8), ("kind", ctypes.c_uint8)]


def first_weights(cnnc, variant):
    with tempfile.TemporaryDirectory() as folder:
        source, shared = f"{folder}/lenet.c", f"{folder}/lenet.so"
        subprocess.run([cnnc, ROOT / "networks/lenet.lua", "-D", f"variant={variant}", "--real=double",
                        "--target=generic", "-o", source], check=True)
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", source, "-o", shared, "-lm"], check=True)
        size = {k: int(v) for k, v in
                re.findall(r"#define LENET_(\w+) (\d+)\n", open(f"{folder}/lenet.h").read())}
        lib = ctypes.CDLL(shared)
        vars_ = (ctypes.c_double * size["VARS"])()
        slots = (ctypes.c_double * size["SLOTS"])()
        lib.lenet_init(vars_, slots, ctypes.c_uint64(SEED))
        table = (Tensor * size["TENSORS"]).in_dll(lib, "lenet_tensors")
        numbers = torch.tensor(list(vars_), dtype=torch.float64)
        return {t.name.decode(): numbers[t.offset:t.offset + t.count].reshape(list(t.dim[:t.rank])).clone()
                for t in table if t.kind == 0}


# --- the networks ------------------------------------------------------------------------------------


def modern(w, x):
    y = F.max_pool2d(F.relu(F.conv2d(x, w["conv1.weight"], w["conv1.bias"])), 2)
    y = F.max_pool2d(F.relu(F.conv2d(y, w["conv2.weight"], w["conv2.bias"])), 2).flatten(1)
    y = F.relu(F.linear(y, w["fc1.weight"], w["fc1.bias"]))
    y = F.relu(F.linear(y, w["fc2.weight"], w["fc2.bias"]))
    return F.linear(y, w["fc3.weight"], w["fc3.bias"])


# Table I of the paper, column by column.
LINKS = [(0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5), (0, 1, 2, 3), (1, 2, 3, 4),
         (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5), (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
         (0, 1, 2, 3, 4, 5)]


def squash(a):
    return 1.7159 * torch.tanh(a * 2 / 3)


def subsample(x, coefficient, bias):
    return coefficient[:, None, None] * 4 * F.avg_pool2d(x, 2) + bias[:, None, None]


def pictures():
    """The targets of the output layer, read from the drawings in the compiler's source."""
    text = (ROOT / "compiler/frontend/bitmaps.c").read_text()
    rows = re.findall(r'"([.#]{7})"', text)
    assert len(rows) == 120
    return torch.tensor([[1.0 if c == "#" else -1.0 for c in "".join(rows[12 * d:12 * d + 12])]
                         for d in range(10)], dtype=torch.float64)


def paper(w, x):
    mask = torch.zeros(16, 6, 1, 1, dtype=torch.float64)
    for o, maps in enumerate(LINKS):
        mask[o, list(maps)] = 1
    y = squash(F.conv2d(x, w["c1.weight"], w["c1.bias"]))
    y = squash(subsample(y, w["s2.coefficient"], w["s2.bias"]))
    y = squash(F.conv2d(y, w["c3.weight"] * mask, w["c3.bias"]))
    y = squash(subsample(y, w["s4.coefficient"], w["s4.bias"]))
    y = squash(F.conv2d(y, w["c5.weight"], w["c5.bias"])).flatten(1)
    y = squash(F.linear(y, w["f6.weight"], w["f6.bias"]))
    return -((y[:, None, :] - pictures()[None]) ** 2).sum(2)


def paper_loss(scores, label):
    """Equation 9, j = 0.1, with penalties that are the negative scores."""
    rubbish = torch.full((scores.shape[0], 1), -0.1, dtype=torch.float64)
    right = -scores[torch.arange(scores.shape[0]), label]
    return (right + torch.logsumexp(torch.cat([scores, rubbish], 1), 1)).mean()


NETWORK = {"modern": (modern, F.cross_entropy), "paper": (paper, paper_loss)}

# --- the files ----------------------------------------------------------------------------------------


def reference(cnnc, variant):
    forward, loss_of = NETWORK[variant]
    w = {name: t.requires_grad_() for name, t in first_weights(cnnc, variant).items()}
    everything = lambda: torch.cat([t.detach().reshape(-1) for t in w.values()])
    out = {"project start": project(everything())}
    optimizer = torch.optim.SGD(w.values(), lr=RATE[variant], momentum=MOMENTUM)
    losses = []
    for step in range(STEPS):
        x, label = batch(step % BATCHES)
        scores = forward(w, x)
        loss = loss_of(scores, label)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.detach())
        if step == 0:
            out["scores"] = scores.detach()
            for name, t in w.items():
                if t.numel() <= LARGE:
                    out["grad " + name] = t.grad.clone()
                else:
                    out["project " + name], out["norm " + name] = project(t.grad), t.grad.norm()
        optimizer.step()
    out["losses"] = torch.stack(losses)
    out["project end"], out["norm end"] = project(everything()), everything().norm()
    return out


def save(path, tensors, note):
    header, data = {"__metadata__": note}, b""
    for name, t in tensors.items():
        piece = struct.pack(f"<{t.numel()}d", *t.reshape(-1).tolist())
        header[name] = {"dtype": "F64", "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cnnc", default=str(ROOT / "build/cnnc"))
    parser.add_argument("--out", default=str(ROOT / "tests/reference"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    for variant in NETWORK:
        out = reference(args.cnnc, variant)
        note = {"made by": f"tests/reference/lenet.py, torch {torch.__version__.split('+')[0]}",
                "rate": repr(RATE[variant]), "momentum": repr(MOMENTUM)}
        save(pathlib.Path(args.out) / f"lenet_{variant}.safetensors", out, note)
        print(variant, " ".join(f"{x:.4f}" for x in out["losses"].tolist()))


if __name__ == "__main__":
    main()
