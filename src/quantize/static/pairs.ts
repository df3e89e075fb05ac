/**
 * @file QuantizeLinear → DequantizeLinear pairs on activations: one for each value.
 */
import type { Graph } from "../../graph/graph.ts";
import type { Model } from "../../graph/model.ts";
import type { Node } from "../../graph/node.ts";
import type { Value } from "../../graph/value.ts";
import type { DType } from "../../tensor/dtype.ts";
import { Tensor, type TensorData } from "../../tensor/tensor.ts";
import type { ActivationQParams } from "./activations.ts";

/** ONNX's own QuantizeLinear has types of 16 and 4 bits from opset 21 on; ONNX Runtime's has them at every opset. */
const WIDE_OPSET = 21;
const MICROSOFT = "com.microsoft";

/** The domain whose QuantizeLinear and DequantizeLinear know a type in this model. */
export function domainFor(model: Model, dtype: DType): string | undefined {
  if (dtype === "int8" || dtype === "uint8" || dtype === "int32" || model.opset >= WIDE_OPSET) return undefined;
  model.requireDomain(MICROSOFT, 1);
  return MICROSOFT;
}

const ARRAYS = { int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array } as const;

function zeroPointTensor({ dtype, zeroPoint }: ActivationQParams): Tensor {
  return Tensor.of(dtype, [], ARRAYS[dtype as keyof typeof ARRAYS].of(zeroPoint) as TensorData);
}

export class Pairs {
  readonly #qparams: ReadonlyMap<Value, ActivationQParams>;
  readonly #dequantized: Map<Value, Value> = new Map();

  constructor(qparams: ReadonlyMap<Value, ActivationQParams>) {
    this.#qparams = qparams;
  }

  /** Puts a pair behind a value, for all its users. */
  behind(value: Value): void {
    if (this.#dequantized.has(value)) return;
    const { quantize, result } = this.#add(value);
    this.#dequantized.set(value, result);
    value.graph.replaceAllUsesWith(value, result);
    quantize.setInput(0, value);
    // A pair behind a graph's output took its name; the value before it keeps its own.
    this.#dequantized.set(result, result);
  }

  /** The dequantized form of a value, for one user; other users keep reading the value itself. */
  before(value: Value): Value {
    let result = this.#dequantized.get(value);
    if (result === undefined) {
      result = this.#add(value).result;
      this.#dequantized.set(value, result);
    }
    return result;
  }

  #add(value: Value): { readonly quantize: Node; readonly result: Value } {
    const { graph, name, producer } = value;
    const qparams = this.#qparams.get(value)!;
    const parameters = [
      graph.addInitializer(`${name}_scale`, Tensor.scalar("float32", qparams.scale)),
      graph.addInitializer(`${name}_zero_point`, zeroPointTensor(qparams)),
    ];
    const domain = domainFor(graph.model, qparams.dtype);
    const position = producer === undefined ? { before: firstNode(graph) } : { after: producer };
    const quantize = graph.add("QuantizeLinear", [value, ...parameters], {
      name: `${name}_quantize`,
      domain,
      ...position,
    });
    const dequantize = graph.add("DequantizeLinear", [quantize.output(), ...parameters], {
      name: `${name}_dequantize`,
      domain,
      after: quantize,
    });
    return { quantize, result: dequantize.output() };
  }
}

function firstNode(graph: Graph): Node | undefined {
  return graph.nodes().next().value;
}
