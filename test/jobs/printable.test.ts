/** Data in the text of commands: a terminal shows it and obeys nothing in it. */
import { expect, it } from 'vitest';
import { inLine, printable } from '#jobs/printable.js';
import { runCli } from '../support/cli.js';
import { temporaryDirectory } from '../support/directory.js';
import { purchasesPipeline } from '../support/purchases.js';

it('shows control characters, and keeps the lines of a text', () => {
  expect(inLine('a\u001b[2Jb\u009b1m\u007f\r\n\tü\u202e')).toBe(
    'a\\u001b[2Jb\\u009b1m\\u007f\\r\\n\\tü\\u202e',
  );
  expect(printable('one\ntwo\u0007')).toBe('one\ntwo\\u0007');
});

it('keeps the names of users and items from a terminal', async () => {
  const directory = temporaryDirectory();
  // A title that clears the screen, and one that begins a line of its own.
  const name = "chr(27) || '[2J' || chr(155) || item || chr(10) || 'ok'";
  const query = `SELECT "user", ${name} AS item, ts FROM events`;
  const config = await purchasesPipeline(directory, {
    sources: [{ type: 'duckdb', name: 'events', database: 'w.duckdb', query }],
  });
  const run = async (...args: string[]) => {
    const { stdout, stderr } = await runCli([...args, '-c', config], { cwd: directory });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
    expect(stdout + stderr, args.join(' ')).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    expect(stdout + stderr, args.join(' ')).not.toMatch(/^ok/m);
    return stdout;
  };
  await run('ingest');
  await run('fit');
  expect(await run('recommend', 'u1', '--k', '2')).toMatch(
    /^ +1 {2}[\d.]+ {2}\\u001b\[2J\\u009bg\d-\d\\nok\n/,
  );
  const shown = await run('sql', 'SELECT item AS "a\u001bb" FROM interactions LIMIT 1');
  expect(shown).toMatch(/^a\\u001bb\n\\u001b\[2J\\u009bg\S*\\nok\n$/);
  await run('similar', 'no\u001b[2Jbody');
  await run('explain', 'u1', '\u001b]0;x\u0007');
  await run('sql', "SELECT '\u001b[2J'::INTEGER");
});
