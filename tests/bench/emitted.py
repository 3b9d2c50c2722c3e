"""cnnc's side of a benchmark: a network is compiled as a user would, cnnc and then cc."""
import re
import shlex
import subprocess


def compile_library(source, cc):
    """NAME.c to NAME.so, unless neither text nor command have changed."""
    library, command = source.with_suffix(".so"), source.with_suffix(".cc")
    old = not library.exists() or library.stat().st_mtime < source.stat().st_mtime
    if old or not command.exists() or command.read_text() != cc:
        library.unlink(missing_ok=True)
        subprocess.run([*shlex.split(cc), "-shared", "-fPIC", source, "-lm", "-o", library], check=True)
        command.write_text(cc)


class Emitted:
    """The emitted C of a network at one batch size, as FOLDER/net.c, .h, .so; kept while nothing changes."""

    def __init__(self, root, folder, network, batch, cc, command):
        """`command`: cnnc, and options of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        file, *options = network.description.split()
        define = [word for option in options for word in ("-D", option)]
        subprocess.run([*command, root / "networks" / file, *define, "--prefix=net", "--if-changed",
                        f"-binfer={batch}", f"-btrain={max(batch, network.least_train)}", "-o", folder / "net.c"],
                       check=True)
        self.folder = folder
        compile_library(folder / "net.c", cc)
        self.size = {k: int(v) for k, v in re.findall(r"#define NET_(\w+) (\d+)\n", (folder / "net.h").read_text())}

    def write_vars(self, weights, index):
        """First weights, in the emitted order: `index` says by name where they are in the file `weights`."""
        rows = re.findall(r'^\t\{"([\w.]+)", (\d+), (\d+), \{[\d, ]+\}, \d, ([012])\}',
                          (self.folder / "net.c").read_text(), re.M)
        if len(rows) != self.size["TENSORS"]:
            raise RuntimeError(f"{self.folder}/net.c: its table of tensors is not understood")
        data, values = weights.read_bytes(), bytearray(4 * self.size["VARS"])
        for name, offset, count, kind in rows:
            if kind == "2":  # a slot
                continue
            at, n = index[name]
            if n != int(count):
                raise RuntimeError(f"{name} has {count} numbers in cnnc, {n} in PyTorch")
            values[4 * int(offset):4 * (int(offset) + n)] = data[4 * at:4 * (at + n)]
        (self.folder / "vars").write_bytes(values)

    def bytes_of_step(self, batch):
        """What a program that trains allocates: weights, slots, and work, which holds the gradients."""
        return 4 * (self.size["VARS"] + self.size["SLOTS"]) + self.size[f"STEP_B{batch}_WORK"]

    def bytes_of_inference(self, batch):
        """Packed weights and work."""
        return self.size["PACKED_BYTES"] + self.size[f"INFER_B{batch}_WORK"]


def version(command):
    """The first line a compiler says of itself."""
    out = subprocess.run([shlex.split(command)[0], "--version"], capture_output=True, text=True).stdout
    return out.split("\n")[0].strip()
