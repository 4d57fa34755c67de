// Judges every frame that a test sees by the schema of v1.
import { readFileSync } from 'node:fs';
import Ajv from 'ajv';

const schema = new URL('../../server/web/client/schema/v1.schema.json', import.meta.url);
const ajv = new Ajv({ allErrors: true });
ajv.addSchema(JSON.parse(readFileSync(schema)), 'v1');
const judge = ajv.compile({ $ref: 'v1#/definitions/serverMessage' });

/** Throws unless the text is a message of the server. */
export function isFrame(text) {
  if (!judge(JSON.parse(text))) throw new Error(`${text}: ${ajv.errorsText(judge.errors)}`);
}
