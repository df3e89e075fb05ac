"""Training steps per second of PyTorch, eager and compiled, on the networks of bench/train.ts. Python is needed here only.

    python bench/peers/train_torch.py --net lenet5 --threads 1 --seconds 8 [--mode eager|eager-channels-last|compile]

One JSON line: {"net", "threads", "modes": {"eager": steps/s, …}, "parameters", "versions"}. SGD with momentum 0.9, cross-entropy, batch statistics.
Batches are random and stay the same: only the time counts.
"""
import argparse
import json
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models"))
from train import Inverted, Residual  # noqa: E402


def resnet20():
    layers, inputs = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for outputs in (16, 32, 64):
        for i in range(3):
            layers.append(Residual(inputs, outputs, 2 if i == 0 and outputs > 16 else 1))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def mobilenet():
    layers, inputs = [nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()], 16
    for outputs, stride in ((24, 1), (24, 1), (48, 2), (48, 1), (48, 1), (80, 1), (80, 1)):
        layers.append(Inverted(inputs, outputs, stride, 4))
        inputs = outputs
    layers += [nn.Conv2d(inputs, 256, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU6()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10))


class Transformer(nn.Module):
    def __init__(self, width=256, tokens=64):
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, activation="gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.layers(x).mean(1))


NETS = {
    "mlp": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)), (128, 1, 28, 28)),
    "lenet5": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
        ),
        (128, 1, 28, 28),
    ),
    "resnet20": (resnet20, (64, 3, 32, 32)),
    "mobilenet": (mobilenet, (32, 3, 32, 32)),
    "transformer": (Transformer, (32, 64, 256)),
}
MODES = ("eager", "eager-channels-last", "compile")


def measure(name, mode, seconds):
    torch.manual_seed(1)
    torch._dynamo.reset()
    build, shape = NETS[name]
    net, x = build(), torch.randn(shape)
    y = torch.randint(0, 10, (shape[0],))
    if mode == "eager-channels-last":
        if len(shape) != 4:
            return None
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    run = torch.compile(net) if mode == "compile" else net

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(run(x), y)
        loss.backward()
        optimizer.step()

    for _ in range(5):
        step()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return 1 / sorted(times)[len(times) // 2]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--net", required=True, choices=NETS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--mode", action="append", choices=MODES)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_num_interop_threads(1)
    modes = {}
    for mode in arguments.mode or MODES:
        try:
            modes[mode] = measure(arguments.net, mode, arguments.seconds)
        except Exception as error:  # a peer that fails is a result like any other
            modes[mode] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
    parameters = sum(parameter.numel() for parameter in NETS[arguments.net][0]().parameters())
    versions = {"torch": torch.__version__}
    print(json.dumps({"net": arguments.net, "threads": arguments.threads, "modes": modes, "parameters": parameters, "versions": versions}))


main()
