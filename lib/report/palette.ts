// Colours by meaning, for light and for dark pages. Okabe and Ito's palette, which readers with any
// colour vision tell apart; on dark pages the same hues, lighter. Nothing is told by colour alone:
// shapes, outlines and texts say it too.

export interface Theme {
  readonly page: string;
  readonly ink: string;
  readonly faint: string;
  readonly line: string;
  readonly base: string;
  readonly emergent: string;
  readonly retained: string;
  readonly control: string;
  readonly series: readonly string[];
}

export const light: Theme = {
  page: '#ffffff',
  ink: '#1b1b1f',
  faint: '#5c5f66',
  line: '#c9ccd3',
  base: '#c2500a',
  emergent: '#0072b2',
  retained: '#7a5195',
  control: '#6f7580',
  series: ['#0072b2', '#c2500a', '#007a5a', '#a3487f', '#7a6a00', '#1b1b1f'],
};

export const dark: Theme = {
  page: '#16181d',
  ink: '#eceef2',
  faint: '#a9afba',
  line: '#474c57',
  base: '#f0894a',
  emergent: '#5bb4ec',
  retained: '#b79ad0',
  control: '#9aa1ad',
  series: ['#5bb4ec', '#f0894a', '#3fc59c', '#dd8fbc', '#d8c24a', '#eceef2'],
};

const names = ['page', 'ink', 'faint', 'line', 'base', 'emergent', 'retained', 'control'] as const;

/** `--name: colour` of every colour of a theme. */
export function themeVariables(theme: Theme): Record<string, string> {
  return Object.fromEntries([
    ...names.map((name) => [`--${name}`, theme[name]]),
    ...theme.series.map((colour, index) => [`--series-${index}`, colour]),
  ]) as Record<string, string>;
}

export type ColourName = (typeof names)[number];

/** A colour that follows the page's theme. */
export const colour = (name: ColourName): string => `var(--${name})`;

/** The colour of series number `index`; the sixth and later ones share the last. */
export const seriesColour = (index: number): string =>
  `var(--series-${Math.min(index, light.series.length - 1)})`;

/** Symbols of series, beside their colours. */
export const seriesSymbols = ['circle', 'square', 'triangle', 'diamond', 'star', 'wye'] as const;
export const seriesSymbol = (index: number): (typeof seriesSymbols)[number] =>
  seriesSymbols[index % seriesSymbols.length];
