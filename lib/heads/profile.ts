// The properties of heads together with what else is known of them: the group they are in, and what
// their ablation does.

import {
  correlateWithEffects,
  type AblationEffects,
  type CorrelationOptions,
  type HeadCorrelation,
} from './correlation.js';
import type { HeadTable } from './types.js';

/** How the effects were measured. */
export interface EffectSettings {
  readonly metric: string;
  /** What takes the place of a head: zero, mean, … */
  readonly ablation: string;
}

export interface MeasuredEffects {
  readonly settings: EffectSettings;
  /** By head how much worse the mean metric gets without it. */
  readonly effects: AblationEffects;
}

export interface HeadProfile {
  readonly format: 'headspark-head-profile';
  readonly version: 1;
  readonly table: HeadTable;
  /** By head its group (`emergent`, `retained`, …); null where none is known. */
  readonly groups: Readonly<Record<string, string>> | null;
  readonly effects: {
    readonly settings: EffectSettings;
    readonly heads: Readonly<Record<string, number>>;
  } | null;
  /** Null without effects. */
  readonly correlations: readonly HeadCorrelation[] | null;
}

/** Adds groups, effects and the correlations of properties with effects to a table. */
export function headProfile(
  table: HeadTable,
  known: {
    groups?: Readonly<Record<string, string>> | null;
    effects?: MeasuredEffects | null;
  } = {},
  options: CorrelationOptions = {},
): HeadProfile {
  const { groups = null, effects = null } = known;
  const own = effects && table.heads.filter(({ name }) => effects.effects.has(name));
  return {
    format: 'headspark-head-profile',
    version: 1,
    table,
    groups,
    effects: effects && {
      settings: effects.settings,
      heads: Object.fromEntries(own!.map(({ name }) => [name, effects.effects.get(name)!])),
    },
    correlations: effects && correlateWithEffects(table.heads, effects.effects, options),
  };
}

/** Heads by how much their ablation changes the metric, strongest first; else in their order. */
export function byEffect({ table, effects }: HeadProfile): HeadTable['heads'] {
  if (!effects) return table.heads;
  const size = (name: string): number => Math.abs(effects.heads[name] ?? 0);
  return [...table.heads].sort((a, b) => size(b.name) - size(a.name));
}
