import { createRoot } from 'react-dom/client'
import { App } from './app.tsx'
import { Page } from './page.ts'
import { PageContext } from './page-context.ts'
import 'uplot/dist/uPlot.min.css'
import './style/base.css'
import './style/scene.css'
import './style/side.css'
import './style/over.css'

const root = document.getElementById('page')
if (!root) throw new Error('index.html has no element "page"')
const page = new Page()
createRoot(root).render(
  <PageContext value={page}>
    <App />
  </PageContext>,
)
page.open()
