import { defineConfig } from "vitest/config";
// Polyfills: the reporter runs in this process, the tests in workers.
import "./test/setup.ts";

export default defineConfig({
  test: {
    include: ["test/conformance/**/*.test.ts"],
    setupFiles: ["./test/setup.ts"],
    testTimeout: 600_000,
    maxWorkers: 2,
  },
});
