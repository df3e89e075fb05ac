/**
 * @file A report of any command: plain data in, one HTML file out. The same data give the same bytes.
 */
import { type CompressReport, renderCompressReport } from "./compress-report.ts";
import { type DoctorReport, renderDoctorReport } from "./doctor-report.ts";
import { type QuantizeReport, renderQuantizeReport } from "./quantize-report.ts";
import { renderVerifyReport, type VerifyReport } from "./verify-report.ts";

/** What is reported, by the command that found it out. */
export type Report =
  | ({ readonly kind: "quantize" } & QuantizeReport)
  | ({ readonly kind: "verify" } & VerifyReport)
  | ({ readonly kind: "doctor" } & DoctorReport)
  | ({ readonly kind: "compress" } & CompressReport);

/**
 * A page that stands alone: styles and pictures are in it, it has no scripts, and it loads nothing. What comes from files
 * is escaped.
 */
export function renderReport(report: Report): string {
  switch (report.kind) {
    case "quantize":
      return renderQuantizeReport(report);
    case "verify":
      return renderVerifyReport(report);
    case "doctor":
      return renderDoctorReport(report);
    case "compress":
      return renderCompressReport(report);
  }
}
