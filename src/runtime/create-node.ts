/**
 * @file Runtimes by name, in Node.
 */
import { createNodeRuntime } from "./onnxruntime-node.ts";
import { createWebRuntime } from "./onnxruntime-web.ts";
import { readModel } from "./read-model.ts";
import type { Runtime } from "./runtime.ts";

/** The named runtime; onnxruntime-web reads model files, and their external data, through Tersor. */
export function createRuntime(name: "onnxruntime-node" | "onnxruntime-web"): Promise<Runtime> {
  if (name === "onnxruntime-node") return createNodeRuntime();
  return createWebRuntime(readModel);
}

/** The first runtime that is installed: for folding constants and calibrating. */
export async function createAnyRuntime(): Promise<Runtime> {
  try {
    return await createRuntime("onnxruntime-node");
  } catch (error) {
    return createRuntime("onnxruntime-web").catch(() => {
      throw error;
    });
  }
}
