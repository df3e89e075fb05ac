"""Models with sparse tensors from another writer, and what another reader finds in ours; for src/onnx/sparse-proto.test.ts.

    pip install onnx==VERSION numpy onnxruntime          (the versions are in the file)
    npx tsx scripts/reference/sparse-written.ts > written.txt
    python scripts/reference/sparse.py written.txt > test/reference/sparse.json
"""

import base64
import json
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

rng = np.random.default_rng(5)


def rounded(*shape):
    """Values that survive JSON."""
    return (np.round(rng.standard_normal(shape) * 64) / 64 + 0.0).astype(np.float32)  # no -0


def sparse_tensor(name, weight, linear):
    """COO of a dense array."""
    coordinates = np.argwhere(weight != 0)
    values = weight[tuple(coordinates.T)]
    indices = np.flatnonzero(weight != 0) if linear else coordinates
    return helper.make_sparse_tensor(
        numpy_helper.from_array(values, name),
        helper.make_tensor(f"{name}_indices", TensorProto.INT64, indices.shape, indices.astype(np.int64).flatten()),
        list(weight.shape),
    )


def dense(sparse):
    """The dense array of a SparseTensorProto, as the specification describes it."""
    values, indices = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    result = np.zeros(list(sparse.dims), values.dtype)
    if indices.ndim == 1:
        result.reshape(-1)[indices] = values
    else:
        result[tuple(indices.T)] = values
    return result


def case(kind, linear):
    shape = {"Conv": (4, 3, 3, 3), "Gemm": (6, 5), "MatMul": (6, 5), "Constant": (6, 5)}[kind]
    weight = rounded(*shape)
    weight[rng.random(shape) < 0.7] = 0
    x = rounded(1, 3, 5, 5) if kind == "Conv" else rounded(2, 6)
    sparse = sparse_tensor("w", weight, linear)
    op = "MatMul" if kind == "Constant" else kind
    nodes = [helper.make_node(op, ["x", "w"], ["y"])]
    out = [1, 4, 3, 3] if kind == "Conv" else [2, 5]
    if kind == "Constant":
        nodes.insert(0, helper.make_node("Constant", [], ["w"], sparse_value=sparse))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        sparse_initializer=[] if kind == "Constant" else [sparse],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    # The same with a dense weight, in the reference implementation.
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    del plain.graph.sparse_initializer[:]
    if kind == "Constant":
        del plain.graph.node[0]
    plain.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    y = ReferenceEvaluator(plain).run(None, {"x": x})[0]
    return {
        "name": f"{kind}, {'linear positions' if linear else 'coordinates'}",
        "model": base64.b64encode(model.SerializeToString()).decode(),
        "weight": weight.flatten().tolist(),
        "x": {"dims": list(x.shape), "data": x.flatten().tolist()},
        "y": [float(f"{v:.7g}") for v in y.flatten()],
    }


def read_ours(path):
    text = open(path).read().strip()
    model = onnx.load_model_from_string(base64.b64decode(text))
    onnx.checker.check_model(model)  # full_check infers sparse types, which its operators do not take
    tensors = {}
    for sparse in model.graph.sparse_initializer:
        array = dense(sparse)
        at = np.flatnonzero(array)
        tensors[sparse.values.name] = {
            "dims": list(array.shape),
            "dtype": str(array.dtype),
            "positions": at.tolist(),
            "sum": float(array.astype(np.float64).sum()),
            "first": [float(v) for v in array.flatten()[at[:5]]],
        }
    return {"bytes": text, "dense": [t.name for t in model.graph.initializer], "sparse": tensors}


cases = [case(kind, linear) for kind in ("Conv", "Gemm", "MatMul", "Constant") for linear in (True, False)]
json.dump(
    {"versions": {"onnx": onnx.__version__, "numpy": np.__version__}, "cases": cases, "written": read_ours(sys.argv[1])},
    sys.stdout,
    separators=(",", ":"),
)
