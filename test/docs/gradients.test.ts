import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { gradientPage } from "../../scripts/gradient-page.ts";

it("docs/gradients.md says what the tables say (npx tsx scripts/gradient-coverage.ts)", () => {
  expect(readFileSync(new URL("../../docs/gradients.md", import.meta.url), "utf8")).toBe(gradientPage());
});
