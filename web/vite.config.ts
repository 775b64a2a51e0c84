import { defineConfig } from 'vite'

/** Plain files that the display service serves as they are: no inline script or style, nothing from elsewhere. */
export default defineConfig({
  root: import.meta.dirname,
  // Also right below a path of somebody's proxy.
  base: './',
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2023',
    modulePreload: { polyfill: false },
    // A `data:` image or font would need an exception in the Content-Security-Policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2_000,
    license: { fileName: 'licenses.txt' },
  },
})
