/**
 * @file What the three parametrizations share: putting nodes behind a value, finding them again, and taking them away.
 */
import { Tensor } from "../tensor/tensor.ts";
import { GraphError, UnsupportedError } from "../util/errors.ts";
import type { Model } from "./model.ts";
import type { Node } from "./node.ts";
import type { ParametrizationEntry, ParametrizationKind } from "./parametrizations.ts";
import type { Value } from "./value.ts";

export function failure(kind: ParametrizationKind, value: Value, problem: string, help?: string): GraphError {
  return new GraphError({ area: "graph", subject: `${kind} on ${value}`, problem, help });
}

/** @throws UnsupportedError where the model's opset is older than the operators of a kind. */
export function requireOpset(model: Model, kind: ParametrizationKind, opset: number): void {
  if (model.opset >= opset) return;
  throw new UnsupportedError({
    area: "graph",
    subject: kind,
    problem: `expected opset ${opset} or newer, got ${model.opset}`,
    help: "Upgrade the model's opset first (upgrade-opset).",
  });
}

/** Right behind what makes a value; before everything where nothing does. */
export function placeBehind({ producer, graph }: Value): { readonly after?: Node; readonly before?: Node } {
  return producer !== undefined ? { after: producer } : { before: graph.nodes().next().value };
}

/**
 * Makes `result`, whose nodes begin with `first`, stand between a value and all its users, and registers it.
 * @param input The position at which `first` reads the value.
 */
export function standBetween(
  model: Model,
  value: Value,
  { result, first, input }: { readonly result: Value; readonly first: Node; readonly input: number },
  entry: ParametrizationEntry,
): Value {
  // Types in the file are what a later step knows about a value that is not constant any more.
  if (value.dtype !== undefined) result.setTensorType(value.dtype, value.shape);
  value.graph.replaceAllUsesWith(value, result);
  first.setInput(input, value);
  model.parametrizations.set(result, entry);
  return result;
}

/** The last node of a registered value. @throws GraphError where no parametrization of this kind is on it. */
export function producerOf(model: Model, value: Value, kind: ParametrizationKind): Node {
  const found = model.parametrizations.get(value)?.kind;
  if (found !== kind) throw failure(kind, value, `expected one, found ${found ?? "no parametrization"}`);
  if (value.producer === undefined) throw failure(kind, value, "expected nodes that make it, found none");
  return value.producer;
}

/** @throws GraphError telling what to do about a value that is not constant. */
export function requireConstant(kind: ParametrizationKind, subject: Value, value: Value | undefined): Tensor {
  const tensor = value?.constant;
  if (tensor !== undefined) return tensor;
  const under = value?.graph.model.parametrizations.get(value);
  throw under !== undefined
    ? failure(kind, subject, `expected a constant, got a ${under.kind}`, `Commit or remove the ${under.kind} first.`)
    : failure(kind, subject, "expected a constant, got an activation", "Only parametrizations on weights can do this.");
}

/** Users of a registered value read `under` again; its nodes go. */
export function unwrap(model: Model, value: Value, under: Value): Value {
  value.graph.replaceAllUsesWith(value, under);
  forget(model, value, under);
  return under;
}

/**
 * An initializer stands where a registered value stood: `under` with new contents where nothing else reads it.
 * @param wish Name of the initializer where it is a new one.
 */
export function replaceByConstant(
  model: Model,
  value: Value,
  tensor: Tensor,
  { under, wish }: { readonly under?: Value; readonly wish: string },
): Value {
  if (under?.onlyUser !== undefined) {
    under.initializer = tensor;
    return unwrap(model, value, under);
  }
  const { name } = value;
  const constant = value.graph.addInitializer(wish, tensor);
  value.graph.replaceAllUsesWith(value, constant);
  forget(model, value, constant);
  // The name is free again: the value that had it is gone.
  if (wish === name) constant.name = name;
  return constant;
}

/** Removes the nodes of a value that nothing uses any more, and the constants that were theirs. */
function forget(model: Model, value: Value, keep: Value): void {
  model.parametrizations.delete(value);
  const open: Value[] = [value];
  for (let gone = open.pop(); gone !== undefined; gone = open.pop()) {
    if (gone === keep || !gone.isUnused) continue;
    const { producer } = gone;
    if (producer !== undefined) {
      // What other nodes of the model make is theirs.
      if (gone !== value && !isOwn(producer)) continue;
      open.push(...producer.inputs.filter((input) => input !== undefined));
      producer.graph?.remove(producer);
    } else if (gone.isConstant) gone.graph.removeInitializer(gone);
  }
}

const OWN: ReadonlySet<string> = new Set(["QuantizeLinear", "Clip", "Max", "Min", "Cast"]);

function isOwn(node: Node): boolean {
  return node.domain === "" && OWN.has(node.opType);
}

/** A tensor over bytes in raw_data layout. */
export function tensorOf(template: Pick<Tensor, "dtype">, dims: readonly number[], bytes: Uint8Array): Tensor {
  return new Tensor(template.dtype, dims, { byteLength: bytes.byteLength, bytes: () => bytes });
}
