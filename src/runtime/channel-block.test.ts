/** @file Tests of channel-block.ts. */
import { expect, test } from "vitest";
import { runtimes } from "../../test/helpers.ts";
import { channelBlock } from "./channel-block.ts";

test("blocks of 8 or 16 channels, or none", async () => {
  expect([8, 16, undefined]).toContain(await channelBlock(await runtimes.node()));
});

test("none in WASM", async () => {
  expect(await channelBlock(await runtimes.web())).toBeUndefined();
});
