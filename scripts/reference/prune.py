"""Masks of torch.nn.utils.prune, for test/prune/torch.test.ts.

    pip install torch==2.13.0
    python scripts/reference/prune.py > test/reference/prune.json

Weights are whole numbers divided by 4: many are equal, so that ties are decided, too. A case is a list of calls on one or more
weights; kept after each call: the masks, as strings of 0 and 1.
"""

import json

import torch
from torch import nn
from torch.nn.utils import prune

torch.manual_seed(0)
torch.set_num_threads(1)

SHAPES = {
    "linear": (6, 10),
    "wide": (40, 25),
    "conv": (8, 4, 3, 3),
    "conv1": (5, 3, 4),
    "single": (1, 7),
}


class Holder(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)


def weight(shape, levels):
    return torch.randint(-levels, levels + 1, shape).float() / 4


def bits(holder):
    return "".join(str(int(bit)) for bit in holder.weight_mask.flatten().tolist())


FUNCTIONS = {
    "l1Unstructured": lambda h, **k: prune.l1_unstructured(h, "weight", **k),
    "lnStructured": lambda h, **k: prune.ln_structured(h, "weight", **k),
    "identity": lambda h, **k: prune.identity(h, "weight"),
}


def amount(value):
    return {"count": value} if isinstance(value, int) else value


def case(name, levels, calls):
    start = weight(SHAPES[name], levels)
    holder = Holder(start.clone())
    masks = []
    for function, options in calls:
        if function == "customFromMask":
            prune.custom_from_mask(holder, "weight", torch.tensor(options["mask"]).reshape(SHAPES[name]))
        else:
            options = dict(options)
            if options.get("n") == "inf":
                options["n"] = float("inf")
            elif options.get("n") == "-inf":
                options["n"] = float("-inf")
            FUNCTIONS[function](holder, **options)
        masks.append(bits(holder))
    after = holder.weight.detach().clone()
    prune.remove(holder, "weight")
    assert torch.equal(after, holder.weight)
    return {
        "dims": SHAPES[name],
        "weight": [int(4 * v) for v in start.flatten().tolist()],
        "calls": [[f, {**o, "amount": amount(o["amount"])} if "amount" in o else o] for f, o in calls],
        "masks": masks,
        "removed": [int(4 * v) for v in after.flatten().tolist()],
    }


cases = []
for name in SHAPES:
    for levels in (2, 40):
        for first, second in ((0.3, 0.5), (3, 2), (0.25, 1), (0.05, 0.05), (0.0, 0.9), (1.0, 0.0)):
            cases.append(case(name, levels, [("l1Unstructured", {"amount": first}), ("l1Unstructured", {"amount": second})]))
for name in ("linear", "wide", "conv", "conv1"):
    for dim in (0, 1, -1):
        orders = (1, 2) if name == "wide" else (1, 2, 3.5, 0, "inf", "-inf")
        # PyTorch's Frobenius norm takes matrices only.
        for n in (*orders, "fro") if name == "conv1" else orders:
            cases.append(
                case(
                    name,
                    3,
                    [
                        ("lnStructured", {"amount": 0.3, "n": n, "dim": dim}),
                        ("lnStructured", {"amount": 1, "n": n, "dim": dim}),
                    ],
                )
            )
cases.append(
    case(
        "conv",
        5,
        [
            ("lnStructured", {"amount": 0.25, "n": 2, "dim": 0}),
            ("l1Unstructured", {"amount": 0.5}),
            ("lnStructured", {"amount": 2, "n": 1, "dim": 1}),
            ("identity", {}),
            ("l1Unstructured", {"amount": 7}),
        ],
    )
)
cases.append(
    case("linear", 5, [("customFromMask", {"mask": [int(i % 3 > 0) for i in range(60)]}), ("l1Unstructured", {"amount": 0.5})])
)

together = []
for levels in (2, 60):
    for first, second in ((0.2, 0.6), (100, 13)):
        holders = {name: Holder(weight(SHAPES[name], levels)) for name in SHAPES}
        start = {name: [int(4 * v) for v in holder.weight.flatten().tolist()] for name, holder in holders.items()}
        masks = []
        for value in (first, second):
            prune.global_unstructured(
                [(holder, "weight") for holder in holders.values()], pruning_method=prune.L1Unstructured, amount=value
            )
            masks.append({name: bits(holder) for name, holder in holders.items()})
        together.append({"weights": start, "amounts": [amount(first), amount(second)], "masks": masks})

print(
    json.dumps(
        {"torch": torch.__version__, "shapes": SHAPES, "cases": cases, "global": together}, separators=(",", ":")
    )
)
