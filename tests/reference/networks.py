"""Holds the large networks against PyTorch, in double: outputs, loss and every gradient.

    python3 tests/reference/networks.py [NAME...] [--cnnc build/cnnc] [--batch 2]

needs pip's torch and numpy, and gcc. Weights are He's, running statistics and biases random, so that
outputs depend on the input; dropout is off. The models below are written from the papers, over the
parameters' names alone. The gates: outputs 1e-11, gradients 1e-9, relative in L2.
"""
import argparse
import ctypes
import re
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


class Weights:
    """Parameters by name, as torch functions want them."""

    def __init__(self, tensors, training):
        self.at, self.training = tensors, training

    def conv(self, x, name, **options):
        return F.conv2d(x, self.at[name + ".weight"], self.at.get(name + ".bias"), **options)

    def dense(self, x, name):
        return F.linear(x.flatten(1), self.at[name + ".weight"], self.at[name + ".bias"])

    def norm(self, x, name, eps=1e-5):
        a = self.at
        mean, var = (None, None) if self.training else (a[name + ".running_mean"], a[name + ".running_var"])
        return F.batch_norm(x, mean, var, a[name + ".weight"], a[name + ".bias"], self.training, 0.1, eps)


def resnet(blocks, bottleneck):
    def model(w, x):
        y = F.max_pool2d(F.relu(w.norm(w.conv(x, "conv1", stride=2, padding=3), "bn1")), 3, 2, 1)
        for stage, n in enumerate(blocks, 1):
            for i in range(n):
                p, s = f"layer{stage}.{i}.", 2 if i == 0 and stage > 1 else 1
                if bottleneck:
                    z = F.relu(w.norm(w.conv(y, p + "conv1"), p + "bn1"))
                    z = F.relu(w.norm(w.conv(z, p + "conv2", stride=s, padding=1), p + "bn2"))
                    z = w.norm(w.conv(z, p + "conv3"), p + "bn3")
                else:
                    z = F.relu(w.norm(w.conv(y, p + "conv1", stride=s, padding=1), p + "bn1"))
                    z = w.norm(w.conv(z, p + "conv2", padding=1), p + "bn2")
                if p + "downsample.0.weight" in w.at:
                    y = w.norm(w.conv(y, p + "downsample.0", stride=s), p + "downsample.1")
                y = F.relu(z + y)
        return [(w.dense(y.mean((2, 3)), "fc"), 1, 0)]
    return model


def resnet_cifar(w, x):
    y = F.relu(w.norm(w.conv(x, "conv1", padding=1), "bn1"))
    for stage in (1, 2, 3):
        for i in range(3):
            p, s = f"layer{stage}.{i}.", 2 if i == 0 and stage > 1 else 1
            z = F.relu(w.norm(w.conv(y, p + "conv1", stride=s, padding=1), p + "bn1"))
            z = w.norm(w.conv(z, p + "conv2", padding=1), p + "bn2")
            if s == 2:
                y = F.pad(y[:, :, ::2, ::2], (0, 0, 0, 0, 0, y.shape[1]))
            y = F.relu(z + y)
    return [(w.dense(y.mean((2, 3)), "linear"), 1, 0)]


def alexnet(w, x):
    def pool(x):  # PyTorch divides alpha by the window's size, the paper does not
        return F.local_response_norm(F.max_pool2d(F.relu(x), 3, 2), 5, 5e-4, 0.75, 2)
    y = pool(w.conv(x, "conv1", stride=4, padding=3))
    y = pool(w.conv(y, "conv2", padding=2, groups=2))
    y = F.relu(w.conv(y, "conv3", padding=1))
    y = F.relu(w.conv(y, "conv4", padding=1, groups=2))
    y = F.max_pool2d(F.relu(w.conv(y, "conv5", padding=1, groups=2)), 3, 2)
    y = F.relu(w.dense(F.relu(w.dense(y, "fc6")), "fc7"))
    return [(w.dense(y, "fc8"), 1, 0)]


def googlenet(paper):
    def model(w, x):
        def conv(x, p, **options):
            y = w.conv(x, p + ".conv", **options)
            return F.relu(y if paper else w.norm(y, p + ".bn", 1e-3))

        def inception(x, p):
            a = conv(x, p + ".branch1")
            b = conv(conv(x, p + ".branch2.0"), p + ".branch2.1", padding=1)
            c = conv(conv(x, p + ".branch3.0"), p + ".branch3.1", padding=2 if paper else 1)
            d = conv(F.max_pool2d(x, 3, 1, 1), p + ".branch4.1")
            return torch.cat([a, b, c, d], 1)

        def auxiliary(x, p):
            y = F.avg_pool2d(x, 5, 3) if paper else F.adaptive_avg_pool2d(x, 4)
            return w.dense(F.relu(w.dense(conv(y, p + ".conv"), p + ".fc1")), p + ".fc2")

        def pool(x, kernel=3):
            return F.max_pool2d(x, kernel, 2, ceil_mode=True)

        def normal(x):
            return F.local_response_norm(x, 5, 1e-4, 0.75, 1) if paper else x
        y = conv(normal(pool(conv(x, "conv1", stride=2, padding=3))), "conv2")
        y = inception(pool(normal(conv(y, "conv3", padding=1))), "inception3a")
        y = inception(pool(inception(y, "inception3b")), "inception4a")
        heads = [] if not w.training else [(auxiliary(y, "aux1"), 0.3, 0)]
        y = inception(inception(inception(y, "inception4b"), "inception4c"), "inception4d")
        heads += [] if not w.training else [(auxiliary(y, "aux2"), 0.3, 0)]
        y = pool(inception(y, "inception4e"), 3 if paper else 2)
        y = inception(inception(y, "inception5a"), "inception5b")
        return [(w.dense(y.mean((2, 3)), "fc"), 1, 0)] + heads
    return model


def inception_v3(w, x):
    def conv(x, p, **options):
        return F.relu(w.norm(w.conv(x, p + ".conv", **options), p + ".bn", 1e-3))

    def chain(x, p, *names):  # 1x1, then what keeps the size
        for name in names:
            kernel = w.at[f"{p}.{name}.conv.weight"].shape[2:]
            x = conv(x, f"{p}.{name}", padding=(kernel[0] // 2, kernel[1] // 2))
        return x

    def pooled(x, p):
        return conv(F.avg_pool2d(x, 3, 1, 1), p + ".branch_pool")

    def a(x, p):
        return torch.cat([chain(x, p, "branch1x1"), chain(x, p, "branch5x5_1", "branch5x5_2"),
                          chain(x, p, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"), pooled(x, p)], 1)

    def b(x, p):
        double = chain(x, p, "branch3x3dbl_1", "branch3x3dbl_2")
        return torch.cat([conv(x, p + ".branch3x3", stride=2), conv(double, p + ".branch3x3dbl_3", stride=2),
                          F.max_pool2d(x, 3, 2)], 1)

    def c(x, p):
        return torch.cat([chain(x, p, "branch1x1"), chain(x, p, *(f"branch7x7_{i}" for i in (1, 2, 3))),
                          chain(x, p, *(f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5))), pooled(x, p)], 1)

    def d(x, p):
        one = conv(chain(x, p, "branch3x3_1"), p + ".branch3x3_2", stride=2)
        two = chain(x, p, *(f"branch7x7x3_{i}" for i in (1, 2, 3)))
        return torch.cat([one, conv(two, p + ".branch7x7x3_4", stride=2), F.max_pool2d(x, 3, 2)], 1)

    def e(x, p):
        one, two = chain(x, p, "branch3x3_1"), chain(x, p, "branch3x3dbl_1", "branch3x3dbl_2")
        return torch.cat([chain(x, p, "branch1x1"), chain(one, p, "branch3x3_2a"), chain(one, p, "branch3x3_2b"),
                          chain(two, p, "branch3x3dbl_3a"), chain(two, p, "branch3x3dbl_3b"), pooled(x, p)], 1)

    y = conv(conv(x, "Conv2d_1a_3x3", stride=2), "Conv2d_2a_3x3")
    y = F.max_pool2d(conv(y, "Conv2d_2b_3x3", padding=1), 3, 2)
    y = F.max_pool2d(conv(conv(y, "Conv2d_3b_1x1"), "Conv2d_4a_3x3"), 3, 2)
    y = b(a(a(a(y, "Mixed_5b"), "Mixed_5c"), "Mixed_5d"), "Mixed_6a")
    y = c(c(c(c(y, "Mixed_6b"), "Mixed_6c"), "Mixed_6d"), "Mixed_6e")
    heads = []
    if w.training:
        aux = conv(conv(F.avg_pool2d(y, 5, 3), "AuxLogits.conv0"), "AuxLogits.conv1")
        heads = [(w.dense(aux.mean((2, 3)), "AuxLogits.fc"), 0.4, 0.1)]
    y = e(e(d(y, "Mixed_7a"), "Mixed_7b"), "Mixed_7c")
    return [(w.dense(y.mean((2, 3)), "fc"), 1, 0.1)] + heads


# name: file, options, image, classes, model: [(scores, weight of the loss, label smoothing)]
NETWORKS = {
    "resnet_cifar": ("resnet_cifar", [], (3, 32, 32), 10, resnet_cifar),
    "resnet18": ("resnet", ["depth=18"], (3, 224, 224), 1000, resnet((2, 2, 2, 2), False)),
    "resnet50": ("resnet", ["depth=50"], (3, 224, 224), 1000, resnet((3, 4, 6, 3), True)),
    "alexnet": ("alexnet", [], (3, 224, 224), 1000, alexnet),
    "googlenet": ("googlenet", [], (3, 224, 224), 1000, googlenet(True)),
    "googlenet_bn": ("googlenet", ["variant=torchvision"], (3, 224, 224), 1000, googlenet(False)),
    "inception_v3": ("inception_v3", [], (3, 299, 299), 1000, inception_v3),
}


class Tensor(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("offset", ctypes.c_size_t), ("count", ctypes.c_size_t),
                ("dim", ctypes.c_uint32 * 4), ("rank", ctypes.c_uint8), ("kind", ctypes.c_uint8)]


def build(args, folder, file, options):
    text = open(f"networks/{file}.lua").read()
    with open(f"{folder}/net.lua", "w") as f:
        f.write(re.sub(r":dropout\((?:[^()]|\([^()]*\))*\)", "", text))
    define = [word for option in options for word in ("-D", option)]
    subprocess.check_call([args.cnnc, f"{folder}/net.lua", "--real=double", "-b", f"infer={args.batch}",
                           "-b", f"train={args.batch}", *define, "-o", f"{folder}/net.c"])
    subprocess.check_call(["gcc", "-O2", "-shared", "-fPIC", f"{folder}/net.c", "-lm", "-o", f"{folder}/net.so"])
    words = [line.split() for line in open(f"{folder}/net.h")]
    sizes = {w[1]: int(w[2]) for w in words if len(w) > 2 and w[0] == "#define" and w[2].isdigit()}
    return ctypes.CDLL(f"{folder}/net.so"), sizes


def fill(table, values, random):
    """Weights and buffers under which the output depends on the input."""
    tensors = {}
    for t in table:
        name, dims, at = t.name.decode(), list(t.dim[:t.rank]), values[t.offset:t.offset + t.count]
        if name.endswith(("bias", "running_mean")):
            at[:] = random.normal(0, 0.1, t.count)
        elif t.rank == 1:
            at[:] = random.uniform(0.5, 1.5, t.count)
        else:
            at[:] = random.normal(0, (2 / np.prod(dims[1:])) ** 0.5, t.count)
        tensors[name] = torch.tensor(at.reshape(dims), requires_grad=t.kind == 0)
    return tensors


def far(got, want):
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def hold(args, name):
    file, options, image, classes, model = NETWORKS[name]
    with tempfile.TemporaryDirectory() as folder:
        library, size = build(args, folder, file, options)
    at = lambda array: array.ctypes.data_as(ctypes.c_void_p)
    n, random, seed = args.batch, np.random.default_rng(1), ctypes.c_uint64(1)
    table = [t for t in (Tensor * size["NET_TENSORS"]).in_dll(library, "net_tensors") if t.kind < 2]
    values = np.zeros(size["NET_VARS"])
    tensors = fill(table, values, random)
    x, label = random.normal(0, 1, (n, *image)), random.integers(0, classes, n).astype(np.int32)
    scores, loss, grads = np.zeros((n, classes)), np.zeros(8), np.zeros(size["NET_WEIGHTS"])
    work = np.zeros(max(size[f"NET_INFER_B{n}_WORK"], size[f"NET_GRADIENTS_B{n}_WORK"]), np.uint8)
    packed = np.zeros(size["NET_PACKED_BYTES"], np.uint8)

    library.net_pack(at(values), at(packed))
    getattr(library, f"net_infer_b{n}")(at(packed), at(x), at(scores), at(work), None)
    with torch.no_grad():
        wrong = {"inference": far(scores, model(Weights(tensors, False), torch.tensor(x))[0][0].numpy())}
    getattr(library, f"net_gradients_b{n}")(at(values), seed, seed, at(x), at(label), at(grads), at(loss),
                                            at(scores), at(work), None)
    heads = model(Weights(tensors, True), torch.tensor(x))
    total = sum(w * F.cross_entropy(y, torch.tensor(label).long(), label_smoothing=s) for y, w, s in heads)
    total.backward()
    wrong["training"] = far(scores, heads[0][0].detach().numpy())
    wrong["loss"] = abs(loss[0] - float(total.detach())) / float(total.detach())
    worst = max((far(grads[t.offset:t.offset + t.count], tensors[t.name.decode()].grad.numpy().ravel()), t.name)
                for t in table if t.kind == 0)
    print(f"{name:14}", *(f"{k} {v:.1e}" for k, v in wrong.items()), f"gradients {worst[0]:.1e} ({worst[1].decode()})",
          flush=True)
    return max(wrong.values()) <= 1e-11 and worst[0] <= 1e-9


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name", nargs="*", help=" ".join(NETWORKS))
    parser.add_argument("--cnnc", default="build/cnnc")
    parser.add_argument("--batch", type=int, default=2)
    args = parser.parse_args()
    return 0 if all([hold(args, name) for name in args.name or NETWORKS]) else 1


if __name__ == "__main__":
    sys.exit(main())
