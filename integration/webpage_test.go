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
		response, page := fetch(t, c, "/ui/")
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, "text/html; charset=utf-8", response.Header.Get("Content-Type"))
		require.Contains(t, response.Header.Get("Content-Security-Policy"), "default-src 'none'")
		response, _ = fetch(t, c, "/")
		require.Equal(t, "/ui/", response.Header.Get("Location"))
		_, below := fetch(t, c, "/ui/vault/replication/dr")
		require.Equal(t, page, below, "the page finds its own way")

		log, err := os.ReadFile(c.Node(0).LogFile())
		require.NoError(t, err)
		said := strings.Count(string(log), "built without Vault's web page")
		assets := regexp.MustCompile(`(?:src|href)="(/ui/assets/[^"]+)"`).FindAllStringSubmatch(page, -1)
		if len(assets) == 0 {
			require.Contains(t, page, "make ui\nmake build")
			require.Equal(t, 1, said, "at the start")
			continue
		}
		require.Zero(t, said)
		for _, asset := range assets {
			response, content := fetch(t, c, asset[1])
			require.Equal(t, http.StatusOK, response.StatusCode, asset[1])
			require.NotEqual(t, page, content, asset[1])
		}
	}
}

func TestNoWebPageWhereItIsNotAskedFor(t *testing.T) {
	parallel(t)
	c := cluster.New(t, cluster.Options{Name: "one", Binary: product(t), Storage: cluster.Inmem})
	response, _ := fetch(t, c, "/ui/")
	require.Equal(t, http.StatusNotFound, response.StatusCode)
	log, err := os.ReadFile(c.Node(0).LogFile())
	require.NoError(t, err)
	require.NotContains(t, string(log), "web page")
}

// fetch gets what a browser would, without following a redirect.
func fetch(t *testing.T, c *cluster.Cluster, path string) (*http.Response, string) {
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
	return response, string(body)
}
