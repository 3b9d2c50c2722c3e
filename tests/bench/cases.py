"""What is measured: networks, batch sizes, threads, and which peers may be the fastest where.

A row is a network at a batch size, on some threads, in inference or in training.
"""
import typing


class Network(typing.NamedTuple):
    title: str
    description: str        # file in networks/, and options
    infer: tuple            # batch sizes
    train: tuple
    compiled: tuple = ()    # what torch.compile is tried for with --compile
    least_train: int = 1    # the smallest batch it trains with
    rate: float = 1e-3      # of the steps that are compared: losses move, roundings do not grow beyond the gate


# Names are torchvision's where it has the network. Inception v3's auxiliary classifier norms one number an
# image, so it trains from batch 2.
NETWORKS = {
    "lenet": Network("LeNet-5, modern", "lenet.lua variant=modern", (1, 64), (1, 64), ("infer", "train")),
    "resnet20": Network("ResNet-20", "resnet_cifar.lua", (), (64,), ("train",)),
    "alexnet": Network("AlexNet", "alexnet.lua variant=torchvision", (1, 16), (1, 16)),
    "googlenet": Network("GoogLeNet", "googlenet.lua variant=torchvision", (1, 16), (1, 16), rate=1e-5),
    "inception_v3": Network("Inception v3", "inception_v3.lua", (1, 16), (2, 16), least_train=2, rate=1e-6),
    "resnet18": Network("ResNet-18", "resnet.lua depth=18", (1, 16), (1, 16), ("infer", "train")),
    "resnet50": Network("ResNet-50", "resnet.lua depth=50", (1, 16), (1, 16), rate=1e-5),
}
THREADS = 1, 2
KINDS = "infer", "train"
# By name: the program that has it, the way it works, the title of its column.
PEERS = {
    "ort": ("onnx_peer.py", "ONNX Runtime"),
    "openvino": ("onnx_peer.py", "OpenVINO"),
    "eager": ("torch_peer.py", "PyTorch eager"),
    "channels_last": ("torch_peer.py", "PyTorch channels_last"),
    "tuned": ("torch_peer.py", "eager, malloc tuned"),
    "tuned_last": ("torch_peer.py", "channels_last, malloc tuned"),
    "compile": ("torch_peer.py", "torch.compile"),
}
# What a training step frees goes back to the system, and is mapped anew in the next one, unless malloc is told to keep
# it: then PyTorch is faster, most of all with AlexNet's gradients.
KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 34), "MALLOC_TOP_PAD_": str(1 << 28)}
ENVIRONMENT = {"tuned": KEEP, "tuned_last": KEEP}
TIMED_RATE, MOMENTUM, DECAY, FIRST_STEPS = 1e-7, 0.9, 1e-4, 3  # as in step.c


class Row(typing.NamedTuple):
    kind: str
    network: str
    batch: int
    threads: int

    @property
    def key(self):
        return "/".join(map(str, self))

    @property
    def of(self):
        return NETWORKS[self.network]


def rows(kinds=None, networks=None, batches=None, threads=None):
    """All rows that a filter leaves, in the order of the tables; None: no filter."""
    return [Row(kind, name, batch, n)
            for kind in KINDS if not kinds or kind in kinds
            for name in NETWORKS if not networks or name in networks
            for batch in getattr(NETWORKS[name], kind) if not batches or batch in batches
            for n in THREADS if not threads or n in threads]


def peers(row, compiled=False):
    """Who else is asked for this row."""
    names = ["ort", "openvino"] if row.kind == "infer" else []
    names += ["eager", "channels_last"]
    names += ["tuned", "tuned_last"] if row.kind == "train" and row.network != "lenet" else []
    return names + (["compile"] if compiled and row.kind in row.of.compiled else [])
