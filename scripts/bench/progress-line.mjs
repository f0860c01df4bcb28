// One line of progress on stderr for work in bytes, with rate and time left: rewritten in place on
// a terminal, a line every five seconds elsewhere, so that short work says nothing.

/** { report(done, total), end() }. */
export function progressLine(label, stream = process.stderr) {
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
      const [mb, of] = [done, total].map((bytes) => (bytes / 1e6).toFixed(0));
      write(`${label}: ${mb} of ${of} MB, ${(rate / 1e6).toFixed(0)} MB/s, ${left} s left`);
    },
    end() {
      if (shown && stream.isTTY) stream.write('\r\x1b[K');
    },
  };
}
