/**
 * @file Verification on a device that has opened the page of `runtime/browser/server`: each target in a worker of its own.
 */
import type { Device } from "../runtime/browser/device.ts";
import type { Host } from "../runtime/runtime.ts";
import type { TargetName } from "../runtime/targets.ts";
import { messageOf } from "../util/errors.ts";
import type { Progress } from "../util/progress.ts";
import type { TargetMeasurement, VerifyJob } from "./job.ts";
import { measureTarget } from "./measure-target.ts";

export interface DeviceMeasurement {
  readonly host: Host;
  readonly targets: readonly TargetMeasurement[];
  /** Why a target was not measured to its end: the original does not load there, for example. */
  readonly errors: readonly { readonly target: TargetName; readonly message: string }[];
}

/** The targets that a browser has. */
export const WEB_TARGETS = ["web-wasm", "web-webgpu"] as const satisfies readonly TargetName[];

/**
 * Carries out a job on each of the targets, of which only {@link WEB_TARGETS} can be given.
 * @returns undefined where the device went away before it was done.
 */
export async function measureDevice(
  device: Device,
  targets: readonly TargetName[],
  job: Omit<VerifyJob, "target">,
  progress?: Progress,
  signal?: AbortSignal,
): Promise<DeviceMeasurement | undefined> {
  const { host } = device;
  const measured: TargetMeasurement[] = [];
  const errors: { target: TargetName; message: string }[] = [];
  const abort = (): void => device.lose("it was cancelled");
  signal?.addEventListener("abort", abort, { once: true });
  try {
    for (const target of targets) {
      const notRunHere = target === "web-webgpu" ? whyNoWebGpu(host) : undefined;
      if (notRunHere !== undefined) {
        measured.push({ target, notRunHere, files: [] });
        continue;
      }
      try {
        progress?.(`starting ${target}`, 0);
        const runtime = await device.start(target === "web-webgpu" ? "webgpu" : "wasm");
        try {
          measured.push(await measureTarget({ ...job, target }, progress, signal, { runtime }));
        } finally {
          await runtime.close();
        }
      } catch (error) {
        if (device.lost === undefined && !isOurs(error)) throw error;
        errors.push({ target, message: messageOf(error) });
      }
      signal?.throwIfAborted();
      if (device.lost !== undefined) return undefined;
    }
    return { host, targets: measured, errors };
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** What the device's runtime did, in contrast to what the user gave us to do. */
function isOurs(error: unknown): boolean {
  return error instanceof Error && (error.name === "VerificationError" || error.name === "UnsupportedError");
}

function whyNoWebGpu(host: Host): string | undefined {
  if (host.gpu !== undefined) return undefined;
  return host.secure
    ? `${host.name} has no WebGPU, or no GPU for it`
    : "over plain HTTP a browser offers no WebGPU: open it through localhost (adb reverse) or HTTPS (--cert, --key)";
}
