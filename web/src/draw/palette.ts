import { Color, ColorManagement } from 'three'

// Colours are those of the style sheet and mix as in CSS.
ColorManagement.enabled = false

/** Colours of everything except measured light; the same as in style/. */
export const PALETTE = {
  page: new Color('#0a0d12'),
  sensor: new Color('#7d8da5'),
  string: new Color('#2b3543'),
  outline: new Color('#3b4859'),
  reconstructed: new Color('#ffffff'),
  truth: new Color('#57c8ee'),
  reference: new Color('#7fd98b'),
  lineFit: new Color('#a3afbf'),
}
