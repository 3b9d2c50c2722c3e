#!/usr/bin/env python3
"""Makes foreign.safetensors: a small network's weights as others store them, in all the real types.

    python3 tests/reference/foreign.py [tests/reference/foreign.safetensors]

Needs the package safetensors (0.8 made the file), whose own writer is used. The names are those that PyTorch gives a
convolution, a batch norm and a classifier of five classes, with num_batches_tracked. Half floats are
written as bits: 1, -2, the largest, the smallest subnormal, the largest subnormal, the smallest normal,
-0 and 1/3. tests/test_weights.c and tests/test_repl.c know the numbers.
"""
import ctypes
import pathlib
import struct
import sys

import safetensors

HALVES = [0x3C00, 0xC000, 0x7BFF, 0x0001, 0x03FF, 0x0400, 0x8000, 0x3555]  # F16
BRAINS = [0x3F80, 0xC049]  # BF16: 1, -3.140625


def entry(dtype, shape, code, values):
    data = struct.pack(f"<{len(values)}{code}", *values)
    buffer = ctypes.create_string_buffer(data, len(data))
    spec = safetensors.TensorSpec(
        dtype=dtype, shape=shape, data_ptr=ctypes.addressof(buffer), data_len=len(data))
    return spec, buffer  # the buffer must live as long


TENSORS = {
    "conv.weight": entry("float16", [2, 1, 2, 2], "H", HALVES),
    "bn.weight": entry("bfloat16", [2], "H", BRAINS),
    "bn.bias": entry("float32", [2], "f", [0.5, -0.25]),
    "bn.running_mean": entry("float64", [2], "d", [0.1, -1e-3]),
    "bn.running_var": entry("float32", [2], "f", [1.0, 2.0]),
    "bn.num_batches_tracked": entry("int64", [], "q", [12345]),
    "fc.weight": entry("bfloat16", [5, 2], "H", [0x3F80 + 16 * i for i in range(10)]),
    "fc.bias": entry("float16", [5], "H", HALVES[:5]),
}

if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).with_name("foreign.safetensors")
    specs = {name: spec for name, (spec, _) in TENSORS.items()}
    pathlib.Path(path).write_bytes(safetensors.serialize(specs, {"format": "pt"}))
