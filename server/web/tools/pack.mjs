// Finishes the build: the licences of what is in it, compressed copies, and the table of files that
// the program is compiled with.
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { gzipSync } from 'fflate';

const web = new URL('../', import.meta.url);
const dist = new URL('dist/', web);
const table = new URL('../src/page/files.rs', web);

/** A file below this is not worth a second copy. */
const COMPRESSED_BYTES_MIN = 1_024;

const TYPES = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  mjs: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
  txt: 'text/plain; charset=utf-8',
};

/** The licence texts of a package and of all that it is made of. */
async function licences(name, seen = new Map()) {
  if (seen.has(name)) return seen;
  const folder = new URL(`node_modules/${name}/`, web);
  const about = JSON.parse(await readFile(new URL('package.json', folder), 'utf8'));
  const files = (await readdir(folder)).filter((file) => /^licen[cs]e/i.test(file)).sort();
  const texts = await Promise.all(files.map((file) => readFile(new URL(file, folder), 'utf8')));
  seen.set(name, `${name} ${about.version}, ${about.license}\n\n${texts.join('\n').trim()}\n`);
  for (const other of Object.keys(about.dependencies ?? {}).sort()) await licences(other, seen);
  return seen;
}

const notices = [...(await licences('maplibre-gl')).entries()].sort(([a], [b]) => (a < b ? -1 : 1));
const text = notices.map(([, words]) => words).join(`\n${'-'.repeat(72)}\n\n`);
await writeFile(new URL('page/notices.txt', dist), text.replaceAll('\r\n', '\n'));

const names = (await readdir(dist, { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile() && !entry.name.endsWith('.gz'))
  .map((entry) => `${entry.parentPath ?? entry.path}/${entry.name}`.split('/dist/')[1].replace(/^\/+/, ''))
  .sort();
const rows = [];
for (const name of names) {
  const url = new URL(name, dist);
  const bytes = await readFile(url);
  const packed = new URL(`${name}.gz`, dist);
  const isCompressed = bytes.length >= COMPRESSED_BYTES_MIN;
  // One that gives the same bytes on every machine and with every Node.
  if (isCompressed) await writeFile(packed, gzipSync(bytes, { level: 9, mtime: 0 }));
  else await rm(packed, { force: true });
  const include = (file) => `include_bytes!("../../web/dist/${file}")`;
  rows.push(`    File {
        path: "/${name === 'index.html' ? '' : name}",
        content_type: "${TYPES[name.split('.').at(-1)]}",
        is_named_by_content: ${/-[\w-]{8}\.\w+$/.test(name)},
        plain: ${include(name)},
        compressed: ${isCompressed ? `Some(${include(`${name}.gz`)})` : 'None'},
    },`);
}
await writeFile(
  table,
  `//! The built files of the live page; \`npm run build\` in \`server/web\` writes this table.

use super::File;

/// Every file, by its path.
pub(super) static FILES: [File; ${rows.length}] = [
${rows.join('\n')}
];
`,
);
