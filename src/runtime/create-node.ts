/**
 * @file Runtimes by name, in Node.
 */
import { dirname } from "node:path";
import { externalLocations } from "../onnx/external-data.ts";
import { externalDataFromFolder, readModelFile } from "../onnx/file-node.ts";
import { createNodeRuntime } from "./onnxruntime-node.ts";
import { createWebRuntime } from "./onnxruntime-web.ts";
import type { Runtime } from "./runtime.ts";

/** The named runtime; onnxruntime-web reads model files, and their external data, through Tersor. */
export function createRuntime(name: "onnxruntime-node" | "onnxruntime-web"): Promise<Runtime> {
  if (name === "onnxruntime-node") return createNodeRuntime();
  return createWebRuntime((path) => {
    const { proto, bytes } = readModelFile(path);
    const files = externalDataFromFolder(dirname(path));
    const external = Object.fromEntries(
      externalLocations(proto).map((location) => [location, files.read(location, 0, files.size(location))]),
    );
    return { bytes, external };
  });
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
