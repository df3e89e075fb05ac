/**
 * @file The invariants of a model, checked after every step.
 * Source: onnx/docs/IR.md (SSA, topological order, scoping) and this package's use-def rules.
 */
import { GraphError } from "../util/errors.ts";
import type { Graph } from "./graph.ts";
import type { Model } from "./model.ts";
import type { Node } from "./node.ts";
import type { Value } from "./value.ts";

/** @throws GraphError naming the node or value and the broken invariant. */
export function verifyModel(model: Model): void {
  const domains = new Set([...model.opsets.keys()].map((domain) => (domain === "ai.onnx" ? "" : domain)));
  verifyGraph(model.graph, new Map(), domains);
}

function verifyGraph(graph: Graph, outer: ReadonlyMap<string, Value>, domains: ReadonlySet<string>): void {
  const fail = (subject: string, problem: string): GraphError =>
    new GraphError({ area: "graph", subject, problem, help: "This is a bug in the step that ran last, or the input." });
  const scope = new Map(outer);
  const own = new Set<string>();
  const define = (value: Value): void => {
    if (own.has(value.name)) throw fail(`value ${value}`, "expected a unique name, found a second value with it");
    if (value.graph !== graph) throw fail(`value ${value}`, "is used as if it were of another graph");
    own.add(value.name);
    scope.set(value.name, value);
  };
  for (const value of graph.inputs) define(value);
  for (const value of graph.initializers) {
    if (value.initializer === undefined) {
      throw fail(`initializer ${value}`, "expected contents, found none");
    }
    if (!graph.inputs.includes(value)) define(value);
    if (value.producer !== undefined) throw fail(`initializer ${value}`, "expected no node that makes it, found one");
  }
  for (const node of graph.nodes()) {
    verifyNode(node, graph, scope, domains, fail);
    for (const value of node.outputs) if (value !== undefined) define(value);
  }
  for (const value of graph.outputs) {
    if (scope.get(value.name) !== value)
      throw fail(`output ${value}`, "expected something that makes it, found nothing");
  }
}

function verifyNode(
  node: Node,
  graph: Graph,
  scope: ReadonlyMap<string, Value>,
  domains: ReadonlySet<string>,
  fail: (subject: string, problem: string) => GraphError,
): void {
  const subject = `node "${node.label}" (${node.opType})`;
  if (node.graph !== graph) throw fail(subject, "is linked into a graph that it does not belong to");
  if (!domains.has(node.domain) && graph.model.functions === undefined) {
    throw fail(subject, `expected an opset import for its domain "${node.domain}", found none`);
  }
  for (const value of node.inputs) {
    if (value === undefined) continue;
    if (scope.get(value.name) !== value) {
      throw fail(subject, `expected its input ${value} to be made before it, found that it is not`);
    }
    if (!value.users.has(node)) throw fail(subject, `expected to be among the users of ${value}`);
  }
  for (const value of node.outputs) {
    if (value !== undefined && value.producer !== node) throw fail(subject, `expected to be the producer of ${value}`);
  }
  for (const subgraph of node.subgraphs) verifyGraph(subgraph, scope, domains);
}
