/**
 * @file The registry of parametrizations: values whose producing nodes carry state (masks, fake quantizers, codebooks).
 *
 * One JSON entry of the model's metadata_props, keyed by value name. In memory entries hang on the values themselves,
 * so a rename keeps them. Passes treat registered values, and the nodes that make them, as barriers.
 */
import { GraphError } from "../util/errors.ts";
import type { Model } from "./model.ts";
import type { Node } from "./node.ts";
import type { Value } from "./value.ts";

export const PARAMETRIZATION_KINDS = ["mask", "fake-quantize", "codebook"] as const;

export type ParametrizationKind = (typeof PARAMETRIZATION_KINDS)[number];

/** What is known about one parametrized value, beside its nodes. */
export interface ParametrizationEntry {
  readonly kind: ParametrizationKind;
  /** Free for the step that made it: criterion, schedule position, … */
  readonly details?: Readonly<Record<string, unknown>>;
}

const KEY = "tersor.parametrizations";

/** Reads the registry of a model that was loaded. @throws GraphError where it names values that are not there. */
export function readParametrizations(model: Model): void {
  const text = model.metadata.get(KEY);
  if (text === undefined) return;
  const fail = (problem: string): GraphError =>
    new GraphError({
      area: "graph",
      subject: `metadata "${KEY}"`,
      problem,
      help: "Another tool changed the model: remove this metadata entry to give up its masks and fake quantizers.",
    });
  let entries: Record<string, ParametrizationEntry>;
  try {
    entries = JSON.parse(text) as Record<string, ParametrizationEntry>;
  } catch (cause) {
    throw fail(`expected JSON, got ${cause}`);
  }
  if (typeof entries !== "object" || entries === null || Array.isArray(entries)) throw fail("expected a JSON object");
  const values = new Map<string, Value>();
  for (const node of model.allNodes()) {
    for (const value of node.outputs) if (value !== undefined) values.set(value.name, value);
  }
  for (const [name, entry] of Object.entries(entries)) {
    const value = values.get(name);
    if (value === undefined) throw fail(`expected a value "${name}", found none`);
    if (!PARAMETRIZATION_KINDS.includes(entry?.kind)) throw fail(`expected a known kind, got ${JSON.stringify(entry)}`);
    model.parametrizations.set(value, entry);
  }
}

/** Writes the registry into the metadata; an empty one leaves no trace. */
export function writeParametrizations(model: Model): void {
  if (model.parametrizations.size === 0) {
    model.metadata.delete(KEY);
    return;
  }
  const entries = Object.fromEntries([...model.parametrizations].map(([value, entry]) => [value.name, entry]));
  model.metadata.set(KEY, JSON.stringify(entries));
}

/** Whether a pass must leave a node alone because it makes a parametrized value, or a part of one. */
export function isBarrier(node: Node): boolean {
  const registry = node.graph?.model.parametrizations;
  if (registry === undefined || registry.size === 0) return false;
  return node.outputs.some(
    (value) => value !== undefined && (registry.has(value) || (isPartOf(node) && feedsBarrier(value, registry))),
  );
}

/** QuantizeLinear before a registered DequantizeLinear with its Clip (or Max and Min), Cast before a registered Gather. */
function feedsBarrier(value: Value, registry: ReadonlyMap<Value, ParametrizationEntry>): boolean {
  const reach = 3;
  let current: Value | undefined = value;
  for (let i = 0; i < reach && current !== undefined; i++) {
    const user: Node | undefined = current.onlyUser;
    current = user?.outputs[0];
    if (current !== undefined && registry.has(current) && isPartOf(user!)) return true;
    if (user === undefined || !isPartOf(user)) return false;
  }
  return false;
}

const PARTS: ReadonlySet<string> = new Set([
  "Where",
  "QuantizeLinear",
  "DequantizeLinear",
  "Gather",
  "Cast",
  "Clip",
  "Max",
  "Min",
]);

function isPartOf(node: Node): boolean {
  return node.domain === "" && PARTS.has(node.opType);
}

/** @throws GraphError where a registered value has lost its producer: a pass removed what it had to keep. */
export function checkParametrizations(model: Model): void {
  for (const [value, entry] of model.parametrizations) {
    const { producer } = value;
    if (producer?.graph === undefined) {
      throw new GraphError({
        area: "graph",
        subject: `${entry.kind} on ${value}`,
        problem: "expected its nodes to survive, found them removed",
        help: "This is a bug in the pass that ran last.",
      });
    }
  }
}
