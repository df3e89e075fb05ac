"""Reference optimizers and schedules, for src/train/optimizers/optimizers.test.ts and src/train/schedules.test.ts.

    pip install torch==2.13.0
    python scripts/reference/optimizers.py > test/reference/optimizers.json
"""

import json

import torch
from torch.optim import lr_scheduler

torch.manual_seed(3)
torch.set_num_threads(1)
STEPS = 10


def rounded(*dims):
    """Values that survive JSON."""
    return torch.randn(*dims, dtype=torch.float64).mul(1024).round().div(1024)


def as_list(tensor):
    return [float(f"{value:.9g}") for value in tensor.detach().flatten()]


weight, bias = rounded(3, 2), rounded(2)
batches = [(rounded(4, 3), rounded(4, 2)) for _ in range(2 * STEPS)]
rates = [0.05 * (1 + 0.1 * step) for step in range(STEPS)]


def run(make, clip=None, ema=None, accumulate=1):
    w, b = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    optimizer = make(w, b)
    factors = [group["lr"] for group in optimizer.param_groups]
    averages = [w.detach().clone(), b.detach().clone()]
    losses, norms = [], []
    for step in range(STEPS):
        for group, factor in zip(optimizer.param_groups, factors):
            group["lr"] = rates[step] * factor
        optimizer.zero_grad()
        for k in range(accumulate):
            x, t = batches[accumulate * step + k]
            loss = torch.nn.functional.mse_loss(x @ w + b, t)
            (loss / accumulate).backward()
        losses.append(as_list(loss)[0])
        if clip is not None:
            norms.append(float(torch.nn.utils.clip_grad_norm_([w, b], clip)))
        optimizer.step()
        if ema is not None:
            for average, value in zip(averages, (w, b)):
                average.mul_(ema).add_(value.detach(), alpha=1 - ema)
    result = {"weight": as_list(w), "bias": as_list(b), "losses": losses}
    if clip is not None:
        result["norms"] = norms
    if ema is not None:
        result["ema"] = {"weight": as_list(averages[0]), "bias": as_list(averages[1])}
    return result


optim = torch.optim
cases = []


def add(name, options, optimizer, **extra):
    cases.append({"name": name, "options": options, **run(optimizer, **extra)})


def one(kind, **options):
    return lambda w, b: kind([w, b], lr=1, **options)


def sgd(**options):
    return {"optimizer": {"kind": "sgd", **options}}


add("plain", sgd(), one(optim.SGD))
add("momentum", sgd(momentum=0.9), one(optim.SGD, momentum=0.9))
add(
    "momentum, dampening, decay",
    sgd(momentum=0.8, dampening=0.3, weightDecay=0.1),
    one(optim.SGD, momentum=0.8, dampening=0.3, weight_decay=0.1),
)
add(
    "nesterov, decay",
    sgd(momentum=0.7, nesterov=True, weightDecay=0.01),
    one(optim.SGD, momentum=0.7, nesterov=True, weight_decay=0.01),
)
add("clipped", {**sgd(momentum=0.9), "clipNorm": 0.5}, one(optim.SGD, momentum=0.9), clip=0.5)
add("averages", {**sgd(), "ema": 0.8}, one(optim.SGD), ema=0.8)
add("two batches per update", {**sgd(momentum=0.9), "accumulate": True}, one(optim.SGD, momentum=0.9), accumulate=2)
add(
    "groups",
    {
        "optimizer": {"kind": "adamw", "weightDecay": 0.1},
        "groups": [{"match": ["b*"], "learningRate": 0.5, "weightDecay": 0}],
    },
    lambda w, b: optim.AdamW([{"params": [w], "lr": 1}, {"params": [b], "lr": 0.5, "weight_decay": 0}], weight_decay=0.1),
)
add("plain", {"optimizer": {"kind": "adam"}}, one(optim.Adam))
add(
    "betas, epsilon, decay",
    {"optimizer": {"kind": "adam", "beta1": 0.8, "beta2": 0.9, "epsilon": 0.01, "weightDecay": 0.1}},
    one(optim.Adam, betas=(0.8, 0.9), eps=0.01, weight_decay=0.1),
)
add("plain", {"optimizer": {"kind": "adamw"}}, one(optim.AdamW))
add("decay", {"optimizer": {"kind": "adamw", "weightDecay": 0.3}}, one(optim.AdamW, weight_decay=0.3))
add("plain", {"optimizer": {"kind": "rmsprop"}}, one(optim.RMSprop))
add(
    "centered, momentum, decay",
    {"optimizer": {"kind": "rmsprop", "alpha": 0.9, "epsilon": 0.1, "centered": True, "momentum": 0.5, "weightDecay": 0.1}},
    one(optim.RMSprop, alpha=0.9, eps=0.1, centered=True, momentum=0.5, weight_decay=0.1),
)


def schedule(make, total):
    optimizer = optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    scheduler = make(optimizer)
    found = []
    for _ in range(total):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


total, warm = 25, 5


def warmed(make):
    """Linear from 10 % in `warm` steps, then `make` of the rest."""
    return lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, 1, warm), make(o)], milestones=[warm]
    )


warm_options = {"warmUp": warm, "warmUpFrom": 0.1}
schedules = [
    [{"kind": "constant"}, lambda o: lr_scheduler.ConstantLR(o, 1)],
    [{"kind": "constant", **warm_options}, lambda o: lr_scheduler.LinearLR(o, 0.1, 1, warm)],
    [{"kind": "step", "every": 7, "factor": 0.5}, lambda o: lr_scheduler.StepLR(o, 7, 0.5)],
    [{"kind": "cosine"}, lambda o: lr_scheduler.CosineAnnealingLR(o, total)],
    [{"kind": "cosine", "last": 0.1}, lambda o: lr_scheduler.CosineAnnealingLR(o, total, eta_min=0.02)],
    [
        {"kind": "cosine", **warm_options},
        warmed(lambda o: lr_scheduler.CosineAnnealingLR(o, total - warm)),
    ],
    [{"kind": "polynomial"}, lambda o: lr_scheduler.PolynomialLR(o, total, 1)],
    [{"kind": "polynomial", "power": 2}, lambda o: lr_scheduler.PolynomialLR(o, total, 2)],
    [{"kind": "one-cycle"}, lambda o: lr_scheduler.OneCycleLR(o, 0.2, total)],
    [
        {"kind": "one-cycle", "rise": 0.5, "startDivisor": 10, "endDivisor": 100},
        lambda o: lr_scheduler.OneCycleLR(o, 0.2, total, pct_start=0.5, div_factor=10, final_div_factor=100),
    ],
]

print(
    json.dumps(
        {
            "versions": {"torch": torch.__version__.split("+")[0]},
            "weight": as_list(weight),
            "bias": as_list(bias),
            "batches": [{"x": as_list(x), "t": as_list(t)} for x, t in batches],
            "rates": rates,
            "cases": cases,
            "schedules": {
                "rate": 0.2,
                "total": total,
                "cases": [{"options": options, "rates": schedule(make, total)} for options, make in schedules],
            },
        },
        separators=(",", ":"),
    )
)
