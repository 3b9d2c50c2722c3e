"""The networks in PyTorch as its users have them: torchvision's, and modules for those that it lacks."""
import json
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x), inplace=True), 2)
        x = F.max_pool2d(F.relu(self.conv2(x), inplace=True), 2).flatten(1)
        x = F.relu(self.fc2(F.relu(self.fc1(x), inplace=True)), inplace=True)
        return self.fc3(x)


class Block(nn.Module):
    """Two convolutions; where the size changes, every other pixel and zeros go past them."""

    def __init__(self, before, width):
        super().__init__()
        self.stride = 1 if before == width else 2
        self.conv1 = nn.Conv2d(before, width, 3, self.stride, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        if self.stride == 2:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, x.shape[1]))
        return F.relu(y + x, inplace=True)


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16), Block(16, 16), Block(16, 16))
        self.layer2 = nn.Sequential(Block(16, 32), Block(32, 32), Block(32, 32))
        self.layer3 = nn.Sequential(Block(32, 64), Block(64, 64), Block(64, 64))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.linear(self.layer3(self.layer2(self.layer1(y))).mean((2, 3)))


def shape_of(name):
    """Of an image."""
    return {"lenet": (1, 32, 32), "resnet20": (3, 32, 32), "inception_v3": (3, 299, 299)}.get(name, (3, 224, 224))


def classes_of(name):
    return 10 if name in ("lenet", "resnet20") else 1000


def build(name):
    """The module, with whatever weights."""
    own = {"lenet": LeNet, "resnet20": ResNet20}
    if name in own:
        return own[name]()
    import torchvision
    options = {"init_weights": False, "aux_logits": True} if name in ("googlenet", "inception_v3") else {}
    return getattr(torchvision.models, name)(weights=None, **options)


def loss_of(name, module):
    """The description's loss as a function of images and labels."""
    smoothing = 0.1 if name == "inception_v3" else 0.0
    factor = {"googlenet": 0.3, "inception_v3": 0.4}.get(name)

    def loss(x, label):
        scores = module(x)
        if factor is None:
            return F.cross_entropy(scores, label)
        main, *rest = [F.cross_entropy(y, label, label_smoothing=smoothing) for y in scores]
        return main + factor * sum(rest)
    return loss


def fill(module, x):
    """He's weights, and running statistics that are those of x, so that outputs depend on the input."""
    torch.manual_seed(1)
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        for key, p in module.named_parameters():
            if key.endswith("bias"):
                p.normal_(0, 0.1)
            elif p.dim() == 1:
                p.uniform_(0.5, 1.5)
            else:
                p.normal_(0, math.sqrt(2 / p[0].numel()))
        momentum = [m.momentum for m in norms]
        for m in norms:
            m.momentum = 1
        module.train()(x)
        for m, value in zip(norms, momentum):
            m.momentum = value
    return module.eval()


def tensors_of(module):
    """Parameters and running statistics by name."""
    return {k: v for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}


def save(module, folder):
    """All numbers in one file, and by name where they are."""
    index, at = {}, 0
    with open(folder / "weights", "wb") as f:
        for key, t in tensors_of(module).items():
            index[key] = [at, t.numel()]
            at += t.numel()
            f.write(t.contiguous().numpy().tobytes())
    return index


def load(name, folder):
    """The module with the weights that save() left, ready for inference."""
    index = json.loads((folder / "meta.json").read_text())["tensors"]
    values = torch.frombuffer(bytearray((folder / "weights").read_bytes()), dtype=torch.float32)
    module = build(name)
    with torch.no_grad():
        for key, t in tensors_of(module).items():
            at, n = index[key]
            t.copy_(values[at:at + n].reshape(t.shape))
    return module.eval()


def data(name, folder, batch):
    """Images and labels."""
    read = lambda file, dtype: torch.frombuffer(bytearray((folder / file).read_bytes()), dtype=dtype)
    x = read("x", torch.float32).reshape(-1, *shape_of(name))[:batch]
    return x.contiguous(), read("label", torch.int32)[:batch].long()
