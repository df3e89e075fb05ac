import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts", "examples/**/*.test.ts"],
    exclude: ["test/conformance/**"],
    testTimeout: 60_000,
    // Native inference threads and vitest's own workers share few cores.
    maxWorkers: 2,
  },
});
