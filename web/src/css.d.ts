/** Vite bundles style sheets; importing them gives no value. */
declare module '*.css'
