// Makes the types of v1 from its schema: `node tools/types.mjs`, or `--check` to compare only.
import { readFile, writeFile } from 'node:fs/promises';
import { compileFromFile } from 'json-schema-to-typescript';

const schema = new URL('../client/schema/v1.schema.json', import.meta.url);
const types = new URL('../client/src/v1.ts', import.meta.url);
const made = await compileFromFile(schema.pathname, {
  bannerComment: '// The messages of v1. Made from schema/v1.schema.json by `npm run types`; edit that.',
  additionalProperties: false,
  style: { singleQuote: true, printWidth: 100 },
});
if (process.argv.includes('--check')) {
  if (made !== (await readFile(types, 'utf8'))) {
    console.error('client/src/v1.ts is not what schema/v1.schema.json says: run `npm run types`.');
    process.exitCode = 1;
  }
} else {
  await writeFile(types, made);
}
