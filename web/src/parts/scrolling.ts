/** A scrolling element must be reachable by keyboard, even if nothing in it can be activated (WCAG 2.1.1). */
export const SCROLLING = { tabIndex: 0 } as const
