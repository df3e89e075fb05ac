/**
 * @file The contract of gradient rules: one row per operator, formulas written with the builder.
 *
 * Letters: y = f(x₀, x₁, …), L the loss; dyᵢ = ∂L/∂yᵢ comes in, dxᵢ = ∂L/∂xᵢ goes out. Shapes are fixed and known.
 */
import type { Builder } from "../graph/builder.ts";
import type { Node } from "../graph/node.ts";
import type { Value } from "../graph/value.ts";

/** What a rule sees of one node. */
export interface GradientContext {
  readonly node: Node;
  readonly b: Builder;
  /** Gradient of output `i` (default 0), of its shape. @throws GraphError where none came: ask {@link has} first. */
  dy(i?: number): Value;
  /** Whether a gradient came for output `i`. */
  has(i: number): boolean;
  /** Input `i`, as a value of the forward graph. */
  x(i: number): Value;
  /** Output `i` (default 0) of the forward graph. */
  y(i?: number): Value;
  /**
   * Whether input `i` is there and its gradient is asked for: what is not wanted need not be computed. The gradient of a
   * quantized (integer) input is that of the float that it stands for.
   */
  wants(i: number): boolean;
  /** Dimensions of a value of the forward graph. @throws GraphError where they are not known. */
  dims(value: Value): readonly number[];
  /** Contents of a small constant (axes, shapes, sizes) as numbers; undefined where the value is left out. @throws UnsupportedError where it is computed. */
  constants(value: Value | undefined, what: string): readonly number[] | undefined;
  /** The way in which this node's gradient is computed where there are several: the name of one of `ways`. */
  choose<Way extends string>(part: string, ways: readonly Way[]): Way;
  /** Channels per block of the runtime's blocked layout, where it may be used: see graph/blocked-conv. */
  readonly block: number | undefined;
  /** "no gradient for this": names node, operator, opset. */
  unsupported(problem: string, help?: string): Error;
}

/** Gradients of the inputs by position; undefined where there is none or it is not wanted. */
export type InputGradients = readonly (Value | undefined)[];

/**
 * How an operator passes gradients on.
 *  - `rule`: its formula. With `broadcasts`, results have the output's shape and the driver sums them to the inputs'.
 *    `zeroWhere`: nodes of the operator that are piecewise constant (Cast to integers). `surrogate`: the formula is not the
 *    derivative but what trains (straight-through), so it is checked against reference data instead of differences.
 *  - `zero`: piecewise constant; nothing flows.
 *  - `never`: asking is an error, with the reason.
 */
export type GradientRow =
  | {
      readonly rule: (c: GradientContext) => InputGradients;
      readonly broadcasts?: boolean;
      readonly zeroWhere?: (node: Node) => boolean;
      readonly surrogate?: true;
    }
  | { readonly zero: true }
  | { readonly never: string };

/** Rows of one operator by the opset version from which they hold, ascending; a plain row holds for all. */
export type GradientRows = GradientRow | readonly { readonly since: number; readonly row: GradientRow }[];

/** A table by operator. */
export type GradientTable = Readonly<Record<string, GradientRows>>;

/** Gives a table its type and keeps its keys: a test table with the same keys is a compile error where one is missing. */
export function defineGradients<const Table extends GradientTable>(table: Table): Table {
  return table;
}

/** Operators of a table whose formula is a derivative. */
export type RuleOps<Table extends GradientTable> = {
  [Op in keyof Table]: Table[Op] extends
    | { readonly zero: true }
    | { readonly never: string }
    | { readonly surrogate: true }
    ? never
    : Op;
}[keyof Table];
