// The files that a figure can be exported as.

export const exportFormats = ['svg', 'png', 'csv', 'parquet', 'latex'] as const;
export type ExportFormat = (typeof exportFormats)[number];
