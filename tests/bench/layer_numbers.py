"""The operands of single layers in Python: the same numbers as in common/layer.c."""
import numpy as np

import layer_cases

INPUT, WEIGHTS, RESULT = range(3)


def shape(layer, batch, operand):
    ic, oc, size, kernel, _, _, groups = layer.numbers
    flat = {INPUT: (batch, ic), WEIGHTS: (oc, ic), RESULT: (batch, oc)}
    spread = {INPUT: (batch, ic, *size), WEIGHTS: (oc, ic // groups, *kernel), RESULT: (batch, oc, *layer.out)}
    return (flat if layer.is_dense else spread)[operand]


def numbers(layer, batch, operand):
    of = shape(layer, batch, operand)
    h = np.arange(np.prod(of), dtype=np.uint32) + np.uint32((operand + 1) * 0x9e3779b9 & 0xffffffff)
    for shift, factor in (16, 0x85ebca6b), (13, 0xc2b2ae35):
        h ^= h >> np.uint32(shift)
        h *= np.uint32(factor)
    h ^= h >> np.uint32(16)
    values = (h >> np.uint32(8)).astype(np.float32) * np.float32(2.0 ** -23) - np.float32(1)
    if not (operand == WEIGHTS or (operand == INPUT and layer.is_image)):
        np.maximum(values, 0, out=values)
    return values.reshape(of)


def opened(words):
    """Pass, batch and layer of what a peer is to open."""
    kind, batch, _, shape_words = words.split(" ", 3)
    return kind, int(batch), layer_cases.Layer(shape_words)
