/**
 * @file The API of Node: files, runtimes, verification in processes of its own.
 */
export { type DoctorGroup, examine, findFamilies } from "./analyze/doctor.ts";
export { type Drop, judgeDrops } from "./analyze/drops.ts";
export { type VerifyOptions, verifyFiles } from "./analyze/isolated.ts";
export type { DataSpec, FileMeasurement, TargetMeasurement, VerifyJob } from "./analyze/job.ts";
export { type Judgement, judge } from "./analyze/judge.ts";
export { collectDetails, type ReportDetails } from "./analyze/report/collect.ts";
export type { CompressCandidate, CompressReport, CompressWinner } from "./analyze/report/compress-report.ts";
export type { DoctorReport } from "./analyze/report/doctor-report.ts";
export type { QuantizeReport } from "./analyze/report/quantize-report.ts";
export { type Report, renderReport } from "./analyze/report/render.ts";
export type { VerifyReport } from "./analyze/report/verify-report.ts";
export { type LoadedData, type LoadOptions, loadData } from "./data/load-node.ts";
export type { LoadSpec } from "./data/load-spec.ts";
export type { RecordableSession, Recording } from "./data/record.ts";
export { type RecordOptions, record } from "./data/record-node.ts";
export { externalDataFromFolder, readModelFile, writeModelFile } from "./onnx/file-node.ts";
export { compareFiles, ledgerOfFiles } from "./recipe/compare-files.ts";
export { type CompressOptions, type CompressResult, compressFile } from "./recipe/compress/compress-file.ts";
export { type FinetuneFileOptions, type FinetuneFileResult, finetuneFile } from "./recipe/finetune-file.ts";
export { type FinetuneInput, type FinetuneOptions, finetuneOptions } from "./recipe/finetune-options.ts";
export { type OpenModel, openModel } from "./recipe/open.ts";
export { type QuantizeFileOptions, type QuantizeFileResult, quantizeFile } from "./recipe/quantize-file.ts";
export { detailsOfFiles, type FileDetailsOptions, scanFile, writeReport } from "./recipe/report-file.ts";
export { type FileSensitivity, sensitivityOfFile } from "./recipe/sensitivity-file.ts";
export { type BrowserOptions, type BrowserSpec, startBrowserRuntime } from "./runtime/browser/chromium.ts";
export { createAnyRuntime, createRuntime } from "./runtime/create-node.ts";
export { createNodeRuntime } from "./runtime/onnxruntime-node.ts";
export { createWebRuntime } from "./runtime/onnxruntime-web.ts";
export { startWorkerRuntime, type WorkerRuntime } from "./runtime/worker.ts";
export { folderCheckpoints } from "./train/checkpoint-node.ts";
export { fileLog } from "./train/log-node.ts";
