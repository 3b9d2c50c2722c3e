#!/usr/bin/env python3
"""Holds the networks against PyTorch: outputs, losses, running statistics and every gradient.

    python3 tests/reference/networks.py [NAME...] [--real float] [--batch 1,2] [--cnnc build/cnnc]
    python3 tests/reference/networks.py --record

needs pip's torch and numpy, scikit-image or scikit-learn (for their photographs), and gcc. Weights are
He's. Images are pieces of photographs, and the running statistics those of such pieces, so that outputs
depend on the input. Dropout takes cnnc's masks. The models, models.py, are written from the papers over
the parameters' names alone. Where torchvision can be imported, its own models must have these names and
shapes, too, and give the same scores with these weights.

Distances are relative, in L2, a tensor each. The gates in double: 1e-11, gradients 1e-9. In float cnnc
and PyTorch start from the same numbers, and PyTorch in double tells the distance of both. Everything is held
to twice PyTorch's distance or 1e-5, whichever is more: below that there are only roundings, whose sum in a
tensor of some channels is a matter of luck. Above, a ReLU's or a maximum's gate has changed sides, and all
gradients before it are off by some 1e-3; which gates do so for given images is luck again. So distances are
the geometric means of several draws of images, and PyTorch's the larger of its two ways, with oneDNN and
without.

--record writes what tests/test_reference.c compares with, see record().
"""
import argparse
import ctypes
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import typing
import warnings

import numpy as np
import torch

import models
from lenet import mix, save

FLOOR = 1e-5
ONLY_LOSS = ("label", "same", "place", "mask")  # inputs that inference does not ask for
ROOT = pathlib.Path(__file__).resolve().parents[2]
DTYPE = {"float": (np.float32, torch.float32), "double": (np.float64, torch.float64)}

# --- what cnnc makes ----------------------------------------------------------------------------------


class Tensor(typing.NamedTuple):
    """A row of the emitted table: kind 0 a weight, 1 a buffer."""
    name: str
    offset: int
    count: int
    dim: list
    kind: int

    @property
    def part(self):
        return slice(self.offset, self.offset + self.count)


class Network:
    """The emitted C; compiled, if there is a compiler."""

    def __init__(self, args, description, infer, train):
        file, *options = description.split()
        define = [word for option in options for word in ("-D", option)]
        with tempfile.TemporaryDirectory() as folder:
            self.summary = json.loads(subprocess.check_output(
                [args.cnnc, ROOT / file, "--prefix=net", f"--real={args.real}", *args.target,
                 f"--winograd={args.winograd}", "--summary=json",
                 f"-binfer={','.join(map(str, infer))}", f"-btrain={','.join(map(str, train))}", *define,
                 "-o", f"{folder}/net.c"]))
            self.header, text = open(f"{folder}/net.h").read(), open(f"{folder}/net.c").read()
            if args.cc:
                subprocess.check_call([*shlex.split(args.cc), "-shared", "-fPIC", f"{folder}/net.c", "-lm",
                                       "-o", f"{folder}/net.so"])
                self.library = ctypes.CDLL(f"{folder}/net.so")
        self.size = {k: int(v) for k, v in re.findall(r"#define NET_(\w+) (\d+)\n", self.header)}
        rows = re.findall(r'^\t\{"([\w.]+)", (\d+), (\d+), \{([\d, ]+)\}, (\d), ([01])\}', text, re.M)
        self.table = [Tensor(name, int(at), int(n), [int(d) for d in dims.split(", ")[:int(rank)]], int(kind))
                      for name, at, n, dims, rank, kind in rows]
        self.real = DTYPE[args.real][0]

    def arguments(self, entry):
        """Inputs and outputs of an entry, as its comment lists them: name, shape, classes or 0, is output."""
        comment = re.search(r"/\*((?:(?!\*/).)*)\*/\nint net_%s\(" % entry, self.header, re.S)[1]
        found = re.findall(r"^ \*   (\w+) +(\d+(?: x \d+)*)(?:, each 0 to (\d+))?(, written)?$", comment, re.M)
        return [(name, [int(d) for d in shape.split(" x ")], int(top or -1) + 1, bool(written))
                for name, shape, top, written in found]

    def losses(self, n):
        found = re.search(r"/\*((?:(?!\*/).)*)\*/\nint net_gradients_b%d\(" % n, self.header, re.S)[1]
        return int(re.search(r"^ \*   loss +(\d+|one)", found, re.M)[1].replace("one", "1"))

    def call(self, entry, first, inputs, *before_outputs):
        """Runs an entry. Returns its outputs by name."""
        at = lambda x: x if x is None or not isinstance(x, np.ndarray) else x.ctypes.data_as(ctypes.c_void_p)
        arguments = self.arguments(entry)
        given = [np.ascontiguousarray(inputs[name], np.int32 if classes else self.real)
                 for name, _, classes, written in arguments if not written]
        outputs = {name: np.zeros(shape, self.real) for name, shape, _, written in arguments if written}
        work = np.zeros(self.size[entry.upper() + "_WORK"], np.uint8)
        status = getattr(self.library, "net_" + entry)(
            *map(at, [*first, *given, *before_outputs, *outputs.values(), work, None]))
        if status != 0:
            raise RuntimeError(f"{entry} returns {status}")
        return outputs

    def infer(self, n, vars_, inputs):
        packed = np.zeros(self.size["PACKED_BYTES"], np.uint8)
        pointer = lambda x: x.ctypes.data_as(ctypes.c_void_p)
        self.library.net_pack(pointer(vars_), pointer(packed))
        return self.call(f"infer_b{n}", [packed], inputs)

    def gradients(self, n, vars_, inputs):
        """Outputs, losses and gradients; running statistics in vars_ advance."""
        grads, loss = np.zeros(self.size["WEIGHTS"], self.real), np.zeros(self.losses(n), self.real)
        key = [ctypes.c_uint64(models.SEED), ctypes.c_uint64(models.STEP)]
        outputs = self.call(f"gradients_b{n}", [vars_, *key], inputs, grads, loss)
        return list(outputs.values()), loss, grads


# --- what PyTorch makes -------------------------------------------------------------------------------


def tensors_of(table, values, dtype):
    """The parameters by name, as tensors of their own."""
    return {t.name: torch.tensor(values[t.part].reshape(t.dim), dtype=dtype, requires_grad=t.kind == 0)
            for t in table}


def as_torch(inputs, dtype):
    return {k: torch.tensor(x).long() if x.dtype == np.int32 else torch.tensor(x, dtype=dtype)
            for k, x in inputs.items()}


def infer(model, tensors, inputs, dtype):
    with torch.no_grad():
        y, _ = model(models.Weights(tensors, False), **seen(as_torch(inputs, dtype)))
    return [t.numpy() for t in y]


def seen(inputs):
    """Without what only losses read."""
    return {k: x for k, x in inputs.items() if k not in ONLY_LOSS}


def gradients(model, tensors, inputs, dtype):
    """Outputs and losses; gradients and running statistics are left in the tensors."""
    given = as_torch(inputs, dtype)
    y, terms = model(models.Weights(tensors, True), **seen(given))
    values = [f(given) for _, f in terms]
    total = sum(w * v for (w, _), v in zip(terms, values))
    total.backward()
    losses = [total] + (values if len(values) > 1 else [])
    return [t.detach().numpy() for t in y], np.array([float(v.detach()) for v in losses])


# --- numbers ------------------------------------------------------------------------------------------


def photographs():
    """Three photographs that come with a package, as [3, height, width] from 0 to 1."""
    try:
        from skimage import data
        found = [data.astronaut(), data.cat(), data.coffee()]
    except ImportError:
        from sklearn.datasets import load_sample_images
        found = load_sample_images().images
    return [np.asarray(x).transpose(2, 0, 1) / 255 for x in found]


def pieces(photos, n, size, random):
    """n square pieces at random places, as large as fits and then averaged down, normalised as usual."""
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    out = np.zeros((n, 3, size, size))
    for i in range(n):
        photo = photos[i % len(photos)]
        by = max(1, min(photo.shape[1:]) // size // 2)
        if min(photo.shape[1:]) < size * by:
            photo = np.pad(photo, ((0, 0), (0, size), (0, size)), "reflect")
        y, x = (random.integers(0, d - size * by + 1) for d in photo.shape[1:])
        piece = photo[:, y:y + size * by, x:x + size * by].reshape(3, size, by, size, by).mean((2, 4))
        out[i] = (piece - mean[:, None, None]) / deviation[:, None, None]
    return out


def fill(table, values, random):
    """Weights as He has them; running statistics that calibrate() replaces."""
    for t in table:
        if t.name.endswith(("bias", "running_mean")):
            values[t.part] = random.normal(0, 0.1, t.count)
        elif len(t.dim) == 1:
            values[t.part] = random.uniform(0.5, 1.5, t.count)
        else:
            values[t.part] = random.normal(0, (2 / np.prod(t.dim[1:])) ** 0.5, t.count)


def calibrate(model, table, values, x):
    """Running statistics: those of x."""
    tensors = tensors_of(table, values, torch.float32)
    with torch.no_grad():
        model(models.Weights(tensors, True, momentum=1), torch.tensor(x, dtype=torch.float32))
    for t in table:
        if t.kind == 1:
            values[t.part] = tensors[t.name].numpy()


# --- comparing ----------------------------------------------------------------------------------------


def far(got, want):
    got, want = np.asarray(got, np.float64).ravel(), np.asarray(want, np.float64).ravel()
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def compare(table, grads, vars_, want):
    """Distances from tensors of PyTorch: the gradients by name; the farthest of the running statistics."""
    gradient, buffers = {}, 0.0
    for t in table:
        if t.kind == 0:
            gradient[t.name] = far(grads[t.part], want[t.name].grad)
        else:
            buffers = max(buffers, far(vars_[t.part], want[t.name]))
    return gradient, buffers


def gate_of(theirs):
    return max(2 * theirs, FLOOR)


def torch_in_float(model, table, values, inputs, right):
    """PyTorch's own distances in float, by what they are of: the larger of those with oneDNN and without."""
    ways = []
    for mkldnn in (True, False):
        with warnings.catch_warnings(action="ignore"), torch.backends.mkldnn.flags(enabled=mkldnn):
            tensors = tensors_of(table, values, torch.float32)
            way = {"inference": far(infer(model, tensors, inputs, torch.float32)[0], right["inference"])}
            if "training" in right:
                own, loss = gradients(model, tensors, inputs, torch.float32)
                way |= {"training": far(own[0], right["training"]), "loss": far(loss, right["loss"]), "statistics": 0.0}
                way |= {t.name: far(tensors[t.name].grad, right[t.name]) for t in table if t.kind == 0}
        ways.append(way)
    return {k: max(way[k] for way in ways) for k in ways[0]}


def distances(model, net, values, n, inputs):
    """cnnc's distances from PyTorch in double, by what they are of; what is right; and cnnc's scores."""
    trains = f"GRADIENTS_B{n}_WORK" in net.size
    vars_, want = values.astype(net.real), tensors_of(net.table, values, torch.float64)
    scores = list(net.infer(n, vars_, inputs).values())[0]
    right = {"inference": infer(model, want, inputs, torch.float64)[0]}
    ours = {"inference": far(scores, right["inference"])}
    if trains:
        outputs, loss, grads = net.gradients(n, vars_, inputs)
        own, right["loss"] = gradients(model, want, inputs, torch.float64)
        right["training"] = own[0]
        right |= {t.name: want[t.name].grad for t in net.table if t.kind == 0}
        gradient, buffers = compare(net.table, grads, vars_, want)
        ours |= {"training": far(outputs[0], own[0]), "loss": far(loss, right["loss"])} | gradient
        ours |= {"statistics": buffers} if any(t.kind == 1 for t in net.table) else {}
    return ours, right, scores


def against_torchvision(name, table, values, inputs, scores):
    """The distance of torchvision's own scores; its names and shapes must be ours. None: it is not there."""
    if not name:
        return None
    try:
        import torchvision
    except (ImportError, RuntimeError):
        return None
    options = {} if name.startswith(("alex", "res")) else {"init_weights": False, "aux_logits": True}
    net = getattr(torchvision.models, name)(**options).double().eval()
    state = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    ours = {k: v.detach() for k, v in tensors_of(table, values, torch.float64).items()}
    if {k: v.shape for k, v in ours.items()} != {k: v.shape for k, v in state.items()}:
        raise RuntimeError(f"torchvision's {name} has other names or shapes")
    net.load_state_dict(ours, strict=False)
    with torch.no_grad():
        return far(scores, net(torch.tensor(inputs["x"])).numpy())


def row(*cells):
    print("|" + "|".join(f" {c} " for c in cells) + "|", flush=True)


def say(distance, theirs=None):
    """Ours, and PyTorch's own behind it."""
    text = "-" if distance is None else f"{distance:.1e}"
    return text if theirs is None else f"{text} ({theirs:.1e})"


FORWARD = "inference", "training", "loss", "statistics"


def cells_of(ours, theirs, gates):
    """The cells of a row, with PyTorch's own distances behind ours where there are any."""
    own = lambda k: None if theirs is None or k == "statistics" else theirs[k]
    cells = [say(ours[k], own(k)) if k in ours else "-" for k in FORWARD]
    gradient = [k for k in ours if k not in FORWARD]
    if not gradient:
        return cells + ["-"] * (2 if theirs is None else 4)
    worst = max(gradient, key=lambda k: ours[k] / gates[k])
    if theirs is None:
        return cells + [say(ours[worst]), worst]
    middle = [float(np.median([d[k] for k in gradient])) for d in (ours, theirs)]
    beyond = sum(ours[k] > gates[k] for k in gradient)
    return cells + [say(*middle), say(ours[worst], theirs[worst]), worst, f"{beyond} of {len(gradient)}"]


def typical(draws):
    """The geometric mean of several draws' distances, each by what it is of."""
    return {k: float(np.exp(np.mean([np.log(max(d[k], 1e-12)) for d in draws]))) for k in draws[0]}


def batch_inputs(net, entry, n, photos, random):
    inputs = {}
    for key, shape, classes, written in net.arguments(entry):
        if classes:
            inputs[key] = random.integers(0, classes, shape).astype(np.int32)
        elif not written:
            inputs[key] = pieces(photos, n, shape[-1], random).astype(np.float32).astype(np.float64)
    return inputs


def hold_in_double(case, net, values, n, inputs):
    name, model, vision = case
    ours, _, scores = distances(model, net, values, n, inputs)
    gates = {k: 1e-11 if k in FORWARD else 1e-9 for k in ours}
    vision = against_torchvision(vision, net.table, values, inputs, scores)
    row(name, n, *cells_of(ours, None, gates), say(vision))
    return all(ours[k] <= gates[k] for k in ours) and (vision is None or vision <= 1e-11)


def hold_in_float(case, net, values, n, draws):
    name, model, _ = case
    ours, theirs = [], []
    for inputs in draws:
        mine, right, _ = distances(model, net, values, n, inputs)
        ours.append(mine)
        theirs.append(torch_in_float(model, net.table, values, inputs, right))
    ours, theirs = typical(ours), typical(theirs)
    gates = {k: gate_of(theirs[k]) for k in ours}
    row(name, n, *cells_of(ours, theirs, gates))
    return all(ours[k] <= gates[k] for k in ours)


def hold_batch(args, case, net, values, n, photos, random):
    """One network at one batch size."""
    entry = f"gradients_b{n}" if f"GRADIENTS_B{n}_WORK" in net.size else f"infer_b{n}"
    draws = [batch_inputs(net, entry, n, photos, random) for _ in range(args.draws)]
    if args.real == "float":
        return hold_in_float(case, net, values, n, draws)
    return all([hold_in_double(case, net, values, n, inputs) for inputs in draws])


def hold(args, name, photos):
    description, model, vision = models.NETWORKS[name]
    # Inception's auxiliary classifier norms one number an image.
    train = [n for n in args.batch if n > 1 or name != "inception_v3"]
    net = Network(args, description, args.batch, train)
    random = np.random.default_rng(1)
    values = np.zeros(net.size["VARS"])
    fill(net.table, values, random)
    size = next(shape for _, shape, _, _ in net.arguments(f"infer_b{args.batch[0]}"))[-1]
    if any(t.kind == 1 for t in net.table):
        calibrate(model, net.table, values, pieces(photos, 6, size, random))
    values = values.astype(np.float32).astype(np.float64)
    case = name, model, vision
    return all([hold_batch(args, case, net, values, n, photos, random) for n in args.batch])


# --- what is recorded ---------------------------------------------------------------------------------

SIGNS = 8


def digest(t):
    """The norm of a tensor, and SIGNS sums of its numbers with signs drawn by mix(), as in lenet.py."""
    t = torch.as_tensor(t).detach().reshape(-1).double()
    h = mix(torch.arange(t.numel()) + 0x20000000)
    return torch.stack([t.norm()] + [torch.where((h >> k & 1) == 1, t, -t).sum() for k in range(SIGNS)])


def drawn(start, count):
    """Numbers from -1 to 1."""
    return (mix(torch.arange(start, start + count)) >> 16).double().numpy() / 32768 - 1


def drawn_weights(table, values):
    """He's, uniform; running statistics begin at 0."""
    for t in table:
        u = drawn(t.offset, t.count)
        if t.kind == 1:
            values[t.part] = 0
        elif t.name.endswith("bias"):
            values[t.part] = u / 8
        else:
            values[t.part] = 1 + u / 2 if len(t.dim) == 1 else u * (6 / np.prod(t.dim[1:], dtype=float)) ** 0.5


def drawn_input(number, name, shape, classes):
    """An input's numbers, and how the signature tells what they are: count, then #classes or <limit."""
    start, count = 0x40000000 + (number << 24), int(np.prod(shape))
    limit = classes or {"same": 2, "mask": 2}.get(name, 0)
    if not limit:
        return drawn(start, count).reshape(shape), f"{name}={count}"
    x = (mix(torch.arange(start, start + count)) % limit).numpy().reshape(shape)
    return x.astype(np.int32 if classes else float), f"{name}={count}{'#' if classes else '<'}{limit}"


def record_network(args, name, batch, description, model):
    """The tensors of one network, and what its metadata say."""
    net = Network(args, description, [batch], [batch])
    values, inputs, signature = np.zeros(net.size["VARS"]), {}, []
    drawn_weights(net.table, values)
    for i, (key, shape, classes, written) in enumerate(net.arguments(f"gradients_b{batch}")):
        if written:
            signature.append(f">{key}={np.prod(shape)}")
        else:
            inputs[key], word = drawn_input(i, key, shape, classes)
            signature.append(word)
    of = tensors_of(net.table, values, torch.float64)
    outputs, loss = gradients(model, of, inputs, torch.float64)
    weights, buffers = ([of[t.name] for t in net.table if t.kind == kind] for kind in (0, 1))
    with torch.no_grad():
        for t in buffers:  # a tenth of the batch's statistics
            t *= 10
    out = {"training": outputs, "gradients": [t.grad for t in weights],
           "inference": infer(model, of, inputs, torch.float64)} | ({"statistics": buffers} if buffers else {})
    out = {f"{name}.{k}": torch.stack([digest(t) for t in list_]) for k, list_ in out.items()}
    out[f"{name}.loss"] = torch.tensor(loss)
    infer_words = [f"{'>' if written else ''}{key}" for key, _, _, written in net.arguments(f"infer_b{batch}")]
    return out, {f"{name}": f"{batch} {description}", f"{name}.gradients": " ".join(signature),
                 f"{name}.infer": " ".join(infer_words)}


def record(args):
    """Writes networks.safetensors and examples.safetensors.

    Of each network in models.RECORDED, tensors NAME.training, NAME.inference, NAME.gradients and
    NAME.statistics hold a row a tensor, its digest(), in the order of outputs or of the table;
    NAME.loss all losses. Weights, buffers and inputs are made by mix(), which the test repeats. The
    statistics are ten times those that one step leaves, which began at 0: so they are the batch's, and
    inference is done with these. The metadata have the names in order, and by name batch, file
    and options; the arguments of gradients, "x=24576 label=2#10 >logits=20": those with # are whole, with <
    real and whole; and the arguments of inference.
    """
    args.real, args.cc, args.target = "double", None, ["--target=generic"]
    for file, cases in models.RECORDED.items():
        tensors, note = {}, {"torch": torch.__version__.split("+")[0], "networks": " ".join(cases)}
        for name, case in cases.items():
            out, words = record_network(args, name, *case)
            tensors.update(out)
            note.update(words)
            print(name, *out[f"{name}.loss"].tolist(), flush=True)
        save(ROOT / f"tests/reference/{file}.safetensors", tensors, note)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", help=" ".join(models.NETWORKS))
    parser.add_argument("--cnnc", default=str(ROOT / "build/cnnc"))
    parser.add_argument("--cc", default="gcc -O2")
    parser.add_argument("--target", type=lambda t: ["--target", t], default=[], help="as for cnnc")
    parser.add_argument("--real", choices=DTYPE, default="double")
    parser.add_argument("--winograd", default="none", help="as for cnnc: its rounding is beyond the gates")
    parser.add_argument("--batch", type=lambda s: [int(n) for n in s.split(",")], default=[1, 2])
    parser.add_argument("--draws", type=int, help="of images: 1, in float 8")
    parser.add_argument("--record", action="store_true")
    args = parser.parse_args()
    if args.record:
        return record(args)
    args.draws = args.draws or (8 if args.real == "float" else 1)
    photos = photographs()
    rest = ["worst gradient", "of", "torchvision"]
    if args.real == "float":
        rest = ["median gradient", "worst gradient", "of", "beyond their gates"]
    row("network", "batch", "inference", "training", "loss", "statistics", *rest)
    print("|" + "-|" * (6 + len(rest)), flush=True)
    return 0 if all([hold(args, name, photos) for name in args.name or models.NETWORKS]) else 1


if __name__ == "__main__":
    sys.exit(main())
