/**
 * @file Replaces an If whose condition is constant by the branch that it takes. Exporters leave such conditions where a
 * model was scripted: they become constant once inputs have fixed dimensions and constants are folded.
 * Source: ONNX operator If, version 16.
 */
import { z } from "zod";
import type { Graph } from "../graph/graph.ts";
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import type { Value } from "../graph/value.ts";
import { defineStep, type LeftAlone } from "../step/step.ts";

export const inlineIf = defineStep({
  name: "inline-if",
  summary: "Replace If by the branch that it takes where its condition is constant",
  options: z.object({}),
  needs: [],
  run(model) {
    const names = countNames(model);
    const changes: string[] = [];
    const leftAlone: LeftAlone[] = [];
    inlineIn(model.graph, names, changes, leftAlone);
    return { changed: changes.length, changes, leftAlone };
  },
});

/** How many values have a name: branches may each have their own of the same one. */
type NameCounts = Map<string, number>;

/** Inner ones first: what moves outward afterwards is done. */
function inlineIn(graph: Graph, names: NameCounts, changes: string[], leftAlone: LeftAlone[]): void {
  for (const node of graph.nodes()) {
    for (const subgraph of node.subgraphs) inlineIn(subgraph, names, changes, leftAlone);
    if (!node.is("If")) continue;
    const reason = inlineNode(node, names, changes);
    if (reason !== undefined) leftAlone.push({ subject: node.label, opType: "If", reason });
  }
}

/** @returns Why the node is left alone; undefined where it is gone. */
function inlineNode(node: Node, names: NameCounts, changes: string[]): string | undefined {
  const condition = node.input(0);
  const tensor =
    condition.constant ?? (condition.producer?.is("Constant") ? condition.producer.tensor("value") : undefined);
  if (tensor === undefined || tensor.size !== 1) return "its condition is decided at run time";
  const taken = tensor.numbers()[0] !== 0 ? "then_branch" : "else_branch";
  const branch = node.attributes.get(taken)?.graph;
  const other = node.attributes.get(taken === "then_branch" ? "else_branch" : "then_branch")?.graph;
  if (branch === undefined || other === undefined) return "it has no branches";
  if (holdsParametrization(other)) return "the branch that it never takes has a parametrization, which is state";
  const { label } = node;
  for (const value of valuesWithin(other)) names.set(value.name, names.get(value.name)! - 1);
  moveOut(node, branch, names);
  changes.push(`${label}: ${taken.replace("_branch", "")}`);
  return undefined;
}

function holdsParametrization(graph: Graph): boolean {
  const { parametrizations } = graph.model;
  if (parametrizations.size === 0) return false;
  for (const value of valuesWithin(graph)) if (parametrizations.has(value)) return true;
  return false;
}

/** Puts a branch's initializers and nodes before the node that has it, and the branch's outputs in place of its outputs. */
function moveOut(node: Node, branch: Graph, names: NameCounts): void {
  const graph = node.graph!;
  const results = [...branch.outputs];
  branch.setOutputs([]);
  const moved = new Map<Value, Value>();
  for (const value of [...branch.initializers]) {
    const copy = successor(graph, value, names);
    copy.initializer = value.initializer;
    branch.initializers.delete(value);
    graph.initializers.add(copy);
    moved.set(value, copy);
  }
  const inner = [...branch.nodes()];
  for (const each of inner) {
    branch.detach(each);
    graph.insert(each, { before: node });
  }
  for (const each of inner) {
    const outputs = each.outputs.map((value) => value && successor(graph, value, names));
    for (const [i, value] of each.outputs.entries()) if (value !== undefined) moved.set(value, outputs[i]!);
    each.setOutputs(outputs);
  }
  for (const [value, copy] of moved) {
    moveUses(value, copy);
  }
  node.outputs.forEach((output, i) => {
    if (output === undefined) return;
    const result = moved.get(results[i]!) ?? results[i]!;
    const direct = graph.canReplace(output, result) === true;
    graph.replaceAllUsesWith(output, direct ? result : graph.add("Identity", [result], { before: node }).output());
  });
  graph.remove(node);
}

/** The same value in another graph: it keeps its name if nothing else has it. */
function successor(graph: Graph, value: Value, names: NameCounts): Value {
  const { model } = graph;
  const { name } = value;
  const copy = graph.newValue(name, value.type);
  if (names.get(name) === 1) copy.name = name;
  else {
    names.set(name, names.get(name)! - 1);
    names.set(copy.name, 1);
  }
  copy.info = value.info;
  const entry = model.parametrizations.get(value);
  if (entry !== undefined) {
    model.parametrizations.delete(value);
    model.parametrizations.set(copy, entry);
  }
  return copy;
}

/** Users, and inner graphs that have the value as an output, take another one. */
function moveUses(from: Value, to: Value): void {
  for (const user of [...from.users]) {
    user.inputs.forEach((value, i) => {
      if (value === from) user.setInput(i, to);
    });
  }
  for (const graph of [...from.outputOf]) graph.setOutputs(graph.outputs.map((value) => (value === from ? to : value)));
}

function countNames(model: Model): NameCounts {
  const names: NameCounts = new Map();
  for (const value of valuesWithin(model.graph)) names.set(value.name, (names.get(value.name) ?? 0) + 1);
  return names;
}

/** All values of a graph and its subgraphs. */
function* valuesWithin(graph: Graph): IterableIterator<Value> {
  yield* graph.inputs;
  for (const value of graph.initializers) if (!graph.inputs.includes(value)) yield value;
  for (const node of graph.nodes()) {
    for (const value of node.outputs) if (value !== undefined) yield value;
    for (const subgraph of node.subgraphs) yield* valuesWithin(subgraph);
  }
}
