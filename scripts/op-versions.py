"""Writes the generated part of src/graph/ops/versions.ts from the operator schemas of the Python package `onnx`.

    python scripts/op-versions.py        (any environment with onnx installed)

Only what stands between the two `generated` lines is replaced. Nothing else of Tersor needs Python.
"""

import pathlib

import onnx
import onnx.defs
import onnx.helper

TARGET = pathlib.Path(__file__).parent.parent / "src" / "graph" / "ops" / "versions.ts"
BEGIN, END = "// <generated>", "// </generated>"


def numbers(values):
    return "[" + ", ".join(str(value) for value in values) + "]"


def main():
    versions, deprecated = {}, {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain != "":
            continue
        versions.setdefault(schema.name, set()).add(schema.since_version)
        if schema.deprecated:
            deprecated.setdefault(schema.name, set()).add(schema.since_version)
    ir = {}
    for _release, ir_version, opset, *_others in onnx.helper.VERSION_TABLE:
        ir[opset] = min(ir_version, ir.get(opset, ir_version))
    ir[1] = min(ir.values())
    changes = [(opset, ir[opset]) for opset in sorted(ir)]
    changes = [row for i, row in enumerate(changes) if i == 0 or row[1] != changes[i - 1][1]]

    lines = [
        BEGIN,
        f"// By scripts/op-versions.py from onnx {onnx.__version__}: {len(versions)} operators, "
        f"opsets 1 to {onnx.defs.onnx_opset_version()}.",
        "",
        "/** For every operator of the domain ai.onnx the opset versions that define or change it, ascending. */",
        "export const OP_VERSIONS: Readonly<Record<string, readonly number[]>> = {",
        *(f"  {name}: {numbers(sorted(versions[name]))}," for name in sorted(versions)),
        "};",
        "",
        "/** The versions among them that only say that the operator is no more. */",
        "export const DEPRECATED_AT: Readonly<Record<string, readonly number[]>> = {",
        *(f"  {name}: {numbers(sorted(deprecated[name]))}," for name in sorted(deprecated)),
        "};",
        "",
        "/** [opset, IR version]: the oldest IR version that goes with this opset and those after it. */",
        "export const IR_VERSIONS: readonly (readonly [opset: number, ir: number])[] = [",
        *(f"  [{opset}, {version}]," for opset, version in changes),
        "];",
        END,
    ]
    text = TARGET.read_text()
    head, rest = text.split(BEGIN + "\n", 1)
    _old, tail = rest.split(END, 1)
    TARGET.write_text(head + "\n".join(lines) + tail)


main()
