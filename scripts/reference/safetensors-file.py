"""A file of the reference library, for src/nn/safetensors.test.ts.

    pip install torch==2.13.0 safetensors==0.8.0
    python scripts/reference/safetensors-file.py > test/reference/safetensors.json
"""

import base64
import json

import safetensors
import torch
from safetensors.torch import save

NAMES = {
    torch.float32: "float32", torch.float64: "float64", torch.float16: "float16", torch.bfloat16: "bfloat16",
    torch.int64: "int64", torch.int32: "int32", torch.int16: "int16", torch.int8: "int8", torch.uint8: "uint8", torch.bool: "bool",
}  # fmt: skip

tensors = {f"a.{name}": (torch.arange(6).reshape(2, 3) - (2 if dtype.is_signed else 0)).to(dtype) for dtype, name in NAMES.items()}
tensors["scalar"] = torch.tensor(7)
tensors["empty"] = torch.zeros(0, 3)
metadata = {"format": "pt"}

print(
    json.dumps(
        {
            "versions": {"torch": torch.__version__, "safetensors": safetensors.__version__},
            "metadata": metadata,
            "tensors": {
                name: {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "values": [float(x) for x in tensor.flatten()]}
                for name, tensor in tensors.items()
            },
            "file": base64.b64encode(save(tensors, metadata)).decode(),
        },
        separators=(",", ":"),
    )
)
