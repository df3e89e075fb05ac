/**
 * @file Fuses the hard swish that exporters write in four operators into two.
 *
 *   x · clip(x + 3, 0, 6) / 6  =  x · hardSigmoid(x; α = 1/6, β = 1/2)
 *
 * Source: Howard et al. 2019, "Searching for MobileNetV3", section 5.2; ONNX HardSigmoid-6. HardSwish-14 itself is not
 * used: ONNX Runtime takes it apart again, and it would force the opset up.
 */
import { z } from "zod";
import { any, type Match, op, scalar } from "../graph/pattern.ts";
import { applyRules, onlyInside, type Rule } from "../graph/rewrite.ts";
import type { Value } from "../graph/value.ts";
import { defineStep } from "../step/step.ts";

/** clip(x + 3, 0, 6); the bounds are inputs (from opset 11 on) or attributes: the check looks at both. */
const relu6 = op("Clip", [op("Add", [any("x"), scalar(3)])], "clip");

function check(found: Match): true | string {
  const clip = found.node("clip");
  const bound = (input: number, attribute: string): number | undefined =>
    clip.inputs[input]?.constant?.numbers()[0] ?? clip.float(attribute);
  const low = bound(1, "min");
  const high = bound(2, "max");
  if (low !== 0 || high !== 6) return `its Clip has the bounds ${low ?? "none"} and ${high ?? "none"}, not 0 and 6`;
  const constants = found.nodes.flatMap((node) => node.inputs.flatMap((value) => value?.constant ?? []));
  if (constants.some(({ dtype }) => dtype === "float64")) return "no runtime here has HardSigmoid for float64";
  // [1, 1] + x gives a vector a second dimension.
  const rank = found.value("x").shape?.length ?? 1;
  if (constants.some(({ dims }) => dims.length > Math.max(rank, 1)))
    return "a constant in it has more dimensions than x";
  return onlyInside(found);
}

function rewrite(found: Match): Value {
  const { root } = found;
  const graph = root.graph!;
  const x = found.value("x");
  const gate = graph.add("HardSigmoid", [x], {
    name: `${root.label}_gate`,
    before: root,
    attributes: { alpha: { float: 1 / 6 }, beta: { float: 0.5 } },
  });
  return graph.add("Mul", [x, gate.output()], { name: `${root.label}_hard_swish`, before: root }).output();
}

const rule = (name: string, pattern: Rule["pattern"]): Rule => ({ name, pattern, check, rewrite });

/** The division may stand at either end, and may be a multiplication by 1/6. */
const RULES: readonly Rule[] = [
  rule("divided product", op("Div", [op("Mul", [any("x"), relu6]), scalar(6)])),
  rule("scaled product", op("Mul", [op("Mul", [any("x"), relu6]), scalar(1 / 6)])),
  rule("divided gate", op("Mul", [any("x"), op("Div", [relu6, scalar(6)])])),
  rule("scaled gate", op("Mul", [any("x"), op("Mul", [relu6, scalar(1 / 6)])])),
];

export const fuseHardSwish = defineStep({
  name: "fuse-hard-swish",
  summary: "Write hard swish in two operators instead of four",
  options: z.object({}),
  needs: [],
  run: (model) => applyRules(model, RULES),
});
