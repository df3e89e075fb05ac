/**
 * @file Who calibrates how in bench/peers/static.ts: Tersor, onnxruntime.quantization and NNCF, each with its defaults and with
 * the best settings known for it.
 *
 * The best of onnxruntime.quantization, per its documentation and FACTS: pre-processing, Conv, MatMul and Gemm only, weights
 * per channel, the same nodes in float as in Tersor's file (of which depthwise convolutions are the most), each calibrator, and
 * for processors without VNNI weights in 7 bits (reduce_range) or unsigned ones.
 */

export interface StaticVariant {
  readonly name: string;
  readonly by: "tersor" | "onnxruntime" | "nncf";
  /** Settings that need no knowledge of the model. */
  readonly defaults: boolean;
  /** Gets the names of the nodes that Tersor's default left in float. */
  readonly sameExclusions: boolean;
  readonly options: Readonly<Record<string, unknown>>;
  /** Tasks that it is of use for; default: all. */
  readonly tasks?: readonly string[];
}

/** Tersor's own; the first is what the others are compared with, and whose exclusions they get. */
export const TERSOR: readonly StaticVariant[] = [tersor("tersor static-int8", {})];

export function tersor(name: string, step: Readonly<Record<string, unknown>>): StaticVariant {
  return { name, by: "tersor", defaults: Object.keys(step).length === 0, sameExclusions: false, options: step };
}

const ort = (name: string, options: Readonly<Record<string, unknown>>, sameExclusions = true): StaticVariant => ({
  name: `ort ${name}`,
  by: "onnxruntime",
  defaults: Object.keys(options).length === 0,
  sameExclusions,
  options,
});

const nncf = (name: string, options: Readonly<Record<string, unknown>>, sameExclusions = false): StaticVariant => ({
  name: `nncf${name}`,
  by: "nncf",
  defaults: Object.keys(options).length === 0 && !sameExclusions,
  sameExclusions,
  options,
});

const BEST = { op_types_to_quantize: ["Conv", "MatMul", "Gemm"], per_channel: true } as const;
/** What its documentation names for x86. */
const U8S8 = { activation_type: "uint8", weight_type: "int8" } as const;
const U8U8 = { activation_type: "uint8", weight_type: "uint8" } as const;
const SEVEN = { reduce_range: true } as const;

const CALIBRATORS = {
  MinMax: {},
  // One sample at a time: fed as its documentation shows they hold all values (8 GB for recognition) and want equal shapes.
  Entropy: { calibrate_method: "Entropy", one_by_one: true },
  Percentile: { calibrate_method: "Percentile", one_by_one: true },
} as const;

export const PEERS: readonly StaticVariant[] = [
  ort("defaults", {}, false),
  ort("all ops, per channel, 7 bits", { per_channel: true, ...U8S8, ...SEVEN }, false),
  ...Object.entries(CALIBRATORS).flatMap(([name, options]) => [
    ort(name, { ...BEST, ...U8S8, ...options }),
    ort(`${name}, 7 bits`, { ...BEST, ...U8S8, ...SEVEN, ...options }),
  ]),
  ort("MinMax, u8u8", { ...BEST, ...U8U8 }),
  // Nodes that Tersor stores in 8 bits but computes in float, because they would be slower, are large in a peer's file
  // with the same exclusions: these two quantize everything but depthwise convolutions.
  ort("MinMax, all but depthwise, 7 bits", { ...BEST, ...U8S8, ...SEVEN, exclude_depthwise: true }, false),
  ort(
    "Percentile, all but depthwise, 7 bits",
    { ...BEST, ...U8S8, ...SEVEN, exclude_depthwise: true, ...CALIBRATORS.Percentile },
    false,
  ),
  nncf("", {}),
  nncf(", mixed, full bias correction", { mixed: true, full_bias_correction: true }),
  nncf(", mixed, exclusions", { mixed: true }, true),
  nncf(", mixed, exclusions, 7 bits", { mixed: true, seven_bits: true }, true),
  nncf(", mixed, exclusions, 7 bits, full", { mixed: true, seven_bits: true, full_bias_correction: true }, true),
  // Bring SmoothQuant.
  ...[false, true].map((exclusions) => ({
    ...nncf(
      `, transformer${exclusions ? ", exclusions, 7 bits" : ""}`,
      { mixed: true, transformer: true, seven_bits: exclusions },
      exclusions,
    ),
    tasks: ["recognition", "transformer"],
  })),
];
