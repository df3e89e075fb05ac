"""Reference data for src/autodiff/gradients: PyTorch's gradients where differences show nothing: at kinks and ties, at zeros,
at extreme values, and of fake quantizers. Writes test/reference/gradients.json. Run: python3 scripts/reference/gradients.py (torch).
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
NODES = []
FAKE_QUANTIZERS = []


def plain(tensor):
    return [x if math.isfinite(x) else str(x).replace("inf", "Infinity") for x in tensor.flatten().tolist()]


def described(tensor):
    return {"dims": list(tensor.shape), "values": plain(tensor)}


def seed_like(y):
    # Small different numbers, exact in float32.
    return (torch.arange(y.numel(), dtype=torch.float32).reshape(y.shape) % 7 - 3) / 4 + 0.125


def node(op, function, inputs, attributes=None, name="", opset=17, fixed=(), ints=None):
    """`inputs` are float tensors or None; those in `fixed` are constants; `ints` come last as an int64 constant."""
    leaves = [None if x is None else x.clone().requires_grad_(i not in fixed) for i, x in enumerate(inputs)]
    y = function(*leaves)
    dy = seed_like(y)
    y.backward(dy)
    NODES.append(
        {
            "op": op,
            "name": name,
            "opset": opset,
            "attributes": attributes or {},
            "inputs": [None if x is None else {**described(x), "fixed": i in fixed} for i, x in enumerate(inputs)],
            **({"ints": ints} if ints is not None else {}),
            "dy": described(dy),
            "gradients": [None if x is None or i in fixed else plain(x.grad) for i, x in enumerate(leaves)],
        }
    )


KINKS = torch.tensor([-4, -3, -2.5, -1, -0.5, -0.25, 0, 0.25, 0.5, 1, 2.5, 3, 4, 0])
EXTREMES = torch.tensor([-200, -90, -50, -20.5, -1, 0, 1, 20.5, 50, 90, 200])
f = lambda value: {"float": value}
i = lambda value: {"int": value}

node("Relu", F.relu, [KINKS], name="kinks")
node("LeakyRelu", lambda x: F.leaky_relu(x, 0.25), [KINKS], {"alpha": f(0.25)}, "kinks")
node("LeakyRelu", lambda x: F.leaky_relu(x, 1.5), [KINKS], {"alpha": f(1.5)}, "kinks, slope over 1")
node("PRelu", F.prelu, [KINKS, torch.tensor([0.25])], name="kinks")
node("Elu", F.elu, [KINKS], name="kinks")
node("Elu", lambda x: F.elu(x, 0.5), [KINKS], {"alpha": f(0.5)}, "kinks, alpha 0.5")
node("Selu", F.selu, [KINKS], name="kinks")
node("Celu", lambda x: F.celu(x, 0.5), [KINKS], {"alpha": f(0.5)}, "kinks")
node("HardSigmoid", F.hardsigmoid, [KINKS], {"alpha": f(1 / 6), "beta": f(0.5)}, "kinks")
node("HardSwish", F.hardswish, [KINKS], name="kinks")
node("ThresholdedRelu", lambda x: F.threshold(x, 0.5, 0), [KINKS], {"alpha": f(0.5)}, "kinks")
node("Abs", torch.abs, [KINKS], name="at 0")
for op, function, opset in [
    ("Sigmoid", torch.sigmoid, 17),
    ("Tanh", torch.tanh, 17),
    ("Softplus", F.softplus, 17),
    ("Softsign", F.softsign, 17),
    ("Elu", F.elu, 17),
    ("Selu", F.selu, 17),
    ("Celu", F.celu, 17),
    ("Mish", F.mish, 18),
    ("Gelu", F.gelu, 20),
    ("Erf", torch.erf, 17),
]:
    node(op, function, [EXTREMES], name="extremes", opset=opset)
node("Gelu", lambda x: F.gelu(x, approximate="tanh"), [EXTREMES], {"approximate": {"string": "tanh"}}, "extremes, tanh", 20)

MASKED = torch.tensor([[1, 2, -3.4e38, 0.5], [-3.4e38, 90, -3.4e38, -90], [200, 200, -200, 0]])
for mask, name in [(-3.4e38, "masked by the lowest float"), (-math.inf, "masked by infinity")]:
    x = torch.where(MASKED < -1e38, torch.tensor(mask), MASKED)
    node("Softmax", lambda x: F.softmax(x, -1), [x], {"axis": i(-1)}, name)
    node("Softmax", lambda x: F.softmax(x, 0), [x], {"axis": i(0)}, f"{name}, axis 0")
node("LogSoftmax", lambda x: F.log_softmax(x, -1), [MASKED], {"axis": i(-1)}, "masked by the lowest float")

TIES = [torch.tensor([[1.0, 2, 2], [0, -1, 3]]), torch.tensor([1.0, 2, 3]), torch.tensor([[2.0], [0]])]
stacked = lambda *xs: torch.stack(torch.broadcast_tensors(*xs))
node("Max", torch.maximum, TIES[:2], name="ties of two")
node("Min", torch.minimum, TIES[:2], name="ties of two")
node("Max", lambda *xs: stacked(*xs).amax(0), TIES, name="ties of three")
node("Min", lambda *xs: stacked(*xs).amin(0), TIES, name="ties of three")
BOUNDS = [torch.tensor(-1.0), torch.tensor(2.5)]
node("Clip", torch.clamp, [KINKS, *BOUNDS], name="at the bounds, which are trained")
node("Clip", torch.clamp, [KINKS, *BOUNDS], name="at the bounds", fixed=(1, 2))
node("Clip", lambda x, low: torch.clamp(x, min=low), [KINKS, torch.tensor(0.0)], name="low alone", fixed=(1,))

for power in [0.0, 1.0, 2.0, 3.0, 4.0]:
    node("Pow", torch.pow, [KINKS, torch.tensor(power)], name=f"base of all signs, to the {power:g}", fixed=(1,))
node("Pow", torch.pow, [torch.tensor([0.25, 0.5, 4]), torch.tensor(0.5)], name="to the 0.5", fixed=(1,))
node("Pow", torch.pow, [torch.tensor([0, 0.5, 4]), torch.tensor(1.5)], name="0 to the 1.5", fixed=(1,))
node("Pow", torch.pow, [torch.tensor([0, 0, 0, 0.5, 2]), torch.tensor([0, 1, 2, 0, 1.5])], name="base 0, exponent trained")
node("Pow", torch.pow, [torch.tensor([-2.0, -3]), torch.tensor([2.0, 3])], name="negative base, exponents", fixed=(1,))
node("Mod", torch.fmod, [torch.tensor([7.5, -7.5, 7.5, -7.5]), torch.tensor([2.0, 2, -2, -2])], {"fmod": i(1)}, "signs")

GROUPS = torch.tensor([[1.0, 3, 3, -2], [0, 0, 0, 0], [-1, 0, 2, 4], [-3, 0, 0, -3]])
for op, function in [
    ("ReduceMax", lambda x: x.amax(1)),
    ("ReduceMin", lambda x: x.amin(1)),
    ("ReduceProd", lambda x: x.prod(1)),
    ("ReduceL1", lambda x: torch.linalg.vector_norm(x, 1, 1)),
    ("ReduceL2", lambda x: torch.linalg.vector_norm(x, 2, 1)),
]:
    node(op, function, [GROUPS], {"keepdims": i(0)}, "ties and zeros", 18, ints=[1])
node("ReduceLogSumExp", lambda x: torch.logsumexp(x, 1), [MASKED], {"keepdims": i(0)}, "extremes", 18, ints=[1])


def fake_quantizer(name, dtype, low, high, x, scale, zero, axis, opset=17):
    x, scale = x.clone().requires_grad_(True), scale.clone().requires_grad_(True)
    if axis is None:
        y = torch._fake_quantize_learnable_per_tensor_affine(x, scale, zero.float(), low, high, 1.0)
        fixed = torch.fake_quantize_per_tensor_affine(x, scale.detach(), zero.int(), low, high)
    else:
        y = torch._fake_quantize_learnable_per_channel_affine(x, scale, zero.float(), axis, low, high, 1.0)
        fixed = torch.fake_quantize_per_channel_affine(x, scale.detach(), zero.int(), axis, low, high)
    dy = seed_like(y)
    # With a fixed scale PyTorch has another function: the gradient of x must be the same.
    (dx,) = torch.autograd.grad(fixed, x, dy)
    y.backward(dy)
    assert torch.equal(dx, x.grad)
    FAKE_QUANTIZERS.append(
        {
            "name": name,
            "opset": opset,
            "dtype": dtype,
            "axis": axis,
            "x": described(x.detach()),
            "scale": described(scale.detach()),
            "zeroPoint": zero.tolist(),
            "dy": described(dy),
            "y": plain(y.detach()),
            "dx": plain(x.grad),
            "dscale": plain(scale.grad),
        }
    )


torch.manual_seed(0)
VALUES = torch.randn(3, 8)
scalar, channels = torch.tensor([0.01]), torch.tensor([0.01, 0.02, 0.004])
fake_quantizer("per tensor, uint8", "uint8", 0, 255, VALUES, scalar, torch.tensor([90]), None)
fake_quantizer("per tensor, uint8, relu", "uint8", 0, 255, VALUES, scalar * 0.5, torch.tensor([0]), None)
fake_quantizer("per tensor, int8", "int8", -128, 127, VALUES, scalar, torch.tensor([0]), None)
fake_quantizer("per tensor, int4", "int4", -8, 7, VALUES, scalar * 15, torch.tensor([0]), None, 21)
fake_quantizer("per tensor, int16", "int16", -32768, 32767, VALUES, scalar * 0.004, torch.tensor([0]), None, 21)
fake_quantizer("per axis 0, int8", "int8", -128, 127, VALUES, channels, torch.tensor([0, 0, 0]), 0)
fake_quantizer("per axis 1, uint8", "uint8", 0, 255, VALUES.T.contiguous(), channels, torch.tensor([128, 100, 20]), 1)

path = pathlib.Path(__file__).parents[2] / "test" / "reference" / "gradients.json"
data = {"versions": {"torch": torch.__version__}, "nodes": NODES, "fakeQuantizers": FAKE_QUANTIZERS}
path.write_text(json.dumps(data, separators=(",", ":")) + "\n")
