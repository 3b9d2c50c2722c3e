"""ONNX Runtime as a peer of tests/bench/layers.py: a graph of one node, forward.

    python3 onnx_layers.py THREADS
"""
import sys

import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

import answer
import layer_numbers as operands
from onnx_session import bound


def model_of(layer, batch):
    _, _, _, kernel, stride, pad, groups = layer.numbers
    value = lambda name, operand: helper.make_tensor_value_info(
        name, TensorProto.FLOAT, operands.shape(layer, batch, operand))
    if layer.is_dense:
        node = helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)
    else:
        node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=kernel, strides=[stride] * 2,
                                pads=[*pad, *pad], group=groups)
    w = numpy_helper.from_array(operands.numbers(layer, batch, operands.WEIGHTS), "w")
    graph = helper.make_graph([node], "layer", [value("x", operands.INPUT)], [value("y", operands.RESULT)], [w])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


class Peer:
    def __init__(self, threads):
        self.threads = threads

    def open(self, words):
        _, batch, layer = operands.opened(words)
        x = operands.numbers(layer, batch, operands.INPUT)
        self.check, self.run = bound(model_of(layer, batch).SerializeToString(), x, self.threads)
        return "ok"


def main():
    peer = Peer(int(sys.argv[1]))
    answer.serve(f"ONNX Runtime {ort.__version__}", lambda: peer.check(), lambda: peer.run(), open=peer.open)


main()
