import { createContext, useContext } from 'react'
import type { Page } from './page.ts'

export const PageContext = createContext<Page | undefined>(undefined)

export function usePage(): Page {
  const page = useContext(PageContext)
  if (!page) throw new Error('a part of the page was drawn outside it')
  return page
}
