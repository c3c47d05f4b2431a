// SPDX-License-Identifier: MPL-2.0
//
// The vendor's tests of the page in Debian's Chromium, against the server at VAULT_ADDR (scripts/test-ui.sh).

const vendors = require(process.cwd() + '/testem.js');

module.exports = {
  ...vendors,
  // The page is built to be served below /ui/.
  routes: { '/ui': '.' },
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
  tap_failed_tests_only: false,
  browser_disconnect_timeout: 120,
  proxies: { '/v1': { target: process.env.VAULT_ADDR } },
  parallel: 1,
};
