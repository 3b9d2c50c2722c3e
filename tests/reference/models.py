"""The networks as PyTorch computes them: written from the papers, over the names of the parameters.

A model takes Weights and its inputs, and gives its outputs and the terms of its loss: pairs of a
factor and a function of the targets. tests/reference/networks.py holds what cnnc makes of the same
networks against them.
"""
import numpy as np
import torch
import torch.nn.functional as F

SEED, STEP = 1, 1  # of dropout


def scramble(z):
    """The finaliser of splitmix64."""
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return z ^ z >> np.uint64(31)


def dropout_mask(layer, p, shape):
    """What cnnc's dropout multiplies with: integer arithmetic of (seed, step, layer, element), as
    compiler/ops/dropout.c says."""
    with np.errstate(over="ignore"):
        key = np.uint64(0xCBF29CE484222325)
        for byte in b"dropout":
            key = (key ^ np.uint64(byte)) * np.uint64(0x100000001B3)
        element = np.arange(np.prod(shape), dtype=np.uint64)
        h = scramble(np.uint64(SEED) + np.uint64(0x9E3779B97F4A7C15))
        h = scramble(h ^ (scramble(key) + np.uint64(2 * layer) >> np.uint64(1)))
        h = scramble(h ^ np.uint64(STEP) * np.uint64(0xD1B54A32D192ED03) + np.uint64(1))
        h = scramble(h ^ element * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1))
    uniform = (h >> np.uint64(40)).astype(np.float64) / 2**24
    return torch.tensor(np.where(uniform < p, 0, 1 / (1 - p)).reshape(shape))


class Weights:
    """Parameters by name, as torch functions want them. Training advances the running statistics."""

    def __init__(self, tensors, training, momentum=0.1, drops=True):
        self.at, self.training, self.momentum, self.drops, self.dropped = tensors, training, momentum, drops, 0

    def conv(self, x, name, **options):
        f = F.conv2d if x.dim() == 4 else F.conv1d
        return f(x, self.at[name + ".weight"], self.at.get(name + ".bias"), **options)

    def dense(self, x, name):
        return F.linear(x.flatten(1), self.at[name + ".weight"], self.at.get(name + ".bias"))

    def norm(self, x, name, eps=1e-5):
        a = self.at
        return F.batch_norm(x, a[name + ".running_mean"], a[name + ".running_var"], a[name + ".weight"],
                            a[name + ".bias"], self.training, self.momentum, eps)

    def dropout(self, x, p):
        if not self.training or not self.drops:
            return x
        self.dropped += 1
        return x * dropout_mask(self.dropped - 1, p, x.shape).to(x.dtype)


def classified(scores, smoothing=0.0):
    return lambda target: F.cross_entropy(scores, target["label"], label_smoothing=smoothing)


def resnet(blocks, bottleneck, v1=False):
    def model(w, x):
        y = F.max_pool2d(F.relu(w.norm(w.conv(x, "conv1", stride=2, padding=3), "bn1")), 3, 2, 1)
        for stage, n in enumerate(blocks, 1):
            for i in range(n):
                p, s = f"layer{stage}.{i}.", 2 if i == 0 and stage > 1 else 1
                if bottleneck:
                    z = F.relu(w.norm(w.conv(y, p + "conv1", stride=s if v1 else 1), p + "bn1"))
                    z = F.relu(w.norm(w.conv(z, p + "conv2", stride=1 if v1 else s, padding=1), p + "bn2"))
                    z = w.norm(w.conv(z, p + "conv3"), p + "bn3")
                else:
                    z = F.relu(w.norm(w.conv(y, p + "conv1", stride=s, padding=1), p + "bn1"))
                    z = w.norm(w.conv(z, p + "conv2", padding=1), p + "bn2")
                if p + "downsample.0.weight" in w.at:
                    y = w.norm(w.conv(y, p + "downsample.0", stride=s), p + "downsample.1")
                y = F.relu(z + y)
        y = w.dense(y.mean((2, 3)), "fc")
        return [y], [(1, classified(y))]
    return model


def resnet_cifar(projected):
    def model(w, x):
        y = F.relu(w.norm(w.conv(x, "conv1", padding=1), "bn1"))
        for stage in (1, 2, 3):
            for i in range(3):
                p, s = f"layer{stage}.{i}.", 2 if i == 0 and stage > 1 else 1
                z = F.relu(w.norm(w.conv(y, p + "conv1", stride=s, padding=1), p + "bn1"))
                z = w.norm(w.conv(z, p + "conv2", padding=1), p + "bn2")
                if s == 2 and projected:
                    y = w.norm(w.conv(y, p + "shortcut.0", stride=2), p + "shortcut.1")
                elif s == 2:
                    y = F.pad(y[:, :, ::2, ::2], (0, 0, 0, 0, 0, y.shape[1]))
                y = F.relu(z + y)
        y = w.dense(y.mean((2, 3)), "linear")
        return [y], [(1, classified(y))]
    return model


def alexnet(before=False, caffe=False):
    def model(w, x):
        def normal(x):  # PyTorch divides alpha by the window's size, the paper does not
            return F.local_response_norm(x, 5, 1e-4 if caffe else 5e-4, 0.75, 1 if caffe else 2)

        def pool(x):
            return F.max_pool2d(normal(F.relu(x)), 3, 2) if before else normal(F.max_pool2d(F.relu(x), 3, 2))
        y = pool(w.conv(x, "conv1", stride=4, padding=3))
        y = pool(w.conv(y, "conv2", padding=2, groups=2))
        y = F.relu(w.conv(y, "conv3", padding=1))
        y = F.relu(w.conv(y, "conv4", padding=1, groups=2))
        y = F.max_pool2d(F.relu(w.conv(y, "conv5", padding=1, groups=2)), 3, 2)
        y = w.dropout(F.relu(w.dense(y, "fc6")), 0.5)
        y = w.dense(w.dropout(F.relu(w.dense(y, "fc7")), 0.5), "fc8")
        return [y], [(1, classified(y))]
    return model


def alexnet_torchvision(w, x):
    y = F.max_pool2d(F.relu(w.conv(x, "features.0", stride=4, padding=2)), 3, 2)
    y = F.max_pool2d(F.relu(w.conv(y, "features.3", padding=2)), 3, 2)
    for i in (6, 8, 10):
        y = F.relu(w.conv(y, f"features.{i}", padding=1))
    y = F.adaptive_avg_pool2d(F.max_pool2d(y, 3, 2), 6).flatten(1)
    y = w.dropout(F.relu(w.dense(w.dropout(y, 0.5), "classifier.1")), 0.5)
    y = w.dense(F.relu(w.dense(y, "classifier.4")), "classifier.6")
    return [y], [(1, classified(y))]


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
            y = w.dropout(F.relu(w.dense(conv(y, p + ".conv"), p + ".fc1")), 0.7)
            return (0.3, classified(w.dense(y, p + ".fc2")))

        def pool(x, kernel=3):
            return F.max_pool2d(x, kernel, 2, ceil_mode=True)

        def normal(x):
            return F.local_response_norm(x, 5, 1e-4, 0.75, 1) if paper else x
        y = conv(normal(pool(conv(x, "conv1", stride=2, padding=3))), "conv2")
        y = inception(pool(normal(conv(y, "conv3", padding=1))), "inception3a")
        y = inception(pool(inception(y, "inception3b")), "inception4a")
        terms = [auxiliary(y, "aux1")] if w.training else []
        y = inception(inception(inception(y, "inception4b"), "inception4c"), "inception4d")
        terms += [auxiliary(y, "aux2")] if w.training else []
        y = pool(inception(y, "inception4e"), 3 if paper else 2)
        y = inception(inception(y, "inception5a"), "inception5b")
        y = w.dense(w.dropout(y.mean((2, 3)), 0.4 if paper else 0.2), "fc")
        return [y], [(1, classified(y))] + terms
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
    terms = []
    if w.training and "AuxLogits.fc.weight" in w.at:
        aux = conv(conv(F.avg_pool2d(y, 5, 3), "AuxLogits.conv0"), "AuxLogits.conv1")
        terms = [(0.4, classified(w.dense(aux.mean((2, 3)), "AuxLogits.fc"), 0.1))]
    y = e(e(d(y, "Mixed_7a"), "Mixed_7b"), "Mixed_7c")
    y = w.dense(w.dropout(y.mean((2, 3)), 0.5), "fc")
    return [y], [(1, classified(y, 0.1))] + terms


# --- examples/networks --------------------------------------------------------------------------------


def siamese(margin):
    def model(w, left, right):
        def embed(x):
            y = F.max_pool2d(F.relu(w.conv(x, "tower.conv1")), 2)
            return w.dense(F.max_pool2d(F.relu(w.conv(y, "tower.conv2")), 2), "tower.fc")

        square = ((embed(left) - embed(right)) ** 2).sum(1, keepdim=True)
        distance = torch.sqrt(square + 1e-12)

        def contrastive(target):
            same = target["same"]
            return (same * square + (1 - same) * F.relu(margin - distance) ** 2).mean()
        return [distance], [(1, contrastive)]
    return model


def robot(w, camera, sound, state):
    def half(x, name):  # "same" for a stride of 2 and an even size: a zero behind, and none before
        return w.conv(F.pad(x, (0, 1, 0, 1)), name, stride=2)

    seen = F.relu(w.norm(half(F.relu(half(camera, "eye.0")), "eye.1"), "norm")).mean((2, 3))
    heard = F.max_pool1d(F.relu(w.conv(sound, "ear.0", stride=2, padding=2)), 2)
    heard = torch.tanh(w.conv(heard, "ear.1", dilation=2)).flatten(1)
    y = F.relu(w.dense(torch.cat([seen, heard, state], 1), "trunk"))
    what, where, doubt = (w.dense(y, name) for name in ("what", "where", "doubt"))
    return [what.softmax(1), where, doubt], [
        (1, classified(what)), (0.5, lambda target: F.mse_loss(where, target["place"])),
        (0.25, lambda target: (torch.exp(-doubt) * (where - target["place"]) ** 2 + doubt).mean())]


def unet(depth):
    def model(w, x):
        def two(x, p):
            for i in (0, 1):
                x = F.relu(w.norm(w.conv(x, f"{p}.{i}.conv", padding=1), f"{p}.{i}.bn"))
            return x

        skip = []
        for i in range(depth):
            skip.append(two(x, f"down.{i}"))
            x = F.max_pool2d(skip[i], 2)
        x = two(x, "bottom")
        for i in reversed(range(depth)):
            x = F.conv_transpose2d(x, w.at[f"up.{i}.grow.weight"], w.at[f"up.{i}.grow.bias"], 2)
            x = two(torch.cat([skip[i], x], 1), f"up.{i}")
        y = w.conv(x, "out")
        return [y], [(1, lambda target: F.binary_cross_entropy_with_logits(y, target["mask"]))]
    return model


# name: file and options, model, torchvision's name for it
NETWORKS = {
    "resnet_cifar": ("networks/resnet_cifar.lua", resnet_cifar(False), None),
    "resnet_cifar_B": ("networks/resnet_cifar.lua shortcut=B", resnet_cifar(True), None),
    "resnet18": ("networks/resnet.lua depth=18", resnet((2, 2, 2, 2), False), "resnet18"),
    "resnet50": ("networks/resnet.lua depth=50", resnet((3, 4, 6, 3), True), "resnet50"),
    "resnet50_v1": ("networks/resnet.lua depth=50 v1=true", resnet((3, 4, 6, 3), True, True), None),
    "alexnet": ("networks/alexnet.lua", alexnet(), None),
    "alexnet_before": ("networks/alexnet.lua lrn=before", alexnet(before=True), None),
    "alexnet_caffe": ("networks/alexnet.lua lrn=before constants=caffe", alexnet(True, True), None),
    "alexnet_torchvision": ("networks/alexnet.lua variant=torchvision", alexnet_torchvision, "alexnet"),
    "googlenet": ("networks/googlenet.lua", googlenet(True), None),
    "googlenet_bn": ("networks/googlenet.lua variant=torchvision", googlenet(False), "googlenet"),
    "inception_v3": ("networks/inception_v3.lua", inception_v3, "inception_v3"),
}

# What --record makes: batch, file and options, model. Small, but for Inception v3, whose auxiliary classifier
# wants the whole image.
RECORDED = {
    "networks": {
        "resnet_cifar": (2, "networks/resnet_cifar.lua size=16", resnet_cifar(False)),
        "resnet_cifar_B": (2, "networks/resnet_cifar.lua size=16 shortcut=B", resnet_cifar(True)),
        "resnet18": (2, "networks/resnet.lua depth=18 size=64 classes=10", resnet((2, 2, 2, 2), False)),
        "resnet50": (2, "networks/resnet.lua depth=50 size=64 classes=10", resnet((3, 4, 6, 3), True)),
        "resnet50_v1": (2, "networks/resnet.lua v1=true size=64 classes=10", resnet((3, 4, 6, 3), True, True)),
        "alexnet": (2, "networks/alexnet.lua size=95 classes=10", alexnet()),
        "alexnet_before": (2, "networks/alexnet.lua size=95 classes=10 lrn=before", alexnet(before=True)),
        "alexnet_torchvision": (2, "networks/alexnet.lua variant=torchvision size=63 classes=10",
                                alexnet_torchvision),
        "googlenet": (2, "networks/googlenet.lua size=80 classes=10", googlenet(True)),
        "googlenet_bn": (2, "networks/googlenet.lua variant=torchvision size=64 classes=10", googlenet(False)),
        "inception_v3": (2, "networks/inception_v3.lua classes=10", inception_v3),
    },
    "examples": {
        "siamese": (4, "examples/networks/siamese.lua size=20 margin=3", siamese(3)),
        "robot": (3, "examples/networks/robot.lua", robot),
        "unet": (2, "examples/networks/unet.lua size=16 width=6", unet(2)),
    },
}
