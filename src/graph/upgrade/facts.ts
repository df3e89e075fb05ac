/**
 * @file What some rules must know about values: rank and element type, as far as one pass over the graph can tell.
 *
 * Declared types come first; most exporters' files have hardly any. Unknown is a legal answer, and then a rule uses a
 * form that is right in any case, or refuses. Nodes may stand in the form before or after the step that asks.
 */
import { type DType, dtypeFromCode } from "../../tensor/dtype.ts";
import { isFloatingPoint } from "../../tensor/tensor.ts";
import type { Model } from "../model.ts";
import type { Node } from "../node.ts";
import type { Value } from "../value.ts";
import { constantOf } from "./rule.ts";

export class Facts {
  readonly #model: Model;
  #known: Known | undefined;

  constructor(model: Model) {
    this.#model = model;
  }

  /** Number of dimensions. */
  rank(value: Value): number | undefined {
    return this.#all.rank(value);
  }

  /** Element type. */
  dtype(value: Value): DType | undefined {
    return this.#all.dtype(value);
  }

  /**
   * Element type of a value that holds floats, because its operator takes nothing else: as declared or followed through
   * the graph, else the model's only float type, if it mentions just one.
   */
  floatType(value: Value): DType | undefined {
    const known = this.#all;
    return known.dtype(value) ?? (known.floatTypes.size === 1 ? [...known.floatTypes][0] : undefined);
  }

  get #all(): Known {
    this.#known ??= new Known(this.#model);
    return this.#known;
  }
}

class Known {
  readonly floatTypes: Set<DType> = new Set();
  readonly #ranks: Map<Value, number> = new Map();
  readonly #dtypes: Map<Value, DType> = new Map();
  /** Number of elements of values of rank 1: the shapes that are computed for Reshape. */
  readonly #lengths: Map<Value, number> = new Map();

  constructor(model: Model) {
    for (const graph of model.graphs()) {
      for (const value of [...graph.inputs, ...graph.initializers]) this.#mention(value.dtype);
      for (const node of graph.nodes()) {
        this.#visit(node);
        for (const value of node.outputs) this.#mention(value?.dtype);
      }
    }
  }

  rank(value: Value | undefined): number | undefined {
    return value === undefined ? undefined : (value.shape?.length ?? this.#ranks.get(value));
  }

  dtype(value: Value | undefined): DType | undefined {
    return value === undefined ? undefined : (value.dtype ?? this.#dtypes.get(value));
  }

  length(value: Value | undefined): number | undefined {
    if (value === undefined) return undefined;
    const [dim] = value.shape?.length === 1 ? value.shape : [];
    return typeof dim === "number" ? dim : this.#lengths.get(value);
  }

  #mention(dtype: DType | undefined): void {
    if (dtype !== undefined && isFloatingPoint(dtype)) this.floatTypes.add(dtype);
  }

  #visit(node: Node): void {
    for (const { proto } of node.attributes.values()) {
      this.#mention(dtypeFromCode(proto.t?.dataType));
      if (proto.name === "to" || proto.name === "dtype") this.#mention(dtypeFromCode(Number(proto.i ?? 0)));
    }
    if (node.domain !== "" || !Object.hasOwn(OPS, node.opType)) return;
    const { rank, length, dtype = sameDtype } = OPS[node.opType]!;
    const [rankNow, lengthNow, dtypeNow] = [rank(node, this), length?.(node, this), dtype(node, this)];
    this.#mention(dtypeNow);
    node.outputs.forEach((value, index) => {
      if (value === undefined) return;
      if (rankNow !== undefined) this.#ranks.set(value, rankNow);
      if (lengthNow !== undefined) this.#lengths.set(value, lengthNow);
      // Second outputs (masks, indices) are of other types, but for Split.
      if (dtypeNow !== undefined && (index === 0 || node.opType === "Split")) this.#dtypes.set(value, dtypeNow);
    });
  }
}

type Ask<T> = (node: Node, known: Known) => T | undefined;

interface Row {
  readonly rank: Ask<number>;
  readonly length?: Ask<number>;
  /** Default: the first input's. */
  readonly dtype?: Ask<DType>;
}

const sameRank: Ask<number> = (node, known) => known.rank(node.inputs[0]);
const sameLength: Ask<number> = (node, known) => known.length(node.inputs[0]);
const sameDtype: Ask<DType> = (node, known) => known.dtype(node.inputs[0]);

/** The largest rank of the inputs, where all are known. */
const broadcastRank: Ask<number> = (node, known) => {
  let rank = 0;
  for (const value of node.inputs) {
    const own = known.rank(value);
    if (own === undefined) return undefined;
    rank = Math.max(rank, own);
  }
  return rank;
};

/** The same for lengths; scalars stretch. */
const broadcastLength: Ask<number> = (node, known) => {
  const lengths = node.inputs.map((value) => (known.rank(value) === 0 ? 1 : known.length(value)));
  return lengths.every((length) => length !== undefined) ? Math.max(...lengths) : undefined;
};

const firstKnownRank: Ask<number> = (node, known) =>
  node.inputs.map((value) => known.rank(value)).find((rank) => rank !== undefined);

/** Integers from an attribute or, in the later form, from a constant input. */
function listOf(node: Node, attribute: string, input: number): readonly number[] | undefined {
  return node.ints(attribute) ?? constantOf(node.inputs[input])?.numbers();
}

/** [M, K] × [K, N]; vectors lose their dimension. */
const matMulRank: Ask<number> = (node, known) => {
  const [a, b] = [known.rank(node.inputs[0]), known.rank(node.inputs[1])];
  if (a === undefined || b === undefined) return undefined;
  if (a === 1 || b === 1) return Math.max(a, b) - 1;
  return Math.max(a, b);
};

const reducedRank: Ask<number> = (node, known) => {
  const rank = known.rank(node.inputs[0]);
  if (rank === undefined || node.int("keepdims", 1) === 1) return rank;
  if (node.inputs.length < 2 && !node.has("axes")) return 0;
  const axes = listOf(node, "axes", 1);
  return axes && rank - axes.length;
};

/** Rank changed by as many as there are axes. */
const byAxes =
  (sign: 1 | -1): Ask<number> =>
  (node, known) => {
    const [rank, axes] = [known.rank(node.inputs[0]), listOf(node, "axes", 1)];
    return rank === undefined || axes === undefined ? undefined : rank + sign * axes.length;
  };

const gatherRank: Ask<number> = (node, known) => {
  const [data, indices] = [known.rank(node.inputs[0]), known.rank(node.inputs[1])];
  return data === undefined || indices === undefined ? undefined : data - 1 + indices;
};

const slicedLength: Ask<number> = (node, known) => {
  const length = known.length(node.inputs[0]);
  const [start, end] = [listOf(node, "starts", 1), listOf(node, "ends", 2)].map((list) => list?.[0]);
  if (length === undefined || start === undefined || end === undefined || node.inputs[4] !== undefined)
    return undefined;
  const within = (index: number): number => Math.min(Math.max(index < 0 ? index + length : index, 0), length);
  return Math.max(within(end) - within(start), 0);
};

const sumOfLengths: Ask<number> = (node, known) => {
  let total = 0;
  for (const value of node.inputs) total += known.length(value) ?? Number.NaN;
  return Number.isNaN(total) ? undefined : total;
};

const constantRow: Row = {
  rank: (node) => node.tensor("value")?.dims.length,
  length: (node) => {
    const dims = node.tensor("value")?.dims;
    return dims?.length === 1 ? dims[0] : undefined;
  },
  dtype: (node) => node.tensor("value")?.dtype,
};

const always =
  <T>(answer: T): Ask<T> =>
  () =>
    answer;

function rows(ops: string, row: Row): Readonly<Record<string, Row>> {
  return Object.fromEntries(ops.split(" ").map((op) => [op, row]));
}

const OPS: Readonly<Record<string, Row>> = {
  ...rows(
    "Abs AveragePool BatchNormalization Ceil Clip Conv ConvTranspose CumSum DepthToSpace Dropout Elu Erf Exp Floor " +
      "GlobalAveragePool GlobalLpPool GlobalMaxPool HardSigmoid HardSwish Hardmax Identity InstanceNormalization LRN " +
      "LeakyRelu Log LogSoftmax LpNormalization LpPool MaxPool MeanVarianceNormalization Neg PRelu Pad Reciprocal Relu " +
      "Resize Round ScatterElements Selu Sigmoid Sign Softmax Softplus Softsign SpaceToDepth Split Sqrt Tanh " +
      "ThresholdedRelu Tile TopK Upsample",
    { rank: sameRank },
  ),
  ...rows("Add Div Max Mean Min Mod Mul Pow Sub Sum", { rank: broadcastRank, length: broadcastLength }),
  ...rows("And Equal Greater GreaterOrEqual Less LessOrEqual Or Xor", { rank: broadcastRank, dtype: always("bool") }),
  ...rows("ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum", {
    rank: reducedRank,
  }),
  Cast: {
    rank: sameRank,
    length: sameLength,
    dtype: (node) => dtypeFromCode(node.int("to")),
  },
  Concat: { rank: firstKnownRank, length: sumOfLengths },
  Constant: constantRow,
  ConstantOfShape: {
    rank: (node, known) => known.length(node.inputs[0]),
    dtype: (node) => node.tensor("value")?.dtype ?? "float32",
  },
  DequantizeLinear: { rank: sameRank, dtype: (node, known) => known.dtype(node.inputs[1]) },
  Flatten: { rank: always(2) },
  Gather: {
    rank: gatherRank,
    length: (node, known) => known.length(node.inputs[1]),
  },
  Gemm: { rank: always(2) },
  MatMul: { rank: matMulRank },
  QuantizeLinear: { rank: sameRank, dtype: (node, known) => known.dtype(node.inputs[2]) },
  Reshape: { rank: (node, known) => known.length(node.inputs[1]) ?? node.ints("shape")?.length },
  Shape: { rank: always(1), length: sameRank, dtype: always("int64") },
  Slice: { rank: sameRank, length: slicedLength },
  Squeeze: { rank: byAxes(-1) },
  Transpose: { rank: (node, known) => node.ints("perm")?.length ?? known.rank(node.inputs[0]) },
  Unsqueeze: { rank: byAxes(1), length: (node, known) => (known.rank(node.inputs[0]) === 0 ? 1 : undefined) },
  Where: { rank: broadcastRank, dtype: (node, known) => known.dtype(node.inputs[1]) },
};
