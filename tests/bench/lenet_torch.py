"""PyTorch's LeNet as a peer of tests/bench/bench.py: the same commands as lenet_step.c.

    python3 lenet_torch.py FOLDER MODE      MODE: eager, channels_last, frozen (inference only)
"""
import pathlib
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class Peer:
    def __init__(self, folder, mode):
        torch.set_num_threads(1)
        read = lambda name, dtype: torch.frombuffer(bytearray((folder / name).read_bytes()), dtype=dtype)
        self.mode, self.vars = mode, read("vars", torch.float32)
        self.format = torch.channels_last if mode == "channels_last" else torch.contiguous_format
        self.x = read("x", torch.float32).reshape(64, 1, 32, 32).contiguous(memory_format=self.format)
        self.label = read("label", torch.int32).long()

    def begin(self):
        self.net = LeNet().to(memory_format=self.format)
        with torch.no_grad():
            at = 0
            for p in self.net.parameters():
                p.copy_(self.vars[at:at + p.numel()].reshape(p.shape))
                at += p.numel()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01, momentum=0.9, fused=True)

    def trainer(self, batch):
        x, label = self.x[:batch], self.label[:batch]

        def step():
            self.optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(self.net(x), label)
            loss.backward()
            self.optimizer.step()
            return loss
        return step

    def inferrer(self, batch):
        x, net = self.x[:batch], self.net.eval()
        if self.mode == "frozen":
            net = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x)))

        def infer():
            with torch.inference_mode():
                return net(x)
        return infer

    def answer(self, word, batch, least):
        self.begin()
        run = self.inferrer(batch) if word == "infer" else self.trainer(batch)
        if word == "losses":
            return " ".join(f"{run().item():.9g}" for _ in range(5))
        for _ in range(3):
            run()
        calls, start = 0, time.process_time()
        while True:
            for _ in range(4):
                run()
            calls += 4
            end = time.process_time()
            if end - start >= least:
                return f"{(end - start) / calls:.9g}"


def main():
    peer = Peer(pathlib.Path(sys.argv[1]), sys.argv[2])
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "info":
            print(f"PyTorch {torch.__version__}, {sys.argv[2]}", flush=True)
        else:
            print(peer.answer(word, int(rest[0]), float(rest[1]) if len(rest) > 1 else 0), flush=True)


main()
