// SPDX-License-Identifier: MPL-2.0
//
// An operator's walk through the pages of replication, by mouse and keyboard, over TLS: usage of walk_test.go.
// WALK has the clusters as JSON and the folder for screenshots. Each step prints its name before it is done.
import { createRequire } from 'node:module';
import path from 'node:path';

const { chromium } = createRequire(path.join(process.env.PLAYWRIGHT, 'package.json'))('playwright-core');
const { east, west, eu, shots, ca } = JSON.parse(process.env.WALK);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: process.getuid() === 0 ? ['--no-sandbox'] : [],
});

let number = 0;
let current;
function step(name) {
  number += 1;
  console.log(`${String(number).padStart(2)}. ${name}`);
}

// open gives a browser that knows nothing of the others, at the first page of a cluster.
async function open(cluster) {
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    viewport: { width: 1440, height: 1150 },
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on('pageerror', (error) => console.log(`    the page's own error: ${error.message}`));
  await page.goto(`${cluster.address}/ui/`);
  current = page;
  return page;
}

// shot leaves out what the page says for some seconds: it lies over the rest.
async function shot(page, name) {
  const file = `${String(number).padStart(2, '0')}-${name}.png`;
  const style = '.hds-toast { visibility: hidden }';
  await page.screenshot({ path: path.join(shots, file), animations: 'disabled', style });
}

const button = (page, name) => page.getByRole('button', { name, exact: true });
const link = (page, name) => page.getByRole('link', { name, exact: true });
const modal = (page) => page.getByRole('dialog');

async function login(page, token) {
  await page.getByLabel('Token', { exact: true }).fill(token);
  await button(page, 'Sign in').click();
  await page.getByRole('heading', { name: /^Vault v/ }).waitFor();
}

// replication goes there by the side bar, from wherever the page is.
async function replication(page, mode) {
  current = page;
  const back = link(page, 'Back to main navigation');
  if (await back.count()) await back.click();
  await link(page, 'Replication').click();
  if (mode) await link(page, mode).click();
}

async function enablePrimary(page) {
  await page.getByLabel('Cluster mode').selectOption('primary');
  await button(page, 'Enable Replication').click();
  await page.getByText('primary', { exact: true }).first().waitFor();
}

// activationToken adds a secondary and takes the token from the dialogue, as it is copied.
async function activationToken(page, mode, id, filter) {
  await replication(page, mode);
  await link(page, 'Secondaries').click();
  await link(page, 'Add secondary').click();
  await page.getByLabel('Secondary ID').fill(id);
  if (filter) await filter();
  await button(page, 'Generate token').click();
  const token = await modal(page).locator('#token-textarea').inputValue();
  await shot(page, `token-for-${id}`);
  await button(modal(page), 'Copy token').click();
  await button(modal(page), 'Close').click();
  await page.getByText(id, { exact: true }).first().waitFor();
  return token;
}

async function enableSecondary(page, type, token) {
  await replication(page);
  await page.locator(`label[for=${type}]`).first().click();
  await page.getByLabel('Cluster mode').selectOption('secondary');
  await page.getByLabel('Secondary activation token').fill(token);
  await page.getByLabel('CA file').fill(ca);
  await page.getByLabel('CA file').blur();
  await shot(page, `enable-${type}`);
  await button(page, 'Enable Replication').click();
}

// serving waits until the first copy of a performance secondary has ended: until then there is no login.
async function serving(page, cluster) {
  for (;;) {
    const health = await page.request.get(`${cluster.address}/v1/sys/health`, { failOnStatusCode: false });
    if (health.status() === 200 && (await health.json()).replication_performance_mode === 'secondary') return;
    await page.waitForTimeout(200);
  }
}

// operationToken is made out of a key share by the dialogue of a DR secondary.
async function operationToken(page, share) {
  await link(page, 'Manage').click();
  await button(page, 'Generate token').click();
  await button(modal(page), 'Generate operation token').click();
  await modal(page).getByLabel('Root key portion').fill(share);
  await button(modal(page), 'Generate token').click();
  const command = modal(page).locator('pre');
  await command.waitFor();
  await shot(page, 'operation-token');
  const [, otp, encoded] = (await command.textContent()).match(/-otp="([^"]+)" -decode="([^"]+)"/);
  await button(modal(page), 'Clear & Close').click();
  const bytes = Buffer.from(encoded, 'base64');
  return String.fromCharCode(...bytes.map((byte, i) => byte ^ otp.charCodeAt(i)));
}

async function walk() {
  step('east: log in, and the dashboard');
  const one = await open(east);
  await login(one, east.token);
  await shot(one, 'dashboard');

  step('east: enable DR replication as primary');
  await replication(one);
  await one.locator('label[for=dr]').first().click();
  await enablePrimary(one);
  await shot(one, 'dr-primary');

  step('east: a token for the DR secondary west');
  const forWest = await activationToken(one, 'Disaster Recovery', 'west');

  step('west: enable DR replication as secondary');
  const two = await open(west);
  await login(two, west.token);
  await enableSecondary(two, 'dr', forWest);

  step('west: its page without a login');
  const anybody = await open(west);
  await link(anybody, 'Details').click();
  await anybody.getByText('stream-wals').first().waitFor();
  await shot(anybody, 'dr-secondary');

  step('east: enable performance replication as primary');
  await replication(one, 'Performance');
  await enablePrimary(one);

  step('east: a token for the performance secondary eu, with a paths filter');
  const forEU = await activationToken(one, 'Performance', 'eu', async () => {
    await one.locator('label[for=deny]').first().click();
    await one.locator('#paths').getByText('Search').first().click();
    await one.getByText('us-only/').first().click();
    await shot(one, 'paths-filter');
  });

  step('eu: enable performance replication as secondary');
  const three = await open(eu);
  await login(three, eu.token);
  await enableSecondary(three, 'performance', forEU);

  step("eu: log in with the primary's user, and see its engines");
  await serving(three, eu);
  const reader = await open(eu);
  await reader.getByLabel('Method').selectOption('userpass');
  await reader.getByLabel('Username', { exact: true }).fill('ann');
  await reader.getByLabel('Password', { exact: true }).fill('walk');
  await button(reader, 'Sign in').click();
  await link(reader, 'Secrets Engines').click();
  await reader.getByText('shared/').first().waitFor();
  if (await reader.getByText('us-only/').count()) throw new Error('eu shows the mount that is filtered out');
  await replication(reader, 'Performance');
  await reader.getByText('stream-wals').first().waitFor();
  await shot(reader, 'performance-secondary');

  step('east: both modes in the overview, and the filter of eu');
  await replication(one);
  await one.getByRole('heading', { name: 'Disaster Recovery' }).first().waitFor();
  await shot(one, 'overview');
  await link(one, 'Disaster Recovery').click();
  await one.getByText('west', { exact: true }).first().waitFor();
  await shot(one, 'dr-dashboard');
  await link(one, 'Performance').click();
  await one.getByText('eu', { exact: true }).first().waitFor();
  await shot(one, 'performance-dashboard');
  await link(one, 'Secondaries').click();
  await button(one, 'Secondary popup nav menu').first().click();
  await link(one, 'Path filter config').click();
  await one.getByText('us-only/').first().waitFor();
  await shot(one, 'filter-of-eu');

  step('west: a DR operation token, without a login');
  const promotion = await operationToken(anybody, east.share);

  step('east: demote the DR primary');
  await replication(one, 'Disaster Recovery');
  await link(one, 'Manage').click();
  await button(one, 'Demote').click();
  await modal(one).getByRole('textbox').fill('Disaster Recovery');
  await shot(one, 'demote');
  await button(modal(one), 'Confirm').click();
  await one.waitForURL('**/ui/vault/replication-dr-promote**');
  await link(one, 'Details').waitFor();
  await shot(one, 'demoted-while-open');
  const demoted = await open(east);
  await demoted.getByText('secondary', { exact: true }).first().waitFor();
  await shot(demoted, 'demoted');

  step('west: promote it');
  current = anybody;
  await button(anybody, 'Promote').click();
  await modal(anybody).getByLabel('DR Operation Token').fill(promotion);
  await shot(anybody, 'promote');
  await button(modal(anybody), 'Promote').click();

  step('west: log in with the token of east, and a token for east');
  const promoted = await open(west);
  await login(promoted, east.token);
  const forEast = await activationToken(promoted, 'Disaster Recovery', 'east');

  step('east: update its primary, without a login');
  const former = await open(east);
  const permission = await operationToken(former, east.share);
  await button(former, 'Update').click();
  await modal(former).getByLabel('DR operation token').fill(permission);
  await modal(former).getByLabel('Secondary activation token').fill(forEast);
  await modal(former).getByLabel('CA file').fill(ca);
  await shot(former, 'update-primary');
  await button(modal(former), 'Update').click();
  await link(former, 'Details').click();
  await former.getByText('stream-wals').first().waitFor();
  await shot(former, 'former-primary');
}

try {
  await walk();
} catch (error) {
  await current?.screenshot({ path: path.join(shots, 'failed.png'), fullPage: true });
  console.error(`step ${number} failed at ${current?.url()}: ${error.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
