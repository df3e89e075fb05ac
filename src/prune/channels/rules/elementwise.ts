/**
 * @file Operators that compute each element from the elements in the same place: axes are joined as they broadcast.
 */
import type { Axis } from "../ids.ts";
import type { Rule, RuleContext, Rules } from "../rule.ts";

/** All inputs broadcast against each other (ONNX Broadcasting.md): aligned at the end, size 1 takes any other. */
export const broadcast: Rule = (c) => {
  const dims = c.outputDims();
  c.setOutput(
    broadcastAxes(
      c,
      dims,
      c.node.inputs.map((value, index) => (value ? index : -1)).filter((i) => i >= 0),
    ),
  );
};

/** The axes of a result of these dimensions, from inputs that broadcast to it; `skip` axes at the end are left out. */
export function broadcastAxes(c: RuleContext, dims: readonly number[], inputs: readonly number[], skip = 0): Axis[] {
  return dims.map((size, axis) => {
    if (size === 1) return undefined;
    let joined: Axis;
    let any = false;
    for (const index of inputs) {
      const own = c.inputDims(index);
      const at = axis - dims.length + own.length - skip;
      if (at < 0 || own[at] !== size) continue;
      const ids = c.axes(index)![at];
      joined = any ? c.join(joined, ids) : ids;
      any = true;
    }
    return joined;
  });
}

/** Elements of the first input; the others are scalars or say how. */
export const unary: Rule = (c) => {
  const axes = c.axes(0)!;
  c.node.outputs.forEach((value, index) => {
    if (value !== undefined) c.setOutput(axes, index);
  });
};

/** One scale per tensor, or per position of an axis; blocks along it are not understood. */
const quantized: Rule = (c) => {
  const axes = [...c.axes(0)!];
  const dims = c.inputDims(0);
  for (const index of [1, 2]) {
    const own = c.axes(index);
    if (own === undefined) continue;
    const scale = c.inputDims(index);
    if (scale.length === 0 || (scale.length === 1 && scale[0] === 1)) continue;
    const axis = c.node.int("axis", 1);
    const at = axis < 0 ? axis + dims.length : axis;
    if (scale.length !== 1 || scale[0] !== dims[at]) return c.refuse("its scales are per block");
    axes[at] = c.join(axes[at], own[0]);
  }
  c.setOutput(axes);
};

const UNARY = [
  "Abs",
  "Acos",
  "Acosh",
  "Asin",
  "Asinh",
  "Atan",
  "Atanh",
  "BitwiseNot",
  "Cast",
  "Ceil",
  "Celu",
  "Clip",
  "Cos",
  "Cosh",
  "Dropout",
  "Elu",
  "Erf",
  "Exp",
  "Floor",
  "Gelu",
  "HardSigmoid",
  "HardSwish",
  "Identity",
  "IsInf",
  "IsNaN",
  "LeakyRelu",
  "Log",
  "Mish",
  "Neg",
  "Not",
  "Reciprocal",
  "Relu",
  "Round",
  "Selu",
  "Shrink",
  "Sigmoid",
  "Sign",
  "Sin",
  "Sinh",
  "Softplus",
  "Softsign",
  "Sqrt",
  "Swish",
  "Tan",
  "Tanh",
  "ThresholdedRelu",
  "com.microsoft.Gelu",
  "com.microsoft.QuickGelu",
  "com.microsoft.FastGelu",
] as const; // prettier-ignore

const BROADCASTING = [
  "Add",
  "And",
  "BitShift",
  "BitwiseAnd",
  "BitwiseOr",
  "BitwiseXor",
  "Div",
  "Equal",
  "Greater",
  "GreaterOrEqual",
  "Less",
  "LessOrEqual",
  "Max",
  "Mean",
  "Min",
  "Mod",
  "Mul",
  "Or",
  "PRelu",
  "Pow",
  "Sub",
  "Sum",
  "Where",
  "Xor",
] as const; // prettier-ignore

export const ELEMENTWISE: Rules = {
  ...Object.fromEntries(UNARY.map((op) => [op, unary])),
  ...Object.fromEntries(BROADCASTING.map((op) => [op, broadcast])),
  CastLike: (c) => c.setOutput(c.axes(0)!),
  QuantizeLinear: quantized,
  DequantizeLinear: quantized,
};
