"""Reference losses and their gradients, for src/train/losses/losses.test.ts.

    pip install torch==2.13.0
    python scripts/reference/losses.py > test/reference/losses.json
"""

import json

import torch
from torch.nn import functional as F

torch.manual_seed(5)
torch.set_num_threads(1)
cases = []


def rounded(*dims, scale=1.5):
    """Values that survive JSON."""
    return (torch.randn(*dims, dtype=torch.float64) * scale).mul(1024).round().div(1024)


def as_list(tensor):
    return [float(f"{value:.7g}") for value in tensor.detach().double().flatten()]


def add(name, options, z, feeds, loss, model="identity"):
    """`loss` maps what the model gives, float64, to a scalar."""
    z = z.detach().clone().requires_grad_()
    value = loss(z)
    value.backward()
    cases.append(
        {
            "name": name,
            "options": options,
            "model": model,
            "z": {"dims": list(z.shape), "data": as_list(z)},
            "feeds": {
                key: {"dims": list(t.shape), "int": not t.is_floating_point(), "data": as_list(t)}
                for key, t in feeds.items()
            },
            "loss": as_list(value)[0],
            "gradient": as_list(z.grad),
        }
    )


z, t = rounded(6, 5), torch.tensor([0, 4, 2, 1, 1, 3])
weights = [0.5, 1.0, 2.0, 0.25, 1.5]
w = torch.tensor(weights, dtype=torch.float64)
soft = torch.softmax(rounded(6, 5), 1).mul(4096).round().div(4096)
ce = F.cross_entropy
add("plain", {"kind": "cross-entropy"}, z, {"label": t}, lambda z: ce(z, t))
add("sum", {"kind": "cross-entropy", "reduction": "sum"}, z, {"label": t}, lambda z: ce(z, t, reduction="sum"))
add("smoothing", {"kind": "cross-entropy", "labelSmoothing": 0.1}, z, {"label": t}, lambda z: ce(z, t, label_smoothing=0.1))
add("weights", {"kind": "cross-entropy", "classWeights": weights}, z, {"label": t}, lambda z: ce(z, t, w))
add(
    "weights, smoothing, ignored",
    {"kind": "cross-entropy", "classWeights": weights, "labelSmoothing": 0.2, "ignoreIndex": 1},
    z,
    {"label": t},
    lambda z: ce(z, t, w, label_smoothing=0.2, ignore_index=1),
)
ignored = torch.tensor([0, -100, 2, -100, 1, 3])
add("ignored", {"kind": "cross-entropy", "ignoreIndex": -100}, z, {"label": ignored}, lambda z: ce(z, ignored))
add("distributions", {"kind": "cross-entropy"}, z, {"label": soft}, lambda z: ce(z, soft))
add(
    "distributions, weights, smoothing",
    {"kind": "cross-entropy", "classWeights": weights, "labelSmoothing": 0.1},
    z,
    {"label": soft},
    lambda z: ce(z, soft, w, label_smoothing=0.1),
)
image, pixels = rounded(2, 4, 3, 2), torch.randint(0, 4, (2, 3, 2))
add("axis 1", {"kind": "cross-entropy", "axis": 1}, image, {"label": pixels}, lambda z: ce(z, pixels))
sequence, tokens = rounded(2, 3, 4), torch.randint(0, 4, (2, 3))
add("sequence", {"kind": "cross-entropy"}, sequence, {"label": tokens}, lambda z: ce(z.transpose(1, 2), tokens))
add("softmax before", {"kind": "cross-entropy"}, z, {"label": t}, lambda z: ce(z, t), "softmax")
add("wide logits, softmax before", {"kind": "cross-entropy"}, z * 40, {"label": t}, lambda z: ce(z, t), "softmax")
logp = torch.log_softmax(z, 1)
add("plain", {"kind": "nll"}, logp, {"label": t}, lambda z: F.nll_loss(z, t))
add("weights", {"kind": "nll", "classWeights": weights}, logp, {"label": t}, lambda z: F.nll_loss(z, t, w))

y, same = (torch.rand(4, 3) < 0.5).double(), rounded(4, 3)
bce = F.binary_cross_entropy_with_logits
x = rounded(4, 3)
x[0, 0] = 0
add("plain", {"kind": "bce"}, x, {"label": y}, lambda z: bce(z, y))
add("wide", {"kind": "bce"}, x * 60, {"label": y}, lambda z: bce(z, y))
positive = [0.5, 2.0, 3.0]
p = torch.tensor(positive, dtype=torch.float64)
add("positive weights", {"kind": "bce", "positiveWeight": positive}, x, {"label": y}, lambda z: bce(z, y, pos_weight=p))
add("sigmoid before", {"kind": "bce", "reduction": "sum"}, x, {"label": y}, lambda z: bce(z, y, reduction="sum"), "sigmoid")
add("plain", {"kind": "mse"}, x, {"label": same}, lambda z: F.mse_loss(z, same))
add("weight", {"kind": "mse", "reduction": "sum", "weight": 0.3}, x, {"label": same}, lambda z: 0.3 * F.mse_loss(z, same, reduction="sum"))
add("plain", {"kind": "l1"}, x, {"label": same}, lambda z: F.l1_loss(z, same))
add("delta", {"kind": "huber", "delta": 0.75}, x, {"label": same}, lambda z: F.huber_loss(z, same, delta=0.75))
add("beta", {"kind": "smooth-l1", "beta": 0.5}, x, {"label": same}, lambda z: F.smooth_l1_loss(z, same, beta=0.5))
ones = torch.ones(4)
add("plain", {"kind": "cosine"}, x, {"label": same}, lambda z: F.cosine_embedding_loss(z, same, ones))


def distilled(z, teacher, temperature):
    q, logp = torch.softmax(teacher / temperature, -1), torch.log_softmax(z / temperature, -1)
    return temperature**2 * F.kl_div(logp.flatten(0, -2), q.flatten(0, -2), reduction="batchmean")


teacher = rounded(6, 5)
add("T 1", {"kind": "distillation"}, z, {"teacher": teacher}, lambda z: distilled(z, teacher, 1))
add("T 4", {"kind": "distillation", "temperature": 4}, z, {"teacher": teacher}, lambda z: distilled(z, teacher, 4))
tokens3 = rounded(2, 3, 4)
add("sequence", {"kind": "distillation", "temperature": 2}, sequence, {"teacher": tokens3}, lambda z: distilled(z, tokens3, 2))
likely = torch.softmax(teacher, 1)
add(
    "softmax before, a teacher's probabilities",
    {"kind": "distillation", "temperature": 3},
    z,
    {"teacher": likely},
    lambda z: distilled(z, teacher, 3),
    "softmax",
)


def ctc(z, labels, lengths, times, reduction="mean", blank=0):
    return F.ctc_loss(
        torch.log_softmax(z, 2).transpose(0, 1), labels, times, lengths, blank=blank, reduction=reduction, zero_infinity=True
    )


text = torch.tensor([[1, 2, 2, 3], [3, 1, 0, 0], [4, 4, 4, 0]])
lengths, times = torch.tensor([4, 2, 3]), torch.tensor([7, 8, 6])
frames = rounded(3, 8, 5)
all_lengths, all_times = torch.tensor([4, 4, 4]), torch.tensor([8, 8, 8])
full = torch.tensor([[1, 2, 2, 3], [3, 1, 1, 2], [4, 3, 4, 1]])
add("all lengths", {"kind": "ctc"}, frames, {"label": full}, lambda z: ctc(z, full, all_lengths, all_times))
add(
    "lengths and times",
    {"kind": "ctc"},
    frames,
    {"label": text, "label-lengths": lengths, "input-lengths": times},
    lambda z: ctc(z, text, lengths, times),
)
last = torch.where(text == 0, 4, text - 1)
add(
    "sum, the last class is the blank, padded with -1",
    {"kind": "ctc", "blank": 4, "reduction": "sum"},
    frames,
    {"label": torch.where(torch.arange(4)[None] < lengths[:, None], last, -1), "label-lengths": lengths},
    lambda z: ctc(z, last, lengths, all_times, "sum", 4),
)
short = torch.tensor([3, 8, 6])
add(
    "one text does not fit its time, softmax before",
    {"kind": "ctc"},
    frames,
    {"label": text, "label-lengths": lengths, "input-lengths": short},
    lambda z: ctc(z, text, lengths, short),
    "softmax",
)
add(
    "time first",
    {"kind": "ctc", "timeAxis": 0},
    frames.transpose(0, 1).contiguous(),
    {"label": full},
    lambda z: ctc(z.transpose(0, 1), full, all_lengths, all_times),
)

print(json.dumps({"versions": {"torch": torch.__version__.split("+")[0]}, "cases": cases}, separators=(",", ":")))
