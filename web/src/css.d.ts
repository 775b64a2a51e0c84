/** Style sheets are gathered by Vite; importing them gives nothing. */
declare module '*.css'
