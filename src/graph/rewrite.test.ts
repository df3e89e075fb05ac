import { describe, expect, test } from "vitest";
import { parseModel } from "../onnx/text.ts";
import { fromOnnx } from "./from-onnx.ts";
import type { Model } from "./model.ts";
import { any, constant, match, op, scalar } from "./pattern.ts";
import { applyRules, onlyInside, type Rule } from "./rewrite.ts";
import { verifyModel } from "./verify.ts";

function model(body: string, initializers = "float six = {6}"): Model {
  return fromOnnx(
    parseModel(`<ir_version: 8, opset_import: ["" : 17]>
      g (float[N] x, float[N] z) => (float[N] y) <${initializers}> { ${body} }`),
  );
}

const lastNode = (found: Model) => [...found.graph.nodes()].at(-1)!;

describe("match", () => {
  const pattern = op("Div", [op("Mul", [any("x"), op("Relu", [any("x")])]), scalar(6)]);

  test("binds values, in either order of commutative inputs", () => {
    for (const body of ["r = Relu(x) m = Mul(x, r) y = Div(m, six)", "r = Relu(x) m = Mul(r, x) y = Div(m, six)"]) {
      const found = match(pattern, lastNode(model(body)));
      expect(found?.value("x").name).toBe("x");
      expect(found?.nodes.map((node) => node.opType)).toEqual(["Div", "Mul", "Relu"]);
    }
  });

  test("the same name must be the same value", () => {
    expect(match(pattern, lastNode(model("r = Relu(z) m = Mul(x, r) y = Div(m, six)")))).toBeUndefined();
  });

  test("a scalar must have the value", () => {
    const seven = model("r = Relu(x) m = Mul(x, r) y = Div(m, six)", "float six = {7}");
    expect(match(pattern, lastNode(seven))).toBeUndefined();
  });

  test("a constant is no input", () => {
    const added = op("Add", [any("x"), constant("c")]);
    expect(match(added, lastNode(model("y = Add(x, z)")))).toBeUndefined();
    expect(match(added, lastNode(model("y = Add(six, x)")))?.value("c").name).toBe("six");
  });

  test("nodes of parametrizations never match", () => {
    const found = model("r = Relu(x) m = Mul(x, r) y = Div(m, six)");
    const root = lastNode(found);
    found.parametrizations.set(root.output(), { kind: "mask" });
    expect(match(pattern, root)).toBeUndefined();
  });
});

describe("applyRules", () => {
  const rule: Rule = {
    name: "double negation",
    pattern: op("Neg", [op("Neg", [any("x")], "inner")]),
    check: onlyInside,
    rewrite: ({ root, value }) => root.graph!.add("Identity", [value("x")], { before: root }).output(),
  };

  test("replaces, removes what is unused, keeps the output's name", () => {
    const found = model("a = Neg(x) y = Neg(a)");
    expect(applyRules(found, [rule])).toEqual({ changed: 1, leftAlone: [] });
    expect([...found.graph.nodes()].map((node) => node.opType)).toEqual(["Identity"]);
    expect(found.graph.outputs[0]!.name).toBe("y");
    verifyModel(found);
    expect(applyRules(found, [rule]).changed).toBe(0);
  });

  test("a check's reason is reported and nothing changes", () => {
    const found = model("a = Neg(x) b = Neg(a) y = Add(a, b)");
    expect(applyRules(found, [rule])).toMatchObject({
      changed: 0,
      leftAlone: [{ opType: "Neg", reason: '"a" in the middle of it has other users' }],
    });
    expect(found.graph.size).toBe(3);
  });
});
