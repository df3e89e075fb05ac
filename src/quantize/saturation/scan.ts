/**
 * @file Whether a quantized file, whoever made it, could saturate on x86 processors without VNNI: from its weights alone.
 */
import type { Model } from "../../graph/model.ts";
import type { Node } from "../../graph/node.ts";
import type { Machine } from "../../measure/machine.ts";
import type { TargetName } from "../../runtime/targets.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { convolutionLayout, inKernelOrder, matrixLayout } from "../rows/layout.ts";
import { saturatesSomewhere } from "./mode.ts";
import { canSaturate } from "./product.ts";

/** Operators on codes, and where their weights stand. ConvInteger is left out: x86 has no kernel for int8 weights. */
const WEIGHT_INPUTS: Readonly<Record<string, number>> = {
  MatMulInteger: 1,
  QLinearMatMul: 3,
  QLinearConv: 3,
  QGemm: 3,
  MatMulIntegerToFloat: 1,
  DynamicQuantizeMatMul: 1,
};

/** Operators that ONNX Runtime makes integer ones of where both operands come through DequantizeLinear. */
const FUSED: ReadonlySet<string> = new Set(["Conv", "MatMul", "Gemm"]);

export interface SaturationScan {
  /** Products of 8-bit activations and int8 weights in the file. */
  readonly products: number;
  /** Names of those whose weights allow that some activations saturate. */
  readonly canSaturate: readonly string[];
}

/** Reads all weights of u8×s8 products. Layers whose activations stay small never saturate, which weights do not show. */
export function scanSaturation(model: Model): SaturationScan {
  let products = 0;
  const found: string[] = [];
  for (const node of model.allNodes()) {
    const codes = weightCodes(node);
    if (codes?.dtype !== "int8" || codes.size === 0) continue;
    products++;
    if (weightsCanSaturate(node, codes)) found.push(node.label);
  }
  return { products, canSaturate: found };
}

/** Codes of a node's weight where the node is, or becomes, a product of codes. */
function weightCodes(node: Node): Tensor | undefined {
  const input = WEIGHT_INPUTS[node.opType];
  if (input !== undefined) return node.inputs[input]?.constant;
  if (!FUSED.has(node.opType) || node.domain !== "") return undefined;
  const [x, w] = node.inputs.slice(0, 2).map((value) => value?.producer);
  return x?.opType === "DequantizeLinear" && w?.opType === "DequantizeLinear" ? w.inputs[0]?.constant : undefined;
}

function weightsCanSaturate(node: Node, codes: Tensor): boolean {
  const { dims } = codes;
  const bytes = codes.bytes();
  const data = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  if (node.opType === "Conv" || node.opType === "QLinearConv") {
    const layout = convolutionLayout(dims, node.int("group", 1));
    return layout !== undefined && canSaturate(inKernelOrder(data, layout), layout.k);
  }
  if (dims.length < 2) return canSaturate(data, data.length);
  const layout = matrixLayout(dims.slice(-2), node.int("transB", 0) !== 0);
  const size = layout.n * layout.k;
  for (let start = 0; start < data.length; start += size) {
    if (canSaturate(inKernelOrder(data.subarray(start, start + size), layout), layout.k)) return true;
  }
  return false;
}

/**
 * One sentence for a report on a file that was measured on `machine`; undefined where nothing can saturate.
 * @param targets that were measured; undefined: node-cpu among them.
 */
export function saturationNote(
  scan: SaturationScan,
  machine: Pick<Machine, "vnni">,
  targets?: readonly TargetName[],
): string | undefined {
  const count = scan.canSaturate.length;
  if (count === 0) return undefined;
  const what = `${count} of ${scan.products} 8-bit products could saturate on x86 processors without VNNI`;
  if (targets !== undefined && !saturatesSomewhere(targets)) {
    return `${what}; none of the targets that were measured computes like that.`;
  }
  if (machine.vnni === undefined) return `${what}; whether this processor is one is not known.`;
  return machine.vnni
    ? `${what}; this one has it, so nothing of that shows in what was measured.`
    : `${what}; this is one, so what was measured includes that.`;
}
