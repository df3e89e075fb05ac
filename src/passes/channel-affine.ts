/**
 * @file Multiplies the output channels of Conv, ConvTranspose and Gemm by constants and adds to them: the algebra that
 * several fusions share.
 *
 *   s · (W ∗ x + b) + t  =  (s · W) ∗ x + (s · b + t)      s, t per output channel
 */
import type { Node } from "../graph/node.ts";
import type { Value } from "../graph/value.ts";
import { Tensor } from "../tensor/tensor.ts";

export interface ChannelAffine {
  /** One factor per output channel. */
  readonly scale: Float64Array;
  /** One summand per output channel. */
  readonly shift: Float64Array;
}

/** How a node's weight is indexed by output channel: `[outer, channels, inner]`, repeated for each group. */
interface WeightLayout {
  readonly weight: Value;
  readonly channels: number;
  channelOf(index: number): number;
}

/** Number of output channels of a node that can absorb a factor and a summand, or the reason why it cannot. */
export function absorbs(node: Node): number | string {
  const layout = layoutOf(node);
  if (typeof layout === "string") return layout;
  if (layout.weight.onlyUser !== node) return "its weight is shared with another node";
  if (layout.weight.dtype !== "float32") return `its weight is ${layout.weight.dtype}, not float32`;
  const bias = node.inputs[2];
  if (bias !== undefined) {
    const tensor = bias.constant;
    if (tensor === undefined) return "its bias is not constant";
    const { dims } = tensor;
    const perChannel = tensor.size === layout.channels && dims.at(-1) === layout.channels;
    if (!perChannel && tensor.size !== 1) return "its bias is not one number per channel";
  }
  return layout.channels;
}

/** Applies factor and summand. The node must be one that {@link absorbs}. Bias becomes `[channels]`. */
export function absorb(node: Node, { scale, shift }: ChannelAffine): void {
  const layout = layoutOf(node);
  if (typeof layout === "string") throw node.error(layout);
  const graph = node.graph!;
  const { weight, channels } = layout;
  const before = weight.constant!;
  const data = before.floats().slice();
  for (let i = 0; i < data.length; i++) data[i]! *= scale[layout.channelOf(i)]!;
  node.setInput(1, graph.addInitializer(`${weight.name}_fused`, Tensor.float32(before.dims, data)));

  const bias = node.inputs[2];
  const old = bias?.constant?.floats();
  const alpha = node.is("Gemm") ? node.float("alpha", 1) : 1;
  const beta = node.is("Gemm") ? node.float("beta", 1) : 1;
  const sum = new Float32Array(channels);
  for (let c = 0; c < channels; c++) {
    const b = old === undefined ? 0 : beta * old[old.length === 1 ? 0 : c]!;
    sum[c] = scale[c]! * b + shift[c]!;
  }
  node.setInput(
    2,
    graph.addInitializer(bias ? `${bias.name}_fused` : `${weight.name}_bias`, Tensor.float32([channels], sum)),
  );
  // y = alpha · A·B + beta · C: beta is in the new bias, alpha still multiplies the scaled product.
  if (node.is("Gemm") && beta !== 1) node.set("beta", { float: 1 });
  if (node.is("Gemm") && alpha !== 1) node.set("alpha", { float: alpha });
  for (const value of [weight, bias]) {
    if (value?.isUnused && value.isConstant) value.graph.removeInitializer(value);
  }
}

const LAYOUTS: Readonly<Record<string, (node: Node, weight: Value, dims: readonly number[]) => WeightLayout | string>> =
  {
    // W [O, I/g, k…]
    Conv: (_node, weight, dims) => {
      const inner = dims.slice(1).reduce((a, b) => a * b, 1);
      return { weight, channels: dims[0]!, channelOf: (index) => Math.floor(index / inner) };
    },
    // W [I, O/g, k…]: input channel i belongs to group floor(i · g / I)
    ConvTranspose: (node, weight, dims) => {
      const groups = node.int("group", 1);
      const perGroup = dims[1]!;
      const inner = dims.slice(2).reduce((a, b) => a * b, 1);
      const inputsPerGroup = dims[0]! / groups;
      return {
        weight,
        channels: perGroup * groups,
        channelOf: (index) => {
          const row = Math.floor(index / inner);
          const input = Math.floor(row / perGroup);
          return Math.floor(input / inputsPerGroup) * perGroup + (row % perGroup);
        },
      };
    },
    // B [K, N], or [N, K] with transB
    Gemm: (node, weight, dims) => {
      const transposed = node.int("transB", 0) !== 0;
      const [rows, columns] = dims as [number, number];
      return transposed
        ? { weight, channels: rows, channelOf: (index) => Math.floor(index / columns) }
        : { weight, channels: columns, channelOf: (index) => index % columns };
    },
  };

function layoutOf(node: Node): WeightLayout | string {
  const rule = node.domain === "" ? LAYOUTS[node.opType] : undefined;
  if (rule === undefined) return `${node.opType} has no output channels that could be scaled`;
  const weight = node.inputs[1];
  const tensor = weight?.constant;
  if (weight === undefined || tensor === undefined) return "its weight is not constant";
  if (tensor.dims.length < 2) return "its weight has less than two dimensions";
  return rule(node, weight, tensor.dims);
}
