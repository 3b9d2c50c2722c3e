"""Bytes of a training step: cnnc's plan beside the tensors PyTorch holds for the same step.

    python3 tests/reference/memory.py [NAME...] [--cnnc build/cnnc] [--batch 1,16]

needs pip's torch and numpy. PyTorch's side is forward, loss and backward of the models of models.py in float
on the CPU, with ReLU in place as torchvision has it: every storage that a tensor of the step holds is
counted from the operator that returns it until its last holder is gone, apart from the weights, the
running statistics, the image and the label, which are there before. What kernels allocate inside and free before
they return is not seen, and dropout is off: both are in PyTorch's favour. cnnc's side is the work memory of
NET_gradients, all there is beside its arguments; the gradients themselves are an argument, as long as the weights,
in which it works before it writes them, and added in the last column. The bound is of both together. The table is that of docs/memory.md. Status 1: a plan is larger than PyTorch's peak or
than 1.05 times its bound.
"""
import argparse
import sys
import weakref

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

import models
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


def torch_peak(model, net, batch):
    torch.manual_seed(1)
    at = {t.name: torch.randn(t.dim) * 0.01 if t.kind == 0 else torch.ones(t.dim) for t in net.table}
    for t in net.table:
        at[t.name].requires_grad_(t.kind == 0)
    _, shape, _, _ = net.arguments(f"infer_b{batch}")[0]
    x, label = torch.randn(shape), torch.zeros(batch, dtype=torch.long)
    with Live([*at.values(), x, label]) as live:
        _, terms = model(models.Weights(at, True, drops=False), x)
        sum(w * f({"label": label}) for w, f in terms).backward()
    return live.peak


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name", nargs="*", help=" ".join(models.NETWORKS))
    parser.add_argument("--cnnc", default="build/cnnc")
    parser.add_argument("--batch", default="1,16")
    args = parser.parse_args()
    args.real, args.cc, args.target, args.winograd = "float", None, ["--target=generic"], "all"
    torch.set_default_dtype(torch.float32)
    relu, good = F.relu, True
    F.relu = lambda x: relu(x, inplace=True)
    print("| network | batch | plan | with gradients | bound | ratio | PyTorch's peak | plan is | with gradients |")
    print("|-|-|-|-|-|-|-|-|-|")
    for name in args.name or models.NETWORKS:
        description, model, _ = models.NETWORKS[name]
        for batch in map(int, args.batch.split(",")):
            batch = max(batch, 2) if name == "inception_v3" else batch
            net = networks.Network(args, description, [batch], [batch])
            entry = next(e for e in net.summary["entries"] if e["name"].startswith("gradients"))
            plan, bound, grads = entry["work"], entry["work_lower_bound"], entry["gradients"]
            peak = torch_peak(model, net, batch)
            good = good and plan <= peak and entry["work_ratio"] <= 1.05
            print(f"| {name} | {batch} | {plan:,} | {plan + grads:,} | {bound + grads:,} | {entry['work_ratio']:.4f} "
                  f"| {peak:,} | {100 * plan / peak:.1f} % | {100 * (plan + grads) / peak:.1f} % |", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
