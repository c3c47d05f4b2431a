// SPDX-License-Identifier: MPL-2.0

package rolechange

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeNode is active and knows an active node, unless a test says otherwise.
type fakeNode struct{ standby, lost, asked, busy, remembers atomic.Bool }

func (n *fakeNode) Active() bool   { return !n.standby.Load() }
func (n *fakeNode) PassesOn() bool { n.asked.Store(true); return !n.lost.Load() }
func (n *fakeNode) Free() bool     { return !n.busy.Load() }
func (n *fakeNode) Remember()      { n.remembers.Store(true) }

// own answers for some paths.
func own(r *http.Request) (int, any, bool) {
	return 200, map[string]string{"from": "itself"}, r.URL.Path == "/v1/sys/replication/status" ||
		r.URL.Path == healthPath || r.URL.Path == leaderPath
}

var api = Listener{Own: own}

// served are the answers of a handler to requests that a test sends in the background.
type served struct {
	gate *Gate
	next http.Handler
	on   Listener
}

func (s *served) do(method, path string, body io.Reader) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.gate.Wrap(s.next, s.on).ServeHTTP(w, httptest.NewRequest(method, path, body))
	return w
}

func (s *served) start(method, path string, body io.Reader) <-chan *httptest.ResponseRecorder {
	done := make(chan *httptest.ResponseRecorder, 1)
	go func() { done <- s.do(method, path, body) }()
	return done
}

func newServed(node Node, next http.HandlerFunc) *served {
	return &served{gate: New(node, Limits{}), next: next, on: api}
}

// begin is all that comes before a change.
func begin(g *Gate) (open func()) {
	empty, open := g.Hold()
	empty()
	return open
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") }

func TestRequestsWaitForTheEndOfAChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServed(&fakeNode{}, ok)
		end := begin(s.gate)
		held := s.start("GET", "/v1/secret/a", nil)
		synctest.Wait()
		require.Empty(t, held)
		require.Contains(t, s.do("GET", "/v1/sys/replication/status", nil).Body.String(), "itself")
		sealed := s.do("PUT", "/v1/sys/seal", nil)
		require.Equal(t, 503, sealed.Code)
		require.Contains(t, sealed.Body.String(), "unsealed by it")
		end()
		require.Equal(t, "served", (<-held).Body.String())
		require.Equal(t, "served", s.do("GET", "/v1/sys/replication/status", nil).Body.String())
		require.False(t, s.gate.Changing())
	})
}

// A core that gives up the leadership waits for the requests under way, and lets none in: the node tells its status by
// itself, as it is now.
func TestStatusOfACoreThatIsNotFree(t *testing.T) {
	t.Parallel()
	node := &fakeNode{}
	s := newServed(node, ok)
	require.Equal(t, "served", s.do("GET", "/v1/sys/replication/status", nil).Body.String())
	require.False(t, node.remembers.Load())
	for _, standby := range []bool{false, true} {
		node.busy.Store(true)
		node.standby.Store(standby)
		node.remembers.Store(false)
		require.Contains(t, s.do("GET", "/v1/sys/replication/status", nil).Body.String(), "itself")
		require.True(t, node.remembers.Load())
		require.False(t, node.asked.Load(), "that would wait for the core")
		node.standby.Store(false)
		require.Equal(t, "served", s.do("GET", "/v1/secret/a", nil).Body.String())
	}
}

func TestNobodyWaitsForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServed(&fakeNode{}, ok)
		end := begin(s.gate)
		begun := time.Now()
		w := s.do("GET", "/v1/secret/a", nil)
		require.Equal(t, 20*time.Second, time.Since(begun))
		require.Equal(t, 503, w.Code)
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		require.JSONEq(t, `{"errors":["`+changingText+`"]}`, w.Body.String())

		s.gate.limits.Waiting = 1
		one := s.start("GET", "/v1/secret/a", nil)
		synctest.Wait()
		begun = time.Now()
		require.Equal(t, 503, s.do("GET", "/v1/secret/a", nil).Code)
		require.Zero(t, time.Since(begun), "too many wait")
		end()
		require.Equal(t, 200, (<-one).Code)
	})
}

// A second change may begin before the node serves again after the first.
func TestChangesInARow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		node := &fakeNode{}
		s := newServed(node, ok)
		first := begin(s.gate)
		held := s.start("GET", "/v1/secret/a", nil)
		node.standby.Store(true)
		node.lost.Store(true)
		first()
		<-time.After(time.Second)
		require.True(t, s.gate.Changing(), "nobody is active yet")
		second := begin(s.gate)
		node.standby.Store(false)
		<-time.After(time.Second)
		require.True(t, s.gate.Changing(), "the end of the first is not that of the second")
		require.Empty(t, held)
		second()
		require.Equal(t, 200, (<-held).Code)
	})
}

// The request that asks for a change is answered, and the next one waits already.
func TestNextRequestIsForTheRoleAfterTheChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s *served
		role := make(chan string, 1)
		role <- "before"
		s = newServed(&fakeNode{}, func(w http.ResponseWriter, r *http.Request) {
			now := <-role
			role <- now
			if r.Method != http.MethodGet {
				empty, open := s.gate.Hold()
				context.AfterFunc(r.Context(), func() {
					defer open()
					empty()
					<-role
					role <- "after"
				})
			}
			_, _ = io.WriteString(w, now)
		})
		require.Equal(t, "before", s.do("PUT", "/v1/sys/replication/dr/primary/demote", nil).Body.String())
		require.Equal(t, "after", s.do("GET", "/v1/secret/a", nil).Body.String())
	})
}

// What another cluster sends is waited for too, and refused during a change.
func TestOtherWays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(&fakeNode{}, Limits{})
		ctx, leave, ok := g.Enter(t.Context())
		require.True(t, ok)
		time.AfterFunc(time.Second, leave)
		begun := time.Now()
		open := begin(g)
		require.Equal(t, time.Second, time.Since(begun))
		require.Error(t, ctx.Err())
		_, _, ok = g.Enter(t.Context())
		require.False(t, ok)
		open()
		synctest.Wait()
		ctx, leave, ok = g.Enter(t.Context())
		require.True(t, ok)
		defer leave()
		begun = time.Now()
		begin(g)()
		require.Equal(t, 5500*time.Millisecond, time.Since(begun))
		require.Error(t, ctx.Err(), "it is ended if it lasts")
		synctest.Wait()
	})
}

// A change waits for requests under way, so that they have their answer.
func TestRequestsUnderWayEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServed(&fakeNode{}, func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(2 * time.Second):
				ok(w, r)
			case <-r.Context().Done():
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		underway := s.start("PUT", "/v1/secret/a", strings.NewReader("{}"))
		synctest.Wait()
		begun := time.Now()
		end := begin(s.gate)
		require.Equal(t, 2*time.Second, time.Since(begun))
		require.Equal(t, 200, (<-underway).Code)
		end()
	})
}

func TestStreamsEndFirst(t *testing.T) {
	t.Parallel()
	for path, takes := range map[string]time.Duration{
		"/v1/sys/monitor":                       0,
		"/v1/sys/pprof/profile":                 0,
		"/v1/sys/storage/raft/snapshot":         0,
		"/v1/sys/storage/raft//snapshot":        0,
		"/v1/sys/events/subscribe/kv":           0,
		"/v1/secret/a":                          5 * time.Second,
		"/v1/sys/storage/raft/snapshot-auto/cf": 5 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServed(&fakeNode{}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			stream := s.start("GET", path, nil)
			synctest.Wait()
			begun := time.Now()
			end := begin(s.gate)
			require.Equal(t, takes, time.Since(begun), path)
			<-stream
			end()
		})
	}
}

// Who reads slowly keeps the handler in a write, which a context does not end.
func TestConnectionsOfSlowReadersAreCut(t *testing.T) {
	t.Parallel()
	for _, h2 := range []bool{false, true} {
		writing := make(chan struct{})
		var once sync.Once
		gate := New(&fakeNode{}, Limits{Patience: time.Hour})
		server := httptest.NewUnstartedServer(gate.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			block := make([]byte, 1<<20)
			for {
				if _, err := w.Write(block); err != nil {
					return
				}
				once.Do(func() { close(writing) })
			}
		}), api))
		server.EnableHTTP2 = h2
		server.StartTLS()
		resp, err := server.Client().Get(server.URL + "/v1/sys/storage/raft/snapshot")
		require.NoError(t, err)
		require.Equal(t, h2, resp.ProtoMajor == 2)
		<-writing
		begin(gate)() // the handler would never return
		require.NoError(t, resp.Body.Close())
		server.Close()
	}
}

// A handler that ignores its context and its connection holds a change up for a bounded
// time.
func TestWhatCannotBeEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		s := newServed(&fakeNode{}, func(http.ResponseWriter, *http.Request) { <-free })
		stuck := s.start("GET", "/v1/secret/a", nil)
		synctest.Wait()
		begun := time.Now()
		end := begin(s.gate)
		require.Equal(t, 5500*time.Millisecond, time.Since(begun))
		end()
		close(free)
		<-stuck
	})
}

// A body that has not come is not waited for. When it comes, its request waits.
func TestSlowBodiesHoldNothingUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServed(&fakeNode{}, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				w.WriteHeader(http.StatusInternalServerError)
				_, _ = io.WriteString(w, err.Error())
				return
			}
			_, _ = w.Write(body)
		})
		for _, late := range []bool{false, true} {
			out, in := io.Pipe()
			slow := s.start("PUT", "/v1/secret/a", out)
			_, err := io.WriteString(in, "first ")
			require.NoError(t, err)
			synctest.Wait()
			begun := time.Now()
			end := begin(s.gate)
			require.Zero(t, time.Since(begun))
			_, err = io.WriteString(in, "second")
			require.NoError(t, err)
			require.NoError(t, in.Close())
			synctest.Wait()
			require.Empty(t, slow)
			if late {
				w := <-slow
				require.Equal(t, 503, w.Code)
				require.JSONEq(t, `{"errors":["`+changingText+`"]}`, w.Body.String())
				end()
				continue
			}
			end()
			require.Equal(t, "first second", (<-slow).Body.String())
		}
	})
}

// What comes from a standby does not wait: nothing would say here that its client is gone.
func TestClusterPortDoesNotWait(t *testing.T) {
	t.Parallel()
	s := newServed(&fakeNode{}, ok)
	s.on = Listener{Own: own, Passed: true}
	end := begin(s.gate)
	w := s.do("PUT", "/v1/secret/a%20b?x=1", strings.NewReader("{}"))
	require.Equal(t, 503, w.Code)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Contains(t, s.do("GET", "/v1/sys/replication/status", nil).Body.String(), "itself")
	end()
}

func TestStandbyWithoutAnActiveNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		node := &fakeNode{}
		node.standby.Store(true)
		node.lost.Store(true)
		s := newServed(node, ok)
		held := s.start("GET", "/v1/secret/a", nil)
		synctest.Wait()
		require.Empty(t, held)
		require.Contains(t, s.do("GET", "/v1/sys/replication/status", nil).Body.String(), "itself")
		for _, path := range []string{"/v1/sys/health", "/v1/sys/seal", "/v1/sys/pprof/goroutine", "/ui/"} {
			require.Equal(t, "served", s.do("GET", path, nil).Body.String(), path)
		}
		node.lost.Store(false)
		require.Equal(t, "served", (<-held).Body.String())

		node.lost.Store(true)
		begun := time.Now()
		w := s.do("GET", "/v1/secret/a", nil)
		require.Equal(t, 10*time.Second, time.Since(begun))
		require.Equal(t, 503, w.Code)
		require.JSONEq(t, `{"errors":["`+leaderlessText+`"]}`, w.Body.String())
	})
}

// During a change of its own a node is not asked what waits for its core.
func TestCoreIsNotAskedDuringAChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		node := &fakeNode{}
		s := newServed(node, ok)
		end := begin(s.gate)
		node.standby.Store(true)
		require.Equal(t, 200, s.do("GET", "/v1/sys/replication/status", nil).Code)
		require.False(t, node.asked.Load())
		end()
		synctest.Wait()
	})
}

// What Vault answers on a standby whose active node goes this very moment.
func TestStandbyTranslates(t *testing.T) {
	t.Parallel()
	node := &fakeNode{}
	node.standby.Store(true)
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://b.test")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for _, c := range []struct {
		path        string
		status      int
		body        string
		want        int
		wantContent string
	}{
		{"/v1/secret/a", 500, `{"errors":["` + noActiveNode + `"]}`, 503, "no active node"},
		{"/v1/secret/a", 503, `{"errors":["` + noActiveInstance + `"]}`, 503, "no active node"},
		{"/v1/secret/a", 500, `{"errors":["internal error"]}`, 500, "internal error"},
		{"/v1/secret/a", 307, "", 503, "no active node"},
		{"/v1/secret/a", 200, "fine", 200, "fine"},
		{"/v1/sys/replication/status", 307, "", 200, "itself"},
		{"/v1/sys/replication/status", 503, "sealed", 200, "itself"},
		{"/v1/sys/replication/status", 200, "of the active node", 200, "of the active node"},
		{"/v1/sys/replication/status", 404, "not here", 404, "not here"},
		{leaderPath, 500, "decryption failed", 200, "itself"},
		{leaderPath, 503, "sealed", 503, "sealed"},
		{healthPath, 503, "sealed", 503, "sealed"},
		{"/v1/sys/host-info", 500, "failed", 500, "failed"},
	} {
		w := newServed(node, answer(c.status, c.body)).do("GET", c.path, nil)
		require.Equal(t, c.want, w.Code, c)
		require.Contains(t, w.Body.String(), c.wantContent)
		if c.wantContent == "no active node" {
			require.NotEmpty(t, w.Header().Get("Retry-After"), c)
		}
		if c.status == 307 {
			require.Empty(t, w.Header().Get("Location"))
		}
	}
}

// A client that asks for a redirect gets it.
func TestStandbyRedirectsWhoAsks(t *testing.T) {
	t.Parallel()
	node := &fakeNode{}
	node.standby.Store(true)
	s := newServed(node, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "https://b.test")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	r := httptest.NewRequest(http.MethodPut, "/v1/secret/a", strings.NewReader("{}"))
	r.Header.Set(noForwardingHeader, "true")
	w := httptest.NewRecorder()
	s.gate.Wrap(s.next, s.on).ServeHTTP(w, r)
	require.Equal(t, 307, w.Code)
	require.Equal(t, "https://b.test", w.Header().Get("Location"))
	// Vault does not pass a snapshot on. It is read, so a second redirect does no harm; a restore would seem done.
	for method, want := range map[string]int{http.MethodGet: 307, http.MethodPost: 503} {
		w := s.do(method, "/v1/sys/storage/raft/snapshot", nil)
		require.Equal(t, want, w.Code, method)
		require.Equal(t, want == 307, w.Header().Get("Location") != "", method)
	}
}

func TestWhatNeedsNoCoreIsLetThrough(t *testing.T) {
	t.Parallel()
	s := newServed(&fakeNode{}, ok)
	s.on.Aside = []string{"/v1/sys/metrics", "/v1/sys/pprof/"}
	end := begin(s.gate)
	for _, path := range []string{"/v1/sys/metrics", "/v1/sys/pprof/goroutine"} {
		require.Equal(t, "served", s.do("GET", path, nil).Body.String())
	}
	end()
}

// A client that goes while it waits is not served later.
func TestClientsThatGoAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		called := false
		s := newServed(&fakeNode{}, func(http.ResponseWriter, *http.Request) { called = true })
		end := begin(s.gate)
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.gate.Wrap(s.next, s.on).ServeHTTP(httptest.NewRecorder(),
				httptest.NewRequest(http.MethodPut, "/v1/a", nil).WithContext(ctx))
		}()
		synctest.Wait()
		cancel(errors.New("gone"))
		<-done
		end()
		synctest.Wait()
		require.False(t, called)
	})
}
