import { z } from 'zod'
import { COLUMN_NAMES, COLUMNS } from '../tensors/columns.ts'

/** Raw value → `transform` → minus `offset` → divided by `scale` → `clip`, in this order. */
const feature = z
  .strictObject({
    column: z.enum(COLUMN_NAMES),
    unit: z.string(),
    lookup: z.enum(['physical', 'icemix']).optional(),
    transform: z.enum(['log10', 'ln', 'log1p', 'asinh']).optional(),
    offset: z.number().default(0),
    scale: z
      .number()
      .refine((scale) => scale !== 0, 'must not be 0: values are divided by it')
      .default(1),
    clip: z.tuple([z.number(), z.number()]).optional(),
  })
  .superRefine((spec, context) => {
    const facts = COLUMNS[spec.column]
    const complain = (key: string, message: string) =>
      context.addIssue({ code: 'custom', path: [key], message })
    if (spec.unit !== facts.unit)
      complain('unit', `must be "${facts.unit}": ${spec.column} has no other unit here`)
    if (facts.hasLookup && spec.lookup === undefined) complain('lookup', 'must be "physical" or "icemix"')
    if (!facts.hasLookup && spec.lookup !== undefined) complain('lookup', `has no meaning for ${spec.column}`)
    const needsPositive = spec.transform === 'log10' || spec.transform === 'ln'
    if (needsPositive && !facts.positive)
      complain('transform', `takes values above 0, ${spec.column} can be 0 or less`)
    if (spec.transform === 'log1p' && facts.signed)
      complain('transform', `takes values above -1, ${spec.column} can be less`)
    if (spec.clip && spec.clip[0] >= spec.clip[1]) complain('clip', 'must be [lower, upper]')
  })

const tensorName = z.string().min(1)
const numeric = z.enum(['float16', 'float32', 'float64', 'int32', 'int64', 'bool'])
const integer = z.enum(['int32', 'int64'])
const features = z.array(feature).min(1)
const oneFeature = z.array(feature).length(1)
const padding = z.number().default(0)

const input = z.discriminatedUnion('layout', [
  z.strictObject({ name: tensorName, layout: z.literal('padded'), dtype: numeric, features, padding }),
  z.strictObject({
    name: tensorName,
    layout: z.literal('padded-transposed'),
    dtype: numeric,
    features,
    padding,
  }),
  z.strictObject({
    name: tensorName,
    layout: z.literal('padded-column'),
    dtype: numeric,
    features: oneFeature,
    padding,
  }),
  z.strictObject({ name: tensorName, layout: z.literal('flat'), dtype: numeric, features }),
  z.strictObject({
    name: tensorName,
    layout: z.literal('flat-column'),
    dtype: numeric,
    features: oneFeature,
  }),
  z.strictObject({ name: tensorName, layout: z.literal('event'), dtype: numeric, features }),
  z.strictObject({
    name: tensorName,
    layout: z.literal('event-column'),
    dtype: numeric,
    features: oneFeature,
  }),
  z.strictObject({
    name: tensorName,
    layout: z.literal('mask'),
    dtype: numeric,
    trueMeans: z.enum(['pulse', 'padding']),
  }),
  z.strictObject({ name: tensorName, layout: z.literal('lengths'), dtype: integer }),
  z.strictObject({ name: tensorName, layout: z.literal('offsets'), dtype: integer }),
  z.strictObject({ name: tensorName, layout: z.literal('event-index'), dtype: integer }),
])

const points = z.enum(['source', 'travel'])
const kappa = z.strictObject({ tensor: tensorName, transform: z.enum(['exp']).optional() })
const degenerate = z.strictObject({ tensor: tensorName })
const axes = z
  .tuple([z.enum(['x', 'y', 'z']), z.enum(['x', 'y', 'z']), z.enum(['x', 'y', 'z'])])
  .refine((order) => new Set(order).size === 3, 'must name x, y and z once each')
const angleOrder = z
  .tuple([z.enum(['azimuth', 'zenith']), z.enum(['azimuth', 'zenith'])])
  .refine((order) => order[0] !== order[1], 'must name azimuth and zenith once each')

const output = z.discriminatedUnion('meaning', [
  z.strictObject({
    meaning: z.literal('vector'),
    tensor: tensorName,
    axes,
    points,
    kappa: kappa.optional(),
    degenerate: degenerate.optional(),
  }),
  z.strictObject({
    meaning: z.literal('vector-kappa'),
    tensor: tensorName,
    axes,
    points,
    degenerate: degenerate.optional(),
  }),
  z.strictObject({
    meaning: z.literal('azimuth-zenith'),
    tensors: z.array(tensorName).min(1).max(2),
    order: angleOrder,
    unit: z.literal('rad'),
    points,
    kappa: kappa.optional(),
    degenerate: degenerate.optional(),
  }),
])

const pulses = z.strictObject({
  keep: z.enum(['all', 'hlc']).default('all'),
  hlcMin: z.int().min(1).default(1),
  min: z.int().min(1).default(1),
  max: z.int().min(1).nullable(),
  prefer: z.enum(['hlc', 'none']),
  by: z.enum(['time', 'charge', 'spread']),
  order: z.enum(['time', 'charge', 'as-given']),
})

const paddedLength = z.union(
  [
    z.strictObject({ fixed: z.int().min(1) }),
    z.strictObject({ multipleOf: z.int().min(1).max(1024), min: z.int().min(1).default(1) }),
  ],
  'must be {"multipleOf": m, "min": k} or {"fixed": n}',
)

const limits = z.strictObject({
  /** Most pulses of one event after selection, which bounds memory. */
  pulsesPerEvent: z.int().min(1).default(4096),
  /** Most padded pulses of a run of several events; a longer event runs alone. */
  tokensPerRun: z.int().min(1).max(1_048_576).default(1024),
  eventsPerRun: z.int().min(1).max(4096).default(64),
})

const training = z.strictObject({
  dataDigest: z
    .string()
    .regex(
      /^sha256:[0-9a-f]{64}$/,
      'must be "sha256:" and 64 hexadecimal digits, or null where nothing was trained',
    )
    .nullable(),
  events: z.int().min(0).optional(),
  framework: z.string().optional(),
  commit: z.string().optional(),
  seed: z.int().optional(),
  parameters: z.int().min(0).optional(),
  note: z.string().optional(),
})

const expectedAccuracy = z.strictObject({
  data: z.string().min(1),
  events: z.int().min(1),
  meanAngularErrorRad: z.number().min(0).max(Math.PI),
  medianAngularErrorRad: z.number().min(0).max(Math.PI).optional(),
})

const histogram = z
  .strictObject({ edges: z.array(z.number()).min(3), shares: z.array(z.number().min(0)).min(2) })
  .superRefine(({ edges, shares }, context) => {
    const complain = (key: string, message: string) =>
      context.addIssue({ code: 'custom', path: [key], message })
    if (edges.some((edge, i) => i > 0 && edge <= edges[i - 1])) complain('edges', 'must ascend')
    if (shares.length !== edges.length - 1)
      complain('shares', `has ${shares.length} values: ${edges.length} edges make ${edges.length - 1} bins`)
    const sum = shares.reduce((total, share) => total + share, 0)
    if (Math.abs(sum - 1) > 1e-3) complain('shares', `sum to ${sum}: shares of all events sum to 1`)
  })

/** Histograms of the events that a model was trained on. */
export const referenceSchema = z.strictObject({
  data: z.string().min(1),
  events: z.int().min(1),
  pulses: histogram,
  charge: histogram,
  auxiliary: histogram,
})

/** The description that networks and ensembles share. */
export const descriptionSchema = z.strictObject({
  formatVersion: z.literal(1),
  name: z.string().regex(/^[a-z0-9][a-z0-9._-]*$/, 'must be lower case letters, digits, ".", "_" or "-"'),
  version: z.string().min(1),
  description: z.string().min(1),
  licence: z.string().min(1),
  origin: z.string().min(1),
  training,
  expectedAccuracy: expectedAccuracy.optional(),
  reference: referenceSchema.optional(),
})

/** `model.json` of one network, read strictly. Specified in docs/models.md. */
export const manifestSchema = descriptionSchema
  .extend({
    pulses,
    inputs: z.array(input).min(1),
    paddedLength: paddedLength.default({ multipleOf: 1, min: 1 }),
    output,
    limits: limits.prefault({}),
    parity: z
      .literal('parity.json', 'must be "parity.json", or null for a model without a fixture')
      .nullable(),
  })
  .superRefine((manifest, context) => checkWhole(manifest, context))

export type ModelManifest = z.infer<typeof manifestSchema>
export type InputSpec = z.infer<typeof input>
export type FeatureSpec = z.infer<typeof feature>
export type OutputSpec = z.infer<typeof output>
export type PulsesSpec = z.infer<typeof pulses>

interface Whole {
  inputs: InputSpec[]
  pulses: PulsesSpec
  paddedLength: z.infer<typeof paddedLength>
  limits: z.infer<typeof limits>
}

/** Rules that involve several fields. */
function checkWhole(manifest: Whole, context: z.RefinementCtx): void {
  const { inputs, pulses: selection, paddedLength: rule } = manifest
  const complain = (path: (string | number)[], message: string) =>
    context.addIssue({ code: 'custom', path, message })
  for (const [index, spec] of inputs.entries()) {
    if (inputs.findIndex((other) => other.name === spec.name) !== index) {
      complain(['inputs', index, 'name'], 'names an input that is listed already')
    }
    if (!('features' in spec) || !spec.layout.startsWith('event')) continue
    for (const [place, { column }] of spec.features.entries()) {
      if (COLUMNS[column].scope === 'event') continue
      complain(
        ['inputs', index, 'features', place, 'column'],
        'is a value per pulse; this tensor holds events',
      )
    }
  }
  const isPadded = inputs.some((spec) => spec.layout.startsWith('padded'))
  if (!isPadded && !inputs.some((spec) => spec.layout.startsWith('flat'))) {
    complain(['inputs'], 'must hold at least one tensor of pulses (layout "padded…" or "flat…")')
  }
  if ('fixed' in rule && (selection.max === null || selection.max > rule.fixed)) {
    complain(['pulses', 'max'], `must be at most paddedLength.fixed (${rule.fixed})`)
  }
  if (isPadded && !hidesPadding(inputs) && 'multipleOf' in rule && (rule.multipleOf > 1 || rule.min > 1)) {
    complain(
      ['paddedLength'],
      'pads events, but no input of layout "mask" or "lengths" tells the model where',
    )
  }
  if (selection.max !== null && selection.max < selection.min)
    complain(['pulses', 'max'], 'must not be below pulses.min')
}

/** Whether an input tells the network what is padding; otherwise only events of equal length share a run. */
export function hidesPadding(inputs: readonly InputSpec[]): boolean {
  return inputs.some((spec) => spec.layout === 'mask' || spec.layout === 'lengths')
}

const member = z.strictObject({
  folder: z.string().min(1),
  weight: z.number().positive('must be above 0: remove a member that must not count'),
})

/** `model.json` of an ensemble, read strictly. Specified in docs/models.md. */
export const ensembleSchema = descriptionSchema.extend({
  members: z.array(member).min(1),
  /** Components of a member's raw vector are limited to ± this value before weighting. */
  clip: z.number().positive().optional(),
})

export type EnsembleManifest = z.infer<typeof ensembleSchema>
