"""ONNX Runtime and OpenVINO as peers of tests/bench/bench.py.

    python3 onnx_peer.py ort|openvino NETWORK DATA infer BATCH THREADS
"""
import json
import pathlib
import sys

import numpy as np

import answer


def open_ort(path, x, threads):
    import onnxruntime
    from onnx_session import bound
    return f"ONNX Runtime {onnxruntime.__version__}", *bound(path, x, threads)


def open_openvino(path, x, threads):
    import openvino
    compiled = openvino.Core().compile_model(path, "CPU", {
        "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(threads),
        "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(x, shared_memory=True))

    def check():
        request.infer(share_outputs=True)
        return np.array(request.get_output_tensor().data)
    # The tensor does not keep the array alive that it shares: the function does.
    return (f"OpenVINO {openvino.__version__.split('-')[0]}", check,
            lambda kept=x: request.infer(share_outputs=True))


def main():
    mode, _, folder, _, batch, threads = sys.argv[1:]
    folder = pathlib.Path(folder)
    shape = json.loads((folder / "meta.json").read_text())["shape"]
    x = np.fromfile(folder / "x", np.float32).reshape(-1, *shape)[:int(batch)]
    opened = {"ort": open_ort, "openvino": open_openvino}[mode]
    answer.serve(*opened(str(folder / f"b{batch}.onnx"), np.ascontiguousarray(x), int(threads)))


main()
