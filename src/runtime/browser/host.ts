/**
 * @file What a browser tells about itself and its GPU. Runs in the page and in its workers.
 */
import type { GpuAdapter, Host } from "../runtime.ts";

/** The parts of WebGPU that are used: TypeScript's library does not have them. */
interface Gpu {
  requestAdapter(options?: { powerPreference?: string }): Promise<{
    readonly features: ReadonlySet<string>;
    readonly info?: { readonly vendor?: string; readonly architecture?: string; readonly isFallbackAdapter?: boolean };
    readonly isFallbackAdapter?: boolean;
  } | null>;
}

/** User agent client hints: only in secure contexts of Chromium. */
interface Hints {
  readonly brands: readonly { readonly brand: string; readonly version: string }[];
  getHighEntropyValues(names: readonly string[]): Promise<{
    readonly model?: string;
    readonly platform?: string;
    readonly platformVersion?: string;
  }>;
}

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|basic render|warp/i;

/** Describes the browser that this runs in. */
export async function describeHost(): Promise<Host> {
  const { userAgent, hardwareConcurrency } = navigator;
  return {
    name: await nameOf(userAgent),
    userAgent,
    cores: hardwareConcurrency ?? 1,
    secure: globalThis.isSecureContext === true,
    isolated: globalThis.crossOriginIsolated === true,
    gpu: await describeGpu(),
  };
}

async function describeGpu(): Promise<GpuAdapter | undefined> {
  const { gpu } = navigator as unknown as { readonly gpu?: Gpu };
  // What ONNX Runtime asks for, too.
  const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
  if (adapter === null || adapter === undefined) return undefined;
  const { vendor = "", architecture = "", isFallbackAdapter } = adapter.info ?? {};
  return {
    vendor,
    architecture,
    software: (isFallbackAdapter ?? adapter.isFallbackAdapter) === true || SOFTWARE.test(architecture),
    float16: adapter.features.has("shader-f16"),
  };
}

async function nameOf(userAgent: string): Promise<string> {
  const hints = (navigator as unknown as { readonly userAgentData?: Hints }).userAgentData;
  if (hints === undefined) return nameOfAgent(userAgent);
  const brands = hints.brands.filter(({ brand }) => !/not.?a.?brand/i.test(brand));
  const brand = brands.find(({ brand }) => brand !== "Chromium") ?? brands[0];
  const {
    model,
    platform,
    platformVersion = "",
  } = await hints.getHighEntropyValues(["model", "platformVersion"]).catch(() => ({}) as Record<string, undefined>);
  const system = platform ? `${platform} ${platformVersion.replace(/(\.0)+$/, "")}`.trim() : "";
  const parts = [brand ? `${brand.brand} ${brand.version}` : nameOfAgent(userAgent), system, model ?? ""];
  return parts.filter((part) => part !== "").join(", ");
}

const BROWSERS: readonly (readonly [RegExp, string])[] = [
  [/\b(?:Edg|EdgA|EdgiOS)\/(\d+)/, "Edge"],
  [/\bSamsungBrowser\/(\d+)/, "Samsung Internet"],
  [/\b(?:Firefox|FxiOS)\/(\d+)/, "Firefox"],
  [/\b(?:Chrome|HeadlessChrome|CriOS)\/(\d+)/, "Chrome"],
  [/\bVersion\/([\d.]+).*\bSafari\//, "Safari"],
];

/** "Safari 18.1, iPhone, CPU iPhone OS 18_1 like Mac OS X" from a user agent. */
export function nameOfAgent(userAgent: string): string {
  const system = /\(([^)]*)\)/.exec(userAgent)?.[1]?.replaceAll("; ", ", ");
  for (const [pattern, name] of BROWSERS) {
    const version = pattern.exec(userAgent)?.[1];
    if (version !== undefined) return `${name} ${version}${system ? `, ${system}` : ""}`;
  }
  return userAgent.slice(0, 120);
}
