/**
 * @file Channel ids: every position along every axis of every value has one; what must go together is one class
 * (union-find, Tarjan 1975). A class can be forbidden to go, for a reason that names a node.
 */
import type { Node } from "../../graph/node.ts";

/** Why channels have to stay. */
export interface Obstacle {
  /** The node's label; a value's name where no node is to blame (an output of the model). */
  readonly subject: string;
  readonly opType?: string;
  readonly reason: string;
}

/** Ids of an axis, one per position; undefined for an axis that keeps its size whatever happens (batch, time, height). */
export type Axis = Int32Array | undefined;

/** One entry per axis of a value. */
export type Axes = readonly Axis[];

export class ChannelIds {
  #parent: Int32Array = new Int32Array(1024);
  #count = 0;
  readonly #obstacles: Map<number, Obstacle> = new Map();

  /** Ids that no other position has. */
  fresh(count: number): Int32Array {
    const first = this.#count;
    this.#count += count;
    while (this.#parent.length < this.#count) {
      const larger = new Int32Array(this.#parent.length * 2);
      larger.set(this.#parent);
      this.#parent = larger;
    }
    const ids = new Int32Array(count);
    for (let i = 0; i < count; i++) {
      ids[i] = first + i;
      this.#parent[first + i] = first + i;
    }
    return ids;
  }

  /** The class of an id: the same number for all ids that go together. */
  find(id: number): number {
    const parent = this.#parent;
    let root = id;
    while (parent[root] !== root) root = parent[root]!;
    for (let at = id; at !== root; ) {
      const next = parent[at]!;
      parent[at] = root;
      at = next;
    }
    return root;
  }

  union(a: number, b: number): void {
    const [left, right] = [this.find(a), this.find(b)];
    if (left === right) return;
    // The smaller number stays the class: the order of nodes decides, so the numbering is the same in every run.
    const [root, child] = left < right ? [left, right] : [right, left];
    this.#parent[child] = root;
    const obstacle = this.#obstacles.get(child);
    if (obstacle !== undefined && !this.#obstacles.has(root)) this.#obstacles.set(root, obstacle);
  }

  /** Position by position; both of one length. */
  unionAll(a: Int32Array, b: Int32Array): void {
    if (a === b) return;
    for (let i = 0; i < a.length; i++) this.union(a[i]!, b[i]!);
  }

  /** The first reason is kept. */
  forbid(id: number, obstacle: Obstacle): void {
    const root = this.find(id);
    if (!this.#obstacles.has(root)) this.#obstacles.set(root, obstacle);
  }

  forbidAll(ids: Int32Array, obstacle: Obstacle): void {
    for (const id of ids) this.forbid(id, obstacle);
  }

  obstacle(id: number): Obstacle | undefined {
    return this.#obstacles.get(this.find(id));
  }
}

export function obstacleAt(node: Node, reason: string): Obstacle {
  const opType = node.domain === "" ? node.opType : `${node.domain}.${node.opType}`;
  return { subject: node.label, opType, reason };
}
