/**
 * @file Raises a model to a newer opset, with results unchanged: what changed at each version is rewritten, subgraphs too.
 *
 * Schemes need it: per-axis quantization wants opset 13, and 17 is a good common ground. All or nothing: a model that
 * cannot be upgraded as a whole stays as it was. Other domains and model-local functions are not touched.
 */
import { fromOnnx } from "../graph/from-onnx.ts";
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import { irVersionFor, isDeprecated, sinceVersion, versionsOf } from "../graph/ops/versions.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import { Facts } from "../graph/upgrade/facts.ts";
import { NEWEST_OPSET, OLDEST_OPSET, upgradeRule } from "../graph/upgrade/rules.ts";
import type { FunctionProto, GraphProto, NodeProto } from "../onnx/messages.ts";
import { OptionError, UnsupportedError } from "../util/errors.ts";

export interface UpgradeReport {
  readonly from: number;
  /** The model's opset now: the target, or what it was where that was newer. */
  readonly to: number;
  /** How many nodes had to be rewritten, by the operator they were. */
  readonly changed: Readonly<Record<string, number>>;
}

/**
 * Upgrades ONNX's own operators to opset `target` (8 to 17) and the IR version to what that opset needs at least.
 * A model that is there already, or further, is left alone.
 * @throws UnsupportedError, with the model unchanged, naming the operator, its opset and the node that stand in the way.
 * @throws OptionError where the target is out of range.
 */
export function upgradeOpset(model: Model, target: number): UpgradeReport {
  if (!Number.isInteger(target) || target < OLDEST_OPSET || target > NEWEST_OPSET) {
    throw new OptionError({
      area: "upgrade-opset",
      subject: "target",
      problem: `expected an opset from ${OLDEST_OPSET} to ${NEWEST_OPSET}, got ${target}`,
    });
  }
  const from = opsetOf(model) ?? target;
  if (opsetOf(model) !== undefined && from >= target) return { from, to: from, changed: {} };
  checkUpgradable(model, from, target);
  // A rule sees what the rules before it left, so a check is a trial: on a copy that shares all tensor contents.
  const trial = applyRules(fromOnnx(toOnnx(model), model.external), from, target);
  if (trial.obstacles.length > 0) throw refusal(trial.obstacles, from, target);
  const { changed } = applyRules(model, from, target);
  const spelled = ["", "ai.onnx"].filter((domain) => model.opsets.has(domain));
  for (const domain of spelled.length > 0 ? spelled : [""]) model.opsets.set(domain, target);
  model.irVersion = Math.max(model.irVersion ?? 0, irVersionFor(target));
  return { from, to: target, changed };
}

/** The opset of ONNX's own operators; undefined where a model imports none and uses none. */
function opsetOf(model: Model): number | undefined {
  const imported = model.opsets.has("") || model.opsets.has("ai.onnx");
  if (imported) return model.opset;
  for (const node of model.allNodes()) if (node.domain === "") return 1;
  return undefined;
}

/** One thing in the way. */
interface Obstacle {
  readonly subject: string;
  readonly problem: string;
  readonly help: string;
}

function obstacleAt(node: Node, opset: number, problem: string, help: string): Obstacle {
  return { subject: `node "${node.label}" (${node.opType}, domain ai.onnx, opset ${opset})`, problem, help };
}

function refusal(obstacles: readonly Obstacle[], from: number, target: number): UnsupportedError {
  const { subject, problem, help } = obstacles[0]!;
  const more = obstacles.length > 1 ? ` (and ${obstacles.length - 1} more in the way)` : "";
  return new UnsupportedError({
    area: "upgrade-opset",
    subject,
    problem: `opset ${from} to ${target} is not possible: ${problem}${more}`,
    help,
  });
}

const EXPORT_AGAIN = "Export the model again with a newer opset.";

/** What no rule has to be tried for. */
function checkUpgradable(model: Model, from: number, target: number): void {
  const obstacles: Obstacle[] = [];
  const functions = functionKeys(model);
  for (const node of model.allNodes()) {
    if (node.domain !== "" || functions.has(functionKey("", node.opType))) continue;
    const problem = problemOf(node.opType, from);
    if (problem !== undefined) obstacles.push(obstacleAt(node, from, problem, EXPORT_AGAIN));
  }
  if (model.extra.trainingInfo !== undefined && model.extra.trainingInfo.length > 0) {
    obstacles.push({
      subject: "training_info",
      problem: "expected a model for inference, got one with training graphs",
      help: "Remove training_info if you only run the model.",
    });
  }
  for (const proto of model.functions ?? []) obstacles.push(...functionObstacles(proto, target));
  if (obstacles.length > 0) throw refusal(obstacles, from, target);
}

function problemOf(opType: string, opset: number): string | undefined {
  if (opset < OLDEST_OPSET) return `expected opset ${OLDEST_OPSET} or newer`;
  const versions = versionsOf(opType);
  if (versions === undefined) return "expected an operator of ONNX, got an unknown or experimental one";
  const since = sinceVersion(opType, opset);
  if (since === undefined) return `expected opset ${versions[0]}, where the operator begins, or newer`;
  return isDeprecated(opType, since)
    ? `expected an operator of this opset, got one that ended with ${since}`
    : undefined;
}

/** What nodes may call besides operators. */
function functionKeys(model: Model): ReadonlySet<string> {
  return new Set((model.functions ?? []).map(({ domain, name }) => functionKey(domain, name)));
}

function functionKey(domain: string | undefined, name: string | undefined): string {
  return `${domain === "ai.onnx" ? "" : (domain ?? "")}:${name ?? ""}`;
}

/**
 * Functions import opsets of their own and stay as they are. But their operators must mean the same at the model's opset
 * (onnx.proto, FunctionProto.opset_import), and ONNX Runtime 1.30 takes the model's opset for them in fact.
 */
function functionObstacles(proto: FunctionProto, target: number): Obstacle[] {
  const own = proto.opsetImport?.find(({ domain }) => (domain ?? "") === "" || domain === "ai.onnx")?.version;
  if (own === undefined) return [];
  return [...nodesWithin(proto.node ?? [])].flatMap(({ domain, opType = "" }) => {
    if ((domain ?? "") !== "" && domain !== "ai.onnx") return [];
    const changes = (versionsOf(opType) ?? []).filter((version) => version > own && version <= target);
    const stopper = changes.find((version) => upgradeRule(opType, version) !== "compatible");
    if (stopper === undefined) return [];
    return {
      subject: `function "${proto.name ?? ""}" (opset ${own})`,
      problem: `it uses ${opType}, which changed at opset ${stopper}, and functions are kept as they are`,
      help: "Inline the functions first.",
    };
  });
}

function* nodesWithin(nodes: readonly NodeProto[]): IterableIterator<NodeProto> {
  for (const node of nodes) {
    yield node;
    for (const { g, graphs = [] } of node.attribute ?? []) {
      for (const graph of [...(g ? [g] : []), ...graphs] as GraphProto[]) yield* nodesWithin(graph.node ?? []);
    }
  }
}

/** One version after the other, each over all nodes. Nodes that got in the way are left out from then on. */
function applyRules(
  model: Model,
  from: number,
  target: number,
): { readonly changed: Record<string, number>; readonly obstacles: readonly Obstacle[] } {
  const functions = functionKeys(model);
  const rewritten = new Map<Node, string>();
  const obstacles = new Map<Node, Obstacle>();
  for (let version = from + 1; version <= target; version++) {
    const facts = new Facts(model);
    for (const node of [...model.allNodes()]) {
      if (node.domain !== "" || obstacles.has(node) || functions.has(functionKey("", node.opType))) continue;
      if (sinceVersion(node.opType, version) !== version) continue;
      const before = node.opType;
      const rule = upgradeRule(before, version);
      if (rule === "compatible") continue;
      const outcome = rule?.(node, facts) ?? `Tersor has no rule for what changed at opset ${version}`;
      if (typeof outcome === "string") {
        const help = `Aim at opset ${version - 1}, or export the model again with opset ${version}.`;
        obstacles.set(node, obstacleAt(node, version - 1, outcome, help));
      } else if (outcome && !rewritten.has(node)) rewritten.set(node, before);
    }
  }
  const changed: Record<string, number> = {};
  for (const opType of rewritten.values()) changed[opType] = (changed[opType] ?? 0) + 1;
  return { changed, obstacles: [...obstacles.values()] };
}
