import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { defineConfig, type Plugin } from 'vite'

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
  plugins: [fontLicence()],
})

/** Vite lists the licences of scripts; that of a font must go with it, too. */
function fontLicence(): Plugin {
  return {
    name: 'font-licence',
    generateBundle() {
      const path = createRequire(import.meta.url).resolve('@fontsource-variable/inter/LICENSE')
      this.emitFile({ type: 'asset', fileName: 'inter-licence.txt', source: readFileSync(path, 'utf8') })
    },
  }
}
