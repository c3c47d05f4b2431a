// SPDX-License-Identifier: MPL-2.0

package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/vault-replication/vault-replication/plugin/engine/link"
	linkv1 "github.com/vault-replication/vault-replication/shared/proto/link/v1"
	"github.com/vault-replication/vault-replication/shared/replication"
)

func (c *cluster) forward(ctx context.Context, payload string) (string, error) {
	res, err := c.engine.Forward(ctx, replication.ForwardRequest{Payload: []byte(payload)})
	if err != nil {
		return "", err
	}
	return string(res.Payload), nil
}

// echo answers at once.
func echo(_ context.Context, id string, payload []byte) ([]byte, error) {
	return fmt.Appendf(nil, "%s said %s", id, payload), nil
}

// held makes a primary receive requests without answering, until release or the end of the call, and counts them.
func (c *cluster) held() (holds func() int, release func()) {
	gate, inside := make(chan struct{}), make(chan struct{}, 2*link.ForwardsMax)
	c.host.OnReceive(func(ctx context.Context, id string, payload []byte) ([]byte, error) {
		inside <- struct{}{}
		defer func() { <-inside }()
		select {
		case <-gate:
			return echo(ctx, id, payload)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	return func() int { return len(inside) }, func() { close(gate) }
}

// background forwards many requests at once; their errors come one by one.
func (c *cluster) background(ctx context.Context, calls int) chan error {
	errs := make(chan error, calls)
	for i := range calls {
		go func() {
			want := fmt.Sprintf("request %d", i)
			got, err := c.forward(ctx, want)
			if err == nil && got != "sec said "+want {
				err = fmt.Errorf("the answer is another one's: %q", got)
			}
			errs <- err
		}()
	}
	return errs
}

func TestForwardReachesThePrimarysHost(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		p.host.OnReceive(echo)
		for _, payload := range []string{"question\xff\x00", ""} {
			answer, err := s.forward(t.Context(), payload)
			require.NoError(t, err)
			require.Equal(t, "sec said "+payload, answer)
		}
		require.Zero(t, s.host.Count("Receive"))
	})
}

func TestForwardNeedsASecondary(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		_, err := p.forward(t.Context(), "x")
		requireKind(t, replication.InvalidInput, err, "not a "+string(n.mode)+" secondary")
		_, err = newCluster(t, n, "c", "https://c.test:8201").forward(t.Context(), "x")
		requireKind(t, replication.InvalidInput, err, "not a "+string(n.mode)+" secondary")
		tr, err := s.engine.UpdatePrimary(t.Context(), replication.UpdatePrimaryRequest{})
		require.NoError(t, err)
		s.carryOut(tr, replication.Epoch{})
		_, err = s.forward(t.Context(), "x")
		requireKind(t, replication.Unreachable, err, "has no primary")
		require.NoError(t, s.engine.Stop(t.Context()))
		_, err = s.forward(t.Context(), "x")
		requireKind(t, replication.Unavailable, err, "not running")
		require.Zero(t, p.host.Count("Receive"))
	})
}

func TestForwardWithoutASessionFailsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		p.host.OnReceive(echo)
		require.NoError(t, p.engine.Stop(t.Context()))
		eventually(t, time.Minute, "cut off", func() bool { return s.status().State == replication.Idle })
		began := time.Now()
		_, err := s.forward(context.Background(), "x")
		requireKind(t, replication.Unreachable, err, "no connection to the primary")
		require.Zero(t, time.Since(began), "nothing is waited for")
		require.NoError(t, p.engine.Start(t.Context(), p.start))
		awaitEqual(t, p, s)
		_, err = s.forward(t.Context(), "x")
		require.NoError(t, err)
		require.Equal(t, 1, p.host.Count("Receive"), "what was refused is not sent later")
	})
}

func TestForwardWhoseAnswerIsLostIsUncertain(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		holds, release := p.held()
		answer := s.background(context.Background(), 1)
		eventually(t, time.Minute, "received", func() bool { return holds() == 1 })
		n.Break(primaryAddr)
		requireKind(t, replication.Uncertain, <-answer, "may have been carried out")
		eventually(t, time.Minute, "the primary stops working for nobody", func() bool { return holds() == 0 })
		p.host.Write("later", "x")
		awaitEqual(t, p, s)
		require.Equal(t, 1, p.host.Count("Receive"), "it is not sent again")
		release()
	})
}

// A request that is written into a half-open link looks sent to this end.
func TestForwardIntoAHalfOpenLinkEndsWithIt(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		p.host.OnReceive(echo)
		n.Freeze(primaryAddr)
		began := time.Now()
		_, err := s.forward(context.Background(), "x")
		requireKind(t, replication.Uncertain, err, "answer was lost")
		require.Less(t, time.Since(began), 16*time.Second, "as soon as the loss is noticed")
		awaitEqual(t, p, s)
		require.Zero(t, p.host.Count("Receive"), "it is not sent again")
	})
}

func TestForwardDeadlineTravels(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		var left time.Duration
		p.host.OnReceive(func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
			if at, ok := ctx.Deadline(); ok {
				left = time.Until(at)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
		defer cancel()
		began := time.Now()
		_, err := s.forward(ctx, "x")
		requireKind(t, replication.Uncertain, err, "may have been carried out")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 45*time.Second, time.Since(began))
		synctest.Wait()
		require.InDelta(t, 45*time.Second, left, float64(time.Second))

		_, err = s.forward(ctx, "x")
		requireKind(t, replication.Unreachable, err, "did not reach the primary")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 1, p.host.Count("Receive"))
		require.Equal(t, replication.StreamWALs, s.status().State, "the session is not disturbed")
	})
}

func TestForwardTellsTheHostsRefusals(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		for kind, want := range map[replication.Kind]replication.Kind{
			replication.InvalidInput:  replication.InvalidInput,
			replication.Denied:        replication.Denied,
			replication.Unavailable:   replication.Unavailable,
			replication.NotFound:      replication.NotFound,
			replication.Unreachable:   replication.Unreachable,
			replication.StorageFailed: replication.StorageFailed,
			replication.Uncertain:     replication.Uncertain,
			// A fault leaves open how far it got.
			replication.Internal: replication.Uncertain,
		} {
			p.host.Fail("Receive", replication.Errorf(kind, "the host's sentence"))
			_, err := s.forward(t.Context(), "x")
			requireKind(t, want, err, "the host's sentence")
		}
		p.host.Fail("Receive", context.Canceled)
		_, err := s.forward(t.Context(), "x")
		requireKind(t, replication.Uncertain, err, "may have been carried out")
	})
}

func TestForwardOfARevokedSecondary(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		bundle := s.host.State()["secondary/bundle"]
		holds, release := p.held()
		answer := s.background(t.Context(), 1)
		eventually(t, time.Minute, "received", func() bool { return holds() == 1 })
		require.NoError(t, p.engine.RevokeSecondary(t.Context(), replication.RevokeSecondaryRequest{ID: "sec"}))
		requireKind(t, replication.Uncertain, <-answer, "may have been carried out")
		eventually(t, time.Minute, "ended on the primary", func() bool { return holds() == 0 })
		release()
		_, err := s.forward(t.Context(), "x")
		requireKind(t, replication.Unreachable, err, "no connection")

		client, _, done := dialAs(t, s.host, bundle)
		defer done()
		_, err = client.Forward(t.Context(), &linkv1.ForwardRequest{Payload: []byte("x")})
		requireKind(t, replication.Denied, link.FromStatus(err), "was revoked")
		require.Equal(t, 1, p.host.Count("Receive"))
	})
}

func TestForwardNeedsHello(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		p.host.OnReceive(echo)
		conn, _ := connectAs(t, s.host, p.token("other"))
		defer conn.Close()
		_, err := linkv1.NewLinkClient(conn).Forward(t.Context(), &linkv1.ForwardRequest{Payload: []byte("x")})
		requireKind(t, replication.Unavailable, link.FromStatus(err), "say Hello again")
		// It is told before it has sent a byte of what may be large.
		st, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, linkv1.Link_Forward_FullMethodName)
		require.NoError(t, err)
		err = st.RecvMsg(&linkv1.ForwardResponse{})
		requireKind(t, replication.Unavailable, link.FromStatus(err), "say Hello again")
		require.Zero(t, p.host.Count("Receive"))
	})
}

func TestManyForwardsDoNotHoldFramesBack(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		holds, release := p.held()
		const calls = 64
		answers := s.background(t.Context(), calls)
		eventually(t, time.Minute, "all received", func() bool { return holds() == calls })
		for i := range 20 {
			p.host.Write(fmt.Sprintf("live-%d", i), strings.Repeat("v", 64<<10))
			awaitEqual(t, p, s)
		}
		release()
		for range calls {
			require.NoError(t, <-answers)
		}
	})
}

// Forwarded requests, even the largest, overtake frames that wait in the stream for the secondary's storage.
func TestForwardPassesWhatIsHeldBack(t *testing.T) {
	for name, await := range map[string]replication.State{"copy": replication.MerkleSync,
		"stream": replication.StreamWALs} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				value := strings.Repeat("v", 512<<10)
				p := newCluster(t, n, "a", primaryAddr)
				p.enablePrimary(epoch(1, "one"))
				s := newCluster(t, n, "b", secondaryAddr)
				fill := func() {
					for i := range 60 {
						p.host.Write(fmt.Sprintf("large-%02d", i), value)
					}
				}
				if await == replication.MerkleSync {
					fill()
				}
				hold := s.host.Hold()
				s.join(p.token("sec"), "sec")
				if await == replication.StreamWALs {
					hold()
					awaitEqual(t, p, s)
					hold = s.host.Hold()
					fill()
				}
				s.awaitState(await)
				<-time.After(time.Minute)
				p.host.OnReceive(echo)
				answers := s.background(t.Context(), 64)
				for range 64 {
					require.NoError(t, <-answers)
				}
				large := bytes.Repeat([]byte("0123456789abcdef"), replication.PayloadMax/16)
				p.host.OnReceive(func(_ context.Context, _ string, payload []byte) ([]byte, error) { return payload, nil })
				res, err := s.engine.Forward(t.Context(), replication.ForwardRequest{Payload: large})
				require.NoError(t, err)
				require.True(t, bytes.Equal(large, res.Payload))
				require.Equal(t, await, s.status().State)
				hold()
				awaitEqual(t, p, s)
				require.Equal(t, 1, s.host.Count("BeginCopy"))
			})
		})
	}
}

func TestForwardedPayloadsHaveALimit(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		tooLarge := make([]byte, replication.PayloadMax+1)
		p.host.OnReceive(func(context.Context, string, []byte) ([]byte, error) { return tooLarge, nil })
		_, err := s.engine.Forward(t.Context(), replication.ForwardRequest{Payload: tooLarge})
		requireKind(t, replication.InvalidInput, err, "67108864 are allowed")
		require.Zero(t, p.host.Count("Receive"))
		_, err = s.forward(t.Context(), "x")
		requireKind(t, replication.Uncertain, err, "67108864 are allowed")
	})
}

// Requests over the bound wait. What they wait for in vain is refused, and heartbeats pass all the time.
func TestTooManyForwardsWait(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		holds, release := p.held()
		answers := s.background(t.Context(), link.ForwardsMax)
		eventually(t, time.Minute, "all received", func() bool { return holds() == link.ForwardsMax })
		_, err := s.forward(t.Context(), "one more")
		requireKind(t, replication.Unavailable, err, "try again shortly")
		begun := s.status().LastStart
		<-time.After(time.Minute)
		require.Equal(t, begun, s.status().LastStart, "heartbeats still pass")
		p.host.Write("live", "x")
		awaitEqual(t, p, s)
		more := s.background(t.Context(), link.ForwardsMax)
		<-time.After(link.ForwardWait / 2)
		require.Equal(t, link.ForwardsMax, holds(), "the others wait")
		release()
		for range link.ForwardsMax {
			require.NoError(t, <-answers)
			require.NoError(t, <-more)
		}
	})
}

// The primary bounds the requests of a secondary that does not do so itself.
func TestPrimaryBoundsForwards(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		holds, release := p.held()
		client, b, done := dialAs(t, s.host, p.token("greedy"))
		defer done()
		_, err := client.Hello(t.Context(), &linkv1.HelloRequest{Version: link.ProtocolVersion, SetId: b.SetID,
			SecondaryId: "greedy"})
		require.NoError(t, err)
		errs := make(chan error, link.ForwardsMax+1)
		for range link.ForwardsMax + 1 {
			go func() {
				_, err := client.Forward(t.Context(), &linkv1.ForwardRequest{})
				errs <- link.FromStatus(err)
			}()
		}
		requireKind(t, replication.Unavailable, <-errs, "as many as a secondary may have")
		eventually(t, time.Minute, "all others received", func() bool { return holds() == link.ForwardsMax })
		release()
		for range link.ForwardsMax {
			require.NoError(t, <-errs)
		}
		p.host.OnReceive(echo)
		_, err = s.forward(t.Context(), "of another secondary")
		require.NoError(t, err)
	})
}

// A message that is larger than its method needs is refused, but ends no session.
func TestOtherRequestsAreSmall(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		client, b, done := dialAs(t, s.host, p.token("large"))
		defer done()
		unlimited := grpc.MaxCallSendMsgSize(link.MessageMax)
		_, err := client.Hello(t.Context(), &linkv1.HelloRequest{Version: link.ProtocolVersion, SetId: b.SetID,
			SecondaryId: "large"})
		require.NoError(t, err)
		copying, err := client.Copy(t.Context(), &linkv1.CopyRequest{After: bytes.Repeat([]byte("x"), link.SmallRequestMax)},
			unlimited)
		require.NoError(t, err)
		_, err = copying.Recv()
		requireKind(t, replication.InvalidInput, link.FromStatus(err), "98304 are allowed")
		_, err = client.Forward(t.Context(), &linkv1.ForwardRequest{Payload: make([]byte, link.RequestMax)}, unlimited)
		require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
		_, err = client.Heartbeat(t.Context(), &linkv1.HeartbeatRequest{})
		require.NoError(t, err)
	})
}

// The first message describes a forwarded request that is sent in parts.
func TestPartsOfAForwardedRequest(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		p.host.OnReceive(echo)
		large := strings.Repeat("x", 2*link.ForwardPart+1)
		got, err := s.forward(t.Context(), large)
		require.NoError(t, err)
		require.Contains(t, got, large)
		before := p.host.Count("Receive")

		client, b, done := dialAs(t, s.host, p.token("parts"))
		defer done()
		send := func(parts ...*linkv1.ForwardLargeRequest) error {
			stream, err := client.ForwardLarge(t.Context())
			require.NoError(t, err)
			for _, part := range parts {
				if stream.Send(part) != nil {
					break
				}
			}
			_, err = stream.CloseAndRecv()
			return link.FromStatus(err)
		}
		requireKind(t, replication.Unavailable, send(&linkv1.ForwardLargeRequest{Size: 1, Part: []byte("x")}),
			"say Hello again")
		_, err = client.Hello(t.Context(), &linkv1.HelloRequest{Version: link.ProtocolVersion, SetId: b.SetID,
			SecondaryId: "parts"})
		require.NoError(t, err)
		for name, parts := range map[string][]*linkv1.ForwardLargeRequest{
			"too large":      {{Size: replication.PayloadMax + 1, Part: []byte("x")}},
			"much larger":    {{Size: 1 << 63, Part: []byte("x")}},
			"more than said": {{Size: 2, Part: []byte("x")}, {Part: []byte("xx")}},
			"an empty part":  {{Size: 2, Part: []byte("x")}, {}},
			"less than said": {{Size: 2, Part: []byte("x")}},
			"no size":        {{Part: []byte("x")}},
		} {
			require.Error(t, send(parts...), name)
		}
		require.Equal(t, before, p.host.Count("Receive"))
		require.NoError(t, send(&linkv1.ForwardLargeRequest{Size: 2, Part: []byte("x")},
			&linkv1.ForwardLargeRequest{Part: []byte("y")}))
	})
}

// A request over the limit is not sent: heartbeats need the connection too.
func TestTooManyForwardsAreNotSent(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		p, s := pair(t, n)
		awaitEqual(t, p, s)
		n.Freeze(primaryAddr)
		answers := s.background(t.Context(), link.ForwardsMax)
		synctest.Wait()
		_, err := s.forward(t.Context(), "one more")
		requireKind(t, replication.Unavailable, err, "try again shortly")
		for range link.ForwardsMax {
			requireKind(t, replication.Uncertain, <-answers, "answer was lost")
		}
	})
}
