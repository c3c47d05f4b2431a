// SPDX-License-Identifier: MPL-2.0

package integration_test

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/integration/cluster"
)

// With ui = true a primary and a DR secondary, without a login, serve the web page that the binary has: that of Vault,
// of which each file is there, or the one that says how to build it, of which the log speaks too. Without ui = true
// there is no page, and not a word of it.
func TestWebPageIsServedInEachRole(t *testing.T) {
	parallel(t)
	primary, secondary := pair(t, cluster.Options{ExtraHCL: "ui = true"})
	for _, c := range []*cluster.Cluster{primary, secondary} {
		page := fetch(t, c, "/ui/")
		require.Equal(t, http.StatusOK, page.status)
		require.Equal(t, "text/html; charset=utf-8", page.header.Get("Content-Type"))
		require.Contains(t, page.header.Get("Content-Security-Policy"), "default-src 'none'")
		require.Equal(t, "/ui/", fetch(t, c, "/").header.Get("Location"))
		require.Equal(t, page.body, fetch(t, c, "/ui/vault/replication/dr").body, "the page finds its own way")

		log, err := os.ReadFile(c.Node(0).LogFile())
		require.NoError(t, err)
		said := strings.Count(string(log), "built without Vault's web page")
		assets := regexp.MustCompile(`(?:src|href)="(/ui/assets/[^"]+)"`).FindAllStringSubmatch(page.body, -1)
		if len(assets) == 0 {
			require.Contains(t, page.body, "make ui\nmake build")
			require.Equal(t, 1, said, "at the start")
			continue
		}
		require.Zero(t, said)
		for _, asset := range assets {
			content := fetch(t, c, asset[1])
			require.Equal(t, http.StatusOK, content.status, asset[1])
			require.NotEqual(t, page.body, content.body, asset[1])
		}
	}
}

func TestNoWebPageWhereItIsNotAskedFor(t *testing.T) {
	parallel(t)
	c := cluster.New(t, cluster.Options{Name: "one", Binary: product(t), Storage: cluster.Inmem})
	require.Equal(t, http.StatusNotFound, fetch(t, c, "/ui/").status)
	log, err := os.ReadFile(c.Node(0).LogFile())
	require.NoError(t, err)
	require.NotContains(t, string(log), "web page")
}

// fetched is an answer of a server, read to its end.
type fetched struct {
	status int
	header http.Header
	body   string
}

// fetch gets what a browser would, without following a redirect.
func fetch(t *testing.T, c *cluster.Cluster, path string) fetched {
	t.Helper()
	node := c.Node(0)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, node.Address()+path, nil)
	require.NoError(t, err)
	client := &http.Client{
		Transport: &http.Transport{TLSClientConfig: node.TLSConfig().Clone(), DisableKeepAlives: true,
			ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close() // read to its end
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err, path)
	return fetched{response.StatusCode, response.Header, string(body)}
}
