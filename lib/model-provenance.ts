// What results say of the model that they were computed with, and of what it ran on.
import type { Model } from './model.js';
import type { Precision } from './native-types.js';

export interface ModelProvenance {
  readonly model: string;
  readonly modelFingerprint: string;
  readonly device: string;
  readonly isa: string;
  readonly precision: Precision;
}

export function modelProvenance(model: Model): ModelProvenance {
  const { label, device, isa, precision } = model.info;
  return { model: label, modelFingerprint: model.fingerprint(), device, isa, precision };
}
