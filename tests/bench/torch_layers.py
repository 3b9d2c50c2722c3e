"""What tests/bench/layers.py compares with: single layers by PyTorch, in double.

Opens a layer, and answers "distance relu|plain PATH" with the largest difference of the floats in PATH, of the
largest number there is to be; relu: they are max(0, y).
"""
import numpy as np
import torch

import answer
import layer_numbers as operands


def result(kind, batch, layer):
    tensor = lambda operand: torch.from_numpy(operands.numbers(layer, batch, operand)).double()
    made = {"forward": operands.RESULT, "data": operands.INPUT, "weights": operands.WEIGHTS}[kind]
    x, w, y = (None if k == made else tensor(k) for k in (operands.INPUT, operands.WEIGHTS, operands.RESULT))
    if layer.is_dense:
        return {"forward": lambda: x @ w.T, "data": lambda: y @ w, "weights": lambda: y.T @ x}[kind]()
    _, _, _, _, stride, pad, groups = layer.numbers
    if kind == "forward":
        return torch.nn.functional.conv2d(x, w, None, stride, pad, 1, groups)
    empty = torch.empty(operands.shape(layer, batch, made), dtype=torch.float64)
    x, w = (empty if t is None else t for t in (x, w))
    return torch.ops.aten.convolution_backward(y, x, w, None, [stride] * 2, list(pad), [1, 1], False, [0, 0], groups,
                                               [kind == "data", kind == "weights", False])[kind == "weights"]


class Reference:
    words, y = None, None

    def open(self, words):
        if words != self.words:
            self.words, self.y = words, result(*operands.opened(words)).numpy()
        return "ok"

    def distance(self, rest):
        form, path = rest.split(" ", 1)
        got = np.fromfile(path, np.float32).astype(np.float64).reshape(self.y.shape)
        want = np.maximum(self.y, 0) if form == "relu" else self.y
        worst = np.abs(got - want).max()
        return repr(float(worst / np.abs(want).max())) if np.isfinite(worst) else "inf"


def main():
    reference = Reference()
    answer.serve(f"PyTorch {torch.__version__}", None, None, open=reference.open, distance=reference.distance)


main()
