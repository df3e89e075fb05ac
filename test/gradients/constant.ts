/**
 * @file Cases of src/autodiff/gradients/constant.ts: none has a formula. That one gets a case with it is a compile error else.
 */
import type { CONSTANT } from "../../src/autodiff/gradients/constant.ts";
import type { CaseTable } from "./cases.ts";

export const CONSTANT_CASES: CaseTable<typeof CONSTANT> = {};
