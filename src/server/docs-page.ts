import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'

/**
 * `/docs` (a page that loads nothing from elsewhere and runs under a strict Content-Security-Policy) and `/docs/json`.
 * Registered before the routes that it describes.
 */
export function docsPage(app: FastifyInstance, version: string, hasToken: boolean): void {
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'nustream model server',
        version,
        description: 'Directions of neutrino events from their raw pulses, and the Open Inference Protocol.',
      },
      ...(hasToken && { components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } } }),
    },
    transform: ({ schema, url }) => ({ schema: hasToken ? schema : withoutSecurity(schema), url }),
  })
  app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    uiConfig: { validatorUrl: null, docExpansion: 'list' },
  })
}

function withoutSecurity<T extends object>(schema: T): T {
  if (!('security' in schema)) return schema
  const { security: _none, ...rest } = schema
  // The same schema without a field that is optional in it.
  return rest as T
}
