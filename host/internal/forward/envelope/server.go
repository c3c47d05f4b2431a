// SPDX-License-Identifier: MPL-2.0

package envelope

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
)

// sessionsMax is how many sessions a secondary may have. Its active node has one, and a
// node that was replaced may still have requests under way. As many more may wait for their
// first request.
const sessionsMax = 16

// Server is the side of the primary. Safe for concurrent use.
type Server struct {
	setID func() string
	keyOf func(ctx context.Context, secondaryID string) ([]byte, error)

	// instance tells this server from the one before a restart.
	instance [idSize]byte

	mu sync.Mutex
	// Each secondary's sessions, the oldest first. A session is greeted when its hello has
	// come, which anybody can play again. It becomes one of the sessions with its first
	// request, which only the secondary's host can seal. So hellos end no session.
	sessions, greeted map[string][]*session
}

// NewServer makes a server. KeyOf returns the pairing key of a secondary, or an error if it
// is revoked. It is asked for each message.
func NewServer(setID func() string, keyOf func(ctx context.Context, secondaryID string) ([]byte, error)) *Server {
	s := &Server{setID: setID, keyOf: keyOf, sessions: map[string][]*session{}, greeted: map[string][]*session{}}
	_, _ = rand.Read(s.instance[:]) // it never fails
	return s
}

// Serve answers one message of a secondary. It calls handle with a request that the
// secondary's host has sealed and that was not received before. If Serve returns an error
// nothing was executed.
func (s *Server) Serve(ctx context.Context, secondaryID string, raw []byte,
	handle func(ctx context.Context, plain []byte) []byte) ([]byte, error) {
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
		sum, err := mac(key, b, []byte("unknown"), head, s.instance[:])
		return append(append(head, s.instance[:]...), sum...), err
	}
	plain, err := found.open(kindRequest, found.toServer, m)
	if err != nil {
		return nil, err
	}
	if !found.accept(m.number) {
		return nil, ErrReplayed
	}
	s.begun(secondaryID, found)
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
	_, _ = rand.Read(own)
	fresh, err := newSession(key, b, id, s.instance, theirs, own)
	if err != nil {
		return nil, err
	}
	if !s.add(b.SecondaryID, fresh) {
		return nil, ErrReplayed
	}
	welcome := append([]byte{kindWelcome}, id[:]...)
	if sum, err = mac(key, b, welcome, own, theirs, s.instance[:]); err != nil {
		return nil, err
	}
	return slices.Concat(welcome, own, s.instance[:], sum), nil
}

func (s *Server) find(secondaryID string, id [idSize]byte) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known(secondaryID, id)
}

// known is the session of an id, nil if there is none. The caller holds the lock.
func (s *Server) known(secondaryID string, id [idSize]byte) *session {
	for _, list := range []map[string][]*session{s.sessions, s.greeted} {
		for _, have := range list[secondaryID] {
			if have.id == id {
				return have
			}
		}
	}
	return nil
}

// add keeps a session for its first request. A hello that is played again must not
// replace the session that it once opened.
func (s *Server) add(secondaryID string, fresh *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known(secondaryID, fresh.id) != nil {
		return false
	}
	s.greeted[secondaryID] = newest(append(s.greeted[secondaryID], fresh))
	return true
}

// begun keeps a session that has had a request. If there are too many, the oldest goes.
func (s *Server) begun(secondaryID string, session *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.sessions[secondaryID], session) {
		return
	}
	waiting := s.greeted[secondaryID]
	at := slices.Index(waiting, session)
	if at < 0 {
		return // so many hellos came meanwhile; the request counts
	}
	s.greeted[secondaryID] = slices.Delete(waiting, at, at+1)
	s.sessions[secondaryID] = newest(append(s.sessions[secondaryID], session))
}

func newest(list []*session) []*session { return slices.Clone(list[max(0, len(list)-sessionsMax):]) }
