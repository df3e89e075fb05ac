/**
 * @file The targets: which runtime a file is meant for, and what is known about it.
 */
import type { SpeedFact } from "./speed.ts";
import { SPEED_FACTS } from "./speed-facts.ts";

export const TARGET_NAMES = ["node-cpu", "web-wasm", "web-webgpu", "tensorrt", "openvino"] as const;

export type TargetName = (typeof TARGET_NAMES)[number];

export interface Target {
  readonly name: TargetName;
  /** What people call it. */
  readonly title: string;
  /** The adapter that runs it in this process; undefined: it needs a browser, or is not run here. */
  readonly runtime: "onnxruntime-node" | "onnxruntime-web" | undefined;
  /** Why no machine of ours runs it. */
  readonly notRunHere?: string;
}

export const TARGETS: Readonly<Record<TargetName, Target>> = {
  "node-cpu": { name: "node-cpu", title: "onnxruntime-node, CPU", runtime: "onnxruntime-node" },
  "web-wasm": { name: "web-wasm", title: "onnxruntime-web, WASM", runtime: "onnxruntime-web" },
  "web-webgpu": {
    name: "web-webgpu",
    title: "onnxruntime-web, WebGPU",
    runtime: undefined,
  },
  tensorrt: {
    name: "tensorrt",
    title: "TensorRT",
    runtime: undefined,
    notRunHere: "no JavaScript runtime has TensorRT; the file was checked against its rules only",
  },
  openvino: {
    name: "openvino",
    title: "OpenVINO",
    runtime: undefined,
    notRunHere: "no JavaScript runtime has OpenVINO; the file was checked against its rules only",
  },
};

/** The targets whose speed decides where nothing is asked for. */
export const DEFAULT_TARGETS: readonly TargetName[] = ["node-cpu", "web-wasm"];

/** How a speed fact's size is called in a sentence. */
const SIZES: readonly { readonly of: RegExp; readonly unit: (size: number) => string }[] = [
  { of: /matmul$/, unit: (size) => `with ${size} row${size === 1 ? "" : "s"}` },
  { of: /conv$/, unit: (size) => `with ${size} products per output` },
];

/**
 * Why a pattern should stay in float on a target: it was measured to run slower than float32 there. Undefined: it runs
 * at least as fast, or nothing is known.
 * @param size What the pattern's ratios depend on ({@link SpeedFact}); undefined where it is not known: then the largest
 * that was measured counts.
 */
export function slowerOn(target: TargetName, pattern: SpeedFact["pattern"], size?: number): string | undefined {
  const facts = SPEED_FACTS.filter((fact) => fact.target === target && fact.pattern === pattern);
  if (facts.length === 0) return undefined;
  const ratio = size === undefined ? facts.at(-1)!.ratio : interpolate(facts, size);
  if (ratio >= 0.95) return undefined;
  const unit = SIZES.find(({ of }) => of.test(pattern))?.unit;
  const at = size === undefined || facts.length === 1 || unit === undefined ? "" : ` ${unit(size)}`;
  return `${target} runs it ${formatRatio(ratio)} as fast as float32${at}`;
}

function formatRatio(ratio: number): string {
  return `${ratio.toFixed(2)}×`;
}

/** Between measured sizes, linear in their logarithm. */
function interpolate(facts: readonly SpeedFact[], size: number): number {
  const points = facts.map((fact) => ({ x: Math.log(fact.size ?? 1), y: fact.ratio }));
  const x = Math.log(Math.max(size, 1));
  const right = points.findIndex((point) => point.x >= x);
  if (right < 0) return points.at(-1)!.y;
  if (right === 0) return points[0]!.y;
  const [a, b] = [points[right - 1]!, points[right]!];
  return a.y + ((b.y - a.y) * (x - a.x)) / (b.x - a.x);
}
