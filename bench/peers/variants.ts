/**
 * @file Who quantizes how: Tersor with its defaults, onnxruntime.quantization with its defaults and with the best settings known.
 */

export interface Variant {
  readonly name: string;
  readonly by: "tersor" | "peer";
  /** What it is compared with: static with static. "stored": weights in 8 bits, float mathematics; the peer has no such thing. */
  readonly family: "dynamic" | "static" | "stored";
  /** Settings that need no knowledge of the model. */
  readonly defaults: boolean;
  /** Tersor: the scheme. Peer: what quantize.py takes. */
  readonly settings: Readonly<Record<string, unknown>>;
}

const tersor = (scheme: string, family: Variant["family"]): Variant => ({
  name: `tersor ${scheme}`,
  by: "tersor",
  family,
  defaults: true,
  settings: { scheme },
});

const peer = (
  name: string,
  kind: "dynamic" | "static",
  prepare: boolean,
  options: Readonly<Record<string, unknown>> = {},
): Variant => ({
  name: `ort ${name}`,
  by: "peer",
  family: kind,
  defaults: Object.keys(options).length === 0,
  settings: { kind, prepare, options },
});

const OPS = { op_types_to_quantize: ["Conv", "MatMul", "Gemm"], per_channel: true, exclude_depthwise: true } as const;
/** What its documentation names for x86 with VNNI. */
const TYPES = { activation_type: "uint8", weight_type: "int8" } as const;

export const VARIANTS: readonly Variant[] = [
  tersor("dynamic-int8", "dynamic"),
  peer("dynamic, as is", "dynamic", false),
  peer("dynamic, prepared", "dynamic", true),
  peer("dynamic, MatMul", "dynamic", true, { op_types_to_quantize: ["MatMul", "Gemm"], per_channel: true }),
  peer("dynamic, best", "dynamic", true, { ...OPS, weight_type: "uint8" }),
  tersor("static-int8", "static"),
  peer("static, as is", "static", false),
  peer("static, prepared", "static", true),
  peer("static, best", "static", true, { ...OPS, ...TYPES }),
  peer("static, best, s8s8", "static", true, { ...OPS }),
  peer("static, best, Entropy", "static", true, { ...OPS, ...TYPES, calibrate_method: "Entropy", pad: true }),
  peer("static, best, Percentile", "static", true, { ...OPS, ...TYPES, calibrate_method: "Percentile", pad: true }),
  tersor("weight-int8", "stored"),
];
