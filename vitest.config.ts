import { defineConfig } from "vitest/config";
// The reporter runs in this process, the tests in workers: both need the polyfill.
import "./test/setup.ts";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts", "examples/**/*.test.ts", "bench/**/*.test.ts"],
    exclude: ["test/conformance/**", "**/node_modules/**"],
    setupFiles: ["./test/setup.ts"],
    testTimeout: 120_000,
    // Native inference threads and vitest's own workers share few cores; tests of the command wait for its timed runs.
    maxWorkers: 3,
  },
});
