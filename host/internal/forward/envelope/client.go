// SPDX-License-Identifier: MPL-2.0

package envelope

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"sync"
)

// Carry brings a message to the other host and its answer back.
type Carry func(ctx context.Context, message []byte) (answer []byte, err error)

// Client is the side of the secondary. Safe for concurrent use.
type Client struct {
	key     []byte
	binding Binding

	mu      sync.Mutex
	session *session
	opening chan struct{} // closed when the handshake under way has ended
}

// NewClient makes the client of one relation. The session is opened by the first
// call.
func NewClient(key []byte, b Binding) *Client { return &Client{key: key, binding: b} }

// Call sends a request and returns the answer. It returns the errors of carry as they are.
// It sends a request a second time only if the primary's host says that it was restarted
// and so knows no session. A host that has only forgotten this session may have executed
// the request.
func (c *Client) Call(ctx context.Context, carry Carry, plain []byte) ([]byte, error) {
	for attempt := 0; ; attempt++ {
		s, err := c.open(ctx, carry)
		if err != nil {
			return nil, err
		}
		answer, lost, restarted, err := c.send(ctx, carry, s, plain)
		if lost {
			c.forget(s)
		}
		if !restarted || attempt > 0 {
			return answer, err
		}
	}
}

// send sends one request. lost says that the primary's host does not know the session, restarted that it was restarted
// since the session began.
func (c *Client) send(ctx context.Context, carry Carry, s *session, plain []byte) (answer []byte, lost, restarted bool,
	err error) {
	n := s.number()
	raw, err := carry(ctx, s.seal(kindRequest, s.toServer, n, plain))
	if err != nil {
		return nil, false, false, err
	}
	m, err := parse(raw)
	if err != nil {
		return nil, false, false, err
	}
	if m.id != s.id || m.number != n {
		return nil, false, false, ErrForged
	}
	if m.kind == kindUnknown {
		if len(m.rest) != idSize+macSize {
			return nil, false, false, ErrMalformed
		}
		instance, sum := m.rest[:idSize], m.rest[idSize:]
		if err := checkMAC(c.key, c.binding, sum, []byte("unknown"), m.head, instance); err != nil {
			return nil, false, false, err
		}
		return nil, true, !bytes.Equal(instance, s.instance[:]), fmt.Errorf("the primary's host does not know the session: "+
			"%w", ErrForged)
	}
	answer, err = s.open(kindAnswer, s.toClient, m)
	return answer, false, false, err
}

func (c *Client) forget(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == s {
		c.session = nil
	}
}

// open returns the session; one caller makes it, and the others wait.
func (c *Client) open(ctx context.Context, carry Carry) (*session, error) {
	for {
		c.mu.Lock()
		if c.session != nil {
			defer c.mu.Unlock()
			return c.session, nil
		}
		wait := c.opening
		if wait == nil {
			wait = make(chan struct{})
			c.opening = wait
			c.mu.Unlock()
			s, err := c.handshake(ctx, carry)
			c.mu.Lock()
			c.session, c.opening = s, nil
			c.mu.Unlock()
			close(wait)
			return s, err
		}
		c.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Client) handshake(ctx context.Context, carry Carry) (*session, error) {
	var id [idSize]byte
	own := make([]byte, randomSize)
	_, _ = rand.Read(id[:]) // it never fails
	_, _ = rand.Read(own)
	hello := append([]byte{kindHello}, id[:]...)
	hello = append(hello, own...)
	sum, err := mac(c.key, c.binding, hello)
	if err != nil {
		return nil, err
	}
	raw, err := carry(ctx, append(hello, sum...))
	if err != nil {
		return nil, err
	}
	if len(raw) != welcomeSize || raw[0] != kindWelcome || string(raw[1:headSize]) != string(id[:]) {
		return nil, ErrMalformed
	}
	theirs, rest := raw[headSize:headSize+randomSize], raw[headSize+randomSize:]
	instance, sum := [idSize]byte(rest[:idSize]), rest[idSize:]
	if err := checkMAC(c.key, c.binding, sum, raw[:headSize], theirs, own, instance[:]); err != nil {
		return nil, err
	}
	return newSession(c.key, c.binding, id, instance, own, theirs)
}
