// Mistakes about `heads` in the study file of mistakes.test.ts, whose ablations end at line 26.

export interface Mistake {
  /** What is replaced in the good file by what; undefined: the file as it is. */
  change: [string, string];
  /** Line that the error names. */
  line: number;
  says: RegExp;
}

export const headsMistakes: Record<string, Mistake> = {
  'an unknown choice of heads': {
    change: ['statistics:', 'heads: [{ name: a, which: emerging }]\nstatistics:'],
    line: 27,
    says: /heads\[1\]\.which: expected .*all.*circuit.*emergent.*, got "emerging"/,
  },
  'heads chosen twice': {
    change: ['statistics:', 'heads: [{ name: a, which: all, heads: "0.0" }]\nstatistics:'],
    line: 27,
    says: /heads\[1\]: expected one of which or heads, got both/,
  },
  'a wrong list of heads': {
    change: ['statistics:', 'heads: [{ name: a, heads: "0" }]\nstatistics:'],
    line: 27,
    says: /heads\[1\]\.heads: head "0" is not of the form LAYER\.HEAD/,
  },
  'several sets of heads': {
    change: ['statistics:', 'heads: [{ name: a, heads: "0.0;1.1" }]\nstatistics:'],
    line: 27,
    says: /heads\[1\]\.heads: expected one set of heads, got several/,
  },
  'two entries of heads with one name': {
    change: ['statistics:', 'heads: [{ name: a b }, { name: A-b }]\nstatistics:'],
    line: 27,
    says: /the name "A-b" is taken by another entry of heads/,
  },
  'effects of an unknown ablation': {
    change: ['statistics:', 'heads: [{ name: a, effects: name }]\nstatistics:'],
    line: 27,
    says: /heads\[1\]\.effects: there is no ablation "name"; did you mean "named"/,
  },
  'effects of an ablation of sets': {
    change: ['statistics:', 'heads: [{ name: a, effects: named }]\nstatistics:'],
    line: 27,
    says: /expected an ablation with single: true on the pairs, which "named" is not/,
  },
  'effects of an ablation that only scales': {
    change: [
      '"0.0", controls: 2 }',
      '"0.0" }\n  - { name: ones, single: true, factors: [0.5] }\nheads: [{ name: a, effects: ones }]',
    ],
    line: 28,
    says: /expected an ablation with the factor 0, got factors: 0\.5/,
  },
  'effects that are not measured everywhere': {
    change: [
      '"0.0", controls: 2 }',
      '"0.0" }\n  - { name: ones, single: true, prompt-forms: [direct] }\nheads: [{ name: a, effects: ones }]',
    ],
    line: 28,
    says: /the ablation "ones" is not run everywhere: not for two, sums, thinking/,
  },
  'heads of an unknown checkpoint': {
    change: ['statistics:', 'heads: [{ name: a, checkpoints: [GRPQ] }]\nstatistics:'],
    line: 27,
    says: /heads\[1\]\.checkpoints\[1\]: there is no post-trained checkpoint or series "GRPQ"/,
  },
  'heads under an unknown prompt form': {
    change: ['statistics:', 'heads: [{ name: a, prompt-forms: [think] }]\nstatistics:'],
    line: 27,
    says: /heads\[1\]\.prompt-forms\[1\]: there is no prompt form "think"/,
  },
  'a pair to draw without maps': {
    change: ['statistics:', 'heads: [{ name: a, maps: 0, map-pair: 2 }]\nstatistics:'],
    line: 27,
    says: /heads\[1\]\.map-pair: maps: 0 draws no pair; leave map-pair out/,
  },
  'a pair to draw that is not there': {
    change: ['statistics:', 'heads: [{ name: a, map-pair: 5 }]\nstatistics:'],
    line: 27,
    says: /heads\[1\]\.map-pair: expected at most 4, the pairs of sums \(direct\), got 5/,
  },
};
