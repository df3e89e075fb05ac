"""Reference values of layers and small networks, for test/nn/layers.test.ts and test/train/nn-gradients.test.ts.

    pip install torch==2.13.0
    python scripts/reference/nn.py > test/reference/nn.json

Each case: a state_dict and inputs in float32, from which PyTorch computes in float64 the outputs and the gradients of
loss = sum over outputs of (output * seed). Tensors are [dims, base64 of little-endian float32], int64 as plain lists.
"""

import base64
import json

import torch
from torch import nn

torch.set_num_threads(1)
torch.backends.mha.set_fastpath_enabled(False)
generator = torch.Generator().manual_seed(5)


def normal(*dims):
    return torch.randn(*dims, generator=generator)


def packed(tensor):
    if tensor.dtype == torch.int64:
        return [list(tensor.shape), tensor.flatten().tolist()]
    if tensor.dtype == torch.bool:
        return [list(tensor.shape), tensor.flatten().tolist()]
    data = tensor.detach().to(torch.float32).contiguous().numpy().astype("<f4").tobytes()
    return [list(tensor.shape), base64.b64encode(data).decode()]


def disturb(module):
    """Parameters and statistics that no two layers share and none of which is 0 or 1."""
    for name, tensor in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        noise = normal(*tensor.shape) * 0.2
        tensor.copy_(noise.abs() + 0.5 if name.endswith("running_var") else tensor + noise)


cases = {}


def case(name, module, *inputs, call=None):
    module.eval()
    disturb(module)
    state = {key: packed(value) for key, value in module.state_dict().items()}
    module.double()
    wide = [x.double() if x.dtype == torch.float32 else x for x in inputs]
    for x in wide:
        x.requires_grad_(x.dtype == torch.float64)
    outputs = (call or (lambda m, *xs: m(*xs)))(module, *wide)
    outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    seeds = [normal(*output.shape) for output in outputs]
    sum((output * seed.double()).sum() for output, seed in zip(outputs, seeds)).backward()
    cases[name] = {
        "state": state,
        "inputs": [packed(x) for x in inputs],
        "outputs": [packed(y) for y in outputs],
        "seeds": [packed(seed) for seed in seeds],
        "gradients": {key: packed(p.grad) for key, p in module.named_parameters()},
        "inputGradients": [packed(x.grad) if x.grad is not None else None for x in wide],
    }


def lstm_call(m, x, h, c):
    output, (hidden, cell) = m(x, (h, c))
    return output, hidden, cell


def flat(m, *xs):
    output, states = m(*xs)
    return (output, *states) if isinstance(states, tuple) else (output, states)


case("linear", nn.Linear(5, 4), normal(3, 5))
case("linear 3d, no bias", nn.Linear(5, 4, bias=False), normal(2, 3, 5))
case("linear 3d", nn.Linear(5, 4), normal(2, 3, 5))
case("conv1d", nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2), normal(2, 4, 11))
case("conv2d", nn.Conv2d(2, 3, 3), normal(2, 2, 6, 5))
case("conv2d with everything", nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(2, 1), dilation=(1, 2), groups=2, bias=False), normal(2, 4, 7, 6))
case("conv2d same", nn.Conv2d(2, 2, (4, 3), padding="same", dilation=(1, 2)), normal(1, 2, 6, 7))
case("conv2d depthwise", nn.Conv2d(3, 6, 3, padding=1, groups=3), normal(2, 3, 5, 5))
case("convTranspose2d", nn.ConvTranspose2d(3, 2, 3), normal(2, 3, 3, 4))
case("convTranspose2d with everything", nn.ConvTranspose2d(4, 6, (3, 2), stride=2, padding=1, output_padding=1, groups=2, dilation=(2, 1), bias=False), normal(1, 4, 4, 3))
case("batchNorm1d", nn.BatchNorm1d(3), normal(4, 3))
case("batchNorm1d over a length", nn.BatchNorm1d(3, eps=1e-3), normal(2, 3, 4))
case("batchNorm2d", nn.BatchNorm2d(3), normal(2, 3, 4, 3))
case("batchNorm2d, not affine", nn.BatchNorm2d(3, affine=False), normal(2, 3, 2, 2))
case("layerNorm", nn.LayerNorm(6), normal(2, 3, 6))
case("layerNorm over two axes, no bias", nn.LayerNorm((3, 4), eps=1e-3, bias=False), normal(2, 3, 4))
case("layerNorm, not affine", nn.LayerNorm(6, elementwise_affine=False), normal(3, 6))
case("groupNorm", nn.GroupNorm(2, 4), normal(2, 4, 3, 3))
case("groupNorm over a length, not affine", nn.GroupNorm(3, 6, eps=1e-3, affine=False), normal(2, 6, 4))
case("embedding", nn.Embedding(7, 4), torch.tensor([[1, 6, 0], [1, 1, 3]]))
case("lstm", nn.LSTM(3, 4), normal(5, 2, 3), call=flat)
case("lstm with everything", nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True), normal(2, 5, 3), normal(4, 2, 4), normal(4, 2, 4), call=lstm_call)
case("lstm, no bias", nn.LSTM(3, 4, bias=False, num_layers=2), normal(4, 2, 3), call=flat)
case("gru", nn.GRU(3, 4), normal(5, 2, 3), call=flat)
case("gru with everything", nn.GRU(3, 4, num_layers=2, bidirectional=True, batch_first=True), normal(2, 5, 3), normal(4, 2, 4), call=flat)
case("gru, no bias", nn.GRU(3, 4, bias=False), normal(4, 2, 3), call=flat)
case("multiheadAttention", nn.MultiheadAttention(6, 2), normal(4, 2, 6), call=lambda m, x: m(x, x, x)[0])
case("multiheadAttention, batch first, no bias", nn.MultiheadAttention(6, 3, batch_first=True, bias=False), normal(2, 4, 6), call=lambda m, x: m(x, x, x)[0])
case("multiheadAttention across", nn.MultiheadAttention(6, 2, batch_first=True), normal(2, 3, 6), normal(2, 4, 6), normal(2, 4, 6), call=lambda m, q, k, v: m(q, k, v)[0])
case(
    "multiheadAttention with masks",
    nn.MultiheadAttention(6, 2, batch_first=True),
    normal(2, 4, 6),
    torch.triu(torch.full((4, 4), float("-inf")), 1),
    torch.tensor([[False, False, False, True], [False, False, True, True]]),
    call=lambda m, x, a, k: m(x, x, x, attn_mask=a.detach(), key_padding_mask=k)[0],
)
case("transformerEncoderLayer", nn.TransformerEncoderLayer(6, 2, 8), normal(4, 2, 6))
case("transformerEncoderLayer, norm first, gelu", nn.TransformerEncoderLayer(6, 2, 8, activation="gelu", norm_first=True, batch_first=True, layer_norm_eps=1e-3), normal(2, 4, 6))
case("transformerEncoderLayer, no bias", nn.TransformerEncoderLayer(6, 3, 8, batch_first=True, bias=False), normal(2, 4, 6))
case(
    "transformerEncoder",
    nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, batch_first=True, norm_first=True), 2, nn.LayerNorm(6), enable_nested_tensor=False),
    normal(2, 4, 6),
)
case("maxPool2d", nn.MaxPool2d(2), normal(2, 2, 5, 6))
case("maxPool2d with everything", nn.MaxPool2d((3, 2), stride=(2, 1), padding=1, dilation=(1, 2), ceil_mode=True), normal(2, 2, 6, 7))
case("avgPool2d", nn.AvgPool2d(2), normal(2, 2, 5, 6))
case("avgPool2d with everything", nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True), normal(2, 2, 6, 6))
case("avgPool2d, padding not counted", nn.AvgPool2d((3, 2), stride=2, padding=1, ceil_mode=True, count_include_pad=False), normal(2, 2, 6, 6))
case("adaptiveAvgPool2d", nn.AdaptiveAvgPool2d(1), normal(2, 3, 4, 5))
case("adaptiveAvgPool2d of a grid", nn.AdaptiveAvgPool2d((2, 3)), normal(2, 3, 4, 6))

for name, module in {
    "relu": nn.ReLU(),
    "leakyRelu": nn.LeakyReLU(0.1),
    "elu": nn.ELU(0.7),
    "celu": nn.CELU(0.7),
    "selu": nn.SELU(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "softplus": nn.Softplus(),
    "softsign": nn.Softsign(),
    "hardsigmoid": nn.Hardsigmoid(),
    "hardswish": nn.Hardswish(),
    "hardtanh": nn.Hardtanh(),
    "relu6": nn.ReLU6(),
    "silu": nn.SiLU(),
    "mish": nn.Mish(),
    "prelu": nn.PReLU(),
    "prelu per channel": nn.PReLU(4),
    "gelu": nn.GELU(),
    "gelu by tanh": nn.GELU(approximate="tanh"),
    "softmax": nn.Softmax(-1),
    "logSoftmax over channels": nn.LogSoftmax(1),
    "dropout": nn.Dropout(0.3),
    "flatten": nn.Flatten(),
}.items():
    case(name, module, normal(2, 4, 3) * 2.5)


class Residual(nn.Module):
    def __init__(self, body, shortcut=None):
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, x):
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))


class LastStep(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.head = nn.Linear(5, 3)

    def forward(self, tokens):
        return self.head(self.lstm(self.embedding(tokens))[1][0][-1])


case("network: mlp", nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Dropout(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3), nn.LogSoftmax(1)), normal(4, 6))
case(
    "network: lenet5",
    nn.Sequential(nn.Conv2d(1, 3, 5), nn.MaxPool2d(2), nn.Conv2d(3, 4, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10), nn.ReLU(), nn.Linear(10, 5)),
    normal(2, 1, 28, 28),
)
case(
    "network: residual block",
    nn.Sequential(
        Residual(
            nn.Sequential(
                nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
                nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4),
            ),
            nn.Sequential(nn.Conv2d(3, 4, 1, stride=2, bias=False), nn.BatchNorm2d(4)),
        ),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
    ),
    normal(2, 3, 8, 8),
)
case("network: lstm classifier", LastStep(), torch.tensor([[1, 2, 3, 8], [0, 5, 5, 2]]))



class BasicBlock(nn.Module):
    def __init__(self, into, out, stride, option):
        super().__init__()
        self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.pad = None
        self.shortcut = nn.Sequential()
        if stride != 1 and option == "A":
            self.pad = (0, 0, 0, 0, (out - into) // 2, (out - into) - (out - into) // 2)
        elif stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        shortcut = self.shortcut(x) if self.pad is None else nn.functional.pad(x[:, :, ::2, ::2], self.pad)
        return torch.relu(y + shortcut)


class ResNet(nn.Module):
    def __init__(self, channels, widths, option):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        for stage, width in enumerate(widths):
            blocks = [BasicBlock(widths[max(stage - 1, 0)] if i == 0 else width, width, 2 if i == 0 and stage > 0 else 1, option) for i in range(2)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.stages = len(widths)
        self.linear = nn.Linear(widths[-1], 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.linear(x.mean((2, 3)))


class ConvNormAct(nn.Sequential):
    def __init__(self, into, out, kernel, stride=1, groups=1):
        super().__init__(nn.Conv2d(into, out, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False), nn.BatchNorm2d(out), nn.ReLU6())


class InvertedResidual(nn.Module):
    def __init__(self, into, out, stride, t):
        super().__init__()
        expand = [] if t == 1 else [ConvNormAct(into, into * t, 1)]
        self.conv = nn.Sequential(*expand, ConvNormAct(into * t, into * t, 3, stride, into * t), nn.Conv2d(into * t, out, 1, bias=False), nn.BatchNorm2d(out))
        self.same = stride == 1 and into == out

    def forward(self, x):
        return x + self.conv(x) if self.same else self.conv(x)


class MobileNet(nn.Module):
    """As torchvision.models.MobileNetV2, with a stride of 1 in the stem."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            ConvNormAct(3, 8, 3), InvertedResidual(8, 8, 1, 1), InvertedResidual(8, 8, 2, 2), InvertedResidual(8, 8, 1, 2), ConvNormAct(8, 16, 1)
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(16, 10))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 6)
        self.position = nn.Parameter(torch.zeros(5, 6))
        layer = nn.TransformerEncoderLayer(6, 2, 24, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(6), enable_nested_tensor=False)
        self.head = nn.Linear(6, 3)

    def forward(self, ids):
        return self.head(self.encoder(self.embedding(ids) + self.position).mean(1))


case("model: resnet, option A", ResNet(1, (3, 4, 7), "A"), normal(2, 1, 9, 8))
case("model: resnet, option B", ResNet(3, (3, 4), "B"), normal(2, 3, 8, 8))
case("model: mobilenetV2", MobileNet(), normal(2, 3, 8, 8))
case("model: transformerClassifier", Transformer(), torch.tensor([[1, 2, 3, 8, 0], [0, 5, 5, 2, 7]]))

print(json.dumps({"versions": {"torch": torch.__version__}, "cases": cases}, separators=(",", ":")))
