/**
 * @file Small models, each with one peculiarity that quantizers meet, and what each scheme has to make of it.
 */

export interface QuantizeModel {
  readonly name: string;
  readonly graph: string;
  /** Options for all schemes, beside `minElements: 1`. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Integer nodes of dynamic-int8. */
  readonly dynamic: Readonly<Record<string, number>>;
  /** What ONNX Runtime fuses static-int8's nodes to: integer kernels, and what is left of Conv, MatMul and Gemm. */
  readonly static: Readonly<Record<string, number>>;
  /** Nodes that stay in float, and a part of the reason; by scheme where they differ. */
  readonly dynamicReasons?: Readonly<Record<string, string>>;
  readonly staticReasons?: Readonly<Record<string, string>>;
  /** A bool input that is run both ways. */
  readonly switch?: string;
}

/** y = alpha · x · B + beta · C for each kind of C; K = 32, N = 24, M = 8. */
function gemm(
  name: string,
  attributes: string,
  c: string,
  use: string,
  more: Partial<QuantizeModel> = {},
): QuantizeModel {
  const transposed = attributes.includes("transB");
  const b = transposed ? "float[24, 32] w = random(1)" : "float[32, 24] w = random(1)";
  const [input, initializer] = c.startsWith("input ") ? [`, ${c.slice(6)}`, ""] : ["", c && `, ${c}`];
  return {
    name: `Gemm ${name}`,
    graph: `(float[8, 32] x${input}) => (float[8, 24] y) <${b}${initializer}> { y = Gemm ${attributes} (x, w${use}) }`,
    dynamic: { DynamicQuantizeLinear: 1, MatMulInteger: 1 },
    static: { QGemm: 1 },
    ...more,
  };
}

/** A convolution of [2, 8, 11, 9] with a 3×3 weight of 12 channels. */
function conv(
  name: string,
  attributes: string,
  more: Partial<QuantizeModel> & { w?: string; use?: string } = {},
): QuantizeModel {
  const { w = "float[12, 8, 3, 3] w = random(1), float[12] b = random(2)", use = ", b", ...rest } = more;
  return {
    name: `Conv ${name}`,
    graph: `(float[2, 8, 11, 9] x) => (float[n, c, h, v] y) <${w}> { y = Conv ${attributes} (x, w${use}) }`,
    dynamic: { DynamicQuantizeLinear: 1, ConvInteger: 1 },
    static: { QLinearConv: 1 },
    ...rest,
  };
}

export const MATRIX_MODELS: readonly QuantizeModel[] = [
  {
    name: "MatMul",
    graph: "(float[8, 32] x) => (float[8, 24] y) <float[32, 24] w = random(1)> { y = MatMul(x, w) }",
    dynamic: { DynamicQuantizeLinear: 1, MatMulInteger: 1 },
    static: { MatMulIntegerToFloat: 1 },
  },
  {
    name: "MatMul of rank 3",
    graph: "(float[2, 5, 32] x) => (float[2, 5, 24] y) <float[32, 24] w = random(1)> { y = MatMul(x, w) }",
    dynamic: { DynamicQuantizeLinear: 1, MatMulInteger: 1 },
    static: { MatMulIntegerToFloat: 1 },
  },
  {
    name: "MatMul of a vector",
    graph: "(float[32] x) => (float[24] y) <float[32, 24] w = random(1)> { y = MatMul(x, w) }",
    dynamic: { DynamicQuantizeLinear: 1, MatMulInteger: 1 },
    static: { MatMulIntegerToFloat: 1 },
  },
  {
    name: "MatMul with a bias behind it",
    graph:
      "(float[8, 32] x) => (float[8, 24] y) <float[32, 24] w = random(1), float[24] b = random(2)> { a = MatMul(x, w)  y = Add(a, b) }",
    dynamic: { DynamicQuantizeLinear: 1, MatMulInteger: 1 },
    static: { QGemm: 1 },
  },
  {
    name: "MatMul of rank 3 with a bias before it",
    graph:
      "(float[2, 5, 32] x) => (float[2, 5, 24] y) <float[32, 24] w = random(1), float[1, 24] b = random(2)> { a = MatMul(x, w)  y = Add(b, a) }",
    dynamic: { DynamicQuantizeLinear: 1, MatMulInteger: 1 },
    static: { MatMulIntegerToFloat: 1 },
  },
  {
    name: "MatMul of rank 3 with dynamic dimensions and a bias",
    graph:
      "(float[n, s, 32] x) => (float[n, s, 24] y) <float[32, 24] w = random(1), float[24] b = random(2)> { a = MatMul(x, w)  y = Add(a, b) }",
    dynamic: { DynamicQuantizeLinear: 1, MatMulInteger: 1 },
    static: { MatMulIntegerToFloat: 1 },
  },
  {
    name: "MatMul with a residual behind it",
    graph:
      "(float[8, 32] x, float[8, 24] z) => (float[8, 24] y) <float[32, 24] w = random(1)> { a = MatMul(x, w)  y = Add(a, z) }",
    dynamic: { DynamicQuantizeLinear: 1, MatMulInteger: 1 },
    static: { QGemm: 1 },
  },
  {
    name: "MatMul with a scalar and with a column behind it",
    graph: `(float[24, 32] x) => (float[24, 24] y, float[24, 24] u) <float[32, 24] w = random(1), float s = {0.7}, float[32, 24] v = random(2), float[24, 1] c = random(3)>
      { a = MatMul(x, w)  y = Add(a, s)  b = MatMul(x, v)  u = Add(b, c) }`,
    dynamic: { DynamicQuantizeLinear: 1, MatMulInteger: 2 },
    static: { QGemm: 2 },
  },
  gemm("without C", "", "", ""),
  gemm("C [N]", "", "float[24] c = random(2)", ", c"),
  gemm("C [1, N]", "", "float[1, 24] c = random(2)", ", c"),
  gemm("C scalar", "", "float c = {0.7}", ", c"),
  gemm("C [M, N]", "", "float[8, 24] c = random(2)", ", c"),
  gemm("C [M, 1]", "", "float[8, 1] c = random(2)", ", c"),
  gemm("C not constant", "<beta = 2.0>", "input float[8, 24] c", ", c"),
  gemm("transB", "<transB = 1>", "float[24] c = random(2)", ", c"),
  gemm("alpha and beta", "<alpha = 0.25, beta = -3.0>", "float[24] c = random(2)", ", c"),
  gemm("transB, alpha, beta, C [1, N]", "<transB = 1, alpha = -2.0, beta = 0.5>", "float[1, 24] c = random(2)", ", c"),
  gemm("beta 0", "<beta = 0.0>", "float[24] c = random(2)", ", c"),
  gemm("alpha without C", "<alpha = 3.0>", "", ""),
  {
    // [N, 1] has as many numbers as there are channels, and is a column all the same.
    name: "Gemm square, C a column",
    graph:
      "(float[24, 32] x) => (float[24, 24] y) <float[32, 24] w = random(1), float[24, 1] c = random(2)> { y = Gemm(x, w, c) }",
    dynamic: { DynamicQuantizeLinear: 1, MatMulInteger: 1 },
    static: { QGemm: 1 },
  },
  {
    name: "one input, two MatMuls",
    graph:
      "(float[8, 32] x) => (float[8, 24] y) <float[32, 24] w = random(1), float[32, 24] v = random(2)> { a = MatMul(x, w)  b = MatMul(x, v)  y = Add(a, b) }",
    dynamic: { DynamicQuantizeLinear: 1, MatMulInteger: 2 },
    static: { QGemm: 2 },
  },
  {
    name: "one weight, two MatMuls",
    graph:
      "(float[8, 32] x, float[4, 32] z) => (float[8, 32] y, float[4, 32] u) <float[32, 32] w = random(1)> { y = MatMul(x, w)  u = MatMul(z, w) }",
    dynamic: { DynamicQuantizeLinear: 2, MatMulInteger: 2 },
    static: { MatMulIntegerToFloat: 2 },
  },
  {
    name: "one weight, MatMul and Gemm with alpha",
    graph:
      "(float[8, 32] x) => (float[8, 32] y, float[8, 32] u) <float[32, 32] w = random(1)> { y = MatMul(x, w)  u = Gemm <alpha = 0.5, transB = 1> (x, w) }",
    dynamic: { DynamicQuantizeLinear: 1, MatMulInteger: 2 },
    static: { MatMulIntegerToFloat: 1, QGemm: 1 },
  },
];

export const CONV_MODELS: readonly QuantizeModel[] = [
  conv("with bias", ""),
  conv("without bias", "", { w: "float[12, 8, 3, 3] w = random(1)", use: "" }),
  conv("with groups", "<group = 2>", { w: "float[12, 4, 3, 3] w = random(1), float[12] b = random(2)" }),
  conv("with strides", "<strides = [2, 3]>"),
  conv("with dilations", "<dilations = [2, 1]>"),
  conv("with uneven pads", "<pads = [0, 1, 2, 1]>"),
  conv("auto_pad SAME_UPPER", '<auto_pad = "SAME_UPPER", strides = [2, 2]>'),
  conv("auto_pad SAME_LOWER", '<auto_pad = "SAME_LOWER">'),
  conv("auto_pad VALID", '<auto_pad = "VALID", kernel_shape = [3, 3]>'),
  conv("pointwise", "", { w: "float[12, 8, 1, 1] w = random(1), float[12] b = random(2)" }),
  {
    name: "Conv in one dimension",
    graph:
      "(float[2, 8, 30] x) => (float[2, 12, 28] y) <float[12, 8, 3] w = random(1), float[12] b = random(2)> { y = Conv(x, w, b) }",
    dynamic: {},
    dynamicReasons: { y: "two dimensions only" },
    static: { QLinearConv: 1 },
  },
  {
    name: "Conv in three dimensions",
    graph:
      "(float[1, 4, 6, 6, 6] x) => (float[1, 8, 4, 4, 4] y) <float[8, 4, 3, 3, 3] w = random(1)> { y = Conv(x, w) }",
    dynamic: {},
    dynamicReasons: { y: "two dimensions only" },
    static: { QLinearConv: 1 },
  },
  {
    name: "depthwise",
    graph:
      "(float[2, 8, 11, 9] x) => (float[2, 8, 9, 7] y) <float[8, 1, 3, 3] w = random(1)> { y = Conv <group = 8> (x, w) }",
    dynamic: {},
    dynamicReasons: { y: "as fast as float32" },
    static: { Conv: 1 },
    staticReasons: { y: "as fast as float32" },
  },
  {
    name: "depthwise, forced",
    graph:
      "(float[2, 8, 11, 9] x) => (float[2, 8, 9, 7] y) <float[8, 1, 3, 3] w = random(1)> { y = Conv <group = 8> (x, w) }",
    options: { force: true },
    dynamic: { DynamicQuantizeLinear: 1, ConvInteger: 1 },
    static: { QLinearConv: 1 },
  },
  {
    name: "Conv, Relu, Conv",
    graph: `(float[2, 8, 11, 9] x) => (float[2, 8, 7, 5] y) <float[12, 8, 3, 3] w = random(1), float[12] b = random(2), float[8, 12, 3, 3] v = random(3)>
      { a = Conv(x, w, b)  r = Relu(a)  y = Conv(r, v) }`,
    dynamic: { DynamicQuantizeLinear: 2, ConvInteger: 2 },
    static: { QLinearConv: 2 },
  },
  {
    name: "one input, two Convs",
    graph: `(float[2, 8, 11, 9] x) => (float[2, 12, 9, 7] y) <float[12, 8, 3, 3] w = random(1), float[12, 8, 3, 3] v = random(3)>
      { a = Conv(x, w)  b = Conv(x, v)  y = Mul(a, b) }`,
    dynamic: { DynamicQuantizeLinear: 1, ConvInteger: 2 },
    static: { QLinearConv: 2 },
  },
  {
    name: "a Conv's output used twice",
    graph: `(float[2, 8, 11, 9] x) => (float[2, 12, 9, 7] y) <float[12, 8, 3, 3] w = random(1)>
      { a = Conv(x, w)  r = Relu(a)  s = Sigmoid(a)  y = Mul(r, s) }`,
    dynamic: { DynamicQuantizeLinear: 1, ConvInteger: 1 },
    static: { QLinearConv: 1 },
  },
  {
    name: "a Conv's output that is an output and goes on",
    graph: `(float[2, 8, 11, 9] x) => (float[2, 12, 9, 7] a, float[2, 8, 7, 5] y) <float[12, 8, 3, 3] w = random(1), float[8, 12, 3, 3] v = random(3)>
      { a = Conv(x, w)  r = Relu(a)  y = Conv(r, v) }`,
    dynamic: { DynamicQuantizeLinear: 2, ConvInteger: 2 },
    static: { QLinearConv: 2 },
  },
  {
    name: "residual add",
    graph: `(float[2, 8, 11, 9] x) => (float[2, 8, 11, 9] y) <float[8, 8, 3, 3] w = random(1), float[8, 8, 3, 3] v = random(2), float[8] b = random(3)>
      { a = Conv <pads = [1, 1, 1, 1]> (x, w, b)  r = Relu(a)  c = Conv <pads = [1, 1, 1, 1]> (r, v)  s = Add(c, x)  y = Relu(s) }`,
    dynamic: { DynamicQuantizeLinear: 2, ConvInteger: 2 },
    static: { QLinearConv: 2 },
  },
  {
    name: "one weight, two Convs with biases",
    graph: `(float[2, 8, 11, 9] x) => (float[2, 8, 7, 5] y) <float[8, 8, 3, 3] w = random(1), float[8] b = random(2), float[8] c = random(3)>
      { a = Conv(x, w, b)  r = Relu(a)  y = Conv(r, w, c) }`,
    dynamic: { DynamicQuantizeLinear: 2, ConvInteger: 2 },
    static: { QLinearConv: 2 },
  },
];

export const SUBGRAPH_MODELS: readonly QuantizeModel[] = [
  {
    name: "weights in branches, and an outer one in a branch",
    graph: `(bool k, float[8, 32] x) => (float[8, 32] y) <float[32, 32] w = random(1)> {
      o = MatMul(x, w)
      y = If (k) <
        then_branch = t () => (float[8, 32] p) <float[32, 32] v = random(2)> { a = MatMul(o, v)  c = MatMul(o, w)  p = Add(a, c) },
        else_branch = e () => (float[8, 32] q) <float[32, 32] u = random(3)> { q = MatMul(x, u) }
      >
    }`,
    switch: "k",
    dynamic: { MatMulInteger: 4, DynamicQuantizeLinear: 3 },
    static: { MatMulIntegerToFloat: 1, MatMul: 2, Gemm: 1 },
    staticReasons: { a: "in a subgraph", c: "in a subgraph", q: "in a subgraph" },
  },
  {
    // ONNX lets two branches have values of one name.
    name: "two weights of one name in two branches",
    graph: `(bool k, float[8, 32] x) => (float[8, 32] y) {
      y = If (k) <
        then_branch = t () => (float[8, 32] p) <float[32, 32] w = random(2)> { p = MatMul(x, w) },
        else_branch = e () => (float[8, 32] p) <float[32, 32] w = random(3)> { p = MatMul(x, w) }
      >
    }`,
    switch: "k",
    dynamic: { MatMulInteger: 2, DynamicQuantizeLinear: 2 },
    static: { MatMul: 2 },
    staticReasons: { p: "in a subgraph" },
  },
];
