"""Bytes of a training step: cnnc's plan beside the tensors PyTorch holds for the same step.

    python3 tests/reference/memory.py [NAME...] [--cnnc build/cnnc] [--batch 1,16]

needs pip's torch and numpy. PyTorch's side is forward, loss and backward of the models of networks.py in float
on the CPU, with ReLU in place as torchvision has it: every storage that a tensor of the step holds is
counted from the operator that returns it until its last holder is gone, apart from the weights, the
running statistics, the image and the label, which are there before. What kernels allocate inside and free before
they return is not seen, and dropout is off: both are in PyTorch's favour. cnnc's side is the work memory of
NET_gradients, all there is beside its arguments; the gradients themselves are an argument, as long as the weights,
and added in the last column. The table is that of docs/memory.md. Status 1: a plan is larger than PyTorch's peak or
than 1.05 times its bound.
"""
import argparse
import json
import re
import subprocess
import sys
import tempfile
import weakref

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

import networks


class Live(TorchDispatchMode):
    """Bytes of the storages that operators returned and somebody still holds; the most there were."""

    def __init__(self, known):
        super().__init__()
        self.live = self.peak = 0
        self.known = {t.untyped_storage().data_ptr() for t in known}
        self.held = weakref.WeakKeyDictionary()

    def release(self, size):
        self.live -= size

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for t in tree_iter(result):
            if not isinstance(t, torch.Tensor):
                continue
            storage = t.untyped_storage()
            if storage in self.held or storage.data_ptr() in self.known:
                continue
            self.held[storage] = True
            self.live += storage.nbytes()
            weakref.finalize(storage, self.release, storage.nbytes())
        self.peak = max(self.peak, self.live)
        return result


def plan_of(args, file, options, batch):
    """The summary of a compilation, and the parameters' names, shapes and kinds out of the C."""
    define = [word for option in options for word in ("-D", option)]
    with tempfile.TemporaryDirectory() as folder:
        text = subprocess.check_output([args.cnnc, f"networks/{file}.lua", "-b", str(batch), "--target", "generic",
                                        "--summary=json", *define, "-o", f"{folder}/net.c"])
        c = open(f"{folder}/net.c").read()
    row = r'\{"([\w.]+)", \d+, \d+, \{([\d, ]+)\}, \d+, (\d)\}'
    table = [(name, [int(d) for d in dims.split(",") if int(d)], int(kind)) for name, dims, kind in re.findall(row, c)]
    return json.loads(text), table


def torch_peak(model, image, classes, batch, table):
    torch.manual_seed(1)
    at = {name: torch.randn(dims) * 0.01 if kind == 0 else torch.ones(dims) for name, dims, kind in table if kind < 2}
    for name, _, kind in table:
        if kind == 0:
            at[name].requires_grad_()
    x, label = torch.randn(batch, *image), torch.randint(0, classes, (batch,))
    with Live([*at.values(), x, label]) as live:
        heads = model(networks.Weights(at, True), x)
        loss = sum(w * F.cross_entropy(y, label, label_smoothing=s) for y, w, s in heads)
        loss.backward()
    return live.peak


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name", nargs="*", help=" ".join(networks.NETWORKS))
    parser.add_argument("--cnnc", default="build/cnnc")
    parser.add_argument("--batch", default="1,16")
    args = parser.parse_args()
    torch.set_default_dtype(torch.float32)
    relu, good = F.relu, True
    F.relu = lambda x: relu(x, inplace=True)
    print("| network | batch | plan | bound | ratio | PyTorch's peak | plan is | with gradients |")
    print("|-|-|-|-|-|-|-|-|")
    for name in args.name or networks.NETWORKS:
        file, options, image, classes, model = networks.NETWORKS[name]
        for batch in map(int, args.batch.split(",")):
            batch = max(batch, 2) if name == "inception_v3" else batch
            summary, table = plan_of(args, file, options, batch)
            entry = next(e for e in summary["entries"] if e["name"].startswith("gradients"))
            plan, bound, grads = entry["work"], entry["work_lower_bound"], 4 * summary["weights"]
            peak = torch_peak(model, image, classes, batch, table)
            good = good and plan <= peak and plan <= 1.05 * bound
            print(f"| {name} | {batch} | {plan:,} | {bound:,} | {plan / bound:.4f} | {peak:,} "
                  f"| {100 * plan / peak:.1f} % | {100 * (plan + grads) / peak:.1f} % |", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
