/**
 * @file The statistics of a whole model as one JSON document, so that calibration need not run again for another target,
 * node selection or (for the same kind of observer) scheme.
 */
import { z } from "zod";
import { FormatError, TersorError } from "../../util/errors.ts";
import { CODE_RANGES, type CodeDType } from "../qparams.ts";
import type { SavedRows } from "../rows/sampler.ts";
import { OBSERVER_NAMES, type ObserverName, restoreObserver } from "./list.ts";
import type { ObserverState } from "./observer.ts";

export interface Statistics {
  /** A hash of the model that was calibrated, made by the caller: statistics of another model are of no use. */
  readonly model: string;
  /** What they were made from, for messages. */
  readonly data?: string;
  /** The kind that was asked for; overrides may have given single values another one. */
  readonly observer: ObserverName;
  /** Observers by the name of the value that they saw. */
  readonly values: ReadonlyMap<string, ObserverState>;
  /** Sampled rows of activations by the name of the node that reads them, for the check of saturation. */
  readonly rows?: ReadonlyMap<string, SavedRows>;
}

const FORMAT = "tersor-statistics";
const VERSION = 1;

const numbers = z.array(z.number());

const stateSchema = z.strictObject({
  name: z.enum(OBSERVER_NAMES),
  options: z.strictObject({
    scheme: z.strictObject({
      dtype: z.enum(Object.keys(CODE_RANGES) as [CodeDType, ...CodeDType[]]),
      symmetric: z.boolean(),
      reduceRange: z.boolean().optional(),
      narrowRange: z.boolean().optional(),
      eps: z.number().optional(),
    }),
    axis: z.int().optional(),
    averagingConstant: z.number().optional(),
    percentile: z.number().optional(),
    bins: z.int().optional(),
  }),
  count: z.int().min(0),
  seen: z
    .strictObject({ dims: z.array(z.int().min(0)), min: numbers, max: numbers, fields: z.record(z.string(), numbers) })
    .optional(),
});

const documentSchema = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  model: z.string(),
  data: z.string().optional(),
  observer: z.enum(OBSERVER_NAMES),
  values: z.array(z.strictObject({ value: z.string(), state: stateSchema })),
  rows: z.record(z.string(), z.strictObject({ groups: z.array(z.int().min(0)), values: z.base64() })).optional(),
});

export function encodeStatistics({ model, data, observer, values, rows }: Statistics): string {
  const list = [...values].map(([value, state]) => ({ value, state }));
  const sampled = rows && Object.fromEntries(rows);
  return `${JSON.stringify({ format: FORMAT, version: VERSION, model, data, observer, values: list, rows: sampled })}\n`;
}

/**
 * @param source the file's name, for messages.
 * @throws FormatError for a document that is damaged, of another version, or no statistics. Every state restores.
 */
export function decodeStatistics(text: string, source: string): Statistics {
  const fail = (problem: string, cause?: unknown): FormatError =>
    new FormatError({
      area: "quantize",
      subject: source,
      problem,
      help: "Statistics are what Tersor saved after calibrating; calibrate again to make new ones.",
      cause,
    });
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw fail("expected the JSON of saved statistics, got other text", cause);
  }
  const head = parsed as { readonly format?: unknown; readonly version?: unknown } | null;
  if (head?.format !== FORMAT) throw fail(`expected format "${FORMAT}", got ${JSON.stringify(head?.format)}`);
  if (head.version !== VERSION) throw fail(`expected version ${VERSION}, got ${JSON.stringify(head.version)}`);
  const checked = documentSchema.safeParse(parsed);
  if (!checked.success) {
    const issue = checked.error.issues[0]!;
    throw fail(`expected saved statistics, got at ${issue.path.join(".")}: ${issue.message}`, checked.error);
  }
  const { model, data, observer, values } = checked.data;
  const states = new Map<string, ObserverState>();
  for (const { value, state } of values) {
    if (states.has(value)) throw fail(`expected each value once, got "${value}" twice`);
    try {
      restoreObserver(state);
    } catch (error) {
      if (error instanceof TersorError) throw fail(`value "${value}": ${error.message}`, error);
      throw error;
    }
    states.set(value, state);
  }
  const { rows } = checked.data;
  return {
    model,
    ...(data !== undefined && { data }),
    observer,
    values: states,
    ...(rows && { rows: new Map(Object.entries(rows)) }),
  };
}
