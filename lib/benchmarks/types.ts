// A benchmark: problems with their right answers, and how they are asked.

/** One question with its right answer. */
export interface Problem {
  /** Unique in its benchmark. */
  readonly id: string;
  /** What the model is asked, with the options of a multiple-choice problem written out. */
  readonly text: string;
  /** The right answer: text or LaTeX, or the letter of an option. */
  readonly answer: string;
  /** Contents of the options in order (A, B, …) of a multiple-choice problem. */
  readonly choices?: readonly string[];
}

/** What is added to a problem: nothing, or how the paper asks for a boxed answer. */
export type SuffixKind = 'none' | 'boxed';

/** What `readBenchmark` gives and `evaluate` asks. */
export interface Benchmark {
  readonly name: string;
  readonly problems: readonly Problem[];
  /** SHA-256 over all problems, for the settings of a run. */
  readonly hash: string;
  /** The suffix that belongs to it where the user says nothing. */
  readonly suffix: SuffixKind;
  /** The modulus of its arithmetic, for telling false sums from true ones. */
  readonly modulus?: number;
}
