// Progress output on a terminal, off one and silenced; and the formats of durations and amounts.
import { describe, expect, it } from 'vitest';
import {
  createProgress,
  formatAmount,
  formatBytes,
  formatDuration,
  formatRate,
} from '../../lib/progress.js';

class Screen {
  text = '';
  columns = 100;
  clock = 0;
  constructor(readonly isTTY: boolean) {}
  write(text: string): void {
    this.text += text;
  }
  now = (): number => this.clock;
  start(enabled = true): ReturnType<typeof createProgress> {
    return createProgress({
      label: 'attribute',
      total: 40,
      unit: 'pairs',
      stream: this,
      now: this.now,
      enabled,
    });
  }
}

describe('formats', () => {
  it.each([
    [0, '0.0 s'],
    [9.94, '9.9 s'],
    [9.96, '10 s'],
    [59.6, '1 min 00 s'],
    [185, '3 min 05 s'],
    [3599.6, '1 h 00 min'],
    [7620, '2 h 07 min'],
    [86_399, '1 d 00 h'],
    [273_600, '3 d 04 h'],
    [NaN, '?'],
    [-1, '?'],
  ])('writes %d seconds as %s', (seconds, text) => expect(formatDuration(seconds)).toBe(text));

  it.each([
    [512, '512 B'],
    [1536, '1.5 KiB'],
    [1024 ** 2 - 1, '1.0 MiB'],
    [282_066_944, '269 MiB'],
    [5e15, '4.4 PiB'],
  ])('writes %d bytes as %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  it('writes amounts and rates', () => {
    expect(formatAmount(1234567, 'pairs')).toBe('1,234,567');
    expect(formatAmount(2048, 'bytes')).toBe('2.0 KiB');
    expect(formatRate(12.34, 'pairs')).toBe('12.3 pairs/s');
    expect(formatRate(12345, 'pairs')).toBe('12,345 pairs/s');
    expect(formatRate(0.5, 'pairs')).toBe('30.0 pairs/min');
    expect(formatRate(0.01, 'pairs')).toBe('36.0 pairs/h');
    expect(formatRate(3e6, 'bytes')).toBe('2.9 MiB/s');
    expect(formatRate(0, 'pairs')).toBe('');
  });
});

describe('createProgress', () => {
  it('draws a bar on a terminal and clears it', () => {
    const screen = new Screen(true);
    const progress = screen.start();
    progress.update(0);
    screen.clock = 5000;
    progress.update(10, undefined, 'layer 3');
    const last = screen.text.split('\u001b[2K').at(-1)!;
    expect(last).toBe(
      'attribute [######..................] 25% 10 of 40 pairs, 2.0 pairs/s, 15 s left, layer 3',
    );
    progress.finish('attributed 40 pairs');
    expect(screen.text.endsWith('\r\u001b[2Kattributed 40 pairs (5.0 s)\n')).toBe(true);
  });

  it('limits writes, and never exceeds the width', () => {
    const screen = new Screen(true);
    screen.columns = 40;
    const progress = screen.start();
    for (let step = 0; step < 200; step++) {
      screen.clock = step;
      progress.update(step / 5);
    }
    const lines = screen.text.split('\r\u001b[2K').slice(1);
    expect(lines).toHaveLength(2);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(40);
  });

  it('writes plain lines at most every five seconds off a terminal', () => {
    const screen = new Screen(false);
    const progress = screen.start();
    for (let second = 0; second <= 12; second++) {
      screen.clock = second * 1000;
      progress.update(second);
    }
    expect(screen.text).toBe(
      'attribute 12%: 5 of 40 pairs, 1.0 pairs/s, 35 s left\n' +
        'attribute 25%: 10 of 40 pairs, 1.0 pairs/s, 30 s left\n',
    );
    progress.note('half way');
    expect(screen.text.endsWith('half way\n')).toBe(true);
  });

  it('takes the rate from what this run did, not from what it resumed', () => {
    const screen = new Screen(false);
    const progress = screen.start();
    progress.update(30);
    screen.clock = 5000;
    progress.update(35);
    expect(screen.text).toBe('attribute 87%: 35 of 40 pairs, 1.0 pairs/s, 5.0 s left\n');
  });

  it('says the time left that it is given', () => {
    const screen = new Screen(false);
    const progress = screen.start();
    progress.update(0, undefined, '', { secondsLeft: 100, stored: 0 });
    screen.clock = 5000;
    progress.update(10, undefined, 'layer 3', { secondsLeft: 90, stored: 0 });
    screen.clock = 10_000;
    progress.update(20, undefined, 'layer 4');
    expect(screen.text).toBe(
      'attribute 25%: 10 of 40 pairs, 2.0 pairs/s, 1 min 30 s left, layer 3\n' +
        'attribute 50%: 20 of 40 pairs, 2.0 pairs/s, 10 s left, layer 4\n',
    );
  });

  it('does not take what was stored for speed, nor guess where the time left is not known', () => {
    const screen = new Screen(false);
    const progress = screen.start();
    progress.update(0, undefined, '', { secondsLeft: undefined, stored: 0 });
    screen.clock = 5000;
    progress.update(20, undefined, '', { secondsLeft: undefined, stored: 20 });
    screen.clock = 10_000;
    progress.update(30, undefined, '', { secondsLeft: 10, stored: 20 });
    expect(screen.text).toBe(
      'attribute 50%: 20 of 40 pairs\n' + 'attribute 75%: 30 of 40 pairs, 1.0 pairs/s, 10 s left\n',
    );
  });

  it.each([
    [80, 'study 35% 35 of 100 % of the work, 35.0 % of the work/min, 3 min 00 s left, abl'],
    [60, 'study 35% 35 of 100 % of the work, 3 min 00 s left, ablatio'],
    [40, 'study 35% 3 min 00 s left, ablation of '],
  ])('says the time left on a terminal of %d columns', (columns, expected) => {
    const screen = new Screen(true);
    screen.columns = columns;
    const options = { label: 'study', unit: '% of the work', stream: screen, now: screen.now };
    const progress = createProgress(options);
    progress.update(0, 100, '', { secondsLeft: undefined, stored: 0 });
    screen.clock = 60_000;
    progress.update(35, 100, 'ablation of all heads', { secondsLeft: 180, stored: 0 });
    const line = screen.text.split('\u001b[2K').at(-1)!;
    expect(line).toBe(expected);
  });

  it('is silent when disabled, and after the end', () => {
    const silent = new Screen(true);
    const progress = silent.start(false);
    silent.clock = 1e6;
    progress.update(10);
    progress.note('x');
    progress.finish('done');
    expect(silent.text).toBe('');
    const ended = new Screen(true);
    const other = ended.start();
    other.finish();
    ended.clock = 1e6;
    other.update(10);
    expect(ended.text).toBe('');
  });
});
