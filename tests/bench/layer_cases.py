"""Which single layers are measured: the distinct shapes of the networks in cases.py, as `shapes` finds them."""
import subprocess
import typing

import cases
from session import BENCH, ROOT

PASSES = {"forward": "forward", "data": "by data", "weights": "by weights"}
BATCHES, THREADS = (1, 16), (1, 2)
# By name: the title of its column, and its passes.
PEERS = {
    "onednn": ("oneDNN, SYCL", tuple(PASSES)),
    "onednn_omp": ("oneDNN, OpenMP", tuple(PASSES)),
    "ort": ("ONNX Runtime", ("forward",)),
}


class Layer(typing.NamedTuple):
    """As common/layer.h has it: `shape` is the line without the name."""
    shape: str

    @property
    def key(self):
        return "_".join(self.shape.split())

    @property
    def line(self):
        return f"{self.key} {self.shape}"

    @property
    def numbers(self):
        """Channels in and out, then height and width of image and kernel, stride, pads, groups."""
        ic, oc, *sides, groups = self.shape.split()
        size, kernel, stride, pad = [tuple(map(int, side.split("x"))) for side in sides]
        return int(ic), int(oc), size, kernel, stride[0], pad, int(groups)

    @property
    def is_dense(self):
        return self.numbers[2] == (1, 1)

    @property
    def is_image(self):
        """It reads what the user gives, with no gradient."""
        return self.numbers[0] <= 3 and not self.is_dense

    @property
    def out(self):
        _, _, size, kernel, stride, pad, _ = self.numbers
        return tuple((n + 2 * p - k) // stride + 1 for n, k, p in zip(size, kernel, pad))

    @property
    def flop(self):
        """Of an image: multiplications and additions, padded taps too."""
        ic, oc, _, kernel, _, _, groups = self.numbers
        return 2 * oc * self.out[0] * self.out[1] * ic // groups * kernel[0] * kernel[1]

    @property
    def title(self):
        ic, oc, size, kernel, stride, _, groups = self.numbers
        if self.is_dense:
            return f"dense {ic} → {oc}"
        apart = f" / {stride}" * (stride > 1) + f", {groups} groups" * (groups > 1)
        return f"{kernel[0]}x{kernel[1]}{apart}, {ic} → {oc}, {size[0]}x{size[1]}"


class Row(typing.NamedTuple):
    layer: Layer
    kind: str
    batch: int
    threads: int

    @property
    def key(self):
        return "/".join(map(str, [self.layer.key, *self[1:]]))

    @property
    def words(self):
        """What peers open."""
        return f"{self.kind} {self.batch} {self.layer.line}"


def layers(networks=None):
    """Layers of some networks, each with the titles of the networks that have it."""
    found = {}
    for name, network in cases.NETWORKS.items():
        if networks and name not in networks:
            continue
        file, *options = network.description.split()
        lines = subprocess.run([BENCH / "shapes", ROOT / "networks" / file, *options], check=True,
                               capture_output=True, text=True).stdout.splitlines()
        for line in lines:
            _, shape = line.split(" ", 1)
            found.setdefault(Layer(shape), []).append(network.title)
    return found


def rows(of, kinds=None, batches=None, threads=None):
    """All rows of these layers that a filter leaves; None: no filter. Both numbers of threads stand together."""
    return [Row(layer, kind, batch, n)
            for layer in of
            for kind in PASSES if (not kinds or kind in kinds) and not (kind == "data" and layer.is_image)
            for batch in BATCHES if not batches or batch in batches
            for n in THREADS if not threads or n in threads]
