// SPDX-License-Identifier: MPL-2.0
//
// The vendor's tests of the page in Debian's Chromium (scripts/vendor-tests.sh): TESTS is the folder with the built
// tests, FILTER which of them, VAULT_ADDR the server.

module.exports = {
  cwd: process.env.TESTS,
  // The page is built to be served below /ui/.
  routes: { '/ui': '.' },
  proxies: { '/v1': { target: process.env.VAULT_ADDR } },
  // As the vendor's own configuration has it.
  test_page: `tests/index.html?hidepassed&enableA11yAudit&filter=${encodeURIComponent(process.env.FILTER)}`,
  disable_watching: true,
  tap_quiet_logs: true,
  parallel: 1,
  browser_start_timeout: 120,
  browser_disconnect_timeout: 120,
  launch_in_ci: ['Chromium'],
  browser_args: {
    Chromium: {
      ci: [
        // Chromium has no sandbox for root.
        process.getuid() === 0 ? '--no-sandbox' : null,
        '--headless',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--mute-audio',
        '--remote-debugging-port=0',
        '--window-size=1440,900',
      ].filter(Boolean),
    },
  },
};
