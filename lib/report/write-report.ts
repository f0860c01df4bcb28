// Writes the report of a run: one self-contained page, and the figures as files on request.

import { checkText, checkTexts } from '../argument-checks.js';
import { writeFileAtomic } from '../atomic-file.js';
import { withCallbacks, type CallbackResult, type JobProgress } from '../callbacks.js';
import { checkOptionNames, oneOf, optionNames } from '../option-checks.js';
import { exportFormats, type ExportFormat } from './export-formats.js';
import { readRun } from './run-data.js';

/** Where `writeReport` writes, and which files; only `out` must be given. */
export interface ReportOptions {
  /** The page; `.html`. */
  readonly out: string;
  /** Folder for the figures as files; left out: the page alone. */
  readonly figures?: string | undefined;
  /** Default: all. */
  readonly formats?: readonly ExportFormat[] | undefined;
  readonly onProgress?: ((progress: JobProgress) => CallbackResult) | undefined;
}

/** What `writeReport` wrote; `figures` of a section are their ids. */
export interface ReportSummary {
  readonly out: string;
  readonly bytes: number;
  readonly sections: { readonly id: string; readonly title: string; readonly figures: string[] }[];
  /** Stages of the study without a result. */
  readonly missing: number;
  /** Names of files in the folder of figures. */
  readonly files: string[];
}

const reportOptions = optionNames<ReportOptions>({
  out: true,
  figures: true,
  formats: true,
  onProgress: true,
});

/** @throws ERR_HEADSPARK_INVALID_ARGUMENT */
export function checkReportOptions(
  call: string,
  run: string,
  options: ReportOptions,
  further: readonly string[] = [],
): void {
  checkText(call, 'the folder of a run', run);
  checkOptionNames(call, options, [...reportOptions, ...further]);
  const { out, figures, formats } = options;
  checkText(call, 'the page out', out);
  if (figures !== undefined) checkText(call, 'the folder of figures', figures);
  if (formats === undefined) return;
  checkTexts(call, 'formats', formats);
  for (const format of formats) {
    oneOf('a format', format, { allowed: exportFormats, fallback: format });
  }
}

/**
 * Writes the report of a run, finished or not. The same results give the same bytes.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND, ERR_HEADSPARK_FILE_CORRUPT.
 */
export async function writeReport(run: string, options: ReportOptions): Promise<ReportSummary> {
  checkReportOptions('writeReport', run, options);
  return withCallbacks(options, (own) => writeChecked(run, own));
}

async function writeChecked(run: string, options: ReportOptions): Promise<ReportSummary> {
  const data = await readRun(run);
  // The drawing libraries take half a second to load: only a report waits for them.
  const [{ sectionsOf }, { pageHtml }, { exportFigures }] = await Promise.all([
    import('./sections.js'),
    import('./page.js'),
    import('./export.js'),
  ]);
  const sections = sectionsOf(data);
  const html = pageHtml(data, sections);
  await writeFileAtomic(options.out, html);
  const figures = sections.flatMap((section) => section.figures);
  const files =
    options.figures === undefined
      ? []
      : await exportFigures(figures, options.figures, {
          ...(options.formats ? { formats: options.formats } : {}),
          onProgress: options.onProgress,
        });
  return {
    out: options.out,
    bytes: Buffer.byteLength(html),
    sections: sections.map(({ id, title, figures: own }) => ({
      id,
      title,
      figures: own.map((figure) => figure.id),
    })),
    missing: [...data.missing.values()].reduce((sum, count) => sum + count, 0),
    files,
  };
}
