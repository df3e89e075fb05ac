/**
 * @file Tables of cases: as many keys as a table of gradient rules has formulas.
 */
import type { GradientTable, RuleOps } from "../../src/autodiff/rule.ts";
import type { GradientCase } from "./check.ts";

/** At least one case per operator that has a formula. */
export type CaseTable<Table extends GradientTable> = {
  readonly [Op in RuleOps<Table>]: readonly [GradientCase, ...GradientCase[]];
};
