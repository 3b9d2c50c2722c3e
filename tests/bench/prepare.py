"""Makes what all peers of tests/bench/bench.py begin with, in a Python that has torch.

    python3 prepare.py NETWORK FOLDER [infer=BATCH | train=BATCH]...

Leaves in FOLDER: weights, x, label; for inference y1, y16, ..., PyTorch's outputs in double, and b1.onnx, ...;
and meta.json, with

    tensors   by name, where they are in weights, and how many numbers
    shape, classes, parameters
    flop      of an image in inference and in training: twice the multiply-adds of convolutions and dense layers, as
              PyTorch counts them; in training no gradient by the image
    peak      by batch, bytes of all tensors that PyTorch holds at the worst moment of a training step:
              tests/reference/memory.py counts them; here with weights, statistics and momentum
"""
import copy
import json
import pathlib
import sys

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import cases
import torch_networks

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
from memory import Live  # noqa: E402

CALIBRATED = 8  # images whose statistics are the running ones


def flop(name, module, x, label):
    """Of an image, in inference and in training."""
    with FlopCounterMode(display=False) as count, torch.no_grad():
        module.eval()(x)
    infer = count.get_total_flops()
    with FlopCounterMode(display=False) as count:
        torch_networks.loss_of(name, module.train())(x, label).backward()
    return {"infer": infer / len(x), "train": count.get_total_flops() / len(x)}


def start(name, folder):
    """Weights and data, from nothing."""
    of, classes = cases.NETWORKS[name], torch_networks.classes_of(name)
    images = max(*of.infer, *of.train, CALIBRATED)
    random = torch.Generator().manual_seed(7)
    x = torch.randn(images, *torch_networks.shape_of(name), generator=random)
    label = torch.randint(0, classes, (images,), generator=random)
    module = torch_networks.build(name)
    torch_networks.fill(module, x[:CALIBRATED])
    x.numpy().tofile(folder / "x")
    label.numpy().astype(np.int32).tofile(folder / "label")
    return {"tensors": torch_networks.save(module, folder), "shape": torch_networks.shape_of(name),
            "classes": classes, "parameters": sum(p.numel() for p in module.parameters()),
            "flop": flop(name, copy.deepcopy(module), x[:2], label[:2]), "peak": {}, "torch": torch.__version__}


def outputs(name, folder, batch):
    """What inference is to find: PyTorch's, in double."""
    module, (x, _) = torch_networks.load(name, folder).double(), torch_networks.data(name, folder, max(batch, 2))
    with torch.inference_mode():
        y = module(x.double())
    if not (y[0] - y[1]).abs().max() > 0.01 * y.abs().max():
        sys.exit(f"prepare: {name}'s outputs hardly depend on the image: nothing could be compared")
    y[:batch].float().numpy().tofile(folder / f"y{batch}")


def export(name, folder, batch):
    """The network for ONNX Runtime and OpenVINO."""
    try:
        import onnx, onnxscript  # noqa: E401, F401
    except ImportError as e:
        return print(f"prepare: {e}: nothing for ONNX Runtime and OpenVINO", file=sys.stderr)
    module, (x, _) = torch_networks.load(name, folder), torch_networks.data(name, folder, batch)
    torch.onnx.export(module, (x,), str(folder / f"b{batch}.onnx"), input_names=["x"], output_names=["y"],
                      dynamo=True, verbose=False)


def peak(name, folder, batch):
    """Bytes of tensors at the worst moment of the second step, when there is momentum."""
    module, (x, label) = torch_networks.load(name, folder).train(), torch_networks.data(name, folder, batch)
    loss = torch_networks.loss_of(name, module)
    optimizer = torch.optim.SGD(module.parameters(), lr=cases.TIMED_RATE, momentum=cases.MOMENTUM,
                                weight_decay=cases.DECAY, fused=True)

    def step():
        loss(x, label).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    step()
    slots = [s["momentum_buffer"] for s in optimizer.state.values()]
    kept = [*module.parameters(), *module.buffers(), *slots]
    with Live([*kept, x, label]) as live:
        step()
    return live.peak + sum(t.numel() * t.element_size() for t in kept)


def main():
    name, folder, *asked = sys.argv[1:]
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "meta.json"
    meta = json.loads(file.read_text()) if file.exists() else None
    if not meta:
        meta = start(name, folder)
        file.write_text(json.dumps(meta))
    for kind, batch in (word.split("=") for word in asked):
        if kind == "infer" and not (folder / f"y{batch}").exists():
            export(name, folder, int(batch))
            outputs(name, folder, int(batch))
        if kind == "train" and batch not in meta["peak"]:
            meta["peak"][batch] = peak(name, folder, int(batch))
    file.write_text(json.dumps(meta))


main()
