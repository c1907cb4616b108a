// A picture of a Superset page: node screenshot.js SUPERSET PATH FILE, with Debian's Chromium.
'use strict'

const fs = require('fs')
const os = require('os')
const path = require('path')
const { chromium } = require('playwright-core')

const [superset, page, file] = process.argv.slice(2)
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync']

async function main() {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'chromium-'))
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: '/usr/bin/chromium', headless: true, args: flags, viewport: { width: 1280, height: 1000 },
  })
  const tab = await context.newPage()
  // Nothing but Superset is there.
  await tab.route((url) => url.origin !== superset, (route) => route.abort())
  await tab.goto(`${superset}/login/`)
  await tab.fill('input[name="username"], #username', 'admin')
  await tab.fill('input[name="password"], #password', 'admin')
  await Promise.all([tab.waitForURL((url) => !url.pathname.startsWith('/login')), tab.keyboard.press('Enter')])
  await tab.goto(superset + page)
  await tab.waitForSelector('.pvtTable', { timeout: 60000 })
  await tab.waitForFunction(() => document.querySelectorAll('.slice_container canvas, .slice_container svg').length >= 2, null, { timeout: 60000 })
  await tab.waitForTimeout(2500)
  const failed = await tab.getByText(/Data error|Database error|Unexpected error/i).count()
  await tab.screenshot({ path: file })
  await context.close()
  fs.rmSync(profile, { recursive: true, force: true })
  if (failed) throw new Error(`${failed} charts failed`)
  console.log('ok')
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
