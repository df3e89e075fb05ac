/**
 * @file Random nets for channel pruning: feature maps [2, C, H, W] go through random pieces of what nets are made of, join
 * and part again. The same seed gives the same net. All weights, biases and statistics are random: none hides a mistake.
 */

import type { z } from "zod";
import { Builder } from "../../src/graph/builder.ts";
import { Model } from "../../src/graph/model.ts";
import { irVersionFor } from "../../src/graph/ops/versions.ts";
import type { Value } from "../../src/graph/value.ts";
import type { channelOptions } from "../../src/prune/channels/options.ts";
import type { Tensors } from "../../src/runtime/runtime.ts";
import { elementCount } from "../../src/tensor/dtype.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { createRandom, type Random } from "../../src/util/random.ts";

/** A feature map [2, C, H, W]. */
interface Map4 {
  readonly x: Value;
  readonly c: number;
  readonly h: number;
  readonly w: number;
}

const BATCH = 2;
const SIZE = 8;
/** Pieces of a net. */
const [FEWEST, MOST] = [6, 14] as const;

/** A net with input "x" [2, 3, 8, 8] and output "y" [2, 5]; and, some of the time, a second output. */
export function randomGraph(seed: number): Model {
  const net = new Net(seed);
  let maps: Map4[] = [net.conv({ x: net.input, c: 3, h: SIZE, w: SIZE }, net.channels())];
  const pieces = FEWEST + net.random.integer(MOST - FEWEST);
  for (let i = 0; i < pieces; i++) maps = net.grow(maps);
  return net.finish(maps);
}

/** How a random net is pruned: amounts, scopes and criteria take turns; single channels may go, and all but one. */
export function randomCase(seed: number): {
  readonly model: Model;
  readonly options: z.input<typeof channelOptions>;
  readonly samples: readonly Tensors[];
} {
  const random = createRandom(seed + 1000);
  const sample = (): Tensors => ({ x: Tensor.float32([BATCH, 3, SIZE, SIZE], draws(random, BATCH * 3 * SIZE * SIZE)) });
  return {
    model: randomGraph(seed),
    options: {
      amount: [0.1, 0.3, 0.5, 0.7][seed % 4]!,
      scope: seed % 3 === 0 ? "group" : "global",
      criterion: seed % 2 === 0 ? "l2" : "random",
      rank: seed % 5 === 0 ? "score-per-mac" : "score",
      multiple: 1,
      minimum: 1,
      limit: 1,
    },
    samples: [sample(), sample()],
  };
}

const draws = (random: Random, count: number): Float32Array =>
  Float32Array.from({ length: count }, () => random.normal());

class Net {
  readonly random: Random;
  readonly model: Model = new Model();
  readonly input: Value;
  readonly #b: Builder;

  constructor(seed: number) {
    this.random = createRandom(seed);
    this.model.opset = 17;
    this.model.irVersion = irVersionFor(17);
    const { graph } = this.model;
    graph.name = `random ${seed}`;
    this.input = graph.newValue("x");
    this.input.setTensorType("float32", [BATCH, 3, SIZE, SIZE]);
    graph.inputs.push(this.input);
    this.#b = new Builder(graph);
  }

  channels(): number {
    return 4 * (1 + this.random.integer(5));
  }

  weight(dims: readonly number[], scale = 1, offset = 0): Value {
    const data = Float32Array.from({ length: elementCount(dims) }, () => offset + scale * this.random.normal());
    return this.#b.initializer(Tensor.float32(dims, data), "w");
  }

  /** Changes one map, joins two, or parts one. */
  grow(maps: readonly Map4[]): Map4[] {
    const at = this.random.integer(maps.length);
    const map = maps[at]!;
    const others = maps.filter((_, i) => i !== at);
    const partner = others.find((other) => other.h === map.h && other.w === map.w);
    const kind = this.random.integer(10);
    if (kind === 0 && partner !== undefined) {
      return [...others.filter((other) => other !== partner), this.join(map, partner)];
    }
    if (kind === 1 && map.c >= 4 && maps.length < 4) return [...others, ...this.part(map)];
    if (kind === 2 && maps.length < 4) return [...others, map, this.step(map)];
    if (kind === 3) return [...others, this.residual(map)];
    return [...others, this.step(map)];
  }

  step(map: Map4): Map4 {
    const pieces = [
      () => this.conv(map, this.channels()),
      () => this.conv(map, this.channels(), 1),
      () => this.depthwise(map),
      () => this.grouped(map),
      () => this.transposed(map),
      () => this.normalize(map),
      () => this.activate(map),
      () => this.activate(map),
      () => this.scaled(map),
      () => this.squeezeExcite(map),
      () => this.shuffle(map),
      () => this.attention(map),
      () => this.recurrent(map),
      () => this.tokens(map),
      () => this.resized(map),
      () => this.blocks(map),
      () => this.permuted(map),
      () => this.padded(map),
      () => this.computedShape(map),
      () => this.einsum(map),
      () => this.pooled(map),
    ];
    return pieces[this.random.integer(pieces.length)]!();
  }

  conv({ x, c, h, w }: Map4, out: number, kernel = 3): Map4 {
    const inputs = [x, this.weight([out, c, kernel, kernel], 1 / Math.sqrt(c * kernel * kernel)), this.weight([out])];
    return { x: this.#b.op("Conv", inputs, pads(kernel)), c: out, h, w };
  }

  depthwise({ x, c, h, w }: Map4): Map4 {
    const times = 1 + this.random.integer(2);
    const inputs = [x, this.weight([c * times, 1, 3, 3], 0.4), this.weight([c * times])];
    return { x: this.#b.op("Conv", inputs, { ...pads(3), group: { int: c } }), c: c * times, h, w };
  }

  grouped(map: Map4): Map4 {
    const { x, c, h, w } = map;
    const group = [2, 4].find((g) => c % g === 0 && this.random.next() < 0.7) ?? 1;
    const out = group * (1 + this.random.integer(6));
    const inputs = [x, this.weight([out, c / group, 3, 3], 1 / Math.sqrt(c)), this.weight([out])];
    return { x: this.#b.op("Conv", inputs, { ...pads(3), group: { int: group } }), c: out, h, w };
  }

  transposed({ x, c, h, w }: Map4): Map4 {
    const group = c % 2 === 0 && this.random.next() < 0.5 ? 2 : 1;
    const perGroup = 2 * (1 + this.random.integer(4));
    const inputs = [x, this.weight([c, perGroup, 3, 3], 1 / Math.sqrt(c * 3)), this.weight([perGroup * group])];
    return { x: this.#b.op("ConvTranspose", inputs, { ...pads(3), group: { int: group } }), c: perGroup * group, h, w };
  }

  normalize(map: Map4): Map4 {
    const { x, c } = map;
    const kind = this.random.integer(3);
    const affine = [this.weight([c], 0.2, 1), this.weight([c])];
    if (kind === 0) return { ...map, x: this.#b.op("InstanceNormalization", [x, ...affine]) };
    if (kind === 1) {
      // Group normalization as exporters write it before opset 18.
      const groups = c % 4 === 0 ? 4 : 2;
      if (c % groups !== 0) return map;
      const rows = this.#b.reshape(x, [0, groups, -1]);
      const ones = [this.weight([groups], 0, 1), this.weight([groups], 0)];
      const normal = this.#b.reshape(this.#b.op("InstanceNormalization", [rows, ...ones]), [BATCH, c, map.h, map.w]);
      const scaled = this.#b.mul(normal, this.weight([c, 1, 1]));
      return { ...map, x: this.#b.add(scaled, this.weight([c, 1, 1])) };
    }
    const variance = Tensor.float32(
      [c],
      Float32Array.from({ length: c }, () => 0.5 + this.random.next()),
    );
    const statistics = [this.weight([c], 0.3), this.#b.initializer(variance, "variance")];
    return { ...map, x: this.#b.op("BatchNormalization", [x, ...affine, ...statistics]) };
  }

  activate(map: Map4): Map4 {
    const ops = [
      "Relu",
      "Sigmoid",
      "HardSwish",
      "LeakyRelu",
      "Tanh",
      "Softplus",
      "PRelu",
      "Clip",
      "Elu",
      "Erf",
    ] as const;
    const op = ops[this.random.integer(ops.length)]!;
    const slope = op === "PRelu" ? [this.weight([map.c, 1, 1], 0.2)] : [];
    const bounds = op === "Clip" ? [this.#b.scalar(-1), this.#b.scalar(2)] : [];
    return { ...map, x: this.#b.op(op, [map.x, ...slope, ...bounds]) };
  }

  /** By constants of all ranks. */
  scaled(map: Map4): Map4 {
    const { c, h, w } = map;
    const dims = [[c, 1, 1], [1, c, 1, 1], [c, h, w], [1, 1, h, w], [w]][this.random.integer(5)]!;
    const op = ["Add", "Mul", "Sub", "Max"][this.random.integer(4)]!;
    return { ...map, x: this.#b.op(op, [map.x, this.weight(dims, 0.5, 1)]) };
  }

  squeezeExcite(map: Map4): Map4 {
    const { x, c } = map;
    const hidden = 2 + this.random.integer(6);
    if (this.random.next() < 0.5) {
      const pooled: Map4 = { x: this.#b.op("GlobalAveragePool", [x]), c, h: 1, w: 1 };
      const small = this.#b.op("Relu", [this.conv(pooled, hidden, 1).x]);
      const gate = this.#b.op("HardSigmoid", [this.conv({ ...pooled, x: small, c: hidden }, c, 1).x]);
      return { ...map, x: this.#b.mul(x, gate) };
    }
    const flat = this.#b.mean(x, [2, 3], false);
    const small = this.#b.op("Relu", [this.linear(flat, c, hidden)]);
    const gate = this.#b.op("Sigmoid", [this.linear(small, hidden, c)]);
    return { ...map, x: this.#b.mul(x, this.#b.unsqueeze(gate, [2, 3])) };
  }

  /** Gemm on [N, from]. */
  linear(x: Value, from: number, to: number): Value {
    const transB = this.random.integer(2);
    const weight = this.weight(transB ? [to, from] : [from, to], 1 / Math.sqrt(from));
    return this.#b.op("Gemm", [x, weight, this.weight([to])], { transB: { int: transB } });
  }

  shuffle(map: Map4): Map4 {
    const { x, c, h, w } = map;
    if (c % 2 !== 0) return map;
    const parts = this.#b.transpose(this.#b.reshape(x, [BATCH, 2, c / 2, h, w]), [0, 2, 1, 3, 4]);
    return { ...map, x: this.#b.reshape(parts, [BATCH, -1, h, w]) };
  }

  /** Pixels as tokens: fused or separate projections, heads, softmax. */
  attention(map: Map4): Map4 {
    const { x, c, h, w } = map;
    const b = this.#b;
    const [heads, size] = [this.random.next() < 0.7 ? 4 : 2, 2 + this.random.integer(4)];
    const tokens = b.transpose(b.reshape(x, [0, 0, -1]), [0, 2, 1]);
    const inner = heads * size;
    const project = (to: number): Value =>
      b.add(b.matmul(tokens, this.weight([c, to], 1 / Math.sqrt(c))), this.weight([to]));
    let parts: Value[];
    if (this.random.next() < 0.5) {
      const all = b.transpose(b.reshape(project(3 * inner), [0, -1, 3, heads, size]), [2, 0, 3, 1, 4]);
      parts = [0, 1, 2].map((i) =>
        b.op("Gather", [all, b.initializer(Tensor.scalar("int64", i))], { axis: { int: 0 } }),
      );
    } else parts = [0, 1, 2].map(() => b.transpose(b.reshape(project(inner), [0, h * w, heads, size]), [0, 2, 1, 3]));
    const scores = b.scale(b.matmul(parts[0]!, b.transpose(parts[1]!, [0, 1, 3, 2])), 1 / Math.sqrt(size));
    const mixed = b.matmul(b.op("Softmax", [scores], { axis: { int: -1 } }), parts[2]!);
    const joined = b.reshape(b.transpose(mixed, [0, 2, 1, 3]), [0, 0, inner]);
    const out = this.channels();
    const projected = b.matmul(joined, this.weight([inner, out], 1 / Math.sqrt(inner)));
    return { x: b.reshape(b.transpose(projected, [0, 2, 1]), [0, -1, h, w]), c: out, h, w };
  }

  /** Over the rows of the mean over H: [W, N, C] → [W, D, N, H] */
  recurrent(map: Map4): Map4 {
    const { x, c, h, w } = map;
    const b = this.#b;
    const hidden = 2 + this.random.integer(6);
    const [op, gates] = (
      [
        ["LSTM", 4],
        ["GRU", 3],
        ["RNN", 1],
      ] as const
    )[this.random.integer(3)]!;
    const directions = 1 + this.random.integer(2);
    const sequence = b.transpose(b.mean(x, [2], false), [2, 0, 1]);
    const inputs = [
      sequence,
      this.weight([directions, gates * hidden, c], 1 / Math.sqrt(c)),
      this.weight([directions, gates * hidden, hidden], 0.5),
      this.weight([directions, 2 * gates * hidden], 0.5),
    ];
    const y = b.op(op, inputs, {
      hidden_size: { int: hidden },
      direction: { string: directions === 2 ? "bidirectional" : "forward" },
    });
    const out = hidden * directions;
    const rows = b.reshape(b.transpose(y, [2, 1, 3, 0]), [BATCH, out, 1, w]); // [N, D, H, W] → [N, D·H, 1, W]
    return { x: b.expand(rows, [BATCH, out, h, w]), c: out, h, w };
  }

  /** A product over the channels of tokens, and back. */
  tokens(map: Map4): Map4 {
    const { x, c, h, w } = map;
    const out = this.channels();
    const tokens = this.#b.reshape(this.#b.transpose(x, [0, 2, 3, 1]), [-1, c]);
    const y = this.#b.add(this.#b.matmul(tokens, this.weight([c, out], 1 / Math.sqrt(c))), this.weight([out]));
    const back = this.#b.transpose(this.#b.reshape(y, [BATCH, h, w, out]), [0, 3, 1, 2]);
    return { x: back, c: out, h, w };
  }

  resized(map: Map4): Map4 {
    const { x, c, h, w } = map;
    if (h > SIZE) return this.pooled(map);
    const attributes = { mode: { string: "nearest" }, coordinate_transformation_mode: { string: "asymmetric" } };
    const target =
      this.random.next() < 0.5
        ? [x, undefined, undefined, this.#b.ints([BATCH, c, 2 * h, 2 * w])]
        : [x, undefined, this.#b.initializer(Tensor.float32([4], [1, 1, 2, 2]))];
    return { x: this.#b.op("Resize", target, attributes), c, h: 2 * h, w: 2 * w };
  }

  pooled(map: Map4): Map4 {
    const { x, c, h, w } = map;
    if (h < 4 || w < 4) return this.activate(map);
    const op = this.random.next() < 0.5 ? "MaxPool" : "AveragePool";
    const windows = { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } };
    return { x: this.#b.op(op, [x], windows), c, h: h / 2, w: w / 2 };
  }

  blocks(map: Map4): Map4 {
    const { x, c, h, w } = map;
    const mode = { string: this.random.next() < 0.5 ? "DCR" : "CRD" };
    if (c % 4 === 0 && h <= SIZE) {
      return { x: this.#b.op("DepthToSpace", [x], { blocksize: { int: 2 }, mode }), c: c / 4, h: 2 * h, w: 2 * w };
    }
    if (h < 4 || w < 4 || c > 16) return this.activate(map);
    return { x: this.#b.op("SpaceToDepth", [x], { blocksize: { int: 2 } }), c: 4 * c, h: h / 2, w: w / 2 };
  }

  permuted(map: Map4): Map4 {
    const order = this.random.shuffle(Array.from({ length: map.c }, (_, i) => i)).slice(0, Math.max(2, map.c - 2));
    return { ...map, x: this.#b.op("Gather", [map.x, this.#b.ints(order)], { axis: { int: 1 } }), c: order.length };
  }

  padded(map: Map4): Map4 {
    const [before, after] = [this.random.integer(3), this.random.integer(3)];
    const pads = this.#b.ints([0, before, 0, 0, 0, after, 0, 0]);
    return { ...map, x: this.#b.op("Pad", [map.x, pads, this.#b.scalar(0.5)]), c: map.c + before + after };
  }

  /** Targets that are computed from sizes, with literals in between, as PyTorch writes view(x.size(0), C, -1). */
  computedShape(map: Map4): Map4 {
    const { x, c, h, w } = map;
    const b = this.#b;
    const shape = b.op("Shape", [x]);
    const size = (axis: number): Value =>
      b.unsqueeze(b.op("Gather", [shape, b.initializer(Tensor.scalar("int64", axis))], { axis: { int: 0 } }), [0]);
    const kind = this.random.integer(3);
    const target =
      kind === 0
        ? b.concat([size(0), b.ints([c]), b.ints([-1])], 0)
        : kind === 1
          ? b.concat([size(0), size(1), b.mul(size(2), size(3))], 0)
          : b.concat([size(0), b.mul(b.mul(size(1), size(2)), size(3))], 0);
    const flat = b.op("Relu", [b.op("Reshape", [x, target])]);
    return { x: b.op("Reshape", [flat, shape]), c, h, w };
  }

  einsum(map: Map4): Map4 {
    const { x, c, h, w } = map;
    const out = this.channels();
    const inputs = [x, this.weight([out, c], 1 / Math.sqrt(c))];
    return { x: this.#b.op("Einsum", inputs, { equation: { string: "nchw,oc->nohw" } }), c: out, h, w };
  }

  /** Sum of two maps, of one size where they have one, else side by side. */
  join(a: Map4, b: Map4): Map4 {
    if (a.c === b.c && this.random.next() < 0.7)
      return { ...a, x: this.#b.op(this.random.next() < 0.5 ? "Add" : "Mul", [a.x, b.x]) };
    return { ...a, x: this.#b.concat([a.x, b.x], 1), c: a.c + b.c };
  }

  part(map: Map4): Map4[] {
    const { x, c } = map;
    const first = 1 + this.random.integer(c - 2);
    const kind = this.random.integer(3);
    if (kind === 0) {
      const from = this.random.integer(first);
      return [
        { ...map, x: this.#b.slice(x, [from], [first], [1]), c: first - from },
        { ...map, x: this.#b.slice(x, [first], [2 ** 31], [1]), c: c - first },
      ];
    }
    const sizes = kind === 1 || c % 2 !== 0 ? [first, c - first] : [c / 2, c / 2];
    const node =
      kind === 2 && c % 2 === 0
        ? this.#b.node("Split", [x], { axis: { int: 1 } }, 2)
        : this.#b.node("Split", [x, this.#b.ints(sizes)], { axis: { int: 1 } }, 2);
    return sizes.map((size, i) => ({ ...map, x: node.output(i), c: size }));
  }

  residual(map: Map4): Map4 {
    const inner = this.activate(this.normalize(this.conv(map, this.channels(), 1)));
    const body = this.conv(this.random.next() < 0.5 ? this.squeezeExcite(inner) : inner, map.c);
    return { ...map, x: this.#b.add(map.x, body.x) };
  }

  finish(maps: readonly Map4[]): Model {
    const b = this.#b;
    const flats = maps.map(({ x, c, h, w }) =>
      this.random.next() < 0.3
        ? { x: this.linear(b.op("Flatten", [x]), c * h * w, 6), c: 6 }
        : { x: b.op("Flatten", [b.op("GlobalAveragePool", [x])]), c },
    );
    const joined = b.concat(
      flats.map(({ x }) => x),
      1,
    );
    const y = this.linear(
      joined,
      flats.reduce((sum, { c }) => sum + c, 0),
      5,
    );
    const outputs = [["y", y], ...(this.random.next() < 0.3 ? [["map", maps[0]!.x] as const] : [])] as const;
    for (const [name, value] of outputs) {
      value.name = this.model.names.unique(name);
      value.setTensorType("float32");
    }
    this.model.graph.setOutputs(outputs.map(([, value]) => value));
    return this.model;
  }
}

const pads = (kernel: number) => {
  const pad = (kernel - 1) / 2;
  return { kernel_shape: { ints: [kernel, kernel] }, pads: { ints: [pad, pad, pad, pad] } };
};
