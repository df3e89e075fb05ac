/**
 * @file The option table of static quantization, PyTorch's presets, and what holds for one node when all is said.
 */
import { z } from "zod";
import type { Node } from "../../graph/node.ts";
import { OptionError } from "../../util/errors.ts";
import { matchesName } from "../../util/name-patterns.ts";
import { BIAS_CORRECTION_FORMS } from "../corrections/bias-correction.ts";
import { OBSERVER_NAMES, type ObserverName } from "../observers/list.ts";
import { computedOptions } from "../options.ts";
import type { Placement } from "../placement/placement.ts";
import { PLACEMENT_NAMES } from "../placement/tables.ts";
import { RANGE_MODES, type RangeMode, reduceRangeOption } from "../saturation/mode.ts";

const ACTIVATION_TYPES = ["uint8", "int8", "uint16", "int16"] as const;
const GRANULARITIES = ["per-channel", "per-tensor"] as const;
const WEIGHT_TYPES = ["int8", "uint8", "int4"] as const;

export type ActivationType = (typeof ACTIVATION_TYPES)[number];
export type WeightType = (typeof WEIGHT_TYPES)[number];

export const PRESET_NAMES = ["x86", "qnnpack"] as const;

/** What PyTorch's `get_default_qconfig(backend)` says, in our terms. Source: torch/ao/quantization/qconfig.py. */
const PRESETS: Readonly<Record<(typeof PRESET_NAMES)[number], Partial<NodeSettings>>> = {
  // HistogramObserver(reduce_range=True), default_per_channel_weight_observer. PyTorch's activations have 7 bits there, so
  // that products do not saturate without VNNI; ours have 8, and weights give way, where they have to (reduceRange).
  x86: { observer: "histogram", granularity: "per-channel" },
  // HistogramObserver(reduce_range=False), default_weight_observer
  qnnpack: { observer: "histogram", granularity: "per-tensor" },
};

/**
 * Where nothing else is said. Against min-max, calibrated alike: direction +3 dB, the others' SQNR −1.4 … +0.4 dB, and no
 * more lost of any task's metric (bench/accuracy.ts). PyTorch's default, histogram, is a search of the same kind.
 */
export const DEFAULT_OBSERVER = "mse";

/** Observers, and the choice among them. */
const OBSERVER_CHOICES = [...OBSERVER_NAMES, "auto"] as const;

/** Settings that may differ from node to node. */
export interface NodeSettings {
  readonly observer: ObserverName | "auto";
  readonly percentile: number;
  readonly activations: ActivationType;
  readonly symmetric: boolean;
  readonly weights: WeightType;
  readonly granularity: (typeof GRANULARITIES)[number];
  readonly weightObserver: "min-max" | "mse" | undefined;
  readonly reduceRange: RangeMode;
}

const overrideFields = {
  observer: z.enum(OBSERVER_CHOICES),
  percentile: z.coerce.number().min(50).max(100),
  activations: z.enum(ACTIVATION_TYPES),
  symmetric: z.stringbool().or(z.boolean()),
  weights: z.enum(WEIGHT_TYPES),
  granularity: z.enum(GRANULARITIES),
  weightObserver: z.enum(["min-max", "mse"]),
  reduceRange: z.enum(RANGE_MODES),
};

/** An override as recipes and the API write it. */
const overrideObject = z
  .object({ node: z.string().optional(), op: z.string().optional(), float: z.boolean().optional(), ...overrideFields })
  .partial()
  .strict();

export type Override = z.output<typeof overrideObject>;

export const staticOptions = {
  ...computedOptions,
  preset: z.enum(PRESET_NAMES).optional().describe("PyTorch's defaults for a backend, where options do not differ"),
  placement: z
    .enum(["auto", ...PLACEMENT_NAMES])
    .default("auto")
    .describe("which operators run on integers, in which form: auto follows the targets"),
  observer: z
    .enum(OBSERVER_CHOICES)
    .optional()
    .describe("how ranges of activations come from the data; auto: per tensor, by what it loses (default: mse)"),
  percentile: z
    .number()
    .min(50)
    .max(100)
    .default(99.999)
    .describe("of observer percentile: the share of values that the range holds, in percent"),
  activations: z
    .enum(ACTIVATION_TYPES)
    .optional()
    .describe("type of activations (default: the target's; 16 bits run in no integer kernel of ONNX Runtime)"),
  symmetric: z.boolean().optional().describe("activations around zero (default: as the target wants them)"),
  weights: z.enum(WEIGHT_TYPES).default("int8").describe("type of weights; int4 runs in no integer kernel"),
  weightObserver: z
    .enum(["min-max", "mse"])
    .optional()
    .describe("how ranges come from weights (default: min-max, of int4 mse)"),
  granularity: z
    .enum(GRANULARITIES)
    .optional()
    .describe("a scale for each output channel of a weight, or one for all (default: per-channel)"),
  reduceRange: reduceRangeOption("less than 8 only where products saturate on the calibration data"),
  override: z
    .array(z.union([z.string(), overrideObject]))
    .default([])
    .describe("settings of single nodes: 'PATTERN float', 'op=MatMul observer=mse activations=int16'"),
  equalize: z.boolean().default(false).describe("cross-layer equalization before (docs/accuracy.md)"),
  smoothQuant: z
    .union([z.coerce.number().min(0).max(1), z.literal("auto")])
    .default(0)
    .describe("SmoothQuant before, with this alpha: above 0 to 1, or auto; 0: not at all"),
  biasCorrection: z
    .enum(["none", ...BIAS_CORRECTION_FORMS])
    .default("none")
    .describe("correct biases afterwards: analytic from the rounding of weights, empirical from what is measured"),
  budget: z.number().min(1).default(256).describe("megabytes of activations held at once while calibrating"),
} as const;

export type StaticOptions = z.output<z.ZodObject<typeof staticOptions>>;

/** "PATTERN key=value … float": node names by pattern, or operators by `op=TYPE`. @throws OptionError for anything else. */
function parseOverride(text: string): Override {
  const [subject = "", ...settings] = text.trim().split(/\s+/);
  const fields: Record<string, unknown> = subject.startsWith("op=") ? { op: subject.slice(3) } : { node: subject };
  for (const setting of settings) {
    const at = setting.indexOf("=");
    if (setting === "float") fields["float"] = true;
    else if (at > 0) fields[camel(setting.slice(0, at))] = setting.slice(at + 1);
    else throw badOverride(text, `"${setting}"`);
  }
  const result = overrideObject.safeParse(fields);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw badOverride(
      text,
      issue!.code === "unrecognized_keys" ? issue!.keys.join(", ") : `${issue!.path.join(".")}: ${issue!.message}`,
    );
  }
  return result.data;
}

function badOverride(text: string, got: string): OptionError {
  return new OptionError({
    area: "quantize",
    subject: `override "${text}"`,
    problem: `expected a node pattern or op=TYPE, then float or ${Object.keys(overrideFields).join("=…, ")}=…, got ${got}`,
    help: 'For example "/decoder/* float" or "op=MatMul observer=mse".',
  });
}

function camel(name: string): string {
  return name.replace(/-([a-z])/g, (_all, letter: string) => letter.toUpperCase());
}

/** Settings by node, and whether a node is to stay in float. */
export interface Settings {
  of(node: Node): NodeSettings;
  /** Why an override keeps the node in float; undefined where none does. */
  float(node: Node): string | undefined;
}

/**
 * What the options say, node by node: overrides, then options, then the preset, then the placement.
 * @throws OptionError for an override that cannot be read, or a type that the placement does not have.
 */
export function resolveSettings(options: StaticOptions, placement: Placement): Settings {
  const overrides = options.override.map((entry) => (typeof entry === "string" ? parseOverride(entry) : entry));
  const preset = options.preset === undefined ? {} : PRESETS[options.preset];
  const base: NodeSettings = {
    observer: options.observer ?? preset.observer ?? DEFAULT_OBSERVER,
    percentile: options.percentile,
    activations: options.activations ?? (placement.activations.dtype as ActivationType),
    symmetric: options.symmetric ?? placement.activations.symmetric,
    weights: options.weights,
    weightObserver: options.weightObserver,
    granularity: options.granularity ?? preset.granularity ?? "per-channel",
    reduceRange: options.reduceRange,
  };
  const check = (settings: Partial<NodeSettings>): void => {
    requireType("activations", settings.activations, placement.activationTypes, placement);
    requireType("weights", settings.weights, placement.weightTypes, placement);
    if (settings.symmetric === false && placement.activations.symmetric) {
      throw wrongForm("symmetric", "true: its zero points are 0", "false", placement);
    }
  };
  check(base);
  for (const override of overrides) check(override);
  const applies = ({ node: pattern, op }: Override, node: Node): boolean =>
    (pattern === undefined || matchesName(pattern, node)) && (op === undefined || op === node.opType);
  return {
    of(node) {
      let settings = base;
      for (const override of overrides) {
        if (!applies(override, node)) continue;
        const { node: _node, op: _op, float: _float, ...given } = override;
        settings = { ...settings, ...given };
      }
      return settings;
    },
    float(node) {
      return overrides.some((override) => override.float && applies(override, node))
        ? "an override keeps it in float"
        : undefined;
    },
  };
}

function requireType(option: string, got: string | undefined, allowed: readonly string[], placement: Placement): void {
  if (got !== undefined && !allowed.includes(got)) throw wrongForm(option, allowed.join(" or "), got, placement);
}

function wrongForm(option: string, expected: string, got: string, placement: Placement): OptionError {
  return new OptionError({
    area: "quantize",
    subject: `option ${option}`,
    problem: `expected ${expected} for ${placement.name}, got ${got}`,
    help: `${placement.name}: ${placement.summary}.`,
  });
}
