// One line of progress on stderr for work in bytes, or in units of another name, with rate and time
// left: rewritten in place on a terminal, a line every five seconds elsewhere, so that short work says
// nothing.

const megabytes = { name: 'MB', size: 1e6 };

/** { report(done, total), end() }. */
export function progressLine(label, unit = megabytes, stream = process.stderr) {
  const start = performance.now();
  let last = start;
  let shown = false;
  const write = (text) => {
    stream.write(stream.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
    shown = true;
  };
  return {
    report(done, total) {
      const now = performance.now();
      if (now - last < (stream.isTTY ? 100 : 5000)) return;
      last = now;
      const rate = done / ((now - start) / 1000);
      const left = Math.ceil((total - done) / rate);
      const [units, of] = [done, total].map((value) => (value / unit.size).toFixed(0));
      const speed = (rate / unit.size).toFixed(rate < 10 * unit.size ? 1 : 0);
      write(`${label}: ${units} of ${of} ${unit.name}, ${speed} ${unit.name}/s, ${left} s left`);
    },
    end() {
      if (shown && stream.isTTY) stream.write('\r\x1b[K');
    },
  };
}
