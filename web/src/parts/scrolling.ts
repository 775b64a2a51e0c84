/** What scrolls must be reachable by keys, even where nothing in it can be activated (WCAG 2.1.1). */
export const SCROLLING = { tabIndex: 0 } as const
