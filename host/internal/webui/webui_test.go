// SPDX-License-Identifier: MPL-2.0

package webui

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// get asks a file server over the page, as Vault's handler does.
func get(t *testing.T, page http.FileSystem, path string) (status int, body, kind string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	http.FileServer(page).ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	text, err := io.ReadAll(recorder.Result().Body)
	require.NoError(t, err)
	return recorder.Code, string(text), recorder.Header().Get("Content-Type")
}

// The tree has no page of Vault's: go test sees what a build without one has.
func TestWithoutThePageItSaysHowToBuildIt(t *testing.T) {
	t.Parallel()
	page, complete := Page()
	require.False(t, complete)
	status, body, kind := get(t, page, "/")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "make ui\nmake build")
	require.Equal(t, "text/html; charset=utf-8", kind)
	entries, err := fs.ReadDir(embedded, "page")
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing else is in the tree: it would be in each build")
}

func TestWithThePageItIsServed(t *testing.T) {
	t.Parallel()
	page, complete := pageOf(fstest.MapFS{
		"page/index.html":         {Data: []byte("Vault's")},
		"page/assets/vault-1a.js": {Data: []byte("code")},
	})
	require.True(t, complete)
	_, body, _ := get(t, page, "/")
	require.Equal(t, "Vault's", body)
	_, body, kind := get(t, page, "/assets/vault-1a.js")
	require.Equal(t, "code", body)
	require.Equal(t, "text/javascript; charset=utf-8", kind)
}
