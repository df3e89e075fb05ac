/**
 * @file Writes docs/gradients.md: which operators of ONNX have a gradient rule, from the tables.
 *
 *   npx tsx scripts/gradient-coverage.ts            test/docs/gradients.test.ts holds the page to what this prints
 */
import { writeFileSync } from "node:fs";
import { gradientPage } from "./gradient-page.ts";

writeFileSync(new URL("../docs/gradients.md", import.meta.url), gradientPage());
