/**
 * @file One node with a weight in the form that runtimes fuse to an integer kernel: its operands and its bias are read
 * through DequantizeLinear.
 */
import type { Node } from "../../graph/node.ts";
import type { Value } from "../../graph/value.ts";
import { Tensor } from "../../tensor/tensor.ts";
import type { Candidate } from "../candidates.ts";
import { type Bias, replaceBias } from "../integer-bias.ts";
import { codesTensor, type QuantizedWeight } from "../weight.ts";
import { domainFor, type Pairs } from "./pairs.ts";
import type { PreparedNode } from "./prepare.ts";

/** A node with everything that its integer form needs. */
export interface ReadyNode extends PreparedNode {
  /** The bias that is quantized, too. */
  readonly bias: Bias | undefined;
  readonly xScale: number;
}

/**
 * Rewrites one node in place.
 * @param tied Dequantized weights by what makes them equal, for all nodes of one model.
 */
export function rewriteNode(
  { candidate, weight, bias, xScale, rank }: ReadyNode,
  pairs: Pairs,
  tied: Map<string, Value>,
): void {
  const { node, kind } = candidate;
  node.setInput(0, pairs.before(node.input(0)));
  const weightValue = dequantizedWeight(candidate, weight, tied);
  node.setInput(1, weightValue);
  const float = node.inputs[2];
  if (kind === "gemm") {
    if (float !== undefined && bias === undefined) addAfter(node, float);
    if (node.has("alpha")) node.set("alpha", { float: 1 });
    if (node.has("beta")) node.set("beta", { float: 1 });
  }
  if (bias !== undefined) replaceBias(bias, xScale, perChannel(weight, bias.values.length));
  // ONNX Runtime makes MatMul and Add a Gemm in float (see findBias); a Gemm it does not fuse with an Add.
  else if (kind === "matmul" && rank === 2 && node.output().onlyUser?.is("Add")) node.opType = "Gemm";
  for (const value of [candidate.weight, bias?.value ?? float]) {
    if (value?.isUnused && value.isConstant) value.graph.removeInitializer(value);
  }
}

/** DequantizeLinear over the weight's codes, one for all nodes that share the weight in the same way (tied weights). */
function dequantizedWeight(
  { node, weight, axis, kind }: Candidate,
  { codes, qparams }: QuantizedWeight,
  tied: Map<string, Value>,
): Value {
  const graph = node.graph!;
  const { name } = weight;
  const { dtype, scale, zeroPoint, granularity } = qparams;
  // Scales differ where one bias needed larger ones than the other.
  const key = `${name} ${axis} ${dtype} ${kind === "gemm" ? node.float("alpha", 1) : 1} ${scale.join()}`;
  const shared = tied.get(key);
  if (shared !== undefined) return shared;
  const dims = granularity.kind === "per-axis" ? [scale.length] : [];
  const result = graph
    .add(
      "DequantizeLinear",
      [
        graph.addInitializer(`${name}_${dtype}`, codes),
        graph.addInitializer(`${name}_scale`, Tensor.float32(dims, scale)),
        graph.addInitializer(`${name}_zero_point`, codesTensor(dtype, dims, Int8Array.from(zeroPoint))),
      ],
      {
        name: `${name}_dequantize`,
        before: node,
        domain: domainFor(graph.model, dtype),
        ...(granularity.kind === "per-axis" && { attributes: { axis: { int: axis } } }),
      },
    )
    .output();
  tied.set(key, result);
  return result;
}

/** One scale for each channel, also where all have the same. */
export function perChannel({ qparams }: QuantizedWeight, channels: number): Float32Array {
  const { scale } = qparams;
  return scale.length === channels ? scale : new Float32Array(channels).fill(scale[0]!);
}

/** Gemm's β · C as an addition of its own, where C is no plain bias. */
function addAfter(node: Node, c: Value): void {
  const graph = node.graph!;
  const beta = node.float("beta", 1);
  const output = node.output();
  const product = graph.newValue(`${output.name}_product`);
  node.setInput(2, undefined);
  node.setInputs([...node.inputs]);
  node.setOutputs([product]);
  let summand = c;
  if (beta !== 1) {
    const factor = graph.addInitializer(`${node.label}_beta`, Tensor.scalar("float32", beta));
    summand = graph.add("Mul", [c, factor], { name: `${node.label}_c`, before: node }).output();
  }
  graph.add("Add", [product, summand], { name: `${node.label}_bias`, outputs: [output], after: node });
}
