/** @file Building: names, seeds, first values of layers, shared modules, state_dicts that do not fit, and what is refused. */
import { describe, expect, it } from "vitest";
import { verifyModel } from "../graph/verify.ts";
import { Tensor } from "../tensor/tensor.ts";
import { GraphError, InputError, OptionError } from "../util/errors.ts";
import { buildModel } from "./build-model.ts";
import { residual, sequential } from "./containers.ts";
import { dropout, flatten, identity, relu } from "./layers/activation.ts";
import { multiheadAttention } from "./layers/attention.ts";
import { conv2d } from "./layers/convolution.ts";
import { embedding, linear } from "./layers/linear.ts";
import { batchNorm, layerNorm } from "./layers/normalization.ts";
import { adaptiveAvgPool2d, maxPool2d } from "./layers/pooling.ts";
import { lstm } from "./layers/recurrent.ts";
import { lenet5, lenet300 } from "./models/lenet.ts";
import { mobilenetV2 } from "./models/mobilenet-v2.ts";
import { resnet20 } from "./models/resnet.ts";
import { type Module, pick } from "./module.ts";
import { buffersOf, loadStateDict, parametersOf, type StateDict, stateDict } from "./state.ts";

const INPUT = { name: "x", dims: ["N", 4] };
const build = (module: Module, seed = 1) => buildModel(module, { input: INPUT, output: "y", seed });
const floats = (module: Module, name: string, dims: readonly (number | string)[] = ["N", 4], seed = 1): Float32Array =>
  stateDict(buildModel(module, { input: { name: "x", dims }, seed }))[name]!.floats();
const largest = (values: Float32Array): number => values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);

it("names inputs, outputs, parameters and nodes", () => {
  const model = build(sequential(linear(4, 3), relu(), sequential({ head: linear(3, 2) })));
  const { graph } = model;
  verifyModel(model);
  expect([graph.inputs[0]!.name, graph.outputs[0]!.name]).toEqual(["x", "y"]);
  expect(graph.outputs[0]!.shape).toEqual(["N", 2]);
  expect(Object.keys(stateDict(model))).toEqual(["0.weight", "0.bias", "2.head.weight", "2.head.bias"]);
  expect([...graph.nodes()].map((node) => node.output().name)).toEqual(["0/Gemm", "1/Relu", "y"]);
  expect([model.opset, model.irVersion]).toEqual([17, 8]);
});

it("draws by seed and name: other layers change nothing", () => {
  const one = floats(sequential(linear(4, 3)), "0.weight");
  expect(floats(sequential(linear(4, 3), relu(), linear(3, 3)), "0.weight")).toEqual(one);
  expect(floats(sequential(linear(4, 3)), "0.weight", undefined, 2)).not.toEqual(one);
  expect(floats(sequential(relu(), linear(4, 3)), "1.weight")).not.toEqual(one);
});

describe("first values are PyTorch's", () => {
  const image = ["N", 6, 9, 9];
  it.each([
    ["linear", linear(64, 200), "weight", ["N", 64], 1 / 8],
    ["linear bias", linear(64, 5000), "bias", ["N", 64], 1 / 8],
    ["conv2d", conv2d(6, 80, 3, { groups: 2 }), "weight", image, 1 / Math.sqrt(27)],
    ["conv2d bias", conv2d(6, 4000, 3), "bias", image, 1 / Math.sqrt(54)],
    ["lstm", pick(lstm(5, 16), "output"), "weight_ih_l0", ["T", "N", 5], 1 / 4],
    ["attention", (s, x) => multiheadAttention(64, 4)(s, x), "in_proj_weight", ["T", "N", 64], Math.sqrt(6 / 256)],
    ["attention out", (s, x) => multiheadAttention(64, 4)(s, x), "out_proj.weight", ["T", "N", 64], 1 / 8],
  ] as const satisfies readonly (readonly [string, Module, string, readonly (string | number)[], number])[])(
    "%s: uniform within its bound",
    (_name, module, name, dims, bound) => {
      const values = floats(module, name, dims);
      expect(largest(values)).toBeLessThanOrEqual(Math.fround(bound));
      expect(largest(values)).toBeGreaterThan(bound * 0.98);
      const meanSquare = values.reduce((sum, x) => sum + x * x, 0) / values.length;
      expect(meanSquare / (bound ** 2 / 3)).toBeCloseTo(1, 0.5);
    },
  );

  it("embedding's padding row 0", () => {
    const padded = embedding(5, 3, { paddingIdx: 2 });
    const table = floats((s, x) => padded(s, s.b.op("Cast", [x], { to: { int: 7 } })), "weight");
    expect([...table.slice(6, 9)]).toEqual([0, 0, 0]);
    expect([...table].filter((x) => x === 0)).toHaveLength(3);
    expect(() => embedding(5, 3, { paddingIdx: 5 })).toThrow(/paddingIdx: expected a row from 0 to 4, got 5/);
  });

  it("embedding N(0, 1); norms 1 and 0; attention's biases 0", () => {
    const table = floats((s, x) => embedding(500, 8)(s, s.b.op("Cast", [x], { to: { int: 7 } })), "weight");
    expect(table.reduce((sum, x) => sum + x * x, 0) / table.length).toBeCloseTo(1, 1);
    expect(floats(layerNorm(4), "weight")).toEqual(Float32Array.of(1, 1, 1, 1));
    const state = stateDict(build(batchNorm(4)));
    expect(Object.keys(state)).toEqual(["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]);
    expect(state["running_var"]!.floats()).toEqual(Float32Array.of(1, 1, 1, 1));
    expect(largest(floats((s, x) => multiheadAttention(4, 2)(s, x), "in_proj_bias", ["T", "N", 4]))).toBe(0);
    expect(largest(floats((s, x) => multiheadAttention(4, 2)(s, x), "out_proj.bias", ["T", "N", 4]))).toBe(0);
  });
});

it("tells parameters and buffers apart, and forgets neither when saved", () => {
  const model = build(sequential(linear(4, 4), batchNorm(4)));
  expect(parametersOf(model).map(({ name }) => name)).toEqual(["0.weight", "0.bias", "1.weight", "1.bias"]);
  expect(buffersOf(model).map(({ name }) => name)).toEqual(["1.running_mean", "1.running_var"]);
});

it("shares what is called twice under one name", () => {
  const tied: Module = (s, x) => s.child("a", linear(4, 4), s.child("a", linear(4, 4), x));
  expect(Object.keys(stateDict(build(tied)))).toEqual(["a.weight", "a.bias"]);
  const wrong: Module = (s, x) => s.child("a", linear(4, 3), s.child("a", linear(4, 4), x));
  expect(() => build(wrong)).toThrow("nn: a: expected weight [4, 4], as it was made before, got [3, 4].");
});

it("gives inputs and repeated results nodes of their own as outputs", () => {
  const model = buildModel(
    (s, x) => {
      const y = s.child("fc", linear(4, 2), x!);
      return [x!, y, y];
    },
    { input: INPUT, output: ["a", "b", "c"] },
  );
  verifyModel(model);
  expect(model.graph.outputs.map(({ name, shape }) => [name, shape])).toEqual([
    ["a", ["N", 4]],
    ["b", ["N", 2]],
    ["c", ["N", 2]],
  ]);
  expect([...buildModel(identity(), { input: INPUT }).graph.nodes()].map(({ opType }) => opType)).toEqual(["Identity"]);
});

it("marks dropout with its ratio", () => {
  const [node] = build(dropout(0.25)).graph.nodes();
  expect([node!.opType, node!.input(1).initializer!.numbers()]).toEqual(["Dropout", [0.25]]);
  expect(build(sequential(dropout(0), relu())).graph.size).toBe(1);
});

describe("loadStateDict", () => {
  const model = () => build(sequential(linear(4, 2), batchNorm(2)));
  const own = (): StateDict => ({ ...stateDict(model()), "0.bias": Tensor.float32([2], [7, 8]) });

  it("takes what fits, with or without counters, as float32", () => {
    const target = model();
    const { "1.num_batches_tracked": _, ...rest } = own();
    expect(loadStateDict(target, rest).missing).toEqual([]);
    expect(stateDict(target)["0.bias"]!.numbers()).toEqual([7, 8]);
    const report = loadStateDict(target, { "0.bias": Tensor.float32([2], [1, 2]).toFloat16() }, { strict: false });
    expect(report.loaded).toEqual(["0.bias"]);
    expect(report.missing).toHaveLength(5);
    expect(stateDict(target)["0.bias"]!.dtype).toBe("float32");
  });

  it("names what is missing, left over or of another shape, and then changes nothing", () => {
    const target = model();
    const before = stateDict(target);
    const { "0.weight": _, ...less } = own();
    const wrong = Tensor.float32([3], [1, 2, 3]);
    expect(() => loadStateDict(target, { ...less, "2.weight": wrong })).toThrow(
      /expected the model's 6 names.*missing: 0\.weight; not in the model: 2\.weight/,
    );
    const shaped = { ...own(), "1.running_var": wrong };
    expect(() => loadStateDict(target, shaped)).toThrow('state_dict "1.running_var": expected dimensions [2], got [3]');
    expect(() => loadStateDict(target, { ...own(), "0.bias": Tensor.int64([2], [1, 2]) })).toThrow(InputError);
    expect(stateDict(target)).toEqual(before);
  });
});

describe("refuses", () => {
  it.each([
    ["features", sequential(linear(4, 3), linear(4, 3)), ["N", 4], "1: expected 4 features in the last dimension"],
    ["channels", sequential(conv2d(3, 4, 3)), ["N", 1, 8, 8], "0: expected [N, 3, H, W], got [N, 1, 8, 8]"],
    ["ranks", sequential(conv2d(3, 4, 3)), ["N", 3, 8], "0: expected [N, 3, H, W], got [N, 3, 8]"],
    ["images that are too small", sequential(maxPool2d(4)), ["N", 1, 3, 8], "at least as large as the window"],
    ["bodies of another shape", residual(linear(4, 3)), ["N", 4], "expected a body that keeps [N, 4], got [N, 3]"],
    ["heads that do not divide", (s, x) => multiheadAttention(6, 4)(s, x), ["T", "N", 6], "a multiple of 4 heads"],
    ["float indices", embedding(4, 4), ["N", 4], "expected int64 indices, got float32"],
    ["groups that do not divide", conv2d(4, 4, 3, { groups: 3 }), ["N", 4, 8, 8], "multiples of 3 groups"],
    [
      "strides with same",
      conv2d(4, 4, 3, { stride: 2, padding: "same" }),
      ["N", 4, 8, 8],
      'stride 1 with padding "same"',
    ],
    ["ratios", dropout(1), ["N", 4], "a share from 0 to below 1, got 1"],
  ] as const satisfies readonly (readonly [string, Module, readonly (string | number)[], string])[])(
    "%s",
    (_name, module, dims, text) => {
      const make = () => buildModel(module, { input: { name: "x", dims } });
      expect(make).toThrow(GraphError);
      expect(make).toThrow(text);
    },
  );

  it("grids over images of unknown size, old opsets and names that are taken", () => {
    const dynamic = { input: { name: "x", dims: ["N", 3, "H", "W"] } };
    expect(() => buildModel(adaptiveAvgPool2d(2), dynamic)).toThrow(/multiple of 2×2, got \[N, 3, H, W\]/);
    expect(() => buildModel(relu(), { input: INPUT, opset: 13 })).toThrow(OptionError);
    expect(() => buildModel(relu(), { input: INPUT, output: "x" })).toThrow(/a name that no other value has/);
    expect(() => buildModel(relu(), { input: INPUT, output: ["a", "b"] })).toThrow(/expected 1 names/);
  });
});

describe("models have as many parameters as the literature says", () => {
  const count = (module: Module, dims: readonly (number | string)[]): number =>
    parametersOf(buildModel(module, { input: { name: "x", dims } })).reduce(
      (sum, { initializer }) => sum + initializer!.size,
      0,
    );
  it.each([
    ["LeNet-300-100", lenet300(), ["N", 784], 266_610],
    ["LeNet-300-100 on images", lenet300(), ["N", 1, 28, 28], 266_610],
    ["LeNet-5", lenet5(), ["N", 1, 28, 28], 431_080],
    // He et al. 2015, table 6: 0.27 M
    ["ResNet-20", resnet20(), ["N", 3, 32, 32], 269_722],
    ["ResNet-20 on 28×28", resnet20({ channels: 1 }), ["N", 1, 28, 28], 269_434],
  ] as const satisfies readonly (readonly [string, Module, readonly (string | number)[], number])[])(
    "%s",
    (_name, module, dims, wanted) => {
      expect(count(module, dims)).toBe(wanted);
    },
  );

  it("MobileNetV2 keeps to multiples of 8 and ends in its classes", () => {
    const model = buildModel(mobilenetV2({ width: 0.35 }), { input: { name: "x", dims: ["N", 3, 32, 32] } });
    expect(model.graph.outputs[0]!.shape).toEqual(["N", 10]);
    for (const [name, { dims }] of Object.entries(stateDict(model))) {
      if (name.startsWith("features") && dims.length === 4) expect(dims[0]! % 8, name).toBe(0);
    }
  });

  it("flatten joins what it knows", () => {
    expect(buildModel(flatten(), { input: { name: "x", dims: ["N", 2, 3] } }).graph.outputs[0]!.shape).toEqual([
      "N",
      6,
    ]);
  });
});
