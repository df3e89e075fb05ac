/**
 * @file What runtimes that are not here want of a quantized file, as rules that its graph is checked against. A file that
 * keeps them is no proof that it runs there: the verdict stays "not run here".
 *
 * Sources: TensorRT Developer Guide, "Working with Quantized Types", and onnx-tensorrt, docs/operators.md (QuantizeLinear,
 * DequantizeLinear); OpenVINO, "Supported Operations" (ONNX frontend) and "Low Precision Transformations".
 */
import type { Model } from "../../graph/model.ts";
import type { Node } from "../../graph/node.ts";
import type { DType } from "../../tensor/dtype.ts";

interface Rule {
  readonly name: string;
  /** What is wrong about a QuantizeLinear or DequantizeLinear; undefined: nothing. */
  readonly broken: (node: Node) => string | undefined;
}

/** The type of the codes of a pair's node; undefined where the file does not say. */
function codeType(node: Node): DType | undefined {
  return node.inputs[2]?.dtype ?? node.inputs[0]?.constant?.dtype ?? (node.is("QuantizeLinear") ? "uint8" : undefined);
}

const types = (allowed: readonly DType[]): Rule => ({
  name: `codes are ${allowed.join(" or ")}`,
  broken(node) {
    const dtype = codeType(node);
    return dtype === undefined || allowed.includes(dtype) ? undefined : `its codes are ${dtype}`;
  },
});

const zeroPointsAreZero: Rule = {
  name: "zero points are 0",
  broken(node) {
    const zero = node.inputs[2];
    if (zero === undefined) return codeType(node) === "uint8" ? "its zero point is left out: uint8" : undefined;
    const codes = zero.constant?.numbers();
    if (codes === undefined) return "its zero point is no constant";
    const other = codes.find((code) => code !== 0);
    return other === undefined ? undefined : `its zero point is ${other}`;
  },
};

const scalesAreConstant: Rule = {
  name: "scales are constants above 0",
  broken(node) {
    const scales = node.inputs[1]?.constant?.numbers();
    if (scales === undefined) return "its scale is no constant";
    return scales.every((scale) => scale > 0) ? undefined : "a scale is not above 0";
  },
};

const activationsPerTensor: Rule = {
  name: "activations have one scale",
  broken(node) {
    if (node.inputs[0]?.isConstant) return undefined;
    const count = node.inputs[1]?.constant?.size ?? 1;
    return count === 1 ? undefined : `an activation has ${count} scales`;
  },
};

const onnxOperators: Rule = {
  name: "operators are ONNX's own",
  broken: (node) => (node.domain === "" ? undefined : `its domain is ${node.domain}`),
};

const RULES = {
  tensorrt: [onnxOperators, types(["int8"]), zeroPointsAreZero, scalesAreConstant, activationsPerTensor],
  openvino: [onnxOperators, types(["int8", "uint8", "int32"]), scalesAreConstant, activationsPerTensor],
} as const satisfies Readonly<Record<string, readonly Rule[]>>;

export type RuledTarget = keyof typeof RULES;

export function isRuled(target: string): target is RuledTarget {
  return Object.hasOwn(RULES, target);
}

export interface RuleCheck {
  /** QuantizeLinear and DequantizeLinear nodes that were looked at. */
  readonly nodes: number;
  readonly rules: readonly string[];
  /** One line for each node and broken rule. */
  readonly broken: readonly string[];
}

/** Checks every quantizing node of a model against the rules of a target. */
export function checkRules(model: Model, target: RuledTarget): RuleCheck {
  const rules: readonly Rule[] = RULES[target];
  const broken: string[] = [];
  let nodes = 0;
  for (const node of model.allNodes()) {
    if (node.opType !== "QuantizeLinear" && node.opType !== "DequantizeLinear") continue;
    nodes++;
    for (const rule of rules) {
      const problem = rule.broken(node);
      if (problem !== undefined)
        broken.push(`${node.label} (${node.opType}): ${problem}; ${target} wants: ${rule.name}`);
    }
  }
  return { nodes, rules: rules.map(({ name }) => name), broken };
}
