/**
 * @file Whether there is a browser for the tests. On a developer's machine they are passed over without one; in CI, where
 * `.ci/run` installs one, its absence is a failure.
 */
import { expect, it } from "vitest";
import { whyNoBrowser } from "../../src/runtime/browser/chromium.ts";

/** Why there is none; undefined: there is one. */
export const NO_BROWSER = await whyNoBrowser();

if (NO_BROWSER !== undefined) {
  it.runIf(process.env["CI"])("a browser is there", () => expect.fail(NO_BROWSER));
}
