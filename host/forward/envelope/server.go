// SPDX-License-Identifier: MPL-2.0

package envelope

import (
	"context"
	"crypto/rand"
	"sync"
)

// sessionsMax is how many sessions a secondary may have: its active node has one,
// and one that was replaced may still have requests under way.
const sessionsMax = 16

// Server is the side of the primary. Safe for concurrent use.
type Server struct {
	setID func() string
	keyOf func(ctx context.Context, secondaryID string) ([]byte, error)

	mu       sync.Mutex
	sessions map[string][]*session // of each secondary, the oldest first
}

// NewServer makes a server. KeyOf is the pairing key of a secondary, an error for
// one that is revoked: it is asked for each message.
func NewServer(setID func() string, keyOf func(ctx context.Context, secondaryID string) ([]byte, error)) *Server {
	return &Server{setID: setID, keyOf: keyOf, sessions: map[string][]*session{}}
}

// Serve answers one message of a secondary. Handle is called with a request that
// the secondary's host has sealed and that was not received before; nothing is
// executed when an error is returned.
func (s *Server) Serve(ctx context.Context, secondaryID string, raw []byte, handle func(ctx context.Context, plain []byte) []byte) ([]byte, error) {
	key, err := s.keyOf(ctx, secondaryID)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	b := Binding{s.setID(), secondaryID}
	if len(raw) > 0 && raw[0] == kindHello {
		return s.welcome(key, b, raw)
	}
	m, err := parse(raw)
	if err != nil {
		return nil, err
	}
	found := s.find(secondaryID, m.id)
	if found == nil {
		head := append([]byte{kindUnknown}, m.head[1:]...)
		sum, err := mac(key, b, []byte("unknown"), head)
		return append(head, sum...), err
	}
	plain, err := found.open(kindRequest, found.toServer, m)
	if err != nil {
		return nil, err
	}
	if !found.accept(m.number) {
		return nil, ErrReplayed
	}
	return found.seal(kindAnswer, found.toClient, m.number, handle(ctx, plain)), nil
}

func (s *Server) welcome(key []byte, b Binding, raw []byte) ([]byte, error) {
	if len(raw) != headSize+randomSize+macSize {
		return nil, ErrMalformed
	}
	hello, sum := raw[:headSize+randomSize], raw[headSize+randomSize:]
	if err := checkMAC(key, b, sum, hello); err != nil {
		return nil, err
	}
	var id [idSize]byte
	copy(id[:], raw[1:])
	theirs, own := raw[headSize:headSize+randomSize], make([]byte, randomSize)
	if _, err := rand.Read(own); err != nil {
		return nil, err
	}
	fresh, err := newSession(key, b, id, theirs, own)
	if err != nil {
		return nil, err
	}
	if !s.add(b.SecondaryID, fresh) {
		return nil, ErrReplayed
	}
	welcome := append([]byte{kindWelcome}, id[:]...)
	if sum, err = mac(key, b, welcome, own, theirs); err != nil {
		return nil, err
	}
	return append(append(welcome, own...), sum...), nil
}

func (s *Server) find(secondaryID string, id [idSize]byte) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, have := range s.sessions[secondaryID] {
		if have.id == id {
			return have
		}
	}
	return nil
}

// add keeps a session, in place of the oldest when there are too many. A hello that
// is played again must not end the session that it once opened.
func (s *Server) add(secondaryID string, fresh *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.sessions[secondaryID]
	for _, have := range list {
		if have.id == fresh.id {
			return false
		}
	}
	if len(list) >= sessionsMax {
		list = append([]*session(nil), list[1:]...)
	}
	s.sessions[secondaryID] = append(list, fresh)
	return true
}
