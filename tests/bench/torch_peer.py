"""PyTorch as a peer of tests/bench/bench.py.

    python3 torch_peer.py MODE NETWORK DATA infer|train BATCH THREADS

MODE: eager, channels_last, the same as tuned and tuned_last, for which the environment tells malloc to keep its
memory, or compile (torch.compile; for inference with its `freezing`).
"""
import pathlib
import sys

import numpy as np
import torch

import answer
import cases
import torch_networks

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import models  # noqa: E402


class Masks:
    """In place of dropout in the steps that are compared: cnnc's masks, which are integer arithmetic."""

    def __init__(self, module):
        self.drops = [m for m in module.modules() if isinstance(m, torch.nn.Dropout)]
        self.count = 0

    def __enter__(self):
        for m in self.drops:
            m.forward = lambda x, p=m.p: self.drop(x, p)
        return self

    def __exit__(self, *_):
        for m in self.drops:
            del m.forward

    def drop(self, x, p):
        self.count += 1
        return x * models.dropout_mask(self.count - 1, p, x.shape).to(x.dtype)

    def begin(self, step):
        models.STEP, self.count = step, 0


class Training:
    def __init__(self, mode, name, module, x, label):
        self.module = module.train()
        self.masks = Masks(module)
        self.x, self.label = x, label
        self.loss = torch_networks.loss_of(name, module)
        if mode == "compile":
            self.loss = torch.compile(self.loss)
        self.optimizer = torch.optim.SGD(module.parameters(), lr=cases.NETWORKS[name].rate,
                                         momentum=cases.MOMENTUM, weight_decay=cases.DECAY, fused=True)

    def call(self):
        loss = self.loss(self.x, self.label)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def check(self):
        losses = []
        with self.masks:
            for step in range(cases.FIRST_STEPS):
                self.masks.begin(step)
                losses.append(self.call().item())
        for group in self.optimizer.param_groups:
            group["lr"] = cases.TIMED_RATE
        return np.array(losses)


class Inference:
    def __init__(self, mode, module, x):
        self.x, self.module, self.guard = x, module, torch.inference_mode
        if mode == "compile":
            from torch._inductor import config
            config.freezing = True
            self.module, self.guard = torch.compile(module), torch.no_grad

    def call(self):
        with self.guard():
            return self.module(self.x)

    def check(self):
        return self.call().numpy()


def main():
    mode, name, folder, kind, batch, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    folder = pathlib.Path(folder)
    module, (x, label) = torch_networks.load(name, folder), torch_networks.data(name, folder, int(batch))
    if mode.endswith("last"):
        module, x = (t.to(memory_format=torch.channels_last) for t in (module, x))
    peer = Training(mode, name, module, x, label) if kind == "train" else Inference(mode, module, x)
    answer.serve(f"PyTorch {torch.__version__}", peer.check, peer.call)


main()
