// Makes one small file of the client, for pages without a bundler; its size is what a test judges.
import { build } from 'vite';

const folder = new URL('../client/', import.meta.url).pathname;
await build({
  configFile: false,
  root: folder,
  logLevel: 'warn',
  build: {
    lib: { entry: `${folder}dist/src/index.js`, formats: ['es'], fileName: () => 'pitwall-client.min.js' },
    outDir: `${folder}dist`,
    emptyOutDir: false,
    minify: true,
    target: 'es2022',
  },
});
