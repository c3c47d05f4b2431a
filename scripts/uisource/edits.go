// SPDX-License-Identifier: MPL-2.0

package main

import "github.com/vault-replication/vault-replication/scripts/textedit"

// edit replaces one piece of a file of Vault's page.
type edit = textedit.Edit

// The page of this edition has the pages of replication, and asks for them where the edition is Enterprise. Saying
// that it is one would show pages of licences, usage and namespaces too, which nothing here answers.
var replicationEdits = []edit{
	{
		File: "app/services/version.js",
		Old:  "@tracked features = [];",
		New:  "@tracked features = ['DR Replication', 'Performance Replication'];",
		Why:  "the server has these two features of Enterprise, and no licence to read them from",
	},
	{
		File: "app/adapters/cluster.js",
		Old:  "if (this.version.isEnterprise && this.namespaceService.inRootNamespace) {",
		New:  "if (this.version.hasDRReplication && this.namespaceService.inRootNamespace) {",
		Why:  "a DR secondary shows its page before any login, by its status",
	},
	{
		File: "app/components/sidebar/nav/cluster.hbs",
		Old:  "this.version.isEnterprise\n      this.isRootNamespace\n      (not this.cluster.replicationRedacted)",
		New:  "this.version.hasDRReplication\n      this.isRootNamespace\n      (not this.cluster.replicationRedacted)",
		Why:  "the link to the pages of replication",
	},
	{
		File: "app/components/sidebar/nav/cluster.hbs",
		Old:  "      this.version.features\n",
		New:  "      this.version.isEnterprise\n",
		Why:  "there is no licence to show where there are features",
	},
	{
		File: "app/components/dashboard/overview.hbs",
		Old:  "    {{else}}\n      <div class=\"is-flex-column is-flex-1 gap-24\">\n",
		New: `    {{else}}
      <div class="is-flex-column is-flex-1 gap-24">
        {{#if
          (and (has-permission "status" routeParams="replication") (not (is-empty-value @replication)) @isRootNamespace)
        }}
          <Dashboard::ReplicationCard
            @replication={{@replication}}
            @version={{@version}}
            @refresh={{@refreshModel}}
            @updatedAt={{@replicationUpdatedAt}}
          />
        {{/if}}
`,
		Why: "the dashboard of this edition has no card of replication",
	},
	{
		File: "lib/replication/addon/components/path-filter-config-list.js",
		Old:  "const { namespaces, lastOptions } = this;",
		New:  "const { lastOptions } = this;\n    const namespaces = this.namespaces ?? [];",
		Why:  "there are no namespaces, and without their list that of the paths stays empty",
	},
}

// What the page says of itself and to whom.
var wordEdits = []edit{
	{
		File: "app/components/app-footer.hbs",
		Old:  "    {{this.version.version}}\n  </AF.Link>",
		New: "    {{this.version.version}}\n  </AF.Link>\n" +
			"  <AF.Item><Hds::Text::Body @tag=\"span\" @size=\"100\" @color=\"faint\">" +
			"Built by vault-replication, not by HashiCorp</Hds::Text::Body></AF.Item>",
		Why: "nobody is to take this for a build of HashiCorp",
	},
	{
		File: "config/environment.js",
		Old:  "      provider: 'posthog',\n      enabled: true,",
		New:  "      provider: 'posthog',\n      enabled: false,",
		Why:  "no build of ours sends anybody's clicks anywhere",
	},
}

// What npm has not is replaced by code of our own in the folder page, or left out.
var packageEdits = []edit{
	{
		File: ".yarnrc.yml",
		Old:  "yarnPath: .yarn/releases/yarn-3.5.0.cjs\n",
		New: "yarnPath: .yarn/releases/yarn-3.5.0.cjs\n" +
			"enableGlobalCache: true\nenableScripts: false\nenableTelemetry: false\nhttpTimeout: 120000\n",
		Why: "no package runs anything when it is installed, and what was fetched is kept for the next time",
	},
	{
		File: "app/styles/components/usage-page.scss",
		Old:  "@use 'vault-reporting';",
		New:  "@use './ring-chart';",
		Why:  "vault-reporting is a package of HashiCorp's own; only its ring chart is used in this edition",
	},
	{
		File: "ember-cli-build.js",
		Old:  "      './node_modules/@hashicorp-internal/vault-reporting/dist/styles',\n",
		Why:  "its styles",
	},
	{
		File: "app/components/usage/page.hbs",
		Old: `<VaultReporting::Views::Dashboard
  @onFetchUsageData={{this.handleFetchUsageData}}
  @onFetchNamespaceData={{this.handleFetchNamespaceData}}
  @isVaultDedicated={{this.flags.isHvdManaged}}
/>`,
		New: "<p>Not in this build.</p>",
		Why: "its page of usage, which Enterprise alone has",
	},
	{
		File: "package.json",
		Old:  "    \"@hashicorp-internal/vault-reporting\": \"file:vault-reporting/0.8.0.tgz\",\n",
		Why:  "the package itself",
	},
	{
		File: "package.json",
		Old:  "    \"@lineal-viz/lineal\": \"~0.5.1\",\n",
		Why:  "the charts of client counts, which need little of it",
	},
	{
		File: "package.json",
		Old:  "    \"broccoli-sri-hash\": \"meirish/broccoli-sri-hash#rooturl\",\n",
		Why:  "a fork on a code host; the page never had integrity attributes",
	},
	{
		File: "package.json",
		Old:  "    \"ember-cli-sri\": \"meirish/ember-cli-sri#rooturl\",\n",
		Why:  "its other half",
	},
	{
		File: "package.json",
		Old:  "\"ember-service-worker\": \"meirish/ember-service-worker#configurable-scope\"",
		New:  "\"ember-service-worker\": \"9.0.1\"",
		Why:  "a fork on a code host; installedEdits add what it has more than the release",
	},
	{
		File: "package.json",
		Old:  "\"@hashicorp/vault-client-typescript\": \"hashicorp/vault-client-typescript\"",
		New:  "\"@hashicorp/vault-client-typescript\": \"link:./vault-client\"",
		Why:  "a client on a code host; ours is generated from the server's own OpenAPI document",
	},
	{
		File: "package.json",
		Old:  "\"@hashicorp/design-system-components\": \"4.20.1\"",
		New:  "\"@hashicorp/design-system-components\": \"4.20.2\"",
		Why:  "npm does not have 4.20.1",
	},
	{
		File: "package.json",
		Old:  "    \"socket.io\": \"4.8.1\",\n",
		New:  "    \"socket.io\": \"4.8.1\",\n    \"@hashicorp/flight-icons\": \"3.14.0\",\n",
		Why:  "npm does not have the version that the lock file names",
	},
}

// The lock file lists what package.json asks for; lock.txt has the rest of its changes.
var lockEdits = []edit{
	{
		File: "yarn.lock",
		Old:  "    \"@hashicorp-internal/vault-reporting\": \"file:vault-reporting/0.8.0.tgz\"\n",
		Why:  "as in package.json",
	},
	{
		File: "yarn.lock",
		Old:  "    \"@hashicorp/design-system-components\": 4.20.1\n",
		New:  "    \"@hashicorp/design-system-components\": 4.20.2\n",
		Why:  "as in package.json",
	},
	{
		File: "yarn.lock",
		Old:  "    \"@hashicorp/vault-client-typescript\": hashicorp/vault-client-typescript\n",
		New:  "    \"@hashicorp/vault-client-typescript\": \"link:./vault-client\"\n",
		Why:  "as in package.json",
	},
	{File: "yarn.lock", Old: "    \"@lineal-viz/lineal\": ~0.5.1\n", Why: "as in package.json"},
	{
		File: "yarn.lock",
		Old:  "    broccoli-sri-hash: \"meirish/broccoli-sri-hash#rooturl\"\n",
		Why:  "as in package.json",
	},
	{File: "yarn.lock", Old: "    ember-cli-sri: \"meirish/ember-cli-sri#rooturl\"\n", Why: "as in package.json"},
	{
		File: "yarn.lock",
		Old:  "    ember-service-worker: \"meirish/ember-service-worker#configurable-scope\"\n",
		New:  "    ember-service-worker: 9.0.1\n",
		Why:  "as in package.json",
	},
}

// The released ember-service-worker has no scope apart from the root of the page.
var installedEdits = []edit{
	{
		File: "node_modules/ember-service-worker/index.js",
		Old:  "serviceWorkerFilename: options.serviceWorkerFilename\n",
		New: "serviceWorkerFilename: options.serviceWorkerFilename,\n" +
			"      serviceWorkerScope: options.serviceWorkerScope\n",
		Why: "the scope is an option",
	},
	{
		File: "node_modules/ember-service-worker/lib/service-worker-builder.js",
		Old:  "SERVICE_WORKER_FILENAME: this.options.serviceWorkerFilename\n",
		New: "SERVICE_WORKER_FILENAME: this.options.serviceWorkerFilename,\n" +
			"      SERVICE_WORKER_SCOPE: this.options.serviceWorkerScope || this.options.rootURL\n",
		Why: "the option becomes a word of the worker's code",
	},
	{
		File: "node_modules/ember-service-worker/service-worker-registration/index.js",
		Old:  "{ scope: '{{ROOT_URL}}' }",
		New:  "{ scope: '{{SERVICE_WORKER_SCOPE}}' }",
		Why:  "the download of a snapshot needs a worker on another path than the page",
	},
}

// testEdits are of the vendor's tests, and change nothing of the page.
var testEdits = []edit{
	{
		File: "tests/acceptance/enterprise-replication-modes-test.js",
		Old:  "  await waitFor(s.title(selector));\n",
		New:  "  await waitFor(s.title(selector));\n  await settled();\n",
		Why: "the page of a mode that is off loads once more when it is there: a test that ended before that failed " +
			"the next one, with words about a store that was destroyed",
	},
	{
		File: "tests/helpers/auth/auth-helpers.ts",
		Old: "  return await waitUntil(() => currentRouteName() === 'vault.cluster.dashboard');\n};\n\n" +
			"export const loginNs",
		New: "  return await waitUntil(() => currentRouteName() === 'vault.cluster.dashboard', { timeout: 30000 });\n};\n\n" +
			"export const loginNs",
		Why: "each test logs in, for which a second is not enough on a busy machine",
	},
}
