/**
 * @file What a verification of files on one target needs and gives: plain data, so that it can cross processes.
 */
import type { LoadSpec } from "../data/load-spec.ts";
import type { OutputComparison } from "../measure/compare.ts";
import type { Interval, SpeedVerdict } from "../measure/interval.ts";
import type { MetricResult, MetricSpec } from "../measure/meter.ts";
import type { RuleCheck } from "../quantize/placement/rules.ts";
import type { BrowserSpec } from "../runtime/browser/chromium.ts";
import type { Host, NodePlacement } from "../runtime/runtime.ts";
import type { TargetName } from "../runtime/targets.ts";

/** Where samples come from: a path for the data loaders, or generated values for these shapes. */
export type DataSpec =
  | {
      readonly kind: "path";
      readonly path: string;
      readonly limit?: number;
      /** Samples that calibration has seen: passed over where at least ten others follow. Default 0. */
      readonly skip?: number;
      /** How the data are read: preprocessing, tokenizer, batches, order. */
      readonly options?: LoadSpec;
    }
  | {
      readonly kind: "generated";
      readonly shapes?: Readonly<Record<string, readonly number[]>>;
      readonly dims?: Readonly<Record<string, number>>;
      readonly count: number;
    };

export interface JobFile {
  readonly name: string;
  readonly path: string;
  /** Session configuration that the file needs. */
  readonly config?: Readonly<Record<string, string>>;
}

/** Compares files on one target; the first is the original. */
export interface VerifyJob {
  readonly target: TargetName;
  readonly files: readonly JobFile[];
  readonly data: DataSpec;
  /** Threads within an operator. */
  readonly threads: number;
  /** Milliseconds for the timed rounds. */
  readonly budgetMs: number;
  readonly seed: number;
  /** The browser for `web-webgpu`, and for `web-wasm`, which otherwise runs in Node. Default: the first that is found. */
  readonly browser?: BrowserSpec;
  /** Report an original that does not load or run like any other file, and compare nothing. Default: it is an error. */
  readonly tolerant?: boolean;
  /** What to measure beside the distance of the outputs. Default: the user's score, or top-1 where labels are classes. */
  readonly metrics?: MetricSpec;
}

export interface FileMeasurement {
  readonly name: string;
  /** Session configuration with which the file was measured, and which it needs to be as fast. */
  readonly config?: Readonly<Record<string, string>>;
  /** The runtime's message where the file does not load or run. */
  readonly error?: { readonly stage: "load" | "run"; readonly message: string };
  readonly loadMs?: number;
  /** Against the original, on the same inputs; undefined for the original itself. */
  readonly outputs?: readonly OutputComparison[];
  /** Mean of the user's score. */
  readonly score?: number;
  /** By name; of the original itself those that know labels. */
  readonly metrics?: readonly MetricResult[];
  readonly latency?: {
    /** Milliseconds. */
    readonly p50: number;
    readonly p95: number;
    /** Time of the original over time of this file: above 1 = faster. */
    readonly ratio?: Interval;
    /** None on a software adapter: its speed says nothing about the target's. */
    readonly verdict?: SpeedVerdict;
  };
  /** On web-webgpu: what the GPU does not compute. */
  readonly placement?: NodePlacement;
  /** Bytes that the process grew by at its peak, loading the file and running it once. */
  readonly peakMemory?: number;
  /** Session options under which the file was also tried because it was slow without; see `advice`. */
  readonly withConfig?: { readonly config: Readonly<Record<string, string>>; readonly ratio: Interval };
}

/** How one file keeps a target's rules for quantized models. */
export interface FileRules extends RuleCheck {
  readonly file: string;
}

export interface TargetMeasurement {
  readonly target: TargetName;
  /** "onnxruntime-node 1.30.0". */
  readonly runtime?: string;
  /** The browser that it was in. */
  readonly host?: Host;
  /** What a reader must know before believing the figures. */
  readonly notes?: readonly string[];
  /** Why nothing was measured. */
  readonly notRunHere?: string;
  /** For targets that are known by their rules: how the files keep them. The original, where there are others, is left out. */
  readonly rules?: readonly FileRules[];
  readonly threads?: number;
  readonly samples?: number;
  /** Generated inputs: that a file loads and runs is shown, its accuracy is not. */
  readonly generated?: boolean;
  readonly dataName?: string;
  /** Calibration has seen these samples, too: there were not enough others. */
  readonly seenBefore?: boolean;
  /** Shapes of the first sample's inputs. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  readonly files: readonly FileMeasurement[];
}
