/**
 * @file Which layers would saturate on x86 processors without VNNI, seen on the calibration data, and what is done about it.
 *
 * While the ranges of activations are observed, some rows of them are kept. Once the ranges are known, the codes of rows
 * and weights are multiplied as those processors do it, and exactly. Under `auto`, the weights of a layer that loses by it
 * get the scales of safe-scales.ts.
 */
import type { Value } from "../../graph/value.ts";
import type { TargetName } from "../../runtime/targets.ts";
import type { SaturationFinding } from "../../step/step.ts";
import { quantize } from "../affine.ts";
import type { Candidate } from "../candidates.ts";
import { groupView } from "../granularity.ts";
import type { CodeDType } from "../qparams.ts";
import { inKernelOrder, type KernelLayout, kernelLayout } from "../rows/layout.ts";
import type { SampledRows } from "../rows/sampled-rows.ts";
import type { Row } from "../rows/sampler.ts";
import type { QuantizedWeight } from "../weight.ts";
import { type RangeMode, saturatesSomewhere } from "./mode.ts";
import { canSaturate, type Saturation, type ScaledProduct, saturationOf } from "./product.ts";
import { safeScales } from "./safe-scales.ts";

/** Noise of saturation that is this far under the noise of rounding the weights changes nothing (dB). */
const MARGIN = 20;

/** Products per layer: enough for a million pairs in a few hundredths of a second. */
const MAX_PRODUCTS = 2 ** 25;
const MIN_ROWS = 8;

/** A layer as it was prepared. */
export interface CheckedLayer {
  readonly candidate: Candidate;
  /** Its weight in 8 bits. */
  readonly weight: QuantizedWeight;
  readonly settings: { readonly reduceRange: RangeMode; readonly activations: CodeDType; readonly weights: CodeDType };
}

/** Scale and zero point of a layer's activations. */
interface Codes {
  readonly scale: number;
  readonly zeroPoint: number;
  readonly dtype: CodeDType;
}

export interface SaturationDecision {
  /** Least weight scales, one per channel, of the layers that need them. */
  readonly minScales: ReadonlyMap<Candidate, Float32Array>;
  readonly findings: readonly SaturationFinding[];
}

export class SaturationCheck {
  readonly #rows: SampledRows;
  readonly #watched: Set<Candidate> = new Set();
  readonly #examined: Map<Candidate, { readonly x: Codes; readonly found: Saturation | undefined }> = new Map();

  /** Has rows sampled of the layers that could saturate on one of the targets. */
  constructor(layers: Iterable<CheckedLayer>, targets: readonly TargetName[], rows: SampledRows) {
    this.#rows = rows;
    for (const { candidate, settings } of saturatesSomewhere(targets) ? layers : []) {
      // ONNX Runtime makes int8 activations uint8 ones on x86 (QDQS8ToU8Transformer).
      const bytes = settings.activations === "uint8" || settings.activations === "int8";
      if (!bytes || settings.weights !== "int8" || settings.reduceRange === "on") continue;
      if (rows.watch(candidate)) this.#watched.add(candidate);
    }
  }

  /** Once the codes of activations are known; layers whose activations have none are passed over. */
  decide(layers: readonly CheckedLayer[], codes: ReadonlyMap<Value, Codes>): SaturationDecision {
    const findings: SaturationFinding[] = [];
    const reduce = new Set<Value>();
    for (const layer of layers) {
      const { node, weight, x } = layer.candidate;
      const found = this.#examine(layer, codes.get(x));
      if (found === undefined) continue;
      // Where no activations were seen, nothing says that they are harmless.
      const harms = found.pairs === 0 || found.sqnr < layer.weight.sqnr + MARGIN;
      const reduced = layer.settings.reduceRange === "auto" && harms;
      if (reduced) reduce.add(weight);
      findings.push({ subject: node.label, opType: node.opType, ...found, reduced });
    }
    // Tied weights stay tied: all users of one or none.
    const minScales = new Map<Candidate, Float32Array>();
    for (const { candidate } of layers) {
      const scales = reduce.has(candidate.weight) ? safeScalesOf(candidate) : undefined;
      if (scales !== undefined) minScales.set(candidate, scales);
    }
    return { minScales, findings };
  }

  /** Once for the same codes: plans are made anew when a layer falls out. */
  #examine(layer: CheckedLayer, x: Codes | undefined): Saturation | undefined {
    const { candidate } = layer;
    const rows = this.#watched.has(candidate) ? this.#rows.of(candidate) : undefined;
    if (rows === undefined || x === undefined) return undefined;
    const known = this.#examined.get(candidate);
    if (known?.x.scale === x.scale && known.x.zeroPoint === x.zeroPoint) return known.found;
    const found = examine(layer, x, rows);
    this.#examined.set(candidate, { x, found });
    return found;
  }
}

/** Least scales with which no pair of the candidate's weights saturates; undefined where its kernel never does. */
export function safeScalesOf(candidate: Candidate): Float32Array | undefined {
  const layout = kernelLayout(candidate);
  if (layout === undefined) return undefined;
  const factor = candidate.kind === "gemm" ? Math.abs(candidate.node.float("alpha", 1)) : 1;
  const weights = inKernelOrder(candidate.weight.constant!.floats(), layout);
  const scales = safeScales(weights, layout.n, layout.k);
  return factor === 1 ? scales : scales.map((scale) => scale * factor);
}

/** Undefined where no activations can make the layer saturate. Without rows, no pairs. */
function examine({ candidate, weight }: CheckedLayer, codesOfX: Codes, rows: readonly Row[]): Saturation | undefined {
  const layout = kernelLayout(candidate)!;
  const bytes = weight.codes.bytes();
  const codes = inKernelOrder(new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length), layout);
  if (!canSaturate(codes, layout.k)) return undefined;
  const { k, groups } = layout;
  const { scale } = weight.qparams;
  const zeroPoint = codesOfX.zeroPoint + (codesOfX.dtype === "int8" ? 128 : 0);
  const perGroup = layout.n / groups;
  const columns = chooseColumns(perGroup, rows.length, layout);
  const count = Math.max(MIN_ROWS, Math.floor(MAX_PRODUCTS / (columns.length * k)));
  const products: ScaledProduct[] = [];
  for (let group = 0; group < groups; group++) {
    const own = rows.slice(0, count).filter((row) => row.group === group);
    if (own.length === 0) continue;
    const x = new Uint8Array(own.length * k);
    for (const [index, row] of own.entries()) x.set(unsignedCodes(row.values, codesOfX), index * k);
    const w = new Int8Array(columns.length * k);
    const scales = new Float32Array(columns.length);
    for (const [index, column] of columns.entries()) {
      const n = group * perGroup + column;
      w.set(codes.subarray(n * k, (n + 1) * k), index * k);
      scales[index] = scale.length === 1 ? scale[0]! : scale[n]!;
    }
    products.push({ x, w, rows: own.length, k, n: columns.length, zeroPoint, scale: scales });
  }
  return saturationOf(products);
}

/** All output channels of a group, or as many, evenly spread, as the bound on products allows. */
function chooseColumns(perGroup: number, rows: number, { k }: KernelLayout): number[] {
  const most = Math.max(1, Math.floor(MAX_PRODUCTS / (Math.min(rows, MIN_ROWS) * k)));
  const count = Math.min(perGroup, most);
  return Array.from({ length: count }, (_, index) => Math.floor((index * perGroup) / count));
}

/** Activations as uint8 codes. */
function unsignedCodes(values: Float32Array, { scale, zeroPoint, dtype }: Codes): Uint8Array {
  const granularity = { kind: "per-tensor" } as const;
  const view = groupView([values.length], granularity, "activation");
  const parameters = { scale: Float32Array.of(scale), zeroPoint: Int32Array.of(zeroPoint) };
  const codes = quantize(values, view, { ...parameters, dtype, granularity });
  // int8 codes: 128 more, which as bytes is a flip of the sign bit.
  return dtype === "int8" ? Uint8Array.from(codes, (code) => code + 128) : (codes as Uint8Array);
}
