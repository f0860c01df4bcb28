// A resumable run for the kill test: journals 200 records in order, then writes them to a result
// file. Arguments: module folder, journal path, output path, syncEvery.
const [modules, path, output, syncEvery] = process.argv.slice(2);
const { Journal, writeFileAtomic } = await import(`${modules}/journal.js`);

const journal = await Journal.open({
  path,
  settings: { task: 'kill-test', count: 200 },
  syncEvery: Number(syncEvery),
});
process.stdout.write('open\n');
for (let index = 0; index < 200; index++) {
  const key = `pair-${index}`;
  if (journal.has(key)) continue;
  // Long lines make torn ones likely.
  const scores = Array.from({ length: 50 + (index % 7) * 40 }, (_, k) => Math.sin(index * 100 + k));
  await journal.append(key, { scores, text: 'ü'.repeat(index) });
}
const lines = journal.entries().map(([key, value]) => JSON.stringify({ key, ...value }));
await writeFileAtomic(output, `${lines.join('\n')}\n`);
await journal.close();
