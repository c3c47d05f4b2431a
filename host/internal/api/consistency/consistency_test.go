// SPDX-License-Identifier: MPL-2.0

package consistency

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vault-replication/vault-replication/shared/replication"
)

// fakeNode has applied up to a sequence; another one arrives when waited for.
type fakeNode struct {
	index   Index
	off     bool
	arrives uint64
	waited  []uint64
	// forwarded is the primary's last write for a request of this node, if it forwards.
	// Each request to a path below "lease/" makes it write.
	forwarded uint64
	forwards  bool
}

var epoch = replication.Epoch{Generation: 3, ID: "present"}

func (n *fakeNode) Forwarded() (replication.Position, bool) {
	return replication.Position{Epoch: epoch, Sequence: n.forwarded}, n.forwards
}

func (n *fakeNode) Index() (Index, bool) { return n.index, !n.off }

func (n *fakeNode) Present(at replication.Position) bool {
	return at.Epoch == n.index.Epoch && at.Sequence <= n.index.Replicated
}

func (n *fakeNode) Wait(_ context.Context, at replication.Position) error {
	n.waited = append(n.waited, at.Sequence)
	if at.Epoch == n.index.Epoch && at.Sequence <= n.arrives {
		return nil
	}
	return errors.New("not in time")
}

func node() *fakeNode {
	return &fakeNode{index: Index{Set: "set", Key: []byte("key"), Epoch: epoch, Local: 7, Replicated: 10}}
}

func do(n *fakeNode, method, path string, header http.Header, status int) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	if header != nil {
		r.Header = header
	}
	w := httptest.NewRecorder()
	Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		// A write moves the state before it is answered.
		n.index.Replicated++
		if strings.HasPrefix(path, "/v1/lease/") {
			n.forwarded = n.index.Replicated
		}
		if status != 0 {
			w.WriteHeader(status)
		}
		_, _ = w.Write([]byte("{}"))
	}), n).ServeHTTP(w, r)
	return w
}

func TestWritesAnswerTheirIndex(t *testing.T) {
	t.Parallel()
	for _, status := range []int{0, http.StatusOK, http.StatusNoContent} {
		w := do(node(), http.MethodPost, "/v1/secret/a", nil, status)
		state, err := api.ParseReplicationState(w.Header().Get(IndexHeader), []byte("key"))
		require.NoError(t, err)
		require.Equal(t, &api.WALState{ClusterID: node().index.history(), LocalIndex: 7, ReplicatedIndex: 11}, state)
	}
	require.Empty(t, do(node(), http.MethodGet, "/v1/secret/a", nil, 0).Header().Get(IndexHeader), "a read")
	require.Empty(t, do(node(), http.MethodPost, "/ui/", nil, 0).Header().Get(IndexHeader), "not the API")
	require.Empty(t, do(node(), http.MethodPost, "/v1/secret/a", nil, http.StatusForbidden).Header().Get(IndexHeader),
		"a refusal")
	off := node()
	off.off = true
	require.Empty(t, do(off, http.MethodPost, "/v1/secret/a", nil, 0).Header().Get(IndexHeader), "no set")
	copying := node()
	copying.index.Epoch = replication.Epoch{}
	require.Empty(t, do(copying, http.MethodPost, "/v1/secret/a", nil, 0).Header().Get(IndexHeader), "no epoch yet")
}

// A read for which the primary has written answers its index like a write.
func TestReadsThatWroteOnThePrimaryAnswerTheirIndex(t *testing.T) {
	t.Parallel()
	stampOf := func(forwards bool, path string, header http.Header, status int) string {
		n := node()
		n.forwards = forwards
		return do(n, http.MethodGet, path, header, status).Header().Get(IndexHeader)
	}
	state, err := api.ParseReplicationState(stampOf(true, "/v1/lease/a", nil, 0), []byte("key"))
	require.NoError(t, err)
	require.EqualValues(t, 11, state.ReplicatedIndex)
	require.Empty(t, stampOf(true, "/v1/secret/a", nil, 0), "it wrote nothing")
	require.Empty(t, stampOf(true, "/v1/lease/a", nil, http.StatusNotFound), "a refusal")
	require.Empty(t, stampOf(false, "/v1/lease/a", nil, 0), "a node that forwards nothing")
	require.Empty(t, stampOf(true, "/v1/lease/a", http.Header{"Upgrade": {"websocket"}}, 0),
		"a connection that is handed over")
}

func TestRequiredState(t *testing.T) {
	t.Parallel()
	header := func(i Index, more ...string) http.Header {
		h := http.Header{IndexHeader: {i.Encode()}}
		if len(more) > 0 {
			h.Set(InconsistentHeader, more[0])
		}
		return h
	}
	at := func(s uint64) Index { return Index{Set: "set", Key: []byte("key"), Epoch: epoch, Replicated: s} }
	lost := at(1)
	lost.Epoch = replication.Epoch{Generation: 2, ID: "lost"}
	fork := at(1)
	fork.Epoch = replication.Epoch{Generation: 3, ID: "another"}
	other := at(1)
	other.Set = "another"
	forged := at(1)
	forged.Key = []byte("guess")
	for name, c := range map[string]struct {
		header http.Header
		status int
		waited []uint64
	}{
		"here":                   {header(at(10)), 200, nil},
		"arrives in time":        {header(at(12)), 200, []uint64{12}},
		"does not arrive":        {header(at(13)), 412, []uint64{13}},
		"not here, fail":         {header(at(12), "fail"), 412, nil},
		"here, fail":             {header(at(10), "fail"), 200, nil},
		"of another set":         {header(other), 412, nil},
		"of a lost history":      {header(lost), 412, nil},
		"of another primary":     {header(fork), 412, nil},
		"one of two is lost":     {http.Header{IndexHeader: {at(10).Encode(), lost.Encode()}}, 412, nil},
		"forged":                 {header(forged), 400, nil},
		"no index":               {http.Header{IndexHeader: {"bm9uc2Vuc2U="}}, 400, nil},
		"one of two is not here": {http.Header{IndexHeader: {at(10).Encode(), at(13).Encode()}}, 412, []uint64{13}},
	} {
		n := node()
		n.arrives = 12
		w := do(n, http.MethodGet, "/v1/secret/a", c.header, 0)
		require.Equal(t, c.status, w.Code, name)
		require.Equal(t, c.waited, n.waited, name)
		if c.status == 412 {
			require.Contains(t, w.Body.String(), `{"errors":["required index state not present`, name)
		}
		// A client that keeps its state would be refused for ever.
		require.Equal(t, strings.Contains(w.Body.String(), "another history"), w.Header().Get(IndexHeader) != "", name)
	}
	copying := node()
	copying.index.Epoch, copying.index.Replicated = replication.Epoch{}, 0
	none := at(0)
	none.Epoch = replication.Epoch{}
	for _, i := range []Index{at(0), none} {
		w := do(copying, http.MethodGet, "/v1/secret/a", header(i), 0)
		require.Equal(t, 412, w.Code, "nothing is known to be here")
		require.Empty(t, w.Header().Get(IndexHeader))
	}
}
