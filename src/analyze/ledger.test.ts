/** @file Tests of ledger.ts on models that the schemes made. */
import { expect, it } from "vitest";
import { modelOf } from "../../test/helpers.ts";
import { weightInt8 } from "../quantize/weight-int8.ts";
import { runStep } from "../step/run.ts";
import { compareLedgers, describeForm, ledgerEntries } from "./ledger.ts";

const GRAPH = `(float[8, 32] x) => (float[8, 24] y)
  <float[32, 48] w = random(1), float[48] w_bias = random(2), float[48, 24] v = random(3)>
  { a = MatMul(x, w)  b = Add(a, w_bias)  y = MatMul(b, v) }`;

it("puts codes and scales beside the tensor that they stand for, and adds up", async () => {
  const model = modelOf(GRAPH);
  const before = ledgerEntries(model);
  await runStep(model, weightInt8, { minElements: 1 });
  const ledger = compareLedgers(before, ledgerEntries(model));
  const bytes = (rows: number, columns: number) => rows * columns + 4 * columns;
  expect(ledger.rows.map(({ name, before, after, users }) => [name, before, after, users])).toEqual([
    ["w", 4 * 32 * 48, bytes(32, 48), ["MatMul"]],
    ["v", 4 * 48 * 24, bytes(48, 24), ["MatMul"]],
    ["w_bias", 4 * 48, 4 * 48, ["Add"]],
  ]);
  expect(ledger.rows[0]!.parts.map(({ name, dtype }) => [name, dtype])).toEqual([
    ["w_int8", "int8"],
    ["w_scale", "float32"],
  ]);
  expect(ledger.rows.map(describeForm)).toEqual(["int8 + float32", "int8 + float32", "float32, kept"]);
  expect(ledger.before).toBe(4 * (32 * 48 + 48 * 24 + 48));
  expect(ledger.after).toBe(ledger.rows.reduce((sum, { after }) => sum + after, 0));
});

it("shows what is gone and what is new", () => {
  const entry = (name: string, byteLength: number) =>
    ({ name, byteLength, dtype: "float32", dims: [], users: [] }) as const;
  const { rows } = compareLedgers(
    [entry("a", 8), entry("ab", 4)],
    [entry("ab_c_d", 2), entry("new", 1), entry("abc", 1)],
  );
  expect(rows.map((row) => [row.name, row.before, row.after, describeForm(row)])).toEqual([
    ["a", 8, 0, "gone"],
    ["ab", 4, 2, "float32, kept"],
    ["new", 0, 1, "new: float32"],
    ["abc", 0, 1, "new: float32"],
  ]);
});
