import { describe, expect, it } from "vitest";
import { OP_VERSIONS } from "../ops/versions.ts";
import { NEWEST_OPSET, OLDEST_OPSET, RULE_FAMILIES, upgradeRule } from "./rules.ts";

/** Versions that change an operator which a model of an opset in range may already use. */
const CHANGES = Object.entries(OP_VERSIONS).flatMap(([op, versions]) =>
  versions
    .slice(1)
    .flatMap((version) => (version > OLDEST_OPSET && version <= NEWEST_OPSET ? [`${op}-${version}`] : [])),
);

describe("upgrade rules", () => {
  it("cover every change of every operator, and nothing else", () => {
    const ruled = RULE_FAMILIES.flatMap((table) =>
      Object.entries(table).flatMap(([op, row]) => Object.keys(row).map((version) => `${op}-${version}`)),
    );
    expect(ruled.sort()).toEqual(CHANGES.sort());
    expect(CHANGES.length).toBeGreaterThan(180);
  });

  it("are found by operator and version", () => {
    expect(upgradeRule("Add", 13)).toBe("compatible");
    expect(upgradeRule("Softmax", 13)).toBeTypeOf("function");
    expect(upgradeRule("toString", 13)).toBeUndefined();
  });
});
