// Builds the page into files that depend on their sources alone: names by content, no maps, no dates.
import { defineConfig } from 'vite';

export default defineConfig({
  base: '/',
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    assetsDir: 'page',
    assetsInlineLimit: 0,
    target: ['chrome109', 'firefox115', 'safari16.4'],
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2_000,
  },
  server: {
    // A pitwall with LIVE_PAGE=on that runs beside `npm run watch`.
    proxy: {
      '/ws-live': { target: 'http://127.0.0.1:8081', ws: true },
      '/page.json': 'http://127.0.0.1:8081',
      '/page/login': 'http://127.0.0.1:8081',
    },
  },
});
