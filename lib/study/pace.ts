// How much of a run's planned time is done, and how long the rest takes: the plan's estimate of every
// stage, corrected by how long finished stages of its kind and of all kinds took.

/** A stage as it was planned. */
export interface PlannedStage {
  readonly kind: string;
  /** What the plan says it takes; only ratios mean something where the rates were not measured. */
  readonly seconds: number;
}

export interface PaceOptions {
  /** Whether planned seconds come from rates of this machine. */
  readonly measured: boolean;
  /** Clock in milliseconds, for tests. */
  readonly now?: () => number;
}

/** A plan counts as much as having observed this share of it. */
const trustedShare = 1 / 200;
/** No machine is farther from a plan than this; a stage with nothing to do may be. */
const farthest = 1000;

interface Observed {
  planned: number;
  took: number;
}

const sumOf = (one: Observed | undefined, other: Observed): Observed => ({
  planned: (one?.planned ?? 0) + other.planned,
  took: (one?.took ?? 0) + other.took,
});

interface Running extends PlannedStage {
  /** Share and time from which on it is observed; undefined until a resumed stage says where it is. */
  from: { share: number; at: number } | undefined;
  share: number;
}

export class Pace {
  /** Planned seconds of all stages. */
  readonly total: number;
  readonly #trusted: number;
  readonly #measured: boolean;
  readonly #now: () => number;
  /** Planned seconds of what has not begun, by kind. */
  readonly #left = new Map<string, number>();
  readonly #observed = new Map<string, Observed>();
  #ended = 0;
  #stored = 0;
  #running: Running | undefined;

  constructor(stages: readonly PlannedStage[], options: PaceOptions) {
    for (const { kind, seconds } of stages) {
      this.#left.set(kind, (this.#left.get(kind) ?? 0) + seconds);
    }
    this.total = stages.reduce((sum, { seconds }) => sum + seconds, 0);
    this.#trusted = this.total * trustedShare;
    this.#measured = options.measured;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Planned seconds of what is done. */
  get done(): number {
    return this.#ended + (this.#running ? this.#running.seconds * this.#running.share : 0);
  }

  /** The part of `done` that this process did not compute. */
  get stored(): number {
    return this.#stored;
  }

  /** One of the stages begins; `resumed`: it goes on with what an earlier process began. */
  begin(stage: PlannedStage, resumed = false): void {
    this.#left.set(stage.kind, Math.max(0, (this.#left.get(stage.kind) ?? 0) - stage.seconds));
    const from = resumed ? undefined : { share: 0, at: this.#now() };
    this.#running = { ...stage, from, share: 0 };
  }

  /** How much of the stage that runs is done, 0 to 1. */
  update(share: number): void {
    if (!this.#running) return;
    this.#running.share = Math.min(1, Math.max(0, share));
    if (this.#running.from) return;
    this.#running.from = { share: this.#running.share, at: this.#now() };
    this.#stored += this.#running.seconds * this.#running.share;
  }

  /** The stage that runs has ended; `computed`: not left out, nor found stored. */
  end(computed = true): void {
    if (!this.#running) return;
    this.#running.share = 1;
    const { kind, seconds, from } = this.#running;
    if (!computed || !from) this.#stored += seconds * (1 - (from?.share ?? 0));
    const observed = this.#observation();
    if (computed && observed) {
      this.#observed.set(kind, sumOf(this.#observed.get(kind), observed));
    }
    this.#ended += seconds;
    this.#running = undefined;
  }

  /** Seconds that the rest takes; undefined while too little is known. */
  secondsLeft(): number | undefined {
    const running = this.#running;
    const observed = new Map(this.#observed);
    const current = this.#observation();
    if (running && current) observed.set(running.kind, sumOf(observed.get(running.kind), current));
    const overall = this.#overall([...observed.values()]);
    if (overall === undefined) return undefined;
    /** Seconds taken per planned second: as observed, and some as everywhere. */
    const paceOf = (kind: string): number => {
      const { planned, took } = observed.get(kind) ?? { planned: 0, took: 0 };
      const weight = planned + this.#trusted;
      return weight > 0 ? (took + this.#trusted * overall) / weight : overall;
    };
    let seconds = running ? running.seconds * (1 - running.share) * paceOf(running.kind) : 0;
    for (const [kind, planned] of this.#left) seconds += planned * paceOf(kind);
    return seconds;
  }

  /**
   * The pace of kinds that did not run yet: the geometric mean of those that did, by planned time.
   * Where the plan knows nothing of this machine, it says nothing before enough was observed.
   */
  #overall(observed: readonly Observed[]): number | undefined {
    const planned = observed.reduce((sum, one) => sum + one.planned, 0);
    if (!this.#measured && planned < this.#trusted) return undefined;
    const weight = planned + (this.#measured ? this.#trusted : 0);
    if (weight === 0) return 1;
    const logarithms = observed.reduce((sum, one) => {
      const pace = Math.min(farthest, Math.max(1 / farthest, one.took / one.planned));
      return sum + one.planned * Math.log(pace);
    }, 0);
    return Math.exp(logarithms / weight);
  }

  /** Of the stage that runs, once it has said how far it is. */
  #observation(): Observed | undefined {
    const { from, share, seconds } = this.#running ?? {};
    if (!from || share === undefined || seconds === undefined || share <= from.share) {
      return undefined;
    }
    return { planned: seconds * (share - from.share), took: (this.#now() - from.at) / 1000 };
  }
}
